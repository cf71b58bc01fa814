"""The first part in which two programs or two graphs differ, without running them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnfuse.hardware.ir.program import Program

if TYPE_CHECKING:
    import nir

UNTOLD = ("metadata", "input_type", "output_type")  # of a NIR node: no part of what it computes


def program_difference(a: Program, b: Program) -> str | None:
    """Where two programs first differ, in words; None where they are one network. Ledgers and dt are not compared."""
    for what, mine, other in (("node", a.nodes, b.nodes), ("output", a.outputs, b.outputs)):
        if said := _mappings(what, mine, other):
            return said
    if len(a.connections) != len(b.connections):
        return f"{len(a.connections)} synapse groups against {len(b.connections)}"
    for number, (mine, other) in enumerate(zip(a.connections, b.connections)):
        if said := _values(f"synapse group {number}, {mine.source} -> {mine.target}", mine, other):
            return said
    return None


def graph_difference(a: "nir.NIRGraph", b: "nir.NIRGraph") -> str | None:
    """Where two NIR graphs first differ, in words; None where they are one network. Metadata are not compared."""
    if said := _mappings("node", a.nodes, b.nodes):
        return said
    if (edges := set(map(tuple, a.edges)) ^ set(map(tuple, b.edges))) and (edge := min(edges)):
        return f"the edge {edge[0]} -> {edge[1]} is in one only"
    return None


def _mappings(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    for name in a:
        if name not in b:
            return f"{what} {name!r} is in the first only"
        if said := _values(f"{what} {name!r}", a[name], b[name]):
            return said
    more = next((name for name in b if name not in a), None)
    return None if more is None else f"{what} {more!r} is in the second only"


def _values(where: str, a: Any, b: Any) -> str | None:
    if type(a).__name__ != type(b).__name__:
        return f"{where}: {type(a).__name__} against {type(b).__name__}"
    if is_dataclass(a):
        pairs = ((f.name, getattr(a, f.name), getattr(b, f.name, None)) for f in fields(a) if f.name not in UNTOLD)
        return next((said for name, x, y in pairs if (said := _values(f"{where}, {name}", x, y))), None)
    if isinstance(a, Mapping):
        return _mappings(where, a, b)
    if hasattr(a, "indptr"):
        return next((said for part in ("indptr", "indices", "data") if (said := _values(where, getattr(a, part), getattr(b, part)))), None)
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype == object or y.dtype == object:
        return None if str(a) == str(b) else f"{where}: {a} against {b}"
    if x.shape != y.shape:
        return f"{where}: shape {x.shape} against {y.shape}"
    wrong = np.flatnonzero((x != y).ravel())
    if not wrong.size:
        return None
    place = [int(i) for i in np.unravel_index(wrong[0], x.shape)]
    at = f" at {place}" if place else ""
    more = f", and {wrong.size - 1} more" if wrong.size > 1 else ""
    return f"{where}{at}: {x.ravel()[wrong[0]]} against {y.ravel()[wrong[0]]}{more}"
