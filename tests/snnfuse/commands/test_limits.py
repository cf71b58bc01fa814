"""Every limit on what a file may ask for: met, it is one line, exit 5, and the option that raises it, which does."""

import json
import wave
import zipfile
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from cli_calls import FOR, GOOD, Cli, assert_error
from lowering_graphs import chain, lif

from snnfuse.hardware.limits import FILE_LIMITS


def conv_graph() -> tuple[str, ...]:
    conv = nir.Conv2d((2, 2), np.ones((1, 1, 2, 2)), (1, 1), (1, 1), (1, 1), 1, np.zeros(1))
    nir.write("conv.nir", chain(conv, lif(1, 3, 3), size=(1, 2, 2)))
    np.savez("image.npz", x=np.random.default_rng(0).integers(0, 2, (12, 4, 1, 2, 2)))
    return ("export", "conv.nir", "--target", "lava", "--calib", "image.npz", "--dry-run")


def image_stream() -> tuple[str, ...]:
    from PIL import Image

    conv_graph()
    Path("frames").mkdir()
    Image.new("L", (4, 4)).save("frames/a.png")
    return ("simulate", "i", "--stream", "frames", "--threshold", "0.5")


def sound() -> tuple[str, ...]:
    with wave.open("s.wav", "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4000))
    return ("simulate", "b", "--stream", "s.wav", "--threshold", "0.5")


def nested() -> tuple[str, ...]:
    Path("board.json").write_text(json.dumps({"name": "mine", "chips": [[[1]]]}))
    return ("map", "b", "--board", "board.json")


def checkpoint() -> tuple[str, ...]:
    return ("export", "zero.pt", "--model", "users_models:zero", *FOR, "--dry-run")


def flat() -> tuple[str, ...]:
    with np.load("calib.npz") as arrays:
        np.savez_compressed("flat.npz", x=np.zeros_like(np.repeat(arrays["x"], 50, axis=0)))
    return ("simulate", "b", "--input", "flat.npz")


SAMPLES = ("simulate", "b", "--input", "calib.npz")
CASES = {
    "array-bytes": (100, lambda: SAMPLES),
    "file-bytes": (100, lambda: SAMPLES),
    "unpacked-bytes": (100, flat),
    "pickle-bytes": (10, checkpoint),
    "nodes": (3, lambda: (*GOOD, "--dry-run")),
    "edges": (3, lambda: (*GOOD, "--dry-run")),
    "depth": (2, lambda: (*GOOD, "--dry-run")),
    "neurons": (3, lambda: ("map", "b")),
    "time-steps": (3, lambda: SAMPLES),
    "padding": (0, conv_graph),
    "archive-members": (1, checkpoint),
    "audio-channels": (1, sound),
    "audio-rate": (1000, sound),
    "pixels": (10, image_stream),
    "shared-links": (0, lambda: (*GOOD, "--dry-run")),
    "json-bytes": (10, lambda: ("map", "b")),
    "json-depth": (1, nested),
    "json-digits": (1, lambda: ("map", "b")),
}


@pytest.mark.parametrize("name", FILE_LIMITS)
def test_a_limit_that_is_met_names_itself_and_can_be_raised(
    name: str, snn: Cli, graph: Path, calib: Path, models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, make = CASES[name]
    assert snn(*GOOD, "-o", "b").code == 0
    command = make()
    if name == "pixels":
        assert snn("export", "conv.nir", "--target", "lava", "--calib", "image.npz", "-o", "i").code == 0
    monkeypatch.setenv("SNNFUSE_LIMITS", f"{name}={value}")
    result = snn(*command, "--quiet")
    assert_error(result, 5, "and the limit is", f"if you trust the file, set SNNFUSE_LIMITS={name}=")
    monkeypatch.delenv("SNNFUSE_LIMITS")
    assert "limit" not in snn(*command).err


def test_what_a_bomb_declares_is_refused_before_it_is_unpacked(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert snn(*GOOD, "-o", "b").code == 0
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for member in "abc":
            with archive.open(f"{member}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|i1", "fortran_order": False, "shape": (5, 1 << 20, 4)})
                for _ in range(20):
                    file.write(bytes(1 << 20))
    assert Path("bomb.npz").stat().st_size < 1 << 17
    monkeypatch.setenv("SNNFUSE_LIMITS", "file-bytes=48MiB")
    assert_error(snn("simulate", "b", "--input", "bomb.npz"), 5, "asks for 61MiB of memory for all arrays")


def test_a_view_that_repeats_one_number_asks_for_what_it_shows(snn: Cli, models: None, calib: Path) -> None:
    torch.save({"fc.weight": torch.ones(1).expand(1 << 30)}, "expanded.pt")
    result = snn("export", "expanded.pt", "--model", "users_models:zero", *FOR)
    assert_error(result, 5, "expanded.pt: fc.weight: asks for 4GiB")


def test_limits_are_named_as_they_are(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(CASES) == set(FILE_LIMITS)
    for wrong in ("bytes=3", "nodes", "nodes=-1", "nodes=3TiB"):
        monkeypatch.setenv("SNNFUSE_LIMITS", wrong)
        assert_error(snn(*GOOD), 2, "SNNFUSE_LIMITS", "sets no limit; write NAME=NUMBER")
