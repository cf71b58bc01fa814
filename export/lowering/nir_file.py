"""NIR files, read with errors in one line."""

import os
from pathlib import Path

import nir

from snnfuse.hardware.errors import InputError


def read_graph(path: str | Path) -> nir.NIRGraph:
    """A NIR graph from an HDF5 file.

    Raises:
        InputError: the file is missing, no NIR file, or holds no graph.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: is a folder, not a file" if os.path.isdir(path) else f"{path}: no such file")
    try:
        graph = nir.read(path, type_check=False)  # shapes are checked where the graph is lowered, with names
    except Exception as error:  # nir.read and h5py raise anything at all on a damaged or foreign file
        said = " ".join(str(error).split())
        what = f"{type(error).__name__}: {said}" if said else "its nodes are not those of a file that nir.write makes"
        raise InputError(f"{path}: no readable NIR graph: {what}") from error
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"{path}: holds a single {type(graph).__name__}, not a graph")
    return graph
