"""Networks of published size: fast backends agree on them, in bounded memory, and nothing writes a convolution out."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.scale_programs import PROGRAMS, Builder, neurons, parameters, random_events, resnet18, s_cmrl
from snnfuse.hardware import Conv2d, Program, compare, emulate
from snnfuse.hardware.backends.lava import default_time_limit
from snnfuse.hardware.backends.reference import emulate as reference
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.chip import BOARDS, count
from snnfuse.hardware.ir.storage import load_program, save_program


def written_out(program: Program) -> list[str]:
    return [c.target for c in program.connections if isinstance(c.synapse, Conv2d) and "_matrix" in vars(c.synapse)]


def test_a_small_one_of_the_same_layers_on_every_backend() -> None:
    program = s_cmrl(channels=32, size=64)
    events = random_events(program, 4, 2)
    fast = [run(program, events, "all", states=True) for run in (emulate, run_torch)]
    assert not written_out(program)
    expected = reference(program, events, "all", states=True)
    for recording in fast:
        assert compare(expected, recording).mismatches == 0
    rates = [spikes.mean() for spikes in expected.spikes.values()]
    assert np.mean([0.002 < rate < 0.7 for rate in rates]) > 0.9  # nearly all layers have spikes to be equal in, and all have states


def test_sizes_are_the_published_ones() -> None:
    """Parameters of ResNet18 with ten classes; its classifier is stored once per position here."""
    program = resnet18()
    classifier = program.connections[-1].synapse.values.size
    skips = sum(c.synapse.values.size for c in program.connections if isinstance(c.synapse, Conv2d) and c.synapse.groups > 1)
    batch_norm, bias = 2 * 4800, 10  # folded into thresholds and weights
    assert parameters(program) - classifier - skips + 512 * 10 + batch_norm + bias == 11_173_962
    assert neurons(s_cmrl()) > 2_500_000


def test_what_is_asked_of_a_program_leaves_its_kernels_alone(tmp_path: Path) -> None:
    program = resnet18()
    assert count(program, BOARDS["hala-point"]).fits
    assert default_time_limit(program, 4) > 120
    save_program(program, tmp_path)
    assert neurons(load_program(tmp_path)) == neurons(program)
    assert not written_out(program)


def test_paths_are_matched_by_the_builder() -> None:
    net = Builder(np.random.default_rng(0))
    first = net.lif("first", {(image := net.input("image", (2, 4, 4))): net.conv(image, 4)})
    second = net.lif("second", {first: net.conv(first, 4)})
    third = net.lif("third", {second: net.conv(second, 4), first: net.identity(first)})
    assert [c.delay for c in net.links if c.target == third] == [0, 1]
    assert net.program({}).latency[third] == 3


@pytest.mark.slow
@pytest.mark.parametrize("network", PROGRAMS)
def test_within_four_gigabytes(network: str) -> None:
    rows = [scale.run_child(network, backend, samples=1) for backend in scale.BACKENDS]
    assert len({row["spikes"] for row in rows}) == 1
    assert all(row["within 4 GB"] for row in rows), rows
