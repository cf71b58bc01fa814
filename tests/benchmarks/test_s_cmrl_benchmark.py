"""What S-CMRL's benchmark computes from its runs, what it keeps, and how it compares backends."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import s_cmrl
from snnfuse.data.samples import Samples
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput, emulate


def accuracies(clean: float, noisy: float) -> dict:
    return {"parameters": 7, "accuracy": {"clean": clean, "noisy": noisy}}


def bench(keep: Path | None, **options: int) -> s_cmrl.Bench:
    given = {"epochs": 2, "samples": 20, "states": 4, "lava": 0, "keep": keep, "data": "mnist-fsdd", "channels": None}
    return s_cmrl.Bench(argparse.Namespace(**given | options))


def test_points_are_differences_of_means_over_seeds() -> None:
    found = s_cmrl.by_condition([accuracies(99.0, 80.0), accuracies(98.0, 82.5)])
    assert found == {"clean": {"seeds": [99.0, 98.0], "mean": 98.5}, "noisy": {"seeds": [80.0, 82.5], "mean": 81.25}}
    floats = {
        "causal": found,
        "exact": s_cmrl.by_condition([accuracies(99.0, 81.0)]),
        "addition": s_cmrl.by_condition([accuracies(98.0, 83.0)]),
    }
    forms = {form: {"float": of, "8 bits": s_cmrl.by_condition([accuracies(98.25, 81.0)])} for form, of in floats.items()}
    points = s_cmrl.points(forms)
    assert points["causal over addition"] == {"clean": 0.5, "noisy": -1.75}
    assert points["causal over exact"] == {"clean": -0.5, "noisy": 0.25}
    assert points["causal, 8 bits over float"] == {"clean": -0.25, "noisy": -0.25}


def test_all_forms_are_trained_alike() -> None:
    one, other = s_cmrl.recipe_of(2, 0), s_cmrl.recipe_of(2, 5)
    assert replace(other, seed=0) == one and one.alignment == 1.0 and one.drop_modality == 0.0
    assert (one.epochs, one.batch_size, one.schedule) == (2, 32, "one-cycle")


def test_what_was_measured_under_the_same_options_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(s_cmrl.Bench, "floats", lambda self, form, seed: calls.append((form, seed)) or accuracies(99.0, 80.0 + seed))
    assert [bench(tmp_path).kept("floats", "exact", 1)["accuracy"]["noisy"] for _ in range(2)] == [81.0, 81.0]
    assert calls == [("exact", 1)]
    bench(tmp_path, samples=21).kept("floats", "exact", 1)
    bench(tmp_path).kept("floats", "causal", 1)
    bench(None).kept("floats", "causal", 1)
    assert calls == [("exact", 1), ("exact", 1), ("causal", 1), ("causal", 1)]


def program(weight: int) -> Program:
    nodes = {"input": SpikeInput((3,)), "cells": Lif((2,), du=4095, dv=0, vth=3)}
    synapse = Dense(np.full((2, 3), weight), exponent=0)
    return Program(nodes, (Connection("input", "cells", synapse),), {"output": Output("cells", "spike_count")})


def test_a_stream_of_the_samples_decides_as_their_whole_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    x = (np.random.default_rng(0).random((5, 10, 3)) < 0.5).astype(np.float32)
    samples = Samples({"input": x}, np.zeros(10, np.int64), "test")
    assert s_cmrl.streamed(program(2), samples) == {"samples": 10, "compared": 20, "mismatches": 0}
    monkeypatch.setattr(s_cmrl, "emulate", lambda _, *rest: emulate(program(4), *rest))
    assert s_cmrl.streamed(program(2), samples)["mismatches"] > 0


def test_backends_are_compared_on_every_sample_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s_cmrl, "BLOCK", 4)
    x = (np.random.default_rng(0).random((5, 10, 3)) < 0.5).astype(np.float32)
    samples, one, other = Samples({"input": x}, np.zeros(10, np.int64), "test"), program(2), program(4)
    same = s_cmrl.against(emulate, one, samples, "all", True)
    assert same == {"samples": 10, "compared": 3 * 5 * 10 * 2, "mismatches": 0}  # spikes, u and v
    differs = s_cmrl.against(lambda _, *rest: emulate(other, *rest), one, samples, "all", True)
    assert differs["mismatches"] > 0
