"""`snnfuse simulate`: run a bundle's program on inputs from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snnfuse.hardware import Program, Recording

BACKENDS = ("reference", "emulator", "torch", "lava")  # a test compares them with snnfuse.hardware.backends


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--backend", type=click.Choice(BACKENDS), default="emulator", show_default=True)
@click.option(
    "--input", "inputs", type=PATH, required=True, metavar="FILE", help=".npz with an array (time, batch, ...) per input."
)
@click.option("-o", "--output", type=PATH, metavar="FILE", help=".npz to write: spikes, membranes and classes of the outputs.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest that Lava may take.")
@json_option
def simulate(
    bundle: Path, backend: str, inputs: Path, output: Path | None, timeout: float | None, json_to: str | None, quiet: bool
) -> None:
    """Run BUNDLE's program on float inputs, which are encoded as it declares.

    With `labels` in the input file the accuracy is printed too.
    """
    console = Console(json_to, quiet, (bundle, inputs, output))
    with console.result() as result:
        result.update(run_simulation(bundle, backend, inputs, output, timeout, console))


def run_simulation(
    bundle: Path, backend: str, inputs: Path, output: Path | None, timeout: float | None, console: Console
) -> dict[str, Any]:
    """Simulate, write the arrays, and return the figures."""
    from snnfuse.export.bundle import read_bundle
    from snnfuse.exporting import check_labels, describe_decoder, program_accuracy
    from snnfuse.hardware.backends import run_on
    from snnfuse.samples import read_samples
    from snnfuse.whole_file import check_output_file

    if output is not None:
        check_output_file(output, (bundle, inputs))
    program = read_bundle(bundle).program
    samples = read_samples(inputs).named(tuple(program.inputs))
    check_labels(program, samples)
    with console.step(f"running {len(samples)} samples on {backend}"):
        run = run_on(backend, program, program.encode(samples.inputs), timeout=timeout)
    figures: dict[str, Any] = {"backend": backend, "samples": len(samples), "seconds": run.seconds}
    console.say(f"{len(samples)} samples on {backend} in {run.seconds:.2f} s")
    if samples.labels is not None and len(program.outputs) == 1:
        figures |= {"accuracy": program_accuracy(program, run.recording, samples), "decoder": describe_decoder(program)}
        console.say(f"accuracy {figures['accuracy']:.2%} on {len(samples)} samples ({figures['decoder']})")
    if output is not None:
        write_arrays(output, result_arrays(program, run.recording))
        figures["output"] = str(output)
        console.say(f"output: {output}")
    return figures


def result_arrays(program: "Program", recording: "Recording") -> "dict[str, NDArray]":
    """By output: `NAME.spikes`, `NAME.v` of a membrane readout (both (time, batch, *shape)), and `NAME.classes` (batch,)."""
    arrays = {}
    for name, output in program.outputs.items():
        arrays[f"{name}.spikes"] = recording.spikes[name]
        if output.node in recording.states:
            arrays[f"{name}.v"] = recording.states[output.node]["v"]
        arrays[f"{name}.classes"] = program.decode(recording, name)
    return arrays


def write_arrays(path: Path, arrays: "dict[str, NDArray]") -> None:
    """An .npz file under exactly this name; InputError where it cannot be written."""
    import io

    import numpy as np

    from snnfuse.whole_file import write_whole

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getbuffer())
