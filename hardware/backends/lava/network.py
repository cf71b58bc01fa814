"""A Program as a graph of Lava processes, with ports that one can wire on. Importing this module imports Lava."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.neuron_form import LavaNeuron, Window
from snnfuse.hardware.backends.lava.synapses import build_synapse, connect_in, connect_out
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import Constant, Neuron
from snnfuse.hardware.ir.program import Program


@dataclass(frozen=True, eq=False)
class LavaNetwork:
    """Processes that are wired among themselves, and wait for a source of events.

    Run any of them with `Loihi2SimCfg(select_tag="fixed_pt")`; Lava takes along whatever is connected to it.

    Attributes:
        program: what they came from.
        neurons: a process per neuron population, in the population's shape: port s_out, a variable for each of its states, such as u
            and v of a Lif, and the in-ports of its kind (`neurons`): a_in; of a Product a_in1 and a_in2.
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
    forms = {name: lava_form(node) for name, node in program.neurons.items()}
    windows = {name: _window(program.latency[name], steps) for name in forms}
    neurons = {name: forms[name].build(name, node, windows[name]) for name, node in program.neurons.items()}
    constants = {name: _constant(name, node) for name, node in program.constants.items()}
    synapses = tuple(build_synapse(c, program.nodes[c.source], f"{c.source} to {c.target} #{i}") for i, c in enumerate(program.connections))
    sources = {**neurons, **constants}
    for connection, synapse in zip(program.connections, synapses):
        if connection.source in sources:
            connect_in(sources[connection.source].s_out, synapse)
        connect_out(synapse, getattr(neurons[connection.target], forms[connection.target].ports[connection.port]))
    return LavaNetwork(
        program=program,
        neurons=neurons,
        constants=constants,
        synapses=synapses,
        resets=_resets(program, synapses, steps) if steps and resets else (),
        inputs={n: tuple(s.s_in for c, s in zip(program.connections, synapses) if c.source == n) for n in program.inputs},
        outputs={name: neurons[output.node].s_out for name, output in program.outputs.items()},
    )


def _window(latency: int, steps: int | None) -> Window | None:
    """Of a population that lags the input by so many steps."""
    return None if steps is None else {"reset_interval": steps, "reset_offset": (1 + latency) % steps}


def lava_form(node: Neuron) -> LavaNeuron:
    """What a node's kind is on Lava."""
    return NEURONS.of(node).form("lava")


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
