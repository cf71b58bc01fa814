"""Boards of Loihi 2 chips, by name or described in a file.

A board file is a JSON object with a name, a number of chips and any limit of `snnfuse.hardware.chip.limits.LIMITS`:

    {"name": "mine", "chips": 2, "neurons": 8192, "axons_in": 4096}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnfuse.hardware.chip.limits import LIMITS, Limit
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.json_fields import read_json, shown

LARGEST = 2**31  # of any number in a board file


@dataclass(frozen=True)
class Board:
    """Chips on one board.

    Attributes:
        name: what `--board` takes.
        chips: how many; of the named ones, press reports.
        overrides: limits by name that differ from `LIMITS`.

    Raises:
        InputError: an unknown limit, or a number that no board can have.
    """

    name: str
    chips: int
    overrides: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"name: a board needs one, not {shown(self.name)}")
        unknown = sorted(set(self.overrides) - set(LIMITS))
        if unknown:
            raise InputError(f"{unknown[0]}: no limit of a board; there are {', '.join(LIMITS)}")
        for name, value in {"chips": self.chips, **self.overrides}.items():
            if type(value) is not int or not 1 <= value <= LARGEST:
                raise InputError(f"{name}: impossible, it must be an integer from 1 to {LARGEST}, not {shown(value)}")

    @property
    def limits(self) -> Mapping[str, Limit]:
        """Every limit, with this board's own numbers."""
        changed = {n: replace(LIMITS[n], value=v, status="assumed", source=f"board {self.name}") for n, v in self.overrides.items()}
        return MappingProxyType({**LIMITS, **changed})

    def value(self, limit: str) -> int:
        """The number behind a limit's name."""
        return self.overrides.get(limit, LIMITS[limit].value)

    @property
    def cores(self) -> int:
        """Cores that a program may use."""
        return self.chips * self.value("cores")

    def scaled(self, limits: tuple[str, ...], factor: float) -> "Board":
        """The same board with some limits multiplied, rounded down but never to 0."""
        return replace(self, overrides={**self.overrides, **{n: max(1, int(self.value(n) * factor)) for n in limits}})

    def to_json(self) -> dict[str, Any]:
        """What a board file would say, and the cores that follow."""
        return {"name": self.name, "chips": self.chips, "cores": self.cores} | ({"limits": dict(self.overrides)} if self.overrides else {})


BOARDS = {board.name: board for board in (Board("oheo-gulch", 1), Board("kapoho-point", 8), Board("hala-point", 1152))}


def find_board(board: Board | str | Path) -> Board:
    """A board by name, or from a file.

    Raises:
        InputError: no such board or file, or a limit in the file is missing or impossible; names it.
    """
    if isinstance(board, Board):
        return board
    if str(board) in BOARDS:
        return BOARDS[str(board)]
    if Path(board).suffix != ".json":
        raise InputError(f"unknown board {str(board)!r}; there are {', '.join(BOARDS)}, or give a file NAME.json")
    return read_board(Path(board))


def read_board(path: Path) -> Board:
    """A board from a JSON file; InputError names the file and the field."""
    record = read_json(path)
    missing = [name for name in ("name", "chips") if name not in record]
    if missing:
        raise InputError(f"{path}: {missing[0]}: missing; a board file holds name, chips and any of {', '.join(LIMITS)}")
    try:
        board = Board(record["name"], record["chips"], {n: v for n, v in record.items() if n not in ("name", "chips")})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if board.name in BOARDS and board != BOARDS[board.name]:
        raise InputError(f"{path}: name: {board.name!r} is the name of another board")
    return board


def board_from_json(record: Any) -> Board:
    """Inverse of `Board.to_json`; InputError for anything else."""
    if not isinstance(record, dict):
        raise InputError(f"board: expected an object, found {shown(record)}")
    limits = record.get("limits", {})
    if not isinstance(limits, dict) or not limits:
        return find_board(str(record.get("name")))
    return Board(record.get("name", ""), record.get("chips", 0), limits)
