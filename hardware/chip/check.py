"""Does a program run on a board? Its neurons' tiers and its cores, checked above what counts them and what words a refusal."""

from collections.abc import Collection, Mapping
from pathlib import Path

from snnfuse.hardware.chip.boards import Board, find_board
from snnfuse.hardware.chip.refusals import board_is_full, needs_microcode
from snnfuse.hardware.chip.resources import Resources, count
from snnfuse.hardware.chip.splitting import Rule
from snnfuse.hardware.chip.tiers import Tier, tier
from snnfuse.hardware.errors import DoesNotFitError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.program import Program

RUN: tuple[Tier, ...] = ("A", "B", "C")


def check_chip(
    program: Program,
    board: Board | str | Path = "oheo-gulch",
    rule: Rule = "lava",
    bits: int = WEIGHT_BITS,
    tiers: Collection[Tier] = RUN,
) -> Resources:
    """Return what a program takes of a board that can run and hold it.

    Args:
        program: what to place.
        board: a board, its name, or a board file.
        rule: how layers are split.
        bits: count as if no weight had more.
        tiers: that its neurons may be of; ("A", "C") for stock neurons, and those of the host.

    Raises:
        UnsupportedError: neurons of another tier; names them.
        DoesNotFitError: a layer that no split fits, or more cores than the board has; names the layer, its limit, by how much it is
            exceeded, and what would fit.
        InputError: no such board, or an impossible limit in its file.
    """
    check_tiers(program, tiers)
    resources = count(program, find_board(board), bits, rule)
    if not resources.fits:
        raise DoesNotFitError(board_is_full(program, resources, bits))
    return resources


def check_tiers(program: Program, tiers: Collection[Tier]) -> None:
    """UnsupportedError, naming them, for neurons of another tier."""
    refuse({name: _kind(node) for name, node in program.neurons.items() if tier(node) not in tiers})


def refuse(microcode: Mapping[str, str]) -> None:
    """UnsupportedError for neurons that need microcode, by name and kind, where there are any."""
    if microcode:
        raise UnsupportedError(needs_microcode(microcode))


def _kind(node: Neuron) -> str:
    return node.custom_reset or type(node).__name__
