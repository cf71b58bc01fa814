"""What an exporter of ours noted in a graph's metadata, which inform and carry no meaning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import nir
import numpy as np

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.host_steps import HostStep, read_step
from snnfuse.hardware.ir.json_fields import keys
from snnfuse.hardware.ledger import Ledger, LedgerEntry, from_json

KEY = "snnfuse"
FIELDS = {field.name for field in fields(LedgerEntry)}


@dataclass(frozen=True)
class Notes:
    """The notes of a graph.

    Attributes:
        ours: whether there are any.
        dt: seconds per step, > 0; None where they do not say.
        ledger: what changed on the way to the graph.
        forward: how a traced model takes a run, in words; empty where they do not say.
        readings: of outputs of which a traced model returns one value for all steps, by name: the "sum", "mean", "max" or "last" one.
        classes: of outputs of which it returns sums of equal groups of neurons in a row, by name how many groups.
        host_steps: by module path, a folded module's node, None where it is not one node, and what a host could compute in its place.
    """

    ours: bool = False
    dt: float | None = None
    ledger: Ledger = ()
    forward: str = ""
    readings: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    host_steps: Mapping[str, tuple[str | None, HostStep]] = field(default_factory=dict)


def read_notes(graph: nir.NIRGraph) -> Notes:
    """The notes in a graph; empty for a foreign one.

    Raises:
        InputError: they are damaged.
    """
    if graph.metadata is None:
        return Notes()
    if not isinstance(graph.metadata, Mapping):
        raise _damaged(f"it is a {type(graph.metadata).__name__}")
    text = graph.metadata.get(KEY)
    if text is None:
        return Notes(dt=_foreign_dt(graph.metadata.get("dt")))
    try:
        said = json.loads(text if isinstance(text, (str, bytes)) else str(text))
    except ValueError as error:  # JSON's errors, and bytes that are no UTF-8
        raise _damaged(str(error)) from None
    if not isinstance(said, dict):
        raise _damaged("it is no JSON object")
    return Notes(
        ours=True,
        dt=_dt(said.get("dt")),
        ledger=_ledger(said.get("ledger", [])),
        forward=str(said.get("forward", "")),
        readings=_readings(said.get("readings", {})),
        classes=_classes(said.get("classes", {})),
        host_steps=_host_steps(said.get("host_steps", {})),
    )


def with_note(graph: nir.NIRGraph, **notes: Any) -> nir.NIRGraph:
    """The graph with further notes, JSON-able."""
    about = json.loads(graph.metadata[KEY]) | notes
    return nir.NIRGraph(graph.nodes, graph.edges, metadata={**graph.metadata, KEY: json.dumps(about)}, type_check=False)


def _foreign_dt(value: Any) -> float | None:
    """Seconds per step as other exporters note them, under "dt"; None where it is no such number."""
    found = np.asarray(value)
    if found.dtype.kind not in "fiu" or found.size != 1:
        return None
    return float(found.reshape(())) if np.isfinite(found).all() and (found > 0).all() else None


def _readings(notes: Any) -> dict[str, str]:
    if not isinstance(notes, dict) or not set(notes.values()) <= {"sum", "mean", "last", "max"}:
        raise _damaged("its readings are no object of sum, mean, max or last by output")
    return notes


def _classes(notes: Any) -> dict[str, int]:
    if not isinstance(notes, dict) or not all(type(number) is int and number > 0 for number in notes.values()):
        raise _damaged("its classes are no object of whole numbers above 0 by output")
    return notes


def _host_steps(notes: Any) -> dict[str, tuple[str | None, HostStep]]:
    if not isinstance(notes, dict):
        raise _damaged("its host_steps are no object")
    try:
        found = {path: keys(note, {"node", "step"}) for path, note in notes.items()}
        steps = {path: (note["node"], read_step(note["step"])) for path, note in found.items()}
    except InputError as error:
        raise _damaged(f"host_steps: {error}") from None
    if not all(isinstance(node, str) or node is None for node, _ in steps.values()):
        raise _damaged("host_steps: a node is no text")
    return steps


def _dt(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (np.isfinite(value) and value > 0):
        raise _damaged(f"dt must be a positive number of seconds, not {value!r}")
    return float(value)


def _ledger(rows: Any) -> Ledger:
    if not isinstance(rows, list):
        raise _damaged("its ledger is no list")
    for row in rows:
        complete = isinstance(row, dict) and FIELDS - {"effect"} <= row.keys() <= FIELDS
        if not complete or not all(isinstance(value, str) for value in row.values()):
            raise _damaged(f"a ledger entry must hold the texts {', '.join(sorted(FIELDS))}")
    return from_json(rows)


def _damaged(why: str) -> InputError:
    return InputError(f"the graph's metadata is damaged: {why}; export the model again, or delete the metadata {KEY!r}")
