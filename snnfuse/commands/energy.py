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
@click.argument("bundle", type=PATH, required=False)
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input; default: golden/.")
@click.option("--board", default="oheo-gulch", show_default=True, metavar="NAME|FILE", help="That the layers are placed on.")
@click.option("--neurobench", is_flag=True, help="Let the neurobench package compute its metrics too (extra: neurobench).")
@click.option("--constants", is_flag=True, help="Print every constant of the models, with its status and source.")
@json_option
def energy(json_to: str | None, quiet: bool, constants: bool, **given: Any) -> None:
    """Energy and time of an inference of BUNDLE's program: modelled, not measured; no board was available.

    Operations, updates and messages are counted on the spikes of every layer, step by step. Constants fitted to published runs of Loihi 2
    turn them into one figure with an interval for each regime: free-running, and fed by a host. Loihi 1's silicon is a second opinion.
    """
    options = EnergyOptions(**given)
    console = Console(json_to, quiet, (options.bundle, options.inputs))
    with console.result() as result:
        if constants:
            result["constants"] = print_constants(console)
        elif options.bundle is None:
            raise click.UsageError("Missing argument 'BUNDLE'.")
        else:
            result.update(run_energy(options.bundle, options, console))


@dataclass(frozen=True)
class EnergyOptions:
    """The command line."""

    bundle: Path | None
    inputs: Path | None
    board: str
    neurobench: bool


def print_constants(console: Console) -> dict[str, Any]:
    """Print the catalogue; returns it by group and name."""
    from snnfuse.hardware.energy import CATALOGUE
    from snnfuse.report.tables import table

    every = [(group, name, constant) for group, constants in CATALOGUE.items() for name, constant in constants.items()]
    rows = [(group, name, f"{c.value:g} {c.unit}".strip(), c.status, c.what, c.source) for group, name, c in every]
    console.say(table(("group", "name", "value", "status", "what", "source"), rows))
    return {group: {name: constant.to_json() for name, constant in constants.items()} for group, constants in CATALOGUE.items()}


def run_energy(path: Path, options: EnergyOptions, console: Console) -> dict[str, Any]:
    """Count, estimate and print every stage; returns the figures."""
    from snnfuse.export.bundle.bundle import read_bundle

    bundle = read_bundle(path)
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
    figures["measured_here"] = here = measure_here(program, events)
    console.say(f"measured here, the emulator on one thread of this CPU ({here['processor']}): {here['us']:.4g} us an inference")
    if options.neurobench:
        from snnfuse.measures.neurobench import run_neurobench

        with console.step("running neurobench"):
            figures["neurobench_package"] = run_neurobench(program, events)
        console.say(f"neurobench package: {in_a_line(figures['neurobench_package'])}")
    return figures


def measure_here(program: "Program", events: "Mapping[str, NDArray]") -> dict[str, Any]:
    """Microseconds of an inference on this machine's CPU: the emulator, second of two runs of all samples, divided by their number."""
    import platform
    import time

    from snnfuse.hardware import emulate

    emulate(program, events, threads=1)  # compiles what is not compiled yet
    start = time.perf_counter()
    emulate(program, events, threads=1)
    seconds = time.perf_counter() - start
    samples = max((array.shape[1] for array in events.values()), default=1)
    return {"us": 1e6 * seconds / max(1, samples), "processor": platform.processor() or platform.machine(), "threads": 1}


SUMMED = ("dynamic_uj", "static_uj", "total_uj", "time_us", "latency_us")


def total(parts: "Sequence[Mapping[str, Any]]") -> dict[str, Any]:
    """One model's figures for stages that run one after the other; None where one of them is not known."""
    known = {name: [part[name] for part in parts] for name in SUMMED}
    sums = {name: None if None in spans else [sum(ends) for ends in zip(*spans)] for name, spans in known.items()}
    median = {name: sum(part["median"][name] for part in parts) for name in parts[0]["median"]}
    return {"model": parts[0]["model"], "median": median, **sums}


def describe_total(models: "Sequence[Mapping[str, Any]]") -> str:
    """The sums, as a table."""
    from snnfuse.report.rows import around
    from snnfuse.report.tables import table

    rows = [(m["model"], *(around(m, name) for name in ("total_uj", "time_us", "latency_us"))) for m in models]
    return f"all stages, one after the other\n{table(('model', 'uJ in all', 'time us', 'latency us'), rows)}"
