"""The presets of full size train an epoch on trees of 300 pairs, by the command line, in the memory that docs/training.md states."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import data_trees
import event_files
import pytest

from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata

DOCS = Path(__file__).parents[3] / "docs" / "training.md"
BATCH, THREADS = 32, 2  # each thread holds memory of its own


def cifar10_av(root: Path) -> Path:
    return data_trees.cifar10_av(root, classes=tuple("abcdefghij"), each=30)


def urbansound8k_av(root: Path) -> Path:
    return data_trees.urbansound8k_av(root, recordings=50)


def crema_d(root: Path) -> Path:
    return data_trees.crema_d(root, actors=50)


def mnistdvs_ntidigits(root: Path) -> Path:
    event_files.write_mnist_dvs(root / "mnist-dvs", 30)
    voices, other = event_files.spoken(("man-ae", "woman-bd", "man-cc")), event_files.spoken(("woman-xx",), seed=1)
    event_files.write_ntidigits(root / "n-tidigits/n-tidigits.hdf5", train=voices, test=other)
    return root


PRESETS: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "cifar10-av": ("fd-fusion", "full", cifar10_av),
    "mnistdvs-ntidigits": ("s-cmrl", "mnistdvs-ntidigits", mnistdvs_ntidigits),
    "urbansound8k-av": ("s-cmrl", "urbansound8k-av", urbansound8k_av),
    "crema-d": ("s-cmrl", "crema-d", crema_d),
}


def stated(architecture: str, preset: str, data: str) -> float:
    """The limit in GiB at a batch of 32, from the page."""
    row = re.search(rf"^\| {architecture} `{preset}`(?:, {data})? \|(.*)\|$", DOCS.read_text(encoding="utf-8"), re.M)
    assert row is not None
    return float(row[1].split("|")[3])


@pytest.mark.slow
@pytest.mark.parametrize("data", PRESETS)
def test_an_epoch_stays_in_the_memory_that_is_stated(data: str, tmp_path: Path) -> None:
    architecture, preset, write = PRESETS[data]
    model = tmp_path / "model.pt"
    words = ["train", architecture, "--preset", preset, "--data", data, "--data-dir", str(write(tmp_path / "tree"))]
    words += ["--epochs", "1", "--batch-size", str(BATCH), "--recipe", "warmup=0", "--seed", "1", "-o", str(model)]
    command = [sys.executable, "-W", "ignore", "-m", "snnfuse", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    started = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = started.stdout.read()
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0, output
    peak = used.ru_maxrss / 2**20
    print(f"{architecture} {preset}, {data}: {peak:.2f} GiB, {used.ru_utime + used.ru_stime:.0f} s of processor time")
    assert peak <= stated(architecture, preset, data)
    assert read_metadata(model)["data"] == data and load_checkpoint(model) is not None
