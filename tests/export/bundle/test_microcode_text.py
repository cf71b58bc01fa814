"""The skeletons that a bundle holds for neurons that need microcode."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnfuse.export.bundle.bundle import read_bundle, write_bundle
from snnfuse.export.bundle.consistency import check_consistency
from snnfuse.export.bundle.microcode import MICROCODE, microcode_text
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.backends.microcode import pseudo_code
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.ir.kinds import NEURONS


def subtracting() -> Program:
    nodes = {"x": SpikeInput((2,)), "h": Lif((3,), 900, 300, np.array([1, 2, 3]), reset="subtract"), "o": Lif((1,), 4095, 0, 9)}
    links = Connection("x", "h", Dense(np.full((3, 2), 64, np.int32))), Connection("h", "o", Dense(np.full((1, 3), 64, np.int32)))
    return Program(nodes, links, {"y": Output("o")})


def test_a_bundle_holds_the_skeleton_where_microcode_is_needed(tmp_path: Path) -> None:
    program = subtracting()
    events = {"x": np.ones((2, 1, 2), np.int32)}
    for name, each in (("b", program), ("stock", replace(program, nodes={**program.nodes, "h": Lif((3,), 900, 300, 1)}))):
        write_bundle(tmp_path / name, program=each, events=events, golden=emulate(each, events, "all"), resources=check_chip(each))
        check_consistency(read_bundle(tmp_path / name))
    text = (tmp_path / "b" / MICROCODE).read_text()
    assert text == microcode_text(program) and not (tmp_path / "stock" / MICROCODE).exists()
    said = ("class NcLifSubtractModel(AbstractNcProcessModel)", "net.neurons_cfg.allocate_ucode", "num_message_bits=0", "du = 900",
            "Populations h (3,)", "vth = one for each neuron", "MUL_SHR x a b n", "nothing below has run on a chip")  # fmt: skip
    for part in said:
        assert part in text, part
    assert all(f"        {line}" in text for line in pseudo_code(program.neurons["h"])) and "(1,)" not in text


def test_a_kind_without_pseudo_code_gives_its_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    program = subtracting()
    monkeypatch.setitem(NEURONS._kinds, "Lif", replace(NEURONS.of(program.nodes["h"]), microcode=None))
    text = microcode_text(program)
    assert text is not None and "no pseudo-code is written for Lif; its equation:" in text and "u' = wrap(decay(u, du + 1) + 64 a)" in text
