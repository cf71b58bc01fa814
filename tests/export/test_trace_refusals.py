"""What the compiler cannot keep it refuses: by name, with the reason and a way out, in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

from snnfuse.export.tracing import to_nir
from snnfuse.hardware.errors import InputError, UnsupportedError

VECTOR, IMAGE = torch.zeros(2, 4), torch.zeros(2, 4, 6, 6)


def lif(**options: Any) -> snn.Leaky:
    return snn.Leaky(**{"beta": 0.9, "init_hidden": True, **options})


def syn(**options: Any) -> snn.Synaptic:
    return snn.Synaptic(**{"alpha": 0.5, "beta": 0.9, "init_hidden": True, **options})


class Model(nn.Module):
    """A forward written in the test, over modules given by name."""

    def __init__(self, run: Callable, **modules: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.run(self, x)


def step(run: Callable, sample: torch.Tensor = VECTOR, **modules: nn.Module) -> tuple[nn.Module, torch.Tensor]:
    """A model with fc, lif and what the test adds."""
    return Model(run, **{"fc": nn.Linear(4, 4), "lif": lif(), **modules}), sample


def chain(*modules: nn.Module, sample: torch.Tensor = VECTOR) -> tuple[nn.Module, torch.Tensor]:
    return nn.Sequential(*modules), sample


def loop(body: Callable, steps: int = 3, start: Callable | None = None, **modules: nn.Module) -> tuple[nn.Module, torch.Tensor]:
    """A forward over x[t]: body(model, x[t], t, carried) gives (recorded, carried)."""

    def run(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        carried, record = start(m, x) if start else None, []
        for t in range(x.size(0)):
            recorded, carried = body(m, x[t], t, carried)
            record.append(recorded)
        return torch.stack(record)

    return Model(run, **{"fc": nn.Linear(4, 4), "lif": lif(), **modules}), torch.zeros(steps, 2, 4)


def zeros(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(2, 4)


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


def tampered(**attributes: Any) -> nn.Module:
    neuron = lif(reset_delay=False)
    for name, value in attributes.items():
        setattr(neuron, name, value)
    return neuron


def hooked() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    return layer


def twice_the_state(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    spk, mem = m.lif(m.fc(x), torch.zeros(2, 4))
    return spk


def skipping_loop(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([m.lif(m.fc(x[t])) for t in range(2)])


def counting(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(2, 4)
    for t in range(3):
        total = total + m.lif(m.fc(x[t]))
    return total


def counting_in_place(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(2, 4)
    for t in range(3):
        total += m.lif(m.fc(x[t]))
    return total


def delay_line(m: nn.Module, now: torch.Tensor, t: int, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    spk = m.lif(m.fc(now))
    return m.lif2(m.fc2(spk) + m.fc3(before)), spk


def feeds_back(m: nn.Module, now: torch.Tensor, t: int, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    spk, mem = m.lif(m.fc(now) + before)
    return mem, spk


def last_only(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    for t in range(3):
        spk = m.lif(m.fc(x[t]))
    return spk


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
    "graded": (lambda: chain(nn.Linear(4, 4), lif(graded_spikes_factor=2.0)), "1 (Leaky)", "graded_spikes_factor is not 1"),
    "inhibition": (lambda: chain(nn.Linear(4, 4), lif(inhibition=True)), "1 (Leaky)", "inhibition lets only the largest"),
    "state quant": (lambda: chain(nn.Linear(4, 4), lif(state_quant=lambda x: x)), "1 (Leaky)", "state_quant rounds the state"),
    "surrogate": (lambda: chain(nn.Linear(4, 4), lif(spike_grad=torch.sigmoid)), "1 (Leaky)", "is not a step at the threshold"),
    "none": (
        lambda: chain(nn.Linear(4, 4), lif(reset_mechanism="none")),
        "1 (Leaky)",
        "return its membrane alone, or choose a reset",
    ),
    "negative": (lambda: chain(nn.Linear(4, 4), lif(threshold=-1.0)), "1 (Leaky)", "its threshold is -1;"),
    "threshold 0": (
        lambda: chain(nn.Linear(4, 4), syn(threshold=torch.tensor([1.0, 0.0, 1.0, 1.0]))),
        "1 (Synaptic)",
        "keep thresholds above zero: shift the bias",
    ),
    "mixed reset": (
        lambda: chain(nn.Linear(4, 4), tampered(reset_mechanism_val=torch.tensor(1))),
        "1 (Leaky)",
        "built to reset by 'subtract'",
    ),
    "delayed zero": (lambda: chain(nn.Linear(4, 4), syn(reset_mechanism="zero")), "1 (Synaptic)", "use reset_delay=False"),
    "some beta 1": (lambda: chain(nn.Linear(4, 4), lif(beta=torch.tensor([1.0, 0.9, 0.9, 0.9]))), "1 (Leaky)", "beta reaches 1"),
    "alpha 1": (
        lambda: chain(nn.Linear(4, 4), syn(alpha=1.0, reset_mechanism="zero", reset_delay=False)),
        "1 (Synaptic)",
        "alpha reaches 1",
    ),
    "other neuron": (
        lambda: chain(nn.Linear(4, 4), snn.Lapicque(beta=0.9, init_hidden=True)),
        "1 (Lapicque)",
        "this neuron is not exported",
    ),
    "hook": (lambda: chain(hooked(), lif()), "0 (Linear)", "a forward hook may change what it computes"),
    "shared layer": (
        lambda: step(lambda m, x: m.lif(m.fc(m.fc(x)))),
        "fc (Linear)",
        "called 2 times in a forward of 1 time steps",
    ),
    "shared neuron": (
        lambda: step(lambda m, x: m.lif(m.fc(m.lif(x)))),
        "lif (Leaky)",
        "without a loop, give every layer its own module",
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
    "in-place count": (
        lambda: (Model(counting_in_place, fc=nn.Linear(4, 4), lif=lif()), torch.zeros(3, 2, 4)),
        "Model",
        "for all steps at once; return the stacked",
    ),
    "fresh state": (
        lambda: step(twice_the_state, lif=lif(init_hidden=False)),
        "lif (Leaky)",
        "its state is set from a tensor in every call",
    ),
    "membrane only": (
        lambda: step(lambda m, x: m.lif(m.fc(x))[1], lif=lif(output=True)),
        "its mem",
        "nothing that NIR can output is returned",
    ),
    "membrane read": (
        lambda: step(lambda m, x: m.lif2(m.lif(m.fc(x))[1]), lif=lif(output=True), lif2=lif()),
        "lif (Leaky): its mem",
        "lif2 (Leaky) reads it, and NIR passes on spikes only",
    ),
    "lost branch": (
        lambda: step(lambda m, x: (m.lif(m.fc(x)), m.lif2(m.fc2(x))[1]), fc2=nn.Linear(4, 4), lif2=lif(output=True)),
        "fc2 (Linear)",
        "it would be lost",
    ),
    "time sum": (lambda: loop_and(lambda s: s.sum(0)), "Model", "return the stacked spikes and let program.decode count them"),
    "time mean": (lambda: loop_and(lambda s: torch.mean(s, dim=0)), "Model", "mean() is a reduction"),
    "counted": (
        lambda: (Model(counting, fc=nn.Linear(4, 4), lif=lif()), torch.zeros(3, 2, 4)),
        "add",
        "for all steps at once; return the stacked",
    ),
    "last step": (
        lambda: (Model(last_only, fc=nn.Linear(4, 4), lif=lif()), torch.zeros(3, 2, 4)),
        "lif",
        "for all steps at once",
    ),
    "body differs": (
        lambda: loop(lambda m, x, t, c: (m.lif(m.fc(x) if t != 2 else m.fc(x) + x), None)),
        "forward",
        "steps 2 and 1 of its loop differ",
    ),
    "short loop": (
        lambda: (Model(skipping_loop, fc=nn.Linear(4, 4), lif=lif()), torch.zeros(3, 2, 4)),
        "input 'x'",
        "3 time steps and the loop runs 2",
    ),
    "reset inside": (
        lambda: loop(lambda m, x, t, c: (m.lif(m.fc(x)), m.lif.reset_mem())),
        "lif (Leaky)",
        "does not continue from its state",
    ),
    "delayed line": (
        lambda: loop(delay_line, start=zeros, lif2=lif(), fc2=nn.Linear(4, 4), fc3=nn.Linear(4, 4)),
        "lif (Leaky): its spikes",
        "its spikes of the step before reach lif2 (Leaky)",
    ),
    "readout that feeds back spikes": (
        lambda: loop(feeds_back, start=zeros, lif=lif(output=True, reset_mechanism="none")),
        "lif (Leaky)",
        "its spikes are used, and with reset_mechanism",
    ),
    "membrane fed back": (
        lambda: loop(lambda m, x, t, c: m.lif(m.fc(x) + c), start=zeros, lif=lif(output=True)),
        "lif (Leaky): its mem",
        "NIR feeds back spikes only",
    ),
}


def loop_and(then: Callable) -> tuple[nn.Module, torch.Tensor]:
    model, sample = loop(lambda m, x, t, c: (m.lif(m.fc(x)), None))
    run = model.run
    model.run = lambda m, x: then(run(m, x))
    return model, sample


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_with_reason_and_way_out(case: str) -> None:
    build, where, why = REFUSED[case]
    model, sample = build()
    with pytest.raises(UnsupportedError) as error:
        to_nir(model, sample)
    message = str(error.value)
    assert where in message and why in message
    assert "\n" not in message and "; " in message
    assert error.value.exit_code == 3


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
