"""Counts of operations, updates and messages, held to matrices that are written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_programs import IMAGES, Case, cases, synapse

from snnfuse.hardware import (
    BiasedLif,
    BiasInput,
    Connection,
    Constant,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Program,
    ResonateAndFire,
    SigmaDelta,
    SpikeInput,
    emulate,
)
from snnfuse.hardware.chip import count, find_board
from snnfuse.hardware.energy import Activity, estimate_energy, measure
from snnfuse.hardware.energy.activity import origins
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.synapses import Sparse, Synapse

BOARD = find_board("hala-point")


def pattern(group: Synapse, effective: bool) -> NDArray[np.int64]:
    """Which source has a synapse onto which target, (out, in): every stored one, or those whose weight is not 0."""
    if isinstance(group, Dense):
        return (group.weights != 0).astype(np.int64) if effective else np.ones(group.size, np.int64)
    matrix = group.matrix().tocoo()
    entries = np.zeros(group.size, np.int64)
    kept = matrix.data != 0 if effective else np.ones(matrix.nnz, bool)
    np.add.at(entries, (matrix.row[kept], matrix.col[kept]), 1)
    return entries


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([(7,), *IMAGES]))
def test_operations_equal_those_of_the_matrix(data: st.DataObject, shape: tuple[int, ...]) -> None:
    group = data.draw(synapse(shape, None))
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 3, (2, group.size[1]))
    for effective in (False, True):
        np.testing.assert_array_equal(group.fan_out(effective), pattern(group, effective).sum(0))
    arrived = group.arrivals(spikes)
    np.testing.assert_array_equal(arrived, spikes @ pattern(group, False).T)
    assert arrived.sum() == (spikes @ group.fan_out()).sum()


def counted(case: Case) -> Activity:
    recording = emulate(case.program, case.events, "all")
    return measure(case.program, [recording], count(case.program, BOARD))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(cases())
def test_counts_of_random_programs(case: Case) -> None:
    program, events = case
    recording = emulate(program, events, "all")
    found = measure(program, [recording], count(program, BOARD))
    time, batch = next(iter(events.values())).shape[:2]
    sent = {**events, **recording.spikes}
    sent |= {n: np.ones((time, batch, *node.shape)) for n, node in program.nodes.items() if isinstance(node, Constant)}
    for link, connection in zip(found.links, program.connections):
        fired = np.count_nonzero(sent[connection.source], (0, 1)).ravel()
        for effective, value in ((False, link.operations), (True, link.effective)):
            assert value == (pattern(connection.synapse, effective) @ fired).sum() / batch
    for layer in found.populations:
        size = int(np.prod(program.nodes[layer.name].shape))
        assert layer.updates == time * size and layer.neurons == size
        assert layer.spikes == np.count_nonzero(sent[layer.name]) / batch
        into = program.into(layer.name)
        reached = sum((np.abs(sent[c.source].reshape(time * batch, -1) != 0) @ pattern(c.synapse, False).T for c in into), 0)
        assert layer.reached == np.count_nonzero(reached) / batch
    assert_busiest(found, program, {name: np.asarray(x).reshape(time, batch, -1) != 0 for name, x in sent.items()})


def assert_busiest(found: Activity, program: Program, sent: dict[str, NDArray[np.bool_]]) -> None:
    """Operations of each core in each step by matrices written out; the words of each axon as the module of packing has them."""
    resources = count(program, BOARD)
    operations, reads = np.zeros((2, *found.busiest.operations.shape))
    for name, split in resources.splits.items():
        for core in range(split.cores):
            here = split.labels == core
            added = sum((sent[c.source] @ pattern(c.synapse, False)[here].T.astype(float) for c in program.into(name)), np.zeros(1))
            operations = np.maximum(operations, np.broadcast_to(np.sum(added, -1), operations.T.shape).T)
            listed = [c for c in program.into(name) if c.synapse.convolution is None]
            if len(listed) == len(program.into(name)):
                words = sum((sent[c.source] @ axon_words(c.synapse, here, split.neurons) for c in listed), np.zeros(1))
                reads = np.maximum(reads, np.broadcast_to(words, reads.T.shape).T)
    np.testing.assert_allclose(found.busiest.operations, operations)
    assert (found.busiest.reads >= reads - 1e-9).all()
    if all(c.synapse.convolution is None for c in program.connections):
        np.testing.assert_allclose(found.busiest.reads, reads)


def axon_words(group: Synapse, here: NDArray[np.bool_], neurons: int) -> NDArray[np.float64]:
    """Words that a spike of each source reads on the core of these targets: ceil((n (b + i) + 32) / 64), none where no weight is listed."""
    n = pattern(group, True)[here].sum(0)
    each = group.bits + max(8, (neurons - 1).bit_length())
    return np.where(n > 0, -(-(n * each + 32) // 64), 0).astype(float)


@settings(max_examples=20, deadline=None)
@given(cases(batch=3))
def test_blocks_of_samples_are_as_good_as_all_at_once(case: Case) -> None:
    program, events = case
    resources = count(program, BOARD)
    whole = counted(case)
    parts = [emulate(program, {n: x[:, i : i + 1] for n, x in events.items()}, "all") for i in range(3)]
    pieces = measure(program, parts, resources)
    assert (whole.links, whole.populations) == (pieces.links, pieces.populations)
    np.testing.assert_array_equal(whole.busiest.operations, pieces.busiest.operations)
    np.testing.assert_array_equal(whole.busiest.reads, pieces.busiest.reads)
    assert whole.busiest.link == pieces.busiest.link


def test_a_message_goes_to_every_core_that_holds_a_target() -> None:
    """4,095 neurons fit a core: 9,000 targets take several, and each spike is a message to each."""
    wide = Program(
        {"x": SpikeInput((2,)), "n": Lif((9000,), 4095, 0, 99)},
        (Connection("x", "n", Dense(np.ones((9000, 2), np.int32))),),
        {"output": Output("n")},
    )
    events = {"x": np.array([[[1, 0]], [[1, 1]]], np.int32)}
    found = counted(Case(wide, events))
    (layer,), (link,) = found.populations, found.links
    assert layer.cores > 1 and link.events == 3 and link.messages == 3 * layer.cores and link.operations == 3 * 9000


def test_the_busiest_core_sets_the_time() -> None:
    """Two equal parts: what each core has, step by step."""
    program = Program(
        {"x": SpikeInput((2,)), "n": Lif((6000,), 4095, 0, 99)},
        (Connection("x", "n", Dense(np.ones((6000, 2), np.int32))),),
        {"output": Output("n")},
    )
    found = counted(Case(program, {"x": np.array([[[1, 0]], [[1, 1]], [[0, 0]]], np.int32)}))
    busiest = found.busiest
    assert busiest.stock == 3000 and busiest.microcode == 0 and busiest.core == "n"
    assert busiest.operations.tolist() == [[3000, 6000, 0]] and busiest.reads.tolist() == [[937 + 1, 2 * 938, 0]]


def test_microcode_counts_words_of_state() -> None:
    neuron = ResonateAndFire((5,), 0, 4096, 1000)
    program = Program({"x": SpikeInput((1,)), "n": neuron}, (Connection("x", "n", Dense(np.ones((5, 1), np.int32))),), {"y": Output("n")})
    found = counted(Case(program, {"x": np.ones((2, 1, 1), np.int32)}))
    assert (found.busiest.stock, found.busiest.microcode, found.populations[0].words) == (0, 15, 3)


def test_what_descends_from_one_input_counts_for_it() -> None:
    one = Dense(np.full((1, 1), 64, np.int32))
    nodes = {"a": SpikeInput((1,)), "b": SpikeInput((1,)), "one": Constant()}
    nodes |= {name: Lif((1,), 4095, 0, 0) for name in ("left", "right", "both", "free")}
    edges = [("a", "left"), ("b", "right"), ("left", "both"), ("right", "both"), ("both", "both"), ("one", "free"), ("one", "left")]
    program = Program(nodes, tuple(Connection(s, t, one) for s, t in edges), {"output": Output("both")})
    assert origins(program) == {"a": "a", "b": "b", "one": "no input", "left": "a", "right": "b", "both": "fused", "free": "no input"}
    events = {"a": np.ones((3, 1, 1), np.int32), "b": np.zeros((3, 1, 1), np.int32)}
    found = estimate_energy(program, events)
    assert found.activity.origins == ("a", "b", "fused", "no input")
    by_origin = {(link.source, link.target): link.origin for link in found.activity.links}
    assert by_origin["left", "both"] == "a" and by_origin["both", "both"] == "fused" and by_origin["one", "left"] == "no input"
    for model in (found.models[0], found.models[3]):
        for part in (model.layers, model.inputs):
            for i in range(2):
                assert sum(share[i] for share in part.values()) == pytest.approx(model.dynamic_uj[i], rel=1e-12)
    quiet = estimate_energy(program, {"a": events["b"], "b": events["b"]})
    assert quiet.models[0].inputs["a"].low < found.models[0].inputs["a"].low
    assert quiet.models[0].inputs["b"] == found.models[0].inputs["b"]


def test_what_cannot_be_counted() -> None:
    program = Program({"x": SpikeInput((1,)), "n": Lif((1,), 0, 0, 1)}, (Connection("x", "n", Dense(np.ones((1, 1), np.int32))),), {})
    resources, events = count(program, BOARD), {"x": np.ones((2, 1, 1), np.int32)}
    with pytest.raises(InputError, match="at least one sample"):
        measure(program, [], resources)
    with pytest.raises(InputError, match="'n' was not recorded"):
        measure(program, [emulate(program, events)], resources)
    runs = [emulate(program, {"x": np.ones((steps, 1, 1), np.int32)}, "all") for steps in (2, 3)]
    with pytest.raises(InputError, match="of 2 and of 3 steps"):
        measure(program, runs, resources)
    with pytest.raises(InputError, match="unknown board"):
        estimate_energy(program, events, "no-such-board")


def test_listed_zeros_are_stored_but_not_effective() -> None:
    from scipy import sparse

    matrix = sparse.csr_matrix((np.array([0, 4], np.int32), np.array([0, 0]), np.array([0, 1, 2])), (2, 1))
    group = Sparse(matrix)
    assert group.fan_out().tolist() == [2] and group.fan_out(effective=True).tolist() == [1]


def test_what_a_host_writes_into_registers_is_no_spike() -> None:
    nodes = {"x": BiasInput((3,), 0.1), "n": BiasedLif((3,), 4095, 0, 0)}
    link = Connection("x", "n", Diagonal(np.ones(3, np.int32)), port=1)
    program = Program(nodes, (link,), {"y": Output("n")})
    found = counted(Case(program, {"x": np.ones((4, 2, 3), np.int32)}))
    assert found.operations == 0 and found.busiest.operations.max() == 0 and found.values == 3 and found.populations[0].spikes > 0


def test_a_sigma_delta_neuron_takes_two_words() -> None:
    node = SigmaDelta((5,), vth=3)
    program = Program({"x": GradedInput((1,), 8, 1.0), "n": node}, (Connection("x", "n", Dense(np.ones((5, 1), np.int32))),), {})
    found = counted(Case(program, {"x": np.ones((2, 1, 1), np.int32)}))
    assert (found.busiest.stock, found.populations[0].words) == (10, 2)
