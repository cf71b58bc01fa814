"""Neuron kinds and backends of another package: registered by an import, the same everywhere; not registered, refused in one line."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from toy_neurons import Change

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, SpikeInput, chip, compare
from snnfuse.hardware.backends import registry
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import Backend, register_backend, run_on
from snnfuse.hardware.backends.verify import verify
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir import kinds
from snnfuse.hardware.ir.json_fields import SHAPE
from snnfuse.hardware.ir.kinds import NEURONS, SYNAPSES, NeuronKind, register_neuron
from snnfuse.hardware.ir.lif import Lif as BuiltIn
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.ir.synapses.geometry import Axis, Geometry
from snnfuse.hardware.overflow import prove
from snnfuse.hardware.overflow.bounds import Event, Peaks
from snnfuse.hardware.overflow.observed import payloads

HELPERS = Path(__file__).parents[2] / "helpers"


def program(seed: int = 0) -> Program:
    rng = np.random.default_rng(seed)

    def dense(targets: int, sources: int) -> Dense:
        return Dense(2 * rng.integers(-128, 128, (targets, sources)).astype(np.int32))

    nodes = {
        "s": SpikeInput((4,)),
        "g": GradedInput((3,), 12, 0.5),
        "one": Change((2, 3), np.array([[1, 1 << 30, 900], [1 << 25, 1 << 28, 1 << 20]], np.int32)),
        "all": Change((5,), 5000),
        "out": Lif((2,), 300, 200, 1000),
    }
    links = (
        Connection("s", "one", dense(6, 4)),
        Connection("g", "one", dense(6, 3)),
        Connection("one", "one", dense(6, 6), lag=1),
        Connection("one", "all", dense(5, 6)),
        Connection("all", "out", dense(2, 5)),
    )
    return Program(nodes, links, {"o": Output("out")})


def events(time: int = 30, batch: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    return {"s": rng.integers(0, 2, (time, batch, 4)), "g": rng.integers(-2047, 2048, (time, batch, 3))}


@pytest.fixture(scope="module")
def expected():
    run = emulate(program(), events(), "all", states=True)
    assert 0.1 < (run.spikes["one"] != 0).mean() < 0.95 and {*run.states["all"]} == {"held"}
    assert np.abs(run.spikes["one"].astype(np.int64)).max() > 1 << 30  # the loop wraps int32
    return run


@pytest.mark.parametrize("backend", ["emulator", "torch", "lava"])
def test_every_backend_runs_it_with_its_state(backend: str, expected) -> None:
    found = compare(expected, run_on(backend, program(), events(), "all", states=True).recording)
    assert found.mismatches == 0, found.first
    assert found.by_variable["held"] == (30 * 3 * 11, 0)


def test_it_has_a_tier_cores_bounds_and_payloads() -> None:
    assert chip.tier(Change((1,), 1)) == "B" and "Change" not in chip.placements()
    assert {layer.name for layer in chip.check_chip(program(), chip.find_board("oheo-gulch")).layers} == {"one", "all", "out"}
    straight = replace(program(), connections=tuple(c for c in program().connections if not c.is_recurrent))
    verdicts = {v.node: v for v in prove(straight, search=False)}
    assert verdicts["one"].status == "impossible"
    run = emulate(straight, events(), "all")
    low, high = verdicts["one"].interval
    assert low <= run.spikes["one"].min() and run.spikes["one"].max() <= high
    assert payloads(straight, events())["one"].wraps == 0 and payloads(program(), events())["one"].wraps > 0


def test_it_is_stored_under_its_module_and_comes_back(tmp_path: Path) -> None:
    save_program(program(), tmp_path)
    record = json.loads((tmp_path / "program.json").read_text())["nodes"]["all"]
    assert record == {"type": "Change", "module": "toy_neurons", "shape": [5], "vth": 5000}
    read = load_program(tmp_path)
    assert type(read.nodes["one"]) is Change
    np.testing.assert_array_equal(read.nodes["one"].vth, program().nodes["one"].vth)


LOAD = "from snnfuse.hardware.ir.storage import load_program\nprint(type(load_program({folder!r}).nodes['all']).__name__)"


@pytest.mark.parametrize("first, said", [("", "refused"), ("import toy_neurons\n", "Change")])
def test_a_file_imports_nothing_and_says_what_to_import(first: str, said: str, tmp_path: Path) -> None:
    save_program(program(), tmp_path)
    code = first + LOAD.format(folder=str(tmp_path))
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(HELPERS)}, capture_output=True, text=True)
    if said == "refused":
        assert run.stderr.splitlines()[-1].endswith(
            'program.json: nodes.one: type "Change" is a neuron kind of module "toy_neurons", which nobody has imported here, and reading '
            "a file imports nothing: import that module first, if you trust it"
        )
    else:
        assert run.stdout.strip() == said


@pytest.mark.parametrize(
    "change, message",
    [
        ({"type": "Change", "module": "elsewhere"}, 'type "Change" is a neuron kind of module "elsewhere"'),
        ({"type": "Change"}, "module: missing"),
        ({"type": "Lif", "module": "toy_neurons"}, 'type "Lif" is a neuron kind of module "toy_neurons"'),
        ({"type": "Change", "module": "os\nx"}, r'module "os\nx"'),
    ],
)
def test_a_file_that_misnames_it_is_refused_in_one_line(change: dict, message: str, tmp_path: Path) -> None:
    save_program(program(), tmp_path)
    record = json.loads((tmp_path / "program.json").read_text())
    record["nodes"]["all"] = {k: v for k, v in record["nodes"]["all"].items() if k not in ("type", "module")} | change
    (tmp_path / "program.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_program(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def registry_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(NEURONS, "_kinds", dict(NEURONS._kinds))
    monkeypatch.setattr(registry, "BACKENDS", dict(registry.BACKENDS))
    yield


@dataclass(frozen=True, eq=False)
class Bare(Neuron):
    """A kind with nothing but its step: spikes wherever something positive arrives."""

    shape: tuple[int, ...]
    states: ClassVar[tuple[str, ...]] = ()

    def step(self, state, inputs):
        return inputs[0] > 0, ()


def bare_program() -> Program:
    one = Dense(np.ones((2, 2), np.int32))
    return Program({"in": SpikeInput((2,)), "n": Bare((2,))}, (Connection("in", "n", one),), {"o": Output("n")})


def test_a_kind_without_a_form_runs_where_it_can_and_is_refused_elsewhere_by_name(registry_kept: None) -> None:
    fed = {"in": np.ones((3, 1, 2), np.int32)}
    assert emulate(bare_program(), fed).spikes["n"].all()
    with pytest.raises(InputError, match=r"neuron .*Bare is not registered: register its kind where it is defined"):
        run_on("torch", bare_program(), fed)
    register_neuron(NeuronKind(Bare, {"shape": SHAPE}))
    for backend in ("emulator", "torch"):
        with pytest.raises(UnsupportedError, match=f"Bare has no form for {backend}: give its registration in .* one .{backend}="):
            run_on(backend, bare_program(), fed)
    with pytest.raises(UnsupportedError, match="Bare has no form for placement"):
        chip.tier(Bare((1,)))
    with pytest.raises(InputError, match="reads the membrane of 'n', and a Bare has none; count its spikes"):
        replace(bare_program(), outputs={"o": Output("n", "membrane_sum")})


def test_two_kinds_of_one_name_are_told_apart_and_a_second_registration_replaces(registry_kept: None) -> None:
    Taken = type("Lif", (Bare,), {"__module__": "their.neurons"})
    with pytest.raises(InputError, match="two neuron kinds are named Lif: of snnfuse.hardware.ir.lif and of their.neurons; rename one"):
        register_neuron(NeuronKind(Taken, {"shape": SHAPE}))
    assert NEURONS.of(BuiltIn((1,), 0, 0, 1)).type is BuiltIn
    register_neuron(NeuronKind(Bare, {"shape": SHAPE}))
    again = register_neuron(NeuronKind(Bare, {"shape": SHAPE}, torch=lambda *_: None))
    assert NEURONS.named("Bare", Bare.__module__) is again


def test_a_kind_of_the_script_itself_is_not_written(registry_kept: None, tmp_path: Path) -> None:
    register_neuron(NeuronKind(Bare, {"shape": SHAPE}, module="__main__"))
    with pytest.raises(InputError, match="nodes.n: Bare is defined in the script that runs, .* move it to a module"):
        save_program(bare_program(), tmp_path)


def test_a_form_named_by_a_string_is_imported_at_its_first_use() -> None:
    assert kinds.resolve("toy_neurons:Change") is Change and kinds.resolve(Change) is Change
    code = "import snnfuse.hardware.ir.storage, sys; print({'torch', 'numba', 'lava'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_a_backend_of_another_package_runs_and_is_verified(registry_kept: None) -> None:
    asked = []

    def run_mine(program: Program, events, record, states, timeout):
        asked.append(timeout)
        return emulate(program, events, record, states)

    register_backend(Backend("mine", run_mine, frozenset({"timeout"})))
    fed = events()
    golden = emulate(program(), fed, "all", states=True)
    (check,) = verify(program(), (golden,), ("mine",), timeout=5.0)
    assert check.passed and asked == [5.0]
    with pytest.raises(InputError, match="there is a backend named 'lava' already"):
        register_backend(Backend("lava", run_mine))
    with pytest.raises(InputError, match="unknown backend 'theirs'; there are reference, emulator, torch, lava, mine"):
        run_on("theirs", program(), fed)
    with pytest.raises(InputError, match="mine runs on the CPU only"):
        run_on("mine", program(), fed, device="cuda")


def test_what_describes_the_target_cannot_be_changed() -> None:
    """Parts of programs are shared, and kept by what they are."""
    kinds = [kind.type for kind in (*NEURONS, *SYNAPSES) if kind.is_own]
    assert all(kind.__dataclass_params__.frozen for kind in (Axis, Geometry, Event, Peaks, Connection, Output, *kinds))
