"""`snnfuse simulate`: run a bundle's programs on inputs from a file, or on live input."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.running import LOCAL, BackendName, Where, result_arrays, run, write_arrays
from snnfuse.commands.stream import Streaming, run_stream, stream_options

if TYPE_CHECKING:
    from snnfuse.data.samples import Samples
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware import Program, Recording


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--backend", type=BackendName(), default="emulator", show_default=True)
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
def simulate(json_to: str | None, quiet: bool, **given: Any) -> None:
    """Run BUNDLE's program on float inputs, which are encoded as it declares.

    With `labels` in the input file the accuracy is printed too. With --stream the emulator runs step by step on live input, in constant
    memory, and prints each decision with its latency in steps.
    """
    streaming = Streaming(**{field.name: given.pop(field.name) for field in fields(Streaming)})
    where = Where(**{field.name: given.pop(field.name) for field in fields(Where)})
    options = SimulateOptions(**given)
    console = Console(json_to, quiet, (options.bundle, options.inputs, options.output))
    if (options.inputs is None) == (not streaming.sources):
        raise click.UsageError("give --input FILE or --stream SOURCE, one of the two")
    with console.result() as result:
        if options.inputs is not None:
            streaming.check_alone()
            result.update(run_simulation(options, options.inputs, where, console))
            return
        if where != Where() or options.record != "outputs":
            raise click.UsageError("--stream runs on the emulator, and prints decisions only")
        result.update(run_stream(options.bundle, options.output, streaming, console))


@dataclass(frozen=True)
class SimulateOptions:
    """The command line, but for what says where it runs, `Where`, and what is streamed, `Streaming`."""

    bundle: Path
    inputs: Path | None
    output: Path | None
    record: str


def warn_of_window(bundle: "Bundle", samples: "Samples") -> None:
    """Warn of windows longer than the calibration data's where a program sums over time: a sum is bounded by its window only."""
    import warnings

    from snnfuse.hardware.errors import WindowWarning
    from snnfuse.hardware.overflow import sums_over_time

    about = bundle.report.get("calibration")
    known = about.get("time_steps") if isinstance(about, dict) else None
    steps = next(iter(samples.inputs.values())).shape[0]
    if isinstance(known, int) and steps > known and any(map(sums_over_time, bundle.pipeline.programs)):
        text = f"{bundle.path}: the network sums over time and was calibrated on windows of {known} steps; in {steps} its sums may"
        warnings.warn(f"{text} go beyond what it was made for", WindowWarning, stacklevel=2)


def warn_of_classes(program: "Program", recording: "Recording", samples: "Samples") -> None:
    """Say where the labels tell that groups of outputs stand for classes: that was to be said when the bundle was made."""
    import warnings

    from snnfuse.compile.doubts import doubtful_classes
    from snnfuse.hardware.errors import CalibrationWarning

    doubt = None if samples.labels is None else doubtful_classes(program, recording, samples.labels)
    if doubt is not None:
        warnings.warn(f"{doubt} where the bundle is made", CalibrationWarning, stacklevel=2)


def run_simulation(options: SimulateOptions, inputs: Path, where: Where, console: Console) -> dict[str, Any]:
    """Simulate, write the arrays, and return the figures."""
    from snnfuse.compile.accuracy import check_labels, describe_decoder, program_accuracy
    from snnfuse.compile.open_samples import open_samples
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.hardware.files import check_output_file

    output, record = options.output, options.record
    if output is not None:
        check_output_file(output, (options.bundle, inputs))
    elif record != "outputs":
        raise click.UsageError("--record all is written with -o FILE")
    bundle = read_bundle(options.bundle)
    pipeline = bundle.pipeline
    last, stages = pipeline.programs[-1], len(pipeline.programs)
    samples = open_samples(inputs).named(tuple(pipeline.inputs))
    check_labels(last, samples)
    warn_of_window(bundle, samples)
    what = f"{len(samples)} samples on {where}" + (f", in {stages} stages" if stages > 1 else "")
    with console.progress(f"running {what}") as progress:
        done = run(pipeline, pipeline.encode(samples.inputs), record, where, progress)
    figures: dict[str, Any] = {"backend": where.backend, "device": where.device, "cluster": where.cluster}
    figures |= {"samples": len(samples), "seconds": done.seconds} | ({"stages": stages} if stages > 1 else {})
    console.say(f"{what}{',' if stages > 1 else ''} in {done.seconds:.2f} s")
    if samples.labels is not None and last.decides is not None:
        figures |= {"accuracy": program_accuracy(last, done.recordings[-1], samples), "decoder": describe_decoder(last)}
        console.say(f"accuracy {figures['accuracy']:.2%} on {len(samples)} samples ({figures['decoder']})")
        warn_of_classes(last, done.recordings[-1], samples)
    if output is not None:
        write_arrays(output, result_arrays(pipeline, done.recordings, record))
        figures["output"] = str(output)
        console.say(f"output: {output}")
    return figures
