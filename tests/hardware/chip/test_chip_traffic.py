"""Messages between cores against a count spike by spike, and cores on chips against every possible arrangement."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Conv2d, Dense, Lif, Output, Program, Sparse, SpikeInput, emulate
from snnfuse.hardware.chip import Board, count, find_board
from snnfuse.hardware.chip.chips import assign, cut, improve
from snnfuse.hardware.chip.traffic import from_host, messages, reach, spike_rates
from snnfuse.hardware.errors import InputError


def network(seed: int) -> Program:
    """Convolutions with strides, padding, dilation and groups, then sparse and dense layers, one of them recurrent."""
    rng = np.random.default_rng(seed)
    kernel = [2 * rng.integers(1, 60, (8, 2, 3, 3), np.int32), 2 * rng.integers(1, 60, (8, 4, 3, 2), np.int32)]
    first = Conv2d(kernel[0], (2, 9, 8), (2, 1), (1, 1))
    second = Conv2d(kernel[1], first.output_shape, (1, 2), (0, 1), (2, 1), groups=2)
    size = second.size[0]
    weights = 2 * rng.integers(1, 60, (20, size), np.int32) * (rng.random((20, size)) < 0.1)
    nodes = {
        "x": SpikeInput((2, 9, 8)),
        "a": Lif(first.output_shape, 4095, 2048, 900),
        "b": Lif(second.output_shape, 4095, 2048, 500),
        "c": Lif((20,), 4095, 2048, 200),
        "d": Lif((6,), 4095, 2048, 100),
    }
    dense = 2 * rng.integers(-20, 30, (6, 20), np.int32) * (rng.random((6, 20)) < 0.5)
    links = (
        Connection("x", "a", first),
        Connection("a", "b", second),
        Connection("b", "c", Sparse(sparse.csr_matrix(weights))),
        Connection("c", "c", Sparse(sparse.csr_matrix(np.roll(np.eye(20, dtype=np.int32), 3, 1) * 2))),
        Connection("c", "d", Dense(dense)),
    )
    return Program(nodes, links, {"output": Output("d")})


@pytest.mark.parametrize("rule", ["lava", "tight"])
@pytest.mark.parametrize("seed", range(3))
def test_messages_are_those_of_every_spike(seed: int, rule: str) -> None:
    program = network(seed)
    board = Board("small", 4, {"neurons": 37, "axons_in": 300, "synapse_words": 600})
    resources = count(program, board, rule=rule)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    recording = emulate(program, {"x": rng.integers(0, 2, (5, 3, 2, 9, 8), np.int32)}, record="all")
    rates = spike_rates(program, recording)
    found = messages(program, resources, rates).toarray()

    first = dict(zip(resources.splits, np.cumsum([0, *(split.cores for split in resources.splits.values())])))
    expected, host = np.zeros_like(found), 0.0
    for link in program.connections:
        matrix = sparse.csr_matrix(link.synapse.matrix()).toarray()
        target = resources.splits[link.target]
        for source in range(matrix.shape[1]):
            cores = set(target.labels[np.flatnonzero(matrix[:, source])])
            fired = recording.events["x"] if link.source == "x" else recording.spikes[link.source]
            rate = float((fired.reshape(15, -1)[:, source] != 0).sum() / 15)
            for core in cores:
                if link.source == "x":
                    host += rate
                else:
                    expected[first[link.source] + resources.splits[link.source].labels[source], first[link.target] + core] += rate
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert from_host(program, resources, rates) == pytest.approx(host, rel=1e-12) and host > 0 and found.sum() > 0


def test_rates_need_every_layer() -> None:
    program = network(0)
    with pytest.raises(InputError, match="'a' was not recorded: traffic needs every layer"):
        spike_rates(program, emulate(program, {"x": np.zeros((2, 1, 2, 9, 8), np.int32)}))


def symmetric(n: int, seed: int) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    half = np.triu(rng.integers(0, 9, (n, n)) * (rng.random((n, n)) < 0.5), 1).astype(float)
    return sparse.csr_matrix(half + half.T)


def crossing(both: sparse.csr_matrix, chip_of: np.ndarray) -> float:
    return float(both.toarray()[chip_of[:, None] != chip_of].sum() / 2)


def cuts(n: int, size: int) -> Iterator[np.ndarray]:
    chips = -(-n // size)
    for ends in np.ndindex(*(n + 1,) * (chips - 1)):
        edges = np.array([0, *ends, n])
        sizes = np.diff(edges)
        if (sizes > 0).all() and (sizes <= size).all():
            yield np.repeat(np.arange(chips), sizes)


@pytest.mark.parametrize("seed", range(10))
def test_the_cut_is_the_best_of_all(seed: int) -> None:
    both = symmetric(9, seed)
    assert crossing(both, cut(both, 4)) == min(crossing(both, each) for each in cuts(9, 4))


@pytest.mark.parametrize("seed", range(10))
def test_moving_cores_never_costs_and_overfills_no_chip(seed: int) -> None:
    both = symmetric(8, seed)
    start = cut(both, 4)
    found = improve(both, start, 4)
    best = min(crossing(both, np.array(each)) for each in set(permutations([0, 0, 0, 0, 1, 1, 1, 1])))
    assert best <= crossing(both, found) <= crossing(both, start)
    assert np.bincount(found).max() <= 4 and len(found) == 8


def test_interleaved_networks_are_taken_apart() -> None:
    """Two networks, all of whose cores talk with each other, alternate on two chips: no message crosses in the end."""
    n = 42
    same = np.add.outer(np.arange(n), np.arange(n)) % 2 == 0
    both = sparse.csr_matrix((same & ~np.eye(n, dtype=bool)).astype(float))
    start = cut(both, n // 2)
    assert crossing(both, improve(both, start, n // 2)) == 0 < crossing(both, start)


def test_chips_are_as_few_as_hold_the_cores() -> None:
    program, board = network(0), Board("small", 40, {"neurons": 37, "cores": 5})
    resources = count(program, board)
    placed = assign(program, resources)
    assert placed.chips == resources.chips == -(-resources.cores // 5) > 1
    assert placed.to_json()["chips"][0]["cores"] <= 5 and len(placed.chip_of) == resources.cores
    assert placed.between_chips <= placed.consecutive and not placed.measured
    assert "if every neuron fired on every step" in placed.describe()


def test_a_second_convolution_may_see_the_neurons_in_another_shape() -> None:
    """Nine neurons: three channels of three positions for the input, one channel of nine for the feedback."""
    ones = np.ones((3, 3, 1, 1), np.int32)
    links = (Connection("in", "n", Conv2d(ones, (3, 1, 6), stride=(1, 2))), Connection("n", "n", Conv2d(ones[:1, :1], (1, 3, 3))))
    program = Program({"in": SpikeInput((3, 1, 6)), "n": Lif((1, 3, 3), du=4095, dv=0, vth=5)}, links, {})
    split = count(program, find_board("oheo-gulch")).splits["n"]
    for connection in links:
        has_synapse = connection.synapse.matrix().toarray() != 0
        expected = np.stack([has_synapse[split.labels == core].any(0) for core in range(split.cores)], 1)
        assert (reach(connection, split).toarray() == expected).all()
