"""Reading what torch.save wrote without executing anything from it."""

import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from snnfuse.checkpoints.import_path import current_folder_importable
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsafeFileError, UnsupportedError
from snnfuse.hardware.limits import check_limit, check_unpacked
from snnfuse.hardware.reading import check_regular, check_whole

ZIP = b"PK"
FIX = "save it again where it was made with torch.save(model.state_dict(), {path!r}) and give model='package.module:factory'"
BYTEARRAY = re.compile(rb"(builtins|__builtin__)\nbytearray\n")
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
SHOWN = 3  # names that an error lists before it says how many more there are


def read_torch_file(path: Path, allow_pickle: bool, data: Sequence[type] = ()) -> Any:
    """What the file holds: a module only with allow_pickle, else containers of tensors.

    data: further classes that it may hold, whose making runs nothing but the setting of attributes.
    """
    check_regular(path)
    _check_container(path)
    if not allow_pickle:
        _check_pickles(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(data)):
            warnings.simplefilter("ignore")  # torch's own, of kinds of tensors that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if allow_pickle:
            return _unpickle(path)
        _refuse(path, error)
    except Exception as error:  # struct's, zlib's and whatever torch's own unpickler meets
        raise InputError(f"{path}: damaged, or not a torch file ({first_line(error)})") from error
    _check_tensors(content, path)
    return content


def _check_tensors(content: Any, path: Path) -> None:
    """Refuse tensors that no network of real numbers has as weights, or whose values are not in the file.

    Raises:
        UnsupportedError: names the first, and what to save in its place.
        UnsafeFileError: they are more than the limits allow.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    seen: set[int] = set()
    asked = 0
    while waiting:
        names, value = waiting.pop()
        check_limit("depth", len(names), str(path))
        if isinstance(value, torch.Tensor):
            name = shown(".".join(names))
            for what, is_one, way_out in REFUSED_TENSORS:
                if is_one(value):
                    raise UnsupportedError(f"{path}: {name or 'its tensor'} is {what}; {way_out}")
            size = value.numel() * value.element_size()  # more than what is stored, where a view repeats it
            check_limit("array-bytes", size, f"{path}: {name}")
            asked += size if id(value) not in seen else 0
            seen.add(id(value))
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting += [((*names, str(key)), item) for key, item in inner]
    check_unpacked(asked, path.stat().st_size, str(path))


REFUSED_TENSORS: tuple[tuple[str, Callable[[torch.Tensor], bool], str], ...] = (
    ("a meta tensor, which has a shape and no values", lambda t: t.is_meta, "save the model after its weights were loaded"),
    ("quantised by torch", lambda t: t.is_quantized, "save the float model it was made of; weight_bits chooses bits here"),
    ("sparse", lambda t: t.layout is not torch.strided, "save it dense: tensor.to_dense()"),
    ("complex", lambda t: t.is_complex(), "a Program has real weights; save real and imaginary part as layers of their own"),
    ("nested", lambda t: t.is_nested, "save it as one tensor"),
)


def shown(name: str) -> str:
    """Return a name of a file as a message may show it: short, and without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _check_container(path: Path) -> None:
    """A torch file is a zip with a data.pkl. Only that is opened: older formats are bare pickles, which say less about their
    damage.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            _check_sizes(archive, path)
            damaged = archive.testzip()
    except SnnfuseError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if _is_legacy(path):
            raise InputError(
                f"{path}: of a format older than that of PyTorch 1.6; save it again: torch.save(torch.load(path), path)"
            ) from error
        check_whole(path)
        if path.read_bytes()[: len(ZIP)] == ZIP:
            raise InputError(f"{path}: is truncated, half written or half copied; save or copy it again ({first_line(error)})") from error
        hint = "it is truncated or something else"
        raise InputError(f"{path}: not a file of torch.save, {hint} ({first_line(error)})") from error
    except Exception as error:  # of the decompressors
        raise InputError(f"{path}: damaged ({type(error).__name__}: {first_line(error)}); copy or save it again") from error
    if damaged is not None:
        raise InputError(f"{path}: damaged at {shown(damaged)}; copy or save it again")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:  # which of them a reader takes is its own choice, and torch's is not zipfile's
        raise InputError(f"{path}: damaged, it holds {shown(twice)} twice; copy or save it again")
    if not any(name.endswith("/data.pkl") for name in names):
        raise InputError(f"{path}: a zip file, but not one of torch.save (it holds {some(names)})")


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that unpacks to more than the limits allow."""
    check_limit("archive-members", len(archive.filelist), str(path))
    for info in archive.filelist:
        check_limit("array-bytes", info.file_size, f"{path}: {shown(info.filename)}")
        if info.filename.endswith("data.pkl"):
            check_limit("pickle-bytes", info.file_size, f"{path}: {shown(info.filename)}")
    check_unpacked(sum(info.file_size for info in archive.filelist), path.stat().st_size, str(path))


def _check_pickles(path: Path) -> None:
    """Refuse a pickle that names `bytearray`, which torch lets make room for any number.

    Raises:
        UnsafeFileError: it does. No state_dict holds one.
    """
    with zipfile.ZipFile(path) as archive:
        pickles = [archive.read(info) for info in archive.filelist if info.filename.endswith("data.pkl")]
    for content in pickles:
        if BYTEARRAY.search(content):
            raise UnsafeFileError(f"{path}: holds a bytearray, which can ask for any amount of memory; save the weights without it")


def _is_legacy(path: Path) -> bool:
    """Whether a file starts as the pickled magic number that torch.save wrote before there were zip files."""
    with path.open("rb") as file:
        return file.read(len(LEGACY)) == LEGACY


def _refuse(path: Path, error: Exception) -> NoReturn:
    """Say which code the file asks for."""
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as other:  # a pickle that cannot even be listed is damaged
        raise InputError(f"{path}: damaged, or not a torch file ({first_line(other)})") from error
    if not unsafe:
        raise InputError(f"{path}: damaged, or not a torch file ({first_line(error)})") from error
    raise UnsafeFileError(
        f"{path}: opening it would run code from it ({some(unsafe)}); {FIX.format(path=str(path))}; "
        "allow_pickle=True opens it as it is, which is safe only if you trust where it comes from"
    ) from error


def _unpickle(path: Path) -> nn.Module:
    try:
        with current_folder_importable():
            content = torch.load(path, map_location="cpu", weights_only=False)
    except (Exception, SystemExit) as error:  # unpickling runs foreign code, which may raise anything
        raise InputError(f"{path}: cannot be unpickled ({type(error).__name__}: {first_line(error)})") from error
    if not isinstance(content, nn.Module):
        raise InputError(f"{path}: holds a pickled {type(content).__name__}, not a module")
    return content


def some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    names = [shown(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def first_line(error: BaseException) -> str:
    """The first line of a message: torch's go on for pages."""
    text = re.split(r"\n|(?<=\.) ", str(error).strip(), maxsplit=1)[0]
    return text or type(error).__name__
