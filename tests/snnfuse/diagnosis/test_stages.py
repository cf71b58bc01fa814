"""Networks in stages: what is planted in one stage is found there, under the stage's name, and a sound one is not blamed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_calls import Cli
from l2_networks import Averaged, made, samples

from snnfuse import diagnose
from snnfuse.compile import compile, save, source_of
from snnfuse.export.bundle.compiled import Compiled
from snnfuse.hardware import Program
from snnfuse.hardware.errors import InputError


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(source_of(made(Averaged())), samples())


def broken(compiled: Compiled, number: int, change: Callable[[Program], Program]) -> Compiled:
    """The same with another program in one stage, and none of the golden vectors that it no longer gives."""
    stages = [replace(stage, golden=None) for stage in compiled.stages]
    program = stages[number].program
    assert program is not None
    stages[number] = replace(stages[number], program=change(program))
    return replace(compiled, stages=tuple(stages))


def other_decay(program: Program) -> Program:
    name, node = next(iter(program.neurons.items()))
    return replace(program, nodes={**program.nodes, name: replace(node, dv=200)})


def test_a_sound_network_in_stages_is_blamed_for_rounding_only(compiled: Compiled, tmp_path: Path) -> None:
    save(tmp_path / "b", compiled)
    found = diagnose(tmp_path / "b", samples(), np.arange(24) % 4)
    assert found.outcome.float_accuracy is not None and found.outcome.samples == 24
    assert {layer.name.partition("/")[0] for layer in found.layers} == {"stage1", "stage2", "stage3"}
    assert all("value" not in f.cause and f.cause not in ("wiring", "reset rule", "weight exponent") for f in found.findings), found
    with pytest.raises(InputError, match="on data"):
        diagnose(tmp_path / "b")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_fault_is_found_in_its_stage(compiled: Compiled, tmp_path: Path, number: int) -> None:
    save(tmp_path / "b", broken(compiled, number, other_decay))
    found = diagnose(tmp_path / "b", samples())
    assert found.cause == "decay value" and found.layer.startswith(f"stage{number + 1}/"), found


def test_the_command_line_diagnoses_stages(compiled: Compiled, tmp_path: Path, snn: Cli) -> None:
    save("s", broken(compiled, 1, other_decay))
    np.savez("x.npz", labels=np.arange(24) % 4, **samples())
    done = snn("diagnose", "s", "--input", "x.npz", "--json", "d.json")
    assert done.code == 0 and "cause: stage2/" in done.out and "decay value" in done.out, done.err
