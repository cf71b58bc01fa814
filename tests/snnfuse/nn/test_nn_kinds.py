"""Training in integers of neurons outside the LIF family: after any update module, emulator and reference are the same integers."""

import copy
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

import snnfuse
from snnfuse.compile import Settings, compile, source_of
from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.quantization.output_search import Judge
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.reading import EACH_OWN
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import AlphaLif, Maximum, Program, emulate
from snnfuse.hardware.backends.reference import emulate as by_reference
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.nn import FixedPointNetwork, imitate, quantization_aware
from snnfuse.nn.neurons import Learnt, maximum
from snnfuse.nn.tuning import Tuning, tune
from snnfuse.training.evaluation import count_spikes

STEPS, BATCH = 14, 6
RNG = np.random.default_rng


class Step(nn.Module):
    """Layers in a row, one time step."""

    def __init__(self, *layers: nn.Module, gain: float = 3.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.data *= gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def alphas(reset: str, bias: bool = True, **options: object) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_hidden": True, "reset_mechanism": reset, "threshold": 0.3} | options
    first, second = snn.Alpha(0.85, 0.6, **options), snn.Alpha(0.7, 0.5, **options)
    return Step(nn.Linear(12, 10, bias=bias), first, nn.Linear(10, 5, bias=bias), second, gain=2.0).eval()


def pooled(pool: nn.Module, *behind: nn.Module, size: int = 27) -> nn.Module:
    """A convolution of numbers, a pooling of its sums, neurons, and a layer behind them."""
    torch.manual_seed(1)
    made = Step(nn.Conv2d(2, 3, 3), pool, *behind, nn.Flatten(), nn.Linear(size, 4), snn.Leaky(beta=0.8, init_hidden=True))
    return made.eval()


class Pairs(nn.Module):
    """Pools of pairs of what a layer with a bias gives: a bias per port."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc, self.pool, self.lif = nn.Linear(12, 10), nn.MaxPool1d(2), leaky()
        self.fc.weight.data *= 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif(self.pool(self.fc(x)))


def leaky(**options: object) -> snn.Leaky:
    return snn.Leaky(beta=0.7, init_hidden=True, **options)


def normed() -> nn.Module:
    torch.manual_seed(2)
    norm = nn.BatchNorm2d(3)
    norm.weight.data, norm.running_mean = torch.tensor([-0.8, 1.2, 0.5]), torch.tensor([0.1, -0.2, 0.0])
    return norm


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy((RNG(seed).random((STEPS, BATCH, *shape)) < rate).astype(np.float32))


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(RNG(seed).normal(0, 1, (STEPS, BATCH, *shape)).astype(np.float32))


POOLS = {
    "whole windows": (lambda: pooled(nn.MaxPool2d(2), leaky(reset_mechanism="zero", reset_delay=False)), (2, 8, 8)),
    "padded": (lambda: pooled(nn.MaxPool2d(3, 2, padding=1), normed(), leaky(), size=27), (2, 7, 7)),
    "alpha behind": (lambda: pooled(nn.MaxPool2d(2), snn.Alpha(0.8, 0.5, init_hidden=True)), (2, 8, 8)),
    "a bias per port": (Pairs, (12,)),
    "in a row": (lambda: pooled(nn.MaxPool2d(2), nn.Conv2d(3, 3, 1), nn.MaxPool2d(3), leaky(), size=3), (2, 8, 8)),
}


def train(net: FixedPointNetwork, x: torch.Tensor, updates: int = 3) -> None:
    optimiser = torch.optim.Adam(net.parameter_groups(0.1))
    goal = torch.rand(net(x).shape[1:], generator=torch.Generator().manual_seed(0))
    for _ in range(updates):
        loss = (net(x).mean(0) - goal).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def assert_same(net: FixedPointNetwork, program: Program, x: torch.Tensor) -> None:
    """Every spike, number and state of every step, and something to tell them by."""
    events = program.encode(x.numpy())
    recordings = [run(program, events, "all", states=True) for run in (emulate, by_reference)]
    with torch.no_grad():
        run = net.run(x, states=True)
    assert run.spikes.keys() == program.neurons.keys()
    for recording in recordings:
        for name, node in program.neurons.items():
            assert np.array_equal(run.spikes[name].numpy(), recording.spikes[name]), name
            assert tuple(run.states.get(name, {})) == node.states
            for state in node.states:
                assert np.array_equal(run.states[name][state].numpy(), recording.states[name][state]), (name, state)
    assert all(len(values.unique()) > 1 for values in run.spikes.values()), "silent layers would agree too"


@pytest.mark.parametrize("reset, bits", [("zero", 1), ("zero", 3), ("subtract", 3), ("none", 3), ("subtract", 8)])
def test_alpha_neurons_after_training_are_their_program(reset: str, bits: int) -> None:
    x = spikes(12)
    net = quantization_aware(alphas(reset), x, weight_bits=bits, learn_scales=True if bits == 3 else None)
    before = net.program()
    assert [type(n) for n in before.neurons.values()] == [AlphaLif, AlphaLif] and {n.reset for n in before.neurons.values()} == {reset}
    assert_same(net, before, x)
    train(net, x)
    after = net.program()
    changed = {
        (a.source == "constant", bool((b.synapse.values != a.synapse.values).any())) for b, a in zip(before.connections, after.connections)
    }
    assert (False, True) in changed and (True, True) in changed, "weights and biases learn"
    assert (net.layers[0].scale != net.layers[0].scale_found) == (bits <= 3), "by default at 2 bits or 1"
    assert_same(net, after, x)
    assert_same(net, after, spikes(12, rate=0.7, seed=9))


@pytest.mark.parametrize("case", POOLS)
def test_maxima_of_numbers_after_training_are_their_program(case: str) -> None:
    made, shape = POOLS[case]
    x = numbers(*shape)
    net = quantization_aware(made(), x, weight_bits=5)
    before = net.program()
    names = [name for name, node in before.neurons.items() if isinstance(node, Maximum)]
    assert len(names) == (2 if case == "in a row" else 1)
    assert_same(net, before, x)
    train(net, x)
    after = net.program()
    if case == "a bias per port":
        both = [(b, a) for b, a in zip(before.connections, after.connections) if a.source == "constant"]
        assert {a.port for _, a in both} == {0, 1} and any((b.synapse.values != a.synapse.values).any() for b, a in both)
    for name in names:
        into = [(b.synapse.values, a.synapse.values) for b, a in zip(before.connections, after.connections) if a.target == name]
        assert any(not np.array_equal(b, a) for b, a in into), "nothing was learnt before the maximum"
    assert_same(net, after, x)
    assert_same(net, after, numbers(*shape, seed=5) * 3)


def test_the_places_of_a_pool_keep_sharing_one_kernel() -> None:
    made, shape = POOLS["whole windows"]
    x = numbers(*shape)
    net = quantization_aware(made(), x)
    train(net, x)
    name = next(n for n, node in net.program().neurons.items() if isinstance(node, Maximum))
    weights = [c.synapse.values for c in net.program().connections if c.target == name and c.source == "x"]
    kernels = [values[values != 0].tolist() for values in weights]
    assert len(kernels) == 4 and len({values.shape for values in weights}) == 1 and all(kernel == kernels[0] for kernel in kernels)
    assert len(set(map(id, net.layers[0].weights))) == 1


def test_a_gradient_goes_to_the_port_that_holds_the_largest() -> None:
    a, b = (torch.tensor([values], dtype=torch.float64, requires_grad=True) for values in ([3.0, -5.0, 2.0], [1.0, 7.0, 2.0]))
    learnt = Learnt(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 5.0)
    sent, state = maximum(Maximum((3,), 2), [8, 8], learnt)((), (a, b))
    assert sent.tolist() == [[3.0, 7.0, 2.0]] and state == ()
    sent.sum().backward()
    assert a.grad.tolist() == [[1.0, 0.0, 0.5]] and b.grad.tolist() == [[0.0, 1.0, 0.5]]
    low = torch.full((1, 3), -(2.0**31), dtype=torch.float64)
    assert maximum(Maximum((3,), 2), [8, 8], learnt)((), (low, low))[0].tolist() == [[0.0] * 3]


@pytest.mark.parametrize("reset", ("zero", "subtract", "none"))
def test_alpha_gradients_are_those_of_the_float_neuron_with_the_same_surrogate(reset: str) -> None:
    """At 8 bits and by snnTorch's own equations in float64, of which the integers are a rounding: the same direction."""
    x, model = spikes(12), alphas(reset, bias=False)
    net = quantization_aware(model, x)
    net(x)[:, :, 0].sum().backward()
    restated = copy.deepcopy(model).double()
    ours, theirs = net.layers[0].weights[0].grad, _restated(restated, x.double(), reset, net.layers[0].slope)
    cosine = float((ours * theirs).sum() / (ours.norm() * theirs.norm()))
    assert cosine > 0.95, cosine


def _restated(model: nn.Module, x: torch.Tensor, reset: str, slope: float) -> torch.Tensor:
    """The gradient of the first output's spikes into the first weights, by snnTorch's equations of Alpha."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v, theta):
            ctx.save_for_backward(v)
            ctx.theta = theta
            return (v > 0).double()

        @staticmethod
        def backward(ctx, gradient):
            (v,) = ctx.saved_tensors
            return gradient / (1 + slope * v.abs() / ctx.theta) ** 2 / ctx.theta, None

    linear = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    cells = [layer for layer in model.layers if isinstance(layer, snn.Alpha)]
    states, sent = [[torch.zeros(())] * 3 for _ in cells], []
    for current in x:
        for layer, cell, state in zip(linear, cells, states):
            e, h, v = state
            theta, arriving = float(cell.threshold), layer(current)
            late = (v > theta).double().detach()
            slow, fast = np.log(float(cell.alpha)), np.log(float(cell.beta))
            tau = slow / (fast - slow) + 1
            syn_exc, syn_inh = float(cell.alpha) * e + arriving, float(cell.beta) * h - arriving
            mem = tau * (syn_exc + syn_inh)
            if reset == "zero":
                syn_exc, syn_inh, mem = ((1 - late) * part for part in (syn_exc, syn_inh, mem))
            elif reset == "subtract":
                syn_exc, syn_inh, mem = syn_exc - late * theta, (1 - late) * syn_inh, mem + late * h
            state[:] = syn_exc, syn_inh, mem
            current = Spike.apply(mem - theta, theta)
        sent.append(current)
    torch.stack(sent)[:, :, 0].sum().backward()
    return linear[0].weight.grad


@pytest.mark.parametrize("make", [lambda: (alphas("subtract"), spikes(12)), lambda: (POOLS["alpha behind"][0](), numbers(2, 8, 8))])
def test_before_training_it_is_what_quantize_makes_and_a_checkpoint_brings_it_back(
    make: Callable[[], tuple[nn.Module, torch.Tensor]], tmp_path: Path
) -> None:
    model, x = make()
    graph = to_nir(model, x[0, :1])
    net, expected = quantization_aware(graph, x), quantize(graph, x.numpy(), max_groups=1)
    assert [(c.source, c.target, c.port, c.synapse.exponent, c.synapse.bits) for c in net.program().connections] == [
        (c.source, c.target, c.port, c.synapse.exponent, c.synapse.bits) for c in expected.connections
    ]
    train(net, x)
    snnfuse.save_checkpoint(net, tmp_path / "q.pt")
    loaded = snnfuse.load_checkpoint(tmp_path / "q.pt")
    assert_same(loaded, net.program(), x)
    compiled = compile(source_of(loaded), snnfuse.data.samples.Samples({"x": x.numpy()}, None, "here"), Settings())
    assert_same(net, compiled.program, x)


@pytest.mark.parametrize(
    "bits, make", [(2, lambda: (alphas("zero"), spikes(12))), (3, lambda: (POOLS["alpha behind"][0](), numbers(2, 8, 8)))]
)
def test_imitation_reaches_them(bits: int, make: Callable[[], tuple[nn.Module, torch.Tensor]]) -> None:
    model, x = make()
    graph = to_nir(model, x[0, :1])
    net = quantization_aware(graph, x, weight_bits=bits)
    floats = simulate(lower(graph), {"x": x.numpy()}).spikes

    def wrong() -> int:
        with torch.no_grad():
            run = net.run(x)
        return sum(int((run.spikes[layer.name].numpy() != floats[layer.name]).sum()) for layer in net.layers if layer.fires)

    before = wrong()
    imitate(net, x, epochs=15, batch_size=3, lr=0.03)
    assert wrong() < before
    assert_same(net, net.program(), x)


@pytest.mark.parametrize(
    "bits, make, names",
    [
        (2, lambda: (alphas("zero"), spikes(12)), {"layers.1", "layers.3"}),
        pytest.param(3, lambda: (POOLS["alpha behind"][0](), numbers(2, 8, 8)), {"layers.2", "layers.5"}, marks=pytest.mark.slow),
    ],
)
def test_a_repair_of_few_bits_reaches_them(bits: int, make: Callable[[], tuple[nn.Module, torch.Tensor]], names: set[str]) -> None:
    model, x = make()
    settings = QuantizationSettings(weight_bits=bits, max_groups=1)
    context = calibrate(*prepare(to_nir(model, x[0, :1]), {"x": x.numpy()}, settings))
    judge, fits, told = Judge(context, EACH_OWN, np.arange(BATCH)), fit_all(context, settings), list[str]()
    found = tune(judge, fits, Tuning(epochs=8), told.append)
    assert {text.split(",")[0] for text in told} == names
    assert judge.distance(found).total < judge.distance(fits).total and any(found[name].is_trained for name in names)
    program = judge.program(found)
    mine, expected = (run(program, program.encode(x.numpy()), "all", states=True) for run in (emulate, by_reference))
    assert all(np.array_equal(mine.spikes[name], expected.spikes[name]) for name in program.neurons)


def test_spike_rates_leave_numbers_out() -> None:
    made, shape = POOLS["whole windows"]
    x = numbers(*shape)
    net = quantization_aware(made(), x)
    with count_spikes(net) as seen, torch.no_grad():
        net(x)
    assert 0 < seen.rate < 1 and seen.places == STEPS * BATCH * (27 + 4)


def test_kinds_without_a_form_for_training_are_refused_by_name() -> None:
    from snnfuse.export.lowering.float_neurons import to_node
    from snnfuse.export.lowering.resonate_and_fire import Resonator

    cell = to_node(Resonator(*map(np.array, (5.0, 0.9, 1.0))), (4,), 1e-4)
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(np.ones((4, 3))), "rf": cell}
    nodes["output"] = nir.Output({"output": np.array([4])})
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "rf"), ("rf", "output")], type_check=False)
    with pytest.raises(UnsupportedError, match=r"rf \(ResonateAndFire\); train it in float and quantize it"):
        quantization_aware(graph, spikes(3))
