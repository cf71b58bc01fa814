"""Float graph to integers: what is exact is exact, and what is not is measured."""

import json
import warnings
from dataclasses import replace

import nir
import numpy as np
import pytest
from quantization_graphs import DT, binary, chain, cuba, lif

from snnfuse.export import lower, measure_agreement, quantize, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization import calibration as calibrate
from snnfuse.export.quantization.rounding import Grid, choose_grid, round_bias
from snnfuse.hardware import Conv2d, GradedInput, SpikeInput, emulate
from snnfuse.hardware.errors import CalibrationWarning, InputError


def test_a_network_that_integers_hold_is_exact_and_leaves_no_entry() -> None:
    """Weights n/64 and a decay of 1/2 need no rounding: every spike equals the float network's."""
    rng = np.random.default_rng(3)
    weights = [rng.integers(-127, 128, shape) / 64 for shape in ((30, 20), (5, 30))]
    graph = chain(nir.Linear(weights[0]), lif(30, 0.5), nir.Linear(weights[1]), lif(5, 0.5), size=20)
    x = binary(60, 8, 20)
    program = quantize(graph, x)
    assert program.ledger == ()
    assert all(layer.mismatches == 0 and layer.float_spikes > 0 for layer in measure_agreement(lower(graph), program, {"input": x}))


def test_two_groups_where_an_outlier_spoils_one() -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(0, 0.15, (40, 30))
    weights[0, 0] = -14.0
    graph = chain(nir.Linear(weights), cuba(40, 0.5, 0.9), size=30)
    x = binary(100, 16, 30)
    share = {}
    for groups in (1, 2):
        program = quantize(graph, x, max_groups=groups)
        (layer,) = measure_agreement(lower(graph), program, {"input": x})
        share[groups] = layer.mismatches / layer.float_spikes
        assert len(program.connections) == groups
    assert share[2] < share[1] / 3


def test_a_second_group_is_not_taken_where_one_is_enough() -> None:
    graph = chain(nir.Linear(np.random.default_rng(5).uniform(-0.9, 0.9, (20, 10))), lif(20, 0.5), size=10)
    assert len(quantize(graph, binary(30, 8, 10)).connections) == 1


def test_rounding_is_in_the_ledger_with_its_measured_effect() -> None:
    graph = chain(nir.Linear(np.random.default_rng(6).normal(0, 0.5, (50, 30))), lif(50, 0.93), size=30)
    x = binary(100, 20, 30)
    program = quantize(graph, x, weight_bits=3, max_groups=1)
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    (entry,) = program.ledger
    assert layer.mismatches > 0
    assert entry.node == "n1" and entry.effect.startswith(layer.effect)
    assert f"{layer.mismatches} spikes differ where the float network has {layer.float_spikes}" in entry.effect
    assert "3 bits" in entry.change


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_width_gives_legal_weights(bits: int) -> None:
    graph = chain(nir.Linear(np.random.default_rng(bits).normal(0, 0.5, (10, 10))), lif(10, 0.9), size=10)
    program = quantize(graph, binary(20, 4, 10), weight_bits=bits, max_groups=1)
    weights = program.connections[0].synapse.values
    assert len(np.unique(weights)) <= 2**bits
    assert np.abs(weights).max() >= 128


def test_one_bit_holds_one_sign() -> None:
    positive = chain(nir.Linear(np.random.default_rng(1).uniform(0.1, 0.5, (10, 10))), lif(10, 0.9), size=10)
    program = quantize(positive, binary(20, 4, 10), weight_bits=1, max_groups=1)
    assert set(np.unique(program.connections[0].synapse.values)) <= {0, 128}
    both = chain(nir.Linear(np.random.default_rng(1).normal(0, 0.5, (10, 10))), lif(10, 0.9), size=10)
    program = quantize(both, binary(20, 4, 10), weight_bits=1, max_groups=1)
    assert [set(np.unique(c.synapse.values)) for c in program.connections] == [{0, 128}, {-128, 0}]


def test_groups_by_sign_where_they_pay() -> None:
    """Two groups of 3 bits hold twice the levels of a mixed one; listed one by one, the synapses take no more memory."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.6, (30, 30)) * (rng.random((30, 30)) < 0.3)
    graph = chain(nir.Scale(rng.uniform(0.5, 1.5, 30)), nir.Linear(weights), lif(30, 0.9), size=30)  # composed: listed
    x = binary(50, 8, 30)
    program = quantize(graph, x, weight_bits=3, max_groups=1)
    excitatory, inhibitory = (c.synapse for c in program.connections)
    assert set(np.unique(excitatory.values)) <= set(range(0, 256, 32))
    assert set(np.unique(inhibitory.values)) <= set(range(-224, 1, 32))
    assert excitatory.values.size + inhibitory.values.size <= np.count_nonzero(weights)
    assert any("3 bits, each sign in groups of its own" in entry.change for entry in program.ledger)


def test_widths_by_population_and_sign() -> None:
    rng = np.random.default_rng(3)
    layers = [nir.Linear(rng.normal(0, 0.5, (12, 10))), lif(12, 0.9), nir.Linear(rng.normal(0, 0.5, (6, 12))), lif(6, 0.9)]
    program = quantize(chain(*layers, size=10), binary(40, 8, 10), weight_bits={"n1": (4, 2)}, max_groups=1)
    widths = [(c.target, c.synapse.bits, bool(c.synapse.values.max() > 0)) for c in program.connections]
    assert widths == [("n1", 4, True), ("n1", 2, False), ("n3", 8, True)]
    with pytest.raises(InputError, match="weight_bits names 'm', but the populations are n1, n3"):
        quantize(chain(*layers, size=10), binary(40, 8, 10), weight_bits={"m": 4})


@pytest.mark.parametrize("dense", [True, False])
def test_an_outlier_saturates_where_that_loses_fewer_spikes(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a thousand times the median, 8 bits in one unit would otherwise round nearly all other weights to 0."""
    monkeypatch.setattr(calibrate, "find_units", lambda *_: None)
    rng = np.random.default_rng(4)
    weights = rng.normal(0, 0.3, (60, 60)) * (dense or rng.random((60, 60)) < 0.3)
    weights[0, 0] = 300.0
    graph = chain(nir.Linear(weights), lif(60, 0.9), size=60)
    x = binary(50, 8, 60)
    program = quantize(graph, x, max_groups=1)
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    assert layer.mismatches < 0.06 * layer.float_spikes
    assert "1 of them saturated" in program.ledger[-1].change
    assert np.count_nonzero(np.concatenate([c.synapse.values.ravel() for c in program.connections])) > 0.9 * np.count_nonzero(weights)


def test_a_current_bias_is_a_constant_column_and_a_voltage_bias_a_mantissa() -> None:
    rng = np.random.default_rng(7)
    layer = nir.Affine(rng.normal(0, 0.4, (10, 6)), rng.normal(0, 0.2, 10))
    with_current = quantize(chain(layer, cuba(10, 0.8, 0.9), size=6), binary(50, 4, 6))
    assert {c.source for c in with_current.connections} == {"input", "constant"}
    assert np.all(with_current.nodes["n1"].bias_mant == 0)
    without = quantize(chain(layer, lif(10, 0.9), size=6), binary(50, 4, 6))
    assert {c.source for c in without.connections} == {"input"}
    assert np.any(without.nodes["n1"].bias_mant != 0)


def test_a_bias_beyond_its_mantissa_goes_into_the_current() -> None:
    """At every scale that keeps these weights, 30 thresholds of bias exceed 13 bits and an exponent of 7."""
    layer = nir.Affine(np.full((2, 3), 1e-3), np.array([30.0, 0.2]))
    program = quantize(chain(layer, lif(2, 0.9), size=3), binary(20, 4, 3))
    (layer_agreement,) = measure_agreement(lower(chain(layer, lif(2, 0.9), size=3)), program, {"input": binary(20, 4, 3)})
    assert layer_agreement.exact
    assert {c.source for c in program.connections} == {"input", "constant"}
    assert np.all(program.nodes["n1"].bias_mant == 0)


def test_analog_input_is_graded_and_entered() -> None:
    rng = np.random.default_rng(8)
    graph = chain(nir.Linear(rng.normal(0, 0.5, (20, 16))), lif(20, 0.9), size=16)
    x = np.repeat(rng.normal(0, 1, (1, 12, 16)), 20, 0)
    program = quantize(graph, x)
    assert program.inputs["input"] == GradedInput((16,), 12, float(np.abs(x).max()) / 2047)  # nothing saturates
    assert program.ledger[0].node == "input"
    assert "12-bit graded spikes" in program.ledger[0].change
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    assert layer.mismatches / layer.float_spikes < 0.05
    assert quantize(graph, binary(20, 4, 16)).inputs["input"] == SpikeInput((16,))


def test_a_convolution_stays_one() -> None:
    rng = np.random.default_rng(9)
    conv = nir.Conv2d((8, 8), rng.normal(0, 0.4, (4, 2, 3, 3)), 2, 1, 1, 1, rng.normal(0, 0.1, 4))
    ones = np.ones((4, 4, 4))
    neurons = nir.LIF(tau=ones * 1e-3, r=ones * 10, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    program = quantize(chain(conv, neurons, size=(2, 8, 8)), binary(20, 4, 2, 8, 8))
    assert isinstance(program.connections[0].synapse, Conv2d)
    assert program.connections[0].synapse.values.shape == (4, 2, 3, 3)


def test_per_neuron_thresholds_and_decays() -> None:
    rng = np.random.default_rng(10)
    beta, theta = rng.uniform(0.5, 0.99, 12), rng.uniform(0.5, 2.0, 12)
    neurons = nir.LIF(tau=DT / (1 - beta), r=1 / (1 - beta), v_leak=0 * beta, v_threshold=theta, v_reset=0 * beta)
    graph = chain(nir.Linear(rng.normal(0, 0.5, (12, 10))), neurons, size=10)
    x = binary(60, 8, 10)
    program = quantize(graph, x)
    assert np.shape(program.nodes["n1"].dv) == np.shape(program.nodes["n1"].vth) == (12,)
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    assert layer.mismatches / layer.float_spikes < 0.05


def test_a_membrane_readout_never_fires() -> None:
    rng = np.random.default_rng(11)
    ones = np.ones(4)
    readout = nir.LI(tau=ones * 1e-3, r=ones * 10, v_leak=0 * ones)
    graph = chain(nir.Linear(rng.normal(0, 0.5, (4, 10))), readout, size=10)
    x = binary(40, 16, 10)
    program = quantize(graph, x)
    recording = emulate(program, program.encode(x))
    assert not recording.spikes["n1"].any()
    assert program.outputs["output"].decoder == "membrane_sum"
    (layer,) = measure_agreement(lower(graph), program, {"input": x})
    assert layer.mismatches == 0
    assert 0 < layer.deviation < 0.005
    assert layer.effect == f"the largest membrane differs in 0 of 16 samples, the voltage by {layer.deviation:.2%} rms"
    assert program.ledger[0].effect.startswith(layer.effect)
    with pytest.raises(InputError, match="output 'output' is the membrane of 'n1', which never fires; use a membrane decoder"):
        quantize(graph, x, decoder="spike_count")


def test_a_readout_of_one_neuron_cannot_hide_its_rounding() -> None:
    ones = np.ones(1)
    readout = nir.LI(tau=ones * 1e-3, r=ones * 10, v_leak=0 * ones)
    weights = np.random.default_rng(1).normal(0, 0.5, (1, 10))
    (entry,) = quantize(chain(nir.Linear(weights), readout, size=10), binary(40, 8, 10), weight_bits=2, max_groups=1).ledger
    assert "0 of 8 samples" in entry.effect
    assert float(entry.effect.split("by ")[1].split("%")[0]) > 10


def test_a_population_called_constant_stays_itself() -> None:
    rng = np.random.default_rng(6)
    affine = nir.Affine(rng.normal(0, 0.5, (6, 1)), rng.normal(0, 0.3, 6))
    names = {}
    for name in ("constant", "gate"):
        nodes = {
            "input": nir.Input({"input": np.array([3])}),
            "fc": nir.Linear(np.full((1, 3), 0.4)),
            name: lif(1, 0.8),
            "out": affine,
            "cuba": cuba(6, 0.7, 0.9),
            "output": nir.Output({"output": np.array([6])}),
        }
        edges = [("input", "fc"), ("fc", name), (name, "out"), ("out", "cuba"), ("cuba", "output")]
        program = quantize(nir.NIRGraph(nodes, edges, metadata={"snnfuse": json.dumps({"dt": DT})}, type_check=False), binary(60, 8, 3))
        recording = emulate(program, program.encode(binary(60, 8, 3)))
        names[name] = recording.spikes["cuba"]
        assert recording.spikes["cuba"].any()
    np.testing.assert_array_equal(names["constant"], names["gate"])


def test_held_out_data_agree_as_well() -> None:
    graph = chain(nir.Linear(np.random.default_rng(9).normal(0, 0.4, (40, 30))), lif(40, 0.9), size=30)
    program = quantize(graph, binary(60, 30, 30))
    (layer,) = measure_agreement(lower(graph), program, {"input": binary(60, 30, 30, seed=5)})
    assert layer.mismatches < 0.01 * layer.float_spikes


def test_reset_conversion_is_entered_with_its_effect() -> None:
    graph = chain(nir.Linear(np.random.default_rng(12).normal(0, 0.6, (20, 10))), lif(20, 0.9), size=10)
    program = quantize(graph, binary(50, 8, 10), reset="subtract_delayed")
    assert program.nodes["n1"].reset == "subtract_delayed"
    assert program.ledger[0].change == "reset zero becomes subtract_delayed"
    assert int(program.ledger[0].effect.split()[0]) > 0


def test_another_reset_tells_without_labels_how_many_decided_classes_it_changes() -> None:
    graph = chain(nir.Linear(np.random.default_rng(1).normal(0.1, 0.1, (20, 10))), lif(20, 0.9), size=10)
    x = binary(30, 40, 10)
    with pytest.warns(CalibrationWarning, match=r"the reset subtract_delayed, which was asked for: [1-9]\d* of 40 decided classes change"):
        program = quantize(graph, x, reset="subtract_delayed")
    own, other = (simulate(net, {"input": x}).spikes["n1"].sum(0).argmax(1) for net in both_resets(lower(graph)))
    wrong = int((own != other).sum())
    (entry,) = (entry for entry in program.ledger if entry.node == "output")
    assert entry.effect == f"{wrong} of 40 decided classes change ({wrong / 40:.1%}), on the calibration samples"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not [entry for entry in quantize(graph, x, reset="zero").ledger if "decided" in entry.change]


def both_resets(network: Network) -> tuple[Network, Network]:
    changed = {name: replace(p, reset="subtract_delayed") for name, p in network.populations.items()}
    return network, replace(network, populations=changed)


@pytest.mark.parametrize(
    "calibration, settings, message",
    [
        (np.zeros((10, 0, 6)), {}, "is empty"),
        (np.zeros((0, 2, 6)), {}, "is empty"),
        (np.zeros((10, 2, 7)), {}, r"must have shape \(time, batch, 6\), not \(10, 2, 7\)"),
        (np.full((10, 2, 6), np.nan), {}, "NaN or infinite"),
        (np.zeros((10, 2, 6)), {"weight_bits": 9}, "weight_bits=9 is outside"),
        (np.zeros((10, 2, 6)), {"input_bits": 25}, "input_bits=25 is outside"),
        (np.zeros((10, 2, 6)), {"max_groups": 0}, "max_groups must be 1 or more"),
        (np.zeros((10, 2, 6)), {"dt": -1.0}, "dt must be a positive number"),
        ({"wrong": np.zeros((10, 2, 6))}, {}, "inputs must be 'input', not 'wrong'"),
        (np.zeros((10, 2, 6)), {}, "input 'input' is 0 on all calibration data"),
    ],
)
def test_bad_settings_are_named(calibration, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize(chain(nir.Linear(np.eye(6)), lif(6, 0.9), size=6), calibration, **settings)


def test_weights_round_to_the_nearest_legal_value() -> None:
    values = np.array([-508.0, 3.0, 6.9, 254.0])
    grid = choose_grid(values, "mixed", 8, 1.0, graded=False)
    assert (grid.integers(values).tolist(), grid) == ([-254, 2, 4, 128], Grid("mixed", 8, 1))  # steps of 4, halves to even
    assert choose_grid(np.array([-1e6, 1.0]), "mixed", 8, 1.0, graded=False) is None
    assert Grid("excitatory", 2, 0).integers(np.array([-70.0, 31.0, 97.0, 500.0])).tolist() == [0, 0, 128, 192]
    assert Grid("inhibitory", 2, 0).integers(np.array([-70.0, -31.0, 97.0, -500.0])).tolist() == [-64, 0, 0, -192]


def test_biases_take_the_smallest_exponent_that_holds_them() -> None:
    mantissa, exponent = round_bias(np.array([4095.0, 4096.0, -8190.0, 4095.0 * 128]))
    assert (mantissa.tolist(), exponent.tolist()) == ([4095, 2048, -4095, 4095], [0, 1, 1, 7])
    assert round_bias(np.array([4096.0 * 128])) is None
