"""`snnfuse check`: what would become of a network, layer by layer, without calibrating it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import Console, json_option
from snnfuse.commands.export import L2, LAYOUTS, RESETS, TARGETS, TIERS, warnings_as_lines
from snnfuse.commands.export_inputs import find_shapes, given_samples
from snnfuse.commands.export_options import ExportOptions, check_options
from snnfuse.commands.map import board_option

if TYPE_CHECKING:
    from snnfuse.compile.checking import Check

HEAD = ("layer", "neurons", "meaning", "tier", "status", "cores")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", metavar="MODEL")
@click.option("--target", type=click.Choice(tuple(name for name in TARGETS if name != "nir")), default=TARGETS[0], show_default=True)
@click.option("--calib", type=click.Path(path_type=Path), metavar="FILE", help=".npz with an array (time, batch, ...) per input.")
@click.option("--data", metavar="NAME", help="Take inputs of this data set.")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the data set lies.")
@click.option("--model", "factory", metavar="FILE.py:FACTORY", help="Your own class, for a bare state_dict; or PACKAGE.MODULE:FACTORY.")
@click.option(
    "--sample", multiple=True, metavar="[NAME=]SHAPE", help="Shape of an input in one step, as 1x28x28; inputs are random spikes."
)
@click.option("--time-steps", type=click.IntRange(1), metavar="N", help="Time steps of a forward that loops itself.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="How forward takes time; default: found by tracing it.")
@click.option("--batch-first", is_flag=True, help="The arrays of --calib are (batch, time, ...).")
@click.option("--dt", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Length of a time step; default 1e-4.")
@click.option("--reset", type=click.Choice(RESETS), metavar="RULE", help=f"As if spiking neurons had this reset: {', '.join(RESETS)}.")
@click.option("--l2", type=click.Choice(L2), default=L2[0], show_default=True, help="L2 on every step: a constant, the host, or on chip.")
@board_option
@click.option("--tier", type=click.Choice(TIERS), default=TIERS[1], show_default=True, help="Neurons taken: A, stock ones only, or B.")
@click.option("--allow-pickle", is_flag=True, help="Open a pickled module, which EXECUTES code from the file.")
@json_option
def check(model: str, json_to: str | None, quiet: bool, **given: Any) -> None:
    """Say what would become of MODEL, layer by layer: exact or not and why, tier, and whether it fits.

    MODEL is what `snnfuse-export` takes, or PACKAGE.MODULE:FACTORY, a network with the weights that it is made with. Nothing is
    calibrated and nothing written: a few samples, or random spikes, stand in for calibration data, so that accuracy is not known. Exit
    code 3 and 4 as for an export: the first layer that is not supported, or what does not fit the board.
    """
    options = ExportOptions(Path(model), **given)
    console = Console(json_to, quiet, (options.calib,))
    with console.result() as result:
        with console.step("loading"):
            from snnfuse.compile import open_source
            from snnfuse.compile.checking import check as checked

        with console.step(f"checking {model}"), warnings_as_lines():
            source = open_source(model, model=options.factory, allow_pickle=options.allow_pickle)
            check_options(options, source.kind)
            found = checked(source, given_samples(source, options), options.settings(find_shapes(source, options)), options.find_target())
        result.update(found.to_json())
        console.say(screen(found))


def screen(found: "Check") -> str:
    """What is printed: a row per layer, what changes, and the board."""
    from snnfuse.report.tables import table

    rows = [(row.name, row.neurons, row.decision, row.tier, row.status, "-" if row.cores is None else row.cores) for row in found.layers]
    changes = [f"{row.name}: {row.why}" for row in found.layers if row.why] + list(found.elsewhere)
    lines = [table(HEAD, rows), *changes]
    if found.board:
        lines.append(f"fits: {found.cores} of the {found.of} cores of {found.board}")
    return "\n".join([*lines, f"integers chosen on {found.samples}, to know cores; what they cost is measured by snnfuse-export"])
