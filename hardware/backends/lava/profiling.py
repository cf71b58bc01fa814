"""Lava's own profilers of a board, where lava-loihi brings them, and what they measured of a run.

They are `lava.utils.loihi2_profiler`'s Loihi2ExecutionTime, Loihi2Power and Loihi2Activity, handed to Loihi2HwCfg as callbacks: so do
lava-dl's published benchmarks (netx/pilotnet_snn/benchmark.ipynb), from which their attributes and units are taken. This has never run
on a board; a stand-in is marked by the words that its module begins with.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

MEASURED = "measured.json"  # in the job's folder: a list of what `Profilers.measured` gives
MODULE = "lava.utils.loihi2_profiler"
NAMES = ("Loihi2ExecutionTime", "Loihi2Power", "Loihi2Activity")
TIMES = {"step_us": "avg_time_per_step"}
PARTS_OF_TIME = ("execution", "spiking", "management", "host", "learning")
POWERS = {
    "total_w": "total_power",
    "static_w": "static_total_power",
    "vdd_w": "vdd_power",
    "vddm_w": "vddm_power",
    "vddio_w": "vddio_power",
}
COUNTS = ("syn_ops", "dendrite_updates", "spikes_in", "axon_out")


@dataclass(frozen=True)
class Profilers:
    """Profilers of one run.

    Attributes:
        source: the first line of their module's docstring, or where it lies.
        time, power, activity: the objects, each None where the module does not have it.
        steps: of the run.
    """

    source: str
    time: Any
    power: Any
    activity: Any
    steps: int

    @property
    def callbacks(self) -> list[Any]:
        """What `callback_fxs` of Loihi2HwCfg takes."""
        return [each for each in (self.time, self.power, self.activity) if each is not None]

    def measured(self) -> dict[str, Any]:
        """Return means and sums, JSON-able; a figure that a profiler does not have is left out.

        Microseconds per step and its parts, watts, and per step counts of all cores (`all`) and of the core that has most (`busiest`).
        """
        found: dict[str, Any] = {"profilers": self.source, "steps": self.steps}
        parts = {f"{part}_us": f"{part}_time_per_step" for part in PARTS_OF_TIME}
        found |= _means(self.time, TIMES | parts) | _means(self.power, POWERS)
        for name in COUNTS:
            counts = _numbers(self.activity, name)
            if counts is not None:
                per_step = counts / max(1, self.steps)
                found[name] = {"all": float(per_step.sum()), "busiest": float(per_step.max(initial=0)), "cores": int(per_step.size)}
        return found


def find_profilers(steps: int) -> Profilers | None:
    """Return profilers for a run of so many steps; None where lava-loihi has none."""
    try:
        module = importlib.import_module(MODULE)
    except ImportError:
        return None
    made = [getattr(module, name, None) for name in NAMES]
    if not any(made):
        return None
    time, power, activity = made
    source = (module.__doc__ or "").strip().split("\n")[0] or str(getattr(module, "__file__", MODULE))
    return Profilers(source, time and time(), power and power(num_steps=steps), activity and activity(), steps)


def _means(profiler: Any, attributes: dict[str, str]) -> dict[str, float]:
    known = {name: _numbers(profiler, attribute) for name, attribute in attributes.items()}
    return {name: float(np.mean(values)) for name, values in known.items() if values is not None and values.size}


def _numbers(profiler: Any, attribute: str) -> np.ndarray | None:
    value = getattr(profiler, attribute, None)
    return None if value is None else np.asarray(value, np.float64).ravel()
