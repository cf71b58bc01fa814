"""Resets that NIR has no words for: the nearest structure and a note, which a file keeps and which only fits its own structure."""

from collections.abc import Callable
from pathlib import Path

import nir
import nir_equations
import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_models import binary, grid, heaviside, run_steps
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir, trace_model
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.notes import note_entries, without_notes
from snnfuse.export.lowering.reset_notes import KEY, NEAREST, with_note
from snnfuse.export.to_snntorch import to_snntorch
from snnfuse.hardware import compare
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.errors import InputError, UnsupportedError

FED = {"init_hidden": True, "spike_grad": heaviside}
MAKE: dict[str, Callable[[], nn.Module]] = {
    "undelayed": lambda: snn.Leaky(0.5, reset_delay=False, **FED),
    "undelayed, without a leak": lambda: snn.Leaky(1.0, threshold=1.5, reset_delay=False, **FED),
    "undelayed, without memory": lambda: snn.Leaky(torch.tensor([0.0, 0.5, 0.0, 1.0]), reset_delay=False, **FED),
    "undelayed, with a current": lambda: snn.Synaptic(0.5, 0.75, threshold=2.0, reset_delay=False, **FED),
    "zero, with a current": lambda: snn.Synaptic(0.5, 0.75, threshold=2.0, reset_mechanism="zero", **FED),
    "zero, of Lapicque": lambda: snn.Lapicque(R=2.0, C=0.5, reset_mechanism="zero", **FED),
    "zero, recurrent": lambda: snn.RLeaky(0.75, V=0.5, all_to_all=False, reset_mechanism="zero", **FED),
}


def built(name: str) -> tuple[nir.NIRGraph, dict[str, np.ndarray], np.ndarray]:
    """The graph of a single layer of four neurons, its input, and what snnTorch makes of it."""
    model = nn.Sequential(MAKE[name]()).double()
    x = 3 * grid(4, seed=4)
    graph, ledger = trace_model(model, x[0])
    assert ledger == ()
    return graph, {"input": x.numpy()}, run_steps(model, x)[0].astype(bool)


@pytest.mark.parametrize("name", MAKE)
def test_a_file_keeps_the_rule_and_other_readers_get_the_nearest(name: str, tmp_path: Path) -> None:
    graph, x, expected = built(name)
    nir.write(tmp_path / "graph.nir", graph)
    read, foreign = read_graph(tmp_path / "graph.nir"), nir.read(tmp_path / "graph.nir")
    network = lower(read)
    assert {p.reset for p in network.populations.values()} <= NEAREST.keys()
    np.testing.assert_array_equal(simulate(network, x).spikes["0"], expected)
    nearest = simulate(lower(without_notes(read)), x).spikes["0"]
    np.testing.assert_array_equal(nearest, nir_equations.simulate(foreign, x)["output"].astype(bool))
    wrong = int((nearest != expected).sum())
    (entry,) = note_entries(read, x)
    assert wrong > 0 and entry.node == "0" and entry.effect.startswith(f"with all notes unread, {wrong} spikes differ where")


@pytest.mark.parametrize("name", MAKE)
def test_the_way_back_to_snntorch_keeps_the_rule(name: str) -> None:
    graph, x, expected = built(name)
    model = to_snntorch.from_nir(graph, dtype=torch.float64).eval()
    with torch.no_grad():
        spikes = [model(now) for now in torch.from_numpy(x["input"])]
    np.testing.assert_array_equal(torch.stack(spikes).numpy().astype(bool), expected)


@pytest.mark.parametrize("name", MAKE)
def test_integers_keep_the_spikes_and_every_backend_every_value(name: str) -> None:
    model, x = nn.Sequential(nn.Linear(8, 4), MAKE[name]()).double(), binary(8, seed=3)
    model[0].weight.data = torch.from_numpy(np.random.default_rng(1).integers(-24, 40, (4, 8)) / 16)
    model[0].bias.data = torch.tensor([0.125, -0.25, 0.0, 0.5], dtype=torch.float64)
    expected = run_steps(model, x)[0].astype(bool)
    program = quantize(to_nir(model, x[0]), {"input": x.numpy()})
    (neuron,) = program.neurons
    assert program.nodes[neuron].reset in NEAREST and 0.02 < expected.mean() < 0.9
    fed = program.encode({"input": x.numpy()})
    run = run_on("reference", program, fed, "all", states=True).recording
    for backend in ("emulator", "torch", "lava"):
        assert compare(run, run_on(backend, program, fed, "all", states=True).recording).mismatches == 0
    assert (run.spikes[neuron] != expected).mean() < 0.002


@pytest.mark.parametrize("note", ["subtract_undelayed", "zero_stored", "none", "sometimes"])
def test_a_note_that_its_nodes_are_not_nearest_to_is_refused(note: str) -> None:
    graph = to_nir(snn.Leaky(0.5, init_hidden=True), torch.zeros(1, 4))
    graph.nodes["0"].metadata[KEY] = "zero_delayed"
    with pytest.raises(InputError, match="node '0': its metadata says the reset 'zero_delayed', and its nodes spell 'subtract_delayed'"):
        lower(graph)
    graph = to_nir(snn.Leaky(0.5, reset_mechanism="zero", init_hidden=True), torch.zeros(1, 4))
    graph.nodes["0"].metadata[KEY] = note
    if note == "zero_stored":
        assert lower(graph).populations["0"].reset == note
        return
    with pytest.raises(InputError, match=f"says the reset '{note}', and its nodes spell 'zero'; export the model again, or delete"):
        lower(graph)


def test_a_stored_reset_fires_as_an_immediate_one_and_keeps_the_membrane() -> None:
    neuron = snn.Leaky(0.5, reset_mechanism="zero", **FED)
    x = grid(16, seed=6)
    graph = to_nir(neuron, x[0])
    noted = nir.NIRGraph({**graph.nodes, "0": with_note(graph.nodes["0"], "zero_stored")}, graph.edges, metadata=graph.metadata)
    neuron.double().reset_mem()
    with torch.no_grad():
        mem = torch.stack([(neuron(now), neuron.mem)[1] for now in x]).numpy()
    zero, stored = (simulate(lower(g), {"input": x.numpy()}) for g in (graph, noted))
    np.testing.assert_array_equal(zero.spikes["0"], stored.spikes["0"])
    np.testing.assert_array_equal(stored.v["0"], mem)
    assert stored.spikes["0"].any() and (zero.v["0"] != mem).any()


def test_neurons_without_memory_do_not_join_a_loop_of_such_resets() -> None:
    """What the rule does to the step after a spike, a maximum in the same loop must not do."""
    eye = np.eye(4)
    nodes = {
        "input": nir.Input(np.array([4])),
        "a": with_note(nir.LIF(*(np.full(4, v) for v in (2e-4, 2.0, 0.0, 1.0)), v_reset=np.zeros(4)), "zero_delayed"),
        "ab": nir.Linear(eye),
        "b": nir.Threshold(np.full(4, 0.5)),
        "ba": nir.Linear(eye / 4),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("a", "output")]
    with pytest.raises(UnsupportedError, match=r"the loop of a, b would become one population .* \(none, zero_delayed\)"):
        legalize(lower(nir.NIRGraph(nodes, edges)))
