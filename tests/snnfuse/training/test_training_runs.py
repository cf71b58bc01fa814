"""Trainings that are ended and go on, that several processes share, that stop early, in 16 bits; and what they write."""

import csv
import errno
import math
import os
import pickle
import random
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training_script
from torch import Tensor

from snnfuse import data, networks, training
from snnfuse.hardware.errors import EnvironmentProblem, InputError, UnsafeFileError
from snnfuse.training import Compute, Recipe
from snnfuse.training.batches import EvaluationBatches, Share, TrainingBatches
from snnfuse.training.run_folder import RunFolder

UPDATES = 26  # of an epoch of the script's training


@pytest.fixture(scope="module")
def digits() -> data.AudioVisual:
    return data.load("av-digits")


def in_process(*arguments: object) -> "subprocess.CompletedProcess[str]":
    script = [sys.executable, training_script.__file__, *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[training.Trained, Path]:
    """A training that was never ended, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return training_script.run(folder, 1), folder / "run"


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("after", [pytest.param(3, marks=pytest.mark.slow), UPDATES + 11], ids=["in the first epoch", "in the second"])
def test_a_killed_training_goes_on_to_the_same_weights(after: int, whole: tuple[training.Trained, Path], tmp_path: Path) -> None:
    killed = in_process(tmp_path, 1, after)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "run" / "state.ckpt").exists() == (after > UPDATES)
    random.seed(after), np.random.seed(after), torch.manual_seed(after)  # what came before must not matter
    steps: list[int] = []
    resumed = training_script.run(tmp_path, 1, lambda done, total: steps.append(done), resume=True)
    assert steps[0] == (UPDATES if after > UPDATES else 0) + 1 and steps[-1] == 3 * UPDATES
    assert equal(resumed.model.state_dict(), whole[0].model.state_dict())
    assert resumed.history == whole[0].history and resumed.accuracy == whole[0].accuracy
    assert (tmp_path / "run" / "epochs.csv").read_bytes() == (whole[1] / "epochs.csv").read_bytes()


def test_a_training_that_ended_is_not_run_again(whole: tuple[training.Trained, Path]) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("an update")

    again = training_script.run(whole[1].parent, 1, never, resume=True)
    assert equal(again.model.state_dict(), whole[0].model.state_dict()) and again.history == whole[0].history


@pytest.mark.slow
def test_augmentation_drop_out_and_integers_go_on_alike(digits: data.AudioVisual, tmp_path: Path) -> None:
    class Ended(Exception):
        pass

    def end(done: int, total: int) -> None:
        if done == 10:
            raise Ended

    pools = {name: pool.part(np.arange(len(pool)) % 5 == 0) for name, pool in digits.train.pools.items()}
    few = replace(digits, train=data.make_pairs(pools, digits.time, 0))
    recipe = Recipe(epochs=2, batch_size=32, augment=True, image_noise=0.1, audio_snr=0.0)
    straight = training.train(few, recipe)
    with pytest.raises(Ended):
        training.train(few, recipe, log_dir=tmp_path / "float", progress=end)
    resumed = training.train(few, recipe, log_dir=tmp_path / "float", resume=True)
    assert equal(resumed.model.state_dict(), straight.model.state_dict())
    tuning = replace(training.FINE_TUNING, batch_size=32, epochs=2)
    tuned = training.fine_tune(straight.model, few, tuning, weight_bits=4)
    with pytest.raises(Ended):
        training.fine_tune(straight.model, few, tuning, weight_bits=4, log_dir=tmp_path / "q", progress=end)
    again = training.fine_tune(straight.model, few, tuning, weight_bits=4, log_dir=tmp_path / "q", resume=True)
    assert equal(again.model.state_dict(), tuned.model.state_dict()) and again.accuracy == tuned.accuracy


def test_a_run_folder_holds_a_table_curves_and_a_safe_state(whole: tuple[training.Trained, Path]) -> None:
    trained, folder = whole
    rows = list(csv.DictReader((folder / "epochs.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == [asdict(epoch) for epoch in trained.history]
    assert torch.load(folder / "state.ckpt", weights_only=True)["callbacks"]["snnfuse"]["history"] == [asdict(e) for e in trained.history]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(folder)).Reload()
    assert set(curves.Tags()["scalars"]) >= {"loss", "validation", "lr", "spike_rate"}
    assert [point.value for point in curves.Scalars("loss")] == pytest.approx([epoch.loss for epoch in trained.history])
    assert all(0 < epoch.spike_rate < 1 for epoch in trained.history)
    assert not list(folder.glob(".*")), "a file that was only half-written stays"


def test_another_training_is_not_gone_on_with(digits: data.AudioVisual, whole: tuple[training.Trained, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already: go on with it .resume=True., or choose another folder"):
        training_script.run(whole[1].parent, 1)
    with pytest.raises(InputError, match="holds a run with architecture 'plain-test-network', and 'fd-fusion' is asked for"):
        training.train(digits, training_script.RECIPE, log_dir=whole[1], resume=True)
    other = replace(training_script.RECIPE, lr=1e-3)
    with pytest.raises(InputError, match="holds a run with lr 0.002, and 0.001 is asked for"):
        training.train(digits, other, architecture="plain-test-network", log_dir=whole[1], resume=True, compute=Compute("cpu"))
    items = digits.train.pools["audio"].items.copy()
    items[5, 3, 2] += 0.5
    pools = dict(digits.train.pools) | {"audio": replace(digits.train.pools["audio"], items=items)}
    changed = replace(digits, train=replace(digits.train, pools=pools))
    with pytest.raises(InputError, match="holds a run with training items '[0-9a-f]{8}', and '[0-9a-f]{8}' is asked for"):
        training.train(changed, training_script.RECIPE, architecture="plain-test-network", log_dir=whole[1], resume=True)
    with pytest.raises(InputError, match="nothing to resume without log_dir"):
        training.train(digits, Recipe(epochs=1), resume=True)


def test_a_state_that_cannot_be_written_leaves_nothing(digits: data.AudioVisual, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(trainer: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightning.pytorch.Trainer.save_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        training.train(digits, Recipe(epochs=1, batch_size=512), modality="audio", log_dir=tmp_path)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "state.ckpt").exists()


def test_a_difference_within_a_configuration_is_named_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    theirs = {"configuration": {"width": 8, "neuron": {"beta": 0.5, "slope": 5.0}}, "data": "x"}
    torch.save({"callbacks": {"snnfuse": {"identity": theirs}}}, folder.state)
    asked = {"configuration": {"width": 8, "neuron": {"beta": 0.9, "slope": 5.0}}, "data": "x"}
    with pytest.raises(InputError, match="holds a run with configuration neuron beta 0.5, and 0.9 is asked for"):
        folder.read("snnfuse", asked)


def test_integers_of_another_float_network_are_not_gone_on_with(digits: data.AudioVisual, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=512)
    one = networks.build("fd-fusion", training.inputs_of("fd-fusion", digits) | {"modality": "audio"}).eval()
    training.fine_tune(one, digits, recipe, log_dir=tmp_path)
    with torch.no_grad():
        next(one.parameters())[0, 0] += 1e-6
    with pytest.raises(InputError, match="is asked for: repeat its settings to go on with it"):
        training.fine_tune(one, digits, recipe, log_dir=tmp_path, resume=True)


def test_a_damaged_or_unsafe_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    state = tmp_path / "run" / "state.ckpt"
    torch.save({"callbacks": {"snnfuse": Trap()}}, state)
    with pytest.raises(UnsafeFileError, match="opening it would run code from it"):
        training_script.run(tmp_path, 1, resume=True)
    assert not (tmp_path / "trapped").exists()
    state.write_bytes(b"PK")
    with pytest.raises(InputError, match="is truncated"):
        training_script.run(tmp_path, 1, resume=True)
    torch.save({"callbacks": {}}, state)
    with pytest.raises(InputError, match="not the state of a training of ours"):
        training_script.run(tmp_path, 1, resume=True)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return pickle.loads, (b"",)


@pytest.mark.slow
def test_two_processes_train_what_one_does(whole: tuple[training.Trained, Path], tmp_path: Path) -> None:
    """No batch norm and nothing random: the same curve but for rounding; both hold the same weights, and only the first one writes."""
    ended = in_process(tmp_path, 2)
    assert ended.returncode == 0, ended.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert equal(first["weights"], second["weights"]) and first["losses"] == second["losses"]
    assert first["is_main"] and not second["is_main"]
    alone = whole[0]
    assert first["losses"] == pytest.approx([epoch.loss for epoch in alone.history], rel=1e-5)
    assert first["validation"] == [epoch.validation for epoch in alone.history] and first["accuracy"] == alone.accuracy
    for name, value in alone.model.state_dict().items():
        assert torch.allclose(first["weights"][name], value, rtol=1e-4, atol=1e-5), name
    assert len(list((tmp_path / "run").glob("events.out.tfevents.*"))) == 1
    assert ended.stdout == "" and "GPU available" not in ended.stderr


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_pair_is_seen_once_per_epoch(world: int, digits: data.AudioVisual) -> None:
    kept, _ = data.hold_out(digits.train, 0.1, 0)
    recipe = Recipe(batch_size=64)
    shares = [TrainingBatches(kept, ("image",), recipe, Share(rank, world), lambda: 3) for rank in range(world)]
    parts = [list(batches) for batches in shares]
    sizes = np.array([[len(batch["labels"]) for batch in part] for part in parts])
    assert sizes.sum() == len(kept) == 1295 and sizes.shape == (world, 21) and sizes.sum(0).max() <= 64
    assert np.ptp(sizes) <= 1 and sizes.min() >= 2
    weights = np.array([[batch["weight"] for batch in part] for part in parts])
    assert np.allclose(weights.mean(0), 1) and np.allclose(weights * sizes.sum(0) / world, sizes)
    images = torch.cat([batch["values"]["image"] for part in parts for batch in part]).flatten(1)
    assert sorted(map(tuple, images.tolist())) == sorted(map(tuple, torch.from_numpy(kept.values("image")).flatten(1).tolist()))
    held = [EvaluationBatches(kept, ("image",), Share(rank, world), size=100) for rank in range(world)]
    assert sum(len(batch["labels"]) for part in held for batch in part) == len(kept)
    assert all(len(list(part)) == len(part) for part in held)


def test_epochs_differ_in_order_and_repeat_by_number(digits: data.AudioVisual) -> None:
    def labels(epoch: int) -> list[int]:
        batches = TrainingBatches(digits.train, ("audio",), Recipe(), Share(), lambda: epoch)
        return torch.cat([batch["labels"] for batch in batches]).tolist()

    assert labels(1) == labels(1) != labels(2)


def test_too_many_processes_for_a_batch_are_refused(digits: data.AudioVisual) -> None:
    with pytest.raises(InputError, match="batch_size 4 leaves fewer than two pairs for each of 3 processes"):
        TrainingBatches(digits.train, ("image",), Recipe(batch_size=4), Share(0, 3), lambda: 1)


def test_processes_that_would_validate_nothing_are_refused(digits: data.AudioVisual) -> None:
    with pytest.raises(InputError, match="10 held-out pairs are too few for 11 processes; raise held, or lower devices"):
        training.train(digits, Recipe(held=1e-3, batch_size=512), modality="vision", compute=Compute("cpu", 11))


def test_training_stops_when_it_gets_no_better(digits: data.AudioVisual) -> None:
    recipe = Recipe(epochs=30, patience=2, lr=0.01)
    trained = training.train(digits, recipe, modality="audio")
    values = [epoch.validation for epoch in trained.history]
    best = values.index(max(values))
    assert len(values) == best + 1 + 2 < 30, "two epochs after the first best one"
    _, held = data.hold_out(digits.train, recipe.held, recipe.seed)
    assert training.evaluate(trained.model, held) == max(values)


def test_sixteen_bits_train(digits: data.AudioVisual) -> None:
    exact, rounded = (
        training.train(digits, Recipe(epochs=3), modality="audio", compute=Compute("cpu", 1, bits)) for bits in ("32", "bf16-mixed")
    )
    assert rounded.accuracy > exact.accuracy - 0.05 and all(p.dtype == torch.float32 for p in rounded.model.parameters())
    assert rounded.history != exact.history
    assert all(math.isfinite(epoch.loss) for epoch in rounded.history)


def test_what_cannot_be_computed_is_refused(digits: data.AudioVisual) -> None:
    with pytest.raises(InputError, match="precision 16-mixed needs a GPU: take bf16-mixed or 32 on a processor"):
        training.train(digits, compute=Compute("cpu", 1, "16-mixed"))
    with pytest.raises(InputError, match="precision must be one of 32, bf16-mixed, 16-mixed, not '8'"):
        Compute(precision="8")
    with pytest.raises(InputError, match="devices must be at least 1"):
        Compute(devices=0)
    net = training.train(digits, Recipe(epochs=1), modality="audio").model
    with pytest.raises(InputError, match="chip's arithmetic is exact only with precision 32"):
        training.fine_tune(net, digits, compute=Compute("cpu", 1, "bf16-mixed"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there are GPUs")
def test_missing_gpus_are_named(digits: data.AudioVisual) -> None:
    with pytest.raises(EnvironmentProblem, match="1 GPUs asked for, but torch finds 0"):
        training.train(digits, compute=Compute("gpu"))


def test_missing_lightning_is_named(digits: data.AudioVisual, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"training needs lightning and tensorboard.*pip install 'snnfuse\[train\]'"):
        training.train(digits)


def test_interrupts_stay_interrupts(digits: data.AudioVisual) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.train(digits, Recipe(epochs=1), modality="audio", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler


def test_all_random_states_are_left_alone(digits: data.AudioVisual) -> None:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    training.train(digits, Recipe(epochs=1), modality="audio")
    assert random.getstate() == before[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), before[1]))
    assert torch.equal(torch.get_rng_state(), before[2])


def test_importing_does_not_import_lightning() -> None:
    code = "import sys, snnfuse.training; assert 'lightning' not in sys.modules and 'tensorboard' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
