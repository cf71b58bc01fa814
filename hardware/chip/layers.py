"""What a layer asks of the cores that hold it, before it is divided among them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.packing import Listed, Words, listed
from snnfuse.hardware.chip.state_memory import state_words
from snnfuse.hardware.chip.tiers import tier
from snnfuse.hardware.ir.nodes import Connection, Node
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Conv2d, Synapse


@dataclass(frozen=True, eq=False)
class Demand:
    """A population and the synapses into it.

    Attributes:
        name: its node.
        shape: neurons; (channels, height, width) where a convolution feeds it, or a host an image, otherwise (neurons, 1, 1).
        convolutions: into it.
        lists: its other synapses.
        bits: no weight takes more.
        slots: steps of delayed input that a neuron keeps, over all its ports.
        outgoing: connections out of it that give every neuron an output axon of its own.
        words: of state memory per neuron.
    """

    name: str
    shape: tuple[int, int, int]
    convolutions: tuple[Conv2d, ...]
    lists: tuple[Listed, ...]
    bits: int
    slots: int
    outgoing: int
    words: int = 1

    @property
    def neurons(self) -> int:
        return int(np.prod(self.shape))

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def positions(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def is_image(self) -> bool:
        """Whether it is split by channels and positions."""
        return bool(self.convolutions) or self.positions > 1

    def kernels(self, words: Words, channels: int) -> int:
        """Words of all convolutions on a core with so many channels."""
        return sum(words.kernel(conv, channels, min(self.bits, conv.bits)) for conv in self.convolutions)

    def room(self, board: Board) -> dict[str, int]:
        """Neurons that a core can hold, by each limit that counts neurons."""
        room = {"neurons": board.value("neurons"), "delay_slots": board.value("delay_slots") // self.slots}
        room["state_words"] = board.value("state_words") // self.words
        return room | ({"axons_out": board.value("axons_out") // self.outgoing} if self.outgoing else {})


def synapses_into(program: Program, name: str) -> tuple[Connection, ...]:
    """The connections into a population that take synapses: all but what a host writes into registers."""
    return tuple(c for c in program.into(name) if not program.nodes[c.source].is_written)


def _image(node: Node, convolutions: tuple[Conv2d, ...]) -> tuple[int, int, int] | None:
    """(channels, height, width) of a layer that is split by them: one that a convolution feeds, or a host an image."""
    if convolutions:
        return convolutions[0].output_shape
    is_fed = getattr(node, "written_port", None) is not None and len(node.shape) == 3
    return (node.shape[0], node.shape[1], node.shape[2]) if is_fed else None


def on_cores(program: Program, placed: Collection[str]) -> tuple[Connection, ...]:
    """The connections whose synapses lie on cores, in the program's order: not those into neurons on the host, nor what it writes."""
    return tuple(c for c in program.connections if c.target in placed and not program.nodes[c.source].is_written)


class Demands:
    """The populations of a program that take cores, in topological order, their synapses prepared once per number of bits."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._listed: dict[tuple[int, int, bool], Listed] = {}

    @cached_property
    def placed(self) -> Mapping[str, Node]:
        """Nodes on cores: constants, and neurons that are not on the host."""
        return {name: self.program.nodes[name] for name in self.program.order if tier(self.program.nodes[name]) != "C"}

    def of(self, name: str, bits: int, shared: bool) -> Demand:
        """What one population asks for, with no weight of more than `bits`; `shared` as for `packing.listed`."""
        node, into = self.program.nodes[name], synapses_into(self.program, name)
        convolutions = tuple(conv for c in into if (conv := c.synapse.convolution) is not None)
        lists = tuple(self._prepared(c.synapse, bits, shared) for c in into if c.synapse.convolution is None)
        shape = _image(node, convolutions) or (int(np.prod(node.shape)), 1, 1)
        ports = getattr(node, "ports", 1) - (getattr(node, "written_port", None) is not None)
        slots = ports * (1 + max((c.delay + c.lag for c in into), default=0))
        outgoing = sum(c.synapse.convolution is None for c in self._out_of.get(name, ()))
        return Demand(name, shape, convolutions, lists, bits, slots, outgoing, state_words(node))

    def _prepared(self, synapse: Synapse, bits: int, shared: bool) -> Listed:
        key = id(synapse), min(bits, synapse.bits), shared
        if key not in self._listed:
            self._listed[key] = listed(synapse, bits, shared)
        return self._listed[key]

    @cached_property
    def _out_of(self) -> dict[str, list[Connection]]:
        leaving: dict[str, list[Connection]] = {}
        for connection in self.program.connections:
            leaving.setdefault(connection.source, []).append(connection)
        return leaving
