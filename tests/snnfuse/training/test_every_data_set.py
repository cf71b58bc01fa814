"""FD-fusion trains on whatever S-CMRL trains on, both modalities and each alone, from the files of a data set."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import data_trees
import event_files
import numpy as np
import pytest

from snnfuse import data
from snnfuse.data import Settings
from snnfuse.training import Recipe, recipe_for, train


def events(root: Path) -> Path:
    event_files.write_mnist_dvs(root / "mnist-dvs", 6)
    voices, other = event_files.spoken(("man-ae", "woman-bd")), event_files.spoken(("woman-xx",), seed=1)
    event_files.write_ntidigits(root / "n-tidigits/n-tidigits.hdf5", train=voices, test=other)
    return root


def pictures_and_sounds(root: Path) -> Path:
    data_trees.esc10(root / "esc10", each=2)
    for number, name in enumerate(("airplane", "bird", "dog", "ship")):
        for side, each in (("train", 8), ("test", 2)):
            for i in range(each):
                data_trees.image(root / "cifar10" / side / name / f"{i}.png", 100 * (side == "test") + 10 * number + i)
    return root


PICTURES = Settings(audio="picture", size=(32, 32), time=2)
TREES: dict[str, tuple[Callable[[Path], Path], Settings]] = {
    "mnistdvs-ntidigits": (events, Settings(time=2)),
    "nmnist-fsdd": (data_trees.nmnist_fsdd, replace(PICTURES, size=None)),
    "cifar-esc": (pictures_and_sounds, replace(PICTURES, size=None)),
    "urbansound8k-av": (data_trees.urbansound8k_av, PICTURES),
    "crema-d": (data_trees.crema_d, PICTURES),
    "cifar10-av": (data_trees.cifar10_av, PICTURES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_both_modalities_and_each_alone_train(name: str, tmp_path: Path) -> None:
    write, settings = TREES[name]
    loaded = data.load(name, write(tmp_path), settings)
    for modality, inputs in {"fusion": ("image", "audio"), "vision": ("image",), "audio": ("audio",)}.items():
        trained = train(loaded, Recipe(epochs=1, batch_size=8, seed=1), modality=modality)
        assert trained.model.inputs == inputs and trained.samples == len(loaded.test) and np.isfinite(trained.history[0].loss)
    ours = train(loaded, replace(recipe_for("s-cmrl", name), epochs=1, batch_size=8, warmup=0), architecture="s-cmrl", channels=8, heads=2)
    assert ours.model.inputs == ("image", "audio") and np.isfinite(ours.history[0].loss)
