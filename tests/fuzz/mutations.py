"""Changes of files that keep most of their structure: what a careful stranger would do, and a few bits that fall over."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator
NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 4095, 4096, 32768, 65536, -(2**31), 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63, -(2**63)),
    *(2**64, 10**30, 10**399, 0.5, -0.5, 1e-308, 5e-324, 1e38, 1e308, -1e308, math.pi),
]
WORDS = ["", "a", "input", "\x1b[31m", "\udcff", "x" * 5000, "../../etc/passwd", "a\0b", "NaN", "Lif", "NIRGraph", "1e999", "ß", "-1"]


def pick(rng: Rng, choices: list[Any]) -> Any:
    """Return one of several; their own types are kept, which NumPy's choice does not."""
    return choices[int(rng.integers(len(choices)))]


def flip_bytes(rng: Rng, content: bytes) -> bytes:
    """Flip bits, overwrite, cut, insert or repeat a part."""
    if not content:
        return b"\0"
    data, at = bytearray(content), int(rng.integers(len(content)))
    kind = int(rng.integers(6))
    if kind <= 1:
        for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        size = int(rng.integers(1, 9))
        data[at : at + size] = pick(rng, [b"\0", b"\xff", b"\x7f"]) * size
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 17)), np.uint8))
    else:
        data[at:at] = data[at : at + int(rng.integers(1, 65))]
    return bytes(data)


def flip_file(rng: Rng, path: Path) -> None:
    """`flip_bytes` of a file."""
    path.write_bytes(flip_bytes(rng, path.read_bytes()))


def change_json(rng: Rng, content: Any) -> Any:
    """Change one value somewhere in what JSON says."""
    if isinstance(content, (dict, list)) and content and rng.random() < 0.85:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = pick(rng, keys)
        kind = int(rng.integers(8))
        if kind == 0:
            del content[key]
        elif kind == 1 and isinstance(content, dict):
            content[pick(rng, WORDS)] = content.pop(key)
        elif kind == 2 and isinstance(content, list):
            content += [content[key]] * int(pick(rng, [1, 2, 50]))
        elif kind == 3:
            content[key] = content[pick(rng, keys)]
        else:
            content[key] = change_json(rng, content[key])
        return content
    return pick(rng, [_number, _word, _nested, _plain])(rng, content)


def _number(rng: Rng, content: Any) -> Any:
    return pick(rng, NUMBERS)


def _word(rng: Rng, content: Any) -> Any:
    return pick(rng, WORDS)


def _nested(rng: Rng, content: Any) -> Any:
    for _ in range(int(pick(rng, [1, 3, 70, 500]))):
        content = [content] if rng.random() < 0.5 else {"a": content}
    return content


def _plain(rng: Rng, content: Any) -> Any:
    return pick(rng, [None, True, False, [], {}, [0], {"array": "x"}, [[0, 1], [1, 0]]])


def change_json_file(rng: Rng, path: Path, again: Callable[[Any], str] = json.dumps) -> None:
    """Change a JSON file, mostly so that it is JSON still.

    again: writes it.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError):
        flip_file(rng, path)
        return
    if rng.random() < 0.2:
        flip_file(rng, path)
        return
    path.write_text(again(change_json(rng, content)))


def arrays(rng: Rng, like: np.ndarray) -> Any:
    """Return another array in place of one: of other values, shape or type."""
    kind = int(rng.integers(9))
    if kind == 0:
        return np.asarray(pick(rng, NUMBERS[:24]), dtype=object).astype(float)
    if kind == 1:
        return like.ravel()
    if kind == 2:
        return like[None]
    if kind == 3:
        return like[..., :0] if like.ndim else like
    if kind == 4:
        return like.astype(pick(rng, ["f8", "f2", "i1", "u8", "c8", "?", "i8", ">f4"]), copy=True)
    if kind == 5:
        return np.repeat(like, int(pick(rng, [2, 3, 16])), axis=0) if like.ndim and like.size < 10_000 else like
    if kind == 6:
        return np.full(like.shape, pick(rng, [np.nan, np.inf, -np.inf, 0, -1, 1e38, 1e-45]))
    if kind == 7:
        return np.bytes_(pick(rng, ["", "LIF", "x" * 300]))
    values = like.astype(float, copy=True).ravel()
    if values.size:
        values[int(rng.integers(values.size))] = float(pick(rng, [np.nan, np.inf, 0.0, -1.0, 1e300, 1e-300, 2.0**40]))
    return values.reshape(like.shape)


def change_hdf5(rng: Rng, path: Path) -> None:
    """Change an HDF5 file through HDF5 itself, or its bytes."""
    if rng.random() < 0.3:
        flip_file(rng, path)
        return
    try:
        with h5py.File(path, "r+") as file:
            _change_hdf5(rng, file, path)
    except Exception:  # it was damaged before
        flip_file(rng, path)


def _change_hdf5(rng: Rng, file: h5py.File, path: Path) -> None:
    names: list[str] = []
    file.visit(names.append)
    name = pick(rng, names)
    parent, _, leaf = name.rpartition("/")
    group = file[parent or "/"]
    item, kind = file[name], int(rng.integers(13))
    if kind == 0:
        del group[leaf]
    elif kind == 1:
        group.move(leaf, pick(rng, [word for word in WORDS if word and "\0" not in word and "\udcff" not in word and "/" not in word]))
    elif kind == 2:
        group[f"{leaf}2"] = pick(rng, [h5py.SoftLink("/"), h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink(f"/{name}"), item])
    elif kind == 3:
        file.copy(pick(rng, names), group, f"{leaf}3")
    elif kind == 4:
        item.attrs[pick(rng, ["a", "b"])] = pick(rng, [1, "text", np.zeros(9)])
    elif kind == 5:
        size = int(pick(rng, [10**6, 2**27, 2**31, 2**40]))
        del group[leaf]
        chunked = rng.random() < 0.7
        group.create_dataset(
            leaf, (size,), pick(rng, ["f8", "f4", "i1"]), **({"chunks": (1 << 16,), "compression": "gzip"} if chunked else {})
        )
    elif kind == 6 and isinstance(item, h5py.Group):
        file[f"{parent}/{leaf}4" if parent else f"{leaf}4"] = item
    elif isinstance(item, h5py.Dataset):
        value = item[()]
        changed = arrays(rng, value) if isinstance(value, np.ndarray) else pick(rng, [*NUMBERS[:24], *WORDS[:3], *WORDS[8:12]])
        del group[leaf]
        group[leaf] = changed
    else:
        del group[leaf]
        group[leaf] = pick(rng, [1.5, "Linear", np.zeros((2, 2))])
