"""HDF5 files from strangers: nothing outside the file is read, nothing endless is walked, nothing is believed that it cannot hold."""

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from snnfuse.export.hdf5 import opened
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.hardware.errors import InputError, UnsafeFileError

SECRET = bytes(range(32, 64))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file that nir.write made."""
    lif = nir.LIF(tau=np.full(4, 1e-3), r=np.ones(4), v_leak=np.zeros(4), v_threshold=np.ones(4))
    ends = {"in": nir.Input({"input": np.array([8])}), "out": nir.Output({"output": np.array([4])})}
    nodes = {**ends, "fc": nir.Linear(np.eye(4, 8)), "lif": lif}
    path = tmp_path / "graph.nir"
    nir.write(path, nir.NIRGraph(nodes, [("in", "fc"), ("fc", "lif"), ("lif", "out")]))
    (tmp_path / "secret").write_bytes(SECRET)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weight"] = np.frombuffer(SECRET, np.uint8).reshape(4, 8)
    return path


def external_storage(file: h5py.File, folder: Path) -> None:
    file.create_dataset("node/nodes/fc/weight", (4, 8), np.uint8, external=[(str(folder / "secret"), 0, 32)])


def external_link(file: h5py.File, folder: Path) -> None:
    file["node/nodes/fc/weight"] = h5py.ExternalLink(str(folder / "other.h5"), "/weight")


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4, 8), np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "weight", (4, 8))
    file.create_virtual_dataset("node/nodes/fc/weight", layout)


def soft_link(file: h5py.File, folder: Path) -> None:
    file["node/nodes/fc/weight"] = h5py.SoftLink("/node/nodes/lif/r")


def cycle(file: h5py.File, folder: Path) -> None:
    file["node/nodes/fc/weight"] = file["node"]


def many_names(file: h5py.File, folder: Path) -> None:
    file["node/nodes/fc/weight"] = np.eye(4, 8)
    for number in range(20):
        file[f"node/nodes/fc/{number}"] = file["node/nodes/fc/weight"]


def doubled_groups(file: h5py.File, folder: Path) -> None:
    """2**30 paths through 30 groups, each of which two names lead to."""
    below = file.create_group("node/nodes/fc/weight")
    for number in range(30):
        group = file.create_group(f"spare{number}")
        group["a"] = group["b"] = below
        below = group


def deep(file: h5py.File, folder: Path) -> None:
    file.create_group("node/nodes/fc/weight" + "/x" * 100)


def huge(file: h5py.File, folder: Path) -> None:
    file.create_dataset("node/nodes/fc/weight", (1 << 14, 1 << 14), np.float32, chunks=(64, 64), compression="gzip")


def many_large(file: h5py.File, folder: Path) -> None:
    zeros = zlib.compress(bytes(1 << 26))
    for number in range(5):
        array = file.create_dataset(f"node/nodes/fc/{number}", (1 << 28,), np.uint8, chunks=(1 << 26,), compression="gzip")
        for start in range(0, 1 << 28, 1 << 26):
            array.id.write_direct_chunk((start,), zeros)


def never_written(file: h5py.File, folder: Path) -> None:
    file.create_dataset("node/nodes/fc/weight", (1 << 12, 1 << 12), np.float32, chunks=(64, 64))


def plugin(file: h5py.File, folder: Path) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 8))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)  # zstd, which is not built in
    space = h5py.h5s.create_simple((4, 8))
    h5py.h5d.create(file["node/nodes/fc"].id, b"weight", h5py.h5t.NATIVE_FLOAT, space, plist)


UNSAFE: list[tuple[Callable[[h5py.File, Path], None], str]] = [
    (external_storage, "node/nodes/fc/weight: its values lie in another file"),
    (external_link, "node/nodes/fc/weight: a link, which could lead to any other file"),
    (virtual, "node/nodes/fc/weight: its values lie in another file"),
    (soft_link, "node/nodes/fc/weight: a link, which could lead to any other file"),
    (cycle, "node/nodes/fc/weight: a group that holds itself"),
    (many_names, "asks for 17 names of one object of an HDF5 file, and the limit is 16"),
    (doubled_groups, "asks for 17 names of one object of an HDF5 file, and the limit is 16"),
    (deep, "asks for 65 groups within each other, and the limit is 64"),
    (huge, "node/nodes/fc/weight: asks for 1GiB of memory for one array, and the limit is 512MiB"),
    (many_large, "asks for 2GiB of memory for all arrays of one file, and the limit is 1GiB"),
    (plugin, "node/nodes/fc/weight: stored through filter 32015, which HDF5 would load as code"),
]


def harmed(graph: Path, harm: Callable[[h5py.File, Path], None]) -> Path:
    with h5py.File(graph, "a") as file:
        del file["node/nodes/fc/weight"]
        harm(file, graph.parent)
    return graph


@pytest.mark.parametrize(("harm", "message"), UNSAFE, ids=[harm.__name__ for harm, _ in UNSAFE])
def test_what_could_do_harm_is_refused(graph: Path, harm: Callable[[h5py.File, Path], None], message: str) -> None:
    with pytest.raises(UnsafeFileError, match=message):
        read_graph(harmed(graph, harm))


def test_what_was_never_written_is_not_read_as_zeros(graph: Path) -> None:
    with pytest.raises(InputError, match="node/nodes/fc/weight: declares 67108864 bytes, of which the file stores 0"):
        read_graph(harmed(graph, never_written))


def test_a_whole_file_opens(graph: Path) -> None:
    np.testing.assert_array_equal(read_graph(graph).nodes["fc"].weight, np.eye(4, 8))


def test_what_the_block_meets_is_an_error_that_names_the_file(graph: Path) -> None:
    with pytest.raises(InputError, match="graph.nir: no readable net: KeyError"), opened(graph, "net") as file:
        file["absent"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nir")
    with pytest.raises(InputError, match="pipe.nir: is no regular file"):
        read_graph(tmp_path / "pipe.nir")


def test_names_that_steer_a_terminal_are_not_printed(graph: Path) -> None:
    def escape(file: h5py.File, folder: Path) -> None:
        file["node/nodes/fc/\x1b[31mweight"] = h5py.SoftLink("/node")

    with pytest.raises(UnsafeFileError) as caught:
        read_graph(harmed(graph, escape))
    assert str(caught.value).isprintable()


def test_a_limit_is_raised_as_the_error_says(graph: Path) -> None:
    harmed(graph, many_names)
    script = f"from snnfuse.export.lowering.nir_file import read_graph; read_graph({str(graph)!r})"
    raised = {**os.environ, "SNNFUSE_LIMITS": "shared-links=32"}
    refused = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "set SNNFUSE_LIMITS=shared-links=17" in refused.stderr
    assert "shared-links" not in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=raised).stderr


@pytest.mark.parametrize("value", ["nodes", "nodes=-1", "nodes=1GB", "other=3"])
def test_a_limit_that_is_none(graph: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SNNFUSE_LIMITS", value)
    with pytest.raises(InputError, match="sets no limit; write NAME=NUMBER"):
        read_graph(graph)


@pytest.mark.parametrize("size", [0, 2**64 - 24, 2**64 - 16], ids=["nothing", "all but nothing", "less than nothing"])
def test_a_heap_on_which_hdf5_never_ends(graph: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The free space of a heap of texts counts its own header; of size 0 HDF5 2.0 stays at it."""
    monkeypatch.setattr("snnfuse.export.hdf5.SECONDS", 1)
    content = bytearray(graph.read_bytes())
    heap = content.index(b"GCOL")
    at = heap + 16
    while int.from_bytes(content[at : at + 2], "little"):
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = size.to_bytes(8, "little")
    graph.write_bytes(content)
    began = time.process_time()
    with pytest.raises(InputError, match="graph.nir: "):
        read_graph(graph)
    assert time.process_time() - began < 1  # it is the other process that waits


def test_a_crash_of_hdf5_is_damage(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getpid()

    def crash(*_: object) -> None:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr("snnfuse.export.hdf5.check", crash)
    with pytest.raises(InputError, match="graph.nir: is so damaged that HDF5 ends or never does"):
        read_graph(graph)


def test_many_texts_that_are_one(tmp_path: Path) -> None:
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        file["one"] = "x" * (1 << 20)
        file.create_dataset("many", (400, 2), h5py.string_dtype())
        file["many"][:] = "y"
    content = path.read_bytes()
    with h5py.File(path) as file:
        offset = file["many"].id.get_offset()
        one = content[(at := file["one"].id.get_offset()) : at + 16]
    path.write_bytes(content[:offset] + one * 800 + content[offset + 16 * 800 :])
    with pytest.raises(UnsafeFileError, match="x.nir: many: asks for .*MiB of memory for all arrays of one file that is less than 1/32"):
        with opened(path):
            pass
