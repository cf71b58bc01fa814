"""`snnfuse simulate --stream`: decisions on live input, printed as they are made."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from snnfuse.commands.console import Console

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware.backends.streaming import Decision
    from snnfuse.streaming.audio import Features

FEATURES = ("samples", "log-mel")


@dataclass(frozen=True)
class Streaming:
    """What `--stream` is told beside its sources; as the options are called, with the values that mean that nobody gave them."""

    sources: tuple[str, ...] = ()
    window: int | None = None
    sliding: int | None = None
    steps: int | None = None
    features: "Features" = "samples"
    rate: int = 16_000
    threshold: float | None = None
    repeat: int = 1
    readout: str | None = None

    def check_alone(self) -> None:
        """UsageError for what means something with --stream only."""
        for field in fields(self):
            if getattr(self, field.name) != field.default:
                raise click.UsageError(f"--{field.name} goes with --stream")


def stream_options(command: Any) -> Any:
    """The options that go with --stream."""
    several = [
        click.option("--stream", "sources", multiple=True, metavar="[INPUT=]SOURCE",
                     help="Live input instead of --input: FILE.wav, mic, a folder of frames, camera, FILE.npy, FILE.npz, or - for events."),
        click.option("--window", type=click.IntRange(1), metavar="STEPS", help="Steps of a decision; default: those of golden/."),
        click.option("--sliding", type=click.IntRange(1), metavar="STEPS", help="Never reset; decide every so many steps."),
        click.option("--steps", type=click.IntRange(1), metavar="N", help="Stop after so many."),
        click.option("--features", type=click.Choice(FEATURES), default=FEATURES[0], help="What sound becomes."),
        click.option("--rate", type=click.IntRange(1), default=Streaming.rate, metavar="HZ", help="Of the microphone."),
        click.option("--threshold", type=float, metavar="X", help="Numbers above it are spikes."),
        click.option("--repeat", type=click.IntRange(1), default=1, metavar="N", help="Show every frame for N steps."),
        click.option("--readout", metavar="NAME", help="Which output decides, where there are several."),
    ]  # fmt: skip
    for option in reversed(several):
        command = option(command)
    return command


def run_stream(path: Path, output: Path | None, streaming: Streaming, console: Console) -> dict[str, Any]:
    """Print each decision, write it where there is a file, and return a summary."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.hardware.backends.streaming import decide
    from snnfuse.hardware.files import check_output_file
    from snnfuse.streaming import Settings, open_stream

    if output is not None:
        check_output_file(output, (path,))
    bundle = read_bundle(path)
    pipeline, window = bundle.pipeline, streaming.window or golden_steps(bundle)
    settings = Settings(streaming.features, streaming.rate, streaming.threshold, streaming.repeat, streaming.steps)
    fed = Count(open_stream(pipeline, streaming.sources, settings))
    classes = class_names(bundle)
    start, found = time.perf_counter(), Counter[int]()
    with open_lines(output) as lines:
        for decision in decide(pipeline, fed, window, output=streaming.readout, sliding=streaming.sliding):
            found[decision.neuron] += 1
            console.say(describe(decision, streaming.sliding is not None, classes))
            if lines is not None:
                lines.write(json.dumps(asdict(decision)) + "\n")
                lines.flush()
    seconds = time.perf_counter() - start
    counts = {str(neuron): found[neuron] for neuron in sorted(found)}
    figures = {"steps": fed.number, "window": window, "sliding": streaming.sliding, "decisions": found.total(), "neurons": counts}
    console.say(f"{fed.number} steps, {found.total()} decisions in {seconds:.2f} s ({describe_rest(fed.number, window, streaming)})")
    if settings.cut:
        console.say(f"{settings.cut} values lay beyond what the program was calibrated for, and were cut there")
    return figures | {"seconds": seconds, "cut": settings.cut, "output": None if output is None else str(output)}


class Count:
    """Counts what passes."""

    def __init__(self, items: Iterator) -> None:
        self.items, self.number = items, 0

    def __iter__(self) -> Iterator:
        for item in self.items:
            self.number += 1
            yield item


def golden_steps(bundle: "Bundle") -> int:
    """Steps of the golden inputs, which the program was measured on."""
    return len(next(iter(bundle.stages[0].events.values())))


def class_names(bundle: "Bundle") -> Sequence[str]:
    """What each neuron of the output stands for, as the data set that calibrated the bundle names it; empty where that is not known."""
    drawn_from = (bundle.report.get("calibration") or {}).get("data") or {}
    return drawn_from.get("classes") or ()


def describe(decision: "Decision", sliding: bool, classes: Sequence[str] = ()) -> str:
    """A line; with the name of the class where each neuron is one."""
    named = f" ({classes[decision.neuron]})" if len(classes) == len(decision.scores) else ""
    since = f"for {decision.settled} decisions" if sliding else f"settled after step {decision.settled} of the window"
    return (
        f"step {decision.step}: {decision.output} neuron {decision.neuron}{named} (score {decision.scores[decision.neuron]}, {since}); "
        f"{decision.latency} steps later"
    )


def describe_rest(number: int, window: int, streaming: Streaming) -> str:
    """What became of the last steps."""
    if streaming.sliding is not None:
        return f"over the last {window} steps, nothing was reset"
    return f"windows of {window} steps; {number % window} at the end make none"


def open_lines(output: Path | None) -> Any:
    """A file for lines, or nothing."""
    from contextlib import nullcontext

    from snnfuse.hardware.errors import InputError

    if output is None:
        return nullcontext()
    try:
        file: IO[str] = open(output, "w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: {error.strerror or 'cannot be written'}") from error
    return file
