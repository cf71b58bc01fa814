"""Which neurons are exported, and how: by exact class, for a subclass may compute anything.

snnTorch's are listed here. A user's own module is registered where it is defined:

    register_module(MyNeuron, states=("real", "imag"), lower=lambda module, shape, dt: Resonator(module.period, module.alpha, module.theta))
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import snntorch as snn
from snntorch import SpikingNeuron
from torch import nn

from snnfuse.export.lowering.float_neurons import FloatNeuron, to_node
from snnfuse.export.tracing.neurons.nodes import integrators, spell
from snnfuse.export.tracing.neurons.readers import read_alpha, read_lapicque, read_leaky, read_rleaky, read_rsynaptic, read_synaptic
from snnfuse.export.tracing.neurons.rule import Rule, refuse_extras
from snnfuse.export.tracing.nodes.pieces import Piece, single
from snnfuse.export.tracing.nodes.refusal import Refused


@dataclass(frozen=True)
class Kind:
    """A neuron that is exported.

    Attributes:
        states: as forward takes and returns them, in order; "spk" is what it put out in the step before.
        read: path, module, shape of the neurons and a name for messages to its rule, or to a neuron that NIR lacks.
    """

    states: tuple[str, ...]
    read: Callable[[str, Any, tuple[int, ...], str], Rule | FloatNeuron]


Lower = Callable[[Any, tuple[int, ...], float], nir.NIRNode | FloatNeuron]


@dataclass(frozen=True)
class OwnKind:
    """A user's own module that is exported as one population.

    Attributes:
        states: as of `Kind`.
        lower: module, shape of the neurons and seconds per step to a standard NIR node, or to a neuron that NIR lacks.
    """

    states: tuple[str, ...]
    lower: Lower


KINDS: dict[type[nn.Module], Kind] = {
    snn.Leaky: Kind(("mem",), read_leaky),
    snn.Synaptic: Kind(("syn", "mem"), read_synaptic),
    snn.Lapicque: Kind(("mem",), read_lapicque),
    snn.RLeaky: Kind(("spk", "mem"), read_rleaky),
    snn.RSynaptic: Kind(("spk", "syn", "mem"), read_rsynaptic),
    snn.Alpha: Kind(("syn_exc", "syn_inh", "mem"), read_alpha),
}
_LSTM = "its gates multiply states with each other, and NIR and the chip's neurons add only"
_WHOLE = "it takes all time steps at once, and one time step of NIR cannot hold it"
_BASE = Refused("it is a base class without a forward", "use snntorch.Leaky")
REFUSED: dict[type[nn.Module], Refused] = {
    snn.DeltaLeaky: Refused(
        "it fires where the membrane moved by more than delta_threshold in either direction, and NIR compares the membrane itself",
        "encode the input's changes with snntorch.spikegen.delta, and use snntorch.Leaky",
    ),
    snn.LeakyParallel: Refused(
        f"{_WHOLE}; its RNN also clips a negative membrane to zero in every step",
        'use a torch.nn.Linear and snntorch.Leaky(reset_mechanism="none"), and train again',
    ),
    snn.StateLeaky: Refused(
        _WHOLE, 'use snntorch.Leaky(beta=exp(-1/tau), threshold=threshold, reset_mechanism="none"), which computes the same step by step'
    ),
    snn.LinearLeaky: Refused(
        _WHOLE, 'use its .linear and snntorch.Leaky(beta=exp(-1/tau), reset_mechanism="none"), which compute the same step by step'
    ),
    snn.AssociativeLeaky: Refused(f"{_WHOLE}; its state is a matrix of products of inputs", "use a torch.nn.Linear and snntorch.Leaky"),
    snn.SLSTM: Refused(_LSTM, "use snntorch.RSynaptic(linear_features=hidden_size) behind a torch.nn.Linear, and train again"),
    snn.SConv2dLSTM: Refused(
        _LSTM, "use snntorch.RSynaptic(conv2d_channels=out_channels, kernel_size=kernel_size) behind a torch.nn.Conv2d, and train again"
    ),
    snn.LIF: _BASE,
    snn.SpikingNeuron: _BASE,
}
FOREIGN = Refused("this class of neuron is not exported, nor a subclass of one that is", "use snntorch.Leaky or snntorch.Synaptic itself")
OWN_READ = Refused("a state of it is returned, and not its spikes", "return its spikes")

_own: dict[type[nn.Module], OwnKind] = {}


def register_module(module: type[nn.Module], *, states: tuple[str, ...], lower: Lower) -> None:
    """Register how a module of the user's own, a population of neurons, is exported; a later registration of a class replaces it.

    It is called as snnTorch's neurons are: forward(x, *states) returns (spikes, *states), spikes of 0 and 1; with an attribute
    `init_hidden` that is true, forward(x) returns spikes, and the states are buffers of these names. Its forward is not traced.

    Args:
        module: the class; subclasses are not included.
        states: their names, in order.
        lower: of (module, shape, dt) the neurons without batch, as a node of NIR, or as a `FloatNeuron` of a registered kind.
    """
    _own[module] = OwnKind(tuple(states), lower)


def states_of(module: nn.Module) -> tuple[str, ...]:
    """The states of a neuron that is exported; empty for any other module."""
    kind = _own.get(type(module)) or KINDS.get(type(module))
    return kind.states if kind else ()


def is_own(module: nn.Module) -> bool:
    """Whether a module is a neuron of the user's own."""
    return type(module) in _own


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is one of snnTorch's neurons, not all of which are a SpikingNeuron, or a registered one."""
    return is_own(module) or isinstance(module, (SpikingNeuron, *REFUSED))


def kind_of(module: nn.Module, where: str) -> Kind | OwnKind:
    """How a neuron is exported.

    Raises:
        UnsupportedError: it is not.
    """
    kind = _own.get(type(module)) or KINDS.get(type(module))
    if kind is not None:
        return kind
    known = REFUSED.get(type(module))
    if known is not None:
        raise known.at(where)
    raise FOREIGN.at(where)


def lower_neuron(
    name: str, path: str, neuron: SpikingNeuron, shape: tuple[int, ...], dt: float, readout: bool, stored: bool = False
) -> Piece:
    """A neuron as NIR; its spikes, or as a readout, which never fires, its membrane are the output of the node called `name`.

    Args:
        path: the module's.
        shape: of the neurons, without batch.
        dt: seconds per step.
        readout: whether the membrane is read, and not the spikes.
        stored: whether the membrane is read beside them, so that a delayed reset to zero must leave it in place for a step.

    Raises:
        UnsupportedError: the rule cannot be kept.
        InputError: a parameter is not finite, or does not fit the shape.
    """
    where = f"{path} ({type(neuron).__name__})"
    kind = kind_of(neuron, where)
    if isinstance(kind, OwnKind):
        return _own_piece(name, kind.lower(neuron, shape, dt), shape, dt, where, readout)
    refuse_extras(neuron, where)
    rule = kind.read(path, neuron, shape, where)
    if isinstance(rule, FloatNeuron):
        return _own_piece(name, rule, shape, dt, where, readout)
    return integrators(name, name, rule, dt) if readout else spell(name, rule, dt, stored)


def _own_piece(name: str, lowered: nir.NIRNode | FloatNeuron, shape: tuple[int, ...], dt: float, where: str, readout: bool) -> Piece:
    """Neurons that NIR lacks as one node, whose output is their spikes."""
    if readout:
        raise OWN_READ.at(where)
    return single(name, to_node(lowered, shape, dt) if isinstance(lowered, FloatNeuron) else lowered)
