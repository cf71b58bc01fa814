"""How far a program's outputs are from the float network's, in classes and in what decoders read.

That is left to compare where a network is chaotic, and its spikes are others on any hardware.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.outputs import output_values as float_values
from snnfuse.hardware.ir.encoding import decoded, output_values
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

# `python -m benchmarks.calibration` varies NEAR: a search of what is near already (0) costs one class of 350 at 8 bits, none at all 6 % of
# the spikes at 4. NEAR_VALUES, and the weight of classes in `Distance.total`, are plain choices. Before there was a search 4 bits of that
# graph lost 3.1 points in the mean of ten calibrations, and with it -0.3: `python -m benchmarks.few_bits --only braille`.
NEAR = 0.05  # distance of spike counts, all classes being the same, below which there is nothing to search for
NEAR_VALUES = 0.02  # of membranes that are read


@dataclass(frozen=True)
class Distance:
    """How far a program's outputs are from the float network's.

    Attributes:
        classes: share of samples of another class, of the output that decides, or over all; 0 where nothing is classified.
        values: rms of the difference of what decoders read, spike counts or membranes, over the rms of the float ones about their mean.
        is_near: whether there is nothing to search for.
    """

    classes: float
    values: float
    is_near: bool

    @property
    def total(self) -> float:
        """By which programs are ranked. Values tell more than a few samples' classes, and do not saturate."""
        return self.values + self.classes / 4

    def __str__(self) -> str:
        return f"{self.classes:.2%} of the classes differ, outputs are {self.values:.2%} off"


def distance_of(
    network: Network, program: Program, run: FloatRun, recording: Recording, chosen: NDArray[np.int64] | None = None
) -> Distance:
    """Of two runs on the same inputs; chosen: the samples of the float run that the recording is of, by default all."""
    apart, wrong, near = [], [], []
    for name, rule in program.outputs.items():
        values = float_values(network, run, name)
        goal = decoded(rule, values if chosen is None else values[:, chosen]).astype(np.float64)
        found = decoded(rule, output_values(program, recording, name)) * (rule.unit if rule.reads_membrane else 1)
        if rule.reads_membrane:  # an origin is the same in both
            goal, found = goal - goal.mean(), found - found.mean()
        apart.append(float(np.sqrt(((found - goal) ** 2).mean()) / max(goal.std(), 1e-12)))
        differ = float((found.reshape(len(found), -1).argmax(1) != goal.reshape(len(goal), -1).argmax(1)).mean())
        wrong.append(differ if not rule.reads_membrane or name == program.decides else 0.0)
        near.append(apart[-1] <= (NEAR_VALUES if rule.reads_membrane else NEAR) and not wrong[-1])
    return Distance(float(np.mean(wrong)), float(np.mean(apart)), all(near))
