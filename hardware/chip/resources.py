"""What each layer of a program takes of a board, and whether that is more than it has.

Every layer is split over cores by the rules of `splitting`; layers do not share cores, as in every published partition, which gives
populations of 1, 10 and 50 neurons a core each. A board fits if it has as many cores as all layers take together.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.bounds import least_cores
from snnfuse.hardware.chip.layer_refusals import layer_fits_no_core
from snnfuse.hardware.chip.layers import Demand, Demands, synapses_into
from snnfuse.hardware.chip.limits import LATER_SYNAPSE_WORDS, Limit
from snnfuse.hardware.chip.packing import stored_weights
from snnfuse.hardware.chip.splitting import Load, Rule, Split, even, load, split
from snnfuse.hardware.chip.tiers import Tier, tier
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.program import Program

SENSITIVE = {
    "memory": ("synapse_words",), "state memory": ("state_words",), "axons": ("axons_in", "axons_out"), "neurons": ("neurons",),
}  # fmt: skip
FACTORS = (0.5, 2)
FULL = 0.5  # share of a memory above which it would not do for parts twice as large


@dataclass(frozen=True)
class Layer:
    """What one population takes.

    Attributes:
        name: its node.
        neurons: how many.
        synapses: stored weights, a convolution's kernel once.
        memory: bytes of synapse memory on all its cores together, with the copies of shared kernels.
        cores: that it is split over.
        parts: groups of channels x runs of positions, or the number of parts of a layer without positions.
        axons_in: input axons for listed synapses on its fullest core.
        axons_out: output axons on its fullest core.
        bound_by: the name of the limit that decides the number of cores.
        least: cores that any split needs.
        tier: how its neurons run.
    """

    name: str
    neurons: int
    synapses: int
    memory: int
    cores: int
    parts: str
    axons_in: int
    axons_out: int
    bound_by: str
    least: int
    tier: Tier = "A"


@dataclass(frozen=True)
class Resources:
    """What a program takes of a board.

    Attributes:
        board: which.
        rule: how layers are split.
        layers: in topological order.
        splits: by layer, which core holds which neuron.
    """

    board: Board
    rule: Rule
    layers: tuple[Layer, ...]
    splits: Mapping[str, Split] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cores(self) -> int:
        """Cores of all layers."""
        return sum(layer.cores for layer in self.layers)

    @property
    def least(self) -> int:
        """Cores that no split of the layers can do without."""
        return sum(layer.least for layer in self.layers)

    @property
    def chips(self) -> int:
        """Chips that the cores fill."""
        return -(-self.cores // self.board.value("cores"))

    @property
    def fits(self) -> bool:
        """Whether the board has as many cores."""
        return self.cores <= self.board.cores

    def to_json(self) -> dict[str, Any]:
        """The table, with the limits it rests on."""
        return {
            "board": self.board.to_json(),
            "rule": self.rule,
            "cores": self.cores,
            "chips": self.chips,
            "least_cores": self.least,
            "layers": [asdict(layer) for layer in self.layers],
            "limits": [asdict(limit) | {"name": name} for name, limit in self.board.limits.items()],
            "note": "modelled: no board was available",
        }


def count(program: Program, board: Board, bits: int = WEIGHT_BITS, rule: Rule = "lava", demands: Demands | None = None) -> Resources:
    """What each layer takes, as if no weight had more than `bits`; also where the board has too few cores.

    Args:
        demands: prepared synapses of the program, where it is counted more than once.

    Raises:
        DoesNotFitError: a layer that no split fits.
    """
    demands = demands or Demands(program)
    _check_ranges(program, board, bits)
    placed = [place(demands, name, board, bits, rule) for name in demands.placed]
    return Resources(board, rule, tuple(layer for layer, _ in placed), {layer.name: split for layer, split in placed})


def place(demands: Demands, name: str, board: Board, bits: int = WEIGHT_BITS, rule: Rule = "lava") -> tuple[Layer, Split]:
    """What one layer takes, and which core holds which neuron; DoesNotFitError where no split fits."""
    demand, tight = demands.of(name, bits, shared=rule == "tight"), demands.of(name, bits, shared=True)
    chosen = split(demand, board, rule)
    if chosen is None:
        raise DoesNotFitError(layer_fits_no_core(demand, board, rule == "lava" and split(tight, board, "tight") is not None))
    return _layer(demands.program, demand, board, least_cores(tight, board), *chosen), chosen[0]


def _layer(program: Program, demand: Demand, board: Board, bounds: Mapping[str, int], chosen: Split, held: Load) -> Layer:
    limit = max(bounds, key=lambda name: bounds[name])
    if limit == "neurons" and chosen.cores > bounds["neurons"] and demand.lists:
        fullness = {"synapse_words": held.words / board.value("synapse_words"), "axons_in": held.axons_in / board.value("axons_in")}
        fullest = max(fullness, key=lambda name: fullness[name])
        limit = fullest if fullness[fullest] > FULL else limit  # else columns of a power of two were too wide for the neurons' limit
    return Layer(
        name=demand.name,
        neurons=demand.neurons,
        synapses=sum(stored_weights(c.synapse) for c in synapses_into(program, demand.name)),
        memory=held.all_words * board.value("word_bits") // 8,
        cores=chosen.cores,
        parts=str(chosen),
        axons_in=held.axons_in,
        axons_out=held.neurons * demand.outgoing,
        bound_by=limit,
        least=max(bounds.values()),
        tier=tier(program.nodes[demand.name]),
    )


def sensitivity(program: Program, board: Board, bits: int, rule: Rule, demands: Demands) -> dict[str, int | None]:
    """Cores if assumed limits were half or twice as large, by "memory x0.5" and so on, and with the synapse memory that a later compiler
    had; None where a layer then fits no core."""
    boards = {f"{name} x{factor:g}": board.scaled(limits, factor) for name, limits in SENSITIVE.items() for factor in FACTORS}
    later = {**board.overrides, "synapse_words": LATER_SYNAPSE_WORDS}
    boards[f"memory {LATER_SYNAPSE_WORDS} words"] = replace(board, overrides=later)
    return {name: _cores(program, other, bits, rule, demands) for name, other in boards.items()}


def _cores(program: Program, board: Board, bits: int, rule: Rule, demands: Demands) -> int | None:
    try:
        return count(program, board, bits, rule, demands).cores
    except DoesNotFitError:
        return None


def divided(resources: Resources, demands: Demands, name: str, parts: int, bits: int = WEIGHT_BITS) -> Resources | None:
    """Return the same placement with one layer in so many equal parts, or the next number that fits; None where it has no more parts.

    A convolution keeps its groups of channels and is divided by positions.
    """
    demand, board = demands.of(name, bits, shared=resources.rule == "tight"), resources.board
    groups = resources.splits[name].groups if demand.convolutions else 1
    along = demand.positions if demand.convolutions else demand.neurons
    runs = -(-parts // groups)
    if runs > along:
        return None
    chosen = Split(even(demand.channels, groups), even(demand.positions, runs)) if demand.convolutions else _flat(demand, runs)
    held = load(demand, chosen, board)
    if any(held.exceeded(demand, board)):
        return divided(resources, demands, name, parts + groups, bits)
    tight = demands.of(name, bits, shared=True)
    layer = _layer(demands.program, demand, board, least_cores(tight, board), chosen, held)
    layers = tuple(layer if each.name == name else each for each in resources.layers)
    return replace(resources, layers=layers, splits={**resources.splits, name: chosen})


def _flat(demand: Demand, parts: int) -> Split:
    return Split(even(demand.neurons, parts), np.zeros(1, np.int64))


def _check_ranges(program: Program, board: Board, bits: int) -> None:
    """What a board file may make narrower than the Program's own ranges."""
    for c in program.connections:
        where = f"connection {c.source} -> {c.target}"
        _check(where, "weight_bits", min(bits, c.synapse.bits), board, "give weight_bits")
        _check(where, "delay", c.delay + c.lag, board, "shorter paths beside it need less")
    for name, node in program.inputs.items():
        if node.sends_numbers:
            _check(f"input {name!r}", "payload_bits", node.bits, board, "give input_bits")


def _check(where: str, name: str, needed: int, board: Board, way_out: str) -> None:
    limit: Limit = board.limits[name]
    if needed > limit.value:
        raise DoesNotFitError(f"{where} has {needed} {limit.what}, {needed - limit.value} more than {limit}; {way_out}")
