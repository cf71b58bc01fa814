"""What would give a dead or deaf network is warned of, with the layer and the effect; what is fine is not."""

import json
import warnings

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, lif

from snnfuse.export import quantize
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware.errors import CalibrationWarning, RangeWarning

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 0.4, (20, 16))


def graph(weights: np.ndarray = WEIGHTS, theta: float = 1.0) -> nir.NIRGraph:
    return chain(nir.Linear(weights), lif(20, 0.9, theta), size=16)


def test_good_data_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = quantize_measured(graph(), binary(40, 8, 16))
    assert found.warnings == ()


@pytest.mark.parametrize(
    "made, x, message",
    [
        (graph(theta=5.0), binary(40, 8, 16, rate=0.02), "'n1' never spikes on the calibration data"),
        (graph(np.abs(WEIGHTS) + 2), np.ones((40, 8, 16)), "'n1': 100% of its neurons spike at every step"),
        (graph(), np.ones((40, 8, 16)), "input 'input' spikes in 100% of all steps"),
        (graph(), binary(1, 8, 16), "input 'input' has one time step"),
        (graph(), binary(40, 2, 16), "2 calibration samples of 40 steps are few"),
        (graph(), np.where(np.arange(16) == 3, 700.0, 1) * RNG.normal(0, 1, (20, 300, 16)), "levels, which rounds|keep few digits"),
        (graph(), np.where(np.arange(16) == 3, 5e3, 1) * RNG.normal(0, 1, (20, 8, 16)), "times the median of its values"),
        (graph(np.where(np.arange(320).reshape(20, 16) == 5, 900.0, WEIGHTS)), binary(40, 8, 16), "a weight from input is .* the median"),
    ],
)
def test_what_spoils_it_is_named(made, x, message: str) -> None:
    with pytest.warns(CalibrationWarning, match=message):
        quantize(made, x)


def test_a_layer_whose_spikes_are_mostly_wrong_is_named() -> None:
    rng = np.random.default_rng(1)
    deep = chain(*(n for _ in range(6) for n in (nir.Linear(rng.normal(0.05, 0.5, (20, 20))), lif(20, 0.95))), size=20)
    with pytest.warns(CalibrationWarning, match="'n11': .* of its spikes are others than the float network's"):
        quantize(deep, binary(40, 8, 20), weight_bits=1, max_groups=1)


def test_a_change_that_nobody_measured_is_warned_of() -> None:
    made = graph()
    entry = {"node": "n1", "change": "its input is kept", "reason": "the chip has no other", "effect": ""}
    made.metadata["snnfuse"] = json.dumps({"dt": 1e-4, "ledger": [entry]})
    with pytest.warns(CalibrationWarning, match="'n1': its input is kept: the effect was not measured"):
        program = quantize(made, binary(40, 8, 16))
    assert "not measured" in repr(program.ledger)


def test_inputs_far_below_their_range_are_warned_of_when_they_run() -> None:
    x = RNG.normal(0, 1, (20, 24, 16))
    program = quantize(graph(), x)
    with pytest.warns(RangeWarning, match="of the range that it was calibrated for"):
        program.encode(0.1 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program.encode(x * 0.9), program.encode(0 * x), program.encode(0.1 * x[:, :1])


def test_every_layer_has_a_row() -> None:
    found = quantize_measured(graph(), binary(40, 8, 16), QuantizationSettings(weight_bits=4, max_groups=1))
    (row,) = found.layers
    synapses = [c.synapse for c in found.program.connections]
    assert (row.node, row.bits, row.groups, row.exponents) == ("n1", (4, 4), len(synapses), tuple(s.exponent for s in synapses))
    assert row.weight_range == max(np.abs(s.values).max() for s in synapses) / 256
    assert 0 < row.agreement == 1 - row.mismatches / row.float_spikes < 1
    assert 0 < row.current_used < 1
    assert 0 < row.voltage_used <= 1
