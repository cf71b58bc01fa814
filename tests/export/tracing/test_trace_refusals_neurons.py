"""Neurons, states and loops over time that the compiler cannot keep it refuses: by name, with the reason and a way out, in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from refused_models import Model, assert_refused, chain, lif, step, syn
from torch import nn


def loop(body: Callable, steps: int = 3, start: Callable | None = None, **modules: nn.Module) -> tuple[nn.Module, torch.Tensor]:
    """A forward over x[t]: body(model, x[t], t, carried) gives (recorded, carried)."""

    def run(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        carried, record = start(m, x) if start else None, []
        for t in range(x.size(0)):
            recorded, carried = body(m, x[t], t, carried)
            record.append(recorded)
        return torch.stack(record)

    return Model(run, **{"fc": nn.Linear(4, 4), "lif": lif(), **modules}), torch.zeros(steps, 2, 4)


def zeros(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(2, 4)


def tampered(**attributes: Any) -> nn.Module:
    neuron = lif(reset_delay=False)
    for name, value in attributes.items():
        setattr(neuron, name, value)
    return neuron


class Subclass(snn.Leaky):
    """A neuron of a user's, which may compute anything."""


def recurrent(layer: nn.Module) -> nn.Module:
    neuron = snn.RLeaky(0.9, linear_features=4, init_hidden=True)
    neuron.recurrent = layer
    return neuron


def hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, given, out: out * 2)
    return layer


def twice_the_state(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    spk, mem = m.lif(m.fc(x), torch.zeros(2, 4))
    return spk


def skipping_loop(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([m.lif(m.fc(x[t])) for t in range(2)])


def delay_line(m: nn.Module, now: torch.Tensor, t: int, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    spk = m.lif(m.fc(now))
    return m.lif2(m.fc2(spk) + m.fc3(before)), spk


def feeds_back(m: nn.Module, now: torch.Tensor, t: int, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    spk, mem = m.lif(m.fc(now) + before)
    return mem, spk


REFUSED: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str, str]] = {
    # name: model and sample, what the message names, the reason and the way out in it
    "graded output": (
        lambda: chain(nn.Linear(4, 4), lif(graded_spikes_factor=torch.tensor([1.0, 2.0, 1.0, 2.0]))),
        "1 (Leaky)",
        "its graded spikes are returned",
    ),
    "graded by zero": (lambda: chain(nn.Linear(4, 4), lif(graded_spikes_factor=0.0)), "1 (Leaky)", "a graded_spikes_factor of 0 loses"),
    "inhibition": (lambda: chain(nn.Linear(4, 4), lif(inhibition=True)), "1 (Leaky)", "inhibition lets only the largest"),
    "state quant": (lambda: chain(nn.Linear(4, 4), lif(state_quant=lambda x: x)), "1 (Leaky)", "state_quant rounds the state"),
    "surrogate": (lambda: chain(nn.Linear(4, 4), lif(spike_grad=torch.sigmoid)), "1 (Leaky)", "is not a step at the threshold"),
    "negative": (lambda: chain(nn.Linear(4, 4), lif(threshold=-1.0)), "1 (Leaky)", "its threshold is -1;"),
    "threshold 0": (
        lambda: chain(nn.Linear(4, 4), syn(threshold=torch.tensor([1.0, 0.0, 1.0, 1.0]))),
        "1 (Synaptic)",
        "keep thresholds above zero: shift the bias",
    ),
    "mixed reset": (
        lambda: chain(nn.Linear(4, 4), tampered(reset_mechanism_val=torch.tensor(1))),
        "1 (Leaky)",
        "built to reset by 'subtract'",
    ),
    "other neuron": (lambda: chain(nn.Linear(4, 4), snn.SLSTM(4, 4, init_hidden=True)), "1 (SLSTM)", "its gates multiply states"),
    "subclass": (lambda: chain(nn.Linear(4, 4), Subclass(beta=0.9)), "1 (Subclass)", "nor a subclass of one that is"),
    "long time step": (
        lambda: chain(nn.Linear(4, 4), snn.Lapicque(R=1.0, C=1.0, time_step=1.5, init_hidden=True)),
        "1 (Lapicque)",
        "its time_step is longer than R C",
    ),
    "reset of RSynaptic": (
        lambda: chain(nn.Linear(4, 4), snn.RSynaptic(0.5, 0.9, linear_features=4, reset_delay=False, init_hidden=True)),
        "1 (RSynaptic)",
        "use reset_delay=True",
    ),
    "foreign recurrence": (
        lambda: chain(nn.Linear(4, 4), recurrent(nn.Sequential(nn.Linear(4, 4)))),
        "1 (RLeaky): its recurrent layer",
        "Sequential is none that snnTorch makes",
    ),
    "hooked recurrence": (
        lambda: chain(nn.Linear(4, 4), recurrent(hooked(nn.Linear(4, 4)))),
        "1 (RLeaky): its recurrent layer",
        "a forward hook may change",
    ),
    "shared neuron": (
        lambda: step(lambda m, x: m.lif(m.fc(m.lif(x)))),
        "forward",
        "steps 0 and 1 of its loop differ: input 'x' against fc (Linear); make every step of the loop the same, and give every",
    ),
    "fresh state": (
        lambda: step(twice_the_state, lif=snn.Lapicque(beta=0.9)),
        "lif (Lapicque)",
        "its state is set from a tensor in every call",
    ),
    "membrane read": (
        lambda: step(lambda m, x: m.lif2(m.lif(m.fc(x))[1]), lif=lif(output=True), lif2=lif()),
        "lif (Leaky): its mem",
        "lif2 (Leaky) reads it, and NIR passes on spikes only",
    ),
    "body differs": (
        lambda: loop(lambda m, x, t, c: (m.lif(m.fc(x) if t != 2 else m.fc(x) + x), None)),
        "forward",
        "steps 2 and 1 of its loop differ",
    ),
    "short loop": (
        lambda: (Model(skipping_loop, fc=nn.Linear(4, 4), lif=lif()), torch.zeros(3, 2, 4)),
        "input 'x'",
        "3 time steps and the loop runs 2",
    ),
    "reset inside": (
        lambda: loop(lambda m, x, t, c: (m.lif(m.fc(x)), m.lif.reset_mem())),
        "lif (Leaky)",
        "does not continue from its state",
    ),
    "delayed line": (
        lambda: loop(delay_line, start=zeros, lif2=lif(), fc2=nn.Linear(4, 4), fc3=nn.Linear(4, 4)),
        "lif (Leaky): its spikes",
        "its spikes of the step before reach lif2 (Leaky)",
    ),
    "membrane fed back": (
        lambda: loop(lambda m, x, t, c: m.lif(m.fc(x) + c), start=zeros, lif=lif(output=True)),
        "lif (Leaky): its mem",
        "NIR feeds back spikes only",
    ),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_with_reason_and_way_out(case: str) -> None:
    build, where, why = REFUSED[case]
    assert_refused(*build(), where, why)
