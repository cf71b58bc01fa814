"""Which core goes on which chip, so that few messages cross between chips.

Cores in topological order are cut into consecutive runs, one per chip; of all cuts into as few chips as hold them, dynamic
programming finds the one with least traffic between chips. Then single cores move to, or trade places with, cores of other chips
while that lowers the traffic.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.chip.resources import Resources
from snnfuse.hardware.chip.traffic import Rates, from_host, messages
from snnfuse.hardware.ir.program import Program

SWEEPS = 4
MOST_CANDIDATES = 400  # cores of the highest traffic to other chips that a sweep tries


@dataclass(frozen=True, eq=False)
class Assignment:
    """Cores on chips, and the messages per step between them.

    Attributes:
        chip_of: (cores,) the chip of each core.
        between_cores, between_chips, from_host: messages per step.
        consecutive: between chips, before cores moved.
        measured: whether the rates are those of a run, instead of a spike of every neuron on every step.
    """

    chip_of: NDArray[np.int64]
    between_cores: float
    between_chips: float
    from_host: float
    consecutive: float
    measured: bool

    @property
    def chips(self) -> int:
        """Chips in use."""
        return len(np.unique(self.chip_of))

    def to_json(self) -> dict[str, Any]:
        counts = np.bincount(self.chip_of)
        return {
            "measured": self.measured,
            "messages_per_step": {"between_cores": self.between_cores, "between_chips": self.between_chips, "from_host": self.from_host},
            "chips": [{"chip": chip, "cores": int(n)} for chip, n in enumerate(counts)],
            "chip_of": self.chip_of.tolist(),
        }

    def describe(self) -> str:
        """In a sentence."""
        of = "measured on the given inputs" if self.measured else "if every neuron fired on every step"
        share = self.between_chips / self.between_cores if self.between_cores else 0
        return (
            f"messages per step, {of}: {self.between_cores:.0f} between cores, {share:.1%} of them between {self.chips} chips; "
            f"{self.from_host:.0f} from the host"
        )


def assign(program: Program, resources: Resources, rates: Rates | None = None) -> Assignment:
    """Put cores on chips.

    Args:
        rates: as of `snnfuse.hardware.chip.traffic.spike_rates`; None for a spike of every neuron on every step.
    """
    traffic = messages(program, resources, rates)
    both = (traffic + traffic.T).tolil()
    both.setdiag(0)  # a core's messages to itself cross nothing
    both = both.tocsr()
    size = resources.board.value("cores")
    start = cut(both, size)
    chosen = improve(both, start, size)
    crossing = [_crossing(traffic, chip_of) for chip_of in (start, chosen)]
    return Assignment(chosen, float(traffic.sum()), crossing[1], from_host(program, resources, rates), crossing[0], rates is not None)


def cut(both: sparse.csr_matrix, size: int) -> NDArray[np.int64]:
    """Consecutive cores on as few chips of `size` as hold them, with the least traffic between chips.

    Args:
        both: (cores, cores) symmetric messages per step, in both directions together.
    """
    n = both.shape[0]
    chips = -(-n // size)
    if chips == 1:
        return np.zeros(n, np.int64)
    best = np.full((chips + 1, n + 1), -np.inf)  # traffic inside chips of the first j cores on so many chips
    best[0, 0] = 0
    origin = np.zeros((chips + 1, n + 1), np.int64)
    inside = np.zeros(0)  # inside[i]: of cores first + i .. j - 1
    for j in range(1, n + 1):
        first = max(0, j - size)
        row = both[j - 1, first:j].toarray().ravel()
        joined = np.cumsum(row[::-1])[::-1]
        inside = np.append(inside, 0.0)[-(j - first) :] + joined
        options = best[:-1, first:j] + inside
        where = options.argmax(1)
        best[1:, j], origin[1:, j] = options[np.arange(chips), where], first + where
    return _backwards(origin, chips, n)


def _backwards(origin: NDArray[np.int64], chips: int, n: int) -> NDArray[np.int64]:
    chip_of, end = np.zeros(n, np.int64), n
    for chip in range(chips - 1, -1, -1):
        start = origin[chip + 1, end]
        chip_of[start:end], end = chip, start
    return chip_of


def improve(both: sparse.csr_matrix, chip_of: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Move or swap single cores while that lowers the traffic between chips; deterministic."""
    chips = int(chip_of.max(initial=0)) + 1
    if chips == 1:
        return chip_of
    chip_of = chip_of.copy()
    towards = both @ _members(chip_of, chips)  # (cores, chips): messages of each core with each chip
    for _ in range(SWEEPS):
        gains = towards.max(1) - towards[np.arange(len(chip_of)), chip_of]
        moved = 0
        for core in np.argsort(-gains, kind="stable")[:MOST_CANDIDATES]:
            moved += _move(both, towards, chip_of, int(core), size)
        if not moved:
            break
    return chip_of


def _members(chip_of: NDArray[np.int64], chips: int) -> NDArray[np.float64]:
    return np.eye(chips)[chip_of]


def _move(both: sparse.csr_matrix, towards: NDArray[np.float64], chip_of: NDArray[np.int64], core: int, size: int) -> int:
    """The best move of one core, or trade with a core of the chip it wants, if it gains; whether it did."""
    home = chip_of[core]
    wanted = int(towards[core].argmax())
    gain = towards[core, wanted] - towards[core, home]
    if wanted == home or gain <= 0:
        return 0
    residents = np.flatnonzero(chip_of == wanted)
    if len(residents) < size:
        _put(both, towards, chip_of, core, wanted)
        return 1
    direct = both[core, residents].toarray().ravel()
    trades = gain + towards[residents, home] - towards[residents, wanted] - 2 * direct
    best = int(trades.argmax())
    if trades[best] <= 1e-9 * abs(gain):
        return 0
    _put(both, towards, chip_of, core, wanted)
    _put(both, towards, chip_of, int(residents[best]), int(home))
    return 1


def _put(both: sparse.csr_matrix, towards: NDArray[np.float64], chip_of: NDArray[np.int64], core: int, chip: int) -> None:
    row = both[core]
    towards[row.indices, chip_of[core]] -= row.data
    towards[row.indices, chip] += row.data
    chip_of[core] = chip


def _crossing(traffic: sparse.csr_matrix, chip_of: NDArray[np.int64]) -> float:
    entries = traffic.tocoo()
    return float(entries.data[chip_of[entries.row] != chip_of[entries.col]].sum())
