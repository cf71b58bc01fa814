"""The weights of one projection against what the compiler makes of the float ones at the layer's scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.layout import Placed, place, together
from snnfuse.diagnosis.scales import Votes, weight_votes
from snnfuse.export.lowering.network import Array, Projection
from snnfuse.export.quantization.candidates import reaches
from snnfuse.export.quantization.error_feedback import round_in_turn
from snnfuse.export.quantization.rounding import Form, Rounded, round_weights
from snnfuse.hardware.ir.nodes import Connection

SURELY = 0.999  # share of weights that are what is expected, at which a form is the one that was taken
FEW = 0.05  # share of weights beyond which a difference is no matter of single ones
LOOSE = 1e-3  # of a step: what an inexact scale may move
SPREAD, TURNED = 8.0, 4.0  # times the usual rest, and the finest step, that weights rounded in turn keep to
STRANGE = 0.2  # of the weights, rms, that no rounding in turn leaves: weights of another network, or in other places
NEARER = 0.7  # of the distance to the float weights, that other exponents must bring
MOVED = 2.5  # steps from the nearest number, that weights whose errors cancel keep to; 1 or 2 on all data here
NAMED = 3  # single weights that are named


@dataclass(frozen=True, eq=False)
class Held:
    """A projection and what a program holds for it.

    Attributes:
        projection: its weights in voltage per unit of what the source sends, in the units of the neurons.
        connections: the program's, in order.
        groups: their weights in the projection's layout; None for one that connects otherwise.
        graded: whether the source sends numbers.
        payloads: what the source sends on data that may have calibrated it, integers (time, batch, *shape) each.
        cancelling: whether weights were chosen so that their errors cancel in the membrane, and not each the nearest.
        coarser: what rounding of coarser weights into the same layer leaves for these to cancel, rms; 0 for none.
    """

    projection: Projection
    connections: tuple[Connection, ...]
    groups: tuple[Placed | None, ...]
    graded: bool
    payloads: tuple[NDArray, ...] = ()
    cancelling: bool = False
    coarser: float = 0.0

    @property
    def is_placed(self) -> bool:
        """Whether every group is in the layout, and there is one."""
        return bool(self.groups) and all(group is not None for group in self.groups)

    @property
    def placed(self) -> list[Placed]:
        """The groups that are."""
        return [group for group in self.groups if group is not None]

    @property
    def total(self) -> Array:
        """What the groups hold together."""
        return together(self.placed, self.projection.weights.values.shape)

    @property
    def step(self) -> float:
        """Of the finest group that holds anything."""
        return min((g.step for g in self.placed if g.values.any()), default=1.0)

    def votes(self) -> Votes | None:
        """What its weights say of the scale."""
        return weight_votes(self.projection.weights.values, self.total, self.step) if self.is_placed else None


def hold(
    projection: Projection,
    connections: Sequence[Connection],
    graded: bool,
    payloads: tuple[NDArray, ...] = (),
    cancelling: bool = False,
) -> Held:
    """A projection beside its connections; payloads, cancelling: as of `Held`."""
    groups = tuple(place(projection.weights, c.synapse) for c in connections)
    return Held(projection, tuple(connections), groups, graded, payloads, cancelling)


def rounded_as(held: Held, scale: float, bits: int | None = None) -> Rounded | None:
    """What the compiler makes of the weights at this scale, in the form that is nearest to what is held; None where none fits.

    bits: that the export wrote down; by default the groups' own.
    """
    best: tuple[float, Rounded] | None = None
    for form in _forms(held, scale, bits):
        made = round_weights(held.projection.weights, scale, form, held.graded)
        if made is None:
            continue
        same = _same(held, made)
        if best is None or same > best[0]:
            best = (same, made)
        if best[0] >= SURELY:
            break
    return best and best[1]


def _forms(held: Held, scale: float, bits: int | None) -> Iterator[Form]:
    values, groups = held.projection.weights.values, held.placed
    by_sign = {sign: [g.bits for g in groups if (g.values * sign > 0).any() and not (g.values * sign < 0).any()] for sign in (1, -1)}
    each = [g.bits for g in groups]
    widths = {(bits, bits)} if bits else {(max(each), max(each)), ((by_sign[1] or each)[0], (by_sign[-1] or each)[0])}
    count, ends = len(groups), dict[tuple, list[float]]()
    for saturating in (False, True):  # few weights do, and finding out which takes longest
        for width in sorted(widths, reverse=True):
            for depth, split in ((count, False), (-(-count // 2), True), (count // 2 + 1, True), (count, True), (count + 1, False)):
                if saturating and (width, split) not in ends:
                    ends[width, split] = reaches(values, Form(width, depth, split))[1:]
                yield from (Form(width, depth, split, reach) for reach in (ends[width, split] if saturating else [1.0]))


def _same(held: Held, made: Rounded) -> float:
    """Share of weights that are the same in every group, exponents aside; a form of another number of groups is worth less."""
    groups = [place(held.projection.weights, s) for s in made.synapses]
    same = np.ones(made.wanted.shape, bool)
    for mine, other in zip(held.placed, groups):
        same &= mine.values == (0 if other is None else other.values)
    exponents = sum(a.exponent != b.exponent for a, b in zip(held.placed, groups) if b is not None)
    return float(same.mean()) / (1 + abs(len(groups) - len(held.placed))) - 1e-4 * exponents


def audit_weights(held: Held, scale: float, exact: bool, recorded_bits: int | None) -> Iterator[Finding]:
    """What is wrong with the weights of a projection, if anything.

    Args:
        held: the projection, and what the program has.
        scale: K of the layer.
        exact: whether that has all its digits.
        recorded_bits: that the export wrote down, if known.
    """
    node, source, values = held.projection.target, held.projection.source, held.projection.weights.values
    if not held.connections:
        if values.any():
            yield Finding(node, "wiring", f"nothing of the program connects {source} to it", 1.0)
        return
    if not held.is_placed or any(g.elsewhere for g in held.placed):
        yield Finding(node, "wiring", f"what connects {source} to it connects other neurons than the float network does", 1.0)
        return
    bits = max(g.bits for g in held.placed)
    if recorded_bits is not None and bits != recorded_bits:
        yield Finding(node, "weight rounding", f"weights from {source} have {bits} bits, where the export wrote {recorded_bits}", 1.0)
        return
    made = rounded_as(held, scale)
    if made is None:
        yield Finding(node, "weight value", f"no weights at its threshold scale {scale:.6g} are near those from {source}", 1.0)
        return
    turned = _in_turn(held, made, scale)
    groups = [g for s in (turned or made).synapses if (g := place(held.projection.weights, s)) is not None]
    yield from _differences(held, groups, turned or made, exact, turned is not None)


def _in_turn(held: Held, made: Rounded, scale: float) -> Rounded | None:
    """The same weights rounded one after the other on some of the data, where nearly all are then what is held; else None."""
    if not held.graded or held.cancelling or held.projection.is_fixed or (held.total == made.wanted - made.rest).mean() >= SURELY:
        return None
    for payloads in held.payloads:
        turned = round_in_turn(held.projection, payloads, scale, made.rounds)
        if turned is not None and (held.total == turned.wanted - turned.rest).mean() > 1 - FEW:
            return turned
    return None


def is_shifted(held: Held, scale: float) -> bool:
    """Whether at this scale all groups have exponents that are off by the same number, as where a source's unit is another."""
    made = rounded_as(held, scale)
    groups = [] if made is None else [g for s in made.synapses if (g := place(held.projection.weights, s)) is not None]
    return len({a.exponent - b.exponent for a, b in zip(held.placed, groups)}) == 1


def _differences(held: Held, groups: list[Placed], made: Rounded, exact: bool, turned: bool = False) -> Iterator[Finding]:
    node, source, mine = held.projection.target, held.projection.source, held.placed
    if wrong := _exponents(held, groups, made, exact):
        found, expected = wrong[0]
        yield Finding(node, "weight exponent", f"a group from {source} has exponent {found}, and {expected} is expected", 1.0)
        return
    rest, usual = held.total - made.wanted, made.rest
    bad = _bad(replace(held, graded=held.graded and not turned), rest, usual, exact)
    share = float(bad.mean())
    if not share:
        return
    size = min(1.0, float(np.linalg.norm((rest + usual)[bad]) / max(np.linalg.norm(made.wanted), 1e-300)))
    if share > FEW and (grid := _coarser(mine)):
        words = f"weights from {source} lie on steps of {grid}, where {max(g.bits for g in mine)} bits have finer ones"
        yield Finding(node, "weight rounding", words, size)
    elif share > FEW and len(mine) < len(groups):
        yield Finding(node, "weight rounding", f"weights from {source} have {len(mine)} groups, and {len(groups)} are expected", size)
    else:
        yield Finding(node, "weight value", _words(held, made, bad), size)


def _exponents(held: Held, groups: list[Placed], made: Rounded, exact: bool) -> list[tuple[int, int]]:
    """Exponents that are not the expected ones, where with these all weights would be right: (found, expected)."""
    mine = held.placed
    wrong = [(a.exponent, b.exponent) for a, b in zip(mine, groups) if a.exponent != b.exponent and a.values.any()]
    if not wrong or len(groups) != len(mine):
        return []
    fixed = replace(held, groups=tuple(replace(a, exponent=b.exponent) for a, b in zip(mine, groups)))
    before, after = (float(np.linalg.norm(h.total - made.wanted)) for h in (held, fixed))
    return [] if after > NEARER * before or _bad(fixed, fixed.total - made.wanted, made.rest, exact).any() else wrong


def _bad(held: Held, rest: Array, usual: Array, exact: bool) -> NDArray[np.bool_]:
    """Weights that are not what rounding gives; rest, usual: what is held, and minus what rounding leaves, beyond the float ones."""
    off = np.abs(rest + usual)  # the same numbers again, where nothing was changed
    off = np.where(np.abs(rest) > np.abs(usual) + 1e-6 * held.step, off, 0.0)  # a number as near as the expected one is none to blame
    other = off > held.step / 2
    many = np.count_nonzero(other)
    if held.cancelling or (held.graded and not held.projection.is_fixed and many <= NAMED):  # in turn may move as few
        return _beyond(off / max(held.step, held.coarser * held.cancelling))
    if many > NAMED and (held.graded or many > FEW * off.size):  # rounded in turn: only what no such rounding leaves
        apart, wanted = _apart(np.abs(rest), held.step), held.total - rest
        beyond = min(max(SPREAD * held.step, STRANGE * _rms(wanted)), _rms(wanted))  # no weights at all would be as near
        strange = not apart.any() and _rms(rest) > beyond
        return other if strange else apart & other
    return off > (1e-9 if exact else 2 + LOOSE) * held.step


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _apart(size: Array, step: float) -> NDArray[np.bool_]:
    """Rests that stand apart from all others. An input that calibration hardly used bears the errors of the others, in every neuron; where
    many rests are large, only what is larger still by as much again is apart."""
    usual = np.maximum(np.median(size, axis=0), np.median(size)) if size.ndim > 1 else np.full(size.shape, np.median(size))
    relative = size / np.maximum(SPREAD * usual, TURNED * step)
    largest = np.sort(relative, axis=None)[::-1]
    next_ones = float(largest[NAMED]) if largest.size > NAMED else 0.0
    return relative > (1.0 if next_ones <= 1 else 2 * next_ones)


def _beyond(steps: Array) -> NDArray[np.bool_]:
    """Weights that are more steps from the nearest number than those that cancel errors of others, and than twice as many as all but a
    few of these are."""
    largest = np.sort(steps, axis=None)[::-1]
    next_ones = float(largest[NAMED]) if largest.size > NAMED else 0.0
    return steps > max(MOVED, 2 * next_ones + 0.5)


def _coarser(groups: list[Placed]) -> int:
    """The step that a group's values have in common, where it is coarser than its bits ask for; else 0."""
    from snnfuse.hardware.ir.synapses import granularity, sign_mode

    for group in groups:
        used = np.unique(np.abs(group.values[group.values != 0]))
        if used.size > 1:
            grid = int(np.gcd.reduce(used))
            if grid > granularity(sign_mode(group.values), group.bits):
                return grid
    return 0


def _words(held: Held, made: Rounded, bad: NDArray[np.bool_]) -> str:
    total, expected = held.total, made.wanted - made.rest
    largest = np.argsort(-np.abs(np.where(bad, total - expected, 0)).ravel())[: min(NAMED, int(bad.sum()))]
    places = [tuple(int(i) for i in np.unravel_index(k, bad.shape)) for k in largest]
    named = ", ".join(f"{list(at)} is {total[at]:.12g}, not {expected[at]:.12g}" for at in places)
    return f"{int(bad.sum())} of {bad.size} weights from {held.projection.source} are not what rounding gives: {named}"
