"""The chip: its limits, the boards, how a program is placed on them, and what each layer takes."""

from snnfuse.hardware.chip.boards import BOARDS, Board, board_from_json, find_board, read_board
from snnfuse.hardware.chip.check import check_chip, check_tiers
from snnfuse.hardware.chip.layers import Demands
from snnfuse.hardware.chip.limits import LIMITS, LOIHI1, Limit
from snnfuse.hardware.chip.resources import Layer, Resources, count, sensitivity
from snnfuse.hardware.chip.tiers import NODES, READOUT, Placement, status, statuses, tier, tiers

__all__ = [
    "BOARDS",
    "LIMITS",
    "LOIHI1",
    "NODES",
    "Board",
    "Demands",
    "Layer",
    "Limit",
    "READOUT",
    "Placement",
    "Resources",
    "board_from_json",
    "check_chip",
    "check_tiers",
    "count",
    "find_board",
    "read_board",
    "sensitivity",
    "status",
    "statuses",
    "tier",
    "tiers",
]
