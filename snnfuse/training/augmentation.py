"""Training samples changed at random, by what kind of signal they are. Everything here draws from torch's random state.

    digits    images of drawn signs: turned, zoomed, shifted                                     (batch, channels, height, width)
    natural   photographs: mirrored left to right, shifted by up to an eighth                    (batch, 3, height, width)
    frames    audio features in time: a step earlier, later or in place, with noise              (batch, time, features)
    picture   a spectrogram as an image: shifted in time, the last axis, with noise              (batch, 1, height, width)
    events    spikes on a plane: shifted by up to a fourteenth of it; others stay as they are    (batch, time, *shape)

Values are changed before an encoder makes spikes of them. What moves in is zero. Noise that a recipe asks for comes after, and a missing
modality last: all zero.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from snnfuse.data import AudioVisual
from snnfuse.training.recipe import Recipe

ROTATION, ZOOM, SHIFT = 0.2, 0.1, 0.07  # radians, relative size, half the image's width: the most that an image is changed by
NOISE = 0.1  # standard deviation, of audio features in [-1, 1]
CROP = 8  # a photograph moves by up to its size divided by this
PLANE = 14  # events likewise
QUIET_SNR = 30.0  # dB; noise below this changes nothing that matters


Kinds = Mapping[str, str]


def kinds_of(data: AudioVisual, names: Sequence[str]) -> dict[str, str]:
    """Of the named inputs, by their shapes: what changes over time is features (features,) or else events on a plane."""
    return {name: _kind(name, data) for name in names}


def _kind(name: str, data: AudioVisual) -> str:
    pool = data.train.pools[name]
    if pool.timed:
        return "frames" if len(pool.shape) == 1 else "events"
    if name == "audio":
        return "picture"
    return "natural" if pool.shape[0] == 3 else "digits"


def augmented(values: dict[str, Tensor], kinds: Kinds, recipe: Recipe) -> dict[str, Tensor]:
    """Changed copies of a batch.

    values: by input, float32 (batch, [time,] *shape); returned in the same shapes.
    """
    if recipe.augment:
        values = {name: CHANGES[kinds[name]](value) for name, value in values.items()}
    values = {name: _noisy(name, value, kinds[name], recipe) for name, value in values.items()}
    if len(values) < 2 or not recipe.drop_modality:
        return values
    first, second, *rest = values
    gone = torch.rand(len(values[first]), device=values[first].device)
    missing = {first: gone < recipe.drop_modality, second: gone > 1 - recipe.drop_modality}
    return values | {name: torch.where(spread(missing[name], values[name]), 0, values[name]) for name in (first, second)}


def spread(per_sample: Tensor, values: Tensor) -> Tensor:
    """Reshape (batch,) to (batch, 1, ...), which broadcasts over values."""
    return per_sample.reshape(-1, *[1] * (values.ndim - 1))


def digits(image: Tensor) -> Tensor:
    """A random affine map of each of (batch, channels, height, width), values in [0, 1]."""
    angle, zoom, x, y = (random(4, image) * 2 - 1) * image.new_tensor([ROTATION, ZOOM, 2 * SHIFT, 2 * SHIFT])[:, None]
    cos, sin = (1 + zoom) * angle.cos(), (1 + zoom) * angle.sin()
    return warped(image, cos, -sin, x, sin, cos, y).clamp(0, 1)


def natural(image: Tensor) -> Tensor:
    """Each of (batch, channels, height, width) mirrored or not, and moved by whole pixels; what moves in is zero."""
    height, width = image.shape[2:]
    flip, x, y = random(3, image)
    still = torch.zeros_like(x)
    across, down = (2 * _whole(at, size, CROP) / size for at, size in ((x, width), (y, height)))
    return warped(image, torch.where(flip < 0.5, 1.0, -1.0), still, across, still, still + 1, down)


def frames(audio: Tensor) -> Tensor:
    """Each of (batch, time, features) a step earlier, later or in place, with noise, values in [-1, 1]."""
    moved = rolled(audio, torch.randint(-1, 2, (len(audio),), device=audio.device), 1)
    return (moved + NOISE * torch.randn_like(moved)).clamp(-1, 1)


def picture(image: Tensor) -> Tensor:
    """Each of (batch, channels, height, width) moved along its last axis, with noise in proportion to its values."""
    moved = rolled(image, _whole(random(1, image)[0], image.shape[3], CROP).long(), 3)
    return moved + NOISE * image.std() * torch.randn_like(moved)


def events(values: Tensor) -> Tensor:
    """Spikes (batch, time, channels, height, width) moved over their plane; those of other shapes stay as they are."""
    if values.ndim != 5:
        return values
    x, y = random(2, values)
    moved = rolled(values, _whole(x, values.shape[4], PLANE).long(), 4)
    return rolled(moved, _whole(y, values.shape[3], PLANE).long(), 3)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "digits": digits, "natural": natural, "frames": frames, "picture": picture, "events": events
}  # fmt: skip


def random(rows: int, values: Tensor) -> Tensor:
    """Uniform in [0, 1), float32 (rows, batch), on the device of values."""
    return torch.rand(rows, len(values), device=values.device)


def _whole(at: Tensor, size: int, part: int) -> Tensor:
    """Whole numbers from -size / part to size / part, from numbers in [0, 1)."""
    most = size // part
    return torch.floor(at * (2 * most + 1)) - most


def warped(image: Tensor, *matrix: Tensor) -> Tensor:
    """An affine map per image, its six numbers row by row, (batch,) each; zero outside."""
    theta = torch.stack(matrix, 1).reshape(-1, 2, 3)
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    return functional.grid_sample(image, grid, align_corners=False)


def rolled(values: Tensor, shift: Tensor, axis: int) -> Tensor:
    """Each sample moved by `shift` (batch,) whole places to lower indices along an axis; zero moves in."""
    size = values.shape[axis]
    shape = [1] * values.ndim
    shape[axis] = size
    at = torch.arange(size, device=values.device).reshape(shape) + spread(shift, values)
    taken = values.gather(axis, at.clamp(0, size - 1).expand(values.shape))
    return taken * ((at >= 0) & (at < size))


def _noisy(name: str, values: Tensor, kind: str, recipe: Recipe) -> Tensor:
    """The noise that a recipe asks for; spikes get none."""
    if kind == "events":
        return values
    if name == "audio":
        return values if recipe.audio_snr is None else noised(values, recipe.audio_snr)
    if recipe.occlusion:
        values = occluded(values, recipe.occlusion)
    if recipe.image_noise:
        sigma = recipe.image_noise * spread(random(1, values)[0], values)
        values = (values + sigma * torch.randn_like(values)).clamp(0, 1)
    return values


def noised(features: Tensor, lowest: float) -> Tensor:
    """Gaussian noise on features at a signal-to-noise ratio per sample drawn from `lowest` dB up to QUIET_SNR."""
    snr = lowest + (max(QUIET_SNR, lowest) - lowest) * random(1, features)[0]
    power = features.flatten(1).square().mean(dim=1)
    return features + spread((power * 10 ** (-snr / 10)).sqrt(), features) * torch.randn_like(features)


def occluded(image: Tensor, most: float) -> Tensor:
    """A grey rectangle of the image's own proportions over up to a fraction `most` of each of (batch, channels, height, width)."""
    area, x, y = random(3, image)
    side = (area * most).sqrt()
    inside = torch.ones((len(image), *image.shape[2:]), dtype=torch.bool, device=image.device)
    for size, at, axis in ((image.shape[2], y, 1), (image.shape[3], x, 2)):
        length = (side * size).round()
        start = torch.floor(at * (size - length + 1))
        place = torch.arange(size, device=image.device).reshape([-1 if i == axis else 1 for i in range(3)])
        inside = inside & (place >= spread(start, inside)) & (place < spread(start + length, inside))
    return torch.where(inside[:, None], 0.5, image)
