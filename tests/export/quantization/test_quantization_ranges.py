"""Quantization keeps every range: no weight, input, current or voltage is lost without being named."""

import json

import nir
import numpy as np
import pytest
from quantization_graphs import DT, binary, chain, cuba, lif

from snnfuse.export import lower, measure_agreement, quantize
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.overflow.observed import state_peaks


def test_a_silent_layer_keeps_its_weights_and_says_so() -> None:
    """No spike can tell its scales apart; on louder data it must still be the float network."""
    graph = chain(nir.Linear(np.random.default_rng(2).normal(0, 0.02, (10, 20))), lif(10, 0.99), size=20)
    quiet, loud = binary(100, 10, 20, rate=0.05), binary(100, 10, 20, rate=0.9)
    program = quantize(graph, quiet)
    (entry,) = program.ledger
    assert "no neuron of it fires on these 10 samples, so no spike can tell; 0 are added" in entry.effect
    assert np.abs(program.connections[0].synapse.values).max() > 120
    (layer,) = measure_agreement(lower(graph), program, {"input": loud})
    assert layer.float_spikes > 50
    assert layer.mismatches <= 0.1 * layer.float_spikes


def test_weights_are_never_all_rounded_away() -> None:
    weights = np.random.default_rng(3).uniform(0.2, 1.0, (5, 200))
    ones = np.ones(5)
    graph = chain(nir.Linear(weights), nir.LI(tau=ones * 1e-3, r=ones * 10, v_leak=0 * ones), size=200)
    x = np.random.default_rng(4).normal(0, 1, (10, 6, 200))
    assert quantize(graph, x).connections[0].synapse.values.any()
    with pytest.raises(UnsupportedError, match="or send the analog inputs with fewer bits"):
        quantize(graph, x, input_bits=24)


def test_a_projection_that_vanishes_is_entered() -> None:
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "other": nir.Input({"input": np.array([4])}),
        "big": nir.Linear(np.random.default_rng(5).normal(0, 0.5, (3, 4))),
        "tiny": nir.Linear(np.full((3, 4), 1e-9)),
        "lif": lif(3, 0.9),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "big"), ("big", "lif"), ("other", "tiny"), ("tiny", "lif"), ("lif", "output")]
    graph = nir.NIRGraph(nodes, edges, metadata={"snnfuse": json.dumps({"dt": DT})}, type_check=False)
    program = quantize(graph, {"input": binary(30, 4, 4), "other": binary(30, 4, 4, seed=1)})
    assert "all weights from other are rounded to 0" in [entry.change for entry in program.ledger]


def test_the_loudest_of_many_samples_sets_the_range() -> None:
    x = binary(100, 300, 40, rate=0.05)
    x[:, 151] = 1.0
    graph = chain(nir.Linear(np.random.default_rng(7).uniform(0.2, 0.6, (4, 40))), cuba(4, 0.95, 0.9), size=40)
    program = quantize(graph, x)
    assert state_peaks(program, program.encode(x))["n1"].wraps == 0


def test_saturating_voltages_are_avoided_or_entered() -> None:
    """An integrator that is inhibited far below rest fires too early if its voltage cannot go as far."""
    ones = np.ones(1)
    neuron = nir.IF(r=ones / DT, v_threshold=ones, v_reset=0 * ones)
    graph = chain(nir.Linear(np.array([[-30.0, 25.0]])), neuron, size=2)
    x = np.zeros((900, 2, 2))
    x[:400, :, 0], x[400:, :, 1] = 1, 1
    program = quantize(graph, x)
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    assert layer.float_spikes > 0
    saturates = any("its voltage saturates" in entry.change for entry in program.ledger)
    assert saturates or layer.mismatches <= 0.05 * layer.float_spikes


def test_one_outlier_does_not_cost_the_other_values_their_digits() -> None:
    rng = np.random.default_rng(8)
    graph = chain(nir.Linear(rng.normal(0, 0.5, (20, 16))), lif(20, 0.9), size=16)
    x = rng.normal(0, 1, (40, 12, 16))
    x[3, 4, 5] = 1e4
    program = quantize(graph, x)
    assert program.inputs["input"].scale < 0.01
    assert "0 of 7680 values saturate" not in program.ledger[0].effect
    assert "values saturate" in program.ledger[0].effect
    quiet = np.delete(x, 4, 1)
    (layer,) = measure_agreement(lower(graph), program, {"input": quiet})
    assert layer.mismatches < 0.05 * layer.float_spikes


def test_no_current_wraps_on_calibration_data() -> None:
    graph = chain(nir.Linear(np.random.default_rng(13).uniform(0.5, 1.0, (4, 200))), cuba(4, 0.99, 0.99), size=200)
    x = binary(100, 4, 200, rate=0.8)
    program = quantize(graph, x)
    peak = state_peaks(program, program.encode(x))["n1"]
    assert peak.wraps == 0
    assert peak.current < 2**23 / 1.3


def test_a_network_beyond_all_ranges_is_refused_by_name() -> None:
    weights = np.full((1, 40), 1e6)
    with pytest.raises(UnsupportedError, match="'n1': no threshold scale keeps its weights, threshold and current"):
        quantize(chain(nir.Linear(weights), lif(1, 0.9, np.array([1e-3])), size=40), np.ones((5, 1, 40)))
