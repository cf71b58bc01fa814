"""NIR files, read with errors in one line."""

from pathlib import Path

import h5py
import nir
from nir.serialization import hdf2dict

from snnfuse.export.hdf5 import opened
from snnfuse.export.lowering.shown_graph import shown
from snnfuse.hardware.errors import InputError

CONVOLUTIONS = ("Conv1d", "Conv2d")  # of which older files do not say the shape of their input


def read_graph(path: str | Path) -> nir.NIRGraph:
    """Return the NIR graph of an HDF5 file, which `snnfuse.export.hdf5` has checked.

    Raises:
        InputError: the file is missing, no NIR file, or holds no graph.
        UnsafeFileError: it refers to other files, or declares more than the limits allow.
    """
    path = Path(path)
    with opened(path, "NIR graph") as file:
        graph = _graph(path, file)
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"{path}: holds a single {type(graph).__name__}, not a graph")
    return shown(graph)


def _graph(path: Path, file: h5py.Group) -> nir.NIRNode:
    try:
        return nir.dict2NIRNode(_unchecked(hdf2dict(file["node"])))
    except Exception as error:  # nir raises anything at all on a damaged or foreign file
        said = " ".join(str(error).split())
        what = f"{type(error).__name__}: {said}" if said else "its nodes are not those of a file that nir.write makes"
        raise InputError(f"{path}: no readable NIR graph: {what}") from error


def _unchecked(content: dict) -> dict:
    """The same, with graphs and graphs within them that nir takes as they are: shapes are checked, and missing ones inferred, by lowering,
    with names."""
    waiting = [content]
    while waiting:
        node = waiting.pop()
        if node.get("type") in CONVOLUTIONS:
            node.setdefault("input_shape", None)
        if isinstance(node.get("nodes"), dict):
            node["type_check"] = False
            waiting += [inner for inner in node["nodes"].values() if isinstance(inner, dict)]
    return content
