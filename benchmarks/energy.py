"""Energy of PilotNet on Loihi 2: both models beside the published run. `python -m benchmarks.energy [--json -]`

The network is that of `benchmarks.pilotnet`, for 16 steps. The spikes of the published run are not known, so both models are asked at the
least and the most spikes per neuron and step that are assumed (`hardware/energy/constants.py`), and the range of both is taken. What
they prove differs: the calibrated model was made from this run and only has to give it back; the constants of Loihi 1 were not, so that
for them it is a prediction, of dynamic energy. All of it is modelled, not measured; no board was available.
"""

import sys
from typing import Any

import click
import numpy as np

from benchmarks.pilotnet import pilotnet
from snnfuse.commands.console import Console, json_option
from snnfuse.hardware.chip import count, find_board
from snnfuse.hardware.energy import MODELLED, Activity, Estimate, Range, calibrated, loihi1, measure
from snnfuse.hardware.energy.constants import PILOTNET, published_energy_mj
from snnfuse.hardware.ir.recording import Recording
from snnfuse.report.tables import table

STEPS = int(PILOTNET["steps"].low)
MJ_PER_UJ = MS_PER_US = 1e-3


def activity_at(rate: float, seed: int = 0) -> Activity:
    """PilotNet with neurons that fire at random, all at one rate."""
    program, rng = pilotnet(), np.random.default_rng(seed)
    fired = {name: rng.random((STEPS, 1, *node.shape)) < rate for name, node in program.neurons.items()}
    events = {name: (rng.random((STEPS, 1, *node.shape)) < rate).astype(np.int32) for name, node in program.inputs.items()}
    return measure(program, [Recording(fired, events=events)], count(program, find_board("oheo-gulch")))


def union(ranges: list[Range]) -> Range:
    return Range(min(r.low for r in ranges), max(r.high for r in ranges))


def row(estimates: list[Estimate], quantity: str, published: float, scale: float) -> dict[str, Any]:
    """A model's range of one quantity, and whether the published value lies in it."""
    bounds = union([getattr(estimate, quantity) for estimate in estimates]) * scale
    return {"low": bounds.low, "high": bounds.high, "published": published, "contains": bool(bounds.contains(published))}


def compare_energy() -> dict[str, Any]:
    """Both models at both ends of the assumed activity."""
    activities = [activity_at(rate) for rate in PILOTNET["activity"].range]
    published, milliseconds = published_energy_mj(), 1e3 / PILOTNET["rate"].low
    first, second = ([model(activity) for activity in activities] for model in (loihi1, calibrated))
    return {
        "note": MODELLED,
        "spikes per neuron and step, assumed": list(PILOTNET["activity"].range),
        "Loihi 1 constants, a prediction": {
            "dynamic mJ": row(first, "dynamic_uj", published["dynamic"], MJ_PER_UJ),
            "ms": row(first, "time_us", milliseconds, MS_PER_US),
        },
        "calibrated on this very run": {
            "dynamic mJ": row(second, "dynamic_uj", published["dynamic"], MJ_PER_UJ),
            "total mJ": row(second, "total_uj", published["total"], MJ_PER_UJ),
            "ms": row(second, "time_us", milliseconds, MS_PER_US),
        },
    }


@click.command()
@json_option
def main(json_to: str | None, quiet: bool) -> None:
    """Modelled beside published energy."""
    console = Console(json_to, quiet)
    with console.result() as result:
        result.update(compare_energy())
        head = ("model", "quantity", "low", "high", "published", "within")
        rows = [
            (model, quantity, f"{r['low']:.3g}", f"{r['high']:.3g}", f"{r['published']:.4g}", "yes" if r["contains"] else "no")
            for model, found in result.items()
            if isinstance(found, dict)
            for quantity, r in found.items()
        ]
        console.say(f"PilotNet, {STEPS} steps, per inference; {MODELLED}\n{table(head, rows)}")


if __name__ == "__main__":
    sys.exit(main())
