"""Test sets over a ray cluster: a real one, of two processes on this machine, against one process."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from torch_programs import network, spikes_for, types

from snnfuse.hardware import compare
from snnfuse.hardware.backends.ray_cluster import connected, emulate_on_cluster, join, split
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import EnvironmentProblem, InputError
from snnfuse.hardware.ir.encoding import check_events

ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers, for all tests here: starting them takes seconds."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.mark.parametrize("batch, parts", [(7, 3), (1, 5), (6, 6), (100, 7)])
def test_samples_are_split_into_parts_of_about_the_same_size(batch: int, parts: int) -> None:
    slices = split(batch, parts)
    sizes = [part.stop - part.start for part in slices]
    assert np.concatenate([np.arange(batch)[part] for part in slices]).tolist() == list(range(batch))
    assert len(slices) == min(parts, batch) and max(sizes) - min(sizes) <= 1


def test_parts_joined_are_the_whole() -> None:
    program, events = network(), check_events(network(), spikes_for(network(), 5, 7))
    whole = emulate(program, events, "all", states=True)
    parts = [emulate(program, {"in": events["in"][:, part]}, "all", states=True) for part in split(7, 3)]
    joined = join(parts, events)
    assert compare(whole, joined).mismatches == 0 and types(joined.spikes) == types(whole.spikes)
    np.testing.assert_array_equal(joined.events["in"], whole.events["in"])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "auto"])
def test_no_cluster_at_an_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(EnvironmentProblem, match=f"no ray cluster at '{address}'"):
        with connected(address):
            pytest.fail("connected")


@pytest.mark.slow
def test_the_cluster_gives_the_same(cluster: None) -> None:
    program, events, calls = network(), spikes_for(network(), 6, 7), []
    expected = emulate(program, events, "all", states=True)
    for parts in (None, 3):
        found = emulate_on_cluster(program, events, "all", states=True, parts=parts, progress=lambda *call: calls.append(call))
        assert compare(expected, found).mismatches == 0
        assert types(found.spikes) == types(expected.spikes) and found.states.keys() == expected.states.keys()
        assert found.latency == expected.latency and found.outputs == expected.outputs
        assert found.backend == f"emulator on {parts or 2} cluster tasks"
    assert calls[1] == (6, 6) and calls[-1] == (6, 6) and len(calls) == 5
    assert ray.is_initialized()  # a connection that was there before stays


@pytest.mark.slow
def test_a_task_that_fails_is_one_error(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*arguments: object) -> None:
        raise RuntimeError("out of order\nwith details")

    monkeypatch.setattr("snnfuse.hardware.backends.ray_cluster._emulate_part", breaks)
    with pytest.raises(EnvironmentProblem, match="a task on the cluster failed: .*out of order"):
        emulate_on_cluster(network(), spikes_for(network(), 2, 2))

    def refuses(*arguments: object) -> None:
        raise InputError("no such thing")

    monkeypatch.setattr("snnfuse.hardware.backends.ray_cluster._emulate_part", refuses)
    with pytest.raises(InputError, match="^no such thing$"):
        emulate_on_cluster(network(), spikes_for(network(), 2, 2))


def test_bad_input_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnfuse.hardware.backends.ray_cluster.connected", lambda address: pytest.fail("a cluster was started"))
    program, events = network(), spikes_for(network(), 2, 2)
    with pytest.raises(InputError, match="outside 0..1"):
        emulate_on_cluster(program, {"in": 2 * events["in"]})
    with pytest.raises(InputError, match="cannot record 'nothing'"):
        emulate_on_cluster(program, events, "nothing")
    with pytest.raises(InputError, match="parts must be positive"):
        emulate_on_cluster(program, events, parts=0)


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'snnfuse\[cluster\]'"):
        emulate_on_cluster(network(), spikes_for(network(), 2, 2))
