"""A diagnosis names the layer and the cause of what was broken, blames nothing that is sound, and tells own errors from inherited ones."""

from ast import literal_eval
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import nir
import numpy as np
import pytest
from cli_calls import Cli
from quantization_graphs import binary, chain, cuba, lif

from snnfuse import diagnose
from snnfuse.diagnosis.audit import audit
from snnfuse.diagnosis.chaos import CHAOTIC
from snnfuse.diagnosis.outcome import rate_distance
from snnfuse.diagnosis.recorded import Recorded, read_recorded
from snnfuse.diagnosis.subject import pair
from snnfuse.export import quantize, write_bundle
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.errors import InputError

RNG = np.random.default_rng(3)
GRAPH = chain(
    nir.Affine(RNG.normal(0, 0.5, (24, 12)), RNG.normal(0, 0.05, 24)),
    cuba(24, 0.4, 0.9),
    nir.Linear(RNG.normal(0.1, 0.5, (20, 24))),
    lif(20, 0.85),
    nir.Linear(RNG.normal(0.1, 0.5, (6, 20))),
    lif(6, 0.9),
    size=12,
)
ANALOG = np.random.default_rng(4).normal(0.3, 0.7, (16, 24, 12))
SPIKES = binary(16, 24, 12)
CANCELLING = {"weight_bits": 3, "max_groups": 1}  # so few that weights are chosen whose errors cancel


@pytest.fixture(scope="module")
def sound() -> Program:
    return quantize(GRAPH, ANALOG)


def node(name: str, **changed: Any) -> Callable[[Program], Program]:
    return lambda p: replace(p, nodes={**p.nodes, name: replace(p.nodes[name], **changed)})


def connection(target: str, change: Callable) -> Callable[[Program], Program]:
    def broken(p: Program) -> Program:
        first = next(c for c in p.connections if c.target == target and c.source not in p.constants)
        return replace(p, connections=tuple(change(c) if c is first else c for c in p.connections))

    return broken


def one_weight(c: Any) -> Any:
    values = c.synapse.weights.copy()
    values[3, 2] = -values[3, 2] if values[3, 2] else 128
    return replace(c, synapse=replace(c.synapse, weights=values))


def all_late(p: Program) -> Program:
    return replace(p, connections=tuple(replace(c, lag=1) if c.target == "n3" else c for c in p.connections))


def removed(p: Program) -> Program:
    return replace(p, connections=tuple(c for c in p.connections if c.target != "n1" or c.source in p.inputs))


@cache
def measured(is_analog: bool, options: str) -> Any:
    return quantize_measured(GRAPH, ANALOG if is_analog else SPIKES, QuantizationSettings(**literal_eval(options)))


@pytest.mark.parametrize("known", ["report", "ledger", "nothing"])
@pytest.mark.parametrize("x", [ANALOG, SPIKES], ids=["analog", "spikes"])
@pytest.mark.parametrize(
    "options", [{}, {"weight_bits": 4}, {"weight_bits": 1}, {"max_groups": 1}, CANCELLING, {"weight_bits": {"n3": (3, 5)}}]
)
def test_nothing_of_a_sound_program_is_blamed(options: dict, x: np.ndarray, known: str) -> None:
    made = measured(x is ANALOG, repr(options))
    report = {"layers": [asdict(layer) for layer in made.layers]}
    recorded = {
        "report": lambda: read_recorded(made.program.ledger, report),
        "ledger": lambda: read_recorded(made.program.ledger),
        "nothing": Recorded,
    }[known]()
    assert audit(pair(GRAPH, made.program, recorded)) == []


@pytest.mark.parametrize(
    "broken, layer, cause",
    [
        (connection("n3", one_weight), "n3", "weight value"),
        (connection("n1", one_weight), "n1", "weight value"),
        (connection("n5", lambda c: replace(c, synapse=replace(c.synapse, exponent=c.synapse.exponent + 1))), "n5", "weight exponent"),
        (node("n3", dv=900), "n3", "decay value"),
        (node("n1", du=3000), "n1", "decay value"),
        (node("n5", reset="subtract"), "n5", "reset rule"),
        (node("n3", bias_mant=1500), "n3", "bias value"),
        (removed, "n1", "bias value"),
        (lambda p: node("n3", vth=int(p.nodes["n3"].vth * 1.3))(p), "n3", "threshold value"),
        (lambda p: node("input", scale=p.nodes["input"].scale * 0.6)(p), "input", "input scale"),
        (lambda p: node("input", scale=p.nodes["input"].scale * 2)(p), "input", "input scale"),
        (all_late, "n3", "delay or alignment"),
        (lambda p: quantize(GRAPH, ANALOG, weight_bits={"n3": 2}, max_groups=1), "n3", "weight rounding"),
        (lambda p: quantize(GRAPH, ANALOG[:, :2]), "", "too few calibration samples"),
    ],
)
def test_one_fault_is_named(sound: Program, broken: Callable[[Program], Program], layer: str, cause: str) -> None:
    found = diagnose(broken(sound), ANALOG, graph=GRAPH)
    assert (found.layer, found.cause) == (layer, cause), found
    assert found.advice and cause in str(found)


def one_reversed(c: Any) -> Any:
    values = c.synapse.weights.copy()
    values.flat[values.argmin()] *= -1
    return replace(c, synapse=replace(c.synapse, weights=np.minimum(values, 192)))


def test_a_fault_among_weights_whose_errors_cancel_is_found() -> None:
    program = measured(False, repr(CANCELLING)).program
    recorded = read_recorded(program.ledger)
    assert recorded.cancelling and audit(pair(GRAPH, program, recorded)) == []
    for layer in recorded.cancelling:
        (found,) = audit(pair(GRAPH, connection(layer, one_reversed)(program), recorded))
        assert (found.node, found.cause) == (layer, "weight value") and found.what.startswith("1 of "), found


def test_what_a_layer_inherits_is_not_its_own() -> None:
    program = quantize(GRAPH, SPIKES, weight_bits={"n3": 1}, max_groups=1)
    found = diagnose(program, SPIKES, graph=GRAPH)
    first, middle, last = (layer.effect for layer in found.layers)
    assert middle.alone.share > 0.2 > 10 * first.alone.share
    assert last.inherited.share > 10 * last.alone.share
    assert all(0 <= d.share <= 1 for e in (first, middle, last) for d in (e.alone, e.inherited, e.together))
    assert max(found.layers, key=lambda layer: layer.cost.points if layer.cost else -1e9).name == "n3"
    entry = next(entry for entry in program.ledger if entry.node == "n3")
    assert f"alone {middle.alone}" in entry.effect and "inherited" in entry.effect


def test_the_first_difference_is_the_first(sound: Program) -> None:
    broken = node("n3", dv=900)(sound)
    first = next(layer.first for layer in diagnose(broken, ANALOG, graph=GRAPH).layers if layer.name == "n3")
    floats = np.array([first.expected, first.found])
    assert set(floats) == {0, 1}
    spikes = emulate(broken, broken.encode(ANALOG), "all").spikes["n3"]
    assert spikes[first.time, first.batch, first.neuron] == first.found


def test_a_network_near_its_thresholds_is_called_chaotic() -> None:
    rng = np.random.default_rng(1)
    deep = [n for i in range(10) for n in (nir.Linear(rng.normal(0, 0.5, (60, 60))), lif(60, 0.99))]
    found = diagnose(quantize(graph := chain(*deep, size=60), x := binary(80, 4, 60)), x, graph=graph)
    assert found.chaos is not None and found.chaos.is_chaotic and found.chaos.share >= CHAOTIC and "chaotic" in str(found)
    calm = diagnose(quantize(GRAPH, SPIKES), SPIKES, graph=GRAPH)
    assert calm.chaos is not None and not calm.chaos.is_chaotic


def test_the_command_line_diagnoses_a_bundle(snn: Cli, tmp_path: Any, sound: Program) -> None:
    write_bundle(tmp_path / "b", graph=GRAPH, program=node("n3", dv=900)(sound), target="lava")
    np.savez(tmp_path / "x.npz", input=ANALOG, labels=np.zeros(24, int))
    result = snn("diagnose", tmp_path / "b", "--input", tmp_path / "x.npz", "--json", "d.json")
    assert result.code == 0 and "cause: n3: decay value" in result.out and "accuracy: float" in result.out
    assert snn("diagnose", tmp_path / "b").code == 2  # no golden vectors, no data


def test_the_distance_of_rates_is_the_earth_movers() -> None:
    from scipy.stats import wasserstein_distance

    a, b = (np.random.default_rng(seed).random((7, 5, 3, 4)) < rate for seed, rate in ((0, 0.2), (1, 0.5)))
    rates = [x.mean((0, 1)).ravel() for x in (a, b)]
    assert rate_distance(a, b) == pytest.approx(wasserstein_distance(*rates), abs=1e-12) and rate_distance(a, a) == 0


def test_a_program_of_another_graph_is_refused(sound: Program) -> None:
    with pytest.raises(InputError, match="not made from this graph"):
        diagnose(sound, ANALOG, graph=chain(nir.Linear(np.ones((3, 12))), lif(3, 0.9), nir.Linear(np.ones((3, 3))), lif(3, 0.9), size=12))
    with pytest.raises(InputError, match="graph="):
        diagnose(sound, ANALOG)
