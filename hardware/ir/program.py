"""The Program: a network in integers, the one thing every backend runs.

Nodes are populations (inputs, constants, neurons), connections are synapse groups between two of them, outputs name the
populations a user reads and how they are decoded. Several connections into one port of a neuron population add.

Time. A synapse takes one step, plus its delay. A node's latency is the number of steps by which it lags the input, so that its
window for an input of T steps is 1 + latency .. T + latency, counted from 1; at the start of its window its state is zero, and
outside its window it is silent. Feed-forward paths must be matched: every connection into a node brings the same latency. A
population may feed back onto itself, one step later. Both ports of a product are matched, as one port is. A `Constant` is silent
in nobody's window: it spikes on every step. A delay that belongs to the network is a connection's `lag`: no latency, for it moves
spikes within the window.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir import encoding
from snnfuse.hardware.ir.graph_order import topological_order
from snnfuse.hardware.ir.kinds import resolve
from snnfuse.hardware.ir.nodes import Connection, Constant, Input, Neuron, Node, Output
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.summaries import of_program
from snnfuse.hardware.ir.synapses import Diagonal, Synapse
from snnfuse.hardware.ledger import Entries, Ledger, LedgerEntry
from snnfuse.hardware.limits import check_limit
from snnfuse.hardware.reading import check_names
from snnfuse.hardware.shown import Summarised, Summary


@dataclass(frozen=True, eq=False, repr=False)
class Program(Summarised):
    """A network of fixed-point primitives.

    Attributes:
        nodes: populations by name.
        connections: synapse groups; several between the same two nodes add.
        outputs: by the names of the graph's outputs.
        dt: seconds per step in the float model it came from; informs only.
        ledger: what changed on the way here.
        decision: of several outputs the one that classes are read from where none is named; None where none is.

    Raises:
        InputError: a name cannot be printed, a connection or output names no node or port, sizes disagree, a population is empty, a
            product lacks a factor, paths are not matched, or a loop is longer than one synapse.
    """

    nodes: Mapping[str, Node]
    connections: tuple[Connection, ...]
    outputs: Mapping[str, Output]
    dt: float = 1e-4
    ledger: Ledger = ()
    decision: str | None = None

    def __post_init__(self) -> None:
        for name, made in (
            ("nodes", dict),
            ("connections", tuple),
            ("outputs", dict),
            ("ledger", Entries),
        ):  # what is checked here stays as it is
            object.__setattr__(self, name, made(getattr(self, name)))
        check_names(self.nodes, "a node")
        check_names(self.outputs, "an output")
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise InputError(f"dt must be a positive number of seconds, not {self.dt}")
        for name, node in self.nodes.items():
            if not node.shape or min(node.shape) < 1:
                raise InputError(f"{name!r} has shape {node.shape}; a population needs an axis, and a neuron along each")
        check_limit("neurons", sum(math.prod(node.shape) for node in self.nodes.values()), "a program")
        for connection in self.connections:
            _check_connection(self.nodes, connection)
        for name, output in self.outputs.items():
            if name in self.nodes and name != output.node:
                raise InputError(f"output {name!r} has the name of another node; recordings could not tell them apart")
            _check_output(name, output, self.nodes.get(output.node))
        if self.decision is not None and self.decision not in self.outputs:
            raise InputError(f"classes are to be read from {self.decision!r}, which is none of the outputs {', '.join(self.outputs)}")
        for name, node in self.neurons.items():
            _check_ports(name, node, self.into(name))
        _ = self.latency  # computing it refuses unmatched paths and long loops

    @property
    def decides(self) -> str | None:
        """The output that classes are read from where none is named: `decision`, or the only one; None where there is none."""
        return self.decision if self.decision is not None or len(self.outputs) != 1 else next(iter(self.outputs))

    @property
    def inputs(self) -> dict[str, Input]:
        """The populations that events are fed to."""
        return self._inputs

    @cached_property
    def _inputs(self) -> dict[str, Input]:
        return {name: node for name, node in self.nodes.items() if isinstance(node, Input)}

    @cached_property
    def constants(self) -> dict[str, Constant]:
        """The populations that spike on every step."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Constant)}

    @property
    def neurons(self) -> dict[str, Neuron]:
        """The neuron populations, in an order in which every feed-forward source comes before its targets."""
        return self._neurons

    @cached_property
    def _neurons(self) -> dict[str, Neuron]:
        return {name: node for name in self.order if isinstance(node := self.nodes[name], Neuron)}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, feed-forward sources first."""
        order = topological_order(self.nodes, [(c.source, c.target) for c in self.connections if not c.is_recurrent])
        if len(order) < len(self.nodes):
            left = ", ".join(sorted(self.nodes.keys() - {*order}))
            raise InputError(f"a feedback loop longer than one synapse cannot be matched in time: {left}")
        return order

    @cached_property
    def latency(self) -> dict[str, int]:
        """Steps by which each node lags the input; 0 for inputs and constants."""
        latency, neurons = dict.fromkeys(self.nodes, 0), self.neurons
        for name in self.order:
            arrivals = {c: latency[c.source] + 1 + c.delay for c in self.into(name) if not self._is_untimed(c)}
            if len(set(arrivals.values())) > 1:
                paths = ", ".join(f"{c.source} after {steps}" for c, steps in arrivals.items())
                raise InputError(f"paths into {name!r} are not matched in time: {paths} steps; delay the shorter ones")
            if name in neurons:
                latency[name] = max(arrivals.values(), default=1)
        return latency

    def _is_untimed(self, connection: Connection) -> bool:
        return connection.is_recurrent or not self.nodes[connection.source].is_timed

    def into(self, target: str) -> tuple[Connection, ...]:
        """The connections that end in a node."""
        return self._into.get(target, ())

    @cached_property
    def _into(self) -> dict[str, tuple[Connection, ...]]:
        found: dict[str, list[Connection]] = {}
        for connection in self.connections:
            found.setdefault(connection.target, []).append(connection)
        return {name: tuple(connections) for name, connections in found.items()}

    def summary(self) -> Summary:
        """A row per node."""
        return of_program(self)

    def graph(self, resources: Any = None) -> Any:
        """Draw the program as a graph; see `snnfuse.hardware.pictures.draw_program`."""
        return resolve("snnfuse.hardware.pictures:draw_program")(self, resources)

    def profile(self, recording: Recording | None = None) -> Any:
        """Draw weights and states against what their registers hold; see `snnfuse.hardware.pictures.draw_profile`."""
        return resolve("snnfuse.hardware.pictures:draw_profile")(self, recording)

    def with_ledger(self, *entries: LedgerEntry) -> "Program":
        """The same program with entries appended to its ledger."""
        return replace(self, ledger=self.ledger + entries)

    def encode(self, x: ArrayLike | Mapping[str, ArrayLike]) -> encoding.Events:
        """Float inputs to events; see `snnfuse.hardware.ir.encoding.encode`."""
        return encoding.encode(self, x)

    def values(self, recording: Recording, output: str | None = None) -> NDArray[np.float64]:
        """A recording to values in the units of the float network; see `snnfuse.hardware.ir.encoding.values`."""
        return encoding.values(self, recording, output)

    def decode(self, recording: Recording, output: str | None = None) -> NDArray[np.int64]:
        """A recording to classes; see `snnfuse.hardware.ir.encoding.decode`."""
        return encoding.decode(self, recording, output)


def _check_connection(nodes: Mapping[str, Node], connection: Connection) -> None:
    source, target = nodes.get(connection.source), nodes.get(connection.target)
    where = f"connection {connection.source} -> {connection.target}"
    if source is None or not isinstance(target, Neuron):
        raise InputError(f"{where}: " + ("no such source" if source is None else "the target is no neuron population"))
    sizes = int(np.prod(target.shape)), int(np.prod(source.shape))
    if connection.synapse.size != sizes:
        raise InputError(f"{where}: weights are {connection.synapse.size}, the populations {sizes} (out, in)")
    if connection.port not in range(target.ports):
        ports = " and ".join(map(str, range(target.ports)))
        raise InputError(f"{where}: the target has no port {connection.port}; a {type(target).__name__} has {ports}")
    if source.is_written != (connection.port == target.written_port):
        raise InputError(f"{where}: " + _unwritten(source, target))
    if source.is_written and (connection.delay or connection.lag or not _is_identity(connection.synapse)):
        raise InputError(f"{where}: a host writes into registers, one to one: Diagonal weights of 1, no exponent, delay or lag")
    if connection.is_recurrent and connection.delay:
        raise InputError(f"{where}: a recurrent connection takes one step, not {1 + connection.delay}; a longer one has a lag")
    if connection.lag and not source.is_timed:
        raise InputError(f"{where}: a constant spikes on every step, in nobody's window, and has no lag")


def _unwritten(source: Node, target: Neuron) -> str:
    kind = type(target).__name__
    if target.written_port is None:
        return f"a host writes its values into registers, and a {kind} takes none; use a BiasedLif"
    return f"port {target.written_port} of a {kind} takes what a host writes into registers, and nothing else does"


def _is_identity(synapse: Synapse) -> bool:
    return isinstance(synapse, Diagonal) and synapse.exponent == 0 and bool((synapse.weights == 1).all())


def _check_output(name: str, output: Output, node: Node | None) -> None:
    if not isinstance(node, Neuron):
        raise InputError(f"output {name!r} reads {output.node!r}, which is no neuron population of this program")
    if node.sends_numbers and (output.decoder == "spike_count" or node.membrane is None):
        raise InputError(
            f"output {name!r} reads {output.node!r}, whose graded spikes no decoder counts; connect it to a Lif with vth=2**17, "
            "which cannot fire, and read that one's voltage"
        )
    if output.num_classes is not None and node.size % output.num_classes:
        raise InputError(f"output {name!r} has {node.size} neurons, no {output.num_classes} equal groups of them; give another num_classes")
    if np.ndim(output.offset) and np.size(output.offset) != node.size:
        raise InputError(f"output {name!r} has {node.size} neurons, and offsets for {np.size(output.offset)}")
    if output.reads_membrane and node.membrane is None:
        raise InputError(f"output {name!r} reads the membrane of {output.node!r}, and a {type(node).__name__} has none; count its spikes")


def _check_ports(name: str, node: Neuron, arriving: tuple[Connection, ...]) -> None:
    for port in range(node.ports if node.needs_all_ports else 0):
        if not any(c.port == port for c in arriving):
            kind = type(node).__name__.lower()
            raise InputError(f"{kind} {name!r} has no connection into its port {port}; it needs all {node.ports} of them")
