"""Operations, layers and samples that the compiler cannot keep it refuses: by name, with the reason and a way out, in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from refused_models import IMAGE, VECTOR, assert_refused, chain, lif, step
from torch import nn

from snnfuse.export.tracing import to_nir
from snnfuse.hardware.errors import InputError


def in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = z = m.fc2(x)
    y += m.fc(x)
    return m.lif(y), m.lif2(z)


def aliased_in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fc(x)
    same = m.drop(y)
    same += m.fc2(x)
    return m.lif(y)


def scaled_in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = z = m.fc(x)
    y *= 2
    return m.lif(y), m.lif2(z)


def assigned(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fc(x)
    y[:, 0] = 0
    return m.lif(y)


def hooked() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    return layer


REFUSED: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str, str]] = {
    # name: model and sample, what the message names, the reason and the way out in it
    # operations that are not linear, or depend on data
    "relu": (lambda: step(lambda m, x: m.lif(torch.relu(m.fc(x)))), "Model", "relu: it is not linear, and NIR's only non-linearity"),
    "F.relu": (lambda: step(lambda m, x: m.lif(F.relu(m.fc(x)))), "Model", "use a spiking neuron (snntorch.Leaky)"),
    "sigmoid": (lambda: step(lambda m, x: m.lif(m.fc(x).sigmoid())), "Model", "sigmoid: it is not linear"),
    "power": (lambda: step(lambda m, x: m.lif(m.fc(x) ** 2)), "Model", "pow: it is not linear"),
    "clamped": (lambda: step(lambda m, x: m.lif(m.fc(x).clamp(0, 1))), "Model", "clamp: it is not linear"),
    "absolute": (lambda: step(lambda m, x: m.lif(abs(m.fc(x)))), "Model", "abs: it is not linear"),
    "softmax": (
        lambda: step(lambda m, x: m.lif(F.softmax(m.fc(x), dim=1))),
        "Model",
        "softmax: it divides by a sum over neurons, which differs from step to step; leave it out",
    ),
    "normalized": (
        lambda: step(lambda m, x: m.lif(F.normalize(m.fc(x)))),
        "Model",
        "normalize: it measures each sample's own statistics",
    ),
    "functional norm": (
        lambda: step(lambda m, x: m.lif(F.layer_norm(m.fc(x), (4,)))),
        "Model",
        "layer_norm: it measures each sample's own statistics, which differ from step to step; use torch.nn.BatchNorm",
    ),
    "functional batch norm": (
        lambda: step(lambda m, x: m.lif(F.batch_norm(m.fc(x), torch.zeros(4), torch.ones(4)))),
        "Model",
        "batch_norm: it is called as a function, whose statistics may still change; use a torch.nn.BatchNorm1d",
    ),
    "largest": (lambda: step(lambda m, x: m.lif(m.fc(x).amax(1, keepdim=True))), "Model", "amax: it makes the computation depend"),
    "maximum": (lambda: step(lambda m, x: m.lif(torch.maximum(m.fc(x), x))), "Model", "maximum: it is not linear"),
    "compare": (lambda: step(lambda m, x: m.lif(m.fc(x) > 0)), "Model", "gt: it makes the computation depend on the data"),
    "where": (
        lambda: step(lambda m, x: m.lif(torch.where(m.fc(x) > 0, x, x))),
        "Model",
        "let neurons decide: compare with a neuron's threshold",
    ),
    "if": (
        lambda: step(lambda m, x: m.lif(m.fc(x)) if x.sum() > 0 else m.lif(x)),
        "Model",
        "gt: it makes the computation",
    ),
    "branch": (lambda: step(lambda m, x: m.lif(m.fc(x)) if x else m.lif(x)), "Model", "depends on a tensor's value"),
    "item": (lambda: step(lambda m, x: m.lif(m.fc(x) * x[0, 0].item())), "Model", "depends on a tensor's value"),
    "unknown": (lambda: step(lambda m, x: m.lif(torch.digamma(m.fc(x)))), "Model", "it has no NIR form; use Linear"),
    "random": (lambda: step(lambda m, x: m.lif(m.fc(x) + torch.randn_like(x))), "Model", "randn_like: it is random, and differs"),
    "indices": (
        lambda: step(lambda m, x: m.lif2(F.max_pool1d(m.lif(m.fc(x)), 2, return_indices=True)[0]), lif2=lif()),
        "Model",
        "max_pool1d_with_indices: it also returns where each maximum lies; use max_pool1d to 3d or adaptive_max_pool1d",
    ),
    "image as a vector": (
        lambda: step(lambda m, x: m.lif(m.conv(x.view(-1, 1, 64, 64))), sample=torch.zeros(1, 4096), conv=nn.Conv2d(1, 4, 3)),
        "conv (Conv2d)",
        "above 8388608; present images as images, not as vectors",
    ),
    # products of two values
    "gated": (
        lambda: step(lambda m, x: m.lif(m.fc(x) * x)),
        "Model: mul",
        "it multiplies fc (Linear) and input 'x', of which one is no count: fc has a bias; multiply counts only: spikes of neurons",
    ),
    "squared": (lambda: step(lambda m, x: m.lif(m.fc(x) * m.fc(x))), "Model: mul", "it multiplies fc (Linear), of which one is no count"),
    "divided": (lambda: step(lambda m, x: m.lif(m.fc(x) / x)), "Model: truediv", "it divides by input 'x', which depends on the input"),
    "reciprocal": (lambda: step(lambda m, x: m.lif(1 / m.fc(x))), "Model: truediv", "it divides by fc (Linear)"),
    "divided by zero": (lambda: step(lambda m, x: m.lif(m.fc(x) / 0)), "Model: truediv", "it divides by zero; divide by numbers other"),
    "rounded division": (
        lambda: step(lambda m, x: m.lif(torch.div(m.fc(x), 2, rounding_mode="floor"))),
        "Model: div",
        "a division that rounds is not linear; divide without rounding_mode",
    ),
    "attention": (
        lambda: step(lambda m, x: m.lif((m.fc(x) @ x.transpose(0, 1)) @ x)),
        "Model: ",
        "it multiplies across the batch; keep the first axis of both factors, and of the result, for the batch",
    ),
    "dynamic weights": (
        lambda: step(lambda m, x: m.lif(F.linear(x, m.fc(x))), sample=torch.zeros(4, 4)),
        "Model: linear",
        "its weights depend on the input, and NIR has no product",
    ),
    # the batch axis, and time
    "batch": (lambda: step(lambda m, x: m.lif(torch.flatten(x))), "Model: flatten", "into () across the batch"),
    "view": (
        lambda: step(lambda m, x: m.lif(x.view(4, 2))),
        "Model: view",
        "it turns samples of shape (4,) into (2,) across the batch; leave the first axis to the batch",
    ),
    "batch cat": (
        lambda: step(lambda m, x: m.lif(torch.cat([x, m.fc(x)]))),
        "Model: cat",
        "across the batch; leave the first axis to the batch",
    ),
    "batch transposed": (lambda: step(lambda m, x: m.lif(m.fc(x).transpose(0, 1))), "Model: transpose", "across the batch"),
    "batch of one transposed": (
        lambda: step(lambda m, x: m.lif(m.one(x).transpose(0, 1)), sample=VECTOR[:1], one=nn.Linear(4, 1)),
        "Model: transpose",
        "across the batch",
    ),
    "batch flipped": (lambda: step(lambda m, x: m.lif(m.fc(x).flip(0))), "Model: flip", "across the batch"),
    "masked": (
        lambda: step(lambda m, x: m.lif(m.fc(x)[torch.ones(2, 4, dtype=torch.bool)].view(2, 4))),
        "Model: getitem",
        "across the batch",
    ),
    "one sample": (lambda: step(lambda m, x: m.lif(m.fc(x)[0])), "Model: getitem", "across the batch"),
    "batch mean": (
        lambda: step(lambda m, x: m.lif(m.fc(x) - m.fc(x).mean(0))),
        "Model",
        "mean() is a reduction over the first axis, batch or time",
    ),
    "T": (lambda: step(lambda m, x: m.lif(m.fc(x).T)), "Model", "it reads a tensor's .T, which exchanges the batch"),
    "constant per sample": (
        lambda: step(lambda m, x: m.lif(m.fc(x) + m.other.weight[:2]), other=nn.Linear(4, 4)),
        "Model: add",
        "a constant differs between the samples of a batch; use one value for all samples",
    ),
    "broadcast": (
        lambda: step(lambda m, x: m.lif(m.conv(x) + x.mean((2, 3))), sample=torch.zeros(4, 4, 4, 4), conv=nn.Conv2d(4, 4, 1)),
        "Model: add",
        "it broadcasts a sample of shape (4,) to (4, 4, 4); give both the same number of axes",
    ),
    # what enters and what is returned
    "constant": (
        lambda: step(lambda m, x: (m.lif(m.fc(x)), m.lif2(m.fc(torch.ones(2, 4)) + 0 * x)), lif2=lif()),
        "lif2 (Leaky)",
        "it reads nothing but a constant; feed it from the input too",
    ),
    "cat out": (
        lambda: step(lambda m, x: torch.cat([m.lif(m.fc(x)), x], 1)),
        "cat",
        "it is returned, and is not what a layer or neuron puts out but computed from it; return each neuron's spikes",
    ),
    "scaled out": (lambda: step(lambda m, x: m.lif(m.fc(x)) * 2), "Model: mul", "do the rest outside forward"),
    "counted out": (lambda: step(lambda m, x: m.lif(m.fc(x)).sum(1)), "Model: sum", "do the rest outside forward"),
    "nothing": (lambda: step(lambda m, x: None), "forward", "it returns None"),
    "dict keys": (lambda: step(lambda m, x: {1: m.lif(m.fc(x))}), "forward", "a dict with the key 1; use names"),
    "nested": (lambda: step(lambda m, x: (m.lif(m.fc(x)), [x])), "forward", "it returns a list; return a tensor or a tuple"),
    # layers
    "relu module": (lambda: chain(nn.Linear(4, 4), nn.ReLU(), lif()), "1 (ReLU)", "it is not linear, and NIR's only non-linearity"),
    "layer norm": (
        lambda: chain(nn.Linear(4, 4), nn.LayerNorm(4), lif()),
        "1 (LayerNorm)",
        "it measures each sample's own statistics, which differ from step to step; use BatchNorm1d or BatchNorm2d",
    ),
    "group norm": (lambda: chain(nn.GroupNorm(2, 4), lif(), sample=IMAGE), "0 (GroupNorm)", "measures each sample's own statistics"),
    "instance norm": (lambda: chain(nn.InstanceNorm2d(4), lif(), sample=IMAGE), "0 (InstanceNorm2d)", "use BatchNorm1d or BatchNorm2d"),
    "softmax module": (lambda: chain(nn.Linear(4, 4), lif(), nn.Softmax(1)), "2 (Softmax)", "decoding compares the outputs as they are"),
    "bilinear": (
        lambda: step(lambda m, x: m.lif(m.both(x, m.fc(x))), both=nn.Bilinear(4, 4, 4)),
        "both (Bilinear)",
        "it is called with something else than one tensor",
    ),
    "lstm": (lambda: chain(nn.LSTM(4, 4), lif()), "0 (LSTM)", "its gates multiply values that depend on the input; use spiking"),
    "norm batch": (
        lambda: chain(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), lif()),
        "1 (BatchNorm1d)",
        "each batch's own statistics; use track_running_stats=True",
    ),
    "max pool with indices": (
        lambda: step(lambda m, x: m.lif2(m.pool(m.lif(m.fc(x)))[0]), pool=nn.MaxPool1d(2, return_indices=True), lif2=lif()),
        "pool (MaxPool1d)",
        "leave return_indices at its default",
    ),
    "lp pool": (lambda: chain(nn.LPPool2d(2, 2), lif(), sample=IMAGE), "0 (LPPool2d)", "use MaxPool2d or AvgPool2d"),
    "active dropout": (lambda: step(lambda m, x: m.lif(F.dropout(m.fc(x), 0.5))), "Model", "stays active in evaluation is random"),
    "too large": (
        lambda: chain(nn.Conv2d(4, 64, (2, 3)), lif(), sample=torch.zeros(1, 4, 40, 40)),
        "0 (Conv2d)",
        'written out as a matrix it takes 607027200 numbers, above 8388608; use odd kernel sides and padding_mode="zeros"',
    ),
    "upsampled too large": (
        lambda: chain(nn.Upsample(scale_factor=2), lif(), sample=torch.zeros(1, 16, 32, 32)),
        "1 (Leaky)",
        "written out as a matrix it takes 1073741824 numbers, above 8388608; make it smaller",
    ),
    "hook": (lambda: chain(hooked(), lif()), "0 (Linear)", "a forward hook may change what it computes"),
    "in place": (
        lambda: step(in_place, fc2=nn.Linear(4, 4), lif2=lif()),
        "Model: iadd",
        "changes fc2 (Linear) in place, which something",
    ),
    "aliased": (
        lambda: step(aliased_in_place, fc2=nn.Linear(4, 4), drop=nn.Dropout()),
        "Model: iadd",
        "changes fc (Linear) in place, which something else reads; write z = x + y",
    ),
    "scaled in place": (
        lambda: step(scaled_in_place, lif2=lif()),
        "Model: imul",
        "changes fc (Linear) in place, which something else reads",
    ),
    "assigned": (lambda: step(assigned), "Model", "it assigns to a part of a tensor; build the tensor with torch.cat"),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_with_reason_and_way_out(case: str) -> None:
    build, where, why = REFUSED[case]
    assert_refused(*build(), where, why)


def filled(value: float) -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.weight.data[1, 2] = value
    return layer


BAD_INPUT: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str]] = {
    "nan": (lambda: chain(filled(float("nan")), lif()), "0.weight holds NaN"),
    "inf": (lambda: chain(filled(float("inf")), lif()), "0.weight holds infinity"),
    "nan beta": (lambda: chain(nn.Linear(4, 4), lif(beta=float("nan"))), "1.beta holds NaN"),
    "shape": (lambda: chain(nn.Linear(3, 4), lif()), "0 (Linear) failed on an input of shape (2, 4): mat1 and mat2"),
    "add": (
        lambda: step(lambda m, x: m.lif(x + m.b(x)), b=nn.Linear(4, 3)),
        "Model: add (add) failed on shapes [(2, 4), (2, 3)]",
    ),
    "beta shape": (lambda: chain(nn.Linear(4, 4), lif(beta=torch.full((3,), 0.9))), "1.beta has shape (3,), which does not fit"),
    "unbatched": (lambda: chain(nn.Linear(4, 4), lif(), sample=torch.zeros(4)), "sample 0 has shape (4,): it needs a batch axis"),
    "unbatched image": (
        lambda: chain(nn.Conv2d(4, 4, 3), lif(), sample=IMAGE[0]),
        "needs 3 axes; give the sample a batch axis first",
    ),
    "not a tensor": (lambda: chain(nn.Linear(4, 4), lif(), sample="digits"), "sample 0 is str, not a tensor"),
    "too many": (
        lambda: chain(nn.Linear(4, 4), lif(), sample=(VECTOR, VECTOR)),
        "the sample has 2 tensors, and Sequential.forward takes 1",
    ),
    "raises": (
        lambda: step(lambda m, x: m.lif(m.missing(x))),
        "Model.forward failed on the sample (2, 4): 'Model' object has no attribute",
    ),
    "state twice": (lambda: step(lambda m, x: m.lif(x, x)), "lif (Leaky) holds its own state (init_hidden=True)"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line(case: str) -> None:
    build, expected = BAD_INPUT[case]
    model, sample = build()
    with pytest.raises(InputError) as error:
        to_nir(model, sample)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_time_step_needs_a_length() -> None:
    with pytest.raises(InputError, match="dt=0 must be above 0"):
        to_nir(*chain(nn.Linear(4, 4), lif()), dt=0)
