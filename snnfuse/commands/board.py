"""`snnfuse board`, which a bundle's run_on_board.py calls: golden inputs on a Loihi 2 board, or on the CPU where there is none."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware.backends.board import BoardCheck


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--partition", metavar="NAME", help="Slurm partition with boards.")
@click.option("--board", metavar="NAME", help="Slurm node of one board.")
@click.option("--ethernet", metavar="ADDRESS", help="Host of a board on the network, without Slurm.")
@click.option("--generation", metavar="NAME", help="Of the chip, as N3B3 or N3C1; default: Lava's.")
@click.option("--input-delay", type=click.IntRange(0), default=0, show_default=True, help="Steps that spikes take to the chip.")
@click.option("--output-delay", type=click.IntRange(0), default=0, show_default=True, help="Steps that spikes take back.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest that it may take.")
@click.option(
    "--row", type=PATH, metavar="FILE", help="What Lava's profilers measured, beside the prediction.  [default: BUNDLE-row.json, here]"
)
@json_option
def board(bundle: Path, timeout: float | None, row: Path | None, json_to: str | None, quiet: bool, **where: Any) -> int:
    """Run BUNDLE's golden inputs on a Loihi 2 board and compare every spike that comes back.

    Needs lava-loihi, Intel's package for members of its research community. Without it the CPU runs in its place, which is said. With it,
    Lava's profilers measure time, power and activity, and a file says so beside the prediction: a row for the table of published runs. This
    command was written without a board and has never run on one: it is tested with a stand-in.
    """
    from snnfuse.hardware.errors import VerificationError

    console = Console(json_to, quiet, (bundle,))
    with console.result() as result:
        result.update(run_board(bundle, timeout, where, console))
        write_row(bundle, result, row, console)
    console.say("EQUAL" if result["equal"] else "DIFFERENT")
    return 0 if result["equal"] else VerificationError.exit_code


def run_board(path: Path, timeout: float | None, where: dict[str, Any], console: Console) -> dict[str, Any]:
    """Check the bundle, run every stage, compare, print; returns the figures, of several stages of all together and of each."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.export.bundle.consistency import check_consistency
    from snnfuse.hardware.backends.board import Host, check_on_board

    host, bundle = Host(**where), read_bundle(path)
    check_consistency(bundle)
    for check in bundle.lacks:
        console.say(f"of format version {bundle.manifest['format_version']}, of which this is not checked: {check}")
    found = []
    for number, stage in enumerate(bundle.stages, 1):
        if bundle.is_staged:
            console.say(f"stage {number} of {len(bundle.stages)}")
        with console.step("running golden inputs"):
            check = check_on_board(stage.program, stage.events, stage.golden, host, timeout)
        found.append(figures(check) | measured(stage, check))
        console.say(describe(check))
        if check.measured:
            console.say(beside(found[-1]))
    if not bundle.is_staged:
        return found[0]
    totals = {name: sum(each[name] for each in found) for name in ("compared", "mismatches")}
    return {"equal": all(each["equal"] for each in found), **totals, "stages": found}


def measured(stage: "Bundle", check: "BoardCheck") -> dict[str, Any]:
    """What profilers measured, and what was predicted for a network that a host feeds on every step; nothing without profilers."""
    if not check.measured:
        return {}
    from snnfuse.hardware.energy import estimate_energy
    from snnfuse.hardware.energy.models import FREE, HOST_EVERY

    found = estimate_energy(stage.program, stage.events)
    steps, models = found.activity.steps, {model.model: model for model in found.models}
    predicted = {
        name: {"step_us": models[name].median["time_us"] / steps, "step_us_interval": [end / steps for end in models[name].time_us],
               "total_w": models[name].median["total_uj"] / models[name].median["time_us"]}
        for name in (HOST_EVERY, FREE)
    }  # fmt: skip
    network = {name: list(node.shape) for name, node in stage.program.nodes.items()}
    return {"measured": list(check.measured), "predicted": predicted, "network": network, "cores": found.activity.cores, "steps": steps}


def beside(found: "Mapping[str, Any]") -> str:
    """Measured and predicted, as a table."""
    from snnfuse.report.tables import table

    runs = [(f"measured ({run['profilers']})", run.get("step_us"), run.get("total_w")) for run in found["measured"]]
    runs += [(f"predicted, {name}", of["step_us"], of["total_w"]) for name, of in found["predicted"].items()]
    return table(("", "us per step", "W"), [(what, *("-" if x is None else f"{x:.4g}" for x in each)) for what, *each in runs])


def write_row(bundle: Path, result: dict[str, Any], row: Path | None, console: Console) -> None:
    """Write what was measured into a file of its own, where anything was."""
    import json

    from snnfuse.hardware.files import check_output_file, write_whole

    stages = [each for each in result.get("stages", [result]) if each.get("measured")]
    if not stages:
        return
    path = row or Path(f"{bundle.resolve().name}-row.json")
    check_output_file(path, (bundle,))
    write_whole(
        path, (json.dumps({"format": "snnfuse board row", "bundle": bundle.resolve().name, "stages": stages}, indent=2) + "\n").encode()
    )
    console.say(f"{path}: what was measured, beside the prediction; a row for the table of published runs")


def figures(check: "BoardCheck") -> dict[str, Any]:
    """A check, JSON-able."""
    compared, wrong = check.comparison.by_variable["spikes"]
    first = None if check.comparison.first is None else str(check.comparison.first)
    found = {"backend": check.backend, "on_board": check.on_board, "about": check.about, "equal": check.comparison.mismatches == 0}
    return found | {"nodes": list(check.nodes), "compared": compared, "mismatches": wrong, "first": first}


def describe(check: "BoardCheck") -> str:
    """The same for a person."""
    compared, wrong = check.comparison.by_variable["spikes"]
    said = f"{check.about}\n{check.backend}: {wrong} of {compared} spikes of {', '.join(check.nodes)} differ"
    return said if check.comparison.first is None else f"{said}\n  first: {check.comparison.first}"
