"""Float weights and biases to the integers that the chip can hold.

With K the integer threshold that stands for theta = 1, a float weight w becomes n 2**e ~ w K, where n is a multiple of the group's step:

    n = step rint(w K / (step 2**e))        within the group's range; beyond it the weight saturates

A group that mixes signs spends a bit on the sign, so that two groups of one sign each have twice as many levels: at 1 bit a mixed
group holds {-256, 0} only. One scale per matrix is set by its outliers; a further round of groups holds what the rounds before left
over, and gives the small weights their digits back; or outliers may saturate, where that loses fewer spikes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.weights import Weights
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, BIAS_EXPONENT_RANGE, BIAS_MANTISSA_RANGE, EXPONENT_RANGE
from snnfuse.hardware.ir.synapses import Synapse, granularity, sign_mode

FULL_SCALE = 256  # one above the largest magnitude of a weight with step 1
# `python -m benchmarks.few_bits --only random --first 200 --networks 32`: without it 4 bits keep 95.93 % of the classes of
# networks that are not chaotic, with it 96.84 %.
FINER = 0.5  # of what a round leaves over, the share at which the next one's range may end: see `round_weights`
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The integers that one synapse group may hold.

    Attributes:
        mode: "mixed", "excitatory" or "inhibitory".
        bits: 1..8.
        exponent: -8..7.
    """

    mode: str
    bits: int
    exponent: int

    @property
    def step(self) -> int:
        """Between neighbouring integers."""
        return granularity(self.mode, self.bits)

    @property
    def limit(self) -> int:
        """The largest magnitude, the same on both sides of a mixed group; 0 where 1 bit would have to hold both signs."""
        return FULL_SCALE - self.step

    def integers(self, values: Array) -> NDArray[np.int32]:
        """Values, already times K, as the nearest integers of this group; those of the other sign become 0, those beyond saturate."""
        low, high = (0 if self.mode == other else limit for other, limit in (("excitatory", -self.limit), ("inhibitory", self.limit)))
        steps = np.asarray(values / (self.step * 2.0**self.exponent))  # in place from here on: large layers spend their time on memory
        np.rint(steps, out=steps)
        steps *= self.step
        return np.clip(steps, low, high, out=steps).astype(np.int32)


Rounds = tuple[tuple[Grid, ...], ...]  # each a mixed group, or one per sign


@dataclass(frozen=True)
class Form:
    """How a projection's weights are divided among synapse groups.

    Attributes:
        bits: of excitatory and inhibitory weights, 1..8 each; the same where not `split`.
        depth: rounds, 1 or more; each further one holds what the ones before left over.
        split: whether each sign has a group of its own.
        reach: end of the first round's range over the largest weight, in (0, 1]; weights beyond it saturate.
    """

    bits: tuple[int, int]
    depth: int = 1
    split: bool = False
    reach: float = 1.0


@dataclass(frozen=True, eq=False)
class Rounded:
    """A projection's synapse groups, and what they are meant to hold.

    Attributes:
        synapses: the groups; they add. A group of zeros is left out, unless it is the only one.
        rounds: the grids that they lie on, those left out too.
        wanted: float weights times K.
        rest: what is missing.
        saturated: weights beyond the range of the first round.
    """

    synapses: tuple[Synapse, ...]
    rounds: Rounds
    wanted: Array
    rest: Array
    saturated: int


def modes(values: Array, split: bool) -> tuple[str, ...]:
    """Of the groups that one round needs for these values."""
    found = sign_mode(values)
    return ("excitatory", "inhibitory") if split and found == "mixed" else (found,)


def weight_limit(values: Array, form: Form) -> int:
    """The largest magnitude that the first round's groups all hold; 0 where 1 bit would have to hold both signs."""
    return min(Grid(mode, _bits(form, mode), 0).limit for mode in modes(values, form.split))


def largest(values: Array, mode: str = "mixed") -> float:
    """The largest magnitude among the values that a group of this mode holds; 0 for none."""
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return {"excitatory": high, "inhibitory": -low}.get(mode, max(high, -low))


def choose_grid(values: Array, mode: str, bits: int, reach: float, graded: bool) -> Grid | None:
    """The finest grid whose range ends no earlier than at this share of the largest value; None where even 2**7 is too small."""
    top, finest = largest(values, mode) * reach, Grid(mode, bits, 0)
    # below, the shift would round sums of binary spikes down; graded sums are large, and gain from finer weights
    lowest = EXPONENT_RANGE[0] if graded else -(finest.step.bit_length() - 1)
    exponent = max(lowest, EXPONENT_RANGE[0], int(np.ceil(np.log2(top / finest.limit))) if top > 0 else lowest)
    return Grid(mode, bits, exponent) if exponent <= EXPONENT_RANGE[1] else None


def round_weights(weights: Weights, scale: float, form: Form, graded: bool = False) -> Rounded | None:
    """A projection in at most `form.depth` rounds of groups; None where the weights times `scale` do not fit.

    A mixed group of b bits holds 2**b - 1 numbers, one less than a step of the round before has at the next finer exponent. So a further
    round may take that exponent, and leave a unit of the few weights in the middle of a step: it does where less is left of all.
    """
    rest, rounds = weights.values * scale, []
    for depth in range(form.depth):
        if any(Grid(mode, _bits(form, mode), 0).limit == 0 for mode in modes(rest, form.split)):
            break
        ends = (1.0, FINER) if depth else (form.reach,)
        tried = [[choose_grid(rest, mode, _bits(form, mode), end, graded) for mode in modes(rest, form.split)] for end in ends]
        fitting = [tuple(grid for grid in grids if grid is not None) for grids in tried if None not in grids]
        if len(fitting) < len(tried):
            return None
        grids = fitting[0] if len(fitting) == 1 else min(fitting, key=lambda grids: float((_left(rest, grids) ** 2).sum()))
        is_last = depth + 1 == form.depth
        held, rest = rest, rest if is_last and not depth else _left(rest, grids)  # the last needs it only to see whether it holds any
        if depth and (rest == held).all():
            break
        rounds.append(grids)
    return hold(weights, scale, tuple(rounds)) if rounds else None


def nearest(values: Array, rounds: Rounds) -> Array:
    """Values, already times K, as the numbers that the groups hold together, in the arithmetic of `hold`."""
    rest = values
    for grids in rounds:
        rest = _left(rest, grids)
    return values - rest


def _left(values: Array, grids: tuple[Grid, ...]) -> Array:
    """What one round leaves over."""
    return values - sum(grid.integers(values) * 2.0**grid.exponent for grid in grids)


def hold(weights: Weights, scale: float, rounds: Rounds) -> Rounded:
    """A projection's weights, times `scale`, on grids that are already chosen: the integers of everything that is exported."""
    wanted = weights.values * scale
    rest, synapses, saturated = wanted, [], 0
    for depth, grids in enumerate(rounds):
        held = [(grid, grid.integers(rest)) for grid in grids]
        for grid, integers in held:
            rest = rest - integers * 2.0**grid.exponent
            if integers.any():
                synapses.append(weights.synapse(integers, grid.exponent, grid.bits))
        if not depth:
            saturated = int((np.abs(rest) > max(_unit(grid) for grid in grids)).sum())
    if not synapses:
        synapses.append(weights.synapse(np.zeros(wanted.shape, np.int32), rounds[0][0].exponent, rounds[0][0].bits))
    return Rounded(tuple(synapses), rounds, wanted, rest, saturated)


def _unit(grid: Grid) -> float:
    return grid.step * 2.0**grid.exponent


def _bits(form: Form, mode: str) -> int:
    return form.bits[mode == "inhibitory"]


def relative_error(rounded: list[Rounded]) -> float:
    """Norm of all that rounding left over, over the norm of all weights; 0 for no weights."""
    wanted = sum(float((r.wanted**2).sum()) for r in rounded)
    return float(np.sqrt(sum(float((r.rest**2).sum()) for r in rounded) / wanted)) if wanted else 0.0


def round_bias(bias: Array) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Voltage units per step to (mantissa, exponent) per neuron, mantissa 2**exponent ~ bias; None where a bias does not fit."""
    low, high = BIAS_EXPONENT_RANGE
    most = np.abs(bias) / BIAS_MANTISSA_RANGE[1]
    exponent = np.clip(np.ceil(np.log2(np.maximum(most, 1.0))), low, high).astype(np.int32)
    mantissa = np.rint(bias / 2.0**exponent).astype(np.int64)
    if (np.abs(mantissa) > BIAS_MANTISSA_RANGE[1]).any():
        return None
    return mantissa.astype(np.int32), exponent


def voltage_units(value: Array, scale: float) -> Array:
    """A float voltage in the state's least significant bits: 64 K value."""
    return value * scale * (1 << ALIGN_BITS)
