"""`legacy=True` against the published code's arithmetic, restated over all steps at once in plain torch, faults included."""

import pytest
import torch
from s_cmrl_networks import HEADS, T, on_a_grid, pictures_on_a_grid
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, max_pool2d

from snnfuse.networks import run
from snnfuse.networks.s_cmrl.attention import scrambled


def node(x: Tensor) -> Tensor:
    """The published neuron, (T, ...): v += (x - v) / 2, a spike at 1 and above, back to 0. No threshold of 0.5 reaches it."""
    v, spikes = torch.zeros_like(x[0]), []
    for now in x:
        v = v + (now - v) / 2
        spikes.append((v >= 1).float())
        v = v * (1 - spikes[-1])
    return torch.stack(spikes)


def layer(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, padding: int) -> Tensor:
    """Convolution, norm, neurons: (T, batch, C, height, width)."""
    y = conv2d(x.flatten(0, 1), convolution.weight, convolution.bias, padding=padding)
    return node((norm.weight[:, None, None] * y + norm.bias[:, None, None]).unflatten(0, x.shape[:2]))


def patches(x: Tensor, part: nn.Module) -> Tensor:
    for convolution, norm, *_ in part.stages:
        x = max_pool2d(layer(x, convolution, norm, 1).flatten(0, 1), 3, 2, 1).unflatten(0, x.shape[:2])
    return x + layer(x, part.position[0], part.position[1], 1)


def project(x: Tensor, part: nn.Sequential) -> Tensor:
    return layer(x, part[0], part[1], 0)


def spatial(x: Tensor, y: Tensor, read: nn.Module, attended: nn.Module) -> Tensor:
    q, k, v = (project(z, m).flatten(3).transpose(2, 3) for z, m in ((x, read.q), (y, read.k), (y, read.v)))  # T B N C
    q, k, v = (z.unflatten(3, (HEADS, -1)).transpose(2, 3) for z in (q, k, v))  # T B H N D
    found = 0.25 * ((q @ k.transpose(3, 4)) @ v)
    return project(node(found.transpose(3, 4).reshape(x.shape)), attended.project)


def temporal(x: Tensor, y: Tensor, read: nn.Module, attended: nn.Module) -> Tensor:
    q, k, v = (project(z, m).flatten(3).permute(3, 1, 0, 2) for z, m in ((x, read.q), (y, read.k), (y, read.v)))  # N B T C
    q, k, v = (z.unflatten(3, (HEADS, -1)).transpose(2, 3) for z in (q, k, v))  # N B H T D
    found = 0.25 * ((q @ k.transpose(3, 4)) @ v)
    mistaken = found.reshape(*found.shape[:2], T, -1)  # N B T C, with heads still before time in memory
    return project(node(mistaken.permute(2, 1, 3, 0).reshape(x.shape)), attended.project)


def residual(x: Tensor, y: Tensor, fusion: str, read: nn.Module, attended: nn.Module, part: nn.Module) -> Tensor:
    found = temporal(x, y, read, attended) if fusion != "spatial" else None
    if fusion != "temporal":
        other = spatial(x, y, part.spatial.read, part.spatial.attended)
        found = other if found is None else other.mean((3, 4), keepdim=True) * found.mean(0, keepdim=True)
    mixed = linear(found.expand(x.shape).movedim(2, 4), part.mix.weight[:, :, 0, 0], part.mix.bias)
    return node(mixed.movedim(4, 2))


def perceptron(x: Tensor, part: nn.Sequential) -> Tensor:
    return x + project(project(x, part[0]), part[1])


def published(model: nn.Module, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Class scores (batch, classes), and the image's residual."""
    early, late, fusion = model.early, model.late, model.config.fusion
    x, y = patches(image, early.image), patches(audio, early.audio)
    reads = [getattr(early, f"{name}_temporal", None) for name in ("image", "audio")]
    middle = getattr(model, "middle", None)
    of_image, of_audio = [
        residual(own, other, fusion, getattr(read, "read", None), getattr(middle, name, None), getattr(late, name))
        for name, read, own, other in (("image", reads[0], x, y), ("audio", reads[1], y, x))
    ]
    seen, heard = perceptron(x + 1.5 * of_image, late.image_mlp), perceptron(y + 1.5 * of_audio, late.audio_mlp)
    fused = (seen.mean((3, 4)) + heard.mean((3, 4))).mean(0)
    return linear(fused, late.head.weight, late.head.bias), of_image


@pytest.mark.parametrize("fusion", ["spatio-temporal", "temporal", "spatial"])
def test_legacy_is_the_published_arithmetic(fusion: str) -> None:
    model = on_a_grid(fusion=fusion, attention="exact", legacy=True)
    with torch.no_grad():
        expected, residuals = published(model, *pictures_on_a_grid(model))
        assert torch.equal(run(model, *pictures_on_a_grid(model)).mean(0), expected)
    assert 0 < residuals.mean() < 1, "a residual that says nothing would prove nothing"


@pytest.mark.parametrize("fusion", ["spatio-temporal", "temporal", "spatial"])
def test_the_faults_matter(fusion: str) -> None:
    legacy, sound = (on_a_grid(fusion=fusion, attention="exact", legacy=fault) for fault in (True, False))
    with torch.no_grad():
        assert not torch.equal(run(legacy, *pictures_on_a_grid(legacy)), run(sound, *pictures_on_a_grid(sound)))


def test_legacy_weights_load_without_its_thresholds() -> None:
    legacy, sound = on_a_grid(attention="exact", legacy=True), on_a_grid()
    expected = run(sound, *pictures_on_a_grid(sound))
    sound.load_state_dict(legacy.state_dict())
    assert torch.equal(run(sound, *pictures_on_a_grid(sound)), expected)
    assert float(sound.late.image.neurons.threshold) == 1.0 and float(legacy.late.image.neurons.threshold) < 2.0


def test_scrambling_reads_heads_as_time() -> None:
    """Of a sample with T = 2 steps, 2 heads and depth 1: (h0t0, h0t1, h1t0, h1t1) in memory, read as (t0h0, t0h1, t1h0, t1h1)."""
    counts = torch.tensor([[[[1.0]], [[3.0]]], [[[2.0]], [[4.0]]]])  # [t, h]: h0t0 = 1, h0t1 = 2, h1t0 = 3, h1t1 = 4
    assert scrambled(counts, 2).flatten().tolist() == [1, 2, 3, 4]
