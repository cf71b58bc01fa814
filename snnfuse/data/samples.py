"""Inputs from files and data sets: what calibrates a program, and what runs on it. Nothing here needs torch."""

import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.settings import Settings
from snnfuse.hardware.errors import InputError, SnnfuseError
from snnfuse.hardware.limits import check_limit, check_unpacked
from snnfuse.hardware.reading import check_regular, reading
from snnfuse.hardware.shown import Summarised, Summary

LABELS = "labels"
NPY, ZIP = b"\x93NUMPY", b"PK"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
CHUNK = 1 << 20  # bytes read at once
LARGEST = float(np.finfo(np.float32).max)  # the float network computes in float32
RANDOM_STEPS, RANDOM_SAMPLES, RANDOM_RATE = 100, 4, 0.2


@dataclass(frozen=True, eq=False, repr=False)
class Samples(Summarised):
    """Inputs of a network.

    Attributes:
        inputs: numbers (time, batch, *shape) by name.
        labels: int64 (batch,), or None.
        source: where they are from, in words.
        data: the `name` of the data set that they were drawn from, and its `settings`, JSON-able; None where it was none of ours.
    """

    inputs: dict[str, NDArray]
    labels: NDArray[np.int64] | None
    source: str
    data: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return next(iter(self.inputs.values())).shape[1]

    def summary(self) -> Summary:
        """How many of what."""
        rows = [(name, " x ".join(map(str, x.shape)), x.dtype) for name, x in self.inputs.items()]
        labels = "no labels" if self.labels is None else f"labels of {len(np.unique(self.labels))} classes"
        title = f"{len(self)} samples of {self.steps} steps: {self.source}"
        return Summary(title, (labels,), ("input", "time x batch x shape", "type"), rows)

    @property
    def steps(self) -> int:
        """How many time steps they have."""
        return next(iter(self.inputs.values())).shape[0]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one time step of one sample."""
        return {name: array.shape[2:] for name, array in self.inputs.items()}

    @property
    def about(self) -> dict[str, Any]:
        """Where they are from and how many they are, JSON-able."""
        known = {} if self.data is None else {"data": dict(self.data)}
        return {"source": self.source, "samples": len(self), "time_steps": self.steps, **known}

    def select(self, batch: slice | NDArray) -> "Samples":
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[batch]
        return replace(self, inputs={name: array[:, batch] for name, array in self.inputs.items()}, labels=labels)

    def check_labels(self, classes: int) -> None:
        """InputError for a label that is none of an output's classes 0 .. classes - 1."""
        wrong = [] if self.labels is None else self.labels[(self.labels < 0) | (self.labels >= classes)]
        if len(wrong):
            raise InputError(f"{self.source}: labels hold {wrong[0]}, but the network's classes are 0..{classes - 1}")

    def check_steps(self, steps: int | None) -> None:
        """InputError for another number of time steps than was asked for; None asks for none."""
        if steps is None or steps == self.steps:
            return
        name, array = next(iter(self.inputs.items()))
        way_out = "leave time_steps out"
        if array.shape[1] == steps:
            way_out = f"its second axis has {steps}: if that is time, say batch_first=True"
        what = f"{name!r} has {self.steps} time steps, being (time, batch, ...) {array.shape}"
        raise InputError(f"{self.source}: {what}, and time_steps says {steps}; {way_out}")

    def renamed(self, names: Sequence[str]) -> "Samples":
        """The same inputs in their order, by other names; InputError unless there are as many."""
        if len(names) != len(self.inputs):
            raise InputError(f"{self.source}: holds {len(self.inputs)} arrays of inputs, and the network has {len(names)}")
        return replace(self, inputs=dict(zip(names, self.inputs.values(), strict=True)))

    def named(self, names: Sequence[str]) -> "Samples":
        """Those inputs that a network has, in its order; a single array serves a single input under any name, and no names all arrays.

        Raises:
            InputError: one is missing.
        """
        if not names:
            return self
        if len(names) == len(self.inputs) == 1:
            return replace(self, inputs=dict(zip(names, self.inputs.values())))
        missing = [name for name in names if name not in self.inputs]
        if missing:
            raise InputError(f"{self.source}: no array {missing[0]!r}; the network's inputs are {', '.join(names)}")
        return replace(self, inputs={name: self.inputs[name] for name in names})


def read_samples(path: str | Path, *, batch_first: bool = False) -> Samples:
    """Read samples from an .npz file with one array (time, batch, *shape) per input, and optionally `labels` (batch,), or an .npy file.

    Args:
        path: of the file.
        batch_first: whether its arrays are (batch, time, *shape).

    Raises:
        InputError: the file is missing, damaged, holds objects in place of numbers, no samples, NaN, values beyond float32, or shapes
            that disagree.
        UnsafeFileError: it declares more than `snnfuse.hardware.limits` allows.
    """
    check_regular(Path(path))
    with reading(path):
        arrays = _read(Path(path))
        return checked(arrays, arrays.pop(LABELS, None), str(path), batch_first)


def checked(arrays: dict[str, NDArray], labels: NDArray | None, source: str, batch_first: bool = False) -> Samples:
    """Samples of arrays, whose shapes and values are checked; errors as of `read_samples`."""
    turned = {name: array.swapaxes(0, 1) if batch_first and array.ndim > 1 else array for name, array in arrays.items()}
    whole = labels if labels is None or labels.dtype.kind not in "iu" else labels.astype(np.int64, copy=False)
    samples = Samples(turned, whole, source)
    _check(samples, labels)
    return samples


def read_array(path: Path) -> NDArray:
    """Return the numbers of an .npy file; errors as of `read_samples`."""
    check_regular(path)
    with reading(path):
        try:
            return _array(path, path.stat().st_size, path.open("rb"))
        except SnnfuseError:
            raise
        except Exception as error:
            raise InputError(f"{path}: no .npy file of numbers ({error})") from error


def read_arrays(path: str | Path) -> dict[str, NDArray]:
    """Read every array of an .npz file, as `snnfuse simulate -o` writes it; errors as of `read_samples`, but for shapes that disagree."""
    check_regular(Path(path))
    return _read(Path(path))


def settings_from(metadata: Mapping[str, Any], source: str) -> Settings:
    """How the data were read that a checkpoint was trained on: its metadata's "data_settings".

    source: names the checkpoint in errors.

    Raises:
        InputError: they are damaged, or of a newer version.
    """
    stored = metadata.get("data_settings") or {}
    try:
        return Settings(**stored)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: how its data were read cannot be understood ({error})") from error


def draw_samples(
    name: str, number: int, *, part: str = "train", data_dir: str | Path | None = None, seed: int = 0, settings: Settings = Settings()
) -> Samples:  # fmt: skip
    """Samples of a data set of ours.

    Args:
        name: as `snnfuse.data.load` has it.
        number: how many; all, in order, where the part has no more.
        part: "train" or "test".
        data_dir: where the data set lies.
        seed: of the draw.
        settings: how to read it.
    """
    from snnfuse import data

    loaded = data.load(name, data_dir, settings)
    pairs = getattr(loaded, part)
    chosen = np.arange(len(pairs))
    if number < len(pairs):
        chosen = np.sort(np.random.default_rng(seed).choice(len(pairs), number, replace=False))
    drawn_from = {"name": name, "settings": asdict(loaded.settings), "classes": list(loaded.classes)}
    return Samples(pairs.steps(chosen), pairs.labels[chosen], f"{name}, {part} part", drawn_from)


def _read(path: Path) -> dict[str, NDArray]:
    try:
        with path.open("rb") as file:
            start = file.read(len(NPY))
        if start == NPY:
            return {"input": _array(path, path.stat().st_size, path.open("rb"))}
        if start[: len(ZIP)] != ZIP:
            raise InputError(f"{path}: no .npz or .npy file; write one with numpy.savez(path, input=array)")
        with zipfile.ZipFile(path) as archive:
            check_limit("archive-members", len(archive.filelist), str(path))
            check_unpacked(sum(info.file_size for info in archive.filelist), path.stat().st_size, str(path))
            return {_name(path, info): _array(path, info.file_size, archive.open(info), _shown(info.filename)) for info in archive.filelist}
    except SnnfuseError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'no .npz file'}") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: is cut off, half written or half copied; write or copy it again") from error
    except Exception as error:  # NumPy reads the header as Python, so that damage may end anywhere in its parser
        what = "it holds Python objects" if "allow_pickle" in str(error) else f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: no .npz file of numbers: {what}") from error


def _name(path: Path, info: zipfile.ZipInfo) -> str:
    if not info.filename.endswith(".npy"):
        raise InputError(f"{path}: no .npz file of numbers: {_shown(info.filename)!r} is no array")
    return info.filename.removesuffix(".npy")


def _array(path: Path, size: int, file: IO[bytes], name: str = "") -> NDArray:
    """Return an array whose header declares what its file holds, which is read after that was checked."""
    where = f"{path}: {name}" if name else str(path)
    with file:
        check_limit("array-bytes", size, where)
        reader = HEADERS.get(np.lib.format.read_magic(file))
        if reader is None:
            raise InputError(f"{where}: of a newer .npy format; write it with numpy.save")
        shape, fortran, dtype = reader(file)
        if dtype.hasobject:
            raise InputError(f"{path}: no .npz file of numbers: it holds Python objects")
        if dtype.kind not in "fiub":
            raise InputError(f"{where}: is {dtype} {shape}, not numbers (time, batch, *shape)")
        if math.prod(shape) * dtype.itemsize > size:
            raise InputError(f"{where}: declares {shape} of {dtype}, more than the {size} bytes that it holds; it is damaged")
        check_limit("time-steps", shape[0] if len(shape) > 1 else 0, where)
        return _filled(np.empty(shape, dtype, order="F" if fortran else "C"), file)


def _filled(array: NDArray, file: IO[bytes]) -> NDArray:
    content = array.reshape(-1, order="A").view(np.uint8).data
    for start in range(0, len(content), CHUNK):
        part = content[start : start + CHUNK]
        part[:] = file.read(len(part))  # ValueError where the file ends early
    return array


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _check(samples: Samples, labels: NDArray | None) -> None:
    if not samples.inputs:
        raise InputError(f"{samples.source}: holds no array (time, batch, *shape) of inputs")
    for name, array in samples.inputs.items():
        if array.dtype.kind not in "fiub" or array.ndim < 3:
            raise InputError(f"{samples.source}: {name!r} is {array.dtype} {array.shape}, not numbers (time, batch, *shape)")
        if 0 in array.shape:
            raise InputError(f"{samples.source}: {name!r} is empty: {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{samples.source}: {name!r} holds NaN or infinite values")
        if max(abs(float(array.max())), abs(float(array.min()))) > LARGEST:
            raise InputError(f"{samples.source}: {name!r} holds values beyond {LARGEST:.3g}, the largest that float32 holds; scale it")
    _check_sizes(samples.source, samples.inputs.items())
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != (len(samples),)):
        what = f"{samples.source}: labels are {labels.dtype} {labels.shape}, not integers ({len(samples)},)"
        is_turned = labels.shape == (samples.steps,)
        raise InputError(f"{what}; if the batch is the first axis, say batch_first=True" if is_turned else what)


def _check_sizes(source: str, arrays: Iterable[tuple[str, NDArray]]) -> None:
    sizes = {name: array.shape[:2] for name, array in arrays}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"{source}: arrays differ in time or batch: {listed}")
