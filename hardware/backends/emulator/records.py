"""What the kernel reads: one record per population, one per connection, and arrays that they point into, all by name.

The kernel is compiled once for every program because it reads from these records what to do. An offset is in elements of the array that
is named with it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def _record(*names: str) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names], align=True)


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
    "written",  # of an input: whether it is the same on every step, so that only its first step of a chunk is listed
    "events",  # neurons of all rows before, and below the same times the steps that each remembers: its events begin at
    "earlier",  # earlier + steps * events
    "history",  # steps before a chunk whose events its targets ask for
    "carried",  # where these lie among the values carried from chunk to chunk
)

CONNECTION = _record(
    "deliver",  # address of the code that adds its input, one of `delivery.DELIVERIES`
    "source",  # populations: row
    "lag",  # how many steps ago the events were sent; one more than its own lag where it is recurrent
    "written",  # whether its source is an input that is the same on every step
    "target",  # inputs: first of the port's
    "n",  # neurons of the target
    "factor",  # input in the target's units: (factor * (sum + offset * values of all events)) >> shift, modulo 2**32
    "offset",
    "shift",
    "weights",  # the first: rows, or kernels of runs and listed synapses
    # all-to-all
    "stride",  # from row to row
    "block",  # rows whose sum fits 16 bits for certain
    # listed one by one
    "table",  # tables: first synapse of each source; of a convolution, accumulator and weight offset of each source
    "targets",  # tables: target of each synapse
    # a convolution
    "phases",  # tables: phase of each source
    "firsts",  # tables: first run of each phase, and the end of the last
    "places",  # tables: accumulator offset of each run, added to the source's own
    "lengths",  # tables: weights of each run of a phase
    "silent",  # kernels: minus what all sources of the row add together, (height, width, cell); -1 where it is not known
    "sources",  # neurons of the source's row
    "origin",  # accumulator of output (0, 0)
    "pitch",  # accumulators per output row
    "cell",  # accumulators per output position
    "height",
    "width",
    "channels",
)

ARRAYS = ("tables", "rows", "kernels", "events", "values", "narrow", "wide", "inputs")
ADDRESSES = _record(*ARRAYS, *(f"{name}_size" for name in ARRAYS))  # addresses and sizes of what `Memory` holds

_FLAT = ("populations", "connections", "tables", "words", "rows", "kernels", "events", "values", "spikes", "numbers")
_SCRATCH = ("narrow", "wide", "inputs", "sent", "memory")
_ROWS = ("states", "carried", "starts", "places", "given")  # of two dimensions
CALL = _record(  # addresses and sizes of all that a call of the kernel is given, in the order of `entry_points.run`
    *_FLAT,
    *_SCRATCH,
    *(f"{name}_size" for name in (*_FLAT, *_SCRATCH)),
    *_ROWS,
    *(f"{name}_{which}" for name in _ROWS for which in ("rows", "size")),
    "first_population",
    "last_population",
    "first_sample",
    "last_sample",
    "first_step",
    "steps",
    "all_steps",
    "batch",
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
    memory: NDArray  # ADDRESSES, one record, which `entry_points.run` fills


class Memory(NamedTuple):
    """What a delivery reads and writes."""

    tables: NDArray[np.int32]
    rows: NDArray[np.int8]
    kernels: NDArray[np.int16]
    events: NDArray[np.int32]
    values: NDArray[np.int32]
    narrow: NDArray[np.int16]
    wide: NDArray[np.int32]
    inputs: NDArray[np.int32]
