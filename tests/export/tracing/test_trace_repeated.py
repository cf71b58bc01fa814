"""A forward that computes something else when it is called again, or whose layers are not what they say, never exports."""

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from refused_models import VECTOR, Model, assert_refused, chain, lif, step
from torch import nn

from snnfuse.export.tracing import to_nir, trace_model

KEPT = "and only neurons carry anything from step to step in NIR; let neurons hold it (init_hidden=True)"
NOISE = "it draws random numbers, which differ from step to step; add noise to the inputs, outside forward"


def with_attribute(run: Callable, **attributes: Any) -> tuple[nn.Module, Any]:
    model, sample = step(run)
    vars(model).update(attributes)
    return model, sample


def with_buffer(run: Callable) -> tuple[nn.Module, Any]:
    model, sample = step(run)
    model.register_buffer("trace", torch.zeros(1, 4))
    return model, sample


def counted(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    m.calls += 1
    return m.lif(m.fc(x))


def differenced(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    before, m.before = m.before, x
    return m.lif(m.fc(x if before is None else x - before))


def low_pass(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    m.trace = 0.9 * m.trace + m.fc(x)
    return m.lif(m.trace)


def counted_in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    m.trace.add_(1)
    return m.lif(m.fc(x) * m.trace)


def half_of_membrane(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    spikes, mem = m.own(m.fc(x), m.held)
    m.held = mem * 0.5
    return spikes


def own_membrane(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    spikes, m.held = m.own(m.fc(x), m.held)
    return spikes


def keeping(run: Callable, start: torch.Tensor) -> tuple[nn.Module, Any]:
    model, sample = with_attribute(run, held=start)
    model.own = snn.Leaky(beta=0.9)
    return model, sample


def setting_beta(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    m.lif.beta = torch.tensor(0.2)
    return m.lif(m.fc(x))


def rising_threshold(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    steps = []
    for t in range(len(x)):
        m.lif.threshold = torch.tensor(1.0 + t)
        steps.append(m.lif(m.fc(x[t])))
    return torch.stack(steps)


def clipping_weights(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    m.fc.weight.data.clamp_(-0.01, 0.01)
    return m.lif(m.fc(x))


def autocast(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return m.lif(m.fc(x))


def hooked_root(register: str) -> tuple[nn.Module, Any]:
    model, sample = chain(nn.Linear(4, 4), lif())
    getattr(model, register)(lambda module, *values: None)
    return model, sample


def replaced(position: int, name: str) -> tuple[nn.Module, Any]:
    model, sample = chain(nn.Linear(4, 4), lif())
    setattr(model[position], name, lambda x: x)
    return model, sample


def caught(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fc(x)
    try:
        large = bool(y.max() > 1)
    except Exception:
        large = False
    return m.lif(y * 0.1 if large else y)


class Inverted(nn.Sequential):
    def __call__(self, x):
        return 1 - super().__call__(x)


def foreign(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return m.lif(m.layers[0](x))


REFUSED: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str, str]] = {
    "a counter": (lambda: with_attribute(counted, calls=0), "Model", f"it keeps calls from call to call, {KEPT}"),
    "the input before": (lambda: with_attribute(differenced, before=None), "Model", f"it keeps before from call to call, {KEPT}"),
    "a filter in a buffer": (lambda: with_buffer(low_pass), "Model", f"it keeps trace from call to call, {KEPT}"),
    "a buffer changed in place": (lambda: with_buffer(counted_in_place), "Model", f"it keeps trace from call to call, {KEPT}"),
    "half of a membrane": (lambda: keeping(half_of_membrane, torch.zeros(1)), "Model", f"it keeps held from call to call, {KEPT}"),
    "a membrane that starts at 1": (
        lambda: keeping(own_membrane, torch.ones(2, 4)),
        "own (Leaky)",
        "its state starts from values other than zero; start from zeros, or None, and set it back to that before the export",
    ),
    "torch's noise": (lambda: step(lambda m, x: m.lif(m.fc(x) + torch.randn(4))), "Model", NOISE),
    "Python's noise": (lambda: step(lambda m, x: m.lif(m.fc(x) * random.random())), "Model", NOISE),
    "NumPy's noise": (lambda: step(lambda m, x: m.lif(m.fc(x) * float(np.random.rand()))), "Model", NOISE),
    "a decay set in forward": (lambda: step(setting_beta), "lif (Leaky)", "forward changes its beta; set it once, outside forward"),
    "a threshold that rises": (
        lambda: step(rising_threshold, torch.zeros(3, 2, 4)),
        "lif (Leaky)",
        "forward changes its threshold; set it once, outside forward",
    ),
    "weights set in forward": (lambda: step(clipping_weights), "fc (Linear)", "forward changes its weight; set it once"),
    "autocast": (lambda: step(autocast), "fc (Linear)", "it rounds to torch.bfloat16; keep float32 or float64, and autocast outside"),
    "a hook of the model": (lambda: hooked_root("register_forward_hook"), "Sequential", "a forward hook may change what it computes"),
    "a hook before the model": (lambda: hooked_root("register_forward_pre_hook"), "Sequential", "a forward hook may change what it"),
    "a layer's own forward": (lambda: replaced(0, "forward"), "0 (Linear)", "its forward was replaced by another function; write it"),
    "a neuron's own fire": (lambda: replaced(1, "fire"), "1 (Leaky)", "its fire was replaced by another function; write it"),
    "a compiled layer": (lambda: chain(torch.compile(nn.Linear(4, 4)), lif()), "0: torch.compile wraps it", "put its _orig_mod in its"),
    "a refusal that forward catches": (lambda: step(caught), "Model", "max: it makes the computation depend on the data"),
    "a call of its own": (lambda: (Inverted(nn.Linear(4, 4), lif()), VECTOR), "Inverted", "its __call__ was replaced by another function"),
    "a layer in a plain list": (
        lambda: with_attribute(foreign, layers=[nn.Linear(4, 4)]),
        "Model",
        "it calls a Linear that is none of its submodules; hold modules in attributes, a ModuleList",
    ),
    "a result in another tensor": (
        lambda: step(lambda m, x: m.lif(torch.add(m.fc(x), 1, out=torch.zeros(2, 4)))),
        "Model",
        "add writes its result to another tensor; leave out= away",
    ),
    "a recording written in place": (
        lambda: step(lambda m, x: torch.zeros(2, 4).copy_(m.lif(m.fc(x)))),
        "Model",
        "copy: it writes to a part or all of a tensor; build the tensor with torch.cat",
    ),
    "attention as a layer": (
        lambda: step(lambda m, x: m.lif(m.mix(x, x, x)[0]), mix=nn.MultiheadAttention(4, 1)),
        "mix (MultiheadAttention)",
        "it multiplies values that depend on the input, and NIR has no product; mix neurons with torch.nn.Linear layers",
    ),
    "a surrogate that fires late": (
        lambda: chain(lif(spike_grad=lambda x: (x > 0.0005).to(x.dtype))),
        "0 (Leaky)",
        "its spike_grad is not a step at the threshold when run forward; use one of snntorch.surrogate",
    ),
    "a surrogate with negative spikes": (
        lambda: chain(lif(spike_grad=lambda x: (x > 0).to(x.dtype) - (x < -5).to(x.dtype))),
        "0 (Leaky)",
        "its spike_grad is not a step at the threshold when run forward; use one of snntorch.surrogate",
    ),
    "a surrogate that fails": (lambda: chain(lif(spike_grad=lambda x: x[100])), "0 (Leaky)", "its spike_grad is not a step at"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_by_name(case) -> None:
    build, where, why = REFUSED[case]
    assert_refused(*build(), where, why)


def test_a_refused_forward_leaves_the_weights_as_they_were() -> None:
    model, sample = step(clipping_weights)
    before = copy.deepcopy(model.state_dict())
    held = model.fc.weight.data.data_ptr()
    assert_refused(model, sample, "fc (Linear)", "forward changes its weight")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.fc.weight.data.data_ptr() == held


def test_a_log_of_what_was_computed_is_no_state() -> None:
    def logging(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        m.log.append(m.lif(m.fc(x)))
        m.last = m.log[-1]
        return m.last

    model, sample = with_attribute(logging, log=[], last=None)
    assert to_nir(model, sample).nodes.keys() == {"x", "fc", "lif", "lif.membrane", "lif.reset", "output"}
    assert model.log == [] and model.last is None


class Asking(nn.Module):
    """Goes another way where its input is no tensor, as a traced value is not."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, 4), lif()

    def forward(self, x):
        return self.lif(self.fc(x * 0.5 if isinstance(x, torch.Tensor) else x))


@pytest.mark.parametrize("model, where", [(Asking(), "Asking: "), (nn.Sequential(Asking()), "0: ")], ids=["model", "submodule"])
def test_asking_for_the_type_of_a_tensor_is_refused(model, where) -> None:
    assert_refused(model, VECTOR, where, "forward asks whether a value is a torch.Tensor, and a traced value stands in for one; ask for")


def test_a_function_of_the_users_own_gradient_is_refused() -> None:
    class Step(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return (x > 0).to(x.dtype)

    assert_refused(*step(lambda m, x: m.lif(Step.apply(m.fc(x)))), "Model", "gt: it makes the computation depend on the data")


def test_a_traced_tensor_answers_for_its_type() -> None:
    def asserting(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        assert x.is_floating_point() and not x.is_cuda
        return m.lif(m.fc(x))

    assert "lif" in to_nir(*step(asserting)).nodes


def test_half_precision_stands_in_the_ledger() -> None:
    _, ledger = trace_model(Model(lambda m, x: m.lif(m.fc(x)), fc=nn.Linear(4, 4), lif=lif()).half(), VECTOR)
    assert [(e.node, e.change) for e in ledger] == [("Model", "its values are no longer rounded to torch.float16")]
