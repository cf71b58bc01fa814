"""Sample files: what they declare is checked before it is allocated, and read as NumPy reads it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from snnfuse.data.samples import read_samples
from snnfuse.hardware.errors import InputError, UnsafeFileError


def header(shape: str, descr: str = "'<f4'", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


def packed(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f8", np.int8, ">i4", np.uint64, np.bool_])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, None], ids=["npz", "compressed", "npy"])
def test_arrays_are_read_as_numpy_reads_them(dtype: type, order: str, save, tmp_path: Path) -> None:
    x = np.asarray(np.random.default_rng(0).integers(0, 2, (5, 3, 2, 4)), dtype=dtype, order=order)
    path = tmp_path / ("x.npz" if save else "x.npy")
    (save or np.save)(path, x)
    (found,) = read_samples(path).inputs.values()
    assert found.dtype == x.dtype and found.flags.writeable
    np.testing.assert_array_equal(found, x)


def test_a_few_bytes_that_unpack_to_more_than_the_limit(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        file.write(header("(1, 1, 201326592)"))
        for _ in range(768):
            file.write(bytes(1 << 20))
    (tmp_path / "x.npz").write_bytes(content.getvalue())
    with pytest.raises(UnsafeFileError, match="x.npz: asks for 769MiB of memory for all arrays of one file that is less than 1/32"):
        read_samples(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(4294967296, 1024, 1)") + bytes(64), "declares .* more than the .* bytes that it holds; it is damaged"),
        (header("(-1, 1024, 1)") + bytes(64), "no .npz file of numbers"),
        (header("(2, 2, 1)"), "declares .* more than|no .npz file of numbers"),
        (header("(1, 1, 1)", "'|O'") + bytes(8), "it holds Python objects"),
        (header("(1, 1, 1)", "[('a', '<f4')]") + bytes(8), "not numbers"),
        (header("(1, 1, 1)", "'\\ud800'") + bytes(8), "no .npz file of numbers"),
        (header("(1, 1, " * 200), "no .npz file of numbers"),
        (header("(2, 2, 1)", version=b"\x09\x00") + bytes(64), "no .npz file of numbers|newer .npy format"),
        (b"\x93NUMPY\x01\x00\xff\xff", "no .npz file of numbers"),
        (b"", "no .npz file of numbers"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["npz", "npy"])
def test_damaged_headers_are_one_error(content: bytes, message: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    if zipped:
        packed(path, content)
    else:
        path.write_bytes(content or b"\x93NUMPY")
    with pytest.raises(InputError, match=message):
        read_samples(path)


def test_an_archive_cut_anywhere_is_one_error(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", x=np.random.default_rng(0).random((4, 3, 5)))
    whole = (tmp_path / "whole.npz").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut.npz: "):
            read_samples(tmp_path / "cut.npz")
