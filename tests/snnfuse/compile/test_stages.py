"""Networks in stages: what a later stage reads is what the host makes of the earlier one over the window."""

import io

import pytest
import torch
from torch import Tensor, nn

from snnfuse import networks
from snnfuse.hardware.errors import InputError
from snnfuse.networks import Carry, L2Membrane, L2Normalise, Neuron, Stage, Staged
from snnfuse.networks.stages import check_stages


class Averaged(Staged):
    """Two layers; what the first sent on average over the window, normalised, is the second one's input on every step."""

    inputs = ("x",)

    def __init__(self, reduction: str = "mean", host: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.reduction, self.l2 = reduction, host
        self.body = nn.Sequential(nn.Linear(6, 5), Neuron(beta=0.5).layer())
        self.head = nn.Sequential(nn.Linear(5, 3), Neuron(beta=0.5).layer())
        with torch.no_grad():  # a coarse grid, so that no sum is rounded and equality can be asked for
            for parameter in self.parameters():
                parameter.copy_((parameter * 16).round() / 4)

    def stages(self) -> tuple[Stage, ...]:
        carry = Carry("spikes", self.reduction, self.l2)
        return (
            Stage(self.body, ("x",), ("spikes",), {"embedding": carry}),
            Stage(self.head, ("embedding",), ("classes",)),
        )


def sample(time: int = 8, batch: int = 3) -> Tensor:
    return torch.randint(0, 2, (time, batch, 6), generator=torch.Generator().manual_seed(1)).float()


def by_hand(model: Averaged, x: Tensor) -> Tensor:
    """The same written out: the first part, its average, the second part fed with it on every step."""
    spikes = networks.run(model.body, x)
    value = {"mean": spikes.mean(0), "count": spikes.sum(0)}[model.reduction]
    value = model.l2(value) if model.l2 is not None else value
    return networks.run(model.head, torch.stack([value] * len(x)))


@pytest.mark.parametrize("reduction", ["mean", "count"])
@pytest.mark.parametrize("host", [None, L2Normalise(3.0)])
def test_a_held_value_is_the_average_over_the_window(reduction: str, host: nn.Module | None) -> None:
    model, x = Averaged(reduction, host).eval(), sample()
    spikes = networks.run(model, x)
    assert torch.equal(spikes, by_hand(model, x)) and spikes.any() and spikes.shape == (8, 3, 3)
    assert torch.equal(networks.run_folded(model, x), spikes)


def test_steps_are_played_again_one_by_one() -> None:
    model, x = Averaged("steps").eval(), sample()
    whole = networks.run(nn.Sequential(model.body, model.head), x)
    assert torch.equal(networks.run(model, x), whole) and whole.any()
    assert torch.equal(networks.run_folded(model, x), whole)


def test_steps_with_a_host_module_apply_it_on_each_step() -> None:
    l2 = L2Normalise(2.0)
    model, x = Averaged("steps", l2).eval(), sample()
    whole = networks.run(nn.Sequential(model.body, l2, model.head).eval(), x)
    assert torch.equal(networks.run(model, x), whole) and whole.any()
    assert torch.equal(networks.run_folded(model, x), whole)


@pytest.mark.parametrize("through", [networks.run, networks.run_folded])
def test_gradients_flow_through_the_host(through) -> None:  # noqa: ANN001
    model = Averaged("mean", L2Normalise(3.0)).train()
    through(model, sample()).sum().backward()
    gradient = model.body[0].weight.grad
    assert gradient is not None and bool(gradient.isfinite().all()) and bool((gradient != 0).any())
    assert model.l2.running_norm != 1, "training tracks the norm of the averages"


def test_a_stage_may_return_several_outputs_and_read_inputs_again() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Neuron(beta=0.5).layer(), Neuron(beta=0.25).layer()

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return self.a(x + y), self.b(2 * x)

    class Join(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = Neuron(beta=0.5).layer()

        def forward(self, p: Tensor, q: Tensor, x: Tensor) -> Tensor:
            return self.lif(p + q / 4 + x)

    class Net(Staged):
        inputs = ("x", "y")

        def __init__(self) -> None:
            super().__init__()
            self.two, self.join = Two(), Join()

        def stages(self) -> tuple[Stage, ...]:
            carried = {"p": Carry("a", "mean"), "q": Carry("b", "count")}
            return Stage(self.two, ("x", "y"), ("a", "b"), carried), Stage(self.join, ("p", "q", "x"), ("out",))

    model, x = Net(), sample()
    a, b = networks.run(model.two, x, x)
    expected = networks.run(model.join, *[v.expand(8, 3, 6) for v in (a.mean(0), b.sum(0))], x)
    assert torch.equal(networks.run(model, x, x), expected) and expected.any()
    assert torch.equal(networks.run_folded(model, x, x), expected)


def test_no_state_outlives_a_run_and_weights_are_saved() -> None:
    model, x = Averaged("mean", L2Normalise(3.0)).eval(), sample()
    first = networks.run(model, x)
    assert torch.equal(networks.run(model, x), first)
    assert all(layer[1].mem.numel() == 0 for layer in (model.body, model.head))
    blob = io.BytesIO()
    torch.save(model.state_dict(), blob)
    blob.seek(0)
    again = Averaged("mean", L2Normalise(3.0)).eval()
    again.load_state_dict(torch.load(blob, weights_only=True))
    assert torch.equal(networks.run(again, x), first)


def test_a_single_step_has_no_value() -> None:
    with pytest.raises(InputError, match="Averaged runs in stages.*snnfuse.networks.run"):
        Averaged()(sample()[0])


def staged(*stages: Stage, inputs: tuple[str, ...] = ("x",)) -> Staged:
    class Net(Staged):
        def stages(self) -> tuple[Stage, ...]:
            return stages

    model = Net()
    model.inputs = inputs
    model.all = nn.ModuleList([stage.module for stage in stages])
    return model


@pytest.mark.parametrize(
    "stages, message",
    [
        ((), "must give at least one stage"),
        ((Stage(nn.Identity(), ("y",), ("a",)),), "stage 1 reads 'y'; by then there are x"),
        ((Stage(nn.Identity(), ("x",), ("a",), {"x": Carry("a")}),), "carries 'x', a name that is taken"),
        ((Stage(nn.Identity(), ("x",), ("a",), {"z": Carry("b")}), Stage(nn.Identity(), ("z",), ("c",))), "none of its outputs: a"),
        ((Stage(nn.Identity(), ("x",), ("a", "b"), {"z": Carry("a")}), Stage(nn.Identity(), ("z",), ("c",))), "'b', which nothing"),
        ((Stage(nn.Identity(), ("x",), ("a",), {"z": Carry("a")}),), "no stage follows"),
        (
            (Stage(nn.Identity(), ("x",), ("a",), {"z": Carry("a", "mean", nn.ReLU())}), Stage(nn.Identity(), ("z",), ("c",))),
            "not registered",
        ),
    ],
)
def test_wiring_that_cannot_run_is_named(stages: tuple[Stage, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_stages(staged(*stages))


def test_wrong_reductions_outputs_and_inputs_are_named() -> None:
    with pytest.raises(InputError, match="reduction must be one of count, mean, steps, not 'max'"):
        Carry("a", "max")
    with pytest.raises(InputError, match="returns 1 tensors, but declares the outputs a, b"):
        networks.run(staged(Stage(nn.Identity(), ("x",), ("a", "b"))), sample())
    with pytest.raises(InputError, match="takes x, but 2 inputs were given"):
        networks.run(Averaged(), sample(), sample())


def test_l2_of_membranes_integrates_and_normalises() -> None:
    layer = L2Membrane(beta=0.5, scale=5.0).eval()
    x = torch.tensor([[[3.0, 4.0]], [[1.5, 2.0]], [[0.0, 0.0]]])
    spikes = networks.run(layer, x)
    assert spikes.tolist() == [[[3.0, 4.0]], [[3.0, 4.0]], [[3.0, 4.0]]], "v is (3, 4), (3, 4) and (1.5, 2): of length 5 each time"
    assert torch.equal(networks.run_folded(layer, x), spikes)
    assert set(layer.state_dict()) >= {"l2.running_norm"}


@pytest.mark.parametrize("make", [lambda: L2Normalise(0.0), lambda: L2Normalise(1.0, 2.0), lambda: L2Membrane(1.0)])
def test_l2_refuses_what_makes_no_sense(make) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match="positive scale|beta must lie"):
        make()


def test_training_in_integers_takes_one_program() -> None:
    from snnfuse.hardware.errors import UnsupportedError
    from snnfuse.nn import quantization_aware

    with pytest.raises(UnsupportedError, match="Averaged runs in stages.*give the module of one stage"):
        quantization_aware(Averaged().eval(), sample().numpy())
