"""What two runs come to: classes, accuracy, and how far apart their firing rates are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.outputs import output_values
from snnfuse.hardware.ir.encoding import decoded, scores
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording


@dataclass(frozen=True)
class Outcome:
    """Float against deployed at the outputs, on all samples.

    Attributes:
        samples: batch size.
        agreement: share of samples of the same class, over all outputs, in [0, 1].
        output_share: share of output spikes that differ, of those of either; of a readout, of its voltage's deviation; in [0, 1].
        float_accuracy, accuracy: of the float network and the program, in [0, 1]; None without labels or with several outputs.
    """

    samples: int
    agreement: float
    output_share: float
    float_accuracy: float | None = None
    accuracy: float | None = None


def classes(values: NDArray) -> NDArray[np.int64]:
    """(batch, *shape) to (batch,): the largest, ties to the lowest index."""
    return values.reshape(len(values), -1).argmax(1)


def float_scores(network: Network, program: Program, run: FloatRun) -> dict[str, NDArray]:
    """By output, what its decoder makes of the float run, (batch, *shape) or of a population code (batch, classes)."""
    return {name: decoded(rule, output_values(network, run, name)) for name, rule in program.outputs.items()}


def deployed_scores(program: Program, recording: Recording) -> dict[str, NDArray]:
    """By output, what its decoder makes of a recording, (batch, *shape)."""
    return {name: scores(program, recording, name) for name in program.outputs}


def agreement(a: Mapping[str, NDArray], b: Mapping[str, NDArray]) -> float:
    """Share of samples of the same class, over all outputs."""
    return float(np.mean([(classes(a[name]) == classes(b[name])).mean() for name in a]))


def accuracy(program: Program, found: Mapping[str, NDArray], labels: NDArray | None) -> float | None:
    """Share of samples whose class is their label; None without labels, or an output that decides."""
    if labels is None or program.decides is None:
        return None
    return float((classes(found[program.decides]) == labels).mean())


def rate_distance(a: NDArray, b: NDArray) -> float:
    """Earth mover's distance of the neurons' firing rates, in spikes per step; arrays (time, batch, *shape) of one shape.

    Of as many neurons on either side it is the mean distance of the rates in order; as scipy.stats.wasserstein_distance, which takes a
    second to import.
    """
    rates = [np.sort(np.count_nonzero(x, (0, 1)), axis=None) / (x.shape[0] * x.shape[1]) for x in (a, b)]
    return float(np.abs(rates[0] - rates[1]).mean()) if rates[0].size else 0.0
