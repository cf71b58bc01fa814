"""Feature-space measures against known geometry, and the modality report against runs made by hand."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from s_cmrl_networks import lively, pictures
from snntorch import SpikingNeuron

from snnfuse.compile.settings import DEFAULTS
from snnfuse.compile.tracing import trace_module
from snnfuse.data import corruptions
from snnfuse.data.samples import Samples, draw_samples
from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.energy import estimate_energy
from snnfuse.hardware.errors import CalibrationWarning, InputError
from snnfuse.measures import (
    Condition,
    Deployed,
    angles,
    conditions_for,
    discriminate,
    embedding_nodes,
    measure_modalities,
    of_graph,
    of_model,
)
from snnfuse.measures import runs as runs_module
from snnfuse.networks import build
from snnfuse.networks import run as through_time

SMALL = {"image": [1, 8, 8], "audio": 80, "channels": [4, 4], "hidden": [24], "embedding": 16, "fused": 16}


# ---- angles -------------------------------------------------------------------------------------------------------------------------


def test_identical_samples_of_orthogonal_classes() -> None:
    found = discriminate(np.repeat(3 * np.eye(4), 5, 0), np.repeat(np.arange(4), 5))
    assert (found.compactness, found.separability, found.smallest) == (0, 90, 90)
    assert found.fisher is None and (found.samples, found.silent, found.classes) == (20, 0, 4)


def test_length_is_no_matter_and_the_nearest_classes_are_named() -> None:
    directions = np.array([[1.0, 0], [1, 1], [0, 1]])  # 45, 45 and 90 degrees apart
    embeddings = np.concatenate([directions * k for k in (1, 2, 7)])
    found = discriminate(embeddings, np.tile([2, 5, 9], 3))
    assert found.compactness == pytest.approx(0, abs=1e-6)
    assert found.separability == pytest.approx(60) and found.smallest == pytest.approx(45)
    assert found.nearest in ((2, 5), (5, 9))
    assert found == discriminate(embeddings * np.linspace(1, 9, 9)[:, None], np.tile([2, 5, 9], 3))


def test_compactness_is_the_spread_about_the_mean_direction() -> None:
    def at(degrees: list[float]) -> np.ndarray:
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1)

    found = discriminate(at([-10, 10, 80, 100]), np.array([0, 0, 1, 1]))
    assert found.compactness == pytest.approx(10) and found.separability == pytest.approx(90)
    wide = discriminate(at([-30, 30, 60, 120]), np.array([0, 0, 1, 1]))
    assert wide.compactness == pytest.approx(30) and wide.fisher < found.fisher
    # two classes, means c = cos 10 on each axis: between 4 c^2 / 2, within 4 (1 - c^2)
    c2 = np.cos(np.radians(10)) ** 2
    assert found.fisher == pytest.approx(2 * c2 / (4 * (1 - c2)))


def test_silent_samples_are_left_out_and_counted() -> None:
    embeddings = np.array([[1.0, 0], [0, 0], [0, 2], [0, 0], [0, 0]])
    found = discriminate(embeddings, np.array([0, 0, 1, 1, 2]))
    assert (found.samples, found.silent, found.classes) == (5, 3, 2)
    assert (found.compactness, found.separability) == (0, 90)


def test_nothing_to_measure() -> None:
    silent = discriminate(np.zeros((4, 3)), np.arange(4))
    assert (silent.silent, silent.classes) == (4, 0)
    assert silent.compactness is None and silent.separability is None and silent.nearest is None and silent.fisher is None
    one = discriminate(np.ones((4, 3)), np.zeros(4, int))
    assert one.compactness == 0 and one.separability is None and one.fisher is None
    for embeddings, labels in ((np.zeros((0, 3)), np.zeros(0)), (np.ones((2, 3)), np.zeros(3)), (np.full((1, 2), np.nan), np.zeros(1))):
        with pytest.raises(InputError, match="finite numbers"):
            discriminate(embeddings, labels)


def test_angles_are_exact_where_it_matters() -> None:
    x = np.random.default_rng(0).random((50, 64))
    assert (angles(x, x) == 0).all()
    assert angles(np.array([[3.0, 0]]), np.array([[0, 0.1]]))[0] == 90
    assert angles(np.array([[1.0, 0]]), np.array([[-2.0, 0]]))[0] == 180


# ---- a network ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    """The small network, its batch norms measured and biased so that every layer spikes."""
    torch.manual_seed(0)
    made = build("fd-fusion", SMALL)
    samples = draw_samples("av-digits", 200)
    for module in made.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.bias, 0.4)
    from snnfuse.networks import run_folded

    for _ in range(20):
        run_folded(made, *[torch.from_numpy(samples.inputs[name]) for name in made.inputs])
    return made.eval()


@pytest.fixture(scope="module")
def samples() -> Samples:
    return draw_samples("av-digits", 40, part="test")


@pytest.fixture(scope="module")
def graph(model: torch.nn.Module, samples: Samples):
    return trace_module(model, samples.shapes, DEFAULTS)[0]


@pytest.fixture(scope="module")
def program(graph, samples: Samples) -> Program:
    return quantize(graph, calibration=samples.inputs)


def test_embeddings_are_found_by_what_reaches_them(program: Program) -> None:
    assert embedding_nodes(program) == {"image": "vision.9", "audio": "audio.5", "fused": "head.3"}
    assert embedding_nodes(program, {"mine": "vision.2"}) == {"mine": "vision.2"}
    with pytest.raises(InputError, match="'vision.3' is no layer"):
        embedding_nodes(program, {"mine": "vision.3"})


@pytest.mark.parametrize("fusion", ["spatio-temporal", "spatial", "add"])
def test_where_each_modality_reads_the_other_an_embedding_is_of_its_own_input(fusion: str) -> None:
    """Keys and values that a modality asks of the other lie beside its own queries, and their sums after them: no embeddings of either."""
    model = lively(fusion=fusion)
    inputs = dict(zip(model.inputs, pictures(model), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        found = quantize(to_nir(model, tuple(x[0] for x in inputs.values())), {name: x.numpy() for name, x in inputs.items()})
    early = "" if fusion == "add" else "early."
    assert embedding_nodes(found) == {"image": f"{early}image.stages.1.3", "audio": f"{early}audio.stages.1.3"}
    for name, node in embedding_nodes(found).items():  # against runs: it changes with its own input and with no other
        changed = {n: 1 - x.numpy() if n != name else x.numpy() for n, x in inputs.items()}
        same, other = (emulate(found, found.encode(x), "all").spikes[node] for x in ({n: x.numpy() for n, x in inputs.items()}, changed))
        assert same.any() and (same == other).all()


def test_spikes_of_neurons_that_give_their_potentials_too_are_counted() -> None:
    torch.manual_seed(0)
    model = build("fd-fusion", SMALL | {"l2": "membrane"}).eval()
    x = {
        "image": np.random.default_rng(0).random((6, 3, 1, 8, 8), np.float32) * 4,
        "audio": np.random.default_rng(1).random((6, 3, 80), np.float32),
    }
    found = of_model(model)(x)
    per_step: list[torch.Tensor] = []
    neurons = model.get_submodule("vision.2")
    handle = neurons.register_forward_hook(lambda _, __, spikes: per_step.append(spikes[0] if isinstance(spikes, tuple) else spikes))
    with torch.no_grad():
        through_time(model, *(torch.from_numpy(x[name]) for name in model.inputs))
    handle.remove()
    assert (found.counts["vision.2"] == torch.stack(per_step).sum(0).numpy()).all() and found.counts["vision.2"].any()
    potentials = [name for name, module in model.named_modules() if isinstance(module, SpikingNeuron) and module.output]
    assert potentials and set(potentials) <= set(found.counts)


def test_float_runs_of_graph_and_model_agree(model, graph, program: Program, samples: Samples) -> None:
    one, other = of_graph(graph, program)(samples.inputs), of_model(model)(samples.inputs)
    assert set(one.counts) == set(other.counts) == set(program.neurons)
    assert all(counts.any() for counts in one.counts.values()), "a silent layer would show nothing"
    differ = sum(int((one.counts[name] != other.counts[name]).sum()) for name in one.counts)
    assert differ <= 2e-3 * sum(counts.size for counts in one.counts.values())  # float64 against float32 at a threshold
    np.testing.assert_array_equal(other.scores, other.counts["head.5"])


def test_runs_do_not_depend_on_blocks(graph, model, program: Program, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    runners = (of_graph(graph, program), of_model(model), lambda x: Deployed(program)(x)[0])
    whole = [run(samples.inputs) for run in runners]
    energy = Deployed(program)(samples.inputs)[1]["energy"]
    monkeypatch.setattr(runs_module, "BLOCK_BYTES", 1 << 17)
    for run, expected in zip(runners, whole):
        found = run(samples.inputs)
        np.testing.assert_array_equal(found.scores, expected.scores)
        for name, counts in expected.counts.items():
            np.testing.assert_array_equal(found.counts[name], counts)
    for name, span in Deployed(program)(samples.inputs)[1]["energy"].items():
        np.testing.assert_allclose(span, energy[name])


def test_the_report_is_what_runs_by_hand_give(graph, program: Program, samples: Samples) -> None:
    noisy = Condition("image noise", "image", 0.5)
    conditions = (Condition("clean"), Condition("missing", "image"), Condition("late", "audio", 2), noisy)
    runners = {"floats": of_graph(graph, program), "deployed": Deployed(program)}
    found = measure_modalities(lambda snr: samples, conditions, embeddings=embedding_nodes(program), seed=7, **runners)
    image, audio = samples.inputs["image"], samples.inputs["audio"]
    by_hand = (
        {"image": image, "audio": audio},
        {"image": np.zeros_like(image), "audio": audio},
        {"image": image, "audio": corruptions.late(audio, 2)},
        {"image": corruptions.image_noise(image, 0.5, 7), "audio": audio},
    )
    assert [row["name"] for row in found["rows"]] == ["clean", "image missing", "audio: late 2", "image: image noise 0.5"]
    for row, inputs in zip(found["rows"], by_hand):
        recording = emulate(program, program.encode(inputs), "all")
        spikes = {name: int(recording.spikes[name].sum()) for name in program.neurons}
        assert row["samples"] == 40 and row["deployed"]["accuracy"] == (program.decode(recording) == samples.labels).mean()
        assert row["deployed"]["layers"] == {name: total / 40 for name, total in spikes.items()}
        assert row["deployed"]["spikes"] == pytest.approx(sum(spikes.values()) / 40)
        models = estimate_energy(program, program.encode(inputs)).models
        for model in [each for each in models if each.layers]:
            np.testing.assert_allclose(row["deployed"]["energy"][model.model], model.dynamic_uj)
        floats = simulate(lower(graph, program.dt), inputs).spikes
        assert row["float"]["accuracy"] == (floats["head.5"].sum(0).argmax(1) == samples.labels).mean()
        assert row["float"]["layers"] == {name: floats[name].sum() / 40 for name in program.neurons}
    clean = emulate(program, program.encode(by_hand[0]), "all")
    for row in found["features"]:
        assert row["deployed"] == discriminate(clean.spikes[row["node"]].sum(0), samples.labels).to_json()
    assert [row["embedding"] for row in found["features"]] == ["image", "audio", "fused"]


def test_values_beyond_the_payload_are_counted(program: Program, samples: Samples) -> None:
    loud = samples.inputs | {"audio": 3 * samples.inputs["audio"]}
    limit = program.inputs["audio"].limit
    beyond = int((np.abs(np.rint(loud["audio"] / program.inputs["audio"].scale)) > limit).sum())
    assert Deployed(program, None)(loud)[1] == {"energy": None, "saturated": {"audio": beyond}} and beyond > 0


def test_a_program_alone_and_a_graph_alone(graph, program: Program, samples: Samples) -> None:
    (only,) = measure_modalities(lambda snr: samples, [Condition("clean")], floats=None, deployed=Deployed(program))["rows"]
    assert only["float"] is None and only["deployed"]["spikes"] > 0
    (other,) = measure_modalities(lambda snr: samples, [Condition("clean")], floats=of_graph(graph, program), deployed=None)["rows"]
    assert other["deployed"] is None and other["float"]["spikes"] > 0


def test_labels_are_needed(program: Program, samples: Samples) -> None:
    bare = Samples(samples.inputs, None, "bare.npz")
    with pytest.raises(InputError, match="bare.npz: accuracy needs labels"):
        measure_modalities(lambda snr: bare, [Condition("clean")], floats=None, deployed=Deployed(program))


# ---- conditions ---------------------------------------------------------------------------------------------------------------------


def test_conditions_suit_what_a_sensor_sends(samples: Samples) -> None:
    kinds = {(c.input, c.kind) for c in conditions_for(samples.inputs)}
    assert kinds == {
        (None, "clean"), *(("image", kind) for kind in ("missing", "image noise", "occlusion", "late")),
        *(("audio", kind) for kind in ("missing", "feature noise", "late")),
    }  # fmt: skip
    heard = {c.kind for c in conditions_for(samples.inputs, recordings=("audio",)) if c.input == "audio"}
    assert heard == {"missing", "recording noise", "late"}
    events = {c.kind for c in conditions_for({"x": (np.random.default_rng(0).random((6, 2, 2, 8, 8)) < 0.5).astype(np.float32)})}
    assert events == {"clean", "event noise", "late"}, "its only sensor cannot be missing"
    counts = {c.kind for c in conditions_for({"x": np.random.default_rng(0).integers(0, 4, (6, 2, 2, 8, 8)).astype(np.float32)})}
    assert counts == events, "noise of features would cut them to one"
    late = [c.level for c in conditions_for({"x": np.zeros((2, 1, 3), np.float32)}) if c.kind == "late"]
    assert late == [1], "later than the window would be missing"


@pytest.mark.parametrize("of", [("missing",), ("clean", "image"), ("late", "image"), ("missing", "image", 1.0), ("fog", "image", 1.0)])
def test_conditions_that_mean_nothing_are_refused(of: tuple) -> None:
    with pytest.raises(InputError, match="goes with|no such condition"):
        Condition(*of)


def test_a_condition_of_no_input(samples: Samples) -> None:
    with pytest.raises(InputError, match="no input 'radar'; there are image, audio"):
        Condition("missing", "radar").apply(samples.inputs, 0)
    noisy = Condition("recording noise", "audio", 0.0)
    assert noisy.snr_db == 0.0 and noisy.apply(samples.inputs, 0)["audio"] is samples.inputs["audio"]


def test_measures_need_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, snnfuse.measures, snnfuse.data.corruptions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
