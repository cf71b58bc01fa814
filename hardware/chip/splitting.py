"""Dividing a layer among cores. Cores hold neurons of one layer only, as in every published partition.

Two rules:

`lava`   what Intel's compiler does, read off its published logs. A convolution is cut along its width into columns of a power of
         two, as wide as fits, that keep every row and channel; other layers into equal parts, at first as many as their
         synapses need cores, then twice as many until every part fits. Where one column is too much, it is cut into rows, and where the
         kernel is, into groups of channels. It reproduces the 74, 61 and 574 cores of PilotNet and YOLO-KP.
`tight`  what the limits allow: the fewest cores that this search finds. A convolution is cut into groups of channels times runs of
         positions, whichever pair takes fewest cores, and fewest groups among equals, for each costs its sources a message; other
         layers into equal parts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.layers import Demand
from snnfuse.hardware.chip.packing import Words

Rule = Literal["lava", "tight"]


@dataclass(frozen=True, eq=False)
class Split:
    """A layer divided among cores; core g * runs + r holds group g of the channels at the positions of run r.

    Attributes:
        channel_of: (channels,) group of each channel.
        run_of: (positions,) run of each position.
    """

    channel_of: NDArray[np.int64]
    run_of: NDArray[np.int64]

    @property
    def groups(self) -> int:
        return int(self.channel_of[-1]) + 1

    @property
    def runs(self) -> int:
        return int(self.run_of.max()) + 1

    @property
    def cores(self) -> int:
        return self.groups * self.runs

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(neurons,) core of each neuron, in C order."""
        return (self.channel_of[:, None] * self.runs + self.run_of).ravel()

    @property
    def channels(self) -> int:
        """On the core with most."""
        return int(np.bincount(self.channel_of).max())

    @property
    def neurons(self) -> int:
        """On the core with most."""
        return self.channels * int(np.bincount(self.run_of).max())

    def __str__(self) -> str:
        return f"{self.groups} x {self.runs}" if len(self.run_of) > 1 else str(self.groups)


@dataclass(frozen=True)
class Load:
    """The fullest core of a split layer, and all of them together.

    Attributes:
        neurons, words, axons_in: of the fullest core, each.
        all_words: of all cores.
    """

    neurons: int
    words: int
    axons_in: int
    all_words: int

    def exceeded(self, demand: Demand, board: Board) -> Iterator[str]:
        """Limits that the fullest core breaks."""
        yield from (limit for limit, room in demand.room(board).items() if self.neurons > room)
        yield from (limit for limit, held in (("synapse_words", self.words), ("axons_in", self.axons_in)) if held > board.value(limit))


def even(size: int, parts: int) -> NDArray[np.int64]:
    """Which of so many nearly equal runs each of `size` neighbours belongs to; parts <= size."""
    return np.arange(size) * parts // size


def load(demand: Demand, split: Split, board: Board) -> Load:
    """What a split puts on its cores."""
    words = Words.of(board)
    kernel = demand.kernels(words, split.channels)
    stored, axons = np.full(split.cores, kernel), np.zeros(split.cores, np.int64)
    for entries in demand.lists:
        more, arriving = entries.loads(words, split.labels, split.cores)
        stored, axons = stored + more, axons + arriving
    return Load(split.neurons, int(stored.max()), int(axons.max()), int(stored.sum()))


def split(demand: Demand, board: Board, rule: Rule) -> tuple[Split, Load] | None:
    """Divide a layer; None where not even a neuron on its own fits."""
    if demand.is_image:
        if rule == "tight":
            return _cheapest(demand, board)
        columns = list(_columns(demand, board))
        return _first(demand, board, len(columns), columns.__getitem__)
    return (_doubled if rule == "lava" else _fewest)(demand, board)


def _columns(demand: Demand, board: Board) -> Iterator[Split]:
    """Columns of a power of two, then half as many rows, then half as many channels."""
    channels, height, width = demand.shape
    room = min(demand.room(board).values())
    groups = 1
    while groups <= channels:
        held, rows, columns = -(-channels // groups), height, 1 << (width - 1).bit_length()
        while columns > 1 and columns * rows * held > room:
            columns //= 2
        while rows > 1 and rows * held > room:
            rows = -(-rows // 2)
        across = -(-width // columns)
        run_of = (np.arange(height)[:, None] // rows * across + np.arange(width) // columns).ravel()
        yield Split(even(channels, groups), run_of)
        groups = groups * 2 if groups == channels else min(groups * 2, channels)


def _cheapest(demand: Demand, board: Board) -> tuple[Split, Load] | None:
    """Groups of channels times runs of positions, the cheapest pair that fits; by steps of a quarter and bisection where synapses are
    listed, whose words only counting tells.
    """
    room, memory = min(demand.room(board).values()), board.value("synapse_words")
    words, options = Words.of(board), []
    for groups in _counts(demand.channels):
        held = -(-demand.channels // groups)
        if room >= held and demand.kernels(words, held) <= memory:
            fewest = -(-demand.positions // (room // held))
            most = demand.positions if demand.lists else fewest
            options += [(groups * runs, groups, runs) for runs in range(fewest, most + 1)]
    pairs = _one_each(options)

    def made(place: int) -> Split:  # a split is as large as the plane, and of hundreds of thousands a few dozen are tried
        _, groups, runs = pairs[place]
        return Split(even(demand.channels, groups), even(demand.positions, runs))

    return _first(demand, board, len(pairs), made)


def _one_each(options: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """For each number of cores the pair with fewest groups, fewest cores first."""
    best: dict[int, tuple[int, int, int]] = {}
    for option in sorted(options):
        best.setdefault(option[0], option)
    return list(best.values())


def _first(demand: Demand, board: Board, options: int, split_at: Callable[[int], Split]) -> tuple[Split, Load] | None:
    """The first of so many ever smaller parts that fits."""

    def tried(place: int) -> tuple[bool, tuple[Split, Load]]:
        chosen = split_at(place)
        held = load(demand, chosen, board)
        return not any(held.exceeded(demand, board)), (chosen, held)

    fails, place = -1, 0
    fits, found = tried(place) if options else (False, None)
    while not fits:
        if place >= options - 1:
            return None
        fails, place = place, min(place + max(1, (place + 1) // 4), options - 1)
        fits, found = tried(place)
    while place - fails > 1:
        middle = (fails + place) // 2
        fits, held = tried(middle)
        fails, place, found = (fails, middle, held) if fits else (middle, place, found)
    return found


def _counts(channels: int) -> list[int]:
    """Numbers of groups worth trying: for each size of the largest group, the fewest groups."""
    return sorted({-(-channels // held) for held in range(1, channels + 1)})


def _flat(demand: Demand, board: Board, parts: int) -> tuple[Split, Load]:
    chosen = Split(even(demand.neurons, parts), np.zeros(1, np.int64))
    return chosen, load(demand, chosen, board)


def _start(demand: Demand, board: Board) -> int:
    """Cores for the neurons alone."""
    return min(demand.neurons, -(-demand.neurons // max(1, min(demand.room(board).values()))))


def _doubled(demand: Demand, board: Board) -> tuple[Split, Load] | None:
    parts = max(_start(demand, board), -(-_flat(demand, board, 1)[1].words // board.value("synapse_words")))
    return _search(demand, board, min(parts, demand.neurons), lambda n: 2 * n)[1]


def _fewest(demand: Demand, board: Board) -> tuple[Split, Load] | None:
    """The fewest equal parts that fit, by steps of a quarter and bisection."""
    fails, found = _search(demand, board, _start(demand, board), lambda n: n + max(1, n // 4))
    while found is not None and found[0].cores - fails > 1:
        middle = (fails + found[0].cores) // 2
        tried = _flat(demand, board, middle)
        if any(tried[1].exceeded(demand, board)):
            fails = middle
        else:
            found = tried
    return found


def _search(demand: Demand, board: Board, parts: int, grow: Callable[[int], int]) -> tuple[int, tuple[Split, Load] | None]:
    """(the last number of parts that did not fit, the first that did)."""
    fails = parts - 1
    while True:
        tried = _flat(demand, board, parts)
        if not any(tried[1].exceeded(demand, board)):
            return fails, tried
        if parts == demand.neurons:
            return parts, None
        fails, parts = parts, min(grow(parts), demand.neurons)
