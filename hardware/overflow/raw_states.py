"""What a population's states, or payloads, were before wrap and clip, from a recorded run."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.fixed_point import shift
from snnfuse.hardware.ir.nodes import Connection, Neuron
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.overflow.intervals import bounds_form


def excess(program: Program, recording: Recording, name: str, neuron: int, event: str) -> NDArray[np.int64]:
    """How far a neuron's value lies beyond its register, (time, batch); above 0 the event happens.

    Args:
        program, recording: a run, with its events, all spikes, and the population's states.
        name, neuron: a population, and the index of one of its neurons in C order.
        event: one of the kind's `events`.
    """
    found = bounds_form(program.neurons[name]).events[event]
    return found.excess(raw_states(program, recording, name, neuron)[found.value])


def raw_states(program: Program, recording: Recording, name: str, neuron: int) -> Mapping[str, NDArray[np.int64]]:
    """Every value that an event is about, before wrap and clip, of one neuron, (time, batch); arguments as for `excess`."""
    node = one_neuron(program.neurons[name], neuron)
    states = recording.states.get(name, {})
    alone = {x: values.reshape(*values.shape[:2], -1)[..., neuron, None] for x, values in states.items()}
    inputs = [_arriving(program, recording, name, neuron, port)[..., None] for port in range(node.ports)]
    raw = bounds_form(node).raw(node, inputs, alone)
    return {value: numbers[..., 0] for value, numbers in raw.items()}


def one_neuron(node: Neuron, neuron: int) -> Neuron:
    """A population of one of a population's neurons, by its index in C order."""
    values = {field.name: getattr(node, field.name) for field in fields(node) if field.name != "shape"}
    chosen = {name: int(np.ravel(value)[neuron]) for name, value in values.items() if np.ndim(value) and np.shape(value) == node.shape}
    return replace(node, shape=(1,), **chosen)


def _arriving(program: Program, recording: Recording, name: str, neuron: int, port: int = 0) -> NDArray[np.int64]:
    """What arrives at a port, in exact integers, (time, batch)."""
    time, batch = next(iter(recording.events.values())).shape[:2]
    total = np.zeros((time, batch), np.int64)
    for c in program.into(name):
        if c.port == port:
            total += later(_weighted(c, neuron, _sent(program, recording, c.source, (time, batch))), c.lag + c.is_recurrent)
    return total


def _sent(program: Program, recording: Recording, source: str, size: tuple[int, int]) -> NDArray:
    if source in program.constants:
        return np.ones((*size, program.nodes[source].size), np.int64)
    sent = recording.events[source] if source in recording.events else recording.spikes[source]
    return sent.reshape(*size, -1)


def _weighted(connection: Connection, neuron: int, sent: NDArray) -> NDArray[np.int64]:
    columns, weights = connection.synapse.row(neuron)
    return shift(sent[..., columns].astype(np.int64) @ weights, connection.synapse.exponent)
