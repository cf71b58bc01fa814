"""Targets: what each takes and holds, with a board or without, and one registered from outside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, lif

from snnfuse.export import Target, find_target, quantize, read_bundle, register_target, write_bundle
from snnfuse.export.targets import TARGETS
from snnfuse.hardware import emulate
from snnfuse.hardware.chip import BOARDS, Board
from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.ir.lif import Reset


@pytest.fixture
def fpga() -> Iterator[Target]:
    target = Target("an-fpga", "integers for an FPGA", frozenset({"program"}), tiers=("A", "C"))
    yield register_target(target)
    TARGETS.pop("an-fpga", None)


def test_the_four_targets_say_what_they_take_and_hold() -> None:
    assert [*TARGETS] == ["loihi2", "lava", "nir", "netx"]
    assert [t.has_program for t in TARGETS.values()] == [True, True, False, True]
    assert [t.is_placed for t in TARGETS.values()] == [True, False, False, False]
    loihi2, netx = find_target("loihi2"), find_target("netx")
    assert loihi2.tiers == ("A", "B", "C") and loihi2.resets == get_args(Reset) and netx.resets == ("zero",)
    assert loihi2.stock_only.tiers == ("A", "C") and loihi2.stock_only.resets == ("zero",)


def test_a_board_is_found_by_name_and_file_and_narrows_weights_and_payloads(tmp_path: Path) -> None:
    assert find_target("loihi2").board == BOARDS["oheo-gulch"] and find_target("lava").board is None
    assert find_target("lava").limits == BOARDS["oheo-gulch"] and find_target("loihi2", "kapoho-point").board == BOARDS["kapoho-point"]
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "chips": 1, "weight_bits": 4, "payload_bits": 30}))
    for name in ("loihi2", "lava"):
        target = find_target(name, tmp_path / "mine.json")
        assert (target.weight_bits, target.payload_bits, target.limits.name) == (4, 24, "mine")
    assert find_target(find_target("lava"), "hala-point").limits.chips == 1152


def test_what_is_no_target_or_board_is_refused() -> None:
    with pytest.raises(InputError, match="unknown target 'tpu'; there are loihi2, lava, nir, netx"):
        find_target("tpu")
    with pytest.raises(InputError, match="unknown board 'pohoiki'"):
        find_target("loihi2", "pohoiki")
    with pytest.raises(InputError, match="target 'lava' is known already"):
        register_target(Target("lava", "another", frozenset()))
    assert register_target(TARGETS["lava"]) is TARGETS["lava"]


def test_a_program_is_placed_or_refused_by_the_targets_own_rule() -> None:
    graph, x = chain(nir.Linear(np.eye(8)), lif(8, 0.9), size=8), binary(20, 4, 8)
    program, subtracting = quantize(graph, x), quantize(graph, x, reset="subtract")
    resources = find_target("loihi2").place(subtracting)
    assert resources and [layer.tier for layer in resources.layers] == ["B"] and find_target("lava").place(subtracting) is None
    for target in (find_target("loihi2").stock_only, find_target("netx")):
        with pytest.raises(UnsupportedError, match=r"neuron microcode: n1 \(subtract\)"):
            target.place(subtracting)
        target.place(program)
    with pytest.raises(DoesNotFitError, match="1 more than the 1 of tiny"):
        find_target("loihi2", Board("tiny", 1, {"cores": 1, "neurons": 4})).place(program)


def test_a_target_of_another_package_gets_its_bundle(fpga: Target, tmp_path: Path) -> None:
    graph, x = chain(nir.Linear(np.eye(8)), lif(8, 0.9), size=8), binary(20, 4, 8)
    program = quantize(graph, x)
    golden = emulate(program, program.encode({"input": x}), record="all")
    write_bundle(tmp_path / "b", graph=graph, program=program, golden=golden, target="an-fpga")
    bundle = read_bundle(tmp_path / "b")
    assert bundle.manifest["target"] == "an-fpga" and "resources" not in bundle.manifest and not (tmp_path / "b/run_on_board.py").exists()
    TARGETS.pop("an-fpga")
    with pytest.raises(InputError, match="target is 'an-fpga', none of loihi2, lava, nir, netx"):
        read_bundle(tmp_path / "b")
