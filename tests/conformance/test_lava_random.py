"""The reference is Lava: every spike, current and voltage, on every step, of programs that visit every corner."""

import numpy as np
import pytest

from snnfuse.hardware import compare, emulate
from snnfuse.hardware.lava import simulate_on_lava

pytestmark = pytest.mark.usefixtures("lava")


def check(program, events) -> None:
    expected = emulate(program, events, record="all", states=True)
    found = simulate_on_lava(program, events, record="all", states=True)
    assert found.backend == "lava"
    assert set(found.spikes) == {*program.neurons, *program.outputs}
    assert set(found.states) == set(program.neurons)
    result = compare(expected, found)
    neurons = sum(int(np.prod(lif.shape)) for lif in program.neurons.values())
    time, batch = next(iter(events.values())).shape[:2]
    assert result.by_variable["u"] == result.by_variable["v"] == (neurons * time * batch, 0), result.first
    assert result.mismatches == 0, result.first
    for name in program.neurons:
        for variable in "uv":
            assert found.states[name][variable].dtype == np.int32


@pytest.mark.parametrize("seed", range(4))
def test_random_programs(seed: int, random_program) -> None:
    check(*random_program(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_random_programs(seed: int, random_program) -> None:
    check(*random_program(seed))


def test_the_programs_are_no_idle_ones(random_program) -> None:
    """Otherwise the tests above would compare zeros: they fire, wrap the current and clip the voltage."""
    fired, wrapped, clipped = [], 0, 0
    for seed in range(4):
        recording = emulate(*random_program(seed), record="all", states=True)
        fired += [spikes.mean() for spikes in recording.spikes.values()]
        for states in recording.states.values():
            wrapped += int((np.abs(states["u"]) > 2**22).sum())
            clipped += int((np.abs(states["v"]) == 2**23 - 1).sum())
    assert np.mean([0.02 < rate < 0.98 for rate in fired]) > 0.7
    assert wrapped > 1000 and clipped > 1000
