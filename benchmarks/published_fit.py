"""The constants of `snnfuse.hardware.energy.constants` that are fitted, from published runs.

    barrier_us      geometric mean over publications of the shortest steps: rows whose step nothing else fills
    microcode_ns    geometric mean over rows of neurons in microcode: step / words on the fullest core
    operation_ns    PilotNet's step / operations of its busiest core, and what other public code has (`DOCUMENTED_NS`), geometric mean
    value_us        geometric mean over rows fed by the host: (step - exchange) / values
    power           least squares of logarithms of total power, and with half the weight of dynamic and of static power; rows of one
                    network share one weight. Energies per operation are Loihi 1's (Davies et al. 2018) times one factor

What a left-out row was the only source of falls back on what is documented: microcode on `update_ns` per word, operations on
`DOCUMENTED_NS`, values on the catalogue.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from benchmarks.published_runs import FREE, HOST, Run
from snnfuse.hardware.energy import Activity
from snnfuse.hardware.energy.models import default_numbers, dynamic_uj, static_w

DOCUMENTED_NS = 0.71  # of a synaptic operation: the mean of 0.66 and 0.76
DAVIES_PJ = {"update_pj": 81.0, "operation_pj": 23.6, "message_pj": 34.7}
START = {"static_w": 0.24, "shared_static_w": 0.11, "running_w": 0.03, "core_w": 2e-3, "scale": 0.5}
HALF, HELD = 0.5, 0.05  # weights: of dynamic and static power, and of staying near the start where no row says more
SHORTEST = ("pair", "winner-take-all, LIF", "SHD")  # what their steps are made of is the barrier

Numbers = dict[str, dict[str, float]]


def fit(rows: Sequence[Run]) -> Numbers:
    """Return the catalogue's numbers with those that are fitted taken from these rows."""
    numbers = default_numbers()
    fit_time(rows, numbers)
    fit_power(rows, numbers)
    return numbers


def fit_time(rows: Sequence[Run], numbers: Numbers) -> None:
    """Replace the rates of `time` and `host` that are fitted."""
    rates = numbers["time"]
    short = [row for row in rows if row.network.startswith(SHORTEST)]
    rates["barrier_us"] = mean(mean(row.step_us for row in of) for _, of in groupby(short, lambda row: row.family))
    microcoded = [row for row in rows if row.regime == FREE and row.activity().busiest.microcode]
    rates["microcode_ns"] = mean(1e3 * row.step_us / row.activity().busiest.microcode for row in microcoded) or rates["update_ns"]
    busy = [1e3 * row.step_us / row.activity().busiest.operations.mean() for row in rows if row.network == "PilotNet SNN"]
    rates["operation_ns"] = mean([DOCUMENTED_NS, mean(busy)]) if busy else DOCUMENTED_NS
    waited = [(row.step_us - numbers["host"]["exchange_us"]) / values_per_step(row.activity()) for row in rows if row.regime == HOST]
    numbers["host"]["value_us"] = mean(waited) or numbers["host"]["value_us"]


def values_per_step(activity: Activity) -> float:
    """Return numbers that a host writes per step."""
    return activity.values / activity.steps


def mean(numbers: Iterable[float]) -> float:
    """Return the geometric mean, 0 of none."""
    logs = np.log(list(numbers))
    return float(np.exp(logs.mean())) if len(logs) else 0.0


def fit_power(rows: Sequence[Run], numbers: Numbers) -> None:
    """Replace what is fitted of `power`."""
    known = [row for row in rows if row.total_w is not None]
    weights = {row.network: 1 / np.sqrt(sum(other.network == row.network for other in known)) for row in known}
    start = np.log(list(START.values()))

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        tried = numbers | {"power": power_of(dict(zip(START, np.exp(logs))))}
        found = [weights[row.network] * each for row in known for each in row_residuals(row, tried)]
        return np.concatenate([found, HELD * (logs - start)])

    numbers["power"] = power_of(dict(zip(START, np.exp(least_squares(residuals, start).x))))


def power_of(fitted: Mapping[str, float]) -> dict[str, float]:
    """Return the group `power` for fitted watts and the factor of Loihi 1's energies."""
    watts = {name: float(value) for name, value in fitted.items() if name != "scale"}
    return watts | {name: float(value * fitted["scale"]) for name, value in DAVIES_PJ.items()}


def row_residuals(row: Run, numbers: Mapping[str, Any]) -> list[float]:
    """Return logarithms of modelled over published power: total, and half of those of dynamic and static power where they are known."""
    static, dynamic = watts(row, numbers)
    pairs = [(1.0, static + dynamic, row.total_w), (HALF, static, row.static_w)]
    pairs += [(HALF, dynamic, row.dynamic_w)] if row.regime == FREE else []
    return [weight * float(np.log(modelled / published)) for weight, modelled, published in pairs if published is not None]


def watts(row: Run, numbers: Mapping[str, Any]) -> tuple[float, float]:
    """Return modelled static and dynamic power, over steps as long as published; none dynamic while the chip waits for its host."""
    activity = row.activity()
    time = row.step_us * activity.steps
    return static_w(activity, numbers), dynamic_uj(activity, numbers, time) / time if row.regime == FREE else 0.0
