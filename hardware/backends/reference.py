"""The specification that one can read: a Program, step by step, in NumPy.

Every node is evaluated over its own window. In that time a matched feed-forward connection takes no steps but its lag: at step t
of the target's window arrives what the source sent at step t - lag of its own. A recurrent connection takes one step more. So
populations run one after the other, each over all time steps, and only the neuron's own recurrence is a loop.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.fixed_point import shift, to_int32
from snnfuse.hardware.ir.nodes import Connection, Neuron
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording, recorded_nodes
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.hardware.ir.synapses.exact_products import product


def emulate(program: Program, events: Mapping[str, NDArray], record: str | Iterable[str] = "outputs", states: bool = False) -> Recording:
    """Run a program.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input, as `program.encode` makes them.
        record: "outputs", "all", or names of neuron populations.
        states: whether to keep the states of the recorded populations too, of those that have any; those of membrane outputs are
            always kept.

    Returns:
        Recording with bool spikes, int32 graded spikes and int32 states, (time, batch, *shape), each in its node's window.

    Raises:
        InputError: events that the program does not take, or an unknown node.
    """
    events = check_events(program, events)
    sent: dict[str, NDArray] = dict(events)
    time, batch = next(iter(sent.values())).shape[:2]
    sent |= {name: np.ones((time, batch, *node.shape), np.int32) for name, node in program.constants.items()}
    nodes, with_states = recorded_nodes(program, record, states)
    kept = {}
    for name, node in program.neurons.items():
        sent[name], traces = _run_population(program, name, node, sent, (time, batch), keep=name in with_states)
        if traces:
            kept[name] = traces
    return make_recording(program, {n: sent[n] for n in nodes}, kept, "reference", events)


def _run_population(
    program: Program, name: str, node: Neuron, sent: Mapping[str, NDArray], size: tuple[int, int], keep: bool
) -> tuple[NDArray, dict[str, NDArray[np.int32]]]:
    time, batch = size
    drives = [_feed_forward_input(program, name, port, sent, size) for port in range(node.ports)]
    feedback = [c for c in program.into(name) if c.is_recurrent]
    state = node.rest(batch)
    spikes = np.zeros((time, batch, *node.shape), np.int32 if node.sends_numbers else np.bool_)
    traces = {variable: np.zeros(spikes.shape, np.int32) for variable in node.states} if keep else {}
    for t in range(time):
        inputs = [drive[t] for drive in drives]
        for c in (c for c in feedback if t > c.lag):
            inputs[c.port] = inputs[c.port] + _recurrent_input(c, spikes[t - 1 - c.lag])
        spikes[t], state = node.step(state, [to_int32(a) for a in inputs])
        for trace, values in zip(traces.values(), state):
            trace[t] = values
    return spikes, traces


def _feed_forward_input(program: Program, name: str, port: int, sent: Mapping[str, NDArray], size: tuple[int, int]) -> NDArray[np.int64]:
    """The sum of what arrives at one port from other populations, (time, batch, *shape)."""
    shape = program.nodes[name].shape
    arriving = [c for c in program.into(name) if c.port == port and not c.is_recurrent]
    drive = sum((later(synaptic_input(c.synapse, sent[c.source]), c.lag) for c in arriving), np.int64(0))
    return np.broadcast_to(drive, (*size, int(np.prod(shape)))).reshape(*size, *shape)


def _recurrent_input(connection: Connection, spikes: NDArray) -> NDArray[np.int64]:
    return synaptic_input(connection.synapse, spikes[None])[0].reshape(spikes.shape)


def synaptic_input(synapse: Synapse, spikes: NDArray) -> NDArray[np.int64]:
    """shift(W s, exponent) for spikes (time, batch, *source) -> int64 (time, batch, targets), wrapped at 32 bits as in Lava."""
    total = to_int32(_sums(synapse, spikes)).astype(np.int64)
    return to_int32(shift(total, synapse.exponent)).astype(np.int64)


def later(values: NDArray, steps: int) -> NDArray:
    """(time, ...) moved back by steps, zeros first: what a connection of that lag brings."""
    return values if not steps else np.concatenate([np.zeros_like(values[:steps]), values[:-steps]])


def _sums(synapse: Synapse, spikes: NDArray) -> NDArray[np.int64]:
    time, batch = spikes.shape[:2]
    return product(synapse.matrix(), spikes.reshape(time * batch, -1)).reshape(time, batch, -1)
