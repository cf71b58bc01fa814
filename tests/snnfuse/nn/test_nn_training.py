"""Training in the chip's arithmetic: after any update the module, its program and what a checkpoint holds are the same integers."""

from collections.abc import Callable
from typing import get_args

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from quantization_graphs import binary, chain, cuba, lif
from torch import nn

from snnfuse.export import lower, quantize, simulate
from snnfuse.hardware import Program, Recording, emulate
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.synapses import granularity, sign_mode
from snnfuse.hardware.overflow.observed import state_peaks
from snnfuse.nn import FixedPointNetwork, imitate, quantization_aware

STEPS, BATCH = 20, 12
RNG = np.random.default_rng


def dense(seed: int = 0, gain: float = 0.6) -> nir.NIRGraph:
    """12-10-4, with biases, the second layer with a synaptic current and hence a bias in the current."""
    rng = RNG(seed)
    first = nir.Affine(rng.normal(0, gain, (10, 12)), rng.normal(0, 0.1, 10))
    second = nir.Affine(rng.normal(0, gain, (4, 10)), rng.normal(0, 0.1, 4))
    return chain(first, lif(10, 0.9), second, cuba(4, 0.5, 0.8), size=12)


def recurrent() -> nir.NIRGraph:
    rng = RNG(1)
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": nir.Linear(rng.normal(0, 0.7, (8, 6))),
        "lif": cuba(8, 0.4, 0.9),
        "rec": nir.Linear(rng.normal(0, 0.5, (8, 8))),
        "output": nir.Output({"output": np.array([8])}),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


class Convolutional(nn.Module):
    """Convolution, BatchNorm, MaxPool of spikes, strided grouped convolution, readout membrane; resets as asked for."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.one = snn.Leaky(beta=0.8, init_hidden=True, **options)
        self.pool = nn.MaxPool2d(2)
        self.two = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)
        self.lif = snn.Synaptic(0.5, 0.7, init_hidden=True, **options)
        self.last = nn.Linear(24, 3)
        self.out = snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True, output=True)
        for layer in (self.conv, self.two):
            layer.weight.data *= 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.lif(self.two(self.pool(self.one(self.norm(self.conv(x))))))
        return self.out(self.last(spikes.flatten(1)))[1]


def train(net: FixedPointNetwork, x: torch.Tensor, updates: int = 3, lr: float = 0.1) -> None:
    """Some real updates, towards a random target."""
    optimiser = torch.optim.Adam(net.parameter_groups(lr))
    goal = torch.rand(net(x).shape[1:], generator=torch.Generator().manual_seed(0))
    for _ in range(updates):
        loss = (net(x).mean(0) - goal).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def assert_same(net: FixedPointNetwork, program: Program, x: np.ndarray | torch.Tensor) -> None:
    """Every spike and state of every population, and something to tell them by."""
    recording = assert_same_integers(net, program, np.asarray(x))
    assert any(0 < recording.spikes[n].mean() < 1 for n in program.neurons), "silent layers would agree too"


def assert_same_integers(net: FixedPointNetwork, program: Program, x: np.ndarray) -> Recording:
    """Every spike and state of every population."""
    recording = emulate(program, program.encode(x), "all", states=True)
    with torch.no_grad():
        run = net.run(torch.from_numpy(x), states=True)
    assert run.spikes.keys() == program.neurons.keys()
    for name in run.spikes:
        assert np.array_equal(run.spikes[name].numpy(), recording.spikes[name]), name
        assert np.array_equal(run.u[name].numpy(), recording.states[name]["u"]), name
        assert np.array_equal(run.v[name].numpy(), recording.states[name]["v"]), name
    return recording


@pytest.mark.parametrize("bits, max_groups", [*((bits, 1) for bits in range(1, 9)), (1, 2), (4, 2), (8, 2)])
def test_after_training_the_module_is_its_program(bits: int, max_groups: int) -> None:
    x = binary(STEPS, BATCH, 12)
    net = quantization_aware(dense(), x, weight_bits=bits, max_groups=max_groups)
    before = net.program()
    train(net, torch.from_numpy(x))
    after = net.program()
    assert any((b.synapse.values != a.synapse.values).any() for b, a in zip(before.connections, after.connections)), "nothing was learnt"
    assert_same(net, after, x)
    assert_same(net, after, binary(STEPS, BATCH, 12, rate=0.7, seed=9))
    for synapse in (c.synapse for c in after.connections if c.source != "constant"):
        assert synapse.bits == bits
        assert not (synapse.values % granularity(sign_mode(synapse.values), bits)).any()


@pytest.mark.parametrize("bits", (1, 2, 3, 4))
def test_threshold_scales_are_learnt_within_their_registers(bits: int) -> None:
    x = binary(STEPS, BATCH, 12)
    net, fixed = (quantization_aware(dense(), x, weight_bits=bits, learn_scales=learn) for learn in (True, False))
    found = [layer.scale for layer in net.layers]
    for each in (net, fixed):
        train(each, torch.from_numpy(x), updates=5)
    assert all(layer.scale != before for layer, before in zip(net.layers, found))
    assert [layer.scale for layer in fixed.layers] == found
    for layer in net.layers:
        assert (np.asarray(net.program().neurons[layer.name].vth) == np.rint(layer.theta.numpy() * layer.scale)).all()
    assert_same(net, net.program(), x)
    with torch.no_grad():
        net.layers[0].stretch.fill_(1e9)
        net.layers[1].stretch.fill_(-1.0)
    thresholds = [np.asarray(neuron.vth) for neuron in net.program().neurons.values()]
    assert all((vth >= 1).all() and (vth < 1 << 17).all() for vth in thresholds)
    assert_same_integers(net, net.program(), x)


def test_a_state_of_before_scales_were_learnt_is_loaded() -> None:
    x = binary(STEPS, BATCH, 12)
    net = quantization_aware(dense(), x, weight_bits=4)
    net.load_state_dict({name: value for name, value in net.state_dict().items() if not name.endswith("stretch")})
    assert all(layer.scale == layer.scale_found for layer in net.layers)


@pytest.mark.parametrize("reset", get_args(Reset))
@pytest.mark.parametrize("make", [dense, recurrent])
def test_every_reset_and_recurrence_is_kept(reset: str, make: Callable[[], nir.NIRGraph]) -> None:
    graph = make()
    x = binary(STEPS, BATCH, *graph.nodes["input"].input_type["input"], rate=0.5)
    net = quantization_aware(graph, x, weight_bits=5, reset=reset)
    train(net, torch.from_numpy(x))
    assert {node.reset for node in net.program().neurons.values()} == {reset}
    assert_same(net, net.program(), x)


@pytest.mark.parametrize(
    "options", [{"reset_mechanism": "zero", "reset_delay": False}, {"reset_mechanism": "subtract"}, {"reset_mechanism": "none"}]
)
def test_a_snntorch_model_of_convolutions_with_analog_input_and_readout(options: dict) -> None:
    x = torch.from_numpy(RNG(0).normal(0, 1, (8, 6, 2, 8, 8))).float()
    net = quantization_aware(Convolutional(**options).eval(), x, weight_bits=4)
    train(net, x)
    assert_same(net, net.program(), x)
    membrane = net(x)
    assert membrane.dtype == torch.float64 and membrane.shape == (8, 6, 3) and membrane.requires_grad


def test_before_training_it_is_what_quantize_makes() -> None:
    x = binary(STEPS, BATCH, 12)
    for groups in (1, 2):
        expected = quantize(dense(), x, max_groups=groups)
        found = quantization_aware(dense(), x, max_groups=groups).program()
        assert found.nodes.keys() == expected.nodes.keys() and len(found.connections) == len(expected.connections)
        for ours, theirs in zip(found.connections, expected.connections):
            if ours.source == "constant":  # may take either sign in training, so that its steps are of 2
                assert np.abs(ours.synapse.values - theirs.synapse.values).max() <= 1
                continue
            assert np.array_equal(ours.synapse.values, theirs.synapse.values) and ours.synapse.exponent == theirs.synapse.exponent


def test_what_spells_an_operation_is_not_trained() -> None:
    x = torch.from_numpy(RNG(0).normal(0, 1, (8, 6, 2, 8, 8))).float()
    net = quantization_aware(Convolutional(reset_mechanism="none").eval(), x)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(net, x)
    fixed = [name for name, parameter in net.named_parameters() if not parameter.requires_grad and "weights" in name]
    assert len(fixed) >= 3, "the maximum, and what gives back the resets"
    assert all(torch.equal(before[name], net.state_dict()[name]) for name in fixed)
    assert any(not torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_missing_synapses_stay_missing() -> None:
    weights = RNG(0).normal(0, 0.6, (10, 12)) * (RNG(1).random((10, 12)) < 0.6)
    x = binary(STEPS, BATCH, 12)
    net = quantization_aware(chain(nir.Linear(weights), lif(10, 0.9), size=12), x)
    train(net, torch.from_numpy(x))
    assert not net.program().connections[0].synapse.matrix()[weights == 0].any()


@pytest.mark.parametrize("source", ["matrix", "listed", "kernel"])
def test_gradients_are_those_of_the_float_product(source: str) -> None:
    from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, from_matrix
    from snnfuse.export.quantization.rounding import Grid
    from snnfuse.nn.products import Synapses, operator

    rng = RNG(0)
    sparse = rng.normal(0, 9, (6, 32)) * (rng.random((6, 32)) < 0.2)
    weights = {
        "matrix": DenseWeights(rng.normal(0, 9, (6, 32))),
        "listed": from_matrix(sparse),
        "kernel": ConvWeights(rng.normal(0, 9, (4, 1, 3, 3)), (2, 4, 4), (2, 1), (1, 1), groups=2),
    }[source]
    synapses = Synapses(operator(weights), ((Grid("mixed", 8, 0),),), 1)
    wanted = torch.tensor(weights.values, requires_grad=True)
    payloads = torch.randint(0, 2, (7, 32)).float().requires_grad_()
    weighted = synapses.rounded(wanted)
    arriving = weighted.arriving(payloads, wanted)
    integers = weights.synapse(weighted.parts[0].numpy().astype(np.int32), 0, 8)
    matrix = integers.matrix()
    matrix = torch.tensor(matrix if isinstance(matrix, np.ndarray) else matrix.toarray()).double()
    assert torch.equal(arriving, payloads.double() @ matrix.T)
    gradient = torch.rand(arriving.shape, dtype=torch.float64)
    arriving.backward(gradient)
    assert torch.allclose(payloads.grad.double(), gradient @ matrix, rtol=1e-5, atol=1e-4)
    for index in np.ndindex(wanted.shape):  # what one unit more of a weight brings
        more = np.zeros(wanted.shape, np.int32)
        more[index] = 1
        unit = weights.synapse(more, 0, 8).matrix()
        unit = torch.tensor(unit if isinstance(unit, np.ndarray) else unit.toarray()).double()
        assert abs(float(((payloads.double() @ unit.T) * gradient).sum().detach()) - float(wanted.grad[index])) < 1e-4


def test_the_reset_takes_no_gradient_and_surrogates_count_in_thresholds() -> None:
    from snnfuse.nn.gradients import Fire

    x = torch.tensor([-64.0, 0.0, 64.0], dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor(64.0, dtype=torch.float64)
    spikes = Fire.apply(x, threshold, 5.0)
    assert spikes.tolist() == [0.0, 0.0, 1.0]
    spikes.sum().backward()
    assert x.grad.tolist() == [1 / 64 / 36, 1 / 64, 1 / 64 / 36]


WRONG: list[tuple[dict, object, str]] = [
    ({"weight_bits": 0}, None, "weight_bits"),
    ({"weight_bits": {"nobody": 4}}, None, "names 'nobody'"),
    ({}, torch.zeros(3, 2, 5), "must have shape"),
    ({}, torch.full((3, 2, 12), 0.5), "binary spikes"),
    ({}, torch.full((3, 2, 12), float("nan")), "NaN"),
    ({}, {"other": torch.zeros(3, 2, 12)}, "inputs must be input"),
]


@pytest.mark.parametrize("settings, given, message", WRONG)
def test_what_cannot_be_is_refused(settings: dict, given: object, message: str) -> None:
    x = binary(STEPS, BATCH, 12)
    with pytest.raises((InputError, UnsupportedError), match=message):
        quantization_aware(dense(), x, **settings)(given)


def test_widths_by_population() -> None:
    x = binary(STEPS, BATCH, 12)
    net = quantization_aware(dense(), x, weight_bits={"n1": 3})
    assert {c.target: c.synapse.bits for c in net.program().connections} == {"n1": 3, "n3": 8}


def test_a_run_in_double_or_single_precision_encodes_alike() -> None:
    x = RNG(0).normal(0, 1, (STEPS, BATCH, 12))
    net = quantization_aware(dense(gain=0.3), x, input_bits=6)
    x = np.clip(x, -2, 2)  # within what calibration keeps
    for dtype in (np.float32, np.float64):
        assert_same(net, net.program(), x.astype(dtype))


@pytest.mark.parametrize("make, share", [(dense, 0.8), (recurrent, 1.0)])
def test_imitation_brings_spikes_closer_without_labels(make: Callable[[], nir.NIRGraph], share: float) -> None:
    graph = make()
    x = binary(40, 24, *graph.nodes["input"].input_type["input"])
    floats = simulate(lower(graph), {"input": x}).spikes
    net = quantization_aware(graph, x, weight_bits=3)

    def wrong() -> int:
        with torch.no_grad():
            run = net.run(torch.from_numpy(x))
        return sum(int((run.spikes[name].numpy() != floats[name]).sum()) for name in floats)

    before = wrong()
    imitate(net, x, epochs=20, batch_size=12, lr=0.01)
    assert wrong() < share * before
    assert_same(net, net.program(), x)


def test_currents_that_wrap_and_voltages_that_clip_are_kept() -> None:
    quiet = binary(STEPS, BATCH, 64, rate=0.02)
    graph = chain(nir.Linear(RNG(0).normal(0.3, 0.3, (6, 64))), cuba(6, 0.9, 0.9), size=64)
    net = quantization_aware(graph, quiet)
    loud = binary(STEPS, BATCH, 64, rate=0.9)
    program = net.program()
    peaks = state_peaks(program, program.encode(loud))["n1"]
    assert peaks.wraps and peaks.clipped_low
    assert_same(net, program, loud)


def test_lags_delays_and_skipped_layers_are_kept() -> None:
    rng = RNG(2)
    nodes = {
        "input": nir.Input({"input": np.array([8])}),
        "fc": nir.Linear(rng.normal(0, 0.6, (6, 8))),
        "one": lif(6, 0.9),
        "wait": nir.Delay(np.full(6, 3e-4)),
        "on": nir.Linear(rng.normal(0, 0.6, (5, 6))),
        "skip": nir.Linear(rng.normal(0, 0.4, (5, 8))),
        "two": lif(5, 0.8),
        "output": nir.Output({"output": np.array([5])}),
    }
    paths = ["input fc", "fc one", "one wait", "wait on", "on two", "input skip", "skip two", "two output"]
    edges = [tuple(path.split()) for path in paths]
    x = binary(STEPS, BATCH, 8, rate=0.5)
    net = quantization_aware(nir.NIRGraph(nodes, edges, type_check=False), x, weight_bits=4)
    train(net, torch.from_numpy(x))
    program = net.program()
    assert {c.lag for c in program.connections} == {0, 3} and {c.delay for c in program.connections} == {0, 1}
    assert_same(net, program, x)
