"""From words on the command line to steps of events: which source feeds which input, and how its numbers are encoded."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.samples import read_samples
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import saturated, to_events
from snnfuse.hardware.ir.pipeline import Pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.reading import check_regular
from snnfuse.streaming import audio, frames
from snnfuse.streaming.event_lines import event_lines, whole_lines

Steps = Iterator[dict[str, NDArray]]
EVENTS, MICROPHONE, CAMERA = "-", "mic", "camera"
STDIN = "standard input"


@dataclass
class Settings:
    """How sources become steps.

    Attributes:
        features: what sound becomes, "samples" or "log-mel".
        rate: samples per second of the microphone.
        threshold: above which a number is a spike, for inputs that take spikes; None: numbers must be 0 or 1.
        repeat: steps that every value is shown for.
        steps: after which the stream ends; None for no end.
        cut: counts values beyond what a graded input was calibrated for, which are cut there.
    """

    features: audio.Features = "samples"
    rate: int = 16_000
    threshold: float | None = None
    repeat: int = 1
    steps: int | None = None
    cut: int = 0


def open_stream(program: Program | Pipeline, sources: Sequence[str], settings: Settings | None = None) -> Steps:
    """Steps of events, int32 (*shape) by input, as sources give them; it ends with the first source that does.

    Args:
        program: names the inputs, their shapes and their encoding.
        sources: "-" for events on standard input, FILE.npz with every input, whose samples follow each other, or [INPUT=]SOURCE for each
            input: FILE.wav, mic, a folder of frames, FILE.npy (time, *shape), camera or cameraN.
        settings: how they are read.

    Raises:
        InputError: an input without a source or with two, or a source that cannot be read.
        EnvironmentProblem: what a source needs is not installed.
    """
    settings = settings or Settings()
    found = _events(program, sources, settings)
    repeated = (step for step in found for _ in range(settings.repeat))
    return islice(repeated, settings.steps)


def _events(program: Program | Pipeline, sources: Sequence[str], settings: Settings) -> Steps:
    if len(sources) == 1 and sources[0] == EVENTS:
        return event_lines(whole_lines(sys.stdin.buffer, STDIN), program.inputs, STDIN)
    if len(sources) == 1 and sources[0].endswith(".npz"):
        steps = _replayed(Path(sources[0]), program)
    else:
        steps = _together(program, _assigned(program, sources), settings)
    return (_encoded(program, step, settings) for step in steps)


def _assigned(program: Program | Pipeline, sources: Sequence[str]) -> dict[str, str]:
    """Sources by input."""
    names, found = list(program.inputs), {}
    for text in sources:
        name, _, source = text.rpartition("=")
        if name not in names and (name or len(names) > 1):
            raise InputError(f"--stream {text}: write INPUT=SOURCE for each of the program's inputs, {', '.join(names)}")
        name = name or names[0]
        if name in found:
            raise InputError(f"--stream {text}: input {name!r} has a source already")
        if source == EVENTS or source.endswith(".npz"):
            raise InputError(f"--stream {text}: events on standard input and .npz files hold every input; give one alone")
        found[name] = source
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"input {missing[0]!r} has no source; give --stream {missing[0]}=SOURCE")
    return {name: found[name] for name in names}


def _together(program: Program | Pipeline, assigned: Mapping[str, str], settings: Settings) -> Steps:
    each = [_open(source, tuple(program.inputs[name].shape), settings) for name, source in assigned.items()]
    return (dict(zip(assigned, values)) for values in zip(*each))


def _open(source: str, shape: tuple[int, ...], settings: Settings) -> Iterator[NDArray]:
    path, size = Path(source), int(np.prod(shape))
    if source == MICROPHONE:
        return _sound(audio.microphone_blocks(settings.rate), settings.rate, size, shape, settings)
    if source.startswith(CAMERA) and (source[len(CAMERA) :] or "0").isdecimal():
        return frames.camera_frames(int(source[len(CAMERA) :] or 0), shape)
    if path.is_dir():
        return frames.folder_frames(path, shape)
    if path.suffix.lower() == ".wav":
        rate, blocks = audio.wav_blocks(path)
        return _sound(blocks, rate, size, shape, settings)
    if path.suffix.lower() == ".npy":
        return _rows(path, shape)
    raise InputError(f"{source}: no source; give FILE.wav, mic, a folder of frames, FILE.npy, FILE.npz, camera, or - for events")


def _sound(blocks: Iterator[NDArray], rate: int, size: int, shape: tuple[int, ...], settings: Settings) -> Iterator[NDArray]:
    steps = audio.sample_steps(blocks, size) if settings.features == "samples" else audio.log_mel_steps(blocks, rate, size)
    return (values.reshape(shape) for values in steps)


def _rows(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray]:
    """A file that is mapped, not read."""
    check_regular(path)
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header reaches Python's parser, which raises anything
        raise InputError(f"{path}: no .npy file of numbers ({error})") from error
    if rows.shape[1:] != shape or rows.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds {rows.dtype} {rows.shape}, not numbers (time, {', '.join(map(str, shape))})")
    return (np.array(row) for row in rows)


def _replayed(path: Path, program: Program | Pipeline) -> Steps:
    samples = read_samples(path).named(tuple(program.inputs))
    for name, array in samples.inputs.items():
        if array.shape[2:] != tuple(program.inputs[name].shape):
            raise InputError(f"{path}: {name!r} has shape {array.shape}, not (time, batch, *{tuple(program.inputs[name].shape)})")
    time, batch = next(iter(samples.inputs.values())).shape[:2]
    return ({name: array[t, b] for name, array in samples.inputs.items()} for b in range(batch) for t in range(time))


def _encoded(program: Program | Pipeline, step: Mapping[str, NDArray], settings: Settings) -> dict[str, NDArray]:
    arrays = {}
    for name, values in step.items():
        if not np.isfinite(values).all():
            raise InputError(f"input {name!r} holds NaN or infinite values")
        binary = not program.inputs[name].sends_numbers
        spikes = binary and settings.threshold is not None
        arrays[name] = values > settings.threshold if spikes else values
        if binary and not spikes and ((values != 0) & (values != 1)).any():
            raise InputError(f"input {name!r} takes spikes, 0 or 1, and its source gives other numbers; give --threshold")
    settings.cut += sum(saturated(program.inputs, arrays).values())
    return to_events(program.inputs, arrays)
