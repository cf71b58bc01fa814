"""Fits judged by the network's outputs: none that was run is nearer; and weights whose errors cancel in the membrane."""

from dataclasses import replace

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, cuba, lif

from snnfuse.export import lower, quantize, simulate
from snnfuse.export.quantization import output_search
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.calibration import ENOUGH, quality
from snnfuse.export.quantization.error_feedback import compensated
from snnfuse.export.quantization.fed_population import measured
from snnfuse.export.quantization.membrane_moments import SLOPE, membrane_moments
from snnfuse.export.quantization.output_search import Judge, judging, search_by_output
from snnfuse.export.quantization.population_fits import Context, calibrate, search_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.reading import EACH_OWN
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import emulate

INPUTS, HIDDEN, CLASSES = 12, 16, 4


def recurrent(seed: int) -> nir.NIRGraph:
    """A loop whose spikes leave the float network's soon, and a layer that is read."""
    rng = np.random.default_rng(seed)
    nodes = {
        "input": nir.Input({"input": np.array([INPUTS])}),
        "first": nir.Linear(rng.normal(0, 0.5, (HIDDEN, INPUTS))),
        "again": nir.Linear(rng.normal(0, 0.6, (HIDDEN, HIDDEN))),
        "loop": cuba(HIDDEN, 0.5, 0.8),
        "last": nir.Linear(rng.normal(0, 0.5, (CLASSES, HIDDEN))),
        "read": lif(CLASSES, 0.8),
        "output": nir.Output({"output": np.array([CLASSES])}),
    }
    edges = [
        ("input", "first"),
        ("first", "loop"),
        ("loop", "again"),
        ("again", "loop"),
        ("loop", "last"),
        ("last", "read"),
        ("read", "output"),
    ]
    return nir.NIRGraph(nodes, edges)


def context_of(graph: nir.NIRGraph, x: np.ndarray, settings: QuantizationSettings) -> Context:
    network, arrays, inputs = prepare(graph, x, settings)
    return calibrate(network, arrays, inputs)


@pytest.mark.parametrize(("seed", "bits"), [(1, 2), (1, 3)])
def test_no_program_that_was_run_is_nearer_than_the_one_that_is_taken(seed: int, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QuantizationSettings(weight_bits=bits)
    context = context_of(recurrent(seed), binary(30, 24, INPUTS), settings)
    searched, seen, plain = search_all(context, settings), [], Judge.distance

    def kept(judge: Judge, fits: dict) -> output_search.Distance:
        seen.append(plain(judge, fits))
        return seen[-1]

    monkeypatch.setattr(Judge, "distance", kept)
    fits = search_by_output(context, searched, EACH_OWN)
    taken = plain(Judge(context, EACH_OWN, judging(context.network, 30, 24)), fits)
    assert len(seen) > 10
    assert taken.total == min(found.total for found in seen) < seen[0].total


def test_what_is_near_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QuantizationSettings()
    context = context_of(chain(nir.Linear(np.eye(INPUTS)), lif(INPUTS, 0.5), size=INPUTS), binary(40, 8, INPUTS), settings)
    searched = search_all(context, settings)
    monkeypatch.setattr(output_search.Judge, "distance", lambda *_: output_search.Distance(0.0, 0.0, True))
    assert all(fit is searched[name].best for name, fit in search_by_output(context, searched, EACH_OWN).items())


def test_few_bits_keep_more_of_the_outputs_on_other_data() -> None:
    known, other = binary(30, 24, INPUTS), binary(30, 64, INPUTS, seed=5)
    gains = []
    for seed in range(3):
        graph, settings = recurrent(seed), QuantizationSettings(weight_bits=3)
        context = context_of(graph, known, settings)
        floats = simulate(lower(graph), {"input": other}).spikes["read"].sum(0)
        alone = assemble(context.network, {n: s.best for n, s in search_all(context, settings).items()}, context.inputs)
        both = alone, quantize(graph, known, weight_bits=3)
        gains.append([float(((emulate(p, p.encode(other)).spikes["output"].sum(0) - floats) ** 2).mean()) for p in both])
    before, after = np.mean(gains, axis=0)
    assert after < 0.9 * before


@pytest.mark.parametrize("neuron", [lif(HIDDEN, 0.9), cuba(HIDDEN, 0.6, 0.9)], ids=["lif", "cuba"])
def test_moments_are_what_an_error_does_to_the_membrane_near_the_threshold(neuron: nir.NIRNode) -> None:
    rng = np.random.default_rng(3)
    graph = chain(nir.Linear(rng.normal(0.1, 0.5, (HIDDEN, INPUTS))), neuron, size=INPUTS)
    context = context_of(graph, binary(40, 8, INPUTS), QuantizationSettings())
    (name,) = context.network.order
    fed = context.fed(name)
    moments, p = membrane_moments(fed), context.network.populations[name]
    assert moments is not None
    error, spikes = rng.normal(0, 0.1, INPUTS), fed.run.spikes[name][:, :, 5]
    i, v, w = np.zeros((2, 8)), np.zeros((2, 8)), fed.network.into(name)[0].weights.values[5] * (p.gain * p.current_gain).ravel()[5]
    alpha = 0.0 if p.alpha is None else np.rint(p.alpha.ravel()[5] * 4096) / 4096
    cost = 0.0
    for t in range(40):  # weights as they are, and with the error, spikes given
        x = fed.sent["input"][t].astype(float)
        i = alpha * i + np.stack([x @ w, x @ (w + error)])
        v = np.rint(p.beta.ravel()[5] * 4096) / 4096 * v + i
        theta = p.theta.ravel()[5]
        near = 1 / (1 + SLOPE * np.where(spikes[t], 0.0, np.abs(v[0] - theta) / theta)) ** 2
        cost += float((near * (v[1] - v[0]) ** 2).sum())
        v = np.where(spikes[t], 0.0, v)
    damping = moments.matrix[5] - np.diag(np.full(INPUTS, 0.01 / 1.01 * np.diag(moments.matrix[5]).mean()))
    assert error @ damping @ error == pytest.approx(cost, rel=5e-3)


@pytest.mark.parametrize("layer", ["dense", "convolution"])
def test_errors_that_cancel_cost_fewer_spikes_in_the_same_groups(layer: str) -> None:
    rng = np.random.default_rng(4)
    if layer == "dense":
        graph, x = chain(nir.Linear(rng.normal(0.05, 0.4, (HIDDEN, 30))), lif(HIDDEN, 0.9), size=30), binary(60, 16, 30)
    else:
        kernel = nir.Conv2d((6, 6), rng.normal(0, 0.3, (4, 2, 3, 3)), 1, 1, 1, 1, np.zeros(4))
        graph = chain(kernel, nir.LIF(*(np.full((4, 6, 6), value) for value in (1e-3, 10.0, 0.0, 1.0))), size=(2, 6, 6))
        x = (rng.random((60, 16, 2, 6, 6)) < 0.3).astype(float)
    settings = QuantizationSettings(weight_bits=4, max_groups=1)
    context = context_of(graph, x, settings)
    (name,) = context.network.order
    fed, fit = context.fed(name), search_all(context, settings)[name].best
    other = compensated(fed.counted_in(fit.units), fit, membrane_moments(fed))
    assert (other.rounds, other.scale, other.forms) == (fit.rounds, fit.scale, fit.forms)
    own = fed.counted_in(fit.units)
    assert quality(measured(own, replace(other, units=fit.units))) < quality(fit)


def test_where_a_value_is_read_one_wrong_spike_asks_for_a_further_group() -> None:
    """Of its own population one in a thousand is nearly right; what is read behind it moves with every spike."""
    context = context_of(recurrent(9), binary(30, 24, INPUTS), QuantizationSettings())
    values = replace(context, network=replace(context.network, membranes=frozenset(context.network.outputs)))
    settings = QuantizationSettings(max_groups=4)
    spikes_only, read = (
        search_all(c, settings)["loop"] for c in (context, replace(values, settled={"read": search_all(context, settings)["read"].best}))
    )
    assert 0 < spikes_only.best.mismatch <= ENOUGH
    assert len(read.tried) > len(spikes_only.tried)
