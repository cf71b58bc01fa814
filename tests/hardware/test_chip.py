"""Cores counted by hand, both limits, and refusals that say what would fit."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Constant, Conv2d, Dense, Lif, Output, Product, Program, Relay, Sparse, SpikeInput, chip
from snnfuse.hardware.chip import BOARDS, NODES, Board, check_chip, tier
from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.program import Node
from snnfuse.hardware.synapses import Synapse


def one_layer(synapse: Synapse, reset: str = "zero") -> Program:
    """An input and a layer, as large as the weights say."""
    targets, sources = synapse.size
    nodes = {"x": SpikeInput((sources,)), "layer": Lif((targets,), du=4095, dv=0, vth=1, reset=reset)}  # type: ignore[arg-type]
    return Program(nodes, (Connection("x", "layer", synapse),), {"output": Output("layer")})


def zeros(*shape: int) -> np.ndarray:
    """Weights that take no memory here, however many."""
    return np.broadcast_to(np.int32(0), shape)


@pytest.mark.parametrize(
    "synapse, memory, cores, bound_by",
    [
        (Dense(zeros(8192, 1)), 8192, 1, "neurons per core"),
        (Dense(zeros(8193, 1)), 8193, 2, "neurons per core"),
        (Dense(zeros(192, 1024)), 196_608, 1, "neurons per core"),
        (Dense(zeros(193, 1024)), 197_632, 2, "bytes of synapse memory per core"),
        (Dense(zeros(193, 1024), bits=4), 98_816, 1, "neurons per core"),
        (Conv2d(zeros(8, 2, 3, 3), (2, 40, 40), padding=(1, 1)), 144, 2, "neurons per core"),
    ],
)
def test_cores_of_a_layer(synapse: Synapse, memory: int, cores: int, bound_by: str) -> None:
    (layer,) = check_chip(one_layer(synapse)).layers
    assert (layer.memory, layer.cores, layer.bound_by.what) == (memory, cores, bound_by)


def test_a_listed_synapse_carries_an_index() -> None:
    matrix = sparse.csr_matrix(np.eye(100, dtype=np.int32) * 2)  # 100 synapses of 8 bits, and 7 to tell 100 neurons apart
    (layer,) = check_chip(one_layer(Sparse(matrix))).layers
    assert (layer.synapses, layer.bits, layer.memory) == (100, 1500, 188)


def test_layers_add_up_and_inputs_are_free() -> None:
    nodes = {"x": SpikeInput((2,)), "one": Constant(), "a": Lif((9000,), 4095, 0, 1), "b": Lif((3,), 4095, 0, 1)}
    connections = (
        Connection("x", "a", Dense(zeros(9000, 2))),
        Connection("one", "a", Dense(zeros(9000, 1))),
        Connection("a", "b", Dense(zeros(3, 9000))),
    )
    resources = check_chip(Program(nodes, connections, {"output": Output("b")}), "kapoho-point")
    counted = {layer.name: (layer.cores, layer.synapses) for layer in resources.layers}
    assert counted == {
        "one": (1, 0),
        "a": (2, 27_000),
        "b": (1, 27_000),
    }
    table = resources.to_json()
    assert table["cores"] == 4 and table["board"] == {"name": "kapoho-point", "chips": 8, "cores": 960}
    assert all(limit["status"] in ("measured", "models agree", "assumed") and limit["source"] for limit in table["limits"])


def test_boards() -> None:
    assert {name: board.chips for name, board in BOARDS.items()} == {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}
    with pytest.raises(InputError, match="unknown board 'pohoiki'; there are oheo-gulch, kapoho-point, hala-point"):
        check_chip(one_layer(Dense(zeros(1, 1))), "pohoiki")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chips of two cores, so that small layers are too large: boards of 2, 16 and 2304 cores."""
    monkeypatch.setattr(chip, "CORES", replace(chip.CORES, value=2))


def test_too_many_neurons(two_cores: None) -> None:
    check_chip(one_layer(Dense(zeros(2 * 8192, 1))))
    with pytest.raises(DoesNotFitError) as raised:
        check_chip(one_layer(Dense(zeros(2 * 8192 + 1, 1))))
    assert str(raised.value) == (
        "layer 'layer' takes 3 cores for 16385 neurons (8192 neurons per core, assumed); with all layers 3 cores, "
        "1 more than the 2 of oheo-gulch; it fits --board kapoho-point"
    )
    assert raised.value.exit_code == 4


def test_too_much_synapse_memory_names_the_bits_that_fit(two_cores: None) -> None:
    program = one_layer(Dense(zeros(512, 1024)))  # 512 KiB at 8 bits; two cores hold 384 KiB, which is 6 bits
    with pytest.raises(DoesNotFitError, match="3 cores for 524288 bytes of synapses .*kapoho-point; or --weight-bits 6 fits"):
        check_chip(program)


def test_too_large_for_every_board(two_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip, "BOARDS", {"oheo-gulch": Board("oheo-gulch", 1)})
    with pytest.raises(DoesNotFitError, match="1 more than the 2 of oheo-gulch; make the layer smaller"):
        check_chip(one_layer(Dense(zeros(2 * 8192 + 1, 1))))


@pytest.mark.parametrize("reset", ["subtract", "subtract_delayed"])
def test_reset_by_subtraction_is_refused_with_ways_out(reset: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"layer \({reset}\).*--reset zero.*fine-tune.*--target lava") as raised:
        check_chip(one_layer(Dense(zeros(1, 1)), reset))
    assert raised.value.exit_code == 3


def test_every_kind_of_node_says_how_it_runs() -> None:
    assert set(NODES) == set(get_args(Node))
    assert all(row.source and row.status for row in NODES.values())
    assert (tier(Lif((1,), 0, 0, 1)), tier(Lif((1,), 0, 0, 1, reset="subtract")), tier(Relay((1,)))) == ("A", "B", "B")


def test_products_and_relays_are_placed_as_microcode() -> None:
    one = Dense(np.ones((4, 4), np.int32))
    nodes = {"x": SpikeInput((4,)), "p": Product((4,)), "r": Relay((4,)), "n": Lif((4,), 0, 0, 1)}
    links = (Connection("x", "p", one), Connection("x", "p", one, port=1), Connection("p", "r", one), Connection("r", "n", one))
    layers = check_chip(Program(nodes, links, {"o": Output("n")})).layers
    assert [(a.name, a.neurons, a.synapses, a.tier) for a in layers] == [("p", 4, 32, "B"), ("r", 4, 16, "B"), ("n", 4, 16, "A")]
