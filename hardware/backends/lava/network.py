"""A Program as a graph of Lava processes, with ports that one can wire on. Importing this module imports Lava."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.processes.inverse_root import InverseRootProcess
from snnfuse.hardware.backends.lava.processes.lif_subtract import LIFSubtract, LIFSubtractDelayed
from snnfuse.hardware.backends.lava.synapses import build_synapse, connect_in, connect_out
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.graded import Product
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Constant, Neuron
from snnfuse.hardware.ir.program import Program

WINDOWED = {"zero": stock.LIFReset, "subtract": LIFSubtract, "subtract_delayed": LIFSubtractDelayed}
FOREVER = {"reset_interval": 2**31 - 1, "reset_offset": 0}  # the first step counts as 1, so the offset 0 is 2**31 - 1 steps away


@dataclass(frozen=True, eq=False)
class LavaNetwork:
    """Processes that are wired among themselves, and wait for a source of events.

    Run any of them with `Loihi2SimCfg(select_tag="fixed_pt")`; Lava takes along whatever is connected to it.

    Attributes:
        program: what they came from.
        neurons: a process per neuron population, in the population's shape: port s_out, and of a Lif the variables u and v and
            the port a_in; of a Relay and an InverseRoot the port a_in, of a Product the ports a_in1 and a_in2.
        constants: a process per constant.
        synapses: a process per connection, in the program's order.
        resets: processes that clear the buffers of recurrent and lagging synapses.
        inputs: by input name, the synapses' in-ports that its events go to; `feed` connects them with the axes each one wants.
        outputs: by output name, the spikes of the population that it reads.
    """

    program: Program
    neurons: Mapping[str, stock.AbstractProcess]
    constants: Mapping[str, stock.AbstractProcess]
    synapses: tuple[stock.AbstractProcess, ...]
    resets: tuple[stock.AbstractProcess, ...]
    inputs: Mapping[str, tuple[stock.InPort, ...]]
    outputs: Mapping[str, stock.OutPort]

    def feed(self, name: str, port: stock.OutPort) -> None:
        """Connect an out-port, of the input's shape, that sends binary or graded events as the input declares.

        Raises:
            InputError: no such input, or the port has another shape.
        """
        if name not in self.program.inputs:
            raise InputError(f"no input {name!r}; this program has {', '.join(self.program.inputs)}")
        shape = self.program.inputs[name].shape
        if tuple(port.shape) != tuple(shape):
            raise InputError(f"input {name!r} has shape {shape}, the port {tuple(port.shape)}")
        for connection, synapse in zip(self.program.connections, self.synapses):
            if connection.source == name:
                connect_in(port, synapse)


def to_lava(program: Program, steps: int | None = None, resets: bool = True) -> LavaNetwork:
    """Build the processes of a program.

    Args:
        program: what to build.
        steps: length of a sample. With it, samples that are fed back to back, the first from the first step on, run in windows as
            a Program defines them: each population's state, and what a recurrent synapse holds, is cleared at the start of its
            own window, which is step 1 + latency of the sample. Where connections lag, the last `blank_steps(program)` of these
            steps are blank: they are in nobody's window, and nothing is fed. Without it the network runs on and nothing is ever
            cleared, so that a bias charges before input arrives.
        resets: whether to clear what recurrent and lagging synapses hold; a single sample does without.

    Raises:
        EnvironmentProblem: Lava is missing or not the release that this was written for.
        InputError: steps is not positive.
    """
    if steps is not None and steps < 1:
        raise InputError(f"a sample needs at least one step, not {steps}")
    neurons = {name: _neuron(program, name, node, steps) for name, node in program.neurons.items()}
    constants = {name: _constant(name, node) for name, node in program.nodes.items() if isinstance(node, Constant)}
    synapses = tuple(
        build_synapse(c, program.nodes[c.source], f"{c.source} to {c.target} #{i}") for i, c in enumerate(program.connections)
    )
    sources = {**neurons, **constants}
    for connection, synapse in zip(program.connections, synapses):
        if connection.source in sources:
            connect_in(sources[connection.source].s_out, synapse)
        connect_out(synapse, _in_port(neurons[connection.target], connection))
    return LavaNetwork(
        program=program,
        neurons=neurons,
        constants=constants,
        synapses=synapses,
        resets=_resets(program, synapses, steps) if steps and resets else (),
        inputs={n: tuple(s.s_in for c, s in zip(program.connections, synapses) if c.source == n) for n in program.inputs},
        outputs={name: neurons[output.node].s_out for name, output in program.outputs.items()},
    )


def _neuron(program: Program, name: str, node: Neuron, steps: int | None) -> stock.AbstractProcess:
    """Graded neurons have nothing to clear, so that they are the same with windows and without."""
    if isinstance(node, Lif):
        return _lif(program, name, node, steps)
    if isinstance(node, Product):
        process = stock.ProdNeuron(shape=tuple(node.shape), vth=0, exp=int(node.exponent))
    elif isinstance(node, InverseRoot):
        process = InverseRootProcess(shape=tuple(node.shape), gain=int(node.gain))
    else:
        process = stock.GradedVec(shape=tuple(node.shape), vth=0)
    process.name = name  # neither takes one
    return process


def _in_port(neuron: stock.AbstractProcess, connection: Connection) -> stock.InPort:
    if isinstance(neuron, stock.ProdNeuron):
        return (neuron.a_in1, neuron.a_in2)[connection.port]
    return neuron.a_in


def _lif(program: Program, name: str, lif: Lif, steps: int | None) -> stock.AbstractProcess:
    parameters = {
        "name": name,
        "shape": tuple(lif.shape),
        "du": _register(lif.du),
        "dv": _register(lif.dv),
        "vth": _register(lif.vth),
        "bias_mant": np.broadcast_to(lif.bias_mant, lif.shape).astype(np.int16),
        "bias_exp": np.broadcast_to(lif.bias_exp, lif.shape).astype(np.int16),
    }
    if steps is None and lif.reset == "zero":
        return stock.LIF(**parameters)
    clearing = FOREVER if steps is None else {"reset_interval": steps, "reset_offset": (1 + program.latency[name]) % steps}
    return WINDOWED[lif.reset](**parameters, **clearing)


def _register(value: int | NDArray[np.int32]) -> int | NDArray[np.int32]:
    """A plain int, or int32 array: Lava keeps whatever type it is given, and shifts in it."""
    return int(value) if np.ndim(value) == 0 else np.asarray(value, np.int32)


def _constant(name: str, node: Constant) -> stock.AbstractProcess:
    """Bias 1 over threshold 0: it fires on every step."""
    return stock.LIF(name=name, shape=tuple(node.shape), du=4095, dv=0, vth=0, bias_mant=np.ones(node.shape, np.int16))


def _resets(program: Program, synapses: tuple[stock.AbstractProcess, ...], steps: int) -> tuple[stock.AbstractProcess, ...]:
    """Clear what recurrent and lagging synapses hold at the end of the step before each window of their source."""
    resets = []
    for connection, synapse in zip(program.connections, synapses):
        if connection.is_recurrent or connection.lag:
            reset = stock.Reset(interval=steps, offset=(program.latency[connection.source] - 1) % steps)
            reset.connect_var(synapse.a_buf if isinstance(synapse, stock.Conv) else synapse.a_buff)
            resets.append(reset)
    return tuple(resets)
