"""What a program is compiled for, in one object: the integers and neurons that it accepts, its board, and what its bundle holds.

Every target shares the registers of a Program (`snnfuse.hardware.ir.fixed_point`): states of 24 bits, thresholds of 17, biases of 13,
weights of 8 with exponents from -8 to 7. A board may have narrower weights and payloads, and fewer axons; they shape the integers of every
target that is given a board. Only a target that holds resources is also placed on it, and refused where it does not fit.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from snnfuse.hardware.chip import Board, Resources, check_chip, check_tiers, find_board
from snnfuse.hardware.chip.tiers import Tier
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS, WEIGHT_BITS
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.program import Program

BOARD = "oheo-gulch"  # one chip: whose limits hold where no board is named
Part = Literal["program", "resources", "run_on_board.py", "network.net", "stages"]


@dataclass(frozen=True)
class Target:
    """What programs are compiled for.

    Attributes:
        name: what `--target` takes.
        about: what a bundle for it is, in a line.
        holds: what its bundle must hold beside the graph and the report: the integer "program"; the "resources" that it takes of a board;
            "run_on_board.py"; "network.net"; and whether it may hold "stages", which are programs of their own.
        tiers: of the neurons that it runs, as of `snnfuse.hardware.chip.tiers`: A stock, B microcode, C host.
        board: whose limits shape the program; None for those of a single chip.
    """

    name: str
    about: str
    holds: frozenset[Part]
    tiers: tuple[Tier, ...] = ("A", "B", "C")
    board: Board | None = None

    @property
    def limits(self) -> Board:
        """The board, or a single chip where none is named."""
        return self.board or find_board(BOARD)

    @property
    def has_program(self) -> bool:
        """Whether there are integers, or the float graph only."""
        return "program" in self.holds

    @property
    def is_placed(self) -> bool:
        """Whether a program must fit the board."""
        return "resources" in self.holds

    @property
    def resets(self) -> tuple[Reset, ...]:
        """The resets that its neurons may have: without microcode, to zero only."""
        return get_args(Reset) if "B" in self.tiers else ("zero",)

    @property
    def weight_bits(self) -> int:
        """Most bits of a weight, 1..8."""
        return min(WEIGHT_BITS, self.limits.value("weight_bits"))

    @property
    def payload_bits(self) -> int:
        """Most bits of a graded spike with its sign, 2..24."""
        return min(MESSAGE_BITS, self.limits.value("payload_bits"))

    @property
    def stock_only(self) -> "Target":
        """The same without neuron microcode: tier A, and what the host does."""
        return replace(self, tiers=tuple(tier for tier in self.tiers if tier != "B"))

    def place(self, program: Program) -> Resources | None:
        """What a program takes of the board; None for a target that is not placed on one.

        Raises:
            UnsupportedError: neurons of a tier that the target does not run.
            DoesNotFitError: the board cannot hold it, as of `snnfuse.hardware.chip.check_chip`.
        """
        check_tiers(program, self.tiers)
        return check_chip(program, self.limits, tiers=self.tiers) if self.is_placed else None


TARGETS: dict[str, Target] = {}
"""Every target by its name."""


def register_target(target: Target) -> Target:
    """Make a target known by its name, and return it.

    Raises:
        InputError: another has that name.
    """
    if TARGETS.setdefault(target.name, target) != target:
        raise InputError(f"target {target.name!r} is known already, and is another; give it a name of its own")
    return target


def find_target(name: "str | Target", board: Board | str | Path | None = None) -> Target:
    """A target by its name, with a board by name, from a file, or as it is.

    Raises:
        InputError: no such target or board, or an impossible limit in the board's file.
    """
    target = name if isinstance(name, Target) else TARGETS.get(name)
    if target is None:
        raise InputError(f"unknown target {name!r}; there are {', '.join(TARGETS)}")
    if board is not None:
        return replace(target, board=find_board(board))
    return replace(target, board=target.limits) if target.is_placed else target


LOIHI2 = register_target(Target(
    "loihi2", "integers, fitted to the board's limits, and the tier of every neuron",
    frozenset[Part](("program", "resources", "run_on_board.py", "stages")),
))  # fmt: skip
LAVA = register_target(Target("lava", "integers for Lava's simulation", frozenset[Part](("program", "stages"))))
NIR = register_target(Target("nir", "the float graph only", frozenset[Part]()))
NETX = register_target(Target(
    "netx", "integers for lava-dl's netx: network.net, which other targets hold where netx can express it",
    frozenset[Part](("program", "network.net", "stages")), tiers=("A", "C"),
))  # fmt: skip
