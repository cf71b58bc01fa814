"""Decisions on a stream, step by step, in constant memory: one sample that never ends.

Windows   As a Program defines them: every `window` steps a new one begins, with every state zero, and ends in a decision by the output's
          decoder. The decisions are those of `emulate` on the windows as samples, and `decode`.
Stages    Of a network in stages the later ones begin when a window is over, and each takes a window of its own.
Sliding   States run on for ever; every so many steps the decoder reads the last `window` of them. The decisions are those of one
          `emulate` of the whole stream whose recording is cut into these spans.

An output lags the input by its latency, so that a decision on the input up to step n is there on step n + latency.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.run_state import Session
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import by_class, decoded, only_output, output_values, values
from snnfuse.hardware.ir.pipeline import Pipeline, as_pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

Step = Mapping[str, NDArray]
"""Events of one step, integers (*shape) by input."""
Read = Callable[[Recording], NDArray]
"""What a decoder reduces, of a recording of one step."""


@dataclass(frozen=True)
class Decision:
    """What an output says at the end of a window.

    Attributes:
        output: its name.
        step: the last input step that it rests on, counted from 1.
        latency: steps that it comes later than that.
        neuron: the highest score, ties to the lowest index; over the flattened population, or the classes of a population code.
        scores: by the output's decoder, in C order.
        settled: steps of the window after which the answer no longer changed, 1..window; of sliding ones, for how many decisions it
            has been the same.
    """

    output: str
    step: int
    latency: int
    neuron: int
    scores: tuple[float, ...]
    settled: int


def decide(
    program: Program | Pipeline,
    steps: Iterable[Step],
    window: int,
    *,
    output: str | None = None,
    sliding: int | None = None,
    threads: int = 1,
) -> Iterator[Decision]:
    """Run a program on steps as they come.

    Args:
        program: what to run; of a pipeline's stages each runs when the window is over, for it reads what the one before made of it.
        steps: events of one step after another.
        window: steps that a decision rests on.
        output: which; the only one by default.
        sliding: None for windows that begin anew; otherwise a decision every so many steps, without resetting anything.
        threads: of the emulator.

    Yields:
        A decision as soon as its last step was fed. Steps that fill no window at the end of the stream make none.

    Raises:
        InputError: no such output, steps that are not positive, events that the program does not take, or sliding windows of a pipeline.
    """
    pipeline = as_pipeline(program)
    last = pipeline.programs[-1]
    name = only_output(last, output)
    for what, value in (("window", window), ("sliding", sliding)):
        if value is not None and value < 1:
            raise InputError(f"{what} must be a positive number of steps, not {value}")
    read = _values(last, name)
    if len(pipeline.programs) > 1 and sliding is not None:
        raise InputError("sliding windows reset nothing, but each stage of a network in stages begins anew with what a whole window of the "
                         "one before came to; leave sliding out")  # fmt: skip
    if len(pipeline.programs) > 1:
        yield from _in_stages(pipeline, steps, window, name, read)
    elif sliding is None:
        yield from _in_windows(last, steps, window, name, read, threads)
    else:
        yield from _sliding(last, steps, window, name, read, threads, sliding)


def _values(program: Program, output: str) -> Read:
    """What the decoder reduces: spikes, or voltages; (1, 1, *shape) of one step."""
    rule = program.outputs[output]
    if rule.reads_membrane and np.ptp(rule.offset):
        return lambda recording: values(program, recording, output)
    return lambda recording: output_values(program, recording, output)


def _in_windows(program: Program, steps: Iterable[Step], window: int, name: str, read: Read, threads: int) -> Iterator[Decision]:
    rule, latency = program.outputs[name], program.latency[program.outputs[name].node]
    session, total = Session(program, 1, threads=threads), None
    settled = answer = 0
    for number, step in enumerate(steps, 1):
        place = (number - 1) % window + 1
        if place == 1 and number > 1:
            session, total = Session(program, 1, threads=threads), None
        found = read(session.advance(_one(step)))[0, 0]
        found = found * (window - place) if rule.decoder == "first_spike" else found.astype(np.result_type(found, np.int64))
        total = found if total is None else reduce_pair(rule.decoder, total, found)
        scores = by_class(rule, total[None])[0]
        best = int(scores.argmax())
        settled, answer = (place, best) if place == 1 or best != answer else (settled, answer)
        if place == window:
            yield Decision(name, number, latency, answer, tuple(scores.ravel().tolist()), settled)


def reduce_pair(decoder: str, total: NDArray, found: NDArray) -> NDArray:
    """`reduce_window` of what has been so far, and one step more; of first spikes each is worth the steps that are left after it."""
    if decoder == "membrane_last":
        return found
    if decoder in ("membrane_max", "first_spike"):
        return np.maximum(total, found)
    return total + found


def _in_stages(pipeline: Pipeline, steps: Iterable[Step], window: int, name: str, read: Read) -> Iterator[Decision]:
    """A window at a time: the later stages need all of it. They take their own windows one after the other, each behind its latency."""
    output, kept = pipeline.programs[-1].outputs[name], list[Step]()
    late = sum(max(program.latency[o.node] for o in program.outputs.values()) for program in pipeline.programs[:-1])
    late += (len(pipeline.programs) - 1) * window + pipeline.programs[-1].latency[output.node]
    for number, step in enumerate(steps, 1):
        kept.append(step)
        if len(kept) < window:
            continue
        events = {key: np.stack([np.asarray(each[key]) for each in kept])[:, None] for key in pipeline.inputs}
        found = read(run_pipeline(pipeline, events).recordings[-1])
        scores = [decoded(output, found[:end])[0] for end in range(1, window + 1)]
        answers = [int(each.argmax()) for each in scores]
        settled = next(n for n in range(window, 0, -1) if n == 1 or answers[n - 2] != answers[-1])
        yield Decision(name, number, late, answers[-1], tuple(scores[-1].ravel().tolist()), settled)
        kept.clear()


def _sliding(program: Program, steps: Iterable[Step], window: int, name: str, read: Read, threads: int, every: int) -> Iterator[Decision]:
    rule, latency = program.outputs[name], program.latency[program.outputs[name].node]
    session = Session(program, 1, threads=threads)
    last: deque[NDArray] = deque(maxlen=window)
    settled = answer = 0
    for number, step in enumerate(steps, 1):
        last.append(read(session.advance(_one(step)))[0].copy())
        if number >= window and (number - window) % every == 0:
            scores = decoded(rule, np.stack(last))[0]
            best = int(scores.argmax())
            settled = settled + 1 if settled and best == answer else 1
            answer = best
            yield Decision(name, number, latency, answer, tuple(scores.ravel().tolist()), settled)


def _one(step: Step) -> dict[str, NDArray]:
    return {name: np.asarray(values)[None, None] for name, values in step.items()}
