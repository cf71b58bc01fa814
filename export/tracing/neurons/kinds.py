"""Which neurons are exported, and how: by exact class, for a subclass may compute anything."""

from collections.abc import Callable
from dataclasses import dataclass

import snntorch as snn
from snntorch import SpikingNeuron
from torch import nn

from snnfuse.export.tracing.neurons.nodes import integrators, spell
from snnfuse.export.tracing.neurons.readers import read_lapicque, read_leaky, read_rleaky, read_rsynaptic, read_synaptic
from snnfuse.export.tracing.neurons.rule import Rule, refuse_extras
from snnfuse.export.tracing.nodes.pieces import Piece
from snnfuse.export.tracing.nodes.refusal import Refused


@dataclass(frozen=True)
class Kind:
    """A neuron that is exported.

    Attributes:
        states: as forward takes and returns them, in order; "spk" is what it put out in the step before.
        read: path, module, shape of the neurons and a name for messages to its rule.
    """

    states: tuple[str, ...]
    read: Callable[[str, SpikingNeuron, tuple[int, ...], str], Rule]


KINDS: dict[type[nn.Module], Kind] = {
    snn.Leaky: Kind(("mem",), read_leaky),
    snn.Synaptic: Kind(("syn", "mem"), read_synaptic),
    snn.Lapicque: Kind(("mem",), read_lapicque),
    snn.RLeaky: Kind(("spk", "mem"), read_rleaky),
    snn.RSynaptic: Kind(("spk", "syn", "mem"), read_rsynaptic),
}
_LSTM = "its gates multiply states with each other, and NIR and the chip's neurons add only"
_WHOLE = "it takes all time steps at once, and one time step of NIR cannot hold it"
_BASE = Refused("it is a base class without a forward", "use snntorch.Leaky")
REFUSED: dict[type[nn.Module], Refused] = {
    snn.Alpha: Refused(
        "its membrane is the difference of two synaptic currents, which its resets clear or shift too, and no NIR neuron does that",
        "use snntorch.Synaptic(alpha, beta, reset_delay=False) and train again",
    ),
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
FOREIGN = Refused(
    "this class of neuron is not exported, nor a subclass of one that is", "use snntorch.Leaky or snntorch.Synaptic itself"
)
READ_AND_RECURRENT = Refused(
    "its membrane is returned and its spikes drive it on, and a population on the chip puts out one of the two", "return its spikes"
)


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is one of snnTorch's neurons; not all of them are a SpikingNeuron."""
    return isinstance(module, (SpikingNeuron, *REFUSED))


def kind_of(module: nn.Module, where: str) -> Kind:
    """How a neuron is exported.

    Raises:
        UnsupportedError: it is not.
    """
    kind = KINDS.get(type(module))
    if kind is not None:
        return kind
    known = REFUSED.get(type(module))
    if known is not None:
        raise known.at(where)
    raise FOREIGN.at(where)


def lower_neuron(name: str, path: str, neuron: SpikingNeuron, shape: tuple[int, ...], dt: float, readout: bool) -> Piece:
    """A neuron as NIR; its spikes, or as a readout its membrane, are the output of the node called `name`.

    Args:
        path: the module's.
        shape: of the neurons, without batch.
        dt: seconds per step.
        readout: whether the membrane is read, and not the spikes.

    Raises:
        UnsupportedError: the rule cannot be kept.
        InputError: a parameter is not finite, or does not fit the shape.
    """
    where = f"{path} ({type(neuron).__name__})"
    refuse_extras(neuron, where)
    rule = kind_of(neuron, where).read(path, neuron, shape, where)
    if not readout:
        return spell(name, path, rule, dt)
    if rule.recurrent is not None:
        raise READ_AND_RECURRENT.at(where)
    return integrators(name, name, rule, dt)
