"""Every layer and operation that the table calls exact: snnTorch, the graph by NIR's equations and the float network spike alike."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from snntorch_models import binary, leaky, randomise_norms, run_steps
from torch import nn

from snnfuse.export.tracing import to_nir
from snnfuse.export.tracing.capture.trace import trace
from snnfuse.export.tracing.capture.trace_ops import OPERATIONS
from snnfuse.export.tracing.emit.layers import BY_KIND

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
    "subtracted from": (VECTOR, function(lambda m, s: torch.rsub(m.fc(s), 1.5) * torch.full_like(s, 1.25), fc=nn.Linear(12, 12))),
    "same": (VECTOR, function(lambda m, s: m.fc(s.detach().clone().contiguous().to(torch.float64)), fc=nn.Linear(12, 8))),
    "unflatten method": (VECTOR, function(lambda m, s: m.conv(s.unflatten(1, (3, 4))), conv=nn.Conv1d(3, 4, 2))),
    "movedim": (IMAGE, function(lambda m, s: m.conv(s.movedim(3, 2).contiguous()), conv=nn.Conv2d(2, 3, 3))),
    "select and narrow": (IMAGE, function(lambda m, s: m.conv(s.select(1, 1).narrow(1, 2, 3)), conv=nn.Conv1d(3, 4, 2))),
    "index_select": (IMAGE, function(lambda m, s: m.conv(s.index_select(2, torch.tensor([5, 0, 3]))), conv=nn.Conv2d(2, 3, 3))),
    "rot90": (IMAGE, function(lambda m, s: m.conv(torch.rot90(s, 1, (2, 3))), conv=nn.Conv2d(2, 3, 3))),
    "expand": (VECTOR, function(lambda m, s: m.conv(s.unsqueeze(1).expand(-1, 2, -1)), conv=nn.Conv1d(2, 3, 3))),
    "tile": (VECTOR, function(lambda m, s: s.tile((1, 2)) * 2)),
    "repeat_interleave": (VECTOR, function(lambda m, s: s.repeat_interleave(2, dim=1) * 2)),
    "F.pixel_shuffles": ((4, 4, 4), function(lambda m, s: m.conv(F.pixel_unshuffle(F.pixel_shuffle(s, 2), 2)), conv=nn.Conv2d(4, 3, 2))),
    "F.channel_shuffle": ((4, 4, 4), function(lambda m, s: m.conv(F.channel_shuffle(s, 2)), conv=nn.Conv2d(4, 3, 2))),
    "F.unfold and fold": (IMAGE, function(lambda m, s: F.fold(F.unfold(s, 2), (6, 6), 2) * 0.5)),
    "F.pools 1d": (ROW, function(lambda m, s: F.adaptive_avg_pool1d(F.avg_pool1d(s, 2), 3) * 2)),
    "F.conv_transpose1d": (ROW, function(lambda m, s: F.conv_transpose1d(s, m.c.weight), c=nn.ConvTranspose1d(3, 2, 2))),
    # every other pad, pool and drop
    "pads of rows": (ROW, layer(*(kind(1) for kind in (nn.ZeroPad1d, nn.CircularPad1d, nn.ReflectionPad1d, nn.ReplicationPad1d)))),
    "pads of images": (IMAGE, layer(nn.CircularPad2d(1), nn.ReplicationPad2d(1), nn.Conv2d(2, 3, 3))),
    "pads of volumes": ((1, 2, 2, 2), layer(nn.CircularPad3d(1), nn.ZeroPad3d(1), nn.ReplicationPad3d(1), nn.ReflectionPad3d(1))),
    "constant pads": ((1, 2, 2, 2), layer(nn.ConstantPad3d(1, 0.25), nn.Flatten(2), nn.ConstantPad1d(2, 0.5))),
    "upsampling": (  # times a factor that keeps sums, rounded in another order, away from the threshold
        IMAGE,
        function(lambda m, s: m.b(m.a(s)) * 0.83, a=nn.UpsamplingNearest2d(scale_factor=2), b=nn.UpsamplingBilinear2d(size=(5, 7))),
    ),
    "max pool of a row of features": (VECTOR, function(lambda m, s: m.fc(m.pool(s)), pool=nn.MaxPool1d(3, 2), fc=nn.Linear(5, 4))),
    "max pool functions": (VOLUME, function(lambda m, s: m.fc(adaptive(F.max_pool3d(s, 2, ceil_mode=True))), fc=nn.Linear(2, 12))),
    "adaptive max pools": (VOLUME, layer(nn.AdaptiveMaxPool3d(2), nn.Flatten(2), nn.AdaptiveMaxPool1d(5), nn.Conv1d(2, 3, 2))),
    "drops": (IMAGE, layer(nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout(), nn.Conv2d(2, 3, 3))),
    "drops of rows and volumes": (VOLUME, layer(nn.Dropout3d(), nn.Flatten(2), nn.Dropout1d(), nn.Conv1d(2, 3, 3))),
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


def adaptive(y: torch.Tensor) -> torch.Tensor:
    """(batch, 2, 2, 2, 2) to (batch, 2)."""
    y = F.adaptive_max_pool3d(y, (1, 2, 2)).flatten(1, 2)
    return F.adaptive_max_pool1d(F.adaptive_max_pool2d(y, (2, 1)).flatten(2), 1).flatten(1)


def doubled_in_place(y: torch.Tensor) -> torch.Tensor:
    y *= 2
    y -= 0.25
    return y


def test_every_exact_row_is_among_the_cases() -> None:
    models = [(build(), torch.zeros(4, *shape, dtype=torch.float64)) for shape, build in CASES.values()]
    kinds = {type(module) for model, _ in models for module in model.modules()}
    assert kinds >= set(BY_KIND)
    traces = [trace(model.double(), (sample,)) for model, sample in models]
    named = {node.meta["op"] for found in traces for node in found.graph.nodes if node.op != "output"}
    assert not [op.names for op in OPERATIONS if op.family != "last" and not named.intersection(op.names)]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes(agree, case: str) -> None:
    shape, build = CASES[case]
    model, x = on_grid(build()), binary(*shape)
    expected = run_steps(model, x)[0]
    graph = to_nir(model, x[0])
    expected = expected.reshape(*expected.shape[:2], *graph.nodes["output"].output_type["output"])
    agree(graph, {"x": x}, {"output": expected})
