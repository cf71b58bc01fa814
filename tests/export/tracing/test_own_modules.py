"""A user's own torch module, whose neurons NIR lacks: registered in one call, traced, written to a graph, rounded, and run."""

import json
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from own_resonators import Held, Unrolled
from torch import Tensor, nn

from snnfuse.export import lower, quantize, simulate, to_nir, trace_model
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.notes import note_entries
from snnfuse.export.tracing.neurons import kinds
from snnfuse.hardware import ResonateAndFire, compare
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.errors import InputError, UnsupportedError


def inputs(time: int = 60, batch: int = 5) -> np.ndarray:
    return (np.random.default_rng(1).random((time, batch, 6)) < 0.4).astype(np.float64)


def of_torch(x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Unrolled().double()(torch.from_numpy(x)).numpy()


def test_an_unregistered_module_is_looked_into_as_before_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_own", {})
    with pytest.raises((UnsupportedError, InputError), match="turn1"):
        to_nir(Unrolled(), torch.zeros(3, 1, 6))


@pytest.mark.parametrize("model, sample", [(Unrolled, (4, 1, 6)), (Held, (1, 6))])
def test_the_graph_computes_what_the_module_does(model: type[nn.Module], sample: tuple[int, ...], tmp_path: Path) -> None:
    graph, ledger = trace_model(model(), torch.zeros(sample))
    x = inputs()
    assert isinstance(graph.nodes["turn1"], nir.LIF) and json.loads(graph.nodes["turn1"].metadata["snnfuse"])["neuron"] == "ResonateAndFire"
    assert ledger == ()
    (entry,) = (entry for entry in note_entries(graph, {"x": inputs()}) if entry.node == "turn1")
    assert entry.change == "other readers see a nir.LIF in the place of a ResonateAndFire" and "spikes differ where" in entry.effect
    nir.write(tmp_path / "graph.nir", graph)
    for given in (graph, read_graph(tmp_path / "graph.nir")):
        run = simulate(lower(given), {"x": x})
        np.testing.assert_array_equal(run.spikes["turn2"], of_torch(x).astype(bool))
        assert 50 < run.spikes["turn2"].sum() < run.spikes["turn2"].size / 2


def test_it_is_rounded_and_runs_bit_exactly_on_every_backend() -> None:
    x = inputs()
    program = quantize(to_nir(Unrolled(), torch.zeros(4, 1, 6)), x)
    assert isinstance(program.nodes["turn1"], ResonateAndFire) and program.nodes["turn1"].state_exp == 6
    fed = program.encode(x)
    expected = run_on("reference", program, fed, "all", states=True).recording
    for backend in ("emulator", "torch", "lava"):
        found = compare(expected, run_on(backend, program, fed, "all", states=True).recording)
        assert found.mismatches == 0, (backend, found.first)
    wrong, spikes = int((expected.spikes["turn2"] != of_torch(x).astype(bool)).sum()), int(of_torch(x).sum())
    assert wrong < 0.15 * spikes
    assert any(entry.node == "turn1" and "threshold scale" in entry.change for entry in program.ledger)


def test_a_damaged_note_and_one_of_a_kind_that_is_not_registered_are_refused_in_a_line() -> None:
    graph = to_nir(Unrolled(), torch.zeros(4, 1, 6))
    note = json.loads(graph.nodes["turn1"].metadata["snnfuse"])
    for about, message in (
        ("{", "node 'turn1': its metadata: no JSON"),
        (json.dumps({**note, "neuron": "Toy", "module": "their"}), 'type "Toy" is a neuron kind of module "their".*import that module'),
        (json.dumps({**note, "parameters": {"period": 3}}), "node 'turn1': its metadata: alpha: missing"),
        (json.dumps({**note, "parameters": {**note["parameters"], "alpha": None}}), "alpha: holds something else than finite numbers"),
        (json.dumps({**note, "parameters": {**note["parameters"], "period": [3.0, 4.0]}}), "period of shape .2,. does not fit"),
        (json.dumps({**note, "neuron": "Relay"}), "Relay has no form for network"),
    ):
        graph.nodes["turn1"].metadata["snnfuse"] = about
        with pytest.raises((InputError, UnsupportedError), match=message) as caught:
            lower(graph)
        assert "\n" not in str(caught.value)


def test_a_membrane_of_it_is_not_read() -> None:
    class Reads(Held):
        def forward(self, x: Tensor) -> Tensor:
            self.turn2(self.fc2(self.turn1(self.fc1(x))))
            return self.turn2.real

    with pytest.raises(UnsupportedError, match="nothing that NIR can output is returned"):
        to_nir(Reads(), torch.zeros(1, 6))


def test_states_that_are_no_buffers_are_refused() -> None:
    model = Held()
    del model.turn2.real
    model.turn2.real = None
    with pytest.raises(UnsupportedError, match=r"turn2 .Resonators.: its states real, imag are plain attributes; declare each"):
        to_nir(model, torch.zeros(1, 6))
