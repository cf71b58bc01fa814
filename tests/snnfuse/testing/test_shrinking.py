"""Shrinking: what is left still fails, and nothing more can be left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnfuse.hardware import Connection, Constant, Dense, Lif, Output, Program, SpikeInput, emulate
from snnfuse.testing.shrinking import Part, cone, fewest_samples, fewest_steps, shrink

ONE = np.array([[2]], np.int32)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.data())
def test_exactly_the_samples_that_fail_together_are_left(batch: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, batch - 1), min_size=1, max_size=4))
    suspect = data.draw(st.one_of(st.just(()), st.tuples(st.integers(0, batch - 1))))
    found = fewest_samples(tuple(range(batch)), culprits.issubset, suspect)
    assert set(found) == culprits


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.data())
def test_no_sample_can_be_left_out_whatever_fails(batch: int, data: st.DataObject) -> None:
    """Three of a kind, or any two of another: no order among what fails."""
    kinds = data.draw(st.lists(st.sampled_from("abc"), min_size=batch, max_size=batch))

    def fails(samples: tuple[int, ...]) -> bool:
        counts = [sum(kinds[s] == kind for s in samples) for kind in "ab"]
        return counts[0] >= 3 or counts[1] >= 2

    whole = tuple(range(batch))
    if fails(whole):
        found = fewest_samples(whole, fails)
        assert fails(found) and not any(fails(tuple(s for s in found if s != left)) for left in found)


@pytest.mark.parametrize("suspect", [0, 1, 12, 13, 14, 40, 41])
@pytest.mark.parametrize("least", [1, 2, 13, 40])
def test_the_shortest_prefix(least: int, suspect: int) -> None:
    assert fewest_steps(40, lambda steps: steps >= least, suspect) == least


def test_a_right_suspect_costs_three_runs() -> None:
    asked = []

    def fails(samples: tuple[int, ...], steps: int) -> bool:
        asked.append((samples, steps))
        return 7 in samples and steps >= 5

    assert shrink(Part(tuple(range(64)), 100), fails, Part((7,), 5)) == Part((7,), 5)
    assert asked == [((7,), 100), ((7,), 5), ((7,), 4)]


def test_runs_are_limited_and_the_smallest_so_far_is_kept() -> None:
    asked = []

    def fails(samples: tuple[int, ...], steps: int) -> bool:
        asked.append(samples)
        return {0, 63} <= set(samples)

    found = shrink(Part(tuple(range(64)), 100), fails, attempts=10)
    assert len(asked) == 10 and {0, 63} <= set(found.samples) and found.steps == 100


def test_a_cone_is_what_leads_to_a_node() -> None:
    nodes = {name: Lif((1,), 4095, 0, 0) for name in ("a", "b", "side")}
    ends = [("in", "a"), ("a", "a"), ("one", "a"), ("a", "b"), ("other", "side"), ("a", "side")]
    program = Program(
        {"in": SpikeInput((1,)), "other": SpikeInput((1,)), "one": Constant(), **nodes},
        tuple(Connection(source, target, Dense(ONE), delay=int(source == "other")) for source, target in ends),
        {"side": Output("side"), "out": Output("b")},
    )
    part = cone(program, "b")
    assert set(part.nodes) == {"in", "one", "a", "b"} and set(part.outputs) == {"out"}
    assert {(c.source, c.target) for c in part.connections} == {("in", "a"), ("a", "a"), ("one", "a"), ("a", "b")}
    inside = cone(program, "a")
    assert set(inside.nodes) == {"in", "one", "a"} and inside.outputs == {"a": Output("a")}
    events = {name: np.random.default_rng(0).integers(0, 2, (9, 3, 1)).astype(np.int32) for name in ("in", "other")}
    whole, alone = emulate(program, events, "all", states=True), emulate(part, {"in": events["in"]}, "all", states=True)
    assert all((whole.spikes[name] == alone.spikes[name]).all() for name in ("a", "b"))
    assert all((whole.states[name]["v"] == alone.states[name]["v"]).all() for name in ("a", "b"))
