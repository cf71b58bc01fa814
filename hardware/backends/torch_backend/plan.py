"""A Program on a device: every population with its parameters and synapse groups, and what a sample takes of the memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE
from snnfuse.hardware.backends.torch_backend.neurons import Step
from snnfuse.hardware.backends.torch_backend.precision import Bounds, program_bounds
from snnfuse.hardware.backends.torch_backend.synapses import DeviceSynapse
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import Connection, Neuron
from snnfuse.hardware.ir.program import Program

CHUNK_SHARE = 4  # a product's operands may take one part in so many of the memory
STEP_TENSORS = 12  # float64 tensors that a step of a population has at a time, at most


class Arrival(NamedTuple):
    """A connection into a population.

    Attributes:
        source, port: as in the program.
        steps: back from a step of the target to that of the source which arrives at it.
        synapse: its weights.
    """

    source: str
    port: int
    steps: int
    synapse: DeviceSynapse


@dataclass(frozen=True, eq=False)
class Population:
    """One population on a device.

    Attributes:
        name, node: in the program.
        neurons: how many.
        step: computes a time step; see `neurons`.
        arriving: from other populations.
        feedback: from itself.
        constant: by port, what constants add on every step, float64 (neurons,).
    """

    name: str
    node: Neuron
    neurons: int
    step: Step
    arriving: tuple[Arrival, ...]
    feedback: tuple[Arrival, ...]
    constant: tuple[Tensor, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Of what it sends."""
        return torch.int32 if self.node.sends_numbers else torch.bool


@dataclass(frozen=True, eq=False)
class Plan:
    """A Program on a device.

    Attributes:
        program: of which it is.
        device: where.
        populations: feed-forward sources first.
        history: by node, how many of its last steps the next block still needs.
        step_bytes: what one step of one sample takes in a block.
        sample_bytes: what a sample takes however many steps a block has.
    """

    program: Program
    device: torch.device
    populations: tuple[Population, ...]
    history: Mapping[str, int]
    step_bytes: int
    sample_bytes: int


def make_plan(program: Program, device: torch.device, float32: bool, memory: int) -> Plan:
    """Bring a program onto a device.

    Args:
        float32: whether float32 products are exact there.
        memory: bytes of working arrays.
    """
    bounds = program_bounds(program)
    synapses = {c: DeviceSynapse(c, bounds, device, float32, memory // CHUNK_SHARE) for c in program.connections}
    populations = tuple(_population(program, name, bounds, synapses, device) for name in program.neurons)
    history = {name: max((_steps_back(c) for c in program.connections if c.source == name), default=0) for name in program.nodes}
    return Plan(program, device, populations, history, *_bytes(program, populations, history))


def _bytes(program: Program, populations: tuple[Population, ...], history: Mapping[str, int]) -> tuple[int, int]:
    """Per step of a sample: what every node sends, the largest population's drives and states. Per sample: all states, the steps
    that are kept, and what a step of the largest population works with.
    """
    width = {name: node.size * (4 if node.sends_numbers or name in program.inputs else 1) for name, node in program.nodes.items()}
    largest = max((p.neurons for p in populations), default=0)
    step = sum(width.values()) + max((8 * (p.node.ports + 1) * p.neurons for p in populations), default=0)
    states = sum(8 * max(len(p.node.states), 2) * p.neurons for p in populations)
    kept = sum(2 * steps * width[name] for name, steps in history.items())
    return step, states + kept + 8 * STEP_TENSORS * largest


def _steps_back(connection: Connection) -> int:
    return connection.lag + connection.is_recurrent


def block_sizes(plan: Plan, time: int, batch: int, memory: int) -> tuple[int, int]:
    """Steps and samples of a block that stays within a memory: whole samples, or else steps of one, at least one step."""
    left = memory - memory // CHUNK_SHARE
    samples = left // (time * plan.step_bytes + plan.sample_bytes)
    if samples:
        return time, min(samples, batch)
    return min(time, max(1, (left - plan.sample_bytes) // plan.step_bytes)), 1


def _population(
    program: Program, name: str, bounds: Bounds, synapses: Mapping[Connection, DeviceSynapse], device: torch.device
) -> Population:
    node, into = program.neurons[name], program.into(name)
    feed_forward = [c for c in into if not c.is_recurrent and program.nodes[c.source].is_timed]
    feedback = [c for c in into if c.is_recurrent]

    def arrival(c: Connection) -> Arrival:
        return Arrival(c.source, c.port, _steps_back(c), synapses[c])

    return Population(
        name,
        node,
        node.size,
        NEURONS.of(node).form("torch")(node, device, bounds.drives(program, name)),
        tuple(arrival(c) for c in feed_forward),
        tuple(arrival(c) for c in feedback),
        tuple(_constant_input(program, name, port, synapses, device) for port in range(node.ports)),
    )


def _constant_input(program: Program, name: str, port: int, synapses: Mapping[Connection, DeviceSynapse], device: torch.device) -> Tensor:
    drive = torch.zeros(1, program.nodes[name].size, dtype=DTYPE, device=device)
    for c in program.into(name):
        if c.port == port and not program.nodes[c.source].is_timed:
            synapses[c].add_to(drive, torch.ones(1, c.synapse.size[1], dtype=torch.bool, device=device))
    return drive[0]
