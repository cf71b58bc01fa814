"""Checkpoints whose few bytes ask torch's own unpickler for memory or time without end."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from snnfuse.checkpoints.torch_file import read_torch_file
from snnfuse.data.samples import read_arrays
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsafeFileError

PROTOCOL = b"\x80\x02"


def packed(path: Path, pickle: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"data.pkl": pickle, "version": b"3\n", "byteorder": b"little"}.items():
            archive.writestr(f"archive/{name}", content)
    return path


@pytest.mark.parametrize(
    ("pickle", "kind", "message"),
    [
        (b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", UnsafeFileError, "holds a bytearray, which can ask for any amount of memory"),
        (b"c__builtin__\nbytearray\n\x8a\x05\0\0\0\0\x02\x85R.", UnsafeFileError, "holds a bytearray"),
        (b"(" + b"}" * (4 << 20) + b"l.", UnsafeFileError, "asks for 5MiB of structure, all but the numbers, in one checkpoint"),
        (b"]" * 1000 + b"a" * 999 + b".", UnsafeFileError, "asks for 65 groups within each other"),
        (b")" + b"\x85" * 1000 + b".", UnsafeFileError, "asks for 65 groups within each other"),
        (b"K", InputError, "damaged"),
        (b"J\0", InputError, "damaged, or not a torch file"),
        (b"c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0zip\x86R.", SnnfuseError, "."),
    ],
    ids=["bytearray", "bytearray of Python 2", "dictionaries", "lists", "tuples", "cut off", "cut within a number", "a codec"],
)
def test_a_pickle_that_asks_for_too_much(tmp_path: Path, pickle: bytes, kind: type[SnnfuseError], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_torch_file(packed(tmp_path / "x.pt", PROTOCOL + pickle), allow_pickle=False)


def test_views_that_repeat_what_is_stored(tmp_path: Path) -> None:
    torch.save({f"w{number}": torch.zeros(1).expand(1 << 22) for number in range(5)}, tmp_path / "x.pt")
    with pytest.raises(UnsafeFileError, match="asks for 80MiB of memory for all arrays of one file that is less than 1/32 as large"):
        read_torch_file(tmp_path / "x.pt", allow_pickle=False)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pt")
    with pytest.raises(InputError, match="x.pt: is no regular file"):
        read_torch_file(tmp_path / "x.pt", allow_pickle=False)
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(InputError, match="x.npz: is no regular file"):
        read_arrays(tmp_path / "x.npz")
