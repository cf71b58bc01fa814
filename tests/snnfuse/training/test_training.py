"""Training: repeatable, blind to the test set, and good enough; and the command around it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from snnfuse import data, networks, training
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata
from snnfuse.commands.train import train as command
from snnfuse.hardware.errors import InputError
from snnfuse.networks import decode, run
from snnfuse.training import Recipe
from snnfuse.training.objective import loss_of


@pytest.fixture(scope="module")
def digits() -> data.AudioVisual:
    return data.load("av-digits")


@pytest.fixture(scope="module")
def fused(digits: data.AudioVisual) -> training.Trained:
    return training.train(digits, Recipe(epochs=6))


def weights(model: nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def test_fusion_learns(fused: training.Trained) -> None:
    assert fused.accuracy > 0.95 and fused.samples == 360
    assert [epoch.number for epoch in fused.history] == [1, 2, 3, 4, 5, 6]
    assert not fused.model.training


def test_accuracy_is_the_decoded_share(fused: training.Trained, digits: data.AudioVisual) -> None:
    with torch.no_grad():
        classes = decode(run(fused.model, *training.tensors(digits.test).values())).numpy()
    assert fused.accuracy == (classes == digits.test.labels).mean()
    assert training.evaluate(fused.model, digits.test, batch_size=77) == fused.accuracy


def test_the_best_epoch_is_kept(fused: training.Trained, digits: data.AudioVisual) -> None:
    _, held = data.hold_out(digits.train, Recipe().held, Recipe().seed)
    assert training.evaluate(fused.model, held) == max(epoch.validation for epoch in fused.history)


def test_weights_stay_fit_for_eight_bits(fused: training.Trained) -> None:
    for module in fused.model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert module.weight.abs().max() < 20 * module.weight.std(), "one extreme weight takes the steps of all others"


def test_training_repeats_and_leaves_the_random_state(digits: data.AudioVisual) -> None:
    state = torch.get_rng_state()
    recipe = Recipe(epochs=1, seed=5)
    one, other = (training.train(digits, recipe, modality="audio").model for _ in range(2))
    different = training.train(digits, replace(recipe, seed=6), modality="audio").model
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other)))
    assert any(not torch.equal(a, b) for a, b in zip(weights(one), weights(different)))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_test_set_has_no_influence(digits: data.AudioVisual) -> None:
    pools = {name: replace(pool, items=1 - pool.items) for name, pool in digits.test.pools.items()}
    changed = replace(digits, test=replace(digits.test, pools=pools))
    one, other = (training.train(d, Recipe(epochs=1), modality="vision").model for d in (digits, changed))
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other)))


@pytest.mark.parametrize("modality", ["fusion", "vision", "audio"])
@pytest.mark.parametrize("config", [{"l2": "per-step"}, {"neuron": {"reset": "subtract", "reset_delay": True}}, {"neuron": {"alpha": 0.5}}])
def test_every_variant_trains_every_weight(digits: data.AudioVisual, modality: str, config: dict) -> None:
    few = replace(digits, train=replace(digits.train, index=digits.train.index[:80]), test=digits.test)
    torch.manual_seed(0)
    trained = training.train(few, Recipe(epochs=1, batch_size=32), modality=modality, **config)
    assert np.isfinite(trained.history[0].loss)
    assert train_every_weight(trained.model, few)


def train_every_weight(model: nn.Module, data: data.AudioVisual) -> bool:
    """Whether a loss has a finite gradient in all of them."""
    loss = loss_of(model.train(), training.tensors(data.train), [(torch.from_numpy(data.train.labels), 1.0)], Recipe())
    loss.backward()
    return all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def silent(batch: torch.Tensor) -> torch.Tensor:
    """Samples of (time, batch, *shape) that are zero throughout."""
    return batch.abs().transpose(0, 1).flatten(1).sum(dim=1) == 0


WRONG = [
    ({"epochs": 0}, "epochs must be at least 1"),
    ({"batch_size": 1}, "batch_size at least 2"),
    ({"lr": 0.0}, "lr must be positive and finite, not 0.0"),
    ({"lr": float("nan")}, "lr must be positive and finite, not nan"),
    ({"lr": float("inf")}, "lr must be positive and finite, not inf"),
    ({"seed": -1}, "seed must lie in"),
    ({"seed": 2**63}, "seed must lie in"),
]


@pytest.mark.parametrize("wrong, message", WRONG)
def test_a_recipe_that_cannot_be_followed_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


@pytest.mark.parametrize("architecture, config", [("fd-fusion", {}), ("fd-fusion", {"modality": "audio"}), ("s-cmrl", {})])
def test_data_without_what_a_network_reads_are_refused(digits: data.AudioVisual, architecture: str, config: dict) -> None:
    sides = (data.Pairs({"image": side.pools["image"]}, side.index[:, :1], digits.time) for side in (digits.train, digits.test))
    seen = data.AudioVisual("pictures", digits.classes, *sides, source="", speech="none")
    with pytest.raises(InputError, match="the network reads audio, and pictures has image only"):
        training.train(seen, Recipe(epochs=1), architecture=architecture, **config)
    with pytest.raises(InputError, match="the network reads audio, and pictures has image only"):
        training.fine_tune(networks.build("fd-fusion", training.inputs_of("fd-fusion", digits)), seen)


def test_a_batch_larger_than_the_data_is_refused(digits: data.AudioVisual) -> None:
    with pytest.raises(InputError, match="batch_size 99999 is more than the 1295 training pairs"):
        training.train(digits, Recipe(batch_size=99999))


def test_a_loss_that_is_none_is_refused(digits: data.AudioVisual) -> None:
    broken = Recipe(epochs=1, sharpness=3e38)
    with pytest.raises(InputError, match="the loss is nan in epoch 1; train with a lower learning rate"):
        training.train(digits, broken, modality="vision")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_trains_and_reports(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    result = call("fd-fusion", "--data", "av-digits", "-o", path, "--modality", "audio", "--epochs", 2, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    share = f"{figures['test_accuracy']:.2%}"
    expected = f"av-digits (synthetic speech), audio: float test accuracy {share} on 360 samples (spike count, ties to the lowest"
    assert result.stdout.startswith(expected)
    assert "\x1b" not in result.output, "no progress bar where there is no terminal"
    assert read_metadata(path)["test_accuracy"] == figures["test_accuracy"]
    assert training.evaluate(load_checkpoint(path), data.load("av-digits").test) == figures["test_accuracy"]


def test_json_on_standard_output_stands_alone(tmp_path: Path) -> None:
    result = call("fd-fusion", "--data", "av-digits", "-o", tmp_path / "m.pt", "--modality", "audio", "--epochs", 1, "--json", "-")
    assert json.loads(result.stdout)["modality"] == "audio"
    assert call("fd-fusion", "--data", "av-digits", "-o", tmp_path / "m.pt", "--modality", "audio", "--epochs", 1, "--quiet").output == ""


def test_bad_options_end_before_any_training(tmp_path: Path) -> None:
    def message(*arguments: object) -> str:
        result = call("fd-fusion", *arguments)
        assert isinstance(result.exception, InputError), result.output
        return str(result.exception)

    assert "unknown data set 'cifar'" in message("--data", "cifar", "-o", tmp_path / "m.pt")
    assert "does not exist" in message("--data", "av-digits", "-o", tmp_path / "no/m.pt")
    assert "is a folder" in message("--data", "av-digits", "-o", tmp_path)
    assert "is missing" in message("--data", "mnist-fsdd", "--data-dir", tmp_path, "-o", tmp_path / "m.pt")
    assert call("fd-fusion", "--data", "av-digits", "-o", tmp_path / "m.pt", "--epochs", 0).exit_code == 2
    assert call("resnet", "--data", "av-digits", "-o", tmp_path / "m.pt").exit_code == 2
    assert list(tmp_path.iterdir()) == []
