"""Fit before refusal: fewer groups or sums in relays, told in the ledger; and boards whose limits shape the integers."""

from dataclasses import replace

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, cuba, lif

from snnfuse.export import lower
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.quantization.board_fit import one_less
from snnfuse.export.quantization.partial_sums import summable
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.quantization.settings import DEFAULTS, QuantizationSettings
from snnfuse.export.targets import LAVA, Target, find_target
from snnfuse.hardware import GradedInput, Program, SpikeInput, compare, emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import Board, check_chip, count, find_board
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.graded import Relay

SEVEN, FIVE = QuantizationSettings(weight_bits=7), QuantizationSettings(weight_bits=5)


def on(**limits: int) -> Target:
    return find_target("loihi2", Board("mine", 1, limits))


def uneven(targets: int, sources: int) -> np.ndarray:
    """Weights of which one group of 8 bits keeps too few digits."""
    return np.random.default_rng(0).standard_t(2, (targets, sources)) * 0.6 / np.sqrt(sources)


def layer(targets: int = 6, sources: int = 50, scale: float = 4.0) -> nir.NIRGraph:
    return chain(nir.Linear(scale * uneven(targets, sources)), lif(targets, 0.9), size=sources)


def normal(seed: int) -> nir.NIRGraph:
    return chain(nir.Linear(np.random.default_rng(seed).normal(0, 0.4, (6, 50))), lif(6, 0.9), size=50)


def spikes_equal(program: Program, other: Program, x: np.ndarray) -> bool:
    found, wanted = (emulate(p, p.encode({"input": x})) for p in (program, other))
    assert found.spikes["output"].any()
    return bool((found.spikes["output"] == wanted.spikes["output"]).all())


@pytest.mark.parametrize("board", [None, Board("mine", 1, {"axons_in": 4096})])
def test_six_thousand_sources_into_ten_neurons_fit(board: Board | None) -> None:
    """Two groups take more input axons than a core has, and one would lose half of the spikes; so relays sum each group in two parts."""
    graph, x = chain(nir.Linear(uneven(10, 6000)), lif(10, 0.9), size=6000), binary(20, 8, 6000, rate=0.05)
    direct = quantize_measured(graph, x).program
    with pytest.raises(DoesNotFitError, match=r"more than \d+ input axons per core"):
        check_chip(direct, board or "oheo-gulch")
    program = quantize_measured(graph, x, target=find_target("loihi2", board)).program
    layers = {layer.name: layer for layer in check_chip(program, board or "oheo-gulch").layers}
    assert layers["n1"].tier == "A" and {layers[n].tier for n in layers if "relay" in n} == {"B"}
    assert max(layer.axons_in for layer in layers.values()) <= find_board(board or "oheo-gulch").value("axons_in")
    (entry,) = [e for e in program.ledger if "relays" in e.change]
    assert entry.node == "n1" and "input axons per core" in entry.reason and entry.effect == "exact: no spike changes"
    assert spikes_equal(program, direct, x) and program.latency["n1"] == direct.latency["n1"] + 1


def test_what_fits_is_not_touched() -> None:
    graph, x = layer(), binary(40, 8, 50)
    placed, lava = (quantize_measured(graph, x, target=target).program for target in (on(), LAVA))
    assert placed.ledger == lava.ledger and placed.nodes.keys() == lava.nodes.keys()
    for a, b in zip(placed.connections, lava.connections):
        assert (a.synapse.exponent, a.synapse.bits) == (b.synapse.exponent, b.synapse.bits) and (a.synapse.values == b.synapse.values).all()


def test_a_group_less_is_taken_where_it_costs_little_and_the_ledger_says_so() -> None:
    graph, x = normal(3), binary(60, 16, 50)
    direct, fewer = (quantize_measured(graph, x, SEVEN, target).program for target in (LAVA, on(axons_in=60)))
    assert [len(p.into("n1")) for p in (direct, fewer)] == [2, 1] and "n1.relay" not in fewer.nodes
    (entry,) = [e for e in fewer.ledger if "synapse groups" in e.change]
    assert entry.change == "its weights are held in 1 synapse groups, not 2" and "more than 60 input axons per core" in entry.reason
    before, after = (float(text.split("%")[0].split()[-1]) for text in (entry.effect.split("where it was")[1], entry.effect))
    assert 0 <= before < after <= 3 and "on 16 samples" in entry.effect


def test_stock_neurons_only_lose_groups_at_any_cost_and_are_refused_where_one_is_too_many() -> None:
    graph, x, target = normal(1), binary(60, 16, 50), on(axons_in=60).stock_only
    relayed = quantize_measured(graph, x, FIVE, on(axons_in=60)).program
    assert isinstance(relayed.nodes["n1.relay"], Relay)
    program = quantize_measured(graph, x, FIVE, target).program
    assert len(program.into("n1")) == 1 and set(program.nodes) == {"input", "n1"}
    assert check_chip(program, target.limits, tiers=("A",)).fits
    with pytest.raises(DoesNotFitError, match="more than 20 input axons"):
        quantize_measured(graph, x, FIVE, on(axons_in=20).stock_only)


def test_sums_of_several_groups_and_sources_are_the_same_on_reference_and_emulator() -> None:
    """A bias, analog inputs, a synaptic current, and a second layer; K grows until the parts fit."""
    rng = np.random.default_rng(1)
    first = nir.Affine(4 * uneven(8, 60), rng.normal(0, 0.1, 8))
    graph = chain(first, cuba(8, 0.7, 0.9), nir.Linear(rng.normal(0, 0.8, (3, 8))), lif(3, 0.9), size=60)
    x = binary(30, 6, 60) * np.round(rng.normal(0, 1, (30, 6, 60)), 3)
    direct, program = (quantize_measured(graph, x, target=target).program for target in (LAVA, on(axons_in=24, payload_bits=24)))
    assert any(node.shape[0] >= 4 * 8 for node in program.nodes.values() if isinstance(node, Relay))
    assert spikes_equal(program, direct, x)
    events = program.encode({"input": x})
    result = compare(emulate(program, events, "all", states=True), run_on("reference", program, events, "all", states=True).recording)
    assert (result.mismatches, result.first) == (0, None)


def test_the_group_that_costs_least_goes_first() -> None:
    """Two inputs: the one of uneven weights needs its second group."""
    even = np.random.default_rng(2).integers(-3, 4, (6, 50)) / 10 + 0.003
    nodes = {"a": nir.Input(np.array([50])), "b": nir.Input(np.array([50])), "fa": nir.Linear(4 * uneven(6, 50)), "fb": nir.Linear(even)}
    edges = [("a", "fa"), ("b", "fb"), ("fa", "n"), ("fb", "n"), ("n", "output")]
    graph = nir.NIRGraph({**nodes, "n": lif(6, 0.9), "output": nir.Output(np.array([6]))}, edges)
    x = {"a": binary(40, 8, 50), "b": binary(40, 8, 50, seed=1)}
    direct = quantize_measured(graph, x).program
    assert sorted(c.source for c in direct.into("n")) == ["a", "a", "b", "b"]
    program = quantize_measured(graph, x, target=on(axons_in=170).stock_only).program
    assert sorted(c.source for c in program.into("n")) == ["a", "a", "b"]


def test_a_program_of_more_cores_than_the_board_has_loses_groups_until_it_fits() -> None:
    rng = np.random.default_rng(0)
    graph = chain(nir.Linear(4 * uneven(40, 80)), lif(40, 0.9), nir.Linear(rng.normal(0, 0.4, (40, 40))), lif(40, 0.9), size=80)
    x, small = binary(40, 8, 80), {"synapse_words": 400}
    cores = count(quantize_measured(graph, x).program, Board("mine", 1, small)).cores
    least = count(quantize_measured(graph, x, replace(DEFAULTS, max_groups=1)).program, Board("mine", 1, small)).cores
    assert least < cores - 1
    found = quantize_measured(graph, x, target=on(**small, cores=cores - 1)).program
    assert least <= count(found, Board("mine", 1, small)).cores < cores
    entries = [e for e in found.ledger if "synapse groups, not" in e.change]
    assert entries and all(f"takes {cores} cores, 1 more than the {cores - 1} of mine" in e.reason for e in entries)
    with pytest.raises(DoesNotFitError, match="more than the 1 of mine"):
        quantize_measured(graph, x, target=on(**small, cores=1))


def test_a_board_of_narrow_weights_and_payloads_gets_integers_that_it_holds() -> None:
    graph, x = layer(), binary(40, 8, 50) * np.random.default_rng(2).random(50)
    for name in ("loihi2", "lava"):
        program = quantize_measured(graph, x, target=find_target(name, Board("mine", 1, {"weight_bits": 4, "payload_bits": 8}))).program
        node = program.nodes["input"]
        assert {c.synapse.bits for c in program.connections} == {4} and isinstance(node, GradedInput) and node.bits == 8
    assert {c.synapse.bits for c in quantize_measured(graph, x).program.connections} == {8}


def test_relays_sum_nothing_within_a_loop_nor_what_a_message_cannot_hold() -> None:
    nodes = {"x": nir.Input(np.array([4])), "w": nir.Linear(np.eye(4)), "n": lif(4, 0.9), "r": nir.Linear(0.3 * np.ones((4, 4)))}
    edges = [("x", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "y")]
    network = legalize(lower(nir.NIRGraph({**nodes, "y": nir.Output(np.array([4]))}, edges)))
    for node, bits, expected in ((SpikeInput((4,)), 24, 1), (GradedInput((4,), 12, 1.0), 24, 1), (GradedInput((4,), 12, 1.0), 18, 0)):
        inputs = {"x": node}
        fits = fit_all(calibrate(network, {"x": binary(20, 4, 4)}, inputs), DEFAULTS)
        places = summable(network, "n", fits["n"], inputs, bits)
        assert [network.into("n")[i].source for i in places] == ["x"] * expected


def test_forms_lose_a_round_then_the_split_of_signs() -> None:
    network = legalize(lower(layer()))
    fit = fit_all(calibrate(network, {"input": binary(40, 8, 50)}, {"input": SpikeInput((50,))}), DEFAULTS)["n1"]
    assert len(fit.rounds[0]) == 2
    ((form,),) = one_less(fit)
    assert form.depth == 1
    split = replace(fit, forms=(replace(form, split=True),), rounds=(((fit.rounds[0][0][0],) * 2),))
    assert [[f.split for f in forms] for forms in one_less(replace(split, rounds=((split.rounds[0],),)))] == [[False]]
    assert one_less(replace(fit, rounds=(fit.rounds[0][:1],))) == []
