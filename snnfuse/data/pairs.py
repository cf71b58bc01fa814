"""An audio-visual data set: pools of images and of recordings, and the pairs that are drawn from them.

Images and recordings are kept apart because an item may stand in many pairs. A split is made of items, never of pairs, so that
no image and no recording is ever on both sides.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """One side of a split.

    Attributes:
        image_pool: float32 (images, 1, height, width) in [0, 1].
        image_labels: int64 (images,), class of each image.
        clip_pool: float32 (clips, time, features) in [-1, 1], a recording cut into time steps.
        clip_labels: int64 (clips,), class of each recording.
        index: int64 (pairs, 2), each row an image and a recording of the same class.

    Raises:
        InputError: a pair joins two classes.
    """

    image_pool: Floats
    image_labels: Ints
    clip_pool: Floats
    clip_labels: Ints
    index: Ints

    def __post_init__(self) -> None:
        wrong = np.flatnonzero(self.image_labels[self.index[:, 0]] != self.clip_labels[self.index[:, 1]])
        if wrong.size:
            raise InputError(f"pair {wrong[0]} joins an image and a recording of different classes")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def images(self) -> Floats:
        """float32 (pairs, 1, height, width)."""
        return self.image_pool[self.index[:, 0]]

    @property
    def audio(self) -> Floats:
        """float32 (pairs, time, features)."""
        return self.clip_pool[self.index[:, 1]]

    @property
    def labels(self) -> Ints:
        """int64 (pairs,)."""
        return self.image_labels[self.index[:, 0]]

    def steps(self, select: Ints | slice = slice(None)) -> dict[str, Floats]:
        """The selected pairs as a network reads them, time first, by the names of the networks' arguments.

        Returns: "image" float32 (time, batch, 1, height, width), the same image on every step; "audio" float32 (time, batch,
            features).
        """
        images, clips = self.index[select].T
        audio = np.ascontiguousarray(self.clip_pool[clips].swapaxes(0, 1))
        image = self.image_pool[images]
        return {"image": np.ascontiguousarray(np.broadcast_to(image, (len(audio), *image.shape))), "audio": audio}


@dataclass(frozen=True)
class AudioVisual:
    """A data set.

    Attributes:
        name: as `load` knows it.
        classes: what label 0, 1, ... means.
        train, test: the two sides of the split.
        source: where it comes from, one line with the licences.
        speech: "recorded" or "synthetic".
    """

    name: str
    classes: tuple[str, ...]
    train: Pairs
    test: Pairs
    source: str
    speech: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one time step of each input, without time and batch."""
        return {"image": self.train.image_pool.shape[1:], "audio": self.train.clip_pool.shape[2:]}

    @property
    def time(self) -> int:
        """Time steps per sample."""
        return self.train.clip_pool.shape[1]


def draw_pairs(image_labels: Ints, clip_labels: Ints, seed: int) -> Ints:
    """One pair per image, (images, 2): a recording of its class, each recording used equally often up to one.

    Raises:
        InputError: a class has images but no recording.
    """
    rng = np.random.default_rng(seed)
    partner = np.empty(len(image_labels), np.int64)
    for label in np.unique(image_labels):
        images, clips = np.flatnonzero(image_labels == label), np.flatnonzero(clip_labels == label)
        if not clips.size:
            raise InputError(f"class {label} has images but no recording")
        rounds = -(-images.size // clips.size)
        partner[images] = np.concatenate([rng.permutation(clips) for _ in range(rounds)])[: images.size]
    return np.stack([np.arange(len(image_labels)), partner], axis=1)


def make_pairs(image_pool: Floats, image_labels: Ints, clip_pool: Floats, clip_labels: Ints, seed: int) -> Pairs:
    """Pools and the pairs that `draw_pairs` draws from them."""
    return Pairs(image_pool, image_labels, clip_pool, clip_labels, draw_pairs(image_labels, clip_labels, seed))


def redraw(pairs: Pairs, seed: int) -> Pairs:
    """The same items, paired anew."""
    return replace(pairs, index=draw_pairs(pairs.image_labels, pairs.clip_labels, seed))


def hold_out(pairs: Pairs, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """Set aside a fraction of each class's images and recordings: (kept, held out), sharing no item.

    Raises:
        InputError: the fraction is not inside (0, 1).
    """
    if not 0 < fraction < 1:
        raise InputError(f"the held-out fraction must lie between 0 and 1, not be {fraction}")
    rng = np.random.default_rng(seed)
    image, clip = _held(pairs.image_labels, fraction, rng), _held(pairs.clip_labels, fraction, rng)
    return _part(pairs, ~image, ~clip, seed), _part(pairs, image, clip, seed)


def _held(labels: Ints, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held[members[: max(1, round(fraction * members.size))]] = True
    return held


def _part(pairs: Pairs, image: NDArray[np.bool_], clip: NDArray[np.bool_], seed: int) -> Pairs:
    return make_pairs(pairs.image_pool[image], pairs.image_labels[image], pairs.clip_pool[clip], pairs.clip_labels[clip], seed)
