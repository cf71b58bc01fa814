"""snnTorch models that loop over time themselves and their NIR graphs by NIR's own equations: the same spikes, on every step."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from snntorch import utils
from snntorch_models import BATCH, STEPS, amplify, binary, grid, leaky, randomise_norms, run_steps, synaptic
from torch import nn

from snnfuse.export.tracing import to_nir, trace_model


class Tutorial(nn.Module):
    """snnTorch's tutorial 5: a static input, states passed along, spikes and membranes recorded."""

    num_steps = STEPS

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(10, 20), leaky(beta=0.95, init_hidden=False)
        self.fc2, self.lif2 = nn.Linear(20, 4), leaky(beta=0.95, init_hidden=False)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _ in range(self.num_steps):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def test_the_tutorial_network(agree) -> None:
    torch.manual_seed(4)
    model, x = Tutorial().double(), grid(10)[0].clamp(min=0)
    expected = model(x)[0].detach().numpy()
    model.num_steps = 3
    graph, ledger = trace_model(model, x)
    agree(graph, {"x": x.expand(STEPS, -1, -1)}, {"output": expected})
    assert set(graph.outputs) == {"output", "membrane"} and ledger == ()


class TimeMajor(nn.Module):
    """Loops over x[t], with hidden states that it resets itself, and a hand-written recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rec = nn.Linear(6, 12), nn.Linear(12, 12)
        self.lif = leaky(beta=0.9)
        self.out = nn.Linear(12, 3)
        self.lif_out = synaptic(alpha=0.5, beta=0.8, reset_mechanism="zero", reset_delay=False)

    def forward(self, x):
        utils.reset(self)
        spk, record = torch.zeros(x.size(1), 12, dtype=x.dtype), []
        for t in range(x.size(0)):
            spk = self.lif(self.fc(x[t]) + self.rec(spk))
            record.append(self.lif_out(self.out(spk)))
        return torch.stack(record)


def test_a_loop_over_time_with_a_recurrence(agree) -> None:
    torch.manual_seed(5)
    model, x = TimeMajor().double(), binary(6)
    amplify(model, 2.0)
    graph = agree(to_nir(model, x[:3]), {"x": x}, {"output": model(x).detach().numpy()})
    assert {("lif", "rec"), ("rec", "lif.membrane")} <= set(graph.edges)


def test_a_single_step_with_states_as_arguments(agree) -> None:
    class Explicit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 5), synaptic(alpha=0.5, beta=0.8, init_hidden=False)

        def forward(self, x, syn, mem):
            return self.lif(self.fc(x), syn, mem)

    torch.manual_seed(6)
    model, x = Explicit().double(), binary(6)
    syn = mem = torch.zeros(BATCH, 5, dtype=torch.float64)
    expected = []
    with torch.no_grad():
        for step in x:
            spk, syn, mem = model(step, syn, mem)
            expected.append(spk.numpy())
    graph, ledger = trace_model(model, (x[0], syn, mem))
    agree(graph, {"x": x}, {"output": np.array(expected)})
    assert set(graph.outputs) == {"output", "membrane"}
    assert {e.change for e in ledger} == {"its synaptic current is not an output of the graph"}


class Shared(nn.Module):
    """One layer for two uses in every step, what it saw of the step before concatenated, and a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rec = nn.Linear(8, 8), nn.Linear(16, 8)
        self.a, self.b = leaky(beta=0.9), leaky(beta=0.8, reset_mechanism="zero")

    def forward(self, x):
        utils.reset(self)
        a, first, second = torch.zeros(x.size(1), 8, dtype=x.dtype), [], []
        for now in x:
            a = self.a(self.rec(torch.cat([self.fc(now) * 0.5, a], 1)))
            first.append(a)
            second.append(self.b(self.fc(a) - 0.25))
        return {"first": torch.stack(first), "second": torch.stack(second)}


def test_a_layer_used_twice_in_every_step_and_outputs_by_name(agree) -> None:
    torch.manual_seed(7)
    model, x = Shared().double(), binary(8)
    amplify(model, 3.0)
    graph = agree(to_nir(model, x[:3]), {"x": x}, {name: spikes.detach().numpy() for name, spikes in model(x).items()})
    assert (graph.nodes["fc"].weight == 0.5 * graph.nodes["fc.use_2"].weight).all()


NEURONS: tuple[Callable[[], nn.Module], ...] = (
    lambda: leaky(beta=0.8),
    lambda: leaky(beta=0.7, threshold=0.7, reset_mechanism="zero"),
    lambda: leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
    lambda: synaptic(alpha=0.4, beta=0.7),
    lambda: synaptic(alpha=0.4, beta=0.7, reset_mechanism="zero", reset_delay=False),
)


class Mixed(nn.Module):
    """Two inputs over time, a recurrence, a batch norm, nested concatenations and two outputs, of any neurons."""

    def __init__(self, neurons: list[nn.Module]) -> None:
        super().__init__()
        self.a, self.rec, self.b = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(8, 12)
        self.fuse, self.norm, self.out = nn.Linear(28, 10), nn.BatchNorm1d(10), nn.Linear(38, 6)
        self.lif_a, self.lif_b, self.lif_fuse, self.lif_out = neurons

    def forward(self, x, y):
        spk, outs, fused = torch.zeros(x.size(1), 16, dtype=x.dtype), [], []
        for now, other in zip(x, y, strict=True):
            spk = self.lif_a(self.a(now) + self.rec(spk))
            side = self.lif_b(self.b(other))
            fused.append(self.lif_fuse(self.norm(self.fuse(torch.cat([spk, side], 1)))))
            outs.append(self.lif_out(self.out(torch.cat([fused[-1], torch.cat([side, spk], -1)], 1))))
        return torch.stack(outs), torch.stack(fused)


@pytest.mark.parametrize("seed", range(10))
def test_networks_of_random_neurons(agree, seed) -> None:
    torch.manual_seed(seed)
    model = Mixed([NEURONS[i]() for i in np.random.default_rng(seed).integers(len(NEURONS), size=4)]).double().eval()
    randomise_norms(model)
    amplify(model, 2.5)
    x, y = binary(8, seed=seed), binary(8, seed=seed + 100)
    with torch.no_grad():
        outs, fused = (output.numpy() for output in model(x, y))
    agree(to_nir(model, (x[:2], y[:2])), {"x": x, "y": y}, {"output_0": outs, "output_1": fused})


@pytest.mark.parametrize("start", [None, torch.zeros(1)], ids=["None", "zeros"])
def test_states_that_forward_keeps_in_attributes(agree, start) -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.hidden = nn.Linear(12, 8), synaptic(alpha=0.6, beta=0.8, init_hidden=False)
            self.read, self.out = nn.Linear(8, 4), leaky(beta=0.9, init_hidden=False)
            self.syn = self.mem = self.last = start

        def forward(self, x):
            spikes, self.syn, self.mem = self.hidden(self.fc(x), self.syn, self.mem)
            spikes, mem = self.out(self.read(spikes), self.last)
            self.last = mem.detach()
            return spikes

    torch.manual_seed(0)
    model, x = Keeping(), binary(12)
    amplify(model, 3.0)
    graph = to_nir(model, x[0])
    assert model.syn is model.mem is model.last is start
    agree(graph, {"x": x}, {"output": run_steps(model, x)[0]})


def test_a_loop_that_detaches_its_states(agree) -> None:
    class Truncated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 6), leaky(beta=0.9, init_hidden=False)

        def forward(self, x):
            mem, record = self.lif.init_leaky(), []
            for step in x:
                spikes, mem = self.lif(self.fc(step), mem.detach())
                record.append(spikes)
            return torch.stack(record)

    torch.manual_seed(0)
    model, x = Truncated().double(), binary(12)
    amplify(model, 2.0)
    agree(to_nir(model, x), {"x": x}, {"output": model(x).detach().numpy()})


@pytest.mark.parametrize(
    "steps",
    [lambda x: x.unbind(0), lambda x: [x[t, :] for t in range(len(x))], lambda x: [x[t, ...] for t in range(len(x))]],
    ids=["unbind", "colon", "dots"],
)
def test_other_ways_to_read_a_step(agree, steps) -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 6), leaky(beta=0.9)

        def forward(self, x):
            return torch.stack([self.lif(self.fc(step)) for step in steps(x)])

    torch.manual_seed(0)
    model, x = Reading().double(), binary(12)
    amplify(model, 2.0)
    agree(to_nir(model, x), {"x": x}, {"output": model(x).detach().numpy()})
