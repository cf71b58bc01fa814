"""Decoding images with Pillow: JPEG and PNG only, to uint8 RGB of one size; every damage is an InputError that names the file."""

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.folders.entries import Entry
from snnfuse.hardware.errors import EnvironmentProblem, InputError

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 64_000_000  # pixels; a file of few bytes can claim more than any memory holds
COLOURS = ("RGB",)
CONVERTED = ("L", "1", "P", "RGBA", "LA", "PA", "CMYK", "YCbCr")  # 8 bits per channel, of which RGB is made
PIP = "pip install 'snnfuse[data]'"


def require_pillow() -> str:
    """Pillow's version; EnvironmentProblem with the line that installs it where it is missing."""
    try:
        import PIL
    except ImportError as error:
        raise EnvironmentProblem(f"this data set's images need Pillow, which is not installed; {PIP}") from error
    return PIL.__version__


def read_image(entry: Entry, size: tuple[int, int]) -> tuple[NDArray[np.uint8], str | None]:
    """One image as RGB, (3, *size), resized bilinearly where it has another size, and what had to be converted, or None.

    Raises:
        InputError: no readable JPEG or PNG, cut short, of more than 64 million pixels, or of more than 8 bits per channel.
    """
    return _read(entry, lambda image: resized(image, size))


def read_crops(entry: Entry, size: tuple[int, int], copies: int, seed: int) -> tuple[NDArray[np.uint8], str | None]:
    """Random parts of one image as RGB, (copies, 3, *size), mirrored or not: torchvision's RandomResizedCrop and RandomHorizontalFlip.

    Each covers 8 to 100 % of the image with a ratio of width to height of 3/4 to 4/3, and is resized bilinearly. seed: of the data set;
    each image has random numbers of its own. Errors as of `read_image`.
    """
    rng = np.random.default_rng([seed, zlib.crc32(entry.stem.encode(errors="surrogateescape"))])
    return _read(entry, lambda image: np.stack([_crop(image, size, rng) for _ in range(copies)]))


def read_centre(entry: Entry, shorter: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], str | None]:
    """The centre of one image as RGB, (3, *size), once its shorter side is `shorter` pixels: torchvision's Resize and CenterCrop. Errors as
    of `read_image`."""

    def centre(image: "Image") -> NDArray[np.uint8]:
        width, height = image.size
        scale = shorter / min(width, height)
        whole = (shorter, int(scale * width)) if height <= width else (int(scale * height), shorter)
        top, left = (round((have - want) / 2) for have, want in zip(whole, size, strict=True))
        return np.ascontiguousarray(resized(image, whole)[:, top : top + size[0], left : left + size[1]])

    return _read(entry, centre)


def resized(image: "Image", size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    """An RGB image, or a box (left, upper, right, lower) of it, (3, *size)."""
    from PIL import Image

    part = image if box is None else image.crop(box)
    part = part if part.size == size[::-1] else part.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(part, np.uint8).transpose(2, 0, 1)


AREA, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # torchvision's defaults


def _crop(image: "Image", size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    part = resized(image, size, random_box(image.size, rng))
    return part[:, :, ::-1] if rng.random() < 0.5 else part


def random_box(of: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Where a crop lies in an image (width, height): (left, upper, right, lower); its centre where ten tries did not fit."""
    width, height = of
    for _ in range(TRIES):
        area, ratio = width * height * rng.uniform(*AREA), np.exp(rng.uniform(*np.log(RATIO)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, upper = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            return left, upper, left + w, upper + h
    w, h = (min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0])))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def _read(entry: Entry, use: "Callable[[Image], NDArray[np.uint8]]") -> tuple[NDArray[np.uint8], str | None]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(entry.read()), formats=("JPEG", "PNG")) as image:
            _check(entry, image)
            colour = image if image.mode in COLOURS else image.convert("RGBA" if image.mode == "P" else image.mode).convert("RGB")
            return use(colour), None if image.mode in COLOURS else f"image of mode {image.mode} made RGB"
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{entry}: not a JPEG or PNG image; fetch it again") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # SyntaxError: Pillow's broken PNG
        raise InputError(f"{entry}: not a readable image ({error}); fetch it again") from error


def _check(entry: Entry, image: "Image") -> None:
    width, height = image.size
    if width * height > LARGEST:
        raise InputError(f"{entry}: {width} x {height} pixels are more than the {LARGEST} that are read; shrink it")
    if image.mode not in (*COLOURS, *CONVERTED):
        raise InputError(f"{entry}: pixels of mode {image.mode}; convert it to 8 bits per channel")
