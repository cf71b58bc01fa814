"""Fits of whole networks, judged by their outputs.

A population that is fitted alone is judged by its spikes. Where these differ too much to tell one form from another, as in a loop that is
chaotic, or where little is enough to change the output, that says nothing of what the network is for. So where the outputs of all fits
together are not nearly the float network's, every population's alternatives take its place in turn: other forms and scales, and the same
with weights whose errors cancel (`error_feedback.compensated`). The program whose outputs are nearest is taken: of all that were run, none
is nearer on the samples that judge.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.weights import count_connections
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.calibration import Searched, quality
from snnfuse.export.quantization.calibration_data import evenly
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.output_distance import Distance, distance_of
from snnfuse.export.quantization.population_fits import Context
from snnfuse.export.quantization.reading import Reading
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.program import Program

# Plain choices of how long it may take. `python -m benchmarks.calibration` varies JUDGED, MATTERS and ROUNDS: a quarter of the samples
# moves 0.9 % of the spikes of the Braille graph at 4 bits, and nothing else changes anything there.
JUDGED = 128  # samples at most
WORK = 2 * 10**8  # synapses times steps times samples of a run, as many as that allows; below `FEWEST` nothing is searched
FEWEST = 16
ROUNDS = 2  # over all populations
MOST_WORK, LEAST_RUNS = 5 * 10**9, 12  # synapses times steps times samples of all runs, and runs in any case
MATTERS = 0.1  # of the worst population's error, below which another form of a population is not looked for


Repair = Callable[["Judge", Mapping[str, Fit]], Mapping[str, Fit]]
"""Other integers on the same scales and grids, whose outputs are no farther from the float network's."""


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
        return distance_of(context.network, program, context.run, recording, self.chosen)


def judging(network: Network, time: int, batch: int) -> NDArray[np.int64]:
    """Samples that judge, evenly spaced; none where a run takes too long."""
    number = min(JUDGED, batch, WORK // max(work_of(network, time), 1))
    return evenly(batch, number) if number >= min(FEWEST, batch) else np.zeros(0, int)


def work_of(network: Network, time: int) -> int:
    """Synapses times steps of a sample."""
    return sum(count_connections(p.weights) for p in network.projections) * time


def search_by_output(context: Context, searched: Mapping[str, Searched], asked: Reading) -> dict[str, Fit]:
    """The fits whose program's outputs are nearest, of all that are tried; see the module.

    Args:
        context: calibration data and the float network's run.
        searched: by population, the best fit alone, and what else there is.
        asked: how outputs are read.
    """
    fits, best = {name: each.best for name, each in searched.items()}, None
    time, batch = next(iter(context.events.values())).shape[:2]
    chosen = judging(context.network, time, batch)
    if not chosen.size or not context.network.outputs:
        return fits
    judge, runs = Judge(context, asked, chosen), max(LEAST_RUNS, MOST_WORK // max(work_of(context.network, time) * chosen.size, 1))
    best = judge.distance(fits)
    for name, fit in itertools.islice(_tried(searched), runs):
        if best.is_near:
            break
        found = judge.distance({**fits, name: fit})
        if found.total < best.total:
            best, fits = found, {**fits, name: fit}
    return fits


def _tried(searched: Mapping[str, Searched]) -> Iterator[tuple[str, Fit]]:
    """What takes the place of a population's fit, in turn: the same with errors that cancel first, which costs least to find, of every
    population; then other forms and scales of those that are not far better than the worst. Those with the worst fits come first."""
    order = sorted(searched, key=lambda name: -quality(searched[name].best))
    yield from ((name, fit) for name in order for fit in searched[name].compensated)
    wrong = [name for name in order if quality(searched[name].best) >= MATTERS * quality(searched[order[0]].best)]
    for _ in range(ROUNDS):
        yield from ((name, fit) for name in wrong for fit in searched[name].alternatives)
