"""Max pools of currents, before the neuron: snnTorch and the float network spike alike, and so do the integers on every backend."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from neuron_cases import unlisted
from snntorch_models import binary, grid, heaviside, leaky, run_steps, synaptic
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.tracing.nodes.refusal import Refusal
from snnfuse.hardware import Maximum, compare, emulate, run_torch, simulate_on_lava
from snnfuse.hardware.backends import reference

IMAGE, ROW, VECTOR, VOLUME = (2, 7, 6), (3, 12), (12,), (2, 4, 4, 4)
FULL = {"reset_mechanism": "zero", "reset_delay": False}


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with unlisted():
        yield


class Pooled(nn.Module):
    """What a case puts in front of neurons."""

    def __init__(self, run: Callable, neuron: nn.Module | None = None, **modules: nn.Module) -> None:
        super().__init__()
        self.run, self.neuron = run, neuron or leaky(beta=0.75)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.neuron(self.run(self, x))


def layers(*modules: nn.Module, neuron: Callable[[], nn.Module] = lambda: leaky(beta=0.75)) -> Callable[[], nn.Module]:
    return lambda: Pooled(lambda m, x: m.layers(x), neuron(), layers=nn.Sequential(*modules))


def function(run: Callable, **modules: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Pooled(run, **modules)


def norm(kind: type[nn.Module], channels: int, seed: int = 0) -> nn.Module:
    """Factors of both signs and none, and shifts, on the grid: with eps = 0, halves and quarters stay what they are."""
    rng, made = np.random.default_rng(seed), kind(channels, eps=0.0)
    made.weight.data = torch.from_numpy(rng.choice([-1.0, -0.5, 0.5, 1.0, 0.0], channels, p=[0.3, 0.25, 0.2, 0.2, 0.05]))
    made.bias.data = torch.from_numpy(rng.integers(-4, 5, channels) / 16)
    made.running_mean = torch.from_numpy(rng.integers(-4, 5, channels) / 16)
    made.running_var = torch.from_numpy(rng.choice([0.25, 1.0, 4.0], channels))
    return made


def on_grid(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)):
        for parameter in layer.parameters():
            parameter.data = torch.randint(-8, 10, parameter.shape, generator=generator) / 16
    return model


def recurrent() -> nn.Module:
    return snn.RLeaky(0.75, conv2d_channels=3, kernel_size=3, init_hidden=True, spike_grad=heaviside, **FULL)


CASES: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "after a convolution": (IMAGE, layers(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2))),
    "synaptic": (IMAGE, layers(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), neuron=lambda: synaptic(alpha=0.5, beta=0.75, reset_mechanism="zero"))),
    "undelayed": (IMAGE, layers(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), neuron=lambda: leaky(beta=0.75, reset_delay=False))),
    "to zero": (IMAGE, layers(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), neuron=lambda: leaky(beta=0.75, **FULL))),
    "recurrence outside": (IMAGE, layers(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), neuron=recurrent)),
    "without a bias": (IMAGE, layers(nn.Conv2d(2, 3, 3, bias=False), nn.MaxPool2d(2))),
    "overlapping": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(3, stride=2))),
    "padded": (IMAGE, layers(nn.Conv2d(2, 3, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1))),
    "ceil": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2, ceil_mode=True))),
    "ceil and padded": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True))),
    "dilated": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2, stride=1, dilation=2))),
    "uneven": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d((3, 2), stride=(1, 2)))),
    "adaptive, even": (IMAGE, layers(nn.Conv2d(2, 3, (2, 1)), nn.AdaptiveMaxPool2d(3))),
    "adaptive, uneven": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.AdaptiveMaxPool2d((4, 3)))),
    "global": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.AdaptiveMaxPool2d(1))),
    "grouped convolution": (IMAGE, layers(nn.Conv2d(2, 4, 3, groups=2), nn.MaxPool2d(2))),
    "of the input": (IMAGE, layers(nn.MaxPool2d(2))),
    "of a sum": (IMAGE, function(lambda m, x: F.max_pool2d(m.a(x) + m.b(x), 2), a=nn.Conv2d(2, 3, 3), b=nn.Conv2d(2, 3, 3))),
    "a skip outside": (IMAGE, function(lambda m, x: F.max_pool2d(m.a(x), 2) + m.b(x), a=nn.Conv2d(2, 3, 2), b=nn.Conv2d(2, 3, 2, (2, 3)))),
    "two pools": (IMAGE, function(
        lambda m, x: F.max_pool2d(m.a(x), 2) - 0.5 * F.max_pool2d(m.b(x), 2), a=nn.Conv2d(2, 3, 3), b=nn.Conv2d(2, 3, 3))),
    "twice": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2))),
    "a layer behind": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2))),
    "classes behind": (IMAGE, layers(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 5))),
    "norm before": (IMAGE, layers(nn.Conv2d(2, 3, 2), norm(nn.BatchNorm2d, 3), nn.MaxPool2d(2))),
    "norm behind": (IMAGE, layers(nn.Conv2d(2, 6, 2), nn.MaxPool2d(2), norm(nn.BatchNorm2d, 6, 2))),
    "norm and dropout behind": (IMAGE, layers(
        nn.Conv2d(2, 6, 2), nn.Dropout(0.5), nn.MaxPool2d(2), norm(nn.BatchNorm2d, 6), nn.Dropout2d())),
    "a factor behind": (IMAGE, function(lambda m, x: F.max_pool2d(m.a(x), 2) * -0.5 + 0.25, a=nn.Conv2d(2, 3, 2))),
    "row": (ROW, layers(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2))),
    "row, padded and dilated": (ROW, layers(nn.Conv1d(3, 4, 3), nn.MaxPool1d(3, 2, padding=1, dilation=2))),
    "row, ceil": (ROW, layers(nn.Conv1d(3, 4, 2), nn.MaxPool1d(4, ceil_mode=True))),
    "row, adaptive": (ROW, layers(nn.Conv1d(3, 4, 2), nn.AdaptiveMaxPool1d(4))),
    "features": (VECTOR, function(lambda m, x: F.max_pool1d(m.fc(x), 2), fc=nn.Linear(12, 16))),
    "features, overlapping": (VECTOR, function(lambda m, x: F.max_pool1d(m.fc(x), 3, 2), fc=nn.Linear(12, 16))),
    "features, adaptive": (VECTOR, function(lambda m, x: F.adaptive_max_pool1d(m.fc(x), 5), fc=nn.Linear(12, 16))),
    "features, behind a norm": (VECTOR, layers(nn.Linear(12, 16), norm(nn.BatchNorm1d, 16), nn.MaxPool1d(2))),
    "volume": (VOLUME, layers(nn.Conv3d(2, 3, 2), nn.MaxPool3d(2, stride=1))),
    "of graded spikes": (IMAGE, function(
        lambda m, x: F.max_pool2d(m.graded(m.a(x)), 2),
        a=nn.Conv2d(2, 3, 2), graded=leaky(beta=0.5, threshold=0.25, graded_spikes_factor=1.5))),
}  # fmt: skip


def both(model: nn.Module, x: torch.Tensor, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of snnTorch in double precision, and of the float network, by way of a file."""
    expected = run_steps(model, x)[0]
    nir.write(path, to_nir(model, x[0]))
    network = lower(read_graph(path))
    assert any(p.kind == "maximum" for p in network.populations.values())
    found = simulate(network, {next(iter(network.inputs)): x.numpy()}).spikes[network.outputs["output"]]
    return expected.astype(bool), found.reshape(expected.shape)


@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes(case: str, tmp_path: Path) -> None:
    shape, build = CASES[case]
    expected, found = both(on_grid(build()), grid(*shape), tmp_path / "graph.nir")
    assert 0.01 < expected.mean() < 0.99
    assert np.count_nonzero(expected != found) == 0


def drawn(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """Any pool behind any convolution, over one axis or two, with norms before and behind it and any neuron."""
    rng = np.random.default_rng(seed)
    axes, channels = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    shape = (int(rng.integers(1, 3)), *(int(n) for n in rng.integers(7, 12, axes)))
    conv, pool, adaptive, bn = (
        (nn.Conv1d, nn.MaxPool1d, nn.AdaptiveMaxPool1d, nn.BatchNorm1d),
        (nn.Conv2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.BatchNorm2d),
    )[axes - 1]
    options = {"padding": int(rng.integers(0, 2)), "bias": bool(rng.random() < 0.7)}
    made: list[nn.Module] = [conv(shape[0], channels, int(rng.integers(1, 4)), **options)]
    made += [norm(bn, channels, seed)] if rng.random() < 0.3 else []
    if rng.random() < 0.25:
        made.append(adaptive(int(rng.integers(1, 6))))
    else:
        kernel, dilation = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        padding = int(rng.integers(0, kernel // 2 + 1))
        made.append(pool(kernel, int(rng.integers(1, 4)), padding, dilation, ceil_mode=bool(rng.random() < 0.4)))
    made += [norm(bn, channels, seed + 1)] if rng.random() < 0.5 else []
    made += [conv(channels, 3, 1)] if rng.random() < 0.2 else []
    options = {"reset_mechanism": str(rng.choice(["subtract", "zero"])), "reset_delay": bool(rng.random() < 0.5)}
    neuron = leaky(beta=0.75, **options) if rng.random() < 0.6 else synaptic(alpha=0.5, beta=0.75, **options)
    return on_grid(layers(*made, neuron=lambda: neuron)(), seed), shape


def check(seed: int, path: Path) -> int:
    model, shape = drawn(seed)
    expected, found = both(model, grid(*shape, seed=seed), path)
    assert np.count_nonzero(expected != found) == 0, seed
    return expected.size


def test_random_pools(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path / "graph.nir") for seed in range(20)) > 10**5


@pytest.mark.slow
def test_many_random_pools(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path / "graph.nir") for seed in range(20, 520)) > 5 * 10**6


DEPLOYED = ("after a convolution", "padded", "norm behind", "features", "twice", "a skip outside", "classes behind")


@pytest.mark.parametrize("case", DEPLOYED)
def test_the_integers_lose_nothing_that_the_grid_holds(case: str) -> None:
    """Weights and inputs on the grid are kept as they are, so that no spike may differ; and every backend agrees in every number."""
    shape, build = CASES[case]
    model, x = on_grid(build()).double(), binary(*shape)[:30]
    graph = to_nir(model, x[0])
    program = quantize(graph, x.numpy())
    assert [node for node in program.nodes.values() if isinstance(node, Maximum)]
    events = program.encode(x.numpy())
    expected = reference.emulate(program, events, "all", states=True)
    for run in (emulate, run_torch, *([simulate_on_lava] if case in DEPLOYED[:3] else [])):
        assert compare(expected, run(program, events, record="all", states=True)).mismatches == 0, run
    network = lower(graph)
    floats = simulate(network, {"x": x.numpy()}).spikes[network.outputs["output"]]
    assert floats.any() and np.count_nonzero(expected.spikes["output"] != floats) == 0


def test_a_loop_through_a_pool_is_refused() -> None:
    class Looped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.back, self.lif = nn.Linear(8, 8), nn.Linear(4, 8), leaky(beta=0.75, init_hidden=False)

        def forward(self, x):
            mem, spk, kept = self.lif.init_leaky(), torch.zeros(1, 4), []
            for now in x:
                spk, mem = self.lif(F.max_pool1d(self.fc(now) + self.back(spk), 2), mem)
                kept.append(spk)
            return torch.stack(kept)

    with pytest.raises(Refusal, match="its spikes of the step before are pooled or returned"):
        to_nir(Looped(), torch.zeros(4, 1, 8))
