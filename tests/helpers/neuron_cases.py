"""Every way in which a snnTorch neuron can be used, as a model that can be traced: what the table of decisions is compared with.

A case says what is special about it; everything else is the neuron's default. The tests run the same models against their graphs.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import networkx
import nir
import snntorch as snn
import torch
from torch import nn

from snnfuse.export.lowering.float_neurons import is_noted
from snnfuse.export.lowering.reset_notes import read_note
from snnfuse.export.ops_table import Row
from snnfuse.export.tracing import trace_model
from snnfuse.export.tracing.neurons.rows import NOTED, OWN_NOTED, READ_BY_NOTE, READ_OF_LI
from snnfuse.export.tracing.nodes.refusal import Refusal

Shape = tuple[int, ...]
Options = dict[str, Any]
VECTOR, IMAGE = (4,), (2, 4, 4)
RECURRENT = (snn.RLeaky, snn.RSynaptic)
WITH_CURRENT = (snn.Synaptic, snn.RSynaptic)
WITH_FACTOR = (snn.Leaky,)  # takes graded_spikes_factor
WITHOUT_DELAY = (snn.Lapicque, snn.Alpha)  # has no reset_delay


class Use(nn.Module):
    """A model around one neuron; `run(model, x)` is its forward."""

    def __init__(self, neuron: nn.Module, run: Callable[["Use", torch.Tensor], Any], shape: Shape) -> None:
        super().__init__()
        self.neuron, self.run = neuron, run
        self.fc, self.after = nn.Linear(shape[0], shape[0]), snn.Leaky(0.8, init_hidden=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


def _spikes(m: Use, x: torch.Tensor) -> torch.Tensor:
    return m.neuron(x)


def _loop(m: Use, x: torch.Tensor) -> torch.Tensor:
    """snnTorch's usual loop: states start at rest and are passed along."""
    states, record = m.neuron.reset_mem(), []
    states = states if isinstance(states, tuple) else (states,)
    for now in x:
        spikes, *states = m.neuron(now, *states)
        states = (spikes, *states) if isinstance(m.neuron, RECURRENT) else states
        record.append(spikes)
    return torch.stack(record)


def _membrane(m: Use, x: torch.Tensor) -> torch.Tensor:
    return m.neuron(x)[-1]


def _beside(m: Use, x: torch.Tensor) -> Any:
    spikes, *_, membrane = m.neuron(x)
    return spikes, membrane


def _all(m: Use, x: torch.Tensor) -> Any:
    return m.neuron(x)


def _read(m: Use, x: torch.Tensor) -> torch.Tensor:
    return m.after(m.fc(m.neuron(x)[-1]))


def _twice(m: Use, x: torch.Tensor) -> torch.Tensor:
    return m.neuron(m.fc(m.neuron(x)))


def _layer(m: Use, x: torch.Tensor) -> torch.Tensor:
    return m.after(m.fc(m.neuron(x)))


@dataclass(frozen=True)
class Case:
    """One way to use a neuron.

    Attributes:
        neuron: its class.
        case: what is special about it, as users write it.
        options: what its constructor takes, for neurons of a shape.
        run: what the model around it does with it.
        shape: of the neurons, the smallest that shows the case; more of them do too.
        looped: whether the model loops over x[t] itself.
        subclass: what is built in place of the class itself.
    """

    neuron: type[nn.Module]
    case: str
    options: Callable[[Shape], Options]
    run: Callable[[Use, torch.Tensor], Any] = _spikes
    shape: Shape = VECTOR
    looped: bool = False
    subclass: type[nn.Module] | None = None

    def model(self, shape: Shape | None = None, **more: Any) -> Use:
        """The case as a model; `more` goes to the neuron's constructor too."""
        shape = self.shape if shape is None else shape
        return Use((self.subclass or self.neuron)(**self.options(shape) | more), self.run, shape)

    def sample(self) -> torch.Tensor:
        """What it is traced with: one step, or three where the model loops itself."""
        return torch.zeros(*((3,) if self.looped else ()), 1, *self.shape)


def cases() -> tuple[Case, ...]:
    """All of them, neuron by neuron."""
    return tuple(case for kind in BASE for case in _exported(kind)) + tuple(_whole_class())


BASE: dict[type[nn.Module], Callable[[Shape], Options]] = {
    snn.Leaky: lambda shape: {"beta": 0.875},
    snn.Synaptic: lambda shape: {"alpha": 0.75, "beta": 0.875},
    snn.Lapicque: lambda shape: {"beta": 0.875, "R": 10.0},
    snn.RLeaky: lambda shape: {"beta": 0.875, **_all_to_all(shape)},
    snn.RSynaptic: lambda shape: {"alpha": 0.75, "beta": 0.875, **_all_to_all(shape)},
    snn.Alpha: lambda shape: {"alpha": 0.75, "beta": 0.5},
}


def _all_to_all(shape: Shape) -> Options:
    return {"linear_features": shape[0]} if len(shape) == 1 else {"conv2d_channels": shape[0], "kernel_size": 3}


def _exported(kind: type[nn.Module]) -> Iterator[Case]:
    def case(text: str, run: Callable = _spikes, shape: Shape = VECTOR, looped: bool = False, **options: Any) -> Case:
        held = {} if looped else {"init_hidden": True}

        def taken(s: Shape) -> Options:
            return BASE[kind](s) | held | {k: v(s) if callable(v) else v for k, v in options.items()}

        return Case(kind, text, taken, run, shape, looped)

    delays = [None] if kind in WITHOUT_DELAY else [True, False]
    for reset in ("subtract", "zero"):
        for delay in delays:
            more = {} if delay is None else {"reset_delay": delay}
            text = f'reset_mechanism="{reset}"' + ("" if delay is None else f", reset_delay={delay}")
            yield case(text, reset_mechanism=reset, **more)
    yield case('reset_mechanism="none", its spikes used', reset_mechanism="none")
    yield case('reset_mechanism="none", its membrane used', _membrane, reset_mechanism="none", output=True)
    yield from _parameters(kind, case)
    if kind in RECURRENT:
        yield case("all_to_all=True, linear_features")
        yield case("all_to_all=True, conv2d_channels and kernel_size", shape=IMAGE)
        yield Case(kind, "all_to_all=False", lambda s: _one_to_one(kind, torch.tensor(0.25)))
        yield Case(kind, "all_to_all=False, V one per neuron", lambda s: _one_to_one(kind, _per_neuron(-0.5, 0.5)(s)))
    if kind in WITH_FACTOR:
        for count, factor in (("", 2.0), (" one per neuron", _per_neuron(0.5, 2))):
            yield case(f"graded_spikes_factor{count}, read by a layer", _layer, graded_spikes_factor=factor)
            yield case(f"graded_spikes_factor{count}, returned", graded_spikes_factor=factor)
    yield case("inhibition=True", inhibition=True)
    yield case("state_quant", state_quant=lambda s: torch.round)
    yield case("spike_grad that is no step when run forward", spike_grad=lambda s: torch.sigmoid)
    yield case("init_hidden=False, states passed along in forward's own loop", _loop, looped=True)
    yield case("its membrane returned beside the spikes", _beside, output=True)
    if kind in (*WITH_CURRENT, snn.Alpha):
        yield case("output=True, all states returned", _all, output=True)
    yield case("its membrane is read by a layer", _read, output=True)
    yield case("used twice in one step", _twice)
    yield replace(case("a subclass of it"), subclass=type(f"My{kind.__name__}", (kind,), {}))


def _one_to_one(kind: type[nn.Module], V: torch.Tensor) -> Options:
    decays = {k: v for k, v in BASE[kind](VECTOR).items() if k in ("alpha", "beta")}
    return {**decays, "init_hidden": True, "all_to_all": False, "V": V}


def _parameters(kind: type[nn.Module], case: Callable[..., Case]) -> Iterator[Case]:
    if kind is snn.Lapicque:  # its constructor asks whether beta is true, and takes one number
        yield case("threshold one per neuron", threshold=_per_neuron(0.5, 2))
        yield case("threshold one per channel", shape=IMAGE, threshold=_per_channel(0.5, 2))
        yield case("beta alone", R=False)
        yield case("R and C alone", beta=False, C=1.0)
        yield case("learn_beta, learn_threshold", R=False, learn_beta=True, learn_threshold=True)
        yield Case(kind, "time_step longer than R C", lambda s: {"R": 1.0, "C": 1.0, "time_step": 1.5, "init_hidden": True})
    elif kind is snn.Alpha:  # its alpha lies above its beta
        names = "alpha, beta, threshold"
        decays, channels = ((each(0.9375, 0.75), each(0.5, 0.25)) for each in (_per_neuron, _per_channel))
        yield case(f"{names} one per neuron", alpha=decays[0], beta=decays[1], threshold=_per_neuron(0.5, 2))
        yield case(f"{names} one per channel", shape=IMAGE, alpha=channels[0], beta=channels[1], threshold=_per_channel(0.5, 2))
        yield case("learn_beta, learn_threshold", learn_beta=True, learn_threshold=True)  # with learn_alpha snnTorch 1.0 fails
        yield case("alpha=1", alpha=1.0)
        yield case("beta=0", beta=0.0)
    else:
        alpha = {"alpha": _per_neuron(0.5, 0.25)} if kind in WITH_CURRENT else {}
        names = ", ".join((*alpha, "beta", "threshold"))
        yield case(f"{names} one per neuron", beta=_per_neuron(0.5, 0.9375), threshold=_per_neuron(0.5, 2), **alpha)
        alpha = {"alpha": _per_channel(0.5, 0.25)} if kind in WITH_CURRENT else {}
        yield case(f"{names} one per channel", shape=IMAGE, beta=_per_channel(0.5, 0.9375), threshold=_per_channel(0.5, 2), **alpha)
        learned = {f"learn_{name}": True for name in names.split(", ")}
        yield case(", ".join(learned), **learned)
        yield case("beta=1", beta=1.0)
        yield case("beta=1 for some", beta=_per_neuron(0.5, 1))
        if alpha:
            yield case("alpha=1", alpha=1.0)
    yield case("threshold at or below 0", threshold=-1.0)


def _per_neuron(first: float, last: float) -> Callable[[Shape], torch.Tensor]:
    """Evenly spaced sixteenths: with decays and weights on a grid, membranes meet thresholds exactly, and not almost."""
    return lambda shape: (torch.linspace(first, last, shape[0]) * 16).round() / 16


def _per_channel(first: float, last: float) -> Callable[[Shape], torch.Tensor]:
    return lambda shape: _per_neuron(first, last)(shape).reshape(-1, 1, 1)


def _whole_class() -> Iterator[Case]:
    """The classes of which no case is exported."""
    yield Case(snn.DeltaLeaky, "", lambda s: {"beta": 0.875, "init_hidden": True})
    yield Case(snn.LeakyParallel, "", lambda s: {"input_size": s[0], "hidden_size": s[0]})
    yield Case(snn.StateLeaky, "", lambda s: {"beta": 0.875, "channels": s[0]})
    yield Case(snn.LinearLeaky, "", lambda s: {"beta": 0.875, "in_features": s[0], "out_features": s[0]})
    yield Case(snn.AssociativeLeaky, "", lambda s: {"in_dim": s[0], "d_value": 2, "d_key": 2, "num_spiking_neurons": 4})
    yield Case(snn.SLSTM, "", lambda s: {"input_size": s[0], "hidden_size": s[0], "init_hidden": True})
    lstm = {"in_channels": IMAGE[0], "out_channels": 2, "kernel_size": 3, "init_hidden": True}
    yield Case(snn.SConv2dLSTM, "", lambda s: lstm, shape=IMAGE)
    yield Case(snn.LIF, "", lambda s: {"beta": 0.875})
    yield Case(snn.SpikingNeuron, "", lambda s: {})


def traced_row(case: Case) -> Row:
    """The decision for one case, from tracing it."""
    name = case.neuron.__name__
    try:
        with unlisted():
            graph, ledger = trace_model(case.model(), case.sample())
    except Refusal as error:
        return Row("snnTorch neuron", name, case.case, "refused", error.reason, error.way_out)
    if not ledger:
        return Row("snnTorch neuron", name, case.case, "exact", structure(graph))
    changes = "; ".join(f"{entry.change}, because {entry.reason}" for entry in ledger)
    return Row("snnTorch neuron", name, case.case, "approximate", f"{structure(graph)}: {changes}")


@contextmanager
def unlisted() -> Iterator[None]:
    """Neurons that are built meanwhile leave no trace in snnTorch's list of all neurons, which `snntorch.utils.reset` works on, and
    warn nobody.
    """
    before = list(snn.SpikingNeuron.instances)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        snn.SpikingNeuron.instances[:] = before


def structure(graph: nir.NIRGraph) -> str:
    """The nodes on the way from input to output by their kinds, and those that lead back."""
    (source,), (target, *others) = graph.inputs, graph.outputs
    way = networkx.shortest_path(networkx.DiGraph(list(graph.edges)), source, target)[1:-1]
    back = [type(node).__name__ for name, node in graph.nodes.items() if name not in (source, target, *others, *way)]
    noted = NOTED if any(read_note(node) for node in graph.nodes.values()) else ""
    noted += OWN_NOTED if any(is_noted(node) for node in graph.nodes.values() if not isinstance(node, nir.Output)) else ""
    if others:
        noted += READ_BY_NOTE if is_noted(graph.nodes[others[0]]) else READ_OF_LI
    return " → ".join(type(graph.nodes[name]).__name__ for name in way) + (f", back through {' and '.join(back)}" if back else "") + noted
