"""A data set of several modalities: pools of items, and the pairs that are drawn from them.

The items of each modality are kept apart because one may stand in many pairs. A split is made of items, never of pairs, so that no
item is ever on both sides; where items belong together (one speaker, one source recording), a split keeps their groups whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.settings import Settings
from snnfuse.data.signals import Signal
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.shown import Summarised, Summary

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Pool(Summarised):
    """The items of one modality.

    Attributes:
        items: (items, *shape), the same on every time step, or (items, time, *shape) where `timed`; float32, or integers (uint8 for
            images, to save memory), of which one unit is worth `scale`, and 0 is worth `offset`.
        labels: int64 (items,), class of each item.
        timed: whether the items' first axis is time.
        scale, offset: value of one unit of `items`, and of 0; numbers, or arrays that broadcast with an item, such as one for each channel.
        groups: int64 (items,), what must stay on one side of a split; None: every item for itself.
        signal: what the values are.
    """

    items: NDArray
    labels: Ints
    timed: bool = False
    scale: float | Floats = 1.0
    groups: Ints | None = None
    signal: Signal = Signal()
    offset: float | Floats = 0.0

    def __post_init__(self) -> None:
        if len(self.items) != len(self.labels) or (self.groups is not None and len(self.groups) != len(self.labels)):
            raise InputError(f"a pool of {len(self.items)} items has {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item on one time step."""
        return self.items.shape[1 + self.timed :]

    def read(self, select: Ints | slice = slice(None)) -> Floats:
        """The values of some items, float32 (items, [time,] *shape)."""
        items = self.items[select]
        if items.dtype != np.float32 or np.any(self.scale != 1):
            items = items.astype(np.float32) * np.asarray(self.scale, np.float32)
        return items + np.asarray(self.offset, np.float32) if np.any(self.offset != 0) else items

    def summary(self) -> Summary:
        """How many items of which shape, and classes."""
        shape = " x ".join(map(str, self.items.shape))
        return Summary(f"Pool of {len(self)} items, {shape} {self.items.dtype}, {len(np.unique(self.labels))} classes")

    def part(self, select: NDArray[np.bool_]) -> "Pool":
        """Select items by a mask or index, along the first axis of every array. Returns: a pool of those items."""
        groups = None if self.groups is None else self.groups[select]
        return replace(self, items=self.items[select], labels=self.labels[select], groups=groups)


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(Summarised):
    """One side of a split.

    Attributes:
        pools: by modality, named as the networks' arguments: "image", "audio", or one of them alone.
        index: int64 (pairs, modalities), each row an item of each pool, all of the same class; columns in the order of `pools`.
        time: time steps of a sample.
        is_fixed: whether the pairs are given (image and sound of one recording), so that they must not be drawn anew.
        encoding: how values become inputs over time.
        rounds: in how many pairs each item of the first pool stands where they are drawn.
        copies: by modality, how many items in a row are the same one, changed at random when they were read; each epoch takes one of them.

    Raises:
        InputError: a pair joins two classes, a timed pool has another number of steps, or a pool cannot be encoded so.
    """

    pools: Mapping[str, Pool]
    index: Ints
    time: int
    is_fixed: bool = False
    encoding: Encoding = Encoding()
    rounds: int = 1
    copies: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = np.stack([pool.labels[column] for pool, column in zip(self.pools.values(), self.index.T)])
        wrong = np.flatnonzero((labels != labels[0]).any(axis=0))
        if wrong.size:
            raise InputError(f"pair {wrong[0]} joins items of different classes ({' and '.join(self.pools)})")
        for name, pool in self.pools.items():
            if pool.timed and pool.items.shape[1] != self.time:
                raise InputError(f"{name} has {pool.items.shape[1]} time steps, the samples {self.time}")
            pool.signal.check(name, pool.shape, pool.timed)
            self.encoding.check(name, pool.timed)

    def __len__(self) -> int:
        return len(self.index)

    def summary(self) -> Summary:
        """How many pairs of what."""
        rows = [(name, " x ".join(map(str, pool.shape)), len(pool), len(np.unique(pool.labels))) for name, pool in self.pools.items()]
        said = f"{'given' if self.is_fixed else 'drawn'} pairs, {self.encoding}"
        return Summary(f"{len(self)} samples of {self.time} steps", (said,), ("input", "shape", "items", "classes"), rows)

    @property
    def labels(self) -> Ints:
        """int64 (pairs,)."""
        return next(iter(self.pools.values())).labels[self.index[:, 0]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one time step of each input, without time and batch."""
        return {name: pool.shape for name, pool in self.pools.items()}

    def values(self, name: str, select: Ints | slice = slice(None)) -> Floats:
        """One modality of the selected pairs, float32 (pairs, [time,] *shape)."""
        column = list(self.pools).index(name)
        return self.pools[name].read(self.index[select, column])

    def steps(self, select: Ints | slice = slice(None)) -> dict[str, Floats]:
        """The selected pairs as a network reads them, float32 (time, batch, *shape) by the names of the networks' arguments."""
        return {name: self.encoding(self.values(name, select), None if pool.timed else self.time) for name, pool in self.pools.items()}


@dataclass(frozen=True, eq=False, repr=False)
class AudioVisual(Summarised):
    """A data set.

    Attributes:
        name: as `load` knows it.
        classes: what label 0, 1, ... means.
        train, test: the two sides of the split.
        source: where it comes from, one line with the licences.
        speech: "recorded", "synthetic" or "none".
        settings: how it was read.
        recordings: modalities whose waveforms the setting `snr_db` can give noise.
    """

    name: str
    classes: tuple[str, ...]
    train: Pairs
    test: Pairs
    source: str
    speech: str
    settings: Settings = field(default_factory=Settings)
    recordings: tuple[str, ...] = ()

    def summary(self) -> Summary:
        """Its sides, inputs and classes."""
        rows = [(name, " x ".join(map(str, shape)), len(self.train), len(self.test)) for name, shape in self.shapes.items()]
        lines = (self.source, f"{len(self.classes)} classes, {self.time} steps, speech: {self.speech}")
        return Summary(f"Data set {self.name}", lines, ("input", "shape", "training", "test"), rows)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one time step of each input, without time and batch."""
        return self.train.shapes

    @property
    def time(self) -> int:
        """Time steps per sample."""
        return self.train.time


def draw_pairs(pools: Mapping[str, Pool], seed: int, rounds: int = 1) -> Ints:
    """`rounds` pairs per item of the first pool, (pairs, modalities): items of its class, each used equally often up to one a round.

    In several rounds an item meets others, as long as its class has as many.

    Raises:
        InputError: a class lacks items of one modality.
    """
    rng = np.random.default_rng(seed)
    (anchor, first), *others = pools.items()
    index = np.empty((rounds * len(first), len(pools)), np.int64)
    index[:, 0] = np.repeat(np.arange(len(first)), rounds)
    for column, (name, pool) in enumerate(others, 1):
        missing = np.setdiff1d(pool.labels, first.labels)
        if missing.size:
            raise InputError(f"class {missing[0]} has items of {name} but none of {anchor}")
        for label in np.unique(first.labels):
            rows, members = np.flatnonzero(first.labels[index[:, 0]] == label), np.flatnonzero(pool.labels == label)
            if not members.size:
                raise InputError(f"class {label} has items of {anchor} but none of {name}")
            index[rows, column] = _drawn(members, rows.size, rounds, rng)
    return index


def _drawn(members: Ints, count: int, rounds: int, rng: np.random.Generator) -> Ints:
    """`count` of the members, `rounds` in a row for each item that they are paired with: permutations one after the other.

    Where a permutation ends within an item's rounds, the next one begins with members that the item has not met.
    """
    order = rng.permutation(members)
    while order.size < count:
        fresh, met = rng.permutation(members), order[order.size - order.size % rounds :]
        again = np.isin(fresh, met)
        order = np.concatenate([order, fresh[~again], fresh[again]])
    return order[:count]


def make_pairs(pools: Mapping[str, Pool], time: int, seed: int, encoder: str | None = None, rounds: int = 1) -> Pairs:
    """Pools and the pairs that `draw_pairs` draws from them; the seed is that of a random code, too."""
    return Pairs(pools, draw_pairs(pools, seed, rounds), time, encoding=Encoding(encoder or "direct", seed), rounds=rounds)


def redraw(pairs: Pairs, seed: int) -> Pairs:
    """Return the same items paired anew; where the pairs are fixed they stay, but for which copy of an item is taken."""
    if not pairs.is_fixed:
        return replace(pairs, index=draw_pairs(pairs.pools, seed, pairs.rounds))
    if not pairs.copies:
        return pairs
    rng, index = np.random.default_rng(seed), pairs.index.copy()
    for column, name in enumerate(pairs.pools):
        copies = pairs.copies.get(name, 1)
        index[:, column] += rng.integers(0, copies, len(index)) - index[:, column] % copies
    return replace(pairs, index=index)


def hold_out(pairs: Pairs, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """Set aside a fraction of each class's items of every modality, groups whole: (kept, held out), sharing no item and no group.

    Raises:
        InputError: the fraction is not inside (0, 1), or nothing of a class would be left to train on.
    """
    if not 0 < fraction < 1:
        raise InputError(f"the held-out fraction must lie between 0 and 1, not be {fraction}")
    rng = np.random.default_rng(seed)
    if pairs.is_fixed:
        return _split_fixed(pairs, fraction, rng)
    held = {name: held_items(pool.labels, pool.groups, fraction, rng) for name, pool in pairs.pools.items()}
    sides = ({name: pool.part(held[name] == side) for name, pool in pairs.pools.items()} for side in (False, True))
    kept, out = (replace(pairs, pools=pools, index=draw_pairs(pools, seed, pairs.rounds)) for pools in sides)
    return kept, out


def _split_fixed(pairs: Pairs, fraction: float, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Pairs that share an item or a group of any modality stay together."""
    groups = _joined([pool.groups if pool.groups is not None else np.arange(len(pool)) for pool in pairs.pools.values()], pairs.index)
    held = held_items(pairs.labels, groups, fraction, rng)
    return replace(pairs, index=pairs.index[~held]), replace(pairs, index=pairs.index[held])


def _joined(groups: list[Ints], index: Ints) -> Ints:
    """A group per pair, (pairs,): that of pairs connected through items' groups."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(index))
    links = [np.unique(of[column], return_inverse=True)[1] for of, column in zip(groups, index.T)]
    starts = np.cumsum([len(index), *(link.max() + 1 for link in links)])
    nodes = np.concatenate([link + start for link, start in zip(links, starts)])
    graph = sparse.csr_matrix((np.ones(len(nodes)), (np.tile(rows, len(links)), nodes)), shape=(starts[-1],) * 2)
    return connected_components(graph, directed=False)[1][: len(index)].astype(np.int64)


def held_items(labels: Ints, groups: Ints | None, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which items are set aside: per class whole groups, in random order, until they hold the fraction, at least one group.

    A group with items of several classes goes with the first of them that takes it.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = labels == label
        wanted = max(1, round(fraction * members.sum()))
        for group in rng.permutation(np.unique(groups[members])):
            if (held & members).sum() >= wanted:
                break
            held |= groups == group
    lost = np.setdiff1d(labels, labels[~held])
    if lost.size:
        whole = f"nothing of class {lost[0]} would be left to train on: all of it is one item or one group"
        raise InputError(f"{whole}; add more, or leave it out")
    return held
