"""FD-fusion in full: its residual blocks against an independent reading, its ways to fuse, its L2 rules, its sizes."""

import json
from itertools import pairwise

import numpy as np
import pytest
import snntorch
import torch
from fd_networks import data, enliven, lively, small
from torch import nn
from torch.nn import functional

from snnfuse import networks
from snnfuse.hardware.errors import InputError
from snnfuse.networks import Neuron, Staged
from snnfuse.networks.fd_joining import Sheet
from snnfuse.networks.residual import ActAfterAddition, Standard

BLOCKS, FUSIONS = ("act-after-addition", "standard"), ("smlp", "embedding", "late", "early")
HALF = Neuron(beta=0.5)


def exact_block(kind: type[nn.Module], before: int, after: int, stride: int) -> tuple[nn.Module, torch.Tensor]:
    """Weights that are quarters and a decay of a half, so that no sum is rounded; spikes (20, 3, before, 5, 6)."""
    torch.manual_seed(3)
    block = kind(before, after, stride, HALF).eval()
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = torch.randint(-2, 4, module.weight.shape) / 4
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return block, (torch.rand(20, 3, before, 5, 6) < 0.3).float()


def lif(currents: torch.Tensor) -> torch.Tensor:
    """p = v / 2 + x; s = p > 1; v = 0 where s: over (time, *)."""
    v, spikes = torch.zeros_like(currents[0]), []
    for x in currents:
        p = v / 2 + x
        spikes.append((p > 1).float())
        v = torch.where(p > 1, 0.0, p)
    return torch.stack(spikes)


def conv(x: torch.Tensor, module: nn.Conv2d, stride: int) -> torch.Tensor:
    """A convolution over (time, batch, ...) by torch's function, padded by half its kernel."""
    folded = functional.conv2d(x.flatten(0, 1), module.weight, stride=stride, padding=module.weight.shape[-1] // 2)
    return folded.unflatten(0, x.shape[:2])


@pytest.mark.parametrize("before, after, stride", [(3, 3, 1), (3, 6, 2), (2, 5, 1)])
@pytest.mark.parametrize("kind", [ActAfterAddition, Standard])
def test_a_block_equals_its_equations(kind: type[nn.Module], before: int, after: int, stride: int) -> None:
    block, x = exact_block(kind, before, after, stride)
    inner = conv(lif(conv(x, block.residual[0], stride)), block.residual[3], 1)
    short = x if before == after else conv(x, block.shortcut[0], stride)
    if kind is ActAfterAddition:
        expected, top = lif(inner + short), 1
    else:
        expected, top = lif(inner) + (short if before == after else lif(short)), 2
    with torch.no_grad():
        actual = networks.run(block, x)
    assert torch.equal(actual, expected)
    assert actual.unique().tolist() == list(range(top + 1)), "every value that it may take"


@pytest.mark.parametrize("block, top", [("act-after-addition", 1), ("standard", 3)])
def test_a_stage_gives_what_its_block_says(block: str, top: int) -> None:
    model, inputs = lively(block=block, blocks=(3, 2))
    seen = []
    model.vision.stages.register_forward_hook(lambda _, args, out: seen.append(out))
    with torch.no_grad():
        networks.run(model, *inputs)
    assert torch.cat(seen).unique().tolist() == list(range(top + 1))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_folded_time_gives_the_same_spikes(block: str, fusion: str) -> None:
    model, inputs = lively(block=block, fusion=fusion)
    with torch.no_grad():
        one, other = networks.run(model, *inputs), networks.run_folded(model, *inputs)
    assert torch.equal(one, other) and one.any()
    assert one.shape == (6, 5, 4) and set(one.unique().tolist()) <= ({0.0, 1.0, 2.0} if fusion == "late" else {0.0, 1.0})


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_learns(fusion: str) -> None:
    model = small(fusion=fusion, dropout=0.0).train()
    inputs = data(model)
    networks.run_folded(model, *inputs).sum(0).pow(2).sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_late_fusion_adds_the_counts_of_two_unimodal_networks() -> None:
    model, inputs = lively(fusion="late")
    total = 0
    for name, x in zip(("vision", "audio"), inputs, strict=True):
        alone = small(modality=name).eval()
        state = {**alone.state_dict(), **{k: v for k, v in model.state_dict().items() if k in alone.state_dict() and "head" not in k}}
        state |= {f"head.{k}": v for k, v in getattr(model.head, name).state_dict().items()}
        alone.load_state_dict(state)
        with torch.no_grad():
            total = total + networks.run(alone, x)
    with torch.no_grad():
        assert torch.equal(networks.run(model, *inputs), total) and total.any()


@pytest.mark.parametrize("features, height, width", [(144, 28, 28), (14, 9, 10), (1, 3, 3), (7, 2, 3), (100, 4, 9), (3, 1, 8)])
def test_a_sheet_holds_every_feature(features: int, height: int, width: int) -> None:
    sheet = Sheet(features, height, width)
    audio = torch.arange(1.0, 2 * features + 1).reshape(2, features)
    joined = sheet(torch.full((2, 3, height, width), -1.0), audio)
    assert joined.shape == (2, 3 + sheet.channels, height, width) and (joined[:, :3] == -1).all()
    for sample, given in zip(joined[:, 3:], audio, strict=True):
        assert {*given.tolist()} <= {*sample.unique().tolist()} <= {0.0, *given.tolist()}


@pytest.mark.parametrize("rule", ["per-step", "membrane"])
def test_the_l2_rule_gives_embeddings_of_its_length(rule: str) -> None:
    model, inputs = lively(l2=rule, l2_scale=3.0)
    lengths = []
    for layer in (model.vision_l2, model.audio_l2):
        layer.register_forward_hook(lambda _, args, out: lengths.append(out.norm(dim=1)))
    with torch.no_grad():
        networks.run(model, *inputs)
    found = torch.cat(lengths)
    np.testing.assert_allclose(found[found > 0], 3.0, rtol=1e-6)
    assert (found > 0).any()


@pytest.mark.parametrize("modality, fusion", [("fusion", f) for f in FUSIONS] + [("vision", "smlp"), ("audio", "smlp")])
def test_the_host_normalises_as_training_did(modality: str, fusion: str) -> None:
    model, inputs = lively(modality=modality, fusion=fusion)
    other = networks.with_l2(model, "per-step-host")
    assert isinstance(other, Staged) and not other.training
    with torch.no_grad():
        expected = networks.run(model, *inputs)
        assert torch.equal(networks.run(other, *inputs), expected) and torch.equal(networks.run_folded(other, *inputs), expected)
    assert networks.with_l2(other, "per-step").state_dict().keys() == model.state_dict().keys()


def test_a_time_average_is_normalised_once() -> None:
    model, inputs = lively(l2="time-average", l2_scale=3.0)
    read = []
    model.head.register_forward_hook(lambda _, args, out: read.append(torch.cat(args, 1)))
    with torch.no_grad():
        networks.run(model, *inputs)
    counted = networks.with_l2(model, "none")
    with torch.no_grad():
        counts = [networks.run(branch, x).sum(0) for branch, x in zip((counted.vision, counted.audio), inputs, strict=True)]
    wanted = torch.cat([3 * functional.normalize(c) for c in counts], 1)
    np.testing.assert_allclose(read[0], wanted, rtol=1e-6)
    assert all(torch.equal(one, other) for one, other in pairwise(read)), "it is held on every step"


def test_another_rule_moves_weights_and_leaves_the_rest() -> None:
    model = small(l2="per-step").double().train()
    model.vision_l2.running_norm.fill_(3.0)
    model.vision.stem[0].weight.requires_grad_(False)
    before = torch.random.get_rng_state()
    other = networks.with_l2(model, "time-average")
    assert torch.equal(before, torch.random.get_rng_state()) and other.training
    for (name, one), (_, two) in zip(model.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(one, two) and one.dtype == two.dtype and one.data_ptr() != two.data_ptr(), name
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in other.parameters()]


def test_a_rule_that_weights_do_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="make no network with 'membrane'"):
        networks.with_l2(small(), "membrane")
    with pytest.raises(InputError, match="Linear is no fd-fusion network"):
        networks.with_l2(nn.Linear(1, 1), "none")
    with pytest.raises(InputError, match="l2 must be one of"):
        networks.with_l2(small(), "L3")


@pytest.mark.parametrize(
    "config, message",
    [
        ({"vision": "vgg"}, "vision must be one of conv, resnet, not 'vgg'"),
        ({"block": "bottleneck"}, "block must be one of act-after-addition, standard, not 'bottleneck'"),
        ({"fusion": "middle"}, "fusion must be one of smlp, embedding, late, early, not 'middle'"),
        ({"width": 0}, "width must be whole numbers from 1 on, not 0"),
        ({"blocks": (2, 0)}, r"blocks must be whole numbers from 1 on, not \(2, 0\)"),
        ({"blocks": ()}, "blocks must name 1 to 32 stages"),
        ({"stem": (4, 1)}, "the stem's kernel must be odd"),
        ({"stem": (3,)}, "stem must hold 2 numbers"),
        ({"image": (28, 28)}, "image must hold 3 numbers"),
        ({"embedding": 2.5}, "embedding must be whole numbers"),
        ({"classes": True}, "classes must be whole numbers"),
        ({"channels": 8}, "channels must hold 2 numbers, not 8"),
        ({"hidden": 8}, "hidden must hold numbers, not 8"),
        ({"image": "abc"}, "image must hold 3 numbers, not abc"),
        ({"dropout": "0.1"}, r"dropout must lie in \[0, 1\), not be '0.1'"),
        ({"l2_scale": -1.0}, "l2_scale must be positive and finite, not -1.0"),
        ({"l2_scale": "4", "l2": "per-step"}, "l2_scale must be positive and finite, not '4'"),
        ({"neuron": 3}, "neuron must hold the fields of a Neuron, not 3"),
        ({"audio_neuron": None}, "audio_neuron must hold the fields of a Neuron, not None"),
        ({"neuron": {"beta": "x"}}, r"beta must lie in \[0, 1\), not be 'x'"),
        ({"neuron": {"threshold": float("nan")}}, "threshold must be positive and finite, not nan"),
        ({"neuron": {"slope": -1.0}}, "slope must be positive and finite, not -1.0"),
        ({"neuron": {"reset_delay": "yes"}}, "reset_delay must be true or false, not 'yes'"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        networks.build("fd-fusion", config)


def test_a_checkpoint_of_before_means_todays_default() -> None:
    """The configuration that was stored before there were ResNets, and the names of its parameters."""
    old = json.loads(
        '{"modality": "fusion", "image": [1, 28, 28], "audio": 144, "classes": 10, "channels": [8, 16], "hidden": [128], "embedding": 64,'
        '"fused": 64, "dropout": 0.1, "l2": "per-step", "l2_scale": 4.0, "neuron": {"beta": 0.85, "alpha": null, "threshold": 1.0,'
        '"reset": "zero", "reset_delay": false, "slope": 5.0}, "audio_neuron": {"beta": 0.95}}'
    )
    model = networks.build("fd-fusion", old)
    weights = [name for name, p in model.named_parameters() if p.ndim > 1]
    assert weights == [
        *("vision.0.weight", "vision.3.weight", "vision.7.weight"),
        *("audio.0.weight", "audio.3.weight", "head.1.weight", "head.4.weight"),
    ]
    assert "vision_l2.running_norm" in model.state_dict()


def resnet18_parameters(colours: int) -> int:
    """ResNet18 for small images, without its classifier, by hand: 3x3 kernels, two numbers per channel of a batch norm."""
    widths = (64, 128, 256, 512)
    total = colours * 64 * 9 + 2 * 64
    for before, after in zip((64, *widths), widths, strict=False):
        total += before * after * 9 + 3 * after * after * 9 + 4 * 2 * after
        total += 0 if before == after else before * after + 2 * after
    return total


def test_the_full_preset_is_a_resnet18() -> None:
    model = networks.build("fd-fusion", {**networks.preset_config("fd-fusion", "full"), "image": (3, 32, 32), "audio": 128})
    sizes = networks.layer_sizes(model, torch.zeros(1, 3, 32, 32), torch.zeros(1, 128))
    body = [networks.totals(sizes, part) for part in ("vision.stem", "vision.stages")]
    assert sum(parameters for _, parameters in body) == resnet18_parameters(3) == 11_168_832
    assert sum(neurons for neurons, _ in body) == 64 * 32**2 * 5 + 128 * 16**2 * 4 + 256 * 8**2 * 4 + 512 * 4**2 * 4
    assert networks.totals(sizes) == (559_114, sum(p.numel() for p in model.parameters()))


@pytest.mark.parametrize(
    "name, image, neurons, parameters",
    [("small", (1, 28, 28), 2_682, 89_730), ("narrow", (1, 28, 28), 8_138, 117_410), ("narrow-cifar", (3, 32, 32), 19_786, 351_834)],
)
def test_presets_have_their_sizes(name: str, image: tuple[int, ...], neurons: int, parameters: int) -> None:
    model = networks.build("fd-fusion", {**networks.preset_config("fd-fusion", name), "image": image})
    sizes = networks.layer_sizes(model, torch.zeros(1, *image), torch.zeros(1, 144))
    assert networks.totals(sizes) == (neurons, parameters)
    assert parameters == sum(p.numel() for p in model.parameters())
    assert networks.size_table(sizes).splitlines()[-1] == f"| all |  |  | {neurons:,} | {parameters:,} |"


def test_sizes_leave_a_network_as_it_was() -> None:
    model = small(l2="time-average").train()
    sizes = networks.layer_sizes(model, *[x[0] for x in data(model)])
    assert model.training and not any(m._forward_hooks for m in model.modules())
    assert [s.kind for s in sizes if s.neurons] == ["Leaky"] * sum(isinstance(m, snntorch.SpikingNeuron) for m in model.modules())
    assert sizes[0].path == "vision.stem.0" and sizes[0].shape == (3, 9, 10) and sizes[0].parameters == 2 * 3 * 9


def test_a_preset_is_asked_for_by_name() -> None:
    assert set(networks.presets("fd-fusion")) == {"small", "narrow", "narrow-cifar", "full", "esc10"}
    with pytest.raises(InputError, match="fd-fusion has no preset 'huge'; there are small, narrow, narrow-cifar, full, esc10"):
        networks.preset_config("fd-fusion", "huge")
    with pytest.raises(InputError, match="unknown architecture 'x'"):
        networks.presets("x")
    with pytest.raises(ValueError, match="registered twice"):
        networks.preset("fd-fusion", "full", "again")


@pytest.mark.parametrize("image, stem", [((1, 28, 28), (3, 1)), ((3, 64, 48), (7, 2)), ((4, 128, 128), (7, 4)), ((2, 5, 3), (1, 1))])
def test_images_of_any_size_and_channels(image: tuple[int, ...], stem: tuple[int, int]) -> None:
    model = small(modality="vision", image=image, stem=stem, width=2, blocks=(1, 1, 1))
    inputs = data(model, time=2, batch=2, image=image)
    sizes = networks.layer_sizes(model, inputs[0][0])
    height, width = (-(-side // stem[1]) for side in image[1:])
    assert sizes[0].shape == (2, height, width)
    assert next(s for s in reversed(sizes) if len(s.shape) == 3).shape == (8, -(-height // 4), -(-width // 4))
    with torch.no_grad():
        assert networks.run_folded(enliven(model, inputs), *inputs).shape == (2, 2, 4)
