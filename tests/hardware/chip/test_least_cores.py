"""The lower bound on cores against its definition, tried out: every number of neurons, every share of synapses."""

import numpy as np
import pytest

from snnfuse.hardware import Conv2d
from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.bounds import _hull, largest, least_cores, lower_hull
from snnfuse.hardware.chip.layers import Demand
from snnfuse.hardware.chip.packing import Listed, Words


@pytest.mark.parametrize("high", range(9))
def test_the_largest_number_that_fits(high: int) -> None:
    for limit in range(-1, 10):
        asked: list[int] = []

        def fits(n: int, limit: int = limit, asked: list[int] = asked) -> bool:
            asked.append(n)
            return n <= limit

        assert largest(high, fits) == max(0, min(limit, high))
        assert all(1 <= n <= high for n in asked) and len(asked) == len(set(asked)) <= high.bit_length()


def below(values: np.ndarray, x: float) -> float:
    """The largest convex function below values at 0, 1, ...: the lowest of all lines between two of them that pass over x."""
    places = range(len(values))
    lines = [(a, b) for a in places for b in places if a <= x <= b]
    return min(float(values[a]) if a == b else values[a] + (values[b] - values[a]) * (x - a) / (b - a) for a, b in lines)


@pytest.mark.parametrize("seed", range(20))
def test_a_hull_is_the_largest_convex_function_below(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-20, 20, rng.integers(1, 12)) if seed % 2 else rng.integers(0, 3, 9).cumsum()
    corners = lower_hull(values)
    assert corners[0] == 0 and corners[-1] == len(values) - 1
    slopes = [(values[b] - values[a]) / (b - a) for a, b in zip(corners, corners[1:])]
    assert all(a < b for a, b in zip(slopes, slopes[1:]))  # and none of them lies on a line between others
    for x in range(len(values)):
        assert np.interp(x, corners, values[corners]) == pytest.approx(below(values, x))


@pytest.mark.parametrize("neurons", [1, 2, 7, 40])
def test_an_axon_has_from_none_to_a_synapse_for_every_neuron_of_a_core(neurons: int) -> None:
    words = Words(64, 8, 32)
    counts, stored = _hull(words, 5, neurons)
    assert (counts[0], counts[-1]) == (0, neurons) and stored.tolist() == words.listed(counts, 5, neurons).tolist()


def words_of_lists(board: Board, lists: tuple[Listed, ...], neurons: int) -> float:
    """The fewest words of the fewest synapses of so many neurons, spread over axons of which none is read twice by a neuron."""
    total = 0.0
    for each in lists:
        synapses = int(np.sort(np.asarray(each.pattern.sum(1)).ravel())[:neurons].sum())
        words = Words.of(board).listed(np.arange(neurons + 1), each.bits, neurons)
        total += each.sources * below(words, synapses / each.sources)
    return total


def fewest(demand: Demand, board: Board) -> dict[str, int]:
    """`least_cores`, by trying every number of neurons that a core may hold."""
    room = {"neurons": board.value("neurons"), "delay_slots": board.value("delay_slots") // demand.slots}
    room["state_words"] = board.value("state_words") // demand.words
    if demand.outgoing:
        room["axons_out"] = board.value("axons_out") // demand.outgoing
    room = {limit: max(1, value) for limit, value in room.items()}
    memory = board.value("synapse_words")
    most = min(demand.neurons, *room.values())
    if demand.convolutions:
        counts = range(1, demand.channels + 1)
        channels = max([c for c in counts if demand.kernels(Words.of(board), c) <= memory], default=1)
        most = min(most, channels * demand.positions)
    if demand.lists:
        most = max([n for n in range(1, most + 1) if words_of_lists(board, demand.lists, n) <= memory], default=1)
    return {limit: -(-demand.neurons // value) for limit, value in {**room, "synapse_words": most}.items()}


def listed(rng: np.random.Generator, targets: int, sources: int, share: float) -> Listed:
    return Listed(rng.random((targets, sources)) < share, int(rng.integers(1, 9)))


@pytest.mark.parametrize("memory", [1, 4, 7, 12, 40])
@pytest.mark.parametrize("neurons", [1, 3, 8, 30])
def test_fewest_cores_of_layers(memory: int, neurons: int) -> None:
    rng = np.random.default_rng([memory, neurons])
    conv = Conv2d(4 * rng.integers(-9, 9, (6, 2, 2, 2)), (2, 3, 4), bits=7)
    grouped = Conv2d(4 * rng.integers(-9, 9, (6, 1, 1, 2)), (2, 2, 4), groups=2, bits=7)
    demands = [
        Demand("lists", (13, 1, 1), (), (listed(rng, 13, 6, 0.7), listed(rng, 13, 3, 0.4)), 8, 1, 2),
        Demand("one", (5, 1, 1), (), (listed(rng, 5, 2, 1.0),), 8, 3, 0, 2),
        Demand("image", (6, 2, 3), (conv, grouped), (), 8, 2, 1),
        Demand("both", (6, 2, 3), (grouped,), (listed(rng, 36, 4, 0.5),), 8, 1, 1),
        Demand("alone", (9, 1, 1), (), (), 8, 1, 0),
    ]
    board = Board("small", 1, {
        "neurons": neurons, "delay_slots": 24, "state_words": 20, "axons_out": 14, "synapse_words": memory, "index_bits": 3,
        "axon_bits": 20,
    })  # fmt: skip
    for demand in demands:
        assert least_cores(demand, board) == fewest(demand, board)


def test_a_layer_that_fits_to_the_last_word() -> None:
    """Words that are whole at every number of neurons: one axon per synapse of a word each, and a kernel of whole words."""
    one = Listed(np.eye(6, dtype=bool), 8)
    demand = Demand("n", (6, 1, 1), (), (one,), 8, 1, 0)
    kernel = Demand("c", (4, 1, 1), (Conv2d(np.full((4, 1, 1, 1), 2), (1, 1, 1)),), (), 8, 1, 0)
    for memory in range(1, 7):
        board = Board("b", 1, {"synapse_words": memory, "word_bits": 64, "index_bits": 8, "axon_bits": 48})
        assert least_cores(demand, board)["synapse_words"] == fewest(demand, board)["synapse_words"]
        wide = Board("b", 1, {"synapse_words": memory, "word_bits": 8})
        assert least_cores(kernel, wide)["synapse_words"] == -(-4 // min(memory, 4))
