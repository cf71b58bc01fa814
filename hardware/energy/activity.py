"""What the spikes of a run make the cores do: operations, updates and messages, per connection, per layer, and on the busiest core."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.chip.layers import on_cores
from snnfuse.hardware.chip.mesh import LinkLoad
from snnfuse.hardware.chip.resources import Layer, Resources
from snnfuse.hardware.chip.state_memory import state_words
from snnfuse.hardware.chip.traffic import link_load, reach
from snnfuse.hardware.energy.constants import TIME
from snnfuse.hardware.energy.loads import CoreLoads
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

FUSED, NO_INPUT = "fused", "no input"


@dataclass(frozen=True)
class Link:
    """A connection's part in one inference, means over samples.

    Attributes:
        source, target: node names.
        origin: the input that all of its spikes descend from, "fused" for several, "no input" for a constant's.
        events: spikes sent; a graded one counts once.
        operations: events times stored synapses.
        effective: events times synapses whose weight is not 0.
        messages: events times cores that hold a target.
        synapses: connected pairs of neurons: what a step costs where every neuron fires.
        further: whether an earlier connection has these pairs, as where a weight takes two groups, the second for what rounding left over.
    """

    source: str
    target: str
    origin: str
    events: float
    operations: float
    effective: float
    messages: float
    synapses: int
    further: bool


@dataclass(frozen=True)
class Population:
    """A layer on cores in one inference, means over samples.

    Attributes:
        name: its node.
        origin: as of `Link`, of what arrives at it.
        tier: how its neurons run.
        neurons, cores: how many.
        words: of state memory per neuron.
        updates: neurons times steps.
        reached: those on which an event arrived.
        spikes: those on which the neuron fired.
    """

    name: str
    origin: str
    tier: str
    neurons: int
    cores: int
    words: int
    updates: int
    reached: float
    spikes: float


@dataclass(frozen=True, eq=False)
class Busiest:
    """What decides how long a step takes.

    Attributes:
        stock: words of state on the core whose stock neurons have most: one of a LIF, two of a sigma-delta neuron.
        microcode: words of state on the core whose microcode has most to update.
        operations: (samples, steps) synaptic operations of the core that has most in that step.
        reads: (samples, steps) words of synapse memory read by the core that reads most.
        link: bits per step on the busiest links, means over steps and samples.
        core: of the layers, the one whose core has most operations.
    """

    stock: int
    microcode: int
    operations: NDArray[np.float64]
    reads: NDArray[np.float64]
    link: LinkLoad
    core: str


@dataclass(frozen=True, eq=False)
class Activity:
    """One inference, means over samples.

    Attributes:
        steps: per inference.
        samples: of the mean.
        latency: steps from the first input to the last step of the slowest output's window, beyond `steps`.
        links, populations: in the program's order.
        chips: that the cores fill.
        board_chips: of the board.
        busiest: core and link, step by step.
        values: numbers that a host writes, all inputs of the window; of an input that does not change in it, those of one step.
    """

    steps: int
    samples: int
    latency: int
    links: tuple[Link, ...]
    populations: tuple[Population, ...]
    chips: int
    board_chips: int
    busiest: Busiest
    values: int

    @property
    def operations(self) -> float:
        return sum(link.operations for link in self.links)

    @property
    def updates(self) -> int:
        return sum(layer.updates for layer in self.populations)

    @property
    def cores(self) -> int:
        return sum(layer.cores for layer in self.populations)

    @property
    def neurons(self) -> int:
        return sum(layer.neurons for layer in self.populations)

    @property
    def origins(self) -> tuple[str, ...]:
        """Inputs that cost something, then what has several or none."""
        found = {link.origin for link in self.links} | {layer.origin for layer in self.populations}
        return (*sorted(found - {FUSED, NO_INPUT}), *(name for name in (FUSED, NO_INPUT) if name in found))


def origins(program: Program) -> dict[str, str]:
    """Return by node the only input whose events can reach it, "fused" for several, "no input" for none."""
    inputs: dict[str, frozenset[str]] = {}
    for name in program.order:
        own = {name} if name in program.inputs else set()
        inputs[name] = frozenset(own.union(*(inputs[c.source] for c in program.into(name) if not c.is_recurrent)))
    return {name: next(iter(found)) if len(found) == 1 else FUSED if found else NO_INPUT for name, found in inputs.items()}


def measure(program: Program, recordings: Iterable[Recording], resources: Resources) -> Activity:
    """Count what recordings of every layer cost.

    Args:
        program: what was run.
        recordings: of record="all", with the events that were fed; several where the samples do not fit in memory together, of the
            same number of steps.
        resources: where its layers lie.

    Raises:
        InputError: a population was not recorded, no sample, or numbers of steps that differ.
    """
    counter = _Counter(program, resources)
    for recording in recordings:
        counter.add(recording)
    return counter.activity()


class _Counter:
    def __init__(self, program: Program, resources: Resources) -> None:
        self.program, self.resources = program, resources
        self.loads = CoreLoads(program, resources)
        self.steps = self.samples = 0
        self.sent = {name: np.zeros(int(np.prod(node.shape)), np.int64) for name, node in program.nodes.items()}
        self.reached = dict.fromkeys(self.loads.placed, 0)
        self.core_operations = np.zeros(resources.cores)
        self.most: list[NDArray[np.float64]] = []  # (2, samples, steps) by block: operations and reads of the busiest core
        self.constant = dict.fromkeys(program.inputs, True)  # whether an input says the same on every step

    def add(self, recording: Recording) -> None:
        spikes = _all_spikes(self.program, recording)
        steps, samples = next(iter(spikes.values())).shape[:2]
        if self.steps not in (0, steps):
            raise InputError(f"recordings of {self.steps} and of {steps} steps cannot be averaged")
        self.steps, self.samples = steps, self.samples + samples
        for name in self.constant:
            self.constant[name] &= bool((spikes[name] == spikes[name][:1]).all())
        for name in (name for name, node in self.program.inputs.items() if node.is_written):
            spikes[name] = np.zeros_like(spikes[name])  # a host writes it into registers, and nothing is sent
        for name in self.sent:
            self.sent[name] += np.count_nonzero(spikes[name], (0, 1)).ravel()
        steps_of = [
            self._step({name: (array[t] != 0).reshape(samples, -1) for name, array in spikes.items()}, samples) for t in range(steps)
        ]
        self.most.append(np.stack(steps_of, axis=-1) if steps_of else np.zeros((2, samples, 0)))

    def _step(self, fired: Mapping[str, NDArray[np.bool_]], samples: int) -> NDArray[np.float64]:
        operations, reads, reached = self.loads.of_step(fired, samples)
        for name, neurons in reached.items():
            self.reached[name] += neurons
        self.core_operations += operations.sum(0)
        return np.stack([operations.max(1, initial=0), reads.max(1, initial=0)])

    def activity(self) -> Activity:
        if not self.samples:
            raise InputError("energy needs at least one sample of spikes")
        from_inputs = origins(self.program)
        latency = max((self.program.latency[o.node] for o in self.program.outputs.values()), default=0)
        return Activity(
            steps=self.steps,
            samples=self.samples,
            latency=latency,
            links=tuple(self._link(c, from_inputs[c.source]) for c in on_cores(self.program, self.loads.placed)),
            populations=tuple(self._population(layer, from_inputs[layer.name]) for layer in self.resources.layers),
            chips=self.resources.chips,
            board_chips=self.resources.board.chips,
            busiest=self._busiest(),
            values=sum(len(self.sent[name]) * (1 if same else self.steps) for name, same in self.constant.items()),
        )

    def _busiest(self) -> Busiest:
        most, count = np.concatenate(self.most, axis=1), max(1, self.steps * self.samples)
        rates = {name: sent / count for name, sent in self.sent.items()}
        sizes = (TIME[name].value for name in ("message_bits", "payload_bits", "remote_bits"))
        link = link_load(self.program, self.resources, rates, *sizes)
        cores = np.repeat(self.loads.placed, [layer.cores for layer in self.resources.layers])
        core = str(cores[self.core_operations.argmax()]) if len(cores) else "none"
        return Busiest(int(self.loads.stock.max(initial=0)), int(self.loads.microcode.max(initial=0)), most[0], most[1], link, core)

    def _link(self, connection: Connection, origin: str) -> Link:
        sent, synapse = self.sent[connection.source], connection.synapse
        cores = np.asarray(reach(connection, self.resources.splits[connection.target]).sum(1)).ravel().astype(np.int64)
        return Link(
            connection.source,
            connection.target,
            origin,
            events=int(sent.sum()) / self.samples,
            operations=int(sent @ synapse.fan_out()) / self.samples,
            effective=int(sent @ synapse.fan_out(effective=True)) / self.samples,
            messages=int(sent @ cores) / self.samples,
            synapses=synapse.count,
            further=self._is_further(connection),
        )

    def _is_further(self, connection: Connection) -> bool:
        """Whether an earlier connection brings the same spikes, at the same time, to the same neurons."""

        def arrives(c: Connection) -> tuple:
            return c.source, c.delay, c.lag, c.port

        before = itertools.takewhile(lambda c: c is not connection, self.program.into(connection.target))
        return any(arrives(c) == arrives(connection) and connection.synapse.connects_within(c.synapse) for c in before)

    def _population(self, layer: Layer, origin: str) -> Population:
        reached, spikes = self.reached[layer.name] / self.samples, int(self.sent[layer.name].sum()) / self.samples
        words, updates = state_words(self.program.nodes[layer.name]), layer.neurons * self.steps
        return Population(layer.name, origin, layer.tier, layer.neurons, layer.cores, words, updates, reached, spikes)


def _all_spikes(program: Program, recording: Recording) -> dict[str, NDArray]:
    """(time, batch, *shape) by node."""
    found: dict[str, NDArray] = {}
    for name in [*program.inputs, *program.neurons]:
        spikes = recording.spikes.get(name, recording.events.get(name))
        if spikes is None:
            raise InputError(f"{name!r} was not recorded: energy needs every layer, record='all', and the events")
        found[name] = np.asarray(spikes)
    if not found:
        raise InputError("a program without inputs and neurons costs nothing that could be counted")
    size = next(iter(found.values())).shape[:2]
    return found | {name: np.ones((*size, *node.shape), bool) for name, node in program.constants.items()}
