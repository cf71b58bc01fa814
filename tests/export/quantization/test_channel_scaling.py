"""Neurons in units of their own: the same spikes in float, more digits in integers."""

from dataclasses import replace

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, cuba, lif

from snnfuse.export import lower, measure_agreement, quantize, simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.resets import resetting
from snnfuse.export.quantization import calibration as calibrate
from snnfuse.export.quantization.channel_scaling import LEAST_REACH, find_units, in_units, run_in_units
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.hardware.ir.fixed_point import THRESHOLD_LIMIT

NEURONS, INPUTS = 24, 30


def uneven(kind: str = "lif", seed: int = 0) -> nir.NIRGraph:
    """Three neurons hundreds of times as large as the others in all they have, threshold included, so that nothing can saturate;
    behind a synaptic current for "cuba"; recurrent for "recurrent"."""
    rng, large = np.random.default_rng(seed), np.ones(NEURONS)
    large[[3, 11, 20]] = 210.0, 340.0, 500.0
    cell = cuba(NEURONS, 0.5, 0.9) if kind == "cuba" else lif(NEURONS, 0.9)
    cell.v_threshold = large
    weights, bias = rng.normal(0, 0.3, (NEURONS, INPUTS)) * large[:, None], rng.normal(0, 0.02, NEURONS) * large
    graph = chain(nir.Affine(weights, bias), cell, size=INPUTS)
    if kind == "recurrent":
        graph.nodes["back"] = nir.Linear(rng.normal(0, 0.1, (NEURONS, NEURONS)) * large[:, None])
        graph.edges += [("n1", "back"), ("back", "n1")]
    return graph


def with_outliers(seed: int = 0) -> nir.NIRGraph:
    """A weight a thousand times the median in three rows."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.25, (NEURONS, INPUTS))
    weights[[3, 11, 20], [5, 6, 7]] = 170.0, -170.0, 170.0
    return chain(nir.Linear(weights), lif(NEURONS, 0.9), size=INPUTS)


@pytest.mark.parametrize("reset", ["zero", "subtract", "subtract_delayed"])
@pytest.mark.parametrize("kind", ["lif", "cuba", "recurrent"])
def test_float_spikes_are_the_same_in_any_units(kind: str, reset: str) -> None:
    network, x = legalize(resetting(lower(uneven(kind)), reset)), {"input": binary(60, 6, INPUTS)}
    name = network.order[0]
    units = 2.0 ** np.random.default_rng(1).integers(0, 11, NEURONS)
    before, after = simulate(network, x), simulate(in_units(network, name, units), x)
    assert before.spikes[name].any()
    assert np.array_equal(after.spikes[name], before.spikes[name])
    expected = run_in_units(before, name, units)
    for kept in ("v", "peak_current", "peak_voltage"):
        assert np.array_equal(getattr(after, kept)[name], getattr(expected, kept)[name]), kept


def test_units_bring_the_largest_weights_within_a_factor_of_two() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 1, (8, INPUTS)) * np.array([[40.0], [1], [-3], [0.2], [0.001], [0], [17], [5]])
    network = lower(chain(nir.Linear(weights), lif(8, 0.9), size=INPUTS))
    units = find_units(network, "n1", {})
    assert units.min() == 1 and np.array_equal(np.log2(units), np.rint(np.log2(units)))
    population = network.populations["n1"]
    reach = (np.abs(network.into("n1")[0].weights.values).max(1) * population.gain).clip(LEAST_REACH * population.theta) * units
    assert reach.max() <= 2 * reach.min()


def test_no_units_where_there_is_nothing_to_gain() -> None:
    level = lower(chain(nir.Linear(np.random.default_rng(0).choice([-0.6, 0.5], (8, 4))), lif(8, 0.9), size=4))
    assert find_units(level, "n1", {}) is None
    steep = lower(uneven())
    assert find_units(steep, "n1", {}) is not None
    readout = {"n1": replace(steep.populations["n1"], theta=np.full(NEURONS, np.inf))}
    assert find_units(replace(steep, populations=readout), "n1", {}) is None
    fixed = tuple(replace(p, is_fixed=True) for p in steep.projections)
    assert find_units(replace(steep, projections=fixed), "n1", {}) is None


def test_a_channel_shares_a_unit() -> None:
    kernel = np.random.default_rng(0).normal(0, 0.4, (3, 2, 3, 3))
    kernel[1] *= 100
    convolution = nir.Conv2d((6, 6), kernel, 1, 0, 1, 1, np.zeros(3))
    cell = lif(48, 0.9)
    shaped = {key: value.reshape(3, 4, 4) for key, value in vars(cell).items() if isinstance(value, np.ndarray)}
    graph = chain(convolution, nir.LIF(**shaped), size=(2, 6, 6))
    x = binary(30, 6, 2, 6, 6)
    units = find_units(lower(graph), "n1", {})
    assert len(set(units[1].ravel())) == 1 and (units[[0, 2]] > units[1, 0, 0]).all()
    program = quantize(graph, x, max_groups=1)
    vth = program.nodes["n1"].vth
    assert np.array_equal(vth, units * vth.min())
    assert [c.synapse.values.shape for c in program.connections] == [kernel.shape]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["lif", "cuba", "recurrent"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_large_neurons_cost_the_others_nothing(kind: str, groups: int, reset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, shared = errors(uneven(kind), groups, reset, monkeypatch)
    assert own < shared / 5


@pytest.mark.parametrize("groups, reset, gain", [(1, "zero", 3), (1, "subtract", 4), (2, "subtract", 20)])
def test_an_outlier_costs_its_own_neuron_only(groups: int, reset: str, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    own, shared = errors(with_outliers(), groups, reset, monkeypatch)
    assert own < shared / gain


def errors(graph: nir.NIRGraph, groups: int, reset: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Spikes that differ with units and without, calibrated on some data and measured on other."""
    seen, unseen = binary(60, 16, INPUTS, seed=1), binary(60, 16, INPUTS, seed=2)
    network = legalize(resetting(lower(graph), reset))
    own = quantize(graph, seen, max_groups=groups, reset=reset)
    monkeypatch.setattr(calibrate, "find_units", lambda *_: None)
    shared = quantize(graph, seen, max_groups=groups, reset=reset)
    (best,), (plain,) = (measure_agreement(network, program, {"input": unseen}) for program in (own, shared))
    assert best.float_spikes > 0
    return best.mismatches, plain.mismatches


@pytest.mark.parametrize("reset", ["zero", "subtract_delayed"])
def test_thresholds_are_legal_registers_that_lava_runs(reset: str) -> None:
    graph, x = uneven("recurrent"), binary(40, 4, INPUTS)
    program = quantize(graph, x, max_groups=1, reset=reset)
    vth = program.nodes["n1"].vth
    assert vth.dtype == np.int32 and vth.min() >= 1 and vth.max() < THRESHOLD_LIMIT
    events = program.encode(x)
    expected = emulate(program, events, "all", states=True)
    assert expected.spikes["n1"].any()
    assert not compare(expected, simulate_on_lava(program, events, record="all", states=True)).mismatches


def test_the_ledger_and_the_report_say_so() -> None:
    found = quantize_measured(uneven(), binary(60, 8, INPUTS), QuantizationSettings(max_groups=1))
    assert found.layers[0].threshold_per_neuron
    assert ", a threshold per neuron, threshold scale" in found.program.ledger[-1].change
    usual = chain(nir.Linear(np.random.default_rng(5).uniform(-0.9, 0.9, (20, 10))), lif(20, 0.5), size=10)
    assert not quantize_measured(usual, binary(30, 8, 10)).layers[0].threshold_per_neuron
