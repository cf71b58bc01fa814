"""A real pretrained recurrent graph and real recordings: snnTorch's own spikes, and what is left after eight bits."""

import nir
import numpy as np
import pytest

from benchmarks import braille
from snnfuse.export import lower, measure_agreement, quantize, simulate
from snnfuse.hardware import emulate


def test_the_float_network_gives_snntorchs_hidden_spikes(shared_data) -> None:
    graph = nir.read(shared_data / braille.GRAPH)
    sample = np.load(shared_data / "nir_paper/braille_test_sample0.npy").astype(float)
    expected = np.load(shared_data / "nir_paper/snntorch_activity_noDelay_bias_zero.npy")
    run = simulate(lower(graph), {"input": sample[:, None]})
    np.testing.assert_array_equal(run.spikes["lif1.lif"][:, 0], expected.reshape(256, 38).astype(bool))
    assert expected.sum() > 0


@pytest.fixture(scope="module")
def recordings(shared_data):
    return braille.load(shared_data)


def test_eight_bits_keep_the_accuracy(recordings) -> None:
    graph, spikes, labels = recordings
    calibration, test = braille.split(labels)
    assert (len(calibration), len(test)) == (70, 350)
    assert not set(calibration) & set(test)
    program = quantize(graph, spikes[:, calibration])
    x, y = spikes[:, test], labels[test]
    floats = braille.percent_right(simulate(lower(graph), {"input": x}).spikes["lif2"].sum(0).argmax(1), y)
    deployed = braille.percent_right(program.decode(emulate(program, program.encode(x))), y)
    assert floats > 95
    assert deployed >= floats - 100 / len(y)  # at most one recording
    hidden = measure_agreement(lower(graph), program, {"input": x})[0]
    assert hidden.mismatches <= 0.06 * hidden.float_spikes
