"""Fits of whole networks, judged by their outputs.

A population that is fitted alone is judged by its spikes. Where these differ too much to tell one form from another, as in a loop that is
chaotic, or where little is enough to change the output, that says nothing of what the network is for. So where the outputs of all fits
together are not nearly the float network's, every population's alternatives take its place in turn: other forms and scales, and the same
with weights whose errors cancel (`error_feedback.compensated`). The program whose outputs are nearest is taken: of all that were run, none
is nearer on the samples that judge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.outputs import output_values as float_values
from snnfuse.export.lowering.weights import count_connections
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.calibration import Searched
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.population_fits import Context
from snnfuse.export.quantization.reading import Reading
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import decoded, output_values
from snnfuse.hardware.ir.program import Program

NEAR = 0.05  # distance of spike counts, all classes being the same, below which there is nothing to search for
NEAR_VALUES = 0.02  # of membranes that are read
JUDGED = 128  # samples at most
WORK = 2 * 10**8  # synapses times steps times samples of a run, as many as that allows; below `FEWEST` nothing is searched
FEWEST = 16
ROUNDS = 2  # over all populations


Repair = Callable[["Judge", Mapping[str, Fit]], Mapping[str, Fit]]
"""Other integers on the same scales and grids, whose outputs are no farther from the float network's."""


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


@dataclass(frozen=True, eq=False)
class Judge:
    """What judges the fits of a network: some of the calibration data.

    Attributes:
        context: the float network's run.
        asked: how outputs are read.
        chosen: the samples.
    """

    context: Context
    asked: Reading
    chosen: NDArray[np.int64]

    @cached_property
    def _goals(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def program(self, fits: Mapping[str, Fit]) -> Program:
        """Of these fits."""
        return assemble(self.context.network, fits, self.context.inputs, self.asked)

    def distance(self, fits: Mapping[str, Fit]) -> Distance:
        """Of the program of these fits."""
        context, program = self.context, self.program(fits)
        reads = any(output.reads_membrane for output in program.outputs.values())
        nodes = list(dict.fromkeys(output.node for output in program.outputs.values()))
        events = {name: x[:, self.chosen] for name, x in context.events.items()}
        recording = emulate(program, events, nodes, states=reads)
        apart, wrong, near = [], [], []
        for name, rule in program.outputs.items():
            goal = self._decoded(program, name)
            found = decoded(rule, output_values(program, recording, name)) * (rule.unit if rule.reads_membrane else 1)
            if rule.reads_membrane:  # an origin is the same in both
                goal, found = goal - goal.mean(), found - found.mean()
            apart.append(float(np.sqrt(((found - goal) ** 2).mean()) / max(goal.std(), 1e-12)))
            classes = (found.reshape(len(found), -1).argmax(1) != goal.reshape(len(goal), -1).argmax(1)).mean()
            wrong.append(float(classes) if not rule.reads_membrane or name == program.decides else 0.0)
            near.append(apart[-1] <= (NEAR_VALUES if rule.reads_membrane else NEAR) and not wrong[-1])
        return Distance(float(np.mean(wrong)), float(np.mean(apart)), all(near))

    def _decoded(self, program: Program, name: str) -> NDArray[np.float64]:
        if name not in self._goals:
            values = float_values(self.context.network, self.context.run, name)[:, self.chosen]
            self._goals[name] = decoded(program.outputs[name], values).astype(np.float64)
        return self._goals[name]


def judging(network: Network, time: int, batch: int) -> NDArray[np.int64]:
    """Samples that judge, evenly spaced; none where a run takes too long."""
    work = sum(count_connections(p.weights) for p in network.projections) * time
    number = min(JUDGED, batch, WORK // max(work, 1))
    return np.unique(np.linspace(0, batch - 1, number).astype(int)) if number >= min(FEWEST, batch) else np.zeros(0, int)


def search_by_output(context: Context, searched: Mapping[str, Searched], asked: Reading) -> dict[str, Fit]:
    """The fits whose program's outputs are nearest, of all that are tried; see the module.

    Args:
        context: calibration data and the float network's run.
        searched: by population, the best fit alone, and what else there is.
        asked: how outputs are read.
    """
    fits = {name: each.best for name, each in searched.items()}
    time, batch = next(iter(context.events.values())).shape[:2]
    chosen = judging(context.network, time, batch)
    if not chosen.size or not context.network.outputs:
        return fits
    judge = Judge(context, asked, chosen)
    best = judge.distance(fits)
    for _ in range(ROUNDS):
        before = best
        for name in context.network.order:
            for fit in searched[name].alternatives if not best.is_near else ():
                found = judge.distance({**fits, name: fit})
                if found.total < best.total:
                    best, fits = found, {**fits, name: fit}
        if best.is_near or best.total == before.total:
            break
    return fits
