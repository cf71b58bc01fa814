"""Planted faults are found: the benchmark's own count, on a part of its faults."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import planted_faults


@pytest.mark.slow
def test_layer_and_cause_of_planted_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["planted_faults", "--faults", "60", "--seed", "5", "--json", str(tmp_path / "found.json")])
    planted_faults.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["layers"] == found["located"] == 54 and found["causes"] >= 57
