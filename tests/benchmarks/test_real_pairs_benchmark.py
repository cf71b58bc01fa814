"""What the benchmarks of real recordings compute from their runs, and what they keep."""

from argparse import Namespace
from pathlib import Path

import data_trees
import numpy as np
import pytest

from benchmarks.real_pairs import MODALITIES, RECIPES, ROWS, interval, means, measure, rights
from benchmarks.rows import Kept
from snnfuse.training import Recipe


def test_an_interval_counts_recordings_and_not_pairs() -> None:
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(100) < 0.9, 20)
    of_recordings = interval(right, np.repeat(np.arange(100), 20)[:, None])
    of_pairs = interval(right, np.arange(2000)[:, None])
    widths = [high - low for low, high in (of_recordings, of_pairs)]
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 100) * 100, rel=0.25), (
        "the binomial's of 100 recordings"
    )
    assert widths[0] == pytest.approx(widths[1] * np.sqrt(20), rel=0.15)
    assert all(low < 100 * right.mean() < high for low, high in (of_recordings, of_pairs))
    both = interval(right, np.stack([np.repeat(np.arange(100), 20), np.tile(np.arange(20), 100)], 1))
    assert both[1] - both[0] > 0.9 * widths[0]
    assert interval(np.ones(20, bool), np.arange(20)[:, None]) == (100, 100)


def test_ties_go_to_the_lowest_index() -> None:
    scores = np.array([[2, 5, 5], [3, 3, 1], [0, 0, 0]])
    assert rights(scores, np.array([1, 1, 0])).tolist() == [True, False, True]


def test_a_row_is_measured_once_and_outlives_a_stop(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "rows.jsonl")
    key = {"data": "d", "run": "seed 0", "modality": "audio"}
    first = kept.row(key, lambda: {"float": 90.0, "deployed": 89.0})
    (tmp_path / "rows.jsonl").open("a").write('{"data": "d", "run": "se')  # what a stop in the middle of a row leaves
    again = Kept(tmp_path / "rows.jsonl").row(key, lambda: pytest.fail("measured again"))
    Kept(tmp_path / "rows.jsonl").row(key | {"modality": "vision"}, lambda: {"float": 95.0})
    assert [row["modality"] for row in kept.read()] == ["audio", "vision"]
    assert again == first and means([first])["audio, deployed"] == 89.0


@pytest.mark.slow
def test_every_network_is_trained_exported_and_run_on_lava(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "nmnist-fsdd", dict.fromkeys(MODALITIES, Recipe(epochs=2, batch_size=16)))  # 60 pairs
    tree = data_trees.nmnist_fsdd(tmp_path / "data")
    options = Namespace(data="nmnist-fsdd", data_dir=tree, out=tmp_path / "out", runs=1, lava=2)
    first = measure(options)
    *networks, lava = first["rows"]
    assert [row["modality"] for row in networks] == list(MODALITIES) and all(row["pairs"] == 200 for row in networks)
    assert [len(row["recordings"]) for row in networks] == [1, 1, 2], "drawn are the recordings of what a network reads, no others"
    assert all(row[f"{kind}_interval"][0] <= row[kind] <= row[f"{kind}_interval"][1] for row in networks for kind in ("float", "deployed"))
    assert all(abs(row["float"] - row["deployed"]) <= row["changed"] / 2 for row in networks), "one of 200 is half a point"
    assert lava["samples"] == 2 and lava["mismatches"] == 0 and lava["compared"] > 2 * 8 * 1000
    before = (tmp_path / "out" / ROWS).read_bytes()
    assert measure(options) == first and (tmp_path / "out" / ROWS).read_bytes() == before, "nothing is measured twice"
