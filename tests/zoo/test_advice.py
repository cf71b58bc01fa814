"""Each refusal says how to mend the model: followed literally, the model goes through and fires as snnTorch does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from forms import INPUTS, STEPS, found, graph_spikes, spikes_over_time
from snntorch import spikegen
from torch import nn

from snnfuse.export import to_nir
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.errors import InputError, UnsupportedError

HIDDEN = 8


@dataclass(frozen=True)
class Case:
    """A step (model, input) -> spikes that is refused, what the refusal says, and the same step as it says to write it.

    layers: what the step uses besides `fc` and `lif`.
    """

    wrong: Callable[[Any, Any], Any]
    said: str
    right: Callable[[Any, Any], Any]
    layers: Callable[[], dict[str, nn.Module]] = dict


class Stepping(nn.Module):
    def __init__(self, run: Callable[[Any, Any], Any], layers: Callable[[], dict[str, nn.Module]]) -> None:
        super().__init__()
        self.run, self.fc, self.lif = run, nn.Linear(INPUTS, HIDDEN), lif()
        for name, layer in layers().items():
            setattr(self, name, layer)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def lif(**options: Any) -> nn.Module:
    return snn.Leaky(beta=0.75, threshold=0.3, init_hidden=True, **options)


def model_of(run: Callable[[Any, Any], Any], layers: Callable[[], dict[str, nn.Module]]) -> nn.Module:
    torch.manual_seed(3)
    model = Stepping(run, layers).eval()
    recurrent = any(hasattr(m, "recurrent") for m in model.modules())  # whose float32 spikes snnTorch multiplies with its weights
    return model if recurrent else model.double()


def norm() -> dict[str, nn.Module]:
    return {"norm": nn.BatchNorm1d(HIDDEN)}


def changed_in_place(m: Any, x: Any) -> Any:
    current, kept = m.fc(x), x * 2
    same = current
    current += 0.5
    return m.lif(current + same * 0 + m.fc(kept) * 0)


CASES = {
    "relu": Case(
        lambda m, x: m.lif(m.fc2(F.relu(m.fc(x)))), "use a spiking neuron (snntorch.Leaky) as the non-linearity",
        lambda m, x: m.lif(m.fc2(m.lif0(m.fc(x)))), lambda: {"fc2": nn.Linear(HIDDEN, HIDDEN), "lif0": lif()},
    ),
    "clamp": Case(
        lambda m, x: m.lif(m.fc(x).clamp(0, 1)), "use a spiking neuron",
        lambda m, x: m.lif(m.lif0(m.fc(x))), lambda: {"lif0": lif()},
    ),
    "softmax": Case(
        lambda m, x: F.softmax(m.lif(m.fc(x)), 1), "leave it out", lambda m, x: m.lif(m.fc(x)),
    ),
    "layer norm": Case(
        lambda m, x: m.lif(F.layer_norm(m.fc(x), (HIDDEN,))), "use torch.nn.BatchNorm, which folds",
        lambda m, x: m.lif(m.norm(m.fc(x))), norm
    ),
    "batch norm called": Case(
        lambda m, x: m.lif(F.batch_norm(m.fc(x), m.norm.running_mean, m.norm.running_var)), "use a torch.nn.BatchNorm1d or 2d module",
        lambda m, x: m.lif(m.norm(m.fc(x))), norm,
    ),
    "dropout": Case(
        lambda m, x: m.lif(F.dropout(m.fc(x), 0.5)), "pass training=self.training",
        lambda m, x: m.lif(F.dropout(m.fc(x), 0.5, training=m.training)),
    ),
    "dropout module": Case(
        lambda m, x: m.lif(F.dropout(m.fc(x), 0.5)), "or use torch.nn.Dropout", lambda m, x: m.lif(m.drop(m.fc(x))),
        lambda: {"drop": nn.Dropout(0.5)},
    ),
    "decided by data": Case(
        lambda m, x: m.lif(torch.where(m.fc(x) > 0, m.fc(x), m.fc(x) * 0)), "compare with a neuron's threshold",
        lambda m, x: m.lif(m.lif0(m.fc(x))), lambda: {"lif0": lif()},
    ),
    "pool indices": Case(
        lambda m, x: m.lif(F.max_pool1d(m.fc(x)[:, None], 2, return_indices=True)[0].flatten(1)), "without return_indices",
        lambda m, x: m.lif(F.max_pool1d(m.fc(x)[:, None], 2).flatten(1)),
    ),
    "transpose": Case(lambda m, x: m.lif(m.fc(x.T.T)), "use x.transpose over axes of a sample",
        lambda m, x: m.lif(m.fc(x.reshape(-1, 2, 3).transpose(1, 2).flatten(1)))),
    "addmm": Case(
        lambda m, x: m.lif(torch.addmm(m.fc.bias, x, m.fc.weight.T)), "write it with +, * and @",
        lambda m, x: m.lif(m.fc.bias + x @ m.fc.weight.mT),
    ),
    "written to": Case(
        lambda m, x: m.lif(_first_doubled(m.fc(x))), "build the tensor with torch.cat",
        lambda m, x: m.lif(torch.cat([m.fc(x)[:, :1] * 2, m.fc2(x)[:, 1:]], 1)), lambda: {"fc2": nn.Linear(INPUTS, HIDDEN)},
    ),
    "shared neuron": Case(
        lambda m, x: m.lif(m.fc2(m.lif(m.fc(x)))), "give every layer its own module", lambda m, x: m.lif2(m.fc2(m.lif(m.fc(x)))),
        lambda: {"fc2": nn.Linear(HIDDEN, HIDDEN), "lif2": lif()},
    ),
    "in place": Case(changed_in_place, "write z = x + y, not x += y", lambda m, x: m.lif(m.fc(x) + 0.5)),
    "division": Case(
        lambda m, x: m.lif(m.fc(x) / (1 + m.fc(x) * 0)), "divide by a constant", lambda m, x: m.lif(m.fc(x) / 1.25)
    ),
    "division that rounds": Case(
        lambda m, x: m.lif(torch.div(m.fc(x), 2, rounding_mode="floor")), "divide without rounding_mode",
        lambda m, x: m.lif(torch.div(m.fc(x), 2))
    ),
    "random": Case(
        lambda m, x: m.lif(m.fc(x) + torch.randn_like(m.fc(x))), "add noise to the inputs, outside forward", lambda m, x: m.lif(m.fc(x))
    ),
    "half": Case(lambda m, x: m.lif(m.fc(x).half().double()), "keep float32 or float64", lambda m, x: m.lif(m.fc(x).double())),
    "undelayed recurrence": Case(
        lambda m, x: m.ring(m.fc(x)), "use reset_delay=True", lambda m, x: m.good(m.fc(x)),
        lambda: {
            "ring": snn.RSynaptic(0.5, 0.75, linear_features=HIDDEN, init_hidden=True, reset_delay=False),
            "good": snn.RSynaptic(0.5, 0.75, linear_features=HIDDEN, init_hidden=True, reset_delay=True, threshold=0.3),
        },
    ),
    "parallel": Case(
        lambda m, x: m.parallel(x), 'use a torch.nn.Linear and snntorch.Leaky(reset_mechanism="none")', lambda m, x: m.free(m.fc(x)),
        lambda: {"parallel": snn.LeakyParallel(INPUTS, HIDDEN), "free": lif(reset_mechanism="none")},
    ),
}  # fmt: skip


def _first_doubled(x: Any) -> Any:
    x[:, 0] = x[:, 0] * 2
    return x


@pytest.mark.parametrize("name", CASES)
def test_followed_literally_it_works(name: str) -> None:
    case, x = CASES[name], spikes_over_time()
    with pytest.raises(UnsupportedError) as error:
        found(model_of(case.wrong, case.layers), x)
    assert case.said in str(error.value)
    model = model_of(case.right, case.layers)
    graph, form = found(model, x)
    (output,) = graph.outputs
    fired, expected = graph_spikes(graph, x, output), run_model(model, {"x": x.numpy()}, form)[0]
    np.testing.assert_array_equal(fired, expected)
    assert 0.01 < expected.mean() < 0.99 and len(expected) == STEPS


def test_asking_whether_it_is_a_tensor() -> None:
    class Asking(Stepping):
        def forward(self, x: Any) -> Any:
            return self.lif(self.fc(x if isinstance(x, torch.Tensor) else x[0]))

    class AskingOtherwise(Stepping):
        def forward(self, x: Any) -> Any:
            return self.lif(self.fc(x[0] if isinstance(x, (tuple, list)) else x))

    with pytest.raises(UnsupportedError, match=r"ask for what it is not: isinstance\(x, \(tuple, list\)\)"):
        found(Asking(print, dict).double().eval(), spikes_over_time())
    found(AskingOtherwise(print, dict).double().eval(), spikes_over_time())


def test_a_hook_that_is_removed() -> None:
    model = model_of(lambda m, x: m.lif(m.fc(x)), dict)
    hook = model.get_submodule("fc").register_forward_hook(lambda *given: None)
    with pytest.raises(UnsupportedError, match="remove the hook"):
        found(model, spikes_over_time())
    hook.remove()
    found(model, spikes_over_time())


@pytest.mark.parametrize("encoder", [spikegen.rate, spikegen.latency])
def test_an_encoder_that_is_called_outside(encoder: Callable[..., torch.Tensor]) -> None:
    class Encoding(Stepping):
        def forward(self, x: Any) -> Any:
            return torch.stack([self.lif(self.fc(each)) for each in encoder(x, num_steps=STEPS)])

    class EncodedBefore(Stepping):
        def forward(self, x: Any) -> Any:
            return torch.stack([self.lif(self.fc(x[t])) for t in range(STEPS)])

    name = f"spikegen.{encoder.__name__}"
    with pytest.raises(UnsupportedError, match=rf"forward encodes its input with {name}.* let forward take the spikes"):
        to_nir(Encoding(print, dict).eval(), torch.rand(2, INPUTS))
    torch.manual_seed(3)
    model, spikes = EncodedBefore(print, dict).double().eval(), encoder(torch.rand(2, INPUTS), num_steps=STEPS).double()
    graph = to_nir(model, spikes)
    (output,) = graph.outputs
    np.testing.assert_array_equal(graph_spikes(graph, spikes, output), model(spikes).detach().numpy())


def test_a_state_that_the_neuron_keeps() -> None:
    class Passed(nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(INPUTS, HIDDEN), snn.Leaky(beta=0.75, threshold=0.3, **options)

        def forward(self, x: Any, mem: Any) -> Any:
            return self.lif(self.fc(x), mem)

    class Kept(Passed):
        def forward(self, x: Any) -> Any:
            return self.lif(self.fc(x))

    with pytest.raises(InputError, match=r"Passed\.forward also takes mem, .* the neuron keeps it with init_hidden=True"):
        to_nir(Passed().eval(), torch.rand(2, INPUTS))
    torch.manual_seed(3)
    found(Kept(init_hidden=True).double().eval(), spikes_over_time())
