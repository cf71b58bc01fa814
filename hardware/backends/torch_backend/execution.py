"""Blocks of samples through a Plan: every population over all steps of a block, feed-forward synapses for all of them at once."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE
from snnfuse.hardware.backends.torch_backend.neurons import States
from snnfuse.hardware.backends.torch_backend.plan import Plan, Population
from snnfuse.hardware.ir.nodes import Neuron

Arrays = dict[str, dict[str, NDArray]]  # by node: "spikes", and its states where they are kept; (time, batch, *shape)


class Carry(NamedTuple):
    """What a node takes from one block of steps into the next.

    Attributes:
        history: what it sent on its last steps, bool or int32 (steps, batch, neurons).
        state: of its neurons; empty for inputs and neurons without states.
    """

    history: Tensor
    state: States = ()


def run_block(
    plan: Plan,
    events: Mapping[str, NDArray],
    carried: dict[str, Carry],
    kept: Arrays,
    steps: slice,
    samples: slice,
    tick: Callable[[], None] | None = None,
) -> None:
    """Some steps of some samples; the results go into `kept`.

    Args:
        plan: the program.
        events: integers (time, batch, *shape), all of them.
        carried: by node, from the steps before, empty at the first; updated.
        kept: where recorded values are written.
        steps, samples: which.
        tick: called after each population.
    """
    time, batch = steps.stop - steps.start, samples.stop - samples.start
    sent: dict[str, Tensor] = {}  # by node (history + time, batch, neurons): what came before, and the block's own steps
    for name, array in events.items():
        before = carried[name].history if name in carried else torch.zeros(plan.history[name], batch, array[0, 0].size, dtype=torch.int32)
        sent[name] = torch.cat([before.to(plan.device), _to_device(array[steps, samples], plan.device)])
        carried[name] = Carry(_last(sent[name], plan.history[name]))
    for population in plan.populations:
        name, wanted = population.name, kept.get(population.name, {})
        carry = carried.get(name) or _at_rest(population, plan.history[name], batch, plan.device)
        sent[name] = torch.empty(len(carry.history) + time, batch, population.neurons, dtype=population.dtype, device=plan.device)
        sent[name][: len(carry.history)] = carry.history
        traces, state = _run(population, sent, plan.history, carry.state, time, [x for x in wanted if x != "spikes"])
        carried[name] = Carry(_last(sent[name], plan.history[name]), state)
        for variable, values in (traces | {"spikes": sent[name][-time:]}).items():
            if variable in wanted:
                wanted[variable][steps, samples] = values.cpu().numpy().reshape(wanted[variable][steps, samples].shape)
        if tick:
            tick()


def _to_device(array: NDArray[np.int32], device: torch.device) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array).reshape(*array.shape[:2], -1)).to(device)


def _last(sent: Tensor, steps: int) -> Tensor:
    """A copy, so that a block's own memory goes with the block."""
    return sent[len(sent) - steps :].clone()


def _at_rest(population: Population, history: int, batch: int, device: torch.device) -> Carry:
    """Before its window a population has sent nothing: payloads of 0, which add nothing."""
    nothing = torch.zeros(history, batch, population.neurons, dtype=population.dtype, device=device)
    return Carry(nothing, tuple(torch.as_tensor(x.reshape(batch, -1), dtype=DTYPE, device=device) for x in population.node.rest(batch)))


def _run(
    population: Population, sent: Mapping[str, Tensor], history: Mapping[str, int], state: States, time: int, traced: list[str]
) -> tuple[dict[str, Tensor], States]:
    """Fill in what a population sends in a block; returns the states asked for, int32 (time, batch, neurons), and the last state."""
    out, first, names = sent[population.name], history[population.name], population.node.states
    drives = _feed_forward(population, sent, history, time)
    if not names and not population.feedback:
        out[first:], _ = population.step((), drives)
        return {}, ()
    traces = {variable: torch.empty(time, *out.shape[1:], dtype=torch.int32, device=out.device) for variable in traced}
    for t in range(time):
        inputs = [drive[t] for drive in drives]
        for arrival in population.feedback:
            arrival.synapse.add_to(inputs[arrival.port], out[first + t - arrival.steps])
        out[first + t], state = population.step(state, inputs)
        for variable, trace in traces.items():
            trace[t] = state[names.index(variable)]
    return traces, state


def _feed_forward(population: Population, sent: Mapping[str, Tensor], history: Mapping[str, int], time: int) -> list[Tensor]:
    """What arrives at each port from other populations, float64 (time, batch, neurons)."""
    batch = sent[population.name].shape[1]
    drives = [constant.expand(time, batch, -1).clone() for constant in population.constant]
    for source, port, steps, synapse in population.arriving:
        start = history[source] - steps
        synapse.add_to(drives[port].view(time * batch, -1), sent[source][start : start + time].reshape(time * batch, -1))
    return drives


def empty_arrays(neurons: Mapping[str, Neuron], states: set[str], time: int, batch: int) -> Arrays:
    """Where a recording is written, by node."""
    arrays: Arrays = {}
    for name, node in neurons.items():
        size = (time, batch, *node.shape)
        arrays[name] = {"spikes": np.empty(size, np.int32 if node.sends_numbers else np.bool_)}
        arrays[name] |= {variable: np.empty(size, np.int32) for variable in node.states if name in states}
    return arrays
