"""Training samples changed at random, by what their inputs are said to be (`snnfuse.data.Signal`). Everything here draws from torch's
random state.

    image         turned, zoomed, shifted; on several steps all alike          (batch, [time,] channels, height, width)
    photograph    mirrored left to right, shifted by up to an eighth           the same
    spectrogram   a step earlier, later or in place, with noise; a still one   (batch, time, *shape)
                  is shifted along its last axis                               (batch, channels, bands, columns)
    waveform      shifted by up to an eighth of its last axis, with noise      (batch, [time,] *shape)
    events        shifted by up to a fourteenth of their plane                 (batch, time, channels, height, width)
    other         nothing, and nothing of an event of another shape

Values are changed before an encoder makes spikes of them. What moves in is zero, or an image's lowest value. Where an input declares its
limits, they are kept; nothing else is clipped. Masks and mixtures that a recipe asks for come after, then noise, and a missing modality
last: all zero.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from snnfuse.data import AudioVisual, Signal
from snnfuse.hardware.errors import InputError
from snnfuse.training.recipe import Recipe

ROTATION, ZOOM, SHIFT = 0.2, 0.1, 0.07  # radians, relative size, half the image's width: the most that an image is changed by
NOISE = 0.1  # standard deviation, of half the range of features over time; of a still spectrogram, its own
CROP = 8  # a photograph moves by up to its size divided by this
PLANE = 14  # events likewise
QUIET_SNR = 30.0  # dB; noise below this changes nothing that matters


Signals = Mapping[str, Signal]


def signals_of(data: AudioVisual, names: Sequence[str]) -> dict[str, Signal]:
    """What the data set says of the named inputs."""
    return {name: data.train.pools[name].signal for name in names}


def augmented(values: dict[str, Tensor], signals: Signals, recipe: Recipe, timed: frozenset[str] = frozenset()) -> dict[str, Tensor]:
    """Changed copies of a batch.

    Args:
        values: by input, float32 (batch, [time,] *shape); returned in the same shapes.
        signals: what they are.
        recipe: what is to be done.
        timed: the inputs that have an axis of time.

    Raises:
        InputError: more inputs than can miss one with the recipe's probability.
    """
    if recipe.augment:
        values = {name: CHANGES[signals[name].kind](value, signals[name], name in timed) for name, value in values.items()}
    if recipe.roll:
        values = {name: rolled_round(value, signals[name], name in timed, recipe.roll) for name, value in values.items()}
    if recipe.mask:
        values = {name: masked(value, signals[name], name in timed, recipe.mask) for name, value in values.items()}
    values = {name: _noisy(value, signals[name], name in timed, recipe) for name, value in values.items()}
    return values if len(values) < 2 or not recipe.drop_modality else _dropped(values, recipe.drop_modality)


def _dropped(values: dict[str, Tensor], probability: float) -> dict[str, Tensor]:
    """Each sample without one of its inputs at most, each input with the probability."""
    first, *others = values
    if probability * len(values) > 1:
        raise InputError(f"drop_modality {probability:g} is too much for {len(values)} inputs, of which a sample misses one at most")
    gone = torch.rand(len(values[first]), device=values[first].device)
    missing = {first: gone < probability}
    for number, name in enumerate(others):  # from the upper end, so that intervals never meet
        missing[name] = (gone > 1 - probability * (number + 1)) & (gone <= 1 - probability * number)
    return {name: torch.where(spread(missing[name], value), 0, value) for name, value in values.items()}


def kept(values: Tensor, signal: Signal) -> Tensor:
    """Within the limits that the signal declares, if it does."""
    return values if signal.limits is None else values.clamp(*signal.limits)


def spread(per_sample: Tensor, values: Tensor) -> Tensor:
    """Reshape (batch,) to (batch, 1, ...), which broadcasts over values."""
    return per_sample.reshape(-1, *[1] * (values.ndim - 1))


def image(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """A random affine map of each sample, the same on all its steps."""
    angle, zoom, x, y = (random(4, values) * 2 - 1) * values.new_tensor([ROTATION, ZOOM, 2 * SHIFT, 2 * SHIFT])[:, None]
    cos, sin = (1 + zoom) * angle.cos(), (1 + zoom) * angle.sin()
    return _on_plane(values, signal, lambda plane: warped(plane, cos, -sin, x, sin, cos, y))


def photograph(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """Each sample mirrored or not, and moved by whole pixels, the same on all its steps."""
    height, width = values.shape[-2:]
    flip, x, y = random(3, values)
    still = torch.zeros_like(x)
    across, down = (2 * _whole(at, size, CROP) / size for at, size in ((x, width), (y, height)))
    return _on_plane(values, signal, lambda plane: warped(plane, torch.where(flip < 0.5, 1.0, -1.0), still, across, still, still + 1, down))


def _on_plane(values: Tensor, signal: Signal, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A change of (batch, channels, height, width), steps taken for channels; what moves in is the lowest value, or zero."""
    lowest = 0.0 if signal.limits is None else signal.limits[0]
    plane = values.reshape(len(values), -1, *values.shape[-2:]) - lowest
    return kept((change(plane) + lowest).reshape(values.shape), signal)


def spectrogram(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """Each sample moved in time, with noise."""
    if timed:
        moved = rolled(values, torch.randint(-1, 2, (len(values),), device=values.device), 1)
        half = values.std() if signal.limits is None else (signal.limits[1] - signal.limits[0]) / 2
        return kept(moved + NOISE * half * torch.randn_like(moved), signal)
    moved = rolled(values, _whole(random(1, values)[0], values.shape[-1], CROP).long(), values.ndim - 1)
    return kept(moved + NOISE * values.std() * torch.randn_like(moved), signal)


def waveform(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """Each sample moved along its last axis, or by a step where every step has samples of its own, with noise in proportion."""
    if timed:
        moved = rolled(values, torch.randint(-1, 2, (len(values),), device=values.device), 1)
    else:
        moved = rolled(values, _whole(random(1, values)[0], values.shape[-1], CROP).long(), values.ndim - 1)
    return kept(moved + NOISE * values.std() * torch.randn_like(moved), signal)


def events(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """Spikes (batch, time, channels, height, width) moved over their plane; those of other shapes stay as they are."""
    if values.ndim != 5:
        return values
    x, y = random(2, values)
    moved = rolled(values, _whole(x, values.shape[4], PLANE).long(), 4)
    return rolled(moved, _whole(y, values.shape[3], PLANE).long(), 3)


def unchanged(values: Tensor, signal: Signal, timed: bool) -> Tensor:
    """What nobody has said anything of."""
    return values


CHANGES: dict[str, Callable[[Tensor, Signal, bool], Tensor]] = {
    "image": image, "photograph": photograph, "spectrogram": spectrogram, "waveform": waveform, "events": events, "other": unchanged
}  # fmt: skip


def rolled_round(values: Tensor, signal: Signal, timed: bool, most: float) -> Tensor:
    """Spectrograms over time, (batch, time, *shape), rolled by up to a fraction `most` of their steps; other inputs as they are."""
    if signal.kind != "spectrogram" or not timed:
        return values
    steps = values.shape[1]
    shift = torch.floor(random(1, values)[0] * (most * (steps - 1) + 1)).long()
    at = (torch.arange(steps, device=values.device) + shift[:, None]) % steps
    return values.gather(1, at.reshape(*at.shape, *[1] * (values.ndim - 2)).expand(values.shape))


def masked(values: Tensor, signal: Signal, timed: bool, most: float) -> Tensor:
    """Spectrograms with a stretch of their bands and one of their time, each up to a fraction `most`, set to zero, which is the mean of
    normalised features (D. S. Park et al., 2019); other inputs as they are."""
    if signal.kind != "spectrogram":
        return values
    if not timed:
        return values * _beside(values, 2, most) * _beside(values, 3, most)
    bands = values.unflatten(2, (-1, signal.bands)) if signal.bands and values.ndim == 3 else values
    return (bands * _beside(bands, bands.ndim - 1 if bands.ndim < 5 else 3, most) * _beside(bands, 1, most)).reshape(values.shape)


def _beside(values: Tensor, axis: int, most: float) -> Tensor:
    """False on a stretch of an axis, up to a fraction `most` of it, of each sample; to be multiplied with the values."""
    size, (part, at) = values.shape[axis], random(2, values)
    length = torch.floor(part * (most * size + 1))
    start = torch.floor(at * (size - length + 1))
    place = torch.arange(size, device=values.device).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return (place < spread(start, values)) | (place >= spread(start + length, values))


def mixed(values: dict[str, Tensor], parameter: float) -> tuple[dict[str, Tensor], Tensor, float]:
    """Mixup (H. Zhang et al., 2018): w of each sample and 1 - w of another of the batch, w from the beta distribution with the parameter
    twice, one for the batch.

    Returns:
        The values, which other sample each was mixed with, int64 (batch,), and w.
    """
    first = next(iter(values.values()))
    w = float(torch.distributions.Beta(parameter, parameter).sample())
    other = torch.randperm(len(first), device=first.device)
    return {name: w * value + (1 - w) * value[other] for name, value in values.items()}, other, w


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


def _noisy(values: Tensor, signal: Signal, timed: bool, recipe: Recipe) -> Tensor:
    """The noise that a recipe asks for; spikes, and what is not known, get none."""
    if signal.kind in ("spectrogram", "waveform"):
        return values if recipe.audio_snr is None else noised(values, recipe.audio_snr)
    if signal.kind not in ("image", "photograph"):
        return values
    low, high = signal.limits or (0.0, 1.0)
    if recipe.occlusion:
        plane = values.reshape(len(values), -1, *values.shape[-2:])
        values = occluded(plane, recipe.occlusion, (low + high) / 2).reshape(values.shape)
    if recipe.image_noise:
        sigma = recipe.image_noise * (high - low) * spread(random(1, values)[0], values)
        values = kept(values + sigma * torch.randn_like(values), signal)
    return values


def noised(features: Tensor, lowest: float) -> Tensor:
    """Gaussian noise on features at a signal-to-noise ratio per sample drawn from `lowest` dB up to QUIET_SNR."""
    snr = lowest + (max(QUIET_SNR, lowest) - lowest) * random(1, features)[0]
    power = features.flatten(1).square().mean(dim=1)
    return features + spread((power * 10 ** (-snr / 10)).sqrt(), features) * torch.randn_like(features)


def occluded(image: Tensor, most: float, grey: float = 0.5) -> Tensor:
    """A grey rectangle of the image's own proportions over up to a fraction `most` of each of (batch, channels, height, width)."""
    area, x, y = random(3, image)
    side = (area * most).sqrt()
    inside = torch.ones((len(image), *image.shape[2:]), dtype=torch.bool, device=image.device)
    for size, at, axis in ((image.shape[2], y, 1), (image.shape[3], x, 2)):
        length = (side * size).round()
        start = torch.floor(at * (size - length + 1))
        place = torch.arange(size, device=image.device).reshape([-1 if i == axis else 1 for i in range(3)])
        inside = inside & (place >= spread(start, inside)) & (place < spread(start + length, inside))
    return torch.where(inside[:, None], grey, image)
