"""A static image in the bias registers of its first neurons: the same on every backend, written once per sample, free of synapses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import BiasedLif, BiasInput, Connection, Dense, Diagonal, Lif, Output, Program, SpikeInput, compare
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import check_chip, find_board, tiers
from snnfuse.hardware.chip.traffic import from_host, spike_rates
from snnfuse.hardware.energy import energy_of
from snnfuse.hardware.errors import InputError, SaturationWarning
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow import prove, state_bounds
from snnfuse.hardware.overflow.raw_states import raw_states

ONES = Diagonal(np.ones(6, np.int32))
RESETS = ("zero", "subtract", "subtract_delayed")


def pictures(reset: str = "zero", seed: int = 0) -> Program:
    """An image and spikes into one population that feeds itself, and a readout."""
    rng = np.random.default_rng(seed)
    lif = BiasedLif((2, 3), int(rng.integers(-1, 4096)), 400, rng.integers(5, 60, (2, 3)).astype(np.int32), 5, 2, reset=reset)
    nodes = {"img": BiasInput((2, 3), 0.5, 3), "s": SpikeInput((4,)), "l": lif, "out": Lif((2,), 4095, 100, 1 << 17)}

    def dense(targets: int, sources: int) -> Dense:
        return Dense(2 * rng.integers(-20, 20, (targets, sources)).astype(np.int32))

    links = (
        Connection("img", "l", ONES, port=1),
        Connection("s", "l", dense(6, 4)),
        Connection("l", "l", dense(6, 6)),
        Connection("l", "out", dense(2, 6)),
    )
    return Program(nodes, links, {"o": Output("out", "membrane_last")})


def images(time: int = 30, batch: int = 4, most: int = 4095) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    written = np.repeat(rng.integers(-most, most + 1, (1, batch, 2, 3)), time, 0) >> rng.integers(0, 6, (1, batch, 2, 3))
    return {"img": written.astype(np.int32), "s": rng.integers(0, 2, (time, batch, 4)).astype(np.int32)}


@pytest.mark.parametrize("reset", ["zero", *(pytest.param(reset, marks=pytest.mark.slow) for reset in RESETS[1:])])
def test_every_backend_gives_the_same_spikes_and_states(reset: str, lava: None) -> None:
    program, fed = pictures(reset), images()
    expected = emulate(program, fed, "all", states=True)
    assert 0.05 < expected.spikes["l"].mean() < 0.95 and len({*map(bytes, expected.spikes["l"].swapaxes(0, 1))}) == 4
    for backend in ("emulator", "torch", "lava"):
        found = compare(expected, run_on(backend, program, fed, "all", states=True).recording)
        assert found.mismatches == 0, (backend, found.first)


def test_it_is_the_bias_of_a_plain_population() -> None:
    """One sample, against Lif with the image as its bias_mant."""
    program, fed = pictures(), images(batch=1)
    lif = program.nodes["l"]
    values = {name: getattr(lif, name) for name in ("shape", "du", "dv", "vth", "bias_exp", "reset")}
    plain = Lif(**values, bias_mant=(lif.bias_mant + fed["img"][0, 0]).astype(np.int32))
    nodes = {name: node for name, node in program.nodes.items() if name != "img"} | {"l": plain}
    other = Program(nodes, tuple(c for c in program.connections if c.source != "img"), program.outputs)
    found = compare(emulate(program, fed, "all", states=True), emulate(other, {"s": fed["s"]}, "all", states=True))
    assert found.mismatches == 0 and found.compared > 500


def test_values_become_mantissas_and_saturate_with_a_warning() -> None:
    node = BiasInput((3,), 0.5, 3)
    assert node.encode("x", np.array([0.0, 1.2, -9.0])).tolist() == [3, 5, -15]
    program = pictures()
    with pytest.warns(SaturationWarning, match="'img': 30 of 180 values"):
        x = program.encode({"img": np.where(np.arange(6).reshape(2, 3) == 0, 1e6, 0.0) * np.ones((30, 1, 1, 1)), "s": np.zeros((30, 1, 4))})
    assert x["img"].max() == 4095


@pytest.mark.parametrize("backend", ["reference", "emulator", "torch"])
def test_an_image_that_changes_within_a_sample_is_refused(backend: str) -> None:
    fed = images()
    fed["img"][7] += 1
    with pytest.raises(InputError, match="'img' change from step to step, but a host writes them once per sample"):
        run_on(backend, pictures(), fed)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (Connection("img", "out", Dense(np.ones((2, 6), np.int32))), "a Lif takes none; use a BiasedLif"),
        (Connection("img", "l", ONES), "port 1 of a BiasedLif takes what a host writes"),
        (Connection("s", "l", Dense(np.ones((6, 4), np.int32)), port=1), "and nothing else does"),
        (Connection("img", "l", Diagonal(np.full(6, 2, np.int32)), port=1), "one to one"),
        (Connection("img", "l", ONES, 2, port=1), "one to one"),
    ],
)
def test_what_a_host_writes_goes_to_registers_only(link: Connection, message: str) -> None:
    program = pictures()
    with pytest.raises(InputError, match=message):
        replace(program, connections=(*program.connections, link))


def test_it_is_stored_and_read_back(tmp_path: Path) -> None:
    program = pictures()
    save_program(program, tmp_path)
    back = load_program(tmp_path)
    assert back.nodes["img"] == program.nodes["img"] and type(back.nodes["l"]) is BiasedLif
    assert compare(emulate(program, images(), "all", states=True), emulate(back, images(), "all", states=True)).mismatches == 0


def test_it_takes_no_synapses_and_no_messages() -> None:
    """Against the same image sent as graded spikes on every step, through weights of 1."""
    program, board = pictures(), find_board("oheo-gulch")
    resources = check_chip(program, board, tiers=("A", "C"))
    assert tiers(program)["img"] == "C" and tiers(program)["l"] == "A"
    assert {layer.name: layer.synapses for layer in resources.layers} == {"l": 24 + 36, "out": 12}
    found = emulate(program, images(), "all")
    sent = spike_rates(program, found)
    assert from_host(program, resources, sent) == pytest.approx(sent["s"].sum())
    energy = energy_of(program, [found], board)
    assert {link.source for link in energy.activity.links} == {"s", "l"}


def test_bounds_hold_for_every_image() -> None:
    program, fed = pictures(), images()
    bounds, found = state_bounds(program), emulate(program, fed, "all", states=True)
    for neuron in range(6):
        for value, raw in raw_states(program, found, "l", neuron).items():
            low, high = (end[neuron] for end in bounds["l"].intervals[value])
            assert low <= raw.min() and raw.max() <= high
    loud = replace(program, nodes={**program.nodes, "l": replace(program.nodes["l"], dv=0, bias_exp=7)})
    verdict = next(v for v in prove(loud) if (v.node, v.event) == ("l", "v clips low"))
    assert verdict.witness is not None and (verdict.witness.events["img"] == verdict.witness.events["img"][:1]).all()
