"""`snnfuse simulate` of a bundle of several programs, one after the other, with the host's part between them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import Console
from snnfuse.commands.simulate import MIB, Where, result_arrays, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware.ir.pipeline import Pipeline, PipelineRun


def run_stages(
    bundle: "Bundle", inputs: Path, output: Path | None, record: str, where: Where, console: Console
) -> dict[str, Any]:
    """Simulate every stage, write the arrays, and return the figures."""
    from snnfuse.compile.accuracy import accuracy, check_labels, describe_decoder
    from snnfuse.data.samples import read_samples
    from snnfuse.export.bundle.stages import open_pipeline
    from snnfuse.hardware import scores

    if where.cluster is not None:
        raise click.UsageError("--cluster spreads one program, and this bundle holds several, one per stage; leave it out")
    pipeline = open_pipeline(bundle).pipeline
    last = pipeline.programs[-1]
    samples = read_samples(inputs).named(tuple(pipeline.inputs))
    check_labels(last, samples)
    settings = {} if where.memory is None else {"memory": where.memory * MIB}
    with console.step(f"running {len(samples)} samples on {where}, in {len(pipeline.programs)} stages"):
        run = pipeline.run(
            pipeline.encode(samples.inputs), where.backend, record, record == "all", timeout=where.timeout, device=where.device, **settings
        )
    figures: dict[str, Any] = {"backend": where.backend, "device": where.device, "cluster": None, "stages": len(pipeline.programs)}
    figures |= {"samples": len(samples), "seconds": run.seconds}
    console.say(f"{len(samples)} samples on {where}, in {len(pipeline.programs)} stages, in {run.seconds:.2f} s")
    if samples.labels is not None and len(last.outputs) == 1:
        figures |= {"accuracy": accuracy(scores(last, run.recordings[-1]), samples), "decoder": describe_decoder(last)}
        console.say(f"accuracy {figures['accuracy']:.2%} on {len(samples)} samples ({figures['decoder']})")
    if output is not None:
        write_arrays(output, arrays_of(pipeline, run, record))
        figures["output"] = str(output)
        console.say(f"output: {output}")
    return figures


def arrays_of(pipeline: "Pipeline", run: "PipelineRun", record: str) -> "dict[str, NDArray]":
    """The outputs of the last stage; with record="all" those of every stage, as `stage1/NAME.spikes`, and what it was fed, as
    `stage1/NAME.events`.
    """
    from snnfuse.hardware.ir.pipeline_storage import stage_folder

    arrays = result_arrays(pipeline.programs[-1], run.recordings[-1])
    if record != "all":
        return arrays
    for number, (program, recording) in enumerate(zip(pipeline.programs, run.recordings)):
        stage = stage_folder(number)
        arrays |= {f"{stage}/{name}": array for name, array in result_arrays(program, recording, "all").items()}
        arrays |= {f"{stage}/{name}.events": array for name, array in recording.events.items()}
    return arrays
