"""Saved cases: what is written is read back, and what no case can be is refused by name. And what the assertions do not take."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from cli_calls import Cli, assert_error

from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.storage import save_program
from snnfuse.hardware.seal import BLANK, seal
from snnfuse.testing import assert_accuracy_drop, assert_bit_exact, assert_fits, read_case, write_case
from snnfuse.testing.cases import Accuracy, BitExact, Fits

PROGRAM = Program(
    {"in": SpikeInput((3,)), "file": SpikeInput((1,)), "a": Lif((2,), 4095, 100, 3), "sub": Lif((1,), 0, 0, 3, reset="subtract")},
    (
        Connection("in", "a", Dense(np.array([[2, 4, 6], [-2, 8, 10]], np.int32))),
        Connection("file", "sub", Dense(np.array([[4]], np.int32))),
    ),
    {"out": Output("a"), "second": Output("sub")},
)
RNG = np.random.default_rng(0)
EVENTS = {name: RNG.integers(0, 2, (5, 4, *node.shape)).astype(np.int32) for name, node in PROGRAM.inputs.items()}
LABELS = np.array([0, 1, 1, 0])
CASES = {
    "bit-exact": BitExact(PROGRAM, EVENTS, "lava"),
    "fits": Fits(PROGRAM, "kapoho-point", "A"),
    "accuracy": Accuracy(PROGRAM, EVENTS, LABELS, LABELS[::-1].copy(), 1.5, "emulator", "out"),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_is_written_is_read_back(kind: str, tmp_path: Path) -> None:
    case = CASES[kind]
    folder = write_case(case, tmp_path / "cases", "tests/test_net.py::test_exact[lava 'a']")
    assert folder.parent == tmp_path / "cases" and folder.name.startswith("test_net-py-test_exact-lava-a-")
    again = read_case(folder)
    assert type(again) is type(case)
    save_program(again.program, tmp_path / "again")
    assert (tmp_path / "again" / "program.json").read_text() == (folder / "program.json").read_text()
    for field in fields(case):
        written, read = getattr(case, field.name), getattr(again, field.name)
        if field.name == "events":
            assert set(read) == set(written) and all((read[name] == written[name]).all() for name in written)
        elif field.name != "program":
            assert np.array_equal(written, read)
    assert write_case(case, tmp_path / "cases", "tests/test_net.py::test_exact[lava 'a']") == folder
    said = (folder / "README.txt").read_text()
    assert "snnfuse replay ." in said and str(folder) not in said  # it holds wherever the folder is moved


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"format": "snnfuse bundle"}, "format is 'snnfuse bundle', not 'snnfuse case'"),
        ({"format_version": 3}, "format_version is 3; this snnfuse reads 1 and 2"),
        ({"kind": "slow"}, "kind is 'slow', none of bit-exact, fits, accuracy"),
        ({"kind": 3}, "kind: expected a str, found 3"),
        ({"backend": "loihi3"}, "backend is 'loihi3', none of reference, emulator, torch, lava"),
        ({"backend": None}, "backend: expected a string, found null"),
        ({"output": "in"}, "output is 'in', none of the program's: out, second"),
        ({"labels": [0, 1]}, "labels must be integers (4,), one per sample"),
        ({"labels": [0, 1, 2, 0]}, "labels hold 2, but the classes of output 'out' are 0..1"),
        ({"max_points": 101}, "max_points is a number of percentage points, 0 to 100, not 101"),
        ({"command": "rm"}, "command: unknown field"),
    ],
)
def test_a_changed_case_is_refused(change: dict, problem: str, snn: Cli, tmp_path: Path) -> None:
    folder = write_case(CASES["accuracy"], tmp_path)
    record = json.loads((folder / "case.json").read_text())
    (folder / "case.json").write_text(seal(json.dumps(record | change | {"sha256": BLANK})))
    assert_error(snn("replay", folder), 2, str(folder / "case.json"), problem)


@pytest.mark.parametrize("name", ["case.json", "events.safetensors", "program.json", "program.safetensors"])
def test_a_missing_or_damaged_file_is_named(name: str, snn: Cli, tmp_path: Path) -> None:
    folder = write_case(CASES["bit-exact"], tmp_path)
    (folder / name).write_bytes(b"\xff not this")
    assert_error(snn("replay", folder), 2, name)
    (folder / name).unlink()
    assert_error(snn("replay", folder), 2, name)


def test_replay_as_json(snn: Cli, tmp_path: Path) -> None:
    folder = write_case(Fits(PROGRAM, "oheo-gulch", "A"), tmp_path)
    result = snn("replay", folder, "--json", "-")
    assert result.code == 1 and json.loads(result.out)["passed"] is False
    assert "these need neuron microcode: sub (subtract)" in json.loads(result.out)["problem"]
    record = json.loads((folder / "case.json").read_text())
    older = {key: value for key, value in record.items() if key not in ("tier", "files", "sha256")} | {"format_version": 1}
    (folder / "case.json").write_text(json.dumps(older))
    result = snn("replay", folder)  # an older snnfuse took stock neurons only, and did not say so
    assert result.code == 1 and result.out.startswith("of format version 1, of which this is not checked: whether case.json")
    assert snn("replay", write_case(Fits(PROGRAM, "oheo-gulch"), tmp_path)).code == 0
    passing = snn("replay", write_case(CASES["bit-exact"], tmp_path), "--backend", "emulator", "--json", "-")
    assert passing.code == 0 and json.loads(passing.out)["problem"] is None


@pytest.mark.parametrize("name", ["case.json", "events.safetensors", "program.json", "program.safetensors"])
def test_every_flipped_bit_of_a_case_is_noticed(name: str, snn: Cli, tmp_path: Path) -> None:
    folder = write_case(CASES["bit-exact"], tmp_path)
    whole = (folder / name).read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 25).tolist():
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(content)
        assert_error(snn("replay", folder), 2, name if name in snn("replay", folder).err else "case.json")


def floats() -> dict[str, np.ndarray]:
    return {name: array.astype(np.float32) for name, array in EVENTS.items()}


@pytest.mark.parametrize(
    "call, problem",
    [
        (lambda: assert_bit_exact(PROGRAM, EVENTS | {"in": floats()["in"]}), "integers for file and floats for the rest"),
        (lambda: assert_bit_exact(PROGRAM, EVENTS, backends=("loihi3",)), "unknown backend 'loihi3'; there are reference, emulator"),
        (lambda: assert_bit_exact(PROGRAM, EVENTS, backends=()), "no backend is named"),
        (lambda: assert_bit_exact(PROGRAM, EVENTS, backends="lava"), "backends is a sequence of names"),
        (lambda: assert_bit_exact(PROGRAM, {"in": EVENTS["in"]}), "inputs must be 'in', 'file'"),
        (lambda: assert_bit_exact(PROGRAM, {name: 2 * array for name, array in EVENTS.items()}), "hold 2, outside 0..1"),
        (lambda: assert_bit_exact(PROGRAM, {name: np.nan * array for name, array in floats().items()}), "holds NaN"),
        (lambda: assert_bit_exact(PROGRAM, floats(), calibration=floats()), "a Program is quantized already"),
        (lambda: assert_bit_exact(PROGRAM, floats(), weight_bits=4), "a Program is quantized already"),
        (lambda: assert_bit_exact("net.nir", floats()), "a str is no Program, NIR graph or torch module"),
        (lambda: assert_fits("net.nir"), "a Program is placed on a board, not a str"),
        (lambda: assert_fits(PROGRAM, "loihi3"), "unknown board 'loihi3'; there are oheo-gulch"),
        (lambda: assert_fits(PROGRAM, tier="C"), "tier is 'A' or 'B', not 'C'"),
        (lambda: assert_accuracy_drop(None, PROGRAM, floats(), LABELS, -1), "max_points is a number of percentage points"),
        (lambda: assert_accuracy_drop(None, PROGRAM, floats(), LABELS, float("nan")), "max_points is a number of percentage points"),
        (lambda: assert_accuracy_drop("net.nir", PROGRAM, floats(), LABELS, 1), "a str is no Program, NIR graph or torch module"),
    ],
)
def test_what_the_assertions_do_not_take(call, problem: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    assert problem in str(error.value)
