"""The torch backend against the readable reference: every spike, number and state, and blocks of any size."""

import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import Case, cases
from scipy import sparse
from torch_programs import DEVICES, assert_same, network, one_layer, spikes_for

from snnfuse.hardware import Connection, Constant, Dense, Lif, Output, Program, Sparse, SpikeInput
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.errors import EnvironmentProblem, InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import NEVER
from snnfuse.hardware.ir.lif import Reset


@pytest.mark.parametrize("device", DEVICES)
def test_every_kind_of_node_and_synapse(device: str) -> None:
    program = network()
    assert_same(program, spikes_for(program, 20, 5), device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("memory", [1, 45_000, 60_000, 200_000, 1_000_000])
def test_blocks_of_any_size_give_the_same(memory: int, device: str) -> None:
    program, calls = network(2), []
    assert_same(program, spikes_for(program, 13, 7), memory=memory, progress=lambda *call: calls.append(call), device=device)
    assert calls[-1] == (13, 13) and calls == sorted(calls)
    assert len(calls) == 5 or memory < 1_000_000  # one per population and block


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(), memory=st.sampled_from([None, 1, 5000]))
def test_random_programs(case: Case, memory: int | None) -> None:
    assert_same(case.program, case.events, memory=memory)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(), memory=st.sampled_from([None, 1, 5000]))
def test_many_random_programs(case: Case, memory: int | None) -> None:
    assert_same(case.program, case.events, memory=memory)


def test_memory_is_kept() -> None:
    """What PyTorch's allocator hands out at a time, weights included, against the setting; without blocks it takes far more."""
    program, events = network(2), spikes_for(network(2), 10, 60)
    peaks = {memory: peak_bytes(lambda memory=memory: run_torch(program, events, memory=memory)) for memory in (300_000, 2**30)}
    weight_bytes = 8 * sum(c.synapse.values.size for c in program.connections)
    assert peaks[300_000] < 300_000 + weight_bytes
    assert peaks[2**30] > 1_000_000


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that is allocated at a time while a function runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reset", get_args(Reset))
@pytest.mark.parametrize("du, dv", [(-1, 0), (0, 4095), (4095, 1), (7, 4000)])
def test_states_at_the_ends_of_their_registers(reset: str, du: int, dv: int, device: str) -> None:
    """Inputs up to the largest payload: u wraps at 24 and at 32 bits, v saturates, sums are shifted beyond 32 bits."""
    rng = np.random.default_rng(du + dv + 1)
    matrix = np.array([[-256, 254, 2], [254, 254, 254], [-256, -256, -256], [2, 0, -2]], np.int32)
    largest = 2**23 - 1
    events = {"in": rng.choice([-largest, largest, 1, 0, -4097, 40_000], (60, 4, 3))}
    vth = np.array([0, 5, NEVER, NEVER - 1], np.int32)
    bias, shift = np.array([-4096, 4095, 1, 0], np.int32), np.array([7, 7, 0, 3], np.int32)
    for exponent in (-8, 0, 7):
        assert_same(one_layer(Lif((4,), du, dv, vth, bias, shift, reset), matrix, 24, exponent), events, device=device)


def test_empty_and_single_synapses() -> None:
    """A matrix without entries, a population that only a constant reaches, and one that nothing does."""
    nodes = {"in": SpikeInput((3,)), "one": Constant((2,)), **{name: Lif((2,), 0, 0, 5, bias_mant=9) for name in ("n", "m", "k")}}
    connections = (
        Connection("in", "n", Sparse(sparse.csr_matrix((2, 3), dtype=np.int32))),
        Connection("one", "m", Dense(np.array([[6, -8], [254, 0]], np.int32))),
    )
    program = Program(nodes, connections, {"y": Output("n")})
    assert_same(program, spikes_for(program, 6, 2))


def test_records_what_was_asked_for() -> None:
    program, events = network(), spikes_for(network(), 4, 2)
    for record, states in (("outputs", False), ("relay", True), (["a", "product"], False), ("all", False)):
        expected, found = emulate(program, events, record, states), run_torch(program, events, record, states)
        assert found.spikes.keys() == expected.spikes.keys() and found.states.keys() == expected.states.keys()
        assert found.latency == expected.latency and found.outputs == expected.outputs


def test_errors_are_named() -> None:
    program, events = network(), spikes_for(network(), 4, 2)
    with pytest.raises(InputError, match="memory must be a positive integer"):
        run_torch(program, events, memory=0)
    with pytest.raises(InputError, match="no device 'nowhere'"):
        run_torch(program, events, device="nowhere")
    with pytest.raises(UnsupportedError, match="cpu and cuda only"):
        run_torch(program, events, device="mps")
    with pytest.raises(EnvironmentProblem, match="finds . GPUs"):
        run_torch(program, events, device="cuda:99")
    with pytest.raises(InputError, match="outside 0..1"):
        run_torch(program, {"in": 2 * events["in"]})


def test_torch_is_imported_when_it_is_needed() -> None:
    code = "import sys; import snnfuse.hardware, snnfuse.hardware.backends.torch_backend; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
