"""What commands print fits a terminal of 80 columns, whatever layers are called."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli

from snnfuse.checkpoints.checkpoint import save_checkpoint
from snnfuse.networks import build
from snnfuse.report.tables import table, wrapped

SMALL = {"image": [1, 8, 8], "audio": 80, "channels": [2, 2], "hidden": [8], "embedding": 8, "fused": 8}


@pytest.fixture
def fusion(tmp_path: Path) -> list[str]:
    torch.manual_seed(0)
    model = build("fd-fusion", SMALL).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.bias, 0.4)
    save_checkpoint(model, tmp_path / "m.pt", metadata={"data": "av-digits"})
    return ["m.pt", "--calib-samples", "16"]


@pytest.fixture
def own(models: None, calib: Path) -> list[str]:
    return ["subtract.pt", "--model", "users_models:subtract", "--calib", calib.name]  # a path cannot be broken


@pytest.mark.parametrize("which", ["fusion", "own"])
def test_every_command_fits_80_columns(which: str, snn: Cli, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    source = request.getfixturevalue(which)
    monkeypatch.setenv("COLUMNS", "80")
    inputs = ["--data", "av-digits"] if which == "fusion" else ["--input", source[-1]]
    commands = [
        ["check", *(source[:1] if which == "fusion" else source)],
        ["export", *source, "--target", "loihi2", "-v", "--timings", "-o", "b"],
        ["map", "b"],
        ["map", "b", "--balance"],
        ["energy", "b"],
        ["diagnose", "b", "--samples", "4", *inputs],
        *([] if which == "fusion" else [["simulate", "b", *inputs]]),
        ["report", "b", "-o", "r.html"],
        ["compare", "b", "b"],
    ]
    for words in commands:
        found = snn(*words)
        assert found.code == 0, found.err
        wide = [line for line in (found.out + found.err).splitlines() if len(line) > 80]
        assert not wide, (words[0], wide)


def test_commands_without_a_bundle_fit_too(snn: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["energy", "--constants"], ["ops", "conv2d"], ["doctor"]):
        found = snn(*words)
        wide = [line for line in (found.out + found.err).splitlines() if len(line) > 80]
        assert not wide, (words[0], wide)


def test_wide_tables_go_on_below_with_every_word_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    head = ["layer", *(f"column {i}" for i in range(9))]
    text = table(head, [("a.rather.long.name", *range(10, 19)), ("b", *range(20, 29))])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 40 and sum(line.startswith("a.rather.long.name") for line in lines) > 1
    assert sorted(word for line in lines for word in line.split() if word.isdigit() and len(word) == 2) == [
        str(n) for n in (*range(10, 19), *range(20, 29))
    ]
    monkeypatch.setenv("COLUMNS", "400")
    assert len(table(head, [("a", *range(9))]).splitlines()) == 2


def test_sentences_keep_their_words_and_their_indent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    line = "  note: /a/path/that/is/longer/than/the/screen and more words than fit"
    assert " ".join(" ".join(wrapped(line)).split()) == " ".join(line.split())
    assert all(part.startswith("  ") for part in wrapped(line)) and wrapped("short") == ["short"]
    assert np.all([len(part) <= 20 for part in wrapped("one two three four five six seven")])
