"""The modality report: accuracy, spikes and modelled energy while sensors are clean, missing, noisy or late; float and deployed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.samples import Samples
from snnfuse.hardware.errors import InputError
from snnfuse.measures.conditions import CLEAN, Condition
from snnfuse.measures.features import discriminate
from snnfuse.measures.runs import Deployed, Run, Runner, confusion

Read = Callable[[float | None], Samples]
Progress = Callable[[int, int], None]
CLASSES = 64  # up to which a confusion matrix is kept


def measure_modalities(
    read: Read,
    conditions: Sequence[Condition],
    *,
    floats: Runner | None,
    deployed: Deployed | None,
    embeddings: Mapping[str, str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a network in every condition.

    Args:
        read: labelled samples, in the same order each time, given a signal-to-noise ratio in dB for their recordings, or None.
        conditions: what is measured.
        floats: runs of the float network; None: there is none.
        deployed: runs of its program; None: there is none.
        embeddings: nodes whose spike counts are embeddings, by a name for each; measured in the condition "clean".
        seed: of what is random in a condition.
        progress: called with (done, total).

    Returns:
        JSON-able: `rows`, one per condition: its `name`, `kind`, `input`, `level` and `unit`; `samples`; `float` and `deployed`, each with
        `accuracy` in [0, 1], `spikes` per sample and, by layer, `layers`; `deployed` also with `energy`, dynamic microjoules [low, high]
        by model, and `saturated`; of clean sensors and up to `CLASSES` classes also `confusion`, samples by label and class. And
        `features`, a row per embedding with the figures of `Discrimination`, float and deployed.

    Raises:
        InputError: samples without labels, or a condition of an input that there is not.
    """
    rows, features = [], []
    for number, condition in enumerate(conditions):
        samples = read(condition.snr_db)
        if (labels := samples.labels) is None:
            raise InputError(f"{samples.source}: accuracy needs labels")
        inputs = condition.apply(samples.inputs, seed)
        row: dict[str, Any] = condition.to_json() | {"samples": len(samples), "float": None, "deployed": None}
        runs: dict[str, Run] = {}
        if floats is not None:
            runs["float"] = floats(inputs)
            row["float"] = _figures(runs["float"], labels, condition)
        if deployed is not None:
            runs["deployed"], more = deployed(inputs)
            row["deployed"] = _figures(runs["deployed"], labels, condition) | more
        rows.append(row)
        if condition.kind == CLEAN:
            features += _features(runs, labels, embeddings or {})
        if progress is not None:
            progress(number + 1, len(conditions))
    return {"rows": rows, "features": features}


def _figures(run: Run, labels: NDArray[np.int64], condition: Condition) -> dict[str, Any]:
    layers, counts = run.spikes, confusion(labels, run.classes)
    found = {"accuracy": run.accuracy(labels), "spikes": sum(layers.values()), "layers": layers}
    return found | ({"confusion": counts.tolist()} if condition.kind == CLEAN and len(counts) <= CLASSES else {})


def _features(runs: Mapping[str, Run], labels: NDArray[np.int64], embeddings: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row per embedding; a kind of run that has no such node, None."""
    return [
        {"embedding": name, "node": node}
        | {kind: _discriminated(runs[kind], node, labels) if kind in runs else None for kind in ("float", "deployed")}
        for name, node in embeddings.items()
    ]


def _discriminated(run: Run, node: str, labels: NDArray[np.int64]) -> dict[str, Any] | None:
    return discriminate(run.counts[node], labels).to_json() if node in run.counts else None
