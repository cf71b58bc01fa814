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


def norm_with_two_readers(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fc(x)
    return m.lif(m.bn(y) + y)


def in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = z = m.fc2(x)
    y += m.fc(x)
    return m.lif(y), m.lif2(z)


def aliased_in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fc(x)
    same = m.drop(y)
    same += m.fc2(x)
    return m.lif(y)


def hooked() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    return layer


REFUSED: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str, str]] = {
    # name: model and sample, what the message names, the reason and the way out in it
    "scaled": (
        lambda: step(lambda m, x: m.lif(m.fc(x) * 0.1)),
        "Model",
        "mul has no NIR form here; fold the factor into the weights",
    ),
    "shifted": (
        lambda: step(lambda m, x: m.lif(m.fc(x) + 0.3)),
        "Model: add (add)",
        "the constant 0.3 is added; add it to the bias",
    ),
    "parameter": (
        lambda: step(lambda m, x: m.lif(m.fc(x) + m.other.weight[:2]), other=nn.Linear(4, 4)),
        "a constant tensor",
        "a constant enters the computation; put it into a layer's bias",
    ),
    "doubled": (lambda: step(lambda m, x: m.lif((y := m.fc(x)) + y)), "lif (Leaky)", "it adds fc to itself"),
    "alpha": (lambda: step(lambda m, x: m.lif(torch.add(m.fc(x), x, alpha=2))), "Model", "add with alpha=2 scales"),
    "subtracted": (
        lambda: step(lambda m, x: m.lif(m.fc(x) - x)),
        "Model",
        "the operation sub has no NIR form here; negate the weights",
    ),
    "broadcast": (
        lambda: step(lambda m, x: m.lif(m.fc(x) + m.one(x)), one=nn.Linear(4, 1)),
        "Model: add",
        "it broadcasts shapes (2, 4) and (2, 1)",
    ),
    "relu": (lambda: step(lambda m, x: m.lif(torch.relu(m.fc(x)))), "Model", "relu has no NIR form here; use a spiking neuron"),
    "relu module": (
        lambda: chain(nn.Linear(4, 4), nn.ReLU(), lif()),
        "1 (ReLU)",
        "ReLU has no NIR form here; use a spiking neuron",
    ),
    "layer norm": (lambda: chain(nn.Linear(4, 4), nn.LayerNorm(4), lif()), "1 (LayerNorm)", "use BatchNorm directly after"),
    "functional": (
        lambda: step(lambda m, x: m.lif(F.linear(x, m.fc.weight))),
        "Model",
        "linear has no NIR form here; use a torch.nn.Linear",
    ),
    "active dropout": (
        lambda: step(lambda m, x: m.lif(F.dropout(m.fc(x), 0.5))),
        "Model",
        "stays active in evaluation is random",
    ),
    "indexed": (
        lambda: step(lambda m, x: m.lif(m.fc(x)[:, 0])),
        "Model: getitem",
        "takes a part of a tensor; give forward one argument per part",
    ),
    "view": (
        lambda: step(lambda m, x: m.lif(x.view(2, 2, 2))),
        "Model: reshape",
        "turns shape (2, 4) into (2, 2, 2); only flatten(start_dim=1)",
    ),
    "batch": (lambda: step(lambda m, x: m.lif(torch.flatten(x))), "Model: flatten", "turns shape (2, 4) into (8,)"),
    "batch cat": (
        lambda: step(lambda m, x: m.lif(torch.cat([x, m.fc(x)]))),
        "Model: cat",
        "joins along axis 0; join along axis 1",
    ),
    "cat to neuron": (
        lambda: step(lambda m, x: m.lif(torch.cat([x, m.fc(x)], 1))),
        "lif (Leaky)",
        "as a concatenation, which NIR lacks",
    ),
    "cat out": (lambda: step(lambda m, x: torch.cat([m.lif(m.fc(x)), x], 1)), "cat", "it is returned as a concatenation"),
    "if": (lambda: step(lambda m, x: m.lif(m.fc(x)) if x.sum() > 0 else m.lif(x)), "Model", "sum() is a reduction"),
    "branch": (
        lambda: step(lambda m, x: m.lif(m.fc(x)) if x else m.lif(x)),
        "Model",
        "depends on a tensor's value",
    ),
    "compare": (lambda: step(lambda m, x: m.lif(m.fc(x) > 0)), "Model", "gt makes the computation depend on the data"),
    "norm first": (
        lambda: chain(nn.BatchNorm1d(4), nn.Linear(4, 4), lif()),
        "0 (BatchNorm1d)",
        "and there is none; move it behind one",
    ),
    "norm shared": (
        lambda: step(norm_with_two_readers, bn=nn.BatchNorm1d(4)),
        "bn (BatchNorm1d)",
        "fc (Linear) before it has another reader",
    ),
    "norm batch": (
        lambda: chain(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), lif()),
        "1 (BatchNorm1d)",
        "each batch's own statistics; use track_running_stats=True",
    ),
    "max pool": (
        lambda: chain(nn.Conv2d(4, 4, 3), nn.MaxPool2d(2), lif(), sample=IMAGE),
        "1 (MaxPool2d)",
        "not binary; pool spikes",
    ),
    "max pool input": (
        lambda: chain(nn.MaxPool2d(2), lif(), sample=IMAGE),
        "0 (MaxPool2d)",
        "it pools input 'input', which is not binary",
    ),
    "ceil": (lambda: chain(nn.AvgPool2d(4, ceil_mode=True), lif(), sample=IMAGE), "0 (AvgPool2d)", "ceil_mode has no NIR form"),
    "divisor": (
        lambda: chain(nn.AvgPool2d(2, divisor_override=3), lif(), sample=IMAGE),
        "0 (AvgPool2d)",
        "divisor_override has no NIR form",
    ),
    "pad count": (
        lambda: chain(nn.AvgPool2d(3, padding=1, count_include_pad=False), lif(), sample=IMAGE),
        "0 (AvgPool2d)",
        "count_include_pad=False with padding has no NIR form",
    ),
    "reflect": (
        lambda: chain(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), lif(), sample=IMAGE),
        "0 (Conv2d)",
        "padding_mode='reflect' has no NIR form; use padding_mode=\"zeros\"",
    ),
    "odd kernel": (
        lambda: chain(nn.Conv2d(4, 4, (2, 3)), lif(), sample=IMAGE),
        "0 (Conv2d)",
        "cannot check the shape of a 2 x 3 kernel",
    ),
    "linear on image": (
        lambda: chain(nn.Linear(6, 6), lif(), sample=IMAGE),
        "0 (Linear)",
        "samples of shape (4, 6, 6), and NIR's linear map",
    ),
    "hook": (lambda: chain(hooked(), lif()), "0 (Linear)", "a forward hook may change what it computes"),
    "shared layer": (
        lambda: step(lambda m, x: m.lif(m.fc(m.fc(x)))),
        "fc (Linear)",
        "called 2 times in a forward of 1 time steps",
    ),
    "same twice": (
        lambda: (lambda f: chain(f, lif(), f, lif()))(nn.Linear(4, 4)),
        "0 (Linear)",
        "give every layer its own module",
    ),
    "unused": (
        lambda: step(lambda m, x: (m.fc2(x), m.lif(m.fc(x)))[1], fc2=nn.Linear(4, 4)),
        "fc2 (Linear)",
        "never reaches what forward returns",
    ),
    "dict": (lambda: step(lambda m, x: {"out": m.lif(m.fc(x))}), "forward", "it returns dict; return a tensor or a tuple"),
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
