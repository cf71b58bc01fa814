"""What the kernel reads: one record per population, one per connection, and arrays that they point into, all by name.

The kernel is compiled once for every program because it reads from these records what to do. An offset is in elements of the array that
is named with it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS, RUNS, LISTED = range(3)  # kinds of connections


def _record(*names: str) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names])


POPULATION = _record(
    "n",  # neurons of this row: a population, or a slice of one
    "whole",  # neurons of the whole population
    "order",  # tables: index in the whole population of each neuron; -1 where it is its own
    "graded",  # whether its events carry values
    "update",  # address of its update, 0 for an input
    "parameters",  # words: what the update reads
    "constants",  # words: what constants bring, (ports, n); -1 for none
    "ports",
    "states",  # how many each neuron has
    "first_state",  # in the states of a sample, (states, n)
    "rests",  # whether the update may be skipped where nothing arrives and all states are 0
    "first_connection",  # connections: first_connection <= row < last_connection
    "last_connection",
    "source",  # of an input: its position among the program's inputs
    "limit",  # of an input: the largest magnitude that it may hold
    "events",  # neurons of all rows before, and below the same times the steps that each remembers: its events begin at
    "earlier",  # earlier + steps * events
    "history",  # steps before a chunk whose events its targets ask for
    "carried",  # where these lie among the values carried from chunk to chunk
)

CONNECTION = _record(
    "kind",  # ROWS: all-to-all; RUNS: a convolution; LISTED: synapses one by one
    "source",  # populations: row
    "port",
    "lag",  # how many steps ago the events were sent; one more than its own lag where it is recurrent
    "factor",  # input in the target's units: (factor * (sum + offset * values of all events)) >> shift, modulo 2**32
    "offset",
    "shift",
    "weights",  # ROWS rows: the first; RUNS, LISTED kernels: the first
    "stride",  # ROWS: from row to row
    "block",  # ROWS: rows whose sum fits 16 bits for certain
    "table",  # tables: RUNS accumulator and weight offset of each source; LISTED first synapse of each source
    "targets",  # tables: LISTED target of each synapse
    "phases",  # tables: RUNS phase of each source
    "firsts",  # tables: RUNS first run of each phase, and the end of the last
    "places",  # tables: RUNS accumulator offset of each run, added to the source's own
    "runs",  # RUNS: how many every event adds; -1 where that depends on its phase
    "length",  # RUNS: weights of each run
    "wide",  # RUNS: whether sums could leave 16 bits
    "origin",  # RUNS: accumulator of output (0, 0)
    "pitch",  # RUNS: accumulators per output row
    "cell",  # RUNS: accumulators per output position
    "height",
    "width",
    "channels",
)


class Tables(NamedTuple):
    """A plan, for the kernel."""

    populations: NDArray  # POPULATION
    connections: NDArray  # CONNECTION
    tables: NDArray[np.int32]
    words: NDArray[np.int32]
    rows: NDArray[np.int8]
    kernels: NDArray[np.int16]


class Part(NamedTuple):
    """What one call runs: some populations, for some samples, over the steps of a chunk."""

    first_population: int
    last_population: int
    first_sample: int
    last_sample: int
    first_step: int
    steps: int


class Lists(NamedTuple):
    """The events of a chunk, for one sample: those of step t of population q lie from starts[q, history + t] on."""

    events: NDArray[np.int32]
    values: NDArray[np.int32]
    starts: NDArray[np.int64]  # (populations, history + steps + 1)


class Kept(NamedTuple):
    """What a sample keeps from chunk to chunk."""

    states: NDArray[np.int32]  # (batch, states)
    carried: NDArray[np.int32]  # (batch, earlier): the values of the last steps


class Recorded(NamedTuple):
    """Where results go."""

    spikes: NDArray[np.uint8]
    words: NDArray[np.int32]  # graded spikes, and states
    places: NDArray[np.int64]  # (populations, 2): first element of what is sent, and of the states in words; -1 for none
    steps: int
    batch: int


class Scratch(NamedTuple):
    """Sums, and what one population takes and sends in a step."""

    narrow: NDArray[np.int16]
    wide: NDArray[np.int32]
    inputs: NDArray[np.int32]
    sent: NDArray[np.int32]
