"""Streams against whole runs, `==`, and their memory against their length."""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_programs import Case, cases

from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.backends.streaming import decide
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import reduce_window, scores


def steps_of(events: dict[str, NDArray], sample: int = 0) -> Iterator[dict[str, NDArray]]:
    time = len(next(iter(events.values())))
    return ({name: x[t, sample] for name, x in events.items()} for t in range(time))


@settings(max_examples=40, deadline=None)
@given(cases(batch=3))
def test_windows_are_the_samples_of_a_whole_run(case: Case) -> None:
    """Every primitive, every decoder: the stream is three samples, one after the other."""
    program, events = case
    time = len(next(iter(events.values())))
    whole = emulate(program, events)
    joined = {name: x.swapaxes(0, 1).reshape(3 * time, 1, *x.shape[2:]) for name, x in events.items()}
    for name in program.outputs:
        found = list(decide(program, steps_of(joined), time, output=name))
        expected = scores(program, whole, name).reshape(3, -1)
        assert [d.scores for d in found] == [tuple(row) for row in expected.tolist()]
        assert [d.neuron for d in found] == program.decode(whole, name).tolist()
        assert [d.step for d in found] == [time, 2 * time, 3 * time]
        assert {d.latency for d in found} == {program.latency[program.outputs[name].node]}


@settings(max_examples=40, deadline=None)
@given(cases(batch=1, time=11), st.integers(1, 11), st.integers(1, 4))
def test_sliding_windows_are_cuts_of_a_whole_run(case: Case, window: int, every: int) -> None:
    program, events = case
    whole = emulate(program, events)
    for name, rule in program.outputs.items():
        found = list(decide(program, steps_of(events), window, output=name, sliding=every))
        values = whole.spikes[name] if rule.decoder == "spike_count" else whole.states[rule.node]["v"]
        ends = list(range(window, 12, every))
        assert [d.step for d in found] == ends
        for decision in found:
            span = reduce_window(rule.decoder, values[decision.step - window : decision.step])
            assert decision.scores == tuple(span.ravel().tolist()) and decision.neuron == span.argmax()


def counter(size: int = 64) -> Program:
    """Dense layers, one of them recurrent."""
    rng, lif = np.random.default_rng(0), {"du": 2000, "dv": 400, "vth": 300}
    links = [("x", "h", (size, 16)), ("h", "h", (size, size)), ("h", "o", (4, size))]
    made = tuple(Connection(s, t, Dense(2 * rng.integers(-40, 50, shape, dtype=np.int32))) for s, t, shape in links)
    return Program({"x": SpikeInput((16,)), "h": Lif((size,), **lif), "o": Lif((4,), **lif)}, made, {"y": Output("o")})


def noise(steps: int) -> Iterator[dict[str, NDArray[np.int32]]]:
    rng = np.random.default_rng(1)
    return ({"x": rng.integers(0, 2, 16, dtype=np.int32)} for _ in range(steps))


@pytest.mark.slow
@pytest.mark.parametrize("sliding", [None, 5])
def test_memory_does_not_grow_with_the_stream(sliding: int | None) -> None:
    """Held after 1,000, 9,000 and 17,000 steps, decisions thrown away: less than a byte per neuron of the output and step would take. What
    the interpreter itself keeps, such as freed tuples, is bounded: it may come to some thousand bytes once, but not in both halves.
    """
    held, program = [], counter()
    steps = (step for number, step in enumerate(noise(17001)) if number not in (1000, 9000, 17000) or not held.append(in_use()))
    tracemalloc.start()
    try:
        for _ in decide(program, steps, 20, sliding=sliding):
            pass
    finally:
        tracemalloc.stop()
    assert min(after - before for before, after in pairwise(held)) < 8000 * 4 // 2, held


def in_use() -> int:
    """Bytes; the interpreter keeps freed tuples for later until it collects."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_when_an_answer_settled() -> None:
    """Two neurons that copy their input: the second overtakes the first on the fourth step."""
    copy = Connection("x", "o", Dense(64 * np.eye(2, dtype=np.int32)))
    program = Program({"x": SpikeInput((2,)), "o": Lif((2,), 4095, 4095, 10)}, (copy,), {"y": Output("o")})
    steps = [[1, 0], [0, 1], [0, 0], [0, 1], [0, 0]]
    first, second = decide(program, ({"x": np.array(s)} for s in steps * 2), 5)
    assert (first.neuron, first.scores, first.settled, first.latency, first.step) == (1, (1, 2), 4, 1, 5)
    assert (second.settled, second.step) == (4, 10)
    slid = list(decide(program, ({"x": np.array(s)} for s in steps), 2, sliding=1))
    assert [(d.step, d.neuron, d.settled) for d in slid] == [(2, 0, 1), (3, 1, 1), (4, 1, 2), (5, 1, 3)]


def test_what_cannot_be_streamed() -> None:
    program = counter()
    for given_, part in (({"window": 0}, "window must be a positive"), ({"window": 1, "sliding": 0}, "sliding must be a positive")):
        with pytest.raises(InputError, match=part):
            list(decide(program, noise(3), **given_))
    with pytest.raises(InputError, match="no output 'z'"):
        list(decide(program, noise(3), 2, output="z"))
    with pytest.raises(InputError, match="hold 7, outside 0..1"):
        list(decide(program, [{"x": np.full(16, 7)}], 2))
    with pytest.raises(InputError, match="inputs must be 'x'"):
        list(decide(program, [{"q": np.zeros(16, np.int32)}], 2))
    assert list(decide(program, noise(3), 4)) == [] == list(decide(program, [], 4))
