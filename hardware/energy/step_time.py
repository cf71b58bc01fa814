"""How long a step takes, and which part of the chip decides it.

    T = max(n t_n, w t_w, o t_o, r t_r, l t_l, x t_x, t_b)

for the neurons n and words of microcoded state w of the core that has most, the synaptic operations o and the reads of synapse memory r of
the core that has most in that step, bits on the busiest link l within a chip and x between chips, and the barrier. That is the form of
Intel's own model, the largest of what each part needs (Timcheck et al. 2026, arXiv 2601.10035, r >= 0.97 against the chip); the rates
stand in the catalogue, each with its source. Only the busiest core counts: totals and mean sparsity do not predict time (Yik et al. 2025,
arXiv 2511.21549).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.energy.activity import Activity

NS_PER_US = 1e3
PARTS = ("neuron updates", "microcode", "synaptic operations", "synapse memory", "a link", "a link between chips", "the barrier")


def part_times(activity: Activity, rates: Mapping[str, float]) -> NDArray[np.float64]:
    """Return (parts, samples, steps) microseconds that each part needs, in the order of `PARTS`.

    Args:
        rates: the group `time` of the catalogue, by name.
    """
    busiest = activity.busiest
    whole = np.ones_like(busiest.operations) / NS_PER_US
    return np.stack(
        [
            whole * busiest.stock * rates["update_ns"],
            whole * busiest.microcode * rates["microcode_ns"],
            busiest.operations * rates["operation_ns"] / NS_PER_US,
            busiest.reads * rates["read_ns"] / NS_PER_US,
            whole * busiest.link.bits * rates["link_ns"],
            whole * busiest.link.between_bits * rates["chip_link_ns"],
            whole * rates["barrier_us"] * NS_PER_US,
        ]
    )


def inference_us(activity: Activity, rates: Mapping[str, float]) -> float:
    """Return microseconds of all steps of an inference, the mean over its samples."""
    return float(part_times(activity, rates).max(0).sum(-1).mean())


def decided_by(activity: Activity, rates: Mapping[str, float]) -> dict[str, float]:
    """Return the share of steps that each part decides, 0..1, the largest first; parts that decide none are left out."""
    shares = np.bincount(part_times(activity, rates).argmax(0).ravel(), minlength=len(PARTS)) / max(1, activity.busiest.operations.size)
    return {PARTS[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable") if shares[i]}
