"""Weights on analog payloads, rounded in turn: errors that cancel, on the same grids."""

from dataclasses import replace

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, lif

from snnfuse.export import lower, measure_agreement, quantize
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, SparseWeights
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.error_feedback import in_turn, met_by, with_feedback
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.rounding import Form, Grid, hold, nearest
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import emulate
from snnfuse.hardware.backends.torch_backend import run_torch

WHOLE = ((Grid("mixed", 8, -1),),)  # every whole number from -127 to 127
NEURONS, FEATURES = 24, 40


def bands(time: int = 30, batch: int = 16, seed: int = 0) -> np.ndarray:
    """Features of which neighbours go up and down together, as those of sound do; (time, batch, FEATURES) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, 1, (time, batch, FEATURES // 5)) @ np.random.default_rng(99).normal(0, 1, (FEATURES // 5, FEATURES))
    return np.clip(mixed / 5 + rng.normal(0, 0.05, mixed.shape), -1, 1)


def hearing(seed: int = 0) -> nir.NIRGraph:
    rng = np.random.default_rng(seed)
    return chain(nir.Affine(rng.normal(0, 0.3, (NEURONS, FEATURES)), rng.normal(0, 0.1, NEURONS)), lif(NEURONS, 0.95), size=FEATURES)


def test_an_error_is_made_good_by_an_input_that_moves_together_with_it() -> None:
    wanted, same = np.array([[10.4, 10.4], [-3.3, 7.4]]), np.full((2, 2), 100.0)
    assert np.array_equal(in_turn(wanted, same, WHOLE), [[10, 11], [-3, 7]])  # sums 21 for 20.8; 4 for 4.1
    opposed = np.array([[100.0, -100.0], [-100.0, 100.0]])
    assert np.array_equal(in_turn(wanted, opposed, WHOLE), [[10, 10], [-3, 8]])  # differences 0; -11 for -10.7


def test_independent_inputs_are_rounded_to_the_nearest() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.uniform(-100, 100, (7, 9))
    assert np.array_equal(in_turn(wanted, np.diag(rng.uniform(1, 5, 9)), WHOLE), np.rint(wanted))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("split", [False, True])
def test_what_is_chosen_lies_on_the_groups_grids_and_costs_sums_less(depth: int, split: bool) -> None:
    x, rng = bands().reshape(-1, FEATURES), np.random.default_rng(2)
    weights = DenseWeights(rng.normal(0, 30, (NEURONS, FEATURES)))
    modes = ("excitatory", "inhibitory") if split else ("mixed",)
    rounds = tuple(tuple(Grid(mode, 8, e) for mode in modes) for e in (0, -4)[:depth])
    held = in_turn(weights.values, x.T @ x, rounds)
    stored = hold(DenseWeights(held), 1.0, rounds)
    assert not stored.rest.any()
    assert len(stored.synapses) == depth * len(modes)
    plain = nearest(weights.values, rounds)
    assert np.array_equal(plain, weights.values - hold(weights, 1.0, rounds).rest)
    errors = [np.sqrt((((h - weights.values) @ x.T) ** 2).mean()) for h in (held, plain)]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize("geometry", [{}, {"stride": (2, 1), "padding": (1, 2)}, {"dilation": (2, 1), "padding": (2, 0)}])
def test_what_a_kernel_meets_are_its_own_products(geometry: dict) -> None:
    rng = np.random.default_rng(3)
    weights = ConvWeights(rng.integers(-9, 10, (4, 3, 3, 2)).astype(float), (3, 7, 6), **geometry)
    payloads = rng.integers(-50, 51, (2, 5, 3, 7, 6))
    met = met_by(weights, payloads)
    sums = (met @ weights.kernel.reshape(4, -1).T).reshape(10, -1, 4).transpose(0, 2, 1).reshape(10, -1)
    assert np.array_equal(sums, payloads.reshape(10, -1) @ weights.matrix.toarray().T)


def test_what_cannot_be_rounded_in_turn_is_left_to_the_nearest() -> None:
    payloads = np.ones((2, 3, 4, 5, 5))
    assert met_by(ConvWeights(np.ones((4, 2, 3, 3)), (4, 5, 5), groups=2), payloads) is None
    assert met_by(DenseWeights(np.ones((2, 4096))), np.ones((2, 3, 4096))) is None
    assert met_by(SparseWeights(lower_sparse()), np.ones((2, 3, 4))) is None


def lower_sparse():  # noqa: ANN201 (scipy's own type)
    from scipy import sparse

    return sparse.csr_matrix(np.eye(4))


@pytest.mark.parametrize(("bits", "groups"), [(8, 1), (4, 2)])
def test_fewer_spikes_are_lost_for_no_more_memory_on_other_data_too(bits: int, groups: int) -> None:
    network, arrays, inputs = prepare(hearing(), {"input": bands()}, QuantizationSettings())
    (name,) = network.order
    settings = QuantizationSettings(weight_bits=bits, max_groups=groups)
    fits = [fit_all(calibrate(network, arrays, inputs), settings, feedback=feedback)[name] for feedback in (False, True)]
    assert fits[1].mismatch < fits[0].mismatch * (0.5 if groups == 1 else 0.7)  # of a second group's digits less is lost
    assert (fits[1].forms, fits[1].rounds, fits[1].scale) == (fits[0].forms, fits[0].rounds, fits[0].scale)
    programs = [assemble(network, {name: fit}, inputs) for fit in fits]
    plain, fed = (measure_agreement(lower(hearing()), p, {"input": bands(seed=7)})[0].mismatches for p in programs)
    assert fed < plain * 0.7


def test_it_has_no_say_in_the_number_of_groups() -> None:
    network, arrays, inputs = prepare(hearing(), {"input": bands()}, QuantizationSettings())
    fits = [fit_all(calibrate(network, arrays, inputs), QuantizationSettings(), feedback=way)[network.order[0]] for way in (False, True)]
    assert [fit.forms[0].depth for fit in fits] == [2, 2]


def test_the_ledger_counts_all_that_a_weight_was_changed_by() -> None:
    """No weight that was rounded in turn is nearer to its float value than the nearest integer is."""
    network, arrays, inputs = prepare(hearing(), {"input": bands()}, QuantizationSettings())
    (name,) = network.order
    fit = fit_all(calibrate(network, arrays, inputs), QuantizationSettings(max_groups=1), feedback=False)[name]
    events = calibrate(network, arrays, inputs).events
    fed = with_feedback(network, name, fit, events, inputs)
    assert fed.rounding > fit.rounding and not fed.faithful
    assert (fed.scale, fed.rounds, fed.forms, fed.saturated) == (fit.scale, fit.rounds, fit.forms, fit.saturated)
    assert with_feedback(network, name, replace(fit, faithful=True), events, inputs) is None


def test_weights_on_spikes_are_rounded_to_the_nearest() -> None:
    graph = chain(nir.Linear(np.random.default_rng(4).normal(0, 0.3, (NEURONS, FEATURES))), lif(NEURONS, 0.9), size=FEATURES)
    network, arrays, inputs = prepare(graph, {"input": binary(40, 8, FEATURES)}, QuantizationSettings())
    (name,) = network.order
    fit = fit_all(calibrate(network, arrays, inputs), QuantizationSettings(max_groups=1))[name]
    events = calibrate(network, arrays, inputs).events
    assert with_feedback(network, name, fit, events, inputs) is None
    assert fit.forms[0] == Form((8, 8))


def test_programs_of_such_weights_run_alike_and_keep_spikes_on_other_data() -> None:
    program = quantize(hearing(), bands())
    fresh = bands(seed=7)
    (layer,) = measure_agreement(lower(hearing()), program, {"input": fresh})
    assert layer.mismatches < 0.01 * layer.float_spikes
    events = program.encode({"input": fresh})
    (node,) = program.neurons
    assert np.array_equal(emulate(program, events, "all").spikes[node], run_torch(program, events, "all").spikes[node])
