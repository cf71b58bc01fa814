"""Checkpoints of networks in the chip's arithmetic, from training to a bundle: the integers stay those that were trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from cli_calls import Cli
from quantization_graphs import chain, cuba, lif

import snnfuse
from snnfuse import data, training
from snnfuse.checkpoints.checkpoint import read_metadata
from snnfuse.compile import accuracy as accuracies
from snnfuse.compile import compile, source_of
from snnfuse.data.samples import draw_samples
from snnfuse.export import read_bundle
from snnfuse.export.targets import LAVA
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.errors import InputError
from snnfuse.nn import FixedPointNetwork, quantization_aware
from snnfuse.training import Recipe, fine_tune

STEPS, BATCH = 20, 12


def assert_equal(a: Program, b: Program) -> None:
    """Node for node and weight for weight."""
    assert a.nodes.keys() == b.nodes.keys() and len(a.connections) == len(b.connections) and a.dt == b.dt
    for name in a.nodes:
        for field, value in vars(a.nodes[name]).items():
            assert np.array_equal(value, getattr(b.nodes[name], field)), (name, field)
    for ours, theirs in zip(a.connections, b.connections):
        assert (ours.source, ours.target, ours.delay, ours.lag) == (theirs.source, theirs.target, theirs.delay, theirs.lag)
        assert (ours.synapse.exponent, ours.synapse.bits) == (theirs.synapse.exponent, theirs.synapse.bits)
        assert np.array_equal(ours.synapse.values, theirs.synapse.values)


@pytest.fixture(params=[False, True], ids=["scales kept", "scales learnt"])
def trained(request: pytest.FixtureRequest) -> tuple[FixedPointNetwork, np.ndarray]:
    """A network with biases in voltage and current and a graded input, after real updates; and inputs for it."""

    rng = np.random.default_rng(0)
    first = nir.Affine(rng.normal(0, 0.4, (10, 12)), rng.normal(0, 0.1, 10))
    graph = chain(first, lif(10, 0.9), nir.Affine(rng.normal(0, 0.6, (4, 10)), rng.normal(0, 0.2, 4)), cuba(4, 0.5, 0.8), size=12)
    x = rng.normal(0, 1, (STEPS, BATCH, 12))
    net = quantization_aware(graph, x, weight_bits={"n1": 3, "n3": (2, 4)}, reset="subtract", learn_scales=request.param)
    optimiser = torch.optim.Adam(net.parameter_groups(0.1))
    for _ in range(3):
        loss = net(torch.from_numpy(x)).mean((0, 1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net, x


def test_a_checkpoint_brings_every_integer_back(trained: tuple[FixedPointNetwork, np.ndarray], tmp_path: Path) -> None:
    net, x = trained
    snnfuse.save_checkpoint(net, tmp_path / "q.pt", metadata={"made": "here"})
    assert torch.load(tmp_path / "q.pt", weights_only=True)["architecture"] == "fixed-point"
    loaded = snnfuse.load_checkpoint(tmp_path / "q.pt")
    assert read_metadata(tmp_path / "q.pt") == {"made": "here"}
    assert_equal(loaded.program(), net.program())
    assert loaded.program().ledger == net.program().ledger
    with torch.no_grad():
        assert torch.equal(loaded(torch.from_numpy(x)), net(torch.from_numpy(x)))


def test_the_compiled_program_is_the_trained_one(trained: tuple[FixedPointNetwork, np.ndarray]) -> None:
    net, x = trained
    samples = snnfuse.data.samples.Samples({"input": x}, None, "here")
    compiled = compile(source_of(net), samples, target=LAVA)
    assert_equal(compiled.program, net.program())
    entries = {(e.node, e.change.split(",")[0]): e.effect for e in compiled.program.ledger}
    assert entries["n1", "weights trained in 3 bits"].startswith("against the float network before fine-tuning: ")
    assert ("n3", "weights trained in 2 bits where excitatory and 4 where inhibitory") in entries


def break_graph(content: dict[str, Any]) -> None:
    content["state_dict"]["graph"] = content["state_dict"]["graph"][:100]


def lose_graph(content: dict[str, Any]) -> None:
    del content["state_dict"]["graph"]


def lose_layer(content: dict[str, Any]) -> None:
    config = json.loads(content["config"])
    del config["layers"]["n1"]
    content["config"] = json.dumps(config)


def widen(content: dict[str, Any]) -> None:
    config = json.loads(content["config"])
    config["layers"]["n1"]["scale"] = 1e9
    content["config"] = json.dumps(config)


def lose_weight(content: dict[str, Any]) -> None:
    del content["state_dict"]["layers.0.weights.0"]


DAMAGES = [
    (break_graph, "no readable NIR graph"),
    (lose_graph, "lacks 'graph'"),
    (lose_layer, "lacks 'n1'"),
    (widen, "does not fit its graph"),
    (lose_weight, "missing layers.0.weights.0"),
    (lambda content: content.update(config="[]"), "damaged"),
]


@pytest.mark.parametrize("damage, message", DAMAGES)
def test_damage_is_named(
    trained: tuple[FixedPointNetwork, np.ndarray], tmp_path: Path, damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    snnfuse.save_checkpoint(trained[0], tmp_path / "q.pt")
    content = torch.load(tmp_path / "q.pt", weights_only=True)
    damage(content)
    torch.save(content, tmp_path / "q.pt")
    with pytest.raises(InputError, match=message):
        snnfuse.load_checkpoint(tmp_path / "q.pt")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[training.Trained, training.Trained, data.AudioVisual]:
    """An audio network with snnTorch's default reset, and the same in two bits with reset to zero."""
    digits = data.load("av-digits")
    neuron = {"beta": 0.95, "reset": "subtract", "reset_delay": True}
    model = training.train(digits, Recipe(epochs=3), modality="audio", neuron=neuron, audio_neuron=neuron)
    return model, fine_tune(model.model, digits, Recipe(epochs=3, lr=0.02), weight_bits=2, reset="zero"), digits


def test_fine_tuning_towards_another_reset_recovers_the_accuracy(
    tuned: tuple[training.Trained, training.Trained, data.AudioVisual],
) -> None:
    model, found, digits = tuned
    assert not any(isinstance(module, FixedPointNetwork) for module in model.model.modules())
    untrained = quantization_aware(model.model, training.calibration_of(model.model, digits, 0), weight_bits=2, reset="zero")
    assert found.accuracy > training.evaluate(untrained, digits.test)
    assert found.accuracy > model.accuracy - 0.03
    assert {node.reset for node in found.model.program().neurons.values()} == {"zero"}


def test_the_whole_test_set_is_the_same_on_the_emulator(tuned: tuple[training.Trained, training.Trained, data.AudioVisual]) -> None:
    _, found, _ = tuned
    test = draw_samples("av-digits", 10**9, part="test").named(found.model.inputs)
    program = found.model.program()
    recording = emulate(program, program.encode(test.inputs), "all", states=True)
    with torch.no_grad():
        run = found.model.run({name: torch.from_numpy(x) for name, x in test.inputs.items()}, states=True)
    for name in program.neurons:
        assert np.array_equal(run.spikes[name].numpy(), recording.spikes[name])
        assert np.array_equal(run.v[name].numpy(), recording.states[name]["v"])
    assert accuracies.program_accuracy(program, recording, test) == found.accuracy


def test_fine_tuning_twice_is_refused(tuned: tuple[training.Trained, training.Trained, data.AudioVisual]) -> None:
    with pytest.raises(InputError, match="already"):
        fine_tune(tuned[1].model, tuned[2])


def test_from_training_to_a_bundle(snn: Cli, tmp_path: Path) -> None:
    few = ("--data", "av-digits", "--modality", "audio", "--epochs", 1)
    assert snn("train", "fd-fusion", *few, "-o", "float.pt").code == 0
    done = snn("train", "--from", "float.pt", "--qat", 4, "--qat-epochs", 1, "-o", "q.pt", "--json", "-")
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["weight_bits"] == 4 and figures["data"] == "av-digits" and figures["modality"] == "audio"
    assert figures["float"]["test_accuracy"] == training.evaluate(snnfuse.load_checkpoint("float.pt"), data.load("av-digits").test)
    done = snn("export", "-v", "q.pt", "--target", "loihi2", "-o", "bundle")
    assert done.code == 0, done.err
    assert "weights trained in 4" in " ".join(done.out.split())
    assert_equal(read_bundle("bundle").program, snnfuse.load_checkpoint("q.pt").program())
    for options in (("--weight-bits", 3), ("--reset", "zero"), ("--max-groups", 1), ("--search",)):
        done = snn("export", "-v", "q.pt", "--target", "loihi2", "-o", "other", *options)
        assert done.code == 2 and f"{options[0]} has no effect" in done.err
    done = snn("export", "-v", "q.pt", "--target", "nir", "-o", "other")
    assert done.code == 2 and "has no float graph" in done.err


def test_both_trainings_in_one_command(snn: Cli) -> None:
    few = ("--data", "av-digits", "--modality", "audio", "--epochs", 1, "--qat", 4, "--qat-epochs", 1)
    done = snn("train", "fd-fusion", *few, "-o", "q.pt")
    assert done.code == 0, done.err
    assert "audio: 4-bit fixed-point test accuracy" in done.out
    assert isinstance(snnfuse.load_checkpoint("q.pt"), FixedPointNetwork)


WRONG = [
    ((), "give NETWORK"),
    (("fd-fusion", "--from", "x.pt", "--qat", 4), "not both"),
    (("--from", "x.pt"), "x.pt"),
    (("fd-fusion",), "--data NAME is missing"),
    (("--from", "x.pt", "--qat", 4), "x.pt"),
    (("fd-fusion", "--data", "av-digits", "--qat", 9), "--qat"),
]


@pytest.mark.parametrize("arguments, message", WRONG)
def test_contradictions_are_refused(snn: Cli, arguments: tuple, message: str) -> None:
    done = snn("train", *arguments, "-o", "q.pt")
    assert done.code == 2 and message in done.err, done.err
    assert not Path("q.pt").exists()
