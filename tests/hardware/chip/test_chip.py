"""Cores counted by hand, limit by limit, and refusals that say what would fit."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import (
    Connection,
    Constant,
    Conv2d,
    Dense,
    Lif,
    Output,
    Product,
    Program,
    Relay,
    ResonateAndFire,
    Sparse,
    SpikeInput,
    chip,
)  # fmt: skip
from snnfuse.hardware.chip import BOARDS, LIMITS, Board, Demands, check_chip, count, placements, sensitivity, statuses, tier
from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import GradedInput, Node
from snnfuse.hardware.ir.synapses import Synapse

SMALL = Board("small", 1, {"cores": 2})


def one_layer(synapse: Synapse, reset: str = "zero", delay: int = 0) -> Program:
    """An input and a layer, as large as the weights say."""
    targets, sources = synapse.size
    nodes = {"x": SpikeInput((sources,)), "layer": Lif((targets,), du=4095, dv=0, vth=1, reset=reset)}  # type: ignore[arg-type]
    return Program(nodes, (Connection("x", "layer", synapse, delay),), {"output": Output("layer")})


def full(targets: int, sources: int, bits: int = 8) -> Dense:
    """Weights none of which is 0 and no two columns of which are equal."""
    rng = np.random.default_rng(targets * sources)
    step = 1 << (8 - bits)
    return Dense(step * rng.integers(1, 256 // step, (targets, sources), np.int32), bits=bits)


@pytest.mark.parametrize(
    "synapse, words, cores, bound_by",
    [
        (full(1, 10), 10, 1, "neurons"),  # an axon of one synapse: 32 + 16 bits, a word
        (full(10, 50), 50 * 3, 1, "neurons"),  # 32 + 160 bits are 3 words
        (full(50, 100), 100 * 13, 1, "neurons"),
        (full(17, 2560, bits=4), 2560 * 4, 1, "neurons"),  # 32 + 17 * 12 bits are 3.7 words
        (full(100, 2560), 12 * 2560 * 3, 12, "synapse_words"),  # 26 words an axon need 6 cores; 17 neurons take 12,800 words: 12
    ],
)
def test_cores_of_a_dense_layer(synapse: Dense, words: int, cores: int, bound_by: str) -> None:
    (layer,) = check_chip(one_layer(synapse)).layers
    assert (layer.memory, layer.cores, layer.bound_by) == (8 * words, cores, bound_by)


@pytest.mark.parametrize("neurons, cores", [(4095, 1), (4096, 2)])
def test_neurons_of_a_core(neurons: int, cores: int) -> None:
    (layer,) = check_chip(one_layer(full(neurons, 1))).layers
    assert (layer.cores, layer.least, layer.bound_by) == (cores, cores, "neurons")


def test_tight_splits_into_the_fewest_parts() -> None:
    (layer,) = check_chip(one_layer(full(100, 2560)), rule="tight").layers
    assert (layer.cores, layer.least) == (8, 8)  # 14 neurons take 4 words an axon and 10,240 in all, 15 take 5 and 12,800


@pytest.mark.parametrize(
    "shape, channels, lava, tight",
    [
        ((3, 66, 200), 24, 25, 19),  # 32 x 99 x 24: four columns are 3,072 neurons, eight 6,144; 170 positions of 24 are 4,080
        ((64, 4, 22), 64, 2, 1),  # 2 x 20 x 64: 32 columns would be 4,096
    ],
)
def test_cores_of_a_convolution(shape: tuple, channels: int, lava: int, tight: int) -> None:
    stride = (2, 2) if shape[0] == 3 else (1, 1)
    conv = Conv2d(np.full((channels, shape[0], 3, 3), 2, np.int32), shape, stride)
    assert [count(one_layer(conv), BOARDS["oheo-gulch"], rule=rule).cores for rule in ("lava", "tight")] == [lava, tight]


def with_biases(shape: tuple[int, int, int], channels: int) -> Program:
    """A convolution whose neurons have a bias each, from a constant: listed synapses beside a kernel."""
    conv = Conv2d(np.full((channels, shape[0], 3, 3), 2, np.int32), shape, padding=(1, 1))
    bias = Dense(np.full((channels * shape[1] * shape[2], 1), 2, np.int32))
    nodes = {"x": SpikeInput(shape), "one": Constant(), "layer": Lif(conv.output_shape, du=4095, dv=0, vth=1)}
    return Program(nodes, (Connection("x", "layer", conv), Connection("one", "layer", bias)), {"output": Output("layer")})


def test_columns_too_wide_for_the_neurons_of_a_core_are_not_blamed_on_a_memory_that_is_half_empty() -> None:
    """A column of 32 channels and 128 rows is 4,096 neurons, one too many: halves of it fill 17 % of the memory."""
    layer = check_chip(with_biases((1, 128, 16), 32)).layers[-1]
    assert (layer.cores, layer.least, layer.bound_by) == (32, 17, "neurons")


def test_a_tight_split_of_many_positions_holds_few_splits_in_memory() -> None:
    """127 positions of 32 channels are 4,064 neurons; of 94,756 splits to try, each lists 16,384 positions, 131 kB."""
    program, board = with_biases((3, 128, 128), 32), BOARDS["kapoho-point"]
    tracemalloc.start()
    try:
        layer = count(program, board, rule="tight").layers[-1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert layer.cores == -(-16_384 // 127) and peak < 2**28


def test_a_kernel_is_stored_once_per_core() -> None:
    """216 taps of 36 channels: 288 bits are 5 words; on each of 13 cores."""
    conv = Conv2d(np.full((36, 24, 3, 3), 2, np.int32), (24, 32, 99), (2, 2))
    (layer,) = check_chip(one_layer(conv)).layers
    assert (layer.cores, layer.memory, layer.synapses) == (13, 13 * 216 * 5 * 8, 7776)


def test_a_large_kernel_is_split_by_channels() -> None:
    """4,608 taps: 16 channels take 2 words each and fit 12,000, 17 take 3; every split of 512 channels needs 32 cores."""
    conv = Conv2d(np.full((512, 512, 3, 3), 2, np.int32), (512, 4, 4), padding=(1, 1))
    (layer,) = count(one_layer(conv), BOARDS["oheo-gulch"], rule="tight").layers
    assert (layer.cores, layer.least, layer.parts, layer.bound_by) == (32, 32, "32 x 1", "synapse_words")


def test_a_depthwise_kernel_takes_its_own_channels_only() -> None:
    conv = Conv2d(np.full((64, 1, 3, 3), 2, np.int32), (64, 4, 4), padding=(1, 1), groups=64)
    (layer,) = check_chip(one_layer(conv)).layers
    assert (layer.cores, layer.memory) == (1, 64 * 9 * 8)


def test_a_listed_synapse_carries_an_index() -> None:
    matrix = sparse.csr_matrix(np.eye(100, dtype=np.int32) * 2)
    (layer,) = check_chip(one_layer(Sparse(matrix))).layers
    assert (layer.synapses, layer.memory, layer.axons_in) == (100, 100 * 8, 100)


def test_tight_weights_of_0_take_no_memory_and_equal_columns_one_axon() -> None:
    """Intel's compiler stores a dense connection whole: PilotNet's first one, three quarters zeros, took 12 cores."""
    weights = np.zeros((10, 64), np.int32)
    weights[:, :] = np.repeat(2 * np.arange(1, 5), 16)  # 4 different columns
    weights[5:] = 0
    layers = [check_chip(one_layer(Dense(weights)), rule=rule).layers[0] for rule in ("lava", "tight")]
    assert [(a.axons_in, a.memory) for a in layers] == [(64, 64 * 3 * 8), (4, 4 * 2 * 8)]  # 10 synapses, 32 + 160 bits; 5, 32 + 80


def test_tight_sparse_and_dense_synapses_with_the_same_zeros_take_the_same() -> None:
    rng = np.random.default_rng(0)
    weights = 2 * rng.integers(1, 100, (300, 200), np.int32) * (rng.random((300, 200)) < 0.2)
    dense, listed = (check_chip(one_layer(s), rule="tight").layers[0] for s in (Dense(weights), Sparse(sparse.csr_matrix(weights))))
    assert dense.memory == listed.memory and dense.axons_in == listed.axons_in


def test_delays_take_room_for_neurons() -> None:
    """32,768 slots: at 62 steps and the one that every synapse takes, 520 neurons."""
    layers = [check_chip(one_layer(full(521, 1), delay=delay)).layers[0] for delay in (0, 61, 62)]
    assert [(a.cores, a.bound_by) for a in layers] == [(1, "neurons"), (1, "neurons"), (2, "delay_slots")]


def test_input_axons_split_a_layer() -> None:
    """Every neuron has a source of its own, and a core takes in 8,192."""
    sources = np.arange(12_000) % 4000
    weights = sparse.csr_matrix((np.full(12_000, 2, np.int32), (sources, np.arange(12_000))), (4000, 12_000))
    board = Board("memory", 1, {"synapse_words": 100_000})
    (layer,) = count(one_layer(Sparse(weights)), board, rule="tight").layers
    assert (layer.cores, layer.axons_in, layer.bound_by) == (2, 6000, "axons_in")


def test_output_axons_split_a_layer() -> None:
    nodes: dict[str, Node] = {"x": SpikeInput((1,)), "a": Lif((3000,), 4095, 0, 1)}
    links = [Connection("x", "a", full(3000, 1))]
    for i in range(6):
        nodes[f"b{i}"] = Lif((1,), 4095, 0, 1)
        links.append(Connection("a", f"b{i}", full(1, 3000)))
    first = check_chip(Program(nodes, tuple(links), {"output": Output("b0")})).layers[0]
    assert (first.cores, first.axons_out, first.bound_by) == (2, 9000, "axons_out")  # 16,000 of 18,000


def test_layers_add_up_and_inputs_are_free() -> None:
    nodes = {"x": SpikeInput((2,)), "one": Constant(), "a": Lif((9000,), 4095, 0, 1), "b": Lif((3,), 4095, 0, 1)}
    links = (Connection("x", "a", full(9000, 2)), Connection("one", "a", full(9000, 1)), Connection("a", "b", full(3, 9000)))
    board = Board("wide", 8, {"axons_in": 16_384})
    resources = check_chip(Program(nodes, links, {"output": Output("b")}), board)
    assert {a.name: (a.cores, a.synapses) for a in resources.layers} == {"one": (1, 0), "a": (3, 27_000), "b": (2, 27_000)}
    written = resources.to_json()
    assert (written["cores"], written["chips"], written["rule"]) == (6, 1, "lava")
    assert written["board"] == {"name": "wide", "chips": 8, "cores": 960, "limits": {"axons_in": 16_384}}
    assert all(limit["status"] in ("measured", "models agree", "assumed") and limit["source"] for limit in written["limits"])


def test_too_many_neurons() -> None:
    check_chip(one_layer(full(2 * 4095, 1)), SMALL)
    with pytest.raises(DoesNotFitError) as raised:
        check_chip(one_layer(full(2 * 4095 + 1, 1)), SMALL)
    assert str(raised.value) == (
        "layer 'layer' takes 3 cores for 8191 neurons (4095 neurons per core (measured)); with all layers 3 cores, "
        "1 more than the 2 of small; it fits board='kapoho-point'"
    )
    assert raised.value.exit_code == 4


def test_too_much_synapse_memory_names_what_fits() -> None:
    """With 3 bits 18 words an axon, so 4 cores at first, whose 25 neurons take 12,800 words, then 8."""
    with pytest.raises(DoesNotFitError) as raised:
        check_chip(one_layer(full(100, 2560)), Board("eight", 1, {"cores": 8}))
    assert str(raised.value) == (
        "layer 'layer' takes 12 cores for 737280 bytes of synapses (12000 words of synapse memory per core (measured)); with all layers "
        "12 cores, 4 more than the 8 of eight; it fits board='kapoho-point'; or rule='tight' fits with 8 cores, given a compiler that "
        "splits layers so; or weight_bits=3 fits"
    )


def test_too_large_for_every_board_says_how_much_smaller() -> None:
    with pytest.raises(DoesNotFitError, match="'layer' would have to do with 1152 cores: about 4608 neurons"):
        check_chip(one_layer(full(8192, 1)), Board("tiny", 1152, {"cores": 1, "neurons": 4}), bits=1)


@pytest.mark.parametrize(
    "program, message",
    [
        (one_layer(full(1, 12_500)), "a single neuron of layer 'layer' takes 12500, 500 more than 12000 words .*; or rule='tight'"),
        (one_layer(full(2, 9000)), "takes 9000, 808 more than 8192 input axons per core .* fewer sources"),
    ],
)
def test_fan_in_beyond_a_core_is_refused(program: Program, message: str) -> None:
    with pytest.raises(DoesNotFitError, match=message):
        check_chip(program)


@pytest.mark.parametrize(
    "limits, message",
    [
        ({"weight_bits": 4}, "connection x -> layer has 8 bits per weight, 4 more than 4 bits per weight .*weight_bits"),
        ({"delay": 3}, "connection x -> layer has 5 steps of synaptic delay, 2 more than 3"),
        ({"payload_bits": 8}, "input 'x' has 12 bits of a graded spike, 4 more than 8 .*input_bits"),
        ({"delay_slots": 4}, "a single neuron of layer 'layer' takes 6, 2 more than 4 slots"),
    ],
)
def test_limits_of_a_narrower_board_are_refused_by_name(limits: dict, message: str) -> None:
    nodes = {"x": GradedInput((1,), 12, 1.0), "layer": Lif((1,), 4095, 0, 1)}
    program = Program(nodes, (Connection("x", "layer", full(1, 1), delay=5),), {"output": Output("layer")})
    with pytest.raises(DoesNotFitError, match=message):
        check_chip(program, Board("narrow", 1, limits))


@pytest.mark.parametrize("reset", ["subtract", "subtract_delayed"])
def test_reset_by_subtraction_is_microcode_and_refused_with_ways_out_where_only_stock_neurons_are_taken(reset: str) -> None:
    program = one_layer(full(1, 1), reset)
    assert [(layer.tier, statuses(program)[layer.name]) for layer in check_chip(program).layers] == [("B", "assumed")]
    with pytest.raises(
        UnsupportedError, match=rf"layer \({reset}\).*tier='B' on target='loihi2' or target='lava'.*fine-tuning.*reset='zero'"
    ) as raised:
        check_chip(program, tiers=("A",))
    assert raised.value.exit_code == 3 and check_chip(one_layer(full(1, 1)), tiers=("A",)).layers[0].tier == "A"


def test_products_and_relays_are_refused_by_name_where_only_stock_neurons_are_taken() -> None:
    nodes = {"x": SpikeInput((4,)), "r": Relay((4,)), "n": Lif((4,), 0, 0, 1)}
    links = (Connection("x", "r", full(4, 4)), Connection("r", "n", full(4, 4)))
    program = Program(nodes, links, {"o": Output("n")})
    with pytest.raises(UnsupportedError, match=r"neuron microcode: r \(Relay\). Ways out: take microcode too, with tier='B'"):
        check_chip(program, tiers=("A",))


def test_every_kind_of_node_says_how_it_runs() -> None:
    assert set(placements()) == {kind.name for kind in NEURONS if kind.is_own}
    assert all(row.source and row.status for row in placements().values())
    assert (tier(Lif((1,), 0, 0, 1)), tier(Lif((1,), 0, 0, 1, reset="subtract")), tier(Relay((1,)))) == ("A", "B", "B")


def test_products_and_relays_are_placed_as_microcode() -> None:
    one = full(4, 4)
    nodes = {"x": SpikeInput((4,)), "p": Product((4,)), "r": Relay((4,)), "n": Lif((4,), 0, 0, 1)}
    links = (Connection("x", "p", one), Connection("x", "p", one, port=1), Connection("p", "r", one), Connection("r", "n", one))
    layers = check_chip(Program(nodes, links, {"o": Output("n")})).layers
    assert [(a.name, a.neurons, a.synapses, a.tier) for a in layers] == [("p", 4, 32, "B"), ("r", 4, 16, "B"), ("n", 4, 16, "A")]


def test_sensitivity_varies_what_is_assumed() -> None:
    program = one_layer(full(100, 2560))
    found = sensitivity(program, BOARDS["oheo-gulch"], 8, "tight", Demands(program))
    assert found == {
        "memory x0.5": 17,  # 6 neurons take 2 words an axon
        "memory x2": 3,  # 34 take 9
        "state memory x0.5": 8,
        "state memory x2": 8,
        "axons x0.5": 8,
        "axons x2": 8,
        "neurons x0.5": 8,
        "neurons x2": 8,
        "memory 16000 words": 5,  # 22 take 6
    }
    assert sensitivity(one_layer(full(2, 7000)), BOARDS["oheo-gulch"], 8, "lava", Demands(one_layer(full(2, 7000))))["memory x0.5"] is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rule", ["lava", "tight"])
def test_no_core_of_a_random_layer_breaks_a_limit(seed: int, rule: str) -> None:
    """Words and axons of every core, counted neuron by neuron."""
    rng = np.random.default_rng(seed)
    targets, sources = rng.integers(1, 60, 2)
    weights = 2 * rng.integers(1, 100, (targets, sources), np.int32) * (rng.random((targets, sources)) < rng.random())
    board = Board("random", 60, {"neurons": int(rng.integers(1, 20)), "synapse_words": int(rng.integers(60, 200)), "axons_in": 64})
    resources = count(one_layer(Sparse(sparse.csr_matrix(weights))), board, rule=rule)  # type: ignore[arg-type]
    labels = resources.splits["layer"].labels
    assert sorted(set(labels)) == list(range(resources.cores)) and len(labels) == targets
    total = 0
    for core in range(resources.cores):
        synapses = np.count_nonzero(weights[labels == core], axis=0)
        words = sum(-(-(int(n) * 16 + 32) // 64) for n in synapses if n)
        assert (labels == core).sum() <= board.value("neurons") and words <= board.value("synapse_words")
        total += words
    assert resources.layers[0].memory == total * 8 and resources.layers[0].least <= resources.cores


def test_limits_are_complete_and_boards_are_those_that_exist() -> None:
    assert {name: (board.chips, board.cores) for name, board in BOARDS.items()} == {
        "oheo-gulch": (1, 120), "kapoho-point": (8, 960), "hala-point": (1152, 138_240),
    }  # fmt: skip
    assert all(limit.source and limit.value > 0 for limit in LIMITS.values())
    with pytest.raises(InputError, match="unknown board 'pohoiki'; there are oheo-gulch, kapoho-point, hala-point, or give a file"):
        check_chip(one_layer(full(1, 1)), "pohoiki")
    assert chip.LOIHI1["axons_in"] * 2 == LIMITS["axons_in"].value


def test_neurons_of_more_state_are_fewer_per_core() -> None:
    """8,192 words: 4,095 LIF neurons of one word are too few to fill them, and 2,730 resonators of three are not."""
    stock, microcode = Lif((4095,), 4095, 0, 9), ResonateAndFire((4095,), 0, 4096, 9)
    for node, cores, bound in ((stock, 1, "neurons"), (microcode, 2, "state_words")):
        program = Program({"x": SpikeInput((1,)), "n": node}, (Connection("x", "n", full(4095, 1)),), {"y": Output("n")})
        (layer,) = count(program, BOARDS["oheo-gulch"]).layers
        assert (layer.cores, layer.bound_by) == (cores, bound)
    small = Board("small", 1, {"state_words": 2})
    with pytest.raises(DoesNotFitError, match=r"a single neuron of layer 'n' takes 3, 1 more than 2 words of state memory"):
        count(program, small)
