"""Verdicts as JSON-able rows, with witnesses in so few numbers that a report can hold them, and back.

A witness is mostly an input that is held for many steps, so that it is kept as runs: from which step on, which elements send what.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.proof import Verdict
from snnfuse.hardware.overflow.witness import Witness


def to_json(verdicts: Sequence[Verdict], steps: int | None = None) -> list[dict[str, Any]]:
    """A row per verdict; steps: the longest window that they hold for, None for any."""
    return [
        {
            "node": v.node,
            "event": v.event,
            "status": v.status,
            "harmless": v.harmless,
            "neurons": v.neurons,
            "interval": list(v.interval),
            "window": steps,
            "neuron": v.neuron,
            "witness": _witness(v.witness) if v.witness else None,
        }
        for v in verdicts
    ]


def _witness(witness: Witness) -> dict[str, Any]:
    return {"step": witness.time, "steps": witness.time + 1, "inputs": {name: _runs(array) for name, array in witness.events.items()}}


def _runs(events: NDArray[np.int32]) -> list[dict[str, Any]]:
    """(time, 1, *shape) as runs of equal steps; one in which nothing is sent has no elements."""
    flat = events.reshape(len(events), -1)
    starts = [0, *(1 + np.flatnonzero((flat[1:] != flat[:-1]).any(1))).tolist()]
    return [{"from": t, "elements": (at := np.flatnonzero(flat[t])).tolist(), "values": flat[t, at].tolist()} for t in starts]


def witness_events(program: Program, row: Mapping[str, Any]) -> dict[str, NDArray[np.int32]]:
    """The events (time, 1, *shape) per input of a row of `to_json`, to be run again; they overflow the row's neuron at its last step.

    Raises:
        InputError: the row holds no witness, or one of another program.
    """
    witness = row.get("witness")
    if not witness:
        raise InputError(f"{row.get('node')!r}, {row.get('event')}: there is no witness to run, it is {row.get('status')}")
    try:
        return {n: _written_out(witness["inputs"].get(n, []), witness["steps"], node.shape) for n, node in program.inputs.items()}
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the witness of {row.get('node')!r} is none of this program: {error}") from error


def _written_out(runs: Sequence[Mapping[str, Any]], steps: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    events = np.zeros((steps, int(np.prod(shape))), np.int32)
    for run in runs:
        events[run["from"] :] = 0
        events[run["from"] :, run["elements"]] = run["values"]
    return events.reshape(steps, 1, *shape)
