"""Networks of a user's own whose forward goes through time itself: run, trained and read as the same network stepped by hand."""

from typing import Any

import pytest
import snntorch
import torch
from snntorch import utils
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.networks import goes_through_time, input_names, run, run_folded
from snnfuse.training import objective

STEPS, BATCH, CLASSES = 6, 5, 3


class Net(nn.Module):
    """Two layers that a subclass takes through time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.hidden = nn.Linear(4, 9), snntorch.Synaptic(alpha=0.4, beta=0.8)
        self.last, self.out = nn.Linear(9, CLASSES), snntorch.Leaky(beta=0.9)
        self.last.weight.data.abs_()  # so that the last layer fires

    def steps(self, steps: Any) -> tuple[list[Tensor], list[Tensor]]:
        syn, mem = self.hidden.init_synaptic()
        out, spikes, membranes = self.out.init_leaky(), [], []
        for x in steps:
            spike, syn, mem = self.hidden(self.first(x), syn, mem)
            spike, out = self.out(self.last(spike), out)
            spikes.append(spike)
            membranes.append(out)
        return spikes, membranes


class TimeFirst(Net):
    def forward(self, data):
        return torch.stack(self.steps(data[t] for t in range(data.size(0)))[0])


class BatchFirst(Net):
    def forward(self, data):
        return torch.stack(self.steps(data[:, t] for t in range(data.size(1)))[0], dim=1)


class TimeLast(Net):
    def forward(self, data):
        return torch.stack(self.steps(data[..., t] for t in range(data.size(-1)))[0], dim=-1)


class Both(Net):
    def forward(self, data):
        spikes, membranes = self.steps(data[t] for t in range(data.size(0)))
        return torch.stack(spikes), torch.stack(membranes)


class Lists(Net):
    def forward(self, data):
        return self.steps(data[t] for t in range(data.size(0)))


class Named(Net):
    def forward(self, data):
        spikes, membranes = self.steps(data[t] for t in range(data.size(0)))
        return {"spikes": torch.stack(spikes), "membranes": torch.stack(membranes)}


class Total(Net):
    def forward(self, data):
        return torch.stack(self.steps(data[t] for t in range(data.size(0)))[0]).sum(0)


class Mean(Net):
    def forward(self, data):
        return 2 * torch.stack(self.steps(data[t] for t in range(data.size(0)))[0]).mean(0)


class Static(Net):
    def forward(self, data):
        return torch.stack(self.steps(data for _ in range(STEPS))[0])


class LastMembrane(Net):
    def forward(self, data):
        return self.steps(data[t] for t in range(data.size(0)))[1][-1]


class Probabilities(LastMembrane):
    def forward(self, data):
        return torch.softmax(super().forward(data), 1)


class LogProbabilities(LastMembrane):
    def forward(self, data):
        return torch.log_softmax(super().forward(data), 1)


class Sigmoid(LastMembrane):
    def forward(self, data):
        return torch.sigmoid(super().forward(data))


class Chosen(LastMembrane):
    def forward(self, data):
        return super().forward(data).argmax(1)


class KeepsState(nn.Module):
    """Neurons keep their states, which forward resets itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.hidden = nn.Linear(4, CLASSES), snntorch.Leaky(beta=0.8, init_hidden=True)

    def forward(self, data):
        utils.reset(self)
        return torch.stack([self.hidden(self.first(data[t])) for t in range(data.size(0))])


class OneStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.hidden = nn.Linear(4, CLASSES), snntorch.Leaky(beta=0.8, init_hidden=True, output=True)

    def forward(self, data):
        return self.hidden(self.first(data))


class NamedStep(OneStep):
    def forward(self, data):
        spikes, membranes = super().forward(data)
        return {"spikes": spikes, "membranes": membranes}


class Gates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(4, CLASSES)

    def forward(self, data):
        return self.first(data)[0]


def sample() -> Tensor:
    return 3 * torch.rand((STEPS, BATCH, 4), generator=torch.Generator().manual_seed(0))


def by_hand(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes (time, batch, classes) by the equations of snnTorch's neurons, with none of its modules."""
    net = Net()
    syn, mem, out = (torch.zeros(()) for _ in range(3))
    spikes, membranes = [], []
    for step in x:
        reset = (mem > 1).float()
        syn = 0.4 * syn + net.first(step)
        mem = 0.8 * mem + syn - reset
        out = 0.9 * out + net.last((mem > 1).float()) - (out > 1).float()
        spikes.append((out > 1).float())
        membranes.append(out)
    return torch.stack(spikes), torch.stack(membranes)


@pytest.mark.parametrize("network", [TimeFirst, BatchFirst, TimeLast, Both, Lists, Named])
def test_all_steps_are_those_of_the_equations(network: type[Net]) -> None:
    expected, _ = by_hand(sample())
    assert 0 < expected.sum() < expected.numel()
    found = run(network(), sample())
    assert found.requires_grad and torch.equal(found, expected)


def test_a_static_input_is_read_once() -> None:
    still = sample()[:1].expand(STEPS, -1, -1)
    assert torch.equal(run(Static(), still), by_hand(still)[0])
    with pytest.raises(
        InputError, match=r"one input for all of its 6 time steps, and input 'data' changes over time; let forward read x\[t\]"
    ):
        run(Static(), sample())


@pytest.mark.parametrize("network", [Total, Mean])
def test_one_value_of_the_window_is_scored_as_all_steps_are(network: type[Net]) -> None:
    """So that a recipe's sharpness means the same."""
    scores = objective.scores(network(), run(network(), sample()))
    torch.testing.assert_close(scores, by_hand(sample())[0].sum(0))


@pytest.mark.parametrize("network", [LastMembrane, Probabilities, LogProbabilities, Sigmoid])
def test_what_is_applied_at_last_is_left_out_as_in_the_deployed_program(network: type[Net]) -> None:
    found = objective.scores(network(), run(network(), sample()))
    expected = by_hand(sample())[1][-1]
    torch.testing.assert_close(found - found.mean(1, keepdim=True), expected - expected.mean(1, keepdim=True))
    assert objective.decoder_of(trained := network()).decoder == "spike_count", "nobody has run it"
    run(trained, sample())
    assert objective.decoder_of(trained).decoder == "membrane_last"


@pytest.mark.parametrize("network", [TimeFirst, Mean, Probabilities])
def test_gradients_are_those_of_a_plain_loop(network: type[Net]) -> None:
    labels = torch.arange(BATCH) % CLASSES
    ours, plain = network(), Net()
    nn.functional.cross_entropy(objective.scores(ours, run(ours, sample())), labels).backward()
    spikes, membranes = plain.steps(sample())
    nn.functional.cross_entropy(membranes[-1] if network is Probabilities else torch.stack(spikes).sum(0), labels).backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad)


def test_a_network_that_resets_itself_keeps_no_state() -> None:
    model = KeepsState()
    first = run(model, sample())
    assert torch.equal(run(model, sample()), first) and model.hidden.mem.numel() == 0
    assert torch.equal(run(model, sample()[:3]), first[:3]), "another length is traced anew"


def test_how_it_takes_time_decides_how_it_is_trained() -> None:
    batch = {"data": sample()}
    for network, at_once in ((TimeFirst, True), (KeepsState, True), (OneStep, False)):
        assert goes_through_time(network(), sample()) is at_once
        assert (objective.through_time_of(network(), batch) is run) >= at_once
    assert input_names(TimeFirst()) == ("data",)


def test_outputs_of_a_step_may_have_names() -> None:
    (spikes, _), batch = run(OneStep(), sample()), {"data": sample()}
    for through_time in (run, run_folded):
        assert torch.equal(objective.outputs(NamedStep(), batch, through_time), spikes)


def test_of_several_outputs_of_a_step_the_first_is_read() -> None:
    model, mem, spikes = OneStep(), torch.zeros(()), []
    for step in sample():
        mem = 0.8 * mem + model.first(step) - (mem > 1).float()
        spikes.append((mem > 1).float())
    for through_time in (run, run_folded):
        assert torch.equal(objective.outputs(OneStep(), {"data": sample()}, through_time), torch.stack(spikes))


def test_what_cannot_be_deployed_is_refused_before_it_is_trained() -> None:
    with pytest.raises(InputError, match=r"returns the largest class \(argmax\), which has no gradient; return what it is of"):
        run(Chosen(), sample())
    with pytest.raises(UnsupportedError, match="LSTM"):
        run(Gates(), sample())
