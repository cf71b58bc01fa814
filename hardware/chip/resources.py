"""What each layer of a program takes of a board, and whether that is more than it has.

Every layer is split over cores by the rules of `splitting`; layers do not share cores, as in every published partition, which gives
populations of 1, 10 and 50 neurons a core each. A board fits if it has as many cores as all layers take together.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.bounds import least_cores
from snnfuse.hardware.chip.layer_refusals import layer_fits_no_core
from snnfuse.hardware.chip.layers import Demand, Demands
from snnfuse.hardware.chip.limits import Limit
from snnfuse.hardware.chip.packing import stored_weights
from snnfuse.hardware.chip.splitting import Load, Rule, Split, split
from snnfuse.hardware.chip.tiers import Tier, tier
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.nodes import GradedInput
from snnfuse.hardware.ir.program import Program

SENSITIVE = {"memory": ("synapse_words",), "axons": ("axons_in", "axons_out"), "neurons": ("neurons",)}
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
        synapses=sum(stored_weights(c.synapse) for c in program.into(demand.name)),
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
    """Cores if assumed limits were half or twice as large, by "memory x0.5" and so on; None where a layer then fits no core."""
    found: dict[str, int | None] = {}
    for name, limits in SENSITIVE.items():
        for factor in FACTORS:
            try:
                found[f"{name} x{factor:g}"] = count(program, board.scaled(limits, factor), bits, rule, demands).cores
            except DoesNotFitError:
                found[f"{name} x{factor:g}"] = None
    return found


def _check_ranges(program: Program, board: Board, bits: int) -> None:
    """What a board file may make narrower than the Program's own ranges."""
    for c in program.connections:
        where = f"connection {c.source} -> {c.target}"
        _check(where, "weight_bits", min(bits, c.synapse.bits), board, "--weight-bits")
        _check(where, "delay", c.delay + c.lag, board, "shorter paths beside it need less")
    for name, node in program.nodes.items():
        if isinstance(node, GradedInput):
            _check(f"input {name!r}", "payload_bits", node.bits, board, "--input-bits")


def _check(where: str, name: str, needed: int, board: Board, way_out: str) -> None:
    limit: Limit = board.limits[name]
    if needed > limit.value:
        raise DoesNotFitError(f"{where} has {needed} {limit.what}, {needed - limit.value} more than {limit}; {way_out}")
