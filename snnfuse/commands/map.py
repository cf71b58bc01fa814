"""`snnfuse map`: where a program would go on a board, what if its weights had fewer bits, and the chip's limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.running import events_by_stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snnfuse.hardware import Pipeline, Program
    from snnfuse.hardware.chip import Board

BOARDS = ("oheo-gulch", "kapoho-point", "hala-point")  # as in snnfuse.hardware.chip, which takes too long to import for --help
RULES = ("lava", "tight")
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
@click.option(
    "--balance", is_flag=True, help="Divide the layers of the busiest cores over the board's free cores; print the gain in step time."
)
@click.option("--limits", is_flag=True, help="Print the page of the documentation: every limit and its source.")
@json_option
def map(limits: bool, json_to: str | None, quiet: bool, **given: Any) -> None:
    """Place BUNDLE_OR_PROGRAM, a bundle, a folder with program.json or a .net file, on a board: cores per layer and what bounds them.

    Exit code 4 if it does not fit, with what would.
    """
    options = MapOptions(**given)
    console = Console(json_to, quiet, (options.model, options.inputs))
    with console.result() as result:
        if limits:
            from snnfuse.commands.chip_page import limit_rows, page
            from snnfuse.hardware.chip import find_board

            found = find_board(options.board)
            result["limits"] = limit_rows(found)
            console.page(page(found).rstrip("\n"))
        elif options.model is None:
            raise click.UsageError("Missing argument 'BUNDLE_OR_PROGRAM'.")
        else:
            result.update(run_map(options.model, options, console))


@dataclass(frozen=True)
class MapOptions:
    """The command line."""

    model: Path | None
    board: str
    weight_bits: int
    split: Any
    inputs: Path | None
    balance: bool


def run_map(model: Path, options: MapOptions, console: Console) -> dict[str, Any]:
    """Place every stage, print, and return the figures."""
    from snnfuse.hardware.chip import find_board

    pipeline, board = open_pipeline(model), find_board(options.board)
    stages = len(pipeline.programs)
    fed = events_by_stage(pipeline, options.inputs) if options.inputs else [None] * stages
    found = []
    for number, (program, events) in enumerate(zip(pipeline.programs, fed), 1):
        if stages > 1:
            console.say(f"stage {number} of {stages}")
        found.append(place_program(program, board, options, events, console))
    if stages == 1:
        return found[0]
    cores = [each["cores"] for each in found]
    console.say(f"all stages: {sum(cores)} cores at once; {max(cores)} where the board is loaded anew for each, for they run in turn")
    return {"cores": {"at_once": sum(cores), "in_turn": max(cores)}, "stages": found}


def place_program(
    program: "Program", board: "Board", options: MapOptions, events: "Mapping[str, NDArray] | None", console: Console
) -> dict[str, Any]:
    """Place one program and print where it goes; returns the figures."""
    with console.step("placing"):
        from snnfuse.export.bundle.compiled import Stage
        from snnfuse.hardware import emulate
        from snnfuse.hardware.chip import Demands, check_chip, sensitivity
        from snnfuse.hardware.chip.chips import assign
        from snnfuse.hardware.chip.traffic import spike_rates
        from snnfuse.hardware.energy.placed_time import balance, step_load
        from snnfuse.report.sections import cores
        from snnfuse.report.text import show

        bits, rule = options.weight_bits, options.split
        resources = check_chip(program, board, rule, bits)
        fits, varied = resources.cores, sensitivity(program, board, bits, rule, Demands(program))
        rates = None if events is None else spike_rates(program, emulate(program, events, record="all"))
        before = step_load(program, resources, rates)
        gain: dict[str, Any] = {}
        said = before.describe()
        if options.balance:
            resources, after = balance(program, resources, rates, bits)
            gain = {"balanced": {"before": before.to_json(), "after": after.to_json(), "gain": before.us / after.us}}
            said += f"\nbalanced: {after.describe()}; {before.us / after.us:.3g} times as fast"
        placed = assign(program, resources, rates)
    section = cores(Stage(None, program, resources=resources).to_json())
    assert section is not None
    console.say(show(section))
    console.say(describe_sensitivity(varied, fits))
    console.say(placed.describe())
    console.say(said)
    found = {"weight_bits": bits, "sensitivity": varied, "traffic": placed.to_json(), "step": before.to_json()}
    return resources.to_json() | found | gain


def open_pipeline(path: Path) -> "Pipeline":
    """The programs of a bundle, or the one of a folder that holds it, or of a netx file."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.export.bundle.manifest import MANIFEST
    from snnfuse.hardware.errors import InputError
    from snnfuse.hardware.ir.pipeline import as_pipeline
    from snnfuse.hardware.ir.storage import JSON_FILE, load_program
    from snnfuse.hardware.reading import reading

    if path.suffix == ".net":
        from snnfuse.export.netx import open_net

        return as_pipeline(open_net(path)[0])
    folder = path.parent if path.name == JSON_FILE else path
    if os.path.lexists(folder / MANIFEST):
        return read_bundle(folder).pipeline
    if not (folder / JSON_FILE).exists():
        raise InputError(f"{path}: neither a bundle nor a folder with a {JSON_FILE}")
    with reading(folder):
        return as_pipeline(load_program(folder))


def describe_sensitivity(varied: Mapping[str, int | None], now: int) -> str:
    """Cores if the limits were others."""
    cores = ", ".join(f"{name}: {'does not fit' if n is None else n}" for name, n in varied.items())
    return f"cores if a limit were different (now {now}): {cores}"
