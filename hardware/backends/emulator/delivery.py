"""From events to synaptic input: what each kind of connection adds to its target in one step.

Weights lie source by source, so that only the sources that spiked cost anything. A sum is scaled and shifted once per step, after it is
complete, as on the chip, everything modulo 2**32.

Each function of DELIVERIES takes a record of CONNECTION, `records.Memory`, and where the events of the step begin and end. Each is
compiled alone, when a program first has such a connection, and called by its address.
"""

from collections.abc import Callable

from numba import njit, types
from numpy import int32

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED
from snnfuse.hardware.backends.emulator.vectors import LANES, get, loader, plus, plus_scaled, plus_times, store, zeros

WIDE_TILE = 4 * LANES  # targets whose sums are held in registers at once
OPTIONS = {"_nrt": False, "error_model": "numpy", "boundscheck": BOUNDS_CHECKED}  # nothing is allocated: no references are counted
kernel_part = njit(**OPTIONS)
inlined = njit(forceinline=True, **OPTIONS)  # what is called once per step with many arrays, which a call would copy

load = loader(LANES)


@kernel_part
def collect(c, offset, sums, first, n, inputs, target):
    """Add consecutive complete sums, with an offset to each, to the input."""
    factor, shift, more, j = int32(c.factor), int32(c.shift), int32(offset), 0
    while j + LANES <= n:
        store(inputs, target + j, plus_scaled(load(inputs, target + j), load(sums, first + j), more, factor, shift))
        j += LANES
    while j < n:
        inputs[target + j] += int32(int32(factor * int32(sums[first + j] + more)) >> shift)
        j += 1


def rows(lanes: int, graded: bool) -> Callable:
    """All-to-all: for so many targets at a time, the sum of the rows of all events, held in registers."""
    load_row, zero16, zero32 = loader(lanes), zeros(types.int16, lanes), zeros(types.int32, lanes)

    def deliver(c, m, start, stop):
        first, stride, block, offset = c.weights, c.stride, c.block, c.offset * (stop - start)
        if graded:
            total = 0
            for k in range(start, stop):
                total += get(m.values, k)
            offset = c.offset * total
        for j in range(0, stride, lanes):
            sums = zero32()
            if graded:
                for k in range(start, stop):
                    sums = plus_times(sums, load_row(m.rows, first + j + stride * get(m.events, k)), int32(get(m.values, k)))
            else:
                for begin in range(start, stop, block):
                    partial = zero16()
                    for k in range(begin, min(begin + block, stop)):
                        partial = plus(partial, load_row(m.rows, first + j + stride * get(m.events, k)))
                    sums = plus(sums, partial)
            store(m.wide, j, sums)
        collect(c, offset, m.wide, 0, c.n, m.inputs, c.target)

    return deliver


def runs(graded: bool = False, wide: bool = False, three: bool = False) -> Callable:
    """A convolution: the kernel of every event is added run by run at its place, in 16 bits where no sum can leave them.

    The sums lie in the middle of a margin that nobody reads. Kernels of 3x3 over 16 channels, three runs of three vectors for each event,
    go without loops.
    """

    def deliver(c, m, start, stop):
        sums = m.wide if wide else m.narrow
        for y in range(c.height):
            begin = c.origin + y * c.pitch
            sums[begin : begin + c.width * c.cell] = 0
        if three:
            scatter_three(c, m, start, stop, sums)
        elif graded:
            scatter_graded(c, m, start, stop, sums)
        else:
            scatter(c, m, start, stop, sums)
        channels, cell, width = c.channels, c.cell, c.width
        for y in range(c.height):
            first, row = c.origin + y * c.pitch, c.target + y * width * channels
            if channels == cell:
                collect(c, 0, sums, first, width * channels, m.inputs, row)
            else:
                for x in range(width):
                    collect(c, 0, sums, first + x * cell, channels, m.inputs, row + x * channels)

    return deliver


@kernel_part
def scatter_three(c, m, start, stop, sums):
    table, weights = c.table, c.weights
    first, second, third = get(m.tables, c.places), get(m.tables, c.places + 1), get(m.tables, c.places + 2)
    for k in range(start, stop):
        entry = table + 2 * get(m.events, k)
        base, source = get(m.tables, entry), weights + get(m.tables, entry + 1)
        if base >= 0:
            for place in (first, second, third):
                for lane in (0, LANES, 2 * LANES):
                    target = base + place + lane
                    store(sums, target, plus(load(sums, target), load(m.kernels, source + lane)))
                source += 3 * LANES


def scatterer(graded: bool) -> Callable:
    """A loop over events, their runs, and the vectors of a run; with values, sums have 32 bits."""

    @kernel_part
    def scatter(c, m, start, stop, sums):
        table, weights, phases, firsts, places, length = c.table, c.weights, c.phases, c.firsts, c.places, c.length
        for k in range(start, stop):
            event = get(m.events, k)
            base, source = get(m.tables, table + 2 * event), weights + get(m.tables, table + 2 * event + 1)
            if base >= 0:
                phase = firsts + get(m.tables, phases + event)
                for r in range(get(m.tables, phase), get(m.tables, phase + 1)):
                    target = base + get(m.tables, places + r)
                    for lane in range(0, length, LANES):
                        before, more = load(sums, target + lane), load(m.kernels, source + lane)
                        store(sums, target + lane, plus_times(before, more, int32(get(m.values, k))) if graded else plus(before, more))
                    source += length

    return scatter


scatter, scatter_graded = scatterer(graded=False), scatterer(graded=True)


def listed(graded: bool) -> Callable:
    """Synapses one by one."""

    def deliver(c, m, start, stop):
        table, targets, weights, sums = c.table, c.targets, c.weights, m.wide[: c.n]
        sums[:] = 0
        for k in range(start, stop):
            value, column = int32(get(m.values, k)) if graded else int32(1), table + get(m.events, k)
            for r in range(get(m.tables, column), get(m.tables, column + 1)):
                sums[get(m.tables, targets + r)] += int32(value * get(m.kernels, weights + r))
        collect(c, 0, m.wide, 0, c.n, m.inputs, c.target)

    return deliver


DELIVERIES = {
    "rows": rows(WIDE_TILE, graded=False),
    "graded rows": rows(WIDE_TILE, graded=True),
    "short rows": rows(LANES, graded=False),
    "graded short rows": rows(LANES, graded=True),
    "runs": runs(),
    "three runs": runs(three=True),
    "wide runs": runs(wide=True),
    "graded runs": runs(wide=True, graded=True),
    "listed": listed(graded=False),
    "graded listed": listed(graded=True),
}
