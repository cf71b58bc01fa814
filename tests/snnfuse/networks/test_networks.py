"""The networks against an independent reading of their equations, and every rule they refuse to break."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from snnfuse import networks
from snnfuse.hardware.errors import InputError
from snnfuse.networks import L2Normalise, Neuron
from snnfuse.networks.fd_fusion import FDFusionConfig

SMALL = {"image": (1, 8, 8), "audio": 12, "classes": 4, "channels": (2, 3), "hidden": (10,), "embedding": 6, "fused": 5}
KNOWN = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten, nn.Dropout, nn.Identity, snntorch.Leaky,
         snntorch.Synaptic, L2Normalise)  # fmt: skip


def small(**config: object) -> nn.Module:
    torch.manual_seed(0)
    return networks.build("fd-fusion", {**SMALL, **config}).eval()


def inputs(model: nn.Module, time: int = 7, batch: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = {"image": (1, 8, 8), "audio": (12,)}
    return [torch.randint(-8, 9, (time, batch, *shapes[name]), generator=generator) / 4 for name in model.inputs]


def make_exact(model: nn.Module) -> nn.Module:
    """Weights on a coarse grid and decays of a half, so that no sum is rounded and equality can be asked for."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                for parameter in module.parameters():
                    parameter.copy_((parameter * 16).round() / 4)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eps = 0.0  # then batch norm with its first statistics is the identity
    return model


@pytest.mark.parametrize("modality, names", [("fusion", ("image", "audio")), ("vision", ("image",)), ("audio", ("audio",))])
@pytest.mark.parametrize("l2", ["none", "per-step"])
def test_a_step_gives_binary_spikes(modality: str, names: tuple[str, ...], l2: str) -> None:
    model = small(modality=modality, l2=l2)
    spikes = networks.run(model, *inputs(model))
    assert model.inputs == names and spikes.shape == (7, 3, 4)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert all(isinstance(module, KNOWN) for module in model.modules() if not list(module.children()))


def test_it_is_small_enough_for_a_slow_simulator() -> None:
    model = networks.build("fd-fusion", {})
    neurons = 0

    def count(module: nn.Module, args: tuple, spikes: torch.Tensor) -> None:
        nonlocal neurons
        neurons += spikes[0].numel()

    for module in model.modules():
        if isinstance(module, snntorch.SpikingNeuron):
            module.register_forward_hook(count)
    networks.run(model.eval(), torch.zeros(1, 1, 1, 28, 28), torch.zeros(1, 1, 144))
    assert neurons == 8 * 14 * 14 + 16 * 7 * 7 + 64 + 128 + 64 + 64 + 10


def step_by_hand(v: np.ndarray, x: np.ndarray, beta: float, reset: str) -> tuple[np.ndarray, np.ndarray]:
    """Reset at once. To zero, as the chip does: p = beta v + x; s = p > 1; v = 0 where s. By subtraction, as snnTorch does:
    s = p > 1 + (v > 1), because it subtracts for a stored v above threshold first; v = p - s."""
    p = beta * v + x
    if reset == "zero":
        return p > 1, np.where(p > 1, 0, p)
    s = p > 1 + (v > 1)
    return s, p - s


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_the_audio_net_equals_its_equations(reset: str) -> None:
    rule = Neuron(beta=0.5, reset=reset)
    model = make_exact(small(modality="audio", neuron=rule, audio_neuron=rule))
    (x,) = inputs(model, time=20)
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    layers = [(w.weight.detach().double().numpy(), 0 if w.bias is None else w.bias.detach().double().numpy()) for w in linears]
    states = [np.zeros((3, len(weight))) for weight, _ in layers]
    expected = []
    for spikes in x.double().numpy():
        for i, (weight, bias) in enumerate(layers):
            spikes, states[i] = step_by_hand(states[i], spikes @ weight.T + bias, 0.5, reset)
        expected.append(spikes)
    actual = networks.run(model, x)
    np.testing.assert_array_equal(actual.detach().numpy(), np.array(expected))
    assert 0 < actual.mean() < 1


@pytest.mark.parametrize("l2", ["none", "per-step"])
@pytest.mark.parametrize("neuron", [Neuron(beta=0.5), Neuron(beta=0.5, alpha=0.5), Neuron(beta=0.5, reset="subtract", reset_delay=True)])
def test_folded_time_gives_the_same_spikes(neuron: Neuron, l2: str) -> None:
    model = make_exact(small(neuron=neuron, audio_neuron=neuron, l2=l2))
    x = inputs(model)
    one, other = networks.run(model, *x), networks.run_folded(model, *x)
    assert torch.equal(one, other) and one.any()
    assert torch.equal(networks.run(model, *x), one), "run_folded must leave the model as it was"


def test_folded_time_restores_the_model_after_an_error() -> None:
    model = small()
    with pytest.raises(RuntimeError):
        networks.run_folded(model, torch.zeros(2, 1, 1, 8, 8), torch.zeros(2, 1, 11))
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_runs_start_from_rest_and_leave_no_state() -> None:
    model = small()
    first = networks.run(model, *inputs(model))
    assert torch.equal(networks.run(model, *inputs(model)), first)
    assert all(module.mem.numel() == 0 for module in model.modules() if isinstance(module, snntorch.Leaky))


def test_inputs_must_share_time_and_batch() -> None:
    model = small()
    with pytest.raises(InputError, match=r"must share \(time, batch\)"):
        networks.run(model, torch.zeros(3, 2, 1, 8, 8), torch.zeros(2, 2, 12))
    with pytest.raises(InputError, match="nothing"):
        networks.run_folded(model)


def test_ties_go_to_the_lowest_index() -> None:
    spikes = torch.zeros(4, 3, 5)
    spikes[:2, 1, 2] = spikes[2:, 1, 4] = spikes[0, 2, 3] = 1
    assert networks.decode(spikes).tolist() == [0, 2, 3]


def test_l2_gives_the_length_and_keeps_silence() -> None:
    layer = L2Normalise(scale=5.0)
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert layer.eval()(x).tolist() == [[3.0, 4.0], [0.0, 0.0]]
    assert layer.running_norm == 1, "eval must not track"
    maps = layer(torch.ones(2, 1, 5, 5))
    assert maps.shape == (2, 1, 5, 5) and maps.unique().tolist() == [1.0]


def test_l2_folds_to_scale_over_mean_norm() -> None:
    layer = L2Normalise(scale=6.0, momentum=1.0).train()
    layer(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 0.0]]))  # mean norm 2: silence counts for nothing
    gain, (change, reason) = layer.folded_scale()
    assert gain == 3.0
    assert "constant gain 3" in change and "chip" in reason
    layer(torch.zeros(2, 2))
    assert layer.running_norm == 2


def test_l2_passes_a_bounded_gradient() -> None:
    x = torch.tensor([[2.0, 0.0], [0.0, 0.0]], requires_grad=True)
    L2Normalise(scale=6.0)(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 3.0], [6.0, 6.0]]  # scale / norm, none along x itself; silence has norm 1


def test_a_configuration_survives_json() -> None:
    model = small(neuron=Neuron(alpha=0.5), l2="per-step")
    name, config = networks.describe(model)
    again = networks.build(name, json.loads(json.dumps(config)))
    assert again.config == model.config and asdict(again.config) == config
    assert networks.describe(nn.Linear(1, 1)) is None


def test_a_user_registers_a_factory() -> None:
    @networks.architecture("test-perceptron")
    def perceptron(*, width: int, classes: int = 3) -> nn.Module:
        return nn.Linear(width, classes)

    assert networks.describe(networks.build("test-perceptron", {"width": 2})) == ("test-perceptron", {"width": 2})
    assert networks.describe(perceptron(width=2, classes=4)) == ("test-perceptron", {"width": 2, "classes": 4})
    with pytest.raises(InputError, match="does not take this configuration: missing"):
        networks.build("test-perceptron", {})


@pytest.mark.parametrize(
    "config, message",
    [
        ({"modality": "smell"}, "modality must be one of fusion, vision, audio, not 'smell'"),
        ({"l2": "L3"}, "l2 must be one of none, per-step, per-step-host, membrane, time-average, not 'L3'"),
        ({"dropout": 1.0}, "dropout"),
        ({"neuron": {"beta": 1.0}}, "beta must lie in"),
        ({"neuron": {"alpha": -0.1}}, "alpha must lie in"),
        ({"neuron": {"threshold": 0}}, "threshold must be positive"),
        ({"neuron": {"reset": "none"}}, "reset must be one of zero, subtract"),
        ({"neuron": {"speed": 3}}, "does not take this configuration"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        networks.build("fd-fusion", config)


def test_an_unknown_architecture_lists_the_known() -> None:
    with pytest.raises(InputError, match="unknown architecture 'resnet'; there are fd-fusion"):
        networks.build("resnet", {})
    with pytest.raises(ValueError, match="registered twice"):
        networks.architecture("fd-fusion")(nn.Identity)


def test_the_default_deploys_to_the_chip() -> None:
    neuron = FDFusionConfig().neuron
    assert (neuron.reset, neuron.reset_delay, neuron.threshold) == ("zero", False, 1.0)
