"""How many results a bundle holds: enough to trust, and no more than Lava reruns within minutes."""

import numpy as np
import pytest

from snnfuse.compile.main_job import GOLDEN_SAMPLES, GOLDEN_UPDATES, golden_samples
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Output, SpikeInput

STEPS = 4


def program(neurons: int) -> Program:
    return Program({"x": SpikeInput((1,)), "y": Lif((neurons,), du=4095, dv=4095, vth=1)}, (), {"y": Output("y")})


@pytest.mark.parametrize("neurons, kept", [([10], 32), ([31_250], 32), ([100_000], 10), ([50_000, 50_000], 10), ([3_000_000], 1)])
def test_large_programs_have_fewer_golden_samples(neurons: list[int], kept: int) -> None:
    samples = Samples({"x": np.zeros((STEPS, 40, 1), bool)}, np.arange(40), "made")
    chosen = golden_samples(samples, *map(program, neurons))
    assert len(chosen) == kept and list(chosen.labels) == list(range(kept))
    assert kept in (1, GOLDEN_SAMPLES) or kept * sum(neurons) * STEPS <= GOLDEN_UPDATES < (kept + 1) * sum(neurons) * STEPS
