"""`snnfuse map`: where a program would go on a board, what if its weights had fewer bits, and the chip's limits."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option, table

if TYPE_CHECKING:
    from snnfuse.hardware import Program
    from snnfuse.hardware.chip import Resources

BOARDS = ("oheo-gulch", "kapoho-point", "hala-point")  # as in snnfuse.hardware.chip, which takes too long to import for --help
RULES = ("lava", "tight")
HEAD = ("layer", "neurons", "synapses", "bytes", "cores", "parts", "axons in", "axons out", "bound by", "at least", "tier")
BOARD_HELP = f"{', '.join(BOARDS)} (1, 8, 1152 chips), or a board file."


def board_option(command: Any) -> Any:
    """--board, as every command that places a program has it."""
    return click.option("--board", default=BOARDS[0], show_default=True, metavar="NAME|FILE.json", help=BOARD_HELP)(command)


@click.command(name="map", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=PATH, metavar="BUNDLE_OR_PROGRAM", required=False)
@board_option
@click.option("--weight-bits", type=click.IntRange(1, 8), default=8, show_default=True, help="As if no weight had more.")
@click.option("--split", type=click.Choice(RULES), default=RULES[0], show_default=True,
              help="lava: as Intel's compiler does; tight: the fewest cores within the limits.")  # fmt: skip
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz of inputs: count the spikes that cross cores and chips.")
@click.option("--limits", is_flag=True, help="Print the page of the documentation: every limit and its source.")
@json_option
def map(model: Path | None, board: str, weight_bits: int, split: str, inputs: Path | None, limits: bool,
         json_to: str | None, quiet: bool) -> None:  # fmt: skip
    """Place BUNDLE_OR_PROGRAM, a bundle or a folder with program.json, on a board: cores per layer and what bounds them.

    Exit code 4 if it does not fit, with what would.
    """
    console = Console(json_to, quiet, (model, inputs))
    with console.result() as result:
        if limits:
            from snnfuse.commands.chip_page import limit_rows, page
            from snnfuse.hardware.chip import find_board

            found = find_board(board)
            result["limits"] = limit_rows(found)
            console.say(page(found).rstrip("\n"))
        elif model is None:
            raise click.UsageError("Missing argument 'BUNDLE_OR_PROGRAM'.")
        else:
            result.update(run_map(model, board, weight_bits, split, inputs, console))


def run_map(model: Path, board: str, bits: int, rule: Any, inputs: Path | None, console: Console) -> dict[str, Any]:
    """Place, print, and return the figures."""
    with console.step("placing"):
        from snnfuse.hardware.chip import Demands, check_chip, find_board, sensitivity
        from snnfuse.hardware.chip.chips import assign

        found = find_board(board)
        program = open_program(model)
        resources = check_chip(program, found, rule, bits)
        demands = Demands(program)
        varied = sensitivity(program, found, bits, rule, demands)
        rates = measured_rates(program, inputs) if inputs else None
        placed = assign(program, resources, rates)
    console.say(describe_resources(resources, program))
    console.say(describe_sensitivity(varied, resources))
    console.say(placed.describe())
    return resources.to_json() | {"weight_bits": bits, "sensitivity": varied, "traffic": placed.to_json()}


def open_program(path: Path) -> "Program":
    """The program of a bundle, or of a folder that holds one."""
    from snnfuse.export.bundle.bundle import is_bundle, read_bundle
    from snnfuse.hardware.errors import InputError
    from snnfuse.hardware.ir.storage import JSON_FILE, load_program

    folder = path.parent if path.name == JSON_FILE else path
    if is_bundle(folder):
        return read_bundle(folder).program
    if not (folder / JSON_FILE).exists():
        raise InputError(f"{path}: neither a bundle nor a folder with a {JSON_FILE}")
    return load_program(folder)


def measured_rates(program: "Program", inputs: Path) -> "Mapping[str, Any]":
    """Spikes per step of every neuron, and of every input, on the samples of a file."""
    from snnfuse.data.samples import read_samples
    from snnfuse.hardware import emulate
    from snnfuse.hardware.chip.traffic import spike_rates

    samples = read_samples(inputs).named(tuple(program.inputs))
    return spike_rates(program, emulate(program, program.encode(samples.inputs), record="all"))


def describe_resources(resources: "Resources", program: "Program") -> str:
    """The table of cores, the totals, and how sure the limits are."""
    from snnfuse.hardware.chip import READOUT, placement, tier

    board = resources.board
    rows: list[tuple[object, ...]] = [
        (a.name, a.neurons, a.synapses, a.memory, a.cores, a.parts, a.axons_in, a.axons_out, board.limits[a.bound_by].what, a.least, a.tier)
        for a in resources.layers
    ]
    outside = [f"{name} ({placement(node).what}): {tier(node)}" for name, node in program.inputs.items()]
    outside += [f"{name} ({output.decoder.replace('_', ' ')}): {READOUT}" for name, output in program.outputs.items()]
    used = [board.limits[name] for name in ("cores", "neurons", "synapse_words")]
    return "\n".join(
        [
            table(HEAD, rows),
            f"tier of inputs and readouts: {', '.join(outside)}",
            f"{resources.cores} of the {board.cores} cores of {board.name}, {resources.chips} of its {board.chips} chips, "
            f"split {describe_rule(resources)}; no split needs fewer than {resources.least}",
            f"limits: {'; '.join(f'{limit}: {limit.source}' for limit in used)}; all of them: snnfuse map --limits",
            "modelled: no board was available",
        ]
    )


def describe_rule(resources: "Resources") -> str:
    """How layers were split, in words."""
    return "as Intel's compiler does" if resources.rule == "lava" else "as tightly as the limits allow"


def describe_sensitivity(varied: Mapping[str, int | None], resources: "Resources") -> str:
    """Cores if the limits were others."""
    cores = ", ".join(f"{name}: {'does not fit' if n is None else n}" for name, n in varied.items())
    return f"cores if a limit were different (now {resources.cores}): {cores}"

