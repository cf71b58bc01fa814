"""A synapse kind, of snnfuse or of another package, does in every room of the house what the same synapses do when they are listed."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_calls import told
from numpy.typing import NDArray
from ring_synapse import Ring
from scipy import sparse

from snnfuse.export.netx import read_net, write_net
from snnfuse.hardware import Connection, Dense, Diagonal, GradedInput, Lif, Output, Program, Relay, Sparse, SpikeInput
from snnfuse.hardware.backends import registry as backends
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.chip.traffic import messages
from snnfuse.hardware.energy import energy_of
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.hardware.overflow import prove, state_bounds

SIZE = 24
Make = Callable[[NDArray, int], Synapse]


def diagonal(weights: NDArray, exponent: int) -> Diagonal:
    return Diagonal(weights, exponent)


def ring(weights: NDArray, exponent: int) -> Ring:
    return Ring(weights[:4], SIZE, exponent)


KINDS = pytest.mark.parametrize("make", [diagonal, ring])


def network(make: Make) -> Program:
    """The kind in front of a neuron and behind it, with and without rounding, of spikes and of numbers, recurrent, delayed and late."""
    rng = np.random.default_rng(1)
    weights = lambda: 2 * rng.integers(-100, 128, SIZE)  # noqa: E731
    nodes = {
        "spikes": SpikeInput((SIZE,)),
        "numbers": GradedInput((SIZE,), 20, 1.0),
        "relay": Relay((SIZE,)),
        "first": Lif((SIZE,), 2000, 300, 200),
        "last": Lif((SIZE,), 4095, 100, 150),
    }
    links = (
        Connection("numbers", "relay", make(weights(), -3)),
        Connection("spikes", "first", make(weights(), 1), delay=1),
        Connection("relay", "first", make(weights(), -8)),
        Connection("first", "first", make(weights(), 0), lag=2),
        Connection("first", "last", make(weights(), 2)),
        Connection("first", "last", Dense(2 * rng.integers(-20, 20, (SIZE, SIZE)))),
    )
    return Program(nodes, links, {"out": Output("last")})


def listed(program: Program) -> Program:
    """The same with every group as a list of synapses, but those that are dense."""
    groups = [c.synapse for c in program.connections]
    alike = [g if isinstance(g, Dense) else Sparse(sparse.csr_matrix(g.matrix()), g.exponent, g.bits) for g in groups]
    return replace(program, connections=tuple(replace(c, synapse=g) for c, g in zip(program.connections, alike)))


def events() -> dict[str, NDArray[np.int32]]:
    rng = np.random.default_rng(2)
    return {
        "spikes": (rng.random((20, 3, SIZE)) < 0.5).astype(np.int32),
        "numbers": rng.integers(-(2**19) + 1, 2**19, (20, 3, SIZE)).astype(np.int32),
    }


@KINDS
@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_every_backend_runs_it(make: Make, backend: str) -> None:
    expected = backends.run_on("reference", listed(network(make)), events(), "all", states=True).recording
    found = backends.run_on(backend, network(make), events(), "all", states=True).recording
    assert expected.spikes["last"].any() and not expected.spikes["last"].all()
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes)
    for name, states in expected.states.items():
        for state, values in states.items():
            np.testing.assert_array_equal(found.states[name][state], values)


@KINDS
def test_it_is_stored(make: Make, tmp_path: Path) -> None:
    program = network(make)
    save_program(program, tmp_path)
    for link, again in zip(program.connections, load_program(tmp_path).connections):
        assert type(link.synapse) is type(again.synapse)
        for field in fields(link.synapse):
            np.testing.assert_array_equal(getattr(link.synapse, field.name), getattr(again.synapse, field.name))


def leaves(value: Any) -> Iterator[Any]:
    """The numbers and arrays in dataclasses, mappings and tuples, in order."""
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from leaves(part)
    else:
        yield value


@KINDS
def test_it_is_bounded_placed_and_priced(make: Make) -> None:
    program = network(make)
    twin = listed(program)
    for one, other in zip(leaves(state_bounds(program)), leaves(state_bounds(twin)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(v.node, v.event, v.status) for v in prove(program)] == [(v.node, v.event, v.status) for v in prove(twin)]
    placed, placed_twin = check_chip(program), check_chip(twin)
    assert placed.layers == placed_twin.layers
    assert (messages(program, placed) != messages(twin, placed_twin)).nnz == 0
    run = backends.run_on("reference", program, events(), "all").recording
    energy, energy_twin = (energy_of(p, [run]).to_json() for p in (program, twin))
    for figures in (energy, energy_twin):
        figures["neurobench"].pop("footprint")  # what shares weights keeps fewer
    assert energy == energy_twin


@KINDS
def test_netx_gets_its_matrix(make: Make, tmp_path: Path) -> None:
    group = make(2 * np.arange(1, SIZE + 1), 0)
    nodes = {"input": SpikeInput((SIZE,)), "layer": Lif((SIZE,), 4095, 0, 10)}
    write_net(Program(nodes, (Connection("input", "layer", group),), {"output": Output("layer")}), tmp_path / "a.net")
    (link,) = read_net(tmp_path / "a.net").connections
    np.testing.assert_array_equal(link.synapse.matrix(), group.matrix().toarray())


def test_a_file_with_a_kind_that_is_not_imported_says_what_to_import(tmp_path: Path) -> None:
    save_program(network(ring), tmp_path)
    done = subprocess.run([Path(sys.executable).with_name("snnfuse"), "map", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and len(told(done.stderr).splitlines()) == 1 and "Traceback" not in done.stderr
    assert 'synapse: type "Ring" is a synapse kind of module "ring_synapse", which' in done.stderr and "import" in done.stderr


def test_a_class_that_is_not_registered_cannot_be_stored(tmp_path: Path) -> None:
    class Other(Diagonal):
        """The same under another name."""

    group = Other(np.ones(2, np.int32))
    program = Program({"x": SpikeInput((2,)), "n": Lif((2,), 0, 0, 1)}, (Connection("x", "n", group),), {})
    with pytest.raises(InputError, match=r"Other is not registered: register its kind where it is defined"):
        save_program(program, tmp_path)
