"""`snnfuse simulate`: run a bundle's program on inputs from a file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.stream import DEFAULTS, Streaming, check_alone, run_stream, stream_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from snnfuse.data.samples import Samples
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware import Program, Recording

BACKENDS = ("reference", "emulator", "torch", "lava")  # a test compares them with snnfuse.hardware.backends.registry


LOCAL = "local"
MIB = 1 << 20


@dataclass(frozen=True)
class Where:
    """What a program runs on.

    Attributes:
        backend: one of `BACKENDS`.
        device: of torch.
        cluster: address of a ray cluster, "local" for one on this machine; None for no cluster.
        memory: MiB of working memory, None for the backend's own choice.
        timeout: seconds that Lava may take.
    """

    backend: str
    device: str
    cluster: str | None
    memory: int | None
    timeout: float | None

    def __post_init__(self) -> None:
        options = {
            "--device": (self.device != "cpu", ("torch",)),
            "--cluster": (self.cluster is not None, ("emulator",)),
            "--memory": (self.memory is not None, ("emulator", "torch")),
            "--timeout": (self.timeout is not None, ("lava",)),
        }
        for option, (given, backends) in options.items():
            if given and self.backend not in backends:
                raise click.UsageError(f"{option} goes with --backend {' or '.join(backends)}, not with {self.backend}")

    def __str__(self) -> str:
        if self.cluster is not None:
            return f"{self.backend}, over a ray cluster ({self.cluster})"
        return self.backend if self.device == "cpu" else f"{self.backend} on {self.device}"


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--backend", type=click.Choice(BACKENDS), default="emulator", show_default=True)
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input.")
@click.option(
    "-o", "--output", type=PATH, metavar="FILE",
    help=".npz to write: spikes, membranes and classes of the outputs. With --stream: decisions, a line of JSON each.",
)  # fmt: skip
@click.option("--record", type=click.Choice(("outputs", "all")), default="outputs", help="With -o: all adds every layer and state.")
@click.option("--device", default="cpu", metavar="NAME", help="Where torch runs: cpu, cuda or cuda:N.")
@click.option(
    "--cluster", is_flag=False, flag_value=LOCAL, metavar="[ADDRESS]",
    help="Spread the samples over a ray cluster; without an address, over processes of this machine.",
)  # fmt: skip
@click.option("--memory", type=click.IntRange(1), metavar="MIB", help="Working memory beside inputs and recording.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest that Lava may take.")
@stream_options
@json_option
def simulate(
    bundle: Path, inputs: Path | None, output: Path | None, record: str, json_to: str | None, quiet: bool, **options: Any
) -> None:
    """Run BUNDLE's program on float inputs, which are encoded as it declares.

    With `labels` in the input file the accuracy is printed too. With --stream the emulator runs step by step on live input, in constant
    memory, and prints each decision with its latency in steps.
    """
    console = Console(json_to, quiet, (bundle, inputs, output))
    streaming = Streaming(**{name: options.pop(name) for name in ("sources", *DEFAULTS)})
    where = Where(**options)
    if (inputs is None) == (not streaming.sources):
        raise click.UsageError("give --input FILE or --stream SOURCE, one of the two")
    with console.result() as result:
        if inputs is not None:
            check_alone(vars(streaming))
            result.update(run_simulation(bundle, inputs, output, record, where, console))
            return
        if where != Where("emulator", "cpu", None, None, None) or record != "outputs":
            raise click.UsageError("--stream runs on the emulator, and prints decisions only")
        result.update(run_stream(bundle, output, streaming, console))


def warn_of_window(bundle: "Bundle", samples: "Samples") -> None:
    """Warn of windows longer than the calibration data's where a program sums over time: a sum is bounded by its window only."""
    import warnings

    from snnfuse.hardware.errors import WindowWarning
    from snnfuse.hardware.overflow import sums_over_time

    about = bundle.report.get("calibration")
    known = about.get("time_steps") if isinstance(about, dict) else None
    steps = next(iter(samples.inputs.values())).shape[0]
    if isinstance(known, int) and steps > known and sums_over_time(bundle.program):
        text = f"{bundle.path}: the network sums over time and was calibrated on windows of {known} steps; in {steps} its sums may"
        warnings.warn(f"{text} go beyond what it was made for", WindowWarning, stacklevel=2)


def run_simulation(bundle: Path, inputs: Path, output: Path | None, record: str, where: Where, console: Console) -> dict[str, Any]:
    """Simulate, write the arrays, and return the figures."""
    from snnfuse.compile.accuracy import check_labels, describe_decoder, program_accuracy
    from snnfuse.data.samples import read_samples
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.hardware.files import check_output_file

    if output is not None:
        check_output_file(output, (bundle, inputs))
    elif record != "outputs":
        raise click.UsageError("--record all is written with -o FILE")
    opened = read_bundle(bundle)
    if opened.is_pipeline:
        from snnfuse.commands.simulate_stages import run_stages

        return run_stages(opened, inputs, output, record, where, console)
    program = opened.program
    samples = read_samples(inputs).named(tuple(program.inputs))
    check_labels(program, samples)
    warn_of_window(opened, samples)
    events = program.encode(samples.inputs)
    with console.progress(f"running {len(samples)} samples on {where}") as progress:
        recording, seconds = run(program, events, record, where, progress)
    figures: dict[str, Any] = {"backend": where.backend, "device": where.device, "cluster": where.cluster}
    figures |= {"samples": len(samples), "seconds": seconds}
    console.say(f"{len(samples)} samples on {where} in {seconds:.2f} s")
    if samples.labels is not None and len(program.outputs) == 1:
        figures |= {"accuracy": program_accuracy(program, recording, samples), "decoder": describe_decoder(program)}
        console.say(f"accuracy {figures['accuracy']:.2%} on {len(samples)} samples ({figures['decoder']})")
    if output is not None:
        write_arrays(output, result_arrays(program, recording, record))
        figures["output"] = str(output)
        console.say(f"output: {output}")
    return figures


def run(
    program: "Program", events: "dict[str, NDArray]", record: str, where: Where, progress: "Callable[[int, int], None] | None"
) -> "tuple[Recording, float]":
    """The recording, with every state where every layer is recorded, and the seconds it took."""
    from snnfuse.hardware.backends.registry import run_on

    states, memory = record == "all", None if where.memory is None else where.memory * MIB
    if where.cluster is None:
        done = run_on(
            where.backend, program, events, record, states, where.timeout, device=where.device, memory=memory, progress=progress
        )
        return done.recording, done.seconds
    from snnfuse.hardware.backends.ray_cluster import emulate_on_cluster

    start = time.perf_counter()
    recording = emulate_on_cluster(program, events, record, states, where.cluster, memory=memory, progress=progress)
    return recording, time.perf_counter() - start


def result_arrays(program: "Program", recording: "Recording", record: str = "outputs") -> "dict[str, NDArray]":
    """By output: `NAME.spikes`, `NAME.v` of a membrane readout (both (time, batch, *shape)), and `NAME.classes` (batch,). With
    record="all" by layer too: `NAME.spikes`, which are numbers where its spikes are graded, and every state, such as `NAME.u`.
    """
    from snnfuse.hardware.ir.encoding import membrane

    names = program.outputs if record == "outputs" else recording.spikes
    arrays = {f"{name}.spikes": recording.spikes[name] for name in names}
    if record == "all":
        arrays |= {f"{name}.{x}": values for name, states in recording.states.items() for x, values in states.items()}
    for name, output in program.outputs.items():
        if output.node in recording.states and program.neurons[output.node].membrane:
            arrays[f"{name}.v"] = membrane(program, recording, output.node)
        arrays[f"{name}.classes"] = program.decode(recording, name)
    return arrays


def write_arrays(path: Path, arrays: "dict[str, NDArray]") -> None:
    """An .npz file under exactly this name; InputError where it cannot be written."""
    import io

    import numpy as np

    from snnfuse.hardware.files import write_whole

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getbuffer())
