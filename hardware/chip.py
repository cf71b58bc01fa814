"""Does a program fit a Loihi 2 board? A first check, by neurons and synapse memory per core.

Assumed, because the chip's packing is not public: layers do not share cores, a layer's synapses lie in the cores of its neurons
and divide evenly among them, so that

    cores = max(ceil(neurons / NEURONS), ceil(bytes / MEMORY))

is a lower bound. Bits per synapse: `bits` where synapses are all-to-all; `bits` plus an index of ceil(log2(neurons of the layer))
where they are listed one by one; a convolution stores its kernel once. Axon tables, delay lines and routing are not counted.

How each kind of node runs is `NODES`: A on a core as stock silicon has it, B on a core with microcode for its neurons, C on the
host or an embedded processor.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.fixed_point import WEIGHT_BITS
from snnfuse.hardware.graded import Product, Relay
from snnfuse.hardware.lif import Lif
from snnfuse.hardware.program import Constant, GradedInput, Neuron, Node, Program, SpikeInput
from snnfuse.hardware.synapses import Sparse, Synapse

Status = Literal["measured", "models agree", "assumed"]
Tier = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Limit:
    """A number of the chip, and how sure it is.

    Attributes:
        what: the quantity, with its unit.
        value: the number.
        status: measured (a published run), models agree (two public models), or assumed.
        source: where it is from.
    """

    what: str
    value: int
    status: Status
    source: str


NEURONS = Limit("neurons per core", 8192, "assumed", "press reports of the chip's announcement; WikiChip")
MEMORY = Limit("bytes of synapse memory per core", 192 * 1024, "assumed", "Intel's 2021 technology brief, from memory")
CORES = Limit("usable cores per chip", 120, "assumed", "Lava's compiler constant for N3 boards; a chip has 128")


@dataclass(frozen=True)
class Placement:
    """How one kind of node runs on a chip.

    Attributes:
        what: the node, in words.
        tier: A, stock neuron; B, needs neuron microcode; C, host or embedded processor.
        status: as for `Limit`.
        source: where it is from.
    """

    what: str
    tier: Tier
    status: Status
    source: str


UNPUBLISHED = "Lava has a fixed-point process of it; its NeuroCore model is not public"
NODES: dict[type, Placement] = {
    SpikeInput: Placement("spikes from outside", "C", "models agree", "lava.proc.embedded_io.spike adapters"),
    GradedInput: Placement("graded spikes from outside", "C", "models agree", "lava.proc.embedded_io.spike adapters"),
    Constant: Placement("a LIF with bias 1 over threshold 0", "A", "models agree", "Lava's LIF; nengo-loihi"),
    Lif: Placement("a stock LIF, if it resets to zero", "A", "measured", "Lava's LIF; a trace of a chip (NIR paper, 01_lif)"),
    Product: Placement("product neuron, lava.proc.prodneuron", "B", "assumed", UNPUBLISHED),
    Relay: Placement("graded relay, lava.proc.graded.GradedVec", "B", "assumed", UNPUBLISHED),
}


def tier(node: Node) -> Tier:
    """How a node runs on a chip; a LIF with a reset other than to zero needs microcode."""
    return "B" if isinstance(node, Lif) and node.reset != "zero" else NODES[type(node)].tier


@dataclass(frozen=True)
class Board:
    """Chips on one board.

    Attributes:
        name: what `--board` takes.
        chips: how many; press reports.
    """

    name: str
    chips: int

    @property
    def cores(self) -> int:
        """Cores that a program may use."""
        return self.chips * CORES.value


BOARDS = {board.name: board for board in (Board("oheo-gulch", 1), Board("kapoho-point", 8), Board("hala-point", 1152))}


@dataclass(frozen=True)
class Layer:
    """What one population takes.

    Attributes:
        name: its node.
        neurons: how many.
        synapses: stored weights, a convolution's kernel once.
        bits: of synapse memory.
        tier: how its neurons run.
    """

    name: str
    neurons: int
    synapses: int
    bits: int
    tier: Tier = "A"

    @property
    def memory(self) -> int:
        """Bytes of synapse memory."""
        return _ceil(self.bits, 8)

    @property
    def cores(self) -> int:
        """Cores that it needs at least."""
        return max(_ceil(self.neurons, NEURONS.value), _ceil(self.memory, MEMORY.value))

    @property
    def bound_by(self) -> Limit:
        """The limit that decides the number of cores."""
        return NEURONS if _ceil(self.neurons, NEURONS.value) >= _ceil(self.memory, MEMORY.value) else MEMORY


@dataclass(frozen=True)
class Resources:
    """What a program takes of a board."""

    board: Board
    layers: tuple[Layer, ...]

    @property
    def cores(self) -> int:
        """Cores of all layers."""
        return sum(layer.cores for layer in self.layers)

    @property
    def fits(self) -> bool:
        """Whether the board has as many."""
        return self.cores <= self.board.cores

    def to_json(self) -> dict[str, Any]:
        """The table, with the limits it rests on."""
        rows = [asdict(a) | {"memory": a.memory, "cores": a.cores, "bound_by": a.bound_by.what} for a in self.layers]
        board = {"name": self.board.name, "chips": self.board.chips, "cores": self.board.cores}
        return {
            "board": board,
            "cores": self.cores,
            "layers": rows,
            "limits": [asdict(limit) for limit in (NEURONS, MEMORY, CORES)],
            "note": "a lower bound: axon tables, delay lines and routing are not counted",
        }


def check_chip(program: Program, board: Board | str = "oheo-gulch") -> Resources:
    """Refuse what a chip's stock neuron cannot do and what the board cannot hold.

    Args:
        program: what to place.
        board: a board or its name.

    Raises:
        UnsupportedError: neurons whose reset is not to zero. Products and relays pass, as tier B: nothing else computes them.
        DoesNotFitError: more cores than the board has; names the largest layer, its limit, and what would fit.
        InputError: no such board.
    """
    _check_resets(program.neurons)
    resources = count(program, find_board(board))
    if not resources.fits:
        raise DoesNotFitError(_does_not_fit(program, resources))
    return resources


def find_board(board: Board | str) -> Board:
    """A board by name."""
    if isinstance(board, Board):
        return board
    if board not in BOARDS:
        raise InputError(f"unknown board {board!r}; there are {', '.join(BOARDS)}")
    return BOARDS[board]


def count(program: Program, board: Board, bits: int = WEIGHT_BITS) -> Resources:
    """Cores per layer, as if no weight had more than `bits`."""
    populations = {name: node for name, node in program.nodes.items() if isinstance(node, (Neuron, Constant))}
    return Resources(board, tuple(_layer(program, name, math.prod(node.shape), bits) for name, node in populations.items()))


def _layer(program: Program, name: str, neurons: int, bits: int) -> Layer:
    stored = [(c.synapse.values.size, _bits_each(c.synapse, neurons, bits)) for c in program.into(name)]
    return Layer(name, neurons, sum(n for n, _ in stored), sum(n * each for n, each in stored), tier(program.nodes[name]))


def _bits_each(synapse: Synapse, neurons: int, bits: int) -> int:
    index = (neurons - 1).bit_length() if isinstance(synapse, Sparse) else 0
    return min(synapse.bits, bits) + index


def _check_resets(neurons: Mapping[str, Neuron]) -> None:
    custom = [f"{name} ({lif.reset})" for name, lif in neurons.items() if isinstance(lif, Lif) and lif.reset != "zero"]
    if custom:
        raise UnsupportedError(
            f"Loihi 2's stock neuron resets to zero; these need neuron microcode: {', '.join(custom)}. "
            "Convert with --reset zero, which measures the effect, or fine-tune the network with reset to zero; "
            "--target lava runs it as it is"
        )


def _does_not_fit(program: Program, resources: Resources) -> str:
    board, layer = resources.board, max(resources.layers, key=lambda layer: layer.cores)
    limit = layer.bound_by
    amount = f"{layer.neurons} neurons" if limit is NEURONS else f"{layer.memory} bytes of synapses"
    return (
        f"layer {layer.name!r} takes {layer.cores} cores for {amount} ({limit.value} {limit.what}, {limit.status}); "
        f"with all layers {resources.cores} cores, {resources.cores - board.cores} more than the {board.cores} of {board.name}; "
        + "; or ".join(_ways_out(program, resources))
    )


def _ways_out(program: Program, resources: Resources) -> Iterator[str]:
    larger = [board for board in BOARDS.values() if board.cores >= resources.cores]
    if larger:
        yield f"it fits --board {larger[0].name}"
    fitting = [bits for bits in range(WEIGHT_BITS - 1, 0, -1) if count(program, resources.board, bits).fits]
    if fitting:
        yield f"--weight-bits {fitting[0]} fits"
    if not larger and not fitting:
        yield "make the layer smaller"


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
