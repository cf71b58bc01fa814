"""`snnfuse export` of a network in stages, and of one whose L2 layers a host computes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.commands.console import Console
from snnfuse.commands.export_summary import summary

if TYPE_CHECKING:
    from snnfuse.compile.pipeline_compiled import CompiledPipeline
    from snnfuse.data.samples import Samples
    from snnfuse.export.staging.staged import StagedGraph
    from snnfuse.hardware.ir.pipeline import Link

REFUSED = {"search": "finds bits for one program", "time_steps": "is for a forward that loops over time itself"}


def run_staged(
    source: Any, samples: "Samples | None", target: str, output: Path, console: Console, options: dict[str, Any]
) -> dict[str, Any]:
    """Export a network in stages, a program each."""
    from snnfuse.commands.export import find_shapes, warnings_as_lines
    from snnfuse.compile import sources as model_graphs
    from snnfuse.compile.pipeline_compiled import compile_pipeline

    check_staged_options(target, options)
    assert samples is not None
    with console.step("making the graphs"):
        staged = stages_of(source, find_shapes(source, samples, options["sample"]) or samples.shapes, options)
    with console.step("choosing integers"), warnings_as_lines():
        settings = {key: options[key] for key in ("reset", "weight_bits", "input_bits", "max_groups", "board")}
        dt = options["dt"] if model_graphs.is_graph(source) else None  # of a checkpoint, tracing has used it
        compiled = compile_pipeline(staged, samples, target=target, dt=dt, **settings)
    return finish_pipeline(compiled, output, console, options)


def check_staged_options(target: str, options: dict[str, Any]) -> None:
    """Refuse by name what does nothing for several programs, or is not there for them."""
    from snnfuse.compile.pipeline_compiled import check_pipeline_target
    from snnfuse.hardware.errors import InputError

    check_pipeline_target(target)
    for name, reason in REFUSED.items():
        if options[name]:
            raise InputError(f"--{name.replace('_', '-')} {reason}, and this network becomes several programs, one per stage; leave it out")


def stages_of(source: Any, shapes: dict[str, tuple[int, ...]], options: dict[str, Any]) -> "StagedGraph":
    """The float network in stages: its own, or those around its L2 layers."""
    from snnfuse.compile import sources as model_graphs
    from snnfuse.export.staging.cutting import cut

    if model_graphs.is_staged(source):
        from snnfuse.compile.staged_sources import DT, trace_stages
        from snnfuse.hardware.errors import InputError

        if options["l2"] != "fold":
            raise InputError(f"--l2 {options['l2']} is for L2 on every step; what this network carries between stages the host computes")
        return trace_stages(source, shapes, options["dt"] or DT)
    return cut(model_graphs.make_graph(source, shapes, dt=options["dt"], steps=options["time_steps"]).nir)


def finish_pipeline(compiled: "CompiledPipeline", output: Path, console: Console, options: dict[str, Any]) -> dict[str, Any]:
    """Print and write a bundle that holds a program per stage."""
    from snnfuse.commands.export import check_strict, describe_place, figures
    from snnfuse.compile.pipeline_compiled import save_pipeline, with_proofs

    with console.step("proving that nothing overflows"):
        compiled = with_proofs(compiled, options["prove"])
    ledger = tuple(entry for stage in compiled.stages for entry in stage.program.ledger)
    check_strict(ledger, console, options["strict"])
    if not options["dry_run"]:
        save_pipeline(output, compiled, force=options["force"])
    console.say(describe_pipeline(compiled))
    console.say(describe_place(output, options["dry_run"]))
    stages = [stage.report | ({"resources": stage.resources.to_json()} if stage.resources else {}) for stage in compiled.stages]
    return figures(compiled.target, ledger, output, options["dry_run"]) | compiled.report | {"stages": stages}


def describe_pipeline(compiled: "CompiledPipeline") -> str:
    """Every stage, what is carried between them, and the accuracy of the whole."""
    parts = []
    for number, stage in enumerate(compiled.stages):
        parts += [f"stage {number + 1} of {len(compiled.stages)}", summary(stage)]
    parts += [describe_link(link) for link in compiled.pipeline.links]
    measured = compiled.report.get("calibration_accuracy")
    if measured:
        parts.append(
            f"accuracy on these {measured['samples']} samples ({measured['decoder']}): "
            f"float {measured['float']:.2%}, programs with their host {measured['program']:.2%}"
        )
    return "\n".join(parts)


def describe_link(link: "Link") -> str:
    """What the host does for one input of a later stage."""
    from snnfuse.export.staging.staged import REDUCED, describe

    steps = "".join(f", {describe(step)}" for step in link.steps)
    return f"host: {link.name}, from {link.output} of stage {link.stage + 1}: {REDUCED[link.reduction]}{steps}"
