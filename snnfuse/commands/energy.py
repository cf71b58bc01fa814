"""`snnfuse energy`: what an inference of a bundle's program costs on a chip, modelled from the spikes of real inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware.energy import Energy, Range


@click.command()
@click.argument("bundle", type=PATH)
@click.option(
    "--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input; default: golden/."
)
@click.option("--board", default="oheo-gulch", show_default=True, metavar="NAME|FILE", help="That the layers are placed on.")
@click.option("--neurobench", is_flag=True, help="Let the neurobench package compute its metrics too (extra: neurobench).")
@json_option
def energy(bundle: Path, inputs: Path | None, board: str, neurobench: bool, json_to: str | None, quiet: bool) -> None:
    """Energy and time of an inference of BUNDLE's program: modelled, not measured; no board was available.

    Operations, updates and messages are counted on the spikes of every layer. Two models turn them into ranges: the constants of
    Loihi 1's operations, and a calibration on one published run of Loihi 2.
    """
    console = Console(json_to, quiet, (bundle, inputs))
    with console.result() as result:
        result.update(run_energy(bundle, inputs, board, neurobench, console))


def run_energy(path: Path, inputs: Path | None, board: str, neurobench: bool, console: Console) -> dict[str, Any]:
    """Count, estimate and print; returns the figures."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.hardware.energy import estimate_energy

    bundle = read_bundle(path)
    events = find_events(bundle, inputs)
    with console.step("counting spikes"):
        found = estimate_energy(bundle.program, events, board)
    console.say(describe(found))
    figures = found.to_json() | {"input": str(inputs) if inputs else "golden"}
    if neurobench:
        from snnfuse.measures.neurobench import run_neurobench

        with console.step("running neurobench"):
            figures["neurobench_package"] = run_neurobench(bundle.program, events)
        console.say(f"neurobench package: {describe_metrics(figures['neurobench_package'])}")
    return figures


def find_events(bundle: "Bundle", inputs: Path | None) -> "dict[str, NDArray]":
    """The encoded inputs of a file, or the golden ones."""
    from snnfuse.data.samples import read_samples

    if inputs is None:
        return bundle.events
    program = bundle.program
    return program.encode(read_samples(inputs).named(tuple(program.inputs)).inputs)


def describe(found: "Energy") -> str:
    """Tables of layers, inputs and models, each a range."""
    from snnfuse.hardware.energy import MODELLED, cpu_uj, macs

    activity, (first, second) = found.activity, found.models
    rows = [
        (a.name, a.tier, a.cores, a.updates, f"{a.spikes:.0f}", f"{_operations(found, a.name):.0f}", span(first.layers[a.name]),
         span(second.layers[a.name]))
        for a in activity.populations
    ]  # fmt: skip
    head = ("layer", "tier", "cores", "updates", "spikes", "operations", f"uJ, {first.model}", f"uJ, {second.model}")
    caused = [(name, span(first.inputs[name]), span(second.inputs[name])) for name in activity.origins]
    totals = [
        (m.model, span(m.dynamic_uj), span(m.static_uj) if m.static_uj else "not known", span(m.time_us), span(m.latency_us))
        for m in found.models
    ]
    lines = [
        f"{MODELLED}. One inference: {activity.steps} steps, mean of {activity.samples} samples, {activity.cores} cores",
        table(head, rows),
        "dynamic energy by the input whose spikes cause it",
        table(("input", *head[-2:]), caused),
        table(("model", "dynamic uJ", "static uJ", "time us", "latency us"), totals),
        f"CPU, float32: {macs(activity)} multiply-accumulates, {span(cpu_uj(activity))} uJ",
        f"NeuroBench's metrics: {describe_metrics(found.metrics.to_json())}",
    ]
    return "\n".join(lines)


def _operations(found: "Energy", layer: str) -> float:
    return sum(link.operations for link in found.activity.links if link.target == layer)


def span(values: "Range") -> str:
    """Both bounds, to three digits."""
    return f"{values[0]:.3g} to {values[1]:.3g}"


def describe_metrics(metrics: dict[str, Any]) -> str:
    """In a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in metrics.items())
