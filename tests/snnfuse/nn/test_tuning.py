"""Repair without labels: outputs that come nearer, on the same grids, in integers that every backend agrees on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, cuba, lif

from snnfuse.compile import Settings, compile, source_of
from snnfuse.compile.tuning_folder import TuningFolder
from snnfuse.export.quantization import quantize_network
from snnfuse.export.quantization.output_search import Judge
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.reading import EACH_OWN
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import emulate
from snnfuse.hardware.backends.reference import emulate as by_reference
from snnfuse.hardware.errors import InputError
from snnfuse.nn.tuning import Tuning, tune
from snnfuse.report import screen, verdict

INPUTS = 16


def graph() -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    layers = [nir.Affine(rng.normal(0.05, 0.4, (24, INPUTS)), rng.normal(0, 0.1, 24)), cuba(24, 0.5, 0.8)]
    return chain(*layers, nir.Linear(rng.normal(0.02, 0.4, (6, 24))), lif(6, 0.9), size=INPUTS)


@pytest.fixture(scope="module")
def compiled() -> list:
    x = binary(20, 24, INPUTS)
    return [compile(source_of(graph()), x, Settings(weight_bits=3, max_groups=1, tune=tune)) for tune in (False, True)]


@pytest.mark.slow
def test_it_is_in_the_ledger_with_its_gain_and_no_weight_leaves_its_grid(compiled: list) -> None:
    plain, tuned = (each.program for each in compiled)
    entries = [entry for entry in tuned.ledger if entry.reason == quantize_network.TUNED]
    assert len(entries) == 1 and "24 samples" in entries[0].effect
    before, after = (float(part.split("outputs are ")[1].split("%")[0]) for part in entries[0].effect.split(" before, "))
    assert after < before
    grids = [[(c.synapse.exponent, c.synapse.bits) for c in each.connections] for each in (plain, tuned)]
    assert grids[0] == grids[1]
    assert any(not np.array_equal(a.synapse.values, b.synapse.values) for a, b in zip(plain.connections, tuned.connections))
    assert any(entry.change.startswith("weights trained in 3 bits") for entry in tuned.ledger)


@pytest.mark.slow
def test_what_comes_out_is_the_same_in_the_reference(compiled: list) -> None:
    program = compiled[1].program
    events = program.encode(binary(30, 3, INPUTS, seed=4))
    found, expected = emulate(program, events, "all", states=True), by_reference(program, events, "all", states=True)
    for name in program.neurons:
        assert np.array_equal(found.spikes[name], expected.spikes[name])
        assert all(np.array_equal(found.states[name][s], expected.states[name][s]) for s in found.states[name])


@pytest.mark.slow
def test_the_verdict_offers_it_where_few_bits_cost_much_and_then_says_what_it_brought(compiled: list) -> None:
    plain, tuned = (" ".join(" ".join(verdict(each.to_json())).split()) for each in compiled)
    assert "(--tune) repairs them" in plain and "--tune" not in tuned
    assert "tuned towards the float network" in tuned
    assert screen.TUNED == quantize_network.TUNED


def test_a_search_for_bits_excludes_it() -> None:
    with pytest.raises(InputError, match="tune repairs weights of given bits"):
        compile(source_of(graph()), binary(30, 8, INPUTS), Settings(max_drop=0.5, tune=True))


class Killed(TuningFolder):
    """A folder whose process dies as soon as it has written a lesson down."""

    def write(self, identity: str, state: Mapping[str, Any]) -> None:
        super().write(identity, state)
        raise KeyboardInterrupt


def test_a_repair_that_is_killed_after_every_lesson_ends_as_one_that_is_not(tmp_path: Path) -> None:
    settings, how = QuantizationSettings(weight_bits=3, max_groups=1), Tuning(epochs=4)
    context = calibrate(*prepare(graph(), binary(20, 24, INPUTS), settings))
    judge, fits, folder, kills = Judge(context, EACH_OWN, np.arange(24)), fit_all(context, settings), Killed(tmp_path / "kept"), 0
    whole = tune(judge, fits, how)
    while True:
        try:
            found = tune(judge, fits, how, memory=folder)
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills == 4, "two layers, each fed in two ways"
    assert any(whole[name] is not fits[name] for name in fits)
    for name, fit in whole.items():
        assert str(found[name].lif) == str(fit.lif) and found[name].mismatch == fit.mismatch
        for mine, other in zip(found[name].synapses, fit.synapses):
            assert [s.values.tolist() for s in mine] == [s.values.tolist() for s in other]
    file = next(folder.path.iterdir())
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=file.name):
        tune(judge, fits, how, memory=folder)
    folder.clear()
    assert not folder.path.exists()
