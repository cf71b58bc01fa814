"""Frames of a camera, or of a folder: one after another, in the shape of an input.

Images become float in [0, 1], (channels, height, width): grey for one channel, colours for three, scaled to the input's height and width
by area. Arrays in .npy files are taken as they are, and must have the input's shape.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.samples import read_array
from snnfuse.hardware.errors import EnvironmentProblem, InputError, SnnfuseError
from snnfuse.hardware.limits import check_limit
from snnfuse.hardware.reading import check_regular

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".gif", ".tif", ".tiff", ".webp")
MODES = {1: "L", 3: "RGB"}


def folder_frames(folder: Path, shape: tuple[int, ...]) -> Iterator[NDArray]:
    """Every image and array of a folder in the order of the names, read when it is asked for.

    Raises:
        InputError: it holds none, or one that cannot be read or has another shape.
        EnvironmentProblem: images without Pillow.
    """
    names = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*IMAGES, ".npy"))
    if not names:
        raise InputError(f"{folder}: holds no frames ({', '.join((*IMAGES, '.npy'))})")
    return (_array(path, shape) if path.suffix.lower() == ".npy" else _image(path, shape) for path in names)


def camera_frames(number: int, shape: tuple[int, ...]) -> Iterator[NDArray]:
    """Yield frames of a camera without end; EnvironmentProblem without OpenCV or a camera."""
    try:
        import cv2
    except ImportError as error:
        raise EnvironmentProblem("a camera needs OpenCV; pip install opencv-python-headless, or give a folder of frames") from error
    camera = cv2.VideoCapture(number)
    try:
        while True:
            there, frame = camera.read()
            if not there:
                raise EnvironmentProblem(f"camera {number} gives no picture")
            yield fitted(_pillow().fromarray(np.ascontiguousarray(frame[:, :, ::-1])), shape, f"camera {number}")  # OpenCV has BGR
    finally:
        camera.release()


def fitted(image: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """A Pillow image as (channels, height, width) in [0, 1]."""
    if len(shape) != 3 or shape[0] not in MODES:
        raise InputError(f"{what}: an image fits an input of 1 or 3 channels, height and width, not {shape}; give arrays (.npy)")
    channels, height, width = shape
    scaled = image.convert(MODES[channels]).resize((width, height), _pillow().Resampling.BOX)
    values = np.asarray(scaled, np.float64) / 255
    return values[None] if channels == 1 else values.transpose(2, 0, 1)


def _image(path: Path, shape: tuple[int, ...]) -> NDArray[np.float64]:
    pillow = _pillow()
    check_regular(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)  # there is a limit of our own
            with pillow.open(path) as image:
                check_limit("pixels", image.width * image.height, str(path))
                return fitted(image, shape, str(path))
    except SnnfuseError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on a damaged file
        raise InputError(f"{path}: no readable image ({error})") from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentProblem("images need Pillow; pip install pillow, or give arrays (.npy)") from error
    return Image


def _array(path: Path, shape: tuple[int, ...]) -> NDArray:
    values = read_array(path)
    if values.shape != tuple(shape):
        raise InputError(f"{path}: has shape {values.shape}, the input {tuple(shape)}")
    return values
