"""Files of S-CMRL's authors: the converted network computes what a restatement of their code does; every tensor is accounted for."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from cli_calls import Cli
from published_s_cmrl import ALONE, HEADS, Theirs, pictures
from torch import nn

from snnfuse.checkpoints.checkpoint import load_checkpoint
from snnfuse.checkpoints.published import read_published
from snnfuse.hardware.errors import InputError, UnsafeFileError, UnsupportedError
from snnfuse.networks import run

FUSIONS = {"SpatialTemporal": "spatio-temporal", "Spatial": "spatial", "Temporal": "temporal", "add": "add",
           "WeightAttention": "weight-attention", "CMCI": "cmci", "image": "image", "audio": "audio"}  # fmt: skip
GIVEN = {"size": (8, 8), "steps": 4, "heads": HEADS}


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "theirs.pth.tar")
    return folder / "theirs.pth.tar"


def answers(model: nn.Module) -> torch.Tensor:
    """Of a network on the pictures that it reads: both modalities', or one's."""
    by_name = dict(zip(("image", "audio"), pictures(), strict=True))
    with torch.no_grad():
        return run(model, *(by_name[name] for name in model.inputs))


@pytest.mark.parametrize("method", FUSIONS)
def test_outputs_are_those_of_their_code(method: str, tmp_path: Path) -> None:
    theirs, inputs = Theirs(method), pictures()
    found = read_published(saved(theirs.weights, tmp_path), fusion=FUSIONS[method], **GIVEN)
    expected = theirs(*inputs)
    actual = answers(found.model)
    torch.testing.assert_close(actual.mean(0), expected, rtol=1e-5, atol=1e-5)  # spikes are equal: sums of floats by their order only
    assert len({tuple(row) for row in expected.tolist()}) == 3 and found.assumed.keys() == {"alpha"}


@pytest.mark.parametrize("method", FUSIONS)
def test_what_their_forward_reads_is_renamed_and_the_rest_is_dead(method: str, tmp_path: Path) -> None:
    theirs = Theirs(method)
    found = read_published(saved(theirs.weights, tmp_path), fusion=FUSIONS[method], **GIVEN).mapped
    theirs(*pictures())
    dead = {name for names in found.dead.values() for name in names}
    renamed = theirs.weights.keys() - dead
    assert not dead & theirs.read
    training_only = {name for name in renamed - theirs.read if not name.endswith("num_batches_tracked")}
    assert all(method == "CMCI" and name.startswith(("mlp.", "head.1", "head.2")) for name in training_only)


def test_deep_patches_and_what_a_training_of_theirs_says_of_itself(tmp_path: Path) -> None:
    theirs = Theirs("SpatialTemporal", deep=True, image=3)
    said = argparse.Namespace(
        step=4, alpha=1.0, model="AVspikformer", cross_attn=True, attn_method="SpatialTemporal", modality="audio-visual"
    )
    wrapped = {f"module.{name}": value for name, value in theirs.weights.items()}
    path = saved(
        {"epoch": 3, "arch": "AVspikformer", "state_dict": wrapped, "optimizer": {"state": {}}, "args": said, "metric": 70.0}, tmp_path
    )
    found = read_published(path, size=(32, 32), heads=HEADS)
    assert found.model.config.alpha == 1.0 and found.model.config.patches == "deep" and not found.assumed
    inputs = pictures(3, size=32)
    with torch.no_grad():
        scores = run(read_published(path, size=(32, 32), heads=HEADS, alpha=1.5).model, *inputs).mean(0)
    torch.testing.assert_close(scores, theirs(*inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["exact", "causal"])
@pytest.mark.parametrize("method", ["SpatialTemporal", *ALONE])
def test_other_forms_have_the_same_weights(method: str, form: str, tmp_path: Path) -> None:
    path, given = saved(Theirs(method).weights, tmp_path), {"fusion": FUSIONS[method], **GIVEN}
    legacy, other = read_published(path, **given).model, read_published(path, form=form, **given).model
    own = dict(other.named_parameters())
    assert own.keys() == dict(legacy.named_parameters()).keys()
    assert all(torch.equal(value, own[name]) for name, value in legacy.named_parameters())
    if method == "SpatialTemporal":
        assert float(other.late.image.neurons.threshold) == 1.0 and float(legacy.late.image.neurons.threshold) < 2.0
    assert not torch.equal(answers(legacy), answers(other))


@pytest.mark.parametrize("method", ALONE)
def test_one_modality_says_in_its_training_which_it_is_and_every_tensor_is_renamed_or_dead(method: str, snn: Cli, tmp_path: Path) -> None:
    theirs, output = Theirs(method), tmp_path / "model.pt"
    bare = snn("convert", "s-cmrl", saved(theirs.weights, tmp_path), "-o", output)
    assert bare.code == 2 and "do not say which: pass fusion='image' or fusion='audio'" in bare.err
    said = argparse.Namespace(step=4, model="spikformer", modality={"image": "visual"}.get(method, method))
    path = saved({"state_dict": theirs.weights, "args": said}, tmp_path)
    done = snn("convert", "s-cmrl", path, "-o", output, "--image-size", "8x8", "--heads", str(HEADS), "--json", "-")
    assert done.code == 0, done.err
    result, expected = json.loads(done.out), theirs(*pictures())
    dead = {name for names in result["dead"].values() for name in names}
    assert dead == theirs.weights.keys() - theirs.read - {name for name in theirs.weights if name.endswith("num_batches_tracked")}
    assert dead.isdisjoint(result["names"]) and dead | result["names"].keys() >= theirs.weights.keys()
    assert {name for name in dead if "norm" in name} == {f"block.0.norm{n}.{part}" for n in (1, 2) for part in ("weight", "bias")}
    assert all(name in done.err for name in dead)
    model = load_checkpoint(output)
    assert model.inputs == (method,) and model.config.steps == 4
    torch.testing.assert_close(answers(model).mean(0), expected, rtol=1e-5, atol=1e-5)


def test_the_command_writes_a_checkpoint_and_lists_every_dead_tensor(snn: Cli, tmp_path: Path) -> None:
    theirs = Theirs("SpatialTemporal")
    path, output = saved(theirs.weights, tmp_path), tmp_path / "model.pt"
    done = snn("convert", "s-cmrl", path, "-o", output, "--image-size", "8x8", "--time-steps", "4", "--heads", str(HEADS), "--json", "-")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    dead = [name for names in result["dead"].values() for name in names]
    assert len(dead) + sum(name in theirs.weights for name in result["names"]) == len(theirs.weights)
    assert all(name in done.err for name in dead)
    with torch.no_grad():
        torch.testing.assert_close(run(load_checkpoint(output), *pictures()).mean(0), theirs(*pictures()), rtol=1e-5, atol=1e-5)
    again = snn("convert", "s-cmrl", path, "-o", path)
    assert again.code == 2 and "is the file that is read" in again.err


def changed(method: str, **tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    weights = {**Theirs(method).weights, **{name.replace("__", "."): value for name, value in tensors.items()}}
    return {name: value for name, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("weights", "given", "error", "words"),
    [
        (lambda: changed("Spatial"), {}, InputError, "fusion='spatial' or fusion='temporal'"),
        (lambda: changed("SpatialTemporal"), {"fusion": "spatial"}, InputError, "weights of spatio-temporal, not of 'spatial'"),
        (lambda: changed("SpatialTemporal", block__0__trans_linear__weight=None), {}, UnsupportedError, "without --contrastive"),
        (lambda: changed("SpatialTemporal", block__1__attn__rpb_lif__threshold=torch.ones(())), {}, UnsupportedError, "SCA"),
        (lambda: changed("SpatialTemporal", head__weight=torch.zeros(3, 32)), {}, UnsupportedError, "--interaction Concat"),
        (lambda: changed("SpatialTemporal", mlp__0__mlp__fc1_lif__threshold=torch.tensor(0.5)), {}, UnsupportedError, "fc1_lif.threshold"),
        (lambda: changed("SpatialTemporal", extra__weight=torch.ones(2)), {}, InputError, "extra.weight"),
        (lambda: changed("SpatialTemporal", mlp__1__mlp__fc2_bn__bias=None), {}, InputError, "lack mlp.1.mlp.fc2_bn.bias"),
        (lambda: {"fc.weight": torch.ones(2, 2)}, {}, InputError, "no weights of S-CMRL"),
    ],
)  # fmt: skip
def test_what_cannot_be_restated_is_refused_by_name(weights, given, error, words, tmp_path: Path) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")):
        read_published(saved(weights(), tmp_path), **{**GIVEN, **given})


class Harmful:
    def __reduce__(self) -> tuple:
        return (print, ("run",))


def test_nothing_of_a_file_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = argparse.Namespace(step=4, harm=Harmful())
    with pytest.raises(UnsafeFileError):
        read_published(saved({"state_dict": Theirs("SpatialTemporal").weights, "args": said}, tmp_path), **GIVEN)
    assert "run" not in capsys.readouterr().out
