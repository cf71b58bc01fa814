"""`snnfuse energy`: what an inference of a bundle's program costs on a chip, modelled from the spikes of real inputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.running import events_by_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from snnfuse.hardware import Program


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input; default: golden/.")
@click.option("--board", default="oheo-gulch", show_default=True, metavar="NAME|FILE", help="That the layers are placed on.")
@click.option("--neurobench", is_flag=True, help="Let the neurobench package compute its metrics too (extra: neurobench).")
@json_option
def energy(json_to: str | None, quiet: bool, **given: Any) -> None:
    """Energy and time of an inference of BUNDLE's program: modelled, not measured; no board was available.

    Operations, updates and messages are counted on the spikes of every layer. Two models turn them into ranges: the constants of
    Loihi 1's operations, and a calibration on one published run of Loihi 2.
    """
    options = EnergyOptions(**given)
    console = Console(json_to, quiet, (options.bundle, options.inputs))
    with console.result() as result:
        result.update(run_energy(options, console))


@dataclass(frozen=True)
class EnergyOptions:
    """The command line."""

    bundle: Path
    inputs: Path | None
    board: str
    neurobench: bool


def run_energy(options: EnergyOptions, console: Console) -> dict[str, Any]:
    """Count, estimate and print every stage; returns the figures."""
    from snnfuse.export.bundle.bundle import read_bundle

    bundle = read_bundle(options.bundle)
    pipeline, found = bundle.pipeline, []
    fed = [stage.events for stage in bundle.stages] if options.inputs is None else events_by_stage(pipeline, options.inputs)
    for number, (program, events) in enumerate(zip(pipeline.programs, fed), 1):
        if bundle.is_staged:
            console.say(f"stage {number} of {len(fed)}")
        found.append(run_stage(program, events, options, console))
    used = {"input": str(options.inputs) if options.inputs else "golden"}
    if not bundle.is_staged:
        return found[0] | used
    models = [total(parts) for parts in zip(*(each["models"] for each in found))]
    console.say(describe_total(models))
    return {"note": found[0]["note"], "board": found[0]["board"], "models": models, "stages": found} | used


def run_stage(program: "Program", events: "Mapping[str, NDArray]", options: EnergyOptions, console: Console) -> dict[str, Any]:
    """Count, estimate and print one program; returns the figures."""
    from snnfuse.hardware.energy import estimate_energy
    from snnfuse.report.rows import in_a_line
    from snnfuse.report.sections import energy as section
    from snnfuse.report.text import show

    with console.step("counting spikes"):
        figures = estimate_energy(program, events, options.board).to_json()
    shown = section({"energy": figures})
    assert shown is not None
    console.say(show(shown))
    if options.neurobench:
        from snnfuse.measures.neurobench import run_neurobench

        with console.step("running neurobench"):
            figures["neurobench_package"] = run_neurobench(program, events)
        console.say(f"neurobench package: {in_a_line(figures['neurobench_package'])}")
    return figures


SUMMED = ("dynamic_uj", "static_uj", "total_uj", "time_us", "latency_us")


def total(parts: "Sequence[Mapping[str, Any]]") -> dict[str, Any]:
    """One model's ranges for stages that run one after the other; None where one of them is not known."""
    known = {name: [part[name] for part in parts] for name in SUMMED}
    sums = {name: None if None in spans else [sum(ends) for ends in zip(*spans)] for name, spans in known.items()}
    return {"model": parts[0]["model"], **sums}


def describe_total(models: "Sequence[Mapping[str, Any]]") -> str:
    """The sums, as a table."""
    from snnfuse.report.rows import span
    from snnfuse.report.tables import table

    rows = [(m["model"], *(span(m[name]) for name in ("dynamic_uj", "static_uj", "time_us", "latency_us"))) for m in models]
    return f"all stages, one after the other\n{table(('model', 'dynamic uJ', 'static uJ', 'time us', 'latency us'), rows)}"
