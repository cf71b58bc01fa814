"""Every layer and operation that the table calls exact: snnTorch, the graph by NIR's equations and the float network spike alike."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from snntorch_models import binary, leaky, randomise_norms, run_steps
from torch import nn

from snnfuse.export.tracing import to_nir

IMAGE, ROW, VECTOR, VOLUME = (2, 6, 6), (3, 12), (12,), (2, 4, 4, 4)


class Between(nn.Module):
    """Neurons, what a test puts behind them, and neurons that read it."""

    def __init__(self, run: Callable, first: nn.Module | None = None, **modules: nn.Module) -> None:
        super().__init__()
        self.run, self.first = run, first or nn.Identity()
        self.spike, self.read = leaky(beta=0.5, threshold=0.4), leaky(beta=0.75, reset_mechanism="zero")
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.read(self.run(self, self.spike(self.first(x))))


def on_grid(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights in sixteenths, so that sums meet the threshold of 1 exactly."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in (p for m in model.modules() if hasattr(m, "weight") and not is_norm(m) for p in m.parameters(recurse=False)):
        parameter.data = torch.randint(-6, 11, parameter.shape, generator=generator) / 16
    randomise_norms(model)
    return model


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)


def layer(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Between(lambda m, s: m.layer(s), layer=nn.Sequential(*layers))


def function(run: Callable, **modules: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Between(run, **modules)


CONSTANT = torch.arange(12, dtype=torch.float64) / 16
CASES: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    # torch's layers
    "linear": (VECTOR, layer(nn.Linear(12, 8))),
    "linear without bias": (VECTOR, layer(nn.Linear(12, 8, bias=False))),
    "linear on the last axis": (ROW, layer(nn.Linear(12, 5))),
    "conv1d": (ROW, layer(nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2))),
    "conv1d grouped, same": (ROW, layer(nn.Conv1d(3, 6, 4, padding="same", groups=3))),
    "conv1d circular": (ROW, layer(nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"))),
    "conv2d": (IMAGE, layer(nn.Conv2d(2, 3, 3, padding=1))),
    "conv2d depthwise": (IMAGE, layer(nn.Conv2d(2, 4, 3, padding=1, groups=2))),
    "conv2d 2 x 3": (IMAGE, layer(nn.Conv2d(2, 3, (2, 3)))),
    "conv2d reflect": (IMAGE, layer(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"))),
    "conv2d uneven same": (IMAGE, layer(nn.Conv2d(2, 3, 2, padding="same", dilation=3))),
    "conv2d behind what is flat": (IMAGE, layer(nn.Conv2d(2, 3, (2, 3)), leaky(beta=0.9), nn.Conv2d(3, 2, 3, padding=1))),
    "conv3d": (VOLUME, layer(nn.Conv3d(2, 3, 2))),
    "conv transpose 1d": (ROW, layer(nn.ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1))),
    "conv transpose 2d": (IMAGE, layer(nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2))),
    "batch norm 1d": (VECTOR, layer(nn.Linear(12, 8), nn.BatchNorm1d(8))),
    "batch norm before a layer": (VECTOR, layer(nn.BatchNorm1d(12), nn.Linear(12, 8))),
    "batch norm alone": (VECTOR, layer(nn.BatchNorm1d(12))),
    "batch norm 1d over rows": (ROW, layer(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4))),
    "batch norm 2d before a padded layer": (IMAGE, layer(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1))),
    "batch norm 2d before a layer": (IMAGE, layer(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3))),
    "batch norm 2d alone": (IMAGE, layer(nn.BatchNorm2d(2))),
    "batch norm 2d twice": (IMAGE, layer(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3))),
    "batch norm 3d": (VOLUME, layer(nn.BatchNorm3d(2))),
    "batch norm before a pool": (IMAGE, layer(nn.BatchNorm2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 6))),
    "average pool 1d": (ROW, layer(nn.AvgPool1d(4), nn.Conv1d(3, 5, 2))),
    "average pool 2d": (IMAGE, layer(nn.AvgPool2d(2, padding=1), nn.Conv2d(2, 4, 2))),
    "average pool uncounted": (IMAGE, layer(nn.AvgPool2d(2, padding=1, count_include_pad=False), nn.Conv2d(2, 4, 2))),
    "average pool ceil": (IMAGE, layer(nn.AvgPool2d(4, ceil_mode=True), nn.Flatten(), nn.Linear(8, 6))),
    "average pool divisor": (IMAGE, layer(nn.AvgPool2d(2, divisor_override=1))),
    "average pool 3d": (VOLUME, layer(nn.AvgPool3d(2, divisor_override=2))),
    "adaptive pool 1d": (ROW, layer(nn.AdaptiveAvgPool1d(4), nn.Conv1d(3, 5, 2))),
    "adaptive pool even": (IMAGE, layer(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 6))),
    "adaptive pool uneven": (IMAGE, layer(nn.AdaptiveAvgPool2d((4, 1)), nn.Flatten(), nn.Linear(8, 6))),
    "adaptive pool 3d": (VOLUME, layer(nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(16, 4))),
    "max pool 1d": (ROW, layer(nn.MaxPool1d(2), nn.Conv1d(3, 5, 2))),
    "max pool 2d": (IMAGE, layer(nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(2, 4, 2))),
    "max pool ceil": (IMAGE, layer(nn.MaxPool2d(4, ceil_mode=True), nn.Conv2d(2, 4, 2))),
    "max pool dilated": (IMAGE, layer(nn.MaxPool2d(2, stride=1, dilation=2), nn.Conv2d(2, 4, 2))),
    "max pool 3d": (VOLUME, layer(nn.MaxPool3d(2), nn.Flatten(), nn.Linear(16, 12))),
    "adaptive max pool": (IMAGE, layer(nn.AdaptiveMaxPool2d(4), nn.Conv2d(2, 4, 2))),
    "upsample": (IMAGE, layer(nn.Upsample(scale_factor=2))),
    "upsample bilinear": (IMAGE, layer(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 3, 3))),
    "zero pad": (IMAGE, layer(nn.ZeroPad2d(1), nn.Conv2d(2, 3, 3))),
    "zero pad uneven": (IMAGE, layer(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(2, 3, 3))),
    "constant pad": (IMAGE, layer(nn.ConstantPad2d(1, 0.5))),
    "reflection pad": (IMAGE, layer(nn.ReflectionPad2d(1), nn.Conv2d(2, 3, 3))),
    "pixel shuffle": (IMAGE, layer(nn.Conv2d(2, 8, 1), nn.PixelShuffle(2))),
    "pixel unshuffle": (IMAGE, layer(nn.PixelUnshuffle(2), nn.Conv2d(8, 3, 1))),
    "channel shuffle": ((4, 5, 5), layer(nn.ChannelShuffle(2), nn.Conv2d(4, 3, 3))),
    "unfold and fold": (IMAGE, layer(nn.Unfold(2), nn.Fold((6, 6), 2))),
    "flatten part": (IMAGE, layer(nn.Flatten(2), nn.Conv1d(2, 3, 5))),
    "unflatten": (VECTOR, layer(nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 4, 2))),
    "unflatten behind linear": (VECTOR, layer(nn.Linear(12, 16), leaky(beta=0.9), nn.Unflatten(1, (4, 2, 2)), nn.Conv2d(4, 4, 2))),
    "dropout and identity": (VECTOR, layer(nn.Dropout(), nn.Identity(), nn.Linear(12, 5))),
    # constants
    "times a number": (VECTOR, function(lambda m, s: s * 1.75)),
    "times 0.1": (VECTOR, function(lambda m, s: 9 * m.fc(s) * 0.1, fc=nn.Linear(12, 6))),
    "times a number, an image": (IMAGE, function(lambda m, s: 1.75 * s)),
    "divided": (VECTOR, function(lambda m, s: m.fc(s) / 2 * 3, fc=nn.Linear(12, 8))),
    "plus a number": (VECTOR, function(lambda m, s: s + 0.3)),
    "plus a number behind a layer": (VECTOR, function(lambda m, s: m.fc(s) + 0.3, fc=nn.Linear(12, 8, bias=False))),
    "plus a number before a layer": (VECTOR, function(lambda m, s: m.fc(s - 0.25), fc=nn.Linear(12, 8))),
    "plus a number, an image": (IMAGE, function(lambda m, s: s + 0.3)),
    "plus a number before a padded layer": (IMAGE, function(lambda m, s: m.conv(s + 0.25), conv=nn.Conv2d(2, 3, 3, padding=1))),
    "parameters": (VECTOR, function(lambda m, s: m.other.weight[0] * m.fc(s) + m.other.bias, fc=nn.Linear(12, 8), other=nn.Linear(8, 8))),
    "a constant per neuron": (VECTOR, function(lambda m, s: s * 2 - CONSTANT)),
    "a constant per channel": (IMAGE, function(lambda m, s: s * CONSTANT[4:6, None, None] * 4 + CONSTANT[2:4].view(1, 2, 1, 1))),
    "a constant per pixel": (IMAGE, function(lambda m, s: m.conv(s) * 2 + CONSTANT[:6], conv=nn.Conv2d(2, 3, 1))),
    "minus": (VECTOR, function(lambda m, s: m.a(s) - m.b(s), a=nn.Linear(12, 8), b=nn.Linear(12, 8))),
    "one minus": (VECTOR, function(lambda m, s: m.fc(1 - s), fc=nn.Linear(12, 8))),
    "negated": (VECTOR, function(lambda m, s: -(m.fc(s) - 2), fc=nn.Linear(12, 8))),
    "alpha": (VECTOR, function(lambda m, s: torch.add(m.fc(s), s, alpha=0.5).sub(s, alpha=0.25), fc=nn.Linear(12, 12))),
    "a + a": (VECTOR, function(lambda m, s: (a := m.fc(s)) + a, fc=nn.Linear(12, 8))),
    "spikes twice": (VECTOR, function(lambda m, s: s + s * 0.5)),
    "in place": (VECTOR, function(lambda m, s: doubled_in_place(m.fc(s)), fc=nn.Linear(12, 8))),
    # functions
    "F.linear": (VECTOR, function(lambda m, s: F.linear(s, m.fc.weight, m.fc.bias), fc=nn.Linear(12, 8))),
    "F.conv1d": (ROW, function(lambda m, s: F.conv1d(s, m.conv.weight, stride=2), conv=nn.Conv1d(3, 4, 3))),
    "F.conv2d": (IMAGE, function(lambda m, s: F.conv2d(s, m.conv.weight, m.conv.bias, padding=1), conv=nn.Conv2d(2, 4, 3))),
    "F.pools": (IMAGE, function(lambda m, s: m.conv(F.avg_pool2d(F.max_pool2d(s, 2), 2, 1)), conv=nn.Conv2d(2, 4, 2))),
    "F.max_pool1d": (ROW, function(lambda m, s: m.conv(F.max_pool1d(s, 2)), conv=nn.Conv1d(3, 4, 2))),
    "F.adaptive": (IMAGE, function(lambda m, s: m.fc(F.adaptive_avg_pool2d(s, 2).flatten(1)), fc=nn.Linear(8, 6))),
    "F.interpolate": (IMAGE, function(lambda m, s: m.conv(F.interpolate(s, scale_factor=2)), conv=nn.Conv2d(2, 3, 3))),
    "F.conv_transpose2d": (IMAGE, function(lambda m, s: F.conv_transpose2d(s, m.c.weight), c=nn.ConvTranspose2d(2, 3, 2))),
    "F.pad": (IMAGE, function(lambda m, s: m.conv(F.pad(s, (1, 1))), conv=nn.Conv2d(2, 3, 3))),
    "F.dropout": (VECTOR, function(lambda m, s: F.dropout(s, training=m.training) * 2)),
    "matmul": (VECTOR, function(lambda m, s: s @ m.fc.weight.T, fc=nn.Linear(12, 8))),
    "einsum": (VECTOR, function(lambda m, s: torch.einsum("bi,oi->bo", s, m.fc.weight), fc=nn.Linear(12, 8))),
    "mean over space": (IMAGE, function(lambda m, s: m.fc(s.mean(dim=(2, 3))), fc=nn.Linear(2, 6))),
    "sum over channels": (IMAGE, function(lambda m, s: s.sum(1, keepdim=True))),
    "cumulated": (VECTOR, function(lambda m, s: s.cumsum(1) / 4)),
    # placements
    "permute": (IMAGE, function(lambda m, s: m.fc(s.permute(0, 2, 3, 1).flatten(1)), fc=nn.Linear(72, 8))),
    "permute behind a layer": (VECTOR, function(lambda m, s: m.fc(s).view(-1, 2, 4).transpose(1, 2).reshape(-1, 8), fc=nn.Linear(12, 8))),
    "transpose images": (IMAGE, function(lambda m, s: m.conv(s.transpose(2, 3)), conv=nn.Conv2d(2, 3, 3))),
    "slices": (VECTOR, function(lambda m, s: m.fc(s[:, 2:9]) + s[:, ::3], fc=nn.Linear(7, 4))),
    "channel slices": (IMAGE, function(lambda m, s: m.conv(s[:, 1:]), conv=nn.Conv2d(1, 3, 3))),
    "strided pixels": (IMAGE, function(lambda m, s: m.conv(s[:, :, ::2, 1::2]), conv=nn.Conv2d(2, 3, 2))),
    "cropped": (IMAGE, function(lambda m, s: s[:, :, 1:-1, 1:-1] * 2)),
    "indexed": (VECTOR, function(lambda m, s: s[:, [3, 0, 7, 7]] * 2)),
    "chunks": (VECTOR, function(lambda m, s: (lambda a, b: m.fc(a) + b)(*s.chunk(2, dim=1)), fc=nn.Linear(6, 6))),
    "split and unbind": (ROW, function(lambda m, s: sum(s.unbind(1)) * 0.5)),
    "view as image": (VECTOR, function(lambda m, s: m.conv(s.view(s.size(0), 3, 2, 2)), conv=nn.Conv2d(3, 4, 2))),
    "flip and roll": (IMAGE, function(lambda m, s: m.conv(s.flip(3).roll(1, dims=2)), conv=nn.Conv2d(2, 3, 3))),
    "squeeze": (VECTOR, function(lambda m, s: m.conv(s.unsqueeze(1)).squeeze(1), conv=nn.Conv1d(1, 1, 3))),
    "repeat": (VECTOR, function(lambda m, s: s.repeat(1, 2) * 2)),
    "broadcast": (VECTOR, function(lambda m, s: m.fc(s) + m.one(s), fc=nn.Linear(12, 8), one=nn.Linear(12, 1))),
    # joins
    "cat to a neuron": (VECTOR, function(lambda m, s: torch.cat([s, m.fc(s)], 1) * 1.5, fc=nn.Linear(12, 4))),
    "cat of channels to a neuron": (IMAGE, function(lambda m, s: torch.cat([s, m.conv(s)], 1), conv=nn.Conv2d(2, 3, 3, padding=1))),
    "cat along rows": (IMAGE, function(lambda m, s: m.conv(torch.cat([s, m.b(s)], 2)), conv=nn.Conv2d(2, 3, 3), b=nn.Conv2d(2, 2, 1))),
    "stack": (VECTOR, function(lambda m, s: m.conv(torch.stack([s, m.fc(s)], 1)), fc=nn.Linear(12, 12), conv=nn.Conv1d(2, 3, 3))),
    "cat with zeros": (VECTOR, function(lambda m, s: m.fc(torch.cat([s, torch.zeros(4, 3, dtype=s.dtype)], 1)), fc=nn.Linear(15, 6))),
    "residual": (IMAGE, function(lambda m, s: s + m.b(m.mid(m.a(s))), a=nn.Conv2d(2, 4, 1), mid=leaky(beta=0.9), b=nn.Conv2d(4, 2, 1))),
    "two readers": (VECTOR, function(lambda m, s: m.mid(a := m.a(s)) + a * 0.5, a=nn.Linear(12, 6), mid=leaky(beta=0.9))),
    "norm and its layer both read": (VECTOR, function(lambda m, s: m.bn(y := m.fc(s)) + y, fc=nn.Linear(12, 6), bn=nn.BatchNorm1d(6))),
    "a layer used twice": (VECTOR, function(lambda m, s: m.fc(m.mid(m.fc(s))), fc=nn.Linear(12, 12), mid=leaky(beta=0.9))),
}  # fmt: skip


def doubled_in_place(y: torch.Tensor) -> torch.Tensor:
    y *= 2
    y -= 0.25
    return y


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes(agree, case: str) -> None:
    shape, build = CASES[case]
    model, x = on_grid(build()), binary(*shape)
    expected = run_steps(model, x)[0]
    graph = to_nir(model, x[0])
    expected = expected.reshape(*expected.shape[:2], *graph.nodes["output"].output_type["output"])
    agree(graph, {"x": x}, {"output": expected})
