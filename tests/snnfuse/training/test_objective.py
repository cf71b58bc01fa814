"""What networks are trained for: the default, and a loss that a network brings; how outputs are read."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snnfuse import data, networks, training
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import reduce_window
from snnfuse.networks import run_folded
from snnfuse.training import Recipe, decoder_of
from snnfuse.training.objective import classification, loss_of, scores
from snnfuse.training.recipe import recipe_for
from snnfuse.training.schedules import schedule_of


@pytest.mark.parametrize("decoder", ["spike_count", "first_spike", "membrane_sum", "membrane_last", "membrane_max"])
def test_outputs_are_read_as_the_deployed_program_reads_them(decoder: str) -> None:
    returned = (torch.rand(5, 7, 3) < 0.3).double() if decoder == "first_spike" else torch.randn(5, 7, 3)
    found = scores(SimpleNamespace(decoder=decoder), returned)
    assert np.allclose(found.numpy(), reduce_window(decoder, returned.numpy()), atol=1e-6)


def test_spikes_are_counted_unless_a_network_says_otherwise() -> None:
    assert decoder_of(nn.Identity()).decoder == "spike_count"
    with pytest.raises(InputError, match="decoder 'mean' is none of spike_count"):
        scores(SimpleNamespace(decoder="mean"), torch.zeros(1, 1, 1))


def test_the_default_is_cross_entropy_of_sharpened_scores() -> None:
    returned, labels = torch.rand(4, 6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    recipe = Recipe(sharpness=0.5, label_smoothing=0.2)
    expected = cross_entropy(0.5 * returned.sum(0), labels, label_smoothing=0.2)
    assert torch.equal(classification(nn.Identity(), returned, labels, recipe), expected)


class Own(nn.Module):
    """A readout with a loss of its own."""

    inputs = ("image",)

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)
        self.asked: list[tuple[torch.dtype, torch.dtype, float]] = []

    def forward(self, image: Tensor) -> Tensor:
        return self.out(image)

    def training_outputs(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        found = run_folded(self, image)
        return found, {"mean": found.mean(0)}

    def losses(self, outputs: Tensor, features: dict[str, Tensor], labels: Tensor, settings: Recipe) -> SimpleNamespace:
        self.asked.append((outputs.dtype, features["mean"].dtype, settings.temperature))
        return SimpleNamespace(total=features["mean"].square().mean())


def test_a_network_s_own_loss_is_taken_in_float32_with_the_recipe() -> None:
    model, x = Own(), torch.rand(2, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_of(model, {"image": x}, [(torch.zeros(5, dtype=torch.int64), 1.0)], Recipe(temperature=0.3))
    found.backward()
    assert model.asked == [(torch.float32, torch.float32, 0.3)] and model.out.weight.grad is not None


def test_s_cmrl_is_trained_on_its_own_loss_by_its_own_recipe() -> None:
    assert recipe_for("fd-fusion", "esc10").mixup == 0.3 and recipe_for("fd-fusion", "mnist-fsdd") == Recipe()
    recipe = recipe_for("s-cmrl", "urbansound8k-av")
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (100, 128, 6.25e-4, 1e-4)
    assert (recipe.warmup, recipe.final_lr, recipe.label_smoothing, recipe.temperature) == (5, 1e-5, 0.1, 0.08)
    pictures = data.load("av-digits", settings=data.Settings(audio="picture", time=2))
    config = {**training.inputs_of("s-cmrl", pictures), "channels": 8, "heads": 2}
    torch.manual_seed(0)
    model = networks.build("s-cmrl", config).train()
    batch, labels = training.tensors(pictures.train, slice(16)), torch.from_numpy(pictures.train.labels[:16])
    outputs, features = model.training_outputs(*batch.values())
    assert torch.equal(loss_of(model, batch, [(labels, 1.0)], recipe), model.losses(outputs, features, labels, recipe).total)
    quick = Recipe(epochs=1, alignment=1.0, sharpness=1.0, drop_modality=0.0)
    trained = training.train(pictures, quick, architecture="s-cmrl", channels=8, heads=2)
    assert np.isfinite(trained.history[0].loss) and decoder_of(trained.model).decoder == "membrane_sum"


def test_a_network_in_stages_trains() -> None:
    digits = data.load("av-digits")
    trained = training.train(digits, Recipe(epochs=2), modality="vision", l2="time-average")
    assert isinstance(trained.model, networks.Staged)
    assert trained.history[1].loss < trained.history[0].loss and trained.accuracy > 0.3


def rates(recipe: Recipe, updates: int) -> list[float]:
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], recipe.lr)
    schedule, found = schedule_of(optimiser, recipe, updates), []
    for _ in range(updates):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_the_cosine_warms_up_and_ends_where_it_should() -> None:
    found = rates(Recipe(epochs=10, lr=1e-2, schedule="cosine", warmup=2, warmup_lr=1e-3, final_lr=1e-4), 100)
    assert found[0] == pytest.approx(1e-3) and found[20] == max(found) == pytest.approx(1e-2) and found[-1] == pytest.approx(1e-4)
    assert all(a < b for a, b in zip(found[:20], found[1:21])) and all(a > b for a, b in zip(found[20:-1], found[21:]))


def test_one_cycle_rises_over_a_tenth_and_falls_to_zero() -> None:
    found = rates(Recipe(lr=1e-2), 200)
    assert np.argmax(found) in (18, 19, 20) and max(found) == pytest.approx(1e-2) and found[-1] < 1e-6


@pytest.mark.parametrize("updates", [1, 2, 3, 9, 10, 11, 12])
def test_one_cycle_of_few_updates_reaches_its_rate(updates: int) -> None:
    found = rates(Recipe(lr=1e-2), updates)
    assert np.isfinite(found).all() and max(found) > 0.9e-2, "of ten updates a tenth is one, from nothing to nothing"


REFUSED = [
    ({"schedule": "steps"}, "schedule must be one of one-cycle, cosine"),
    ({"warmup": 10}, "warmup must lie in 0..epochs - 1, not be 10 with 10 epochs"),
    ({"patience": 0}, "patience must be at least 1"),
    ({"drop_modality": 0.6}, "no sample may miss both"),
    ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\)"),
    ({"image_noise": -1.0}, "image_noise must not be negative"),
    ({"temperature": 0.0}, "temperature must be positive"),
    ({"audio_snr": float("inf")}, "audio_snr must be a finite number of dB"),
    ({"sharpness": float("nan")}, "sharpness must be positive and finite, not nan"),
    ({"augment": "no"}, "augment must be true or false, not 'no'"),
    ({"epochs": 1.5}, "epochs must be a whole number, not 1.5"),
    ({"epochs": True}, "epochs must be a whole number, not True"),
    ({"patience": "3"}, "patience must be a whole number, not '3'"),
    ({"weight_decay": "much"}, "weight_decay must be a number, not 'much'"),
    ({"schedule": 3}, "schedule must be a word, not 3"),
]


@pytest.mark.parametrize("wrong, message", REFUSED)
def test_what_a_recipe_cannot_hold(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


def test_a_recipe_takes_numbers_of_every_kind() -> None:
    assert Recipe(seed=np.int64(3), lr=np.float32(0.5), weight_decay=0, audio_snr=-5, patience=np.int32(2)).seed == 3
