"""From events to synaptic input: what each kind of connection adds to its target in one step.

Weights lie source by source, so that only the sources that spiked cost anything. A sum is scaled and shifted once per step, after it is
complete, as on the chip, everything modulo 2**32.

Each function of DELIVERIES takes a record of CONNECTION, `records.Memory`, and where the events of the step begin and end. Each is
compiled alone, when a program first has such a connection, and called by its address.
"""

from collections.abc import Callable
from typing import Any

from numba import njit, types
from numpy import int32

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED
from snnfuse.hardware.backends.emulator.vectors import LANES, append_nonzero, constants, get, loader, plus, plus_scaled, plus_times, store

WIDE_TILE = 4 * LANES  # targets whose sums are held in registers at once
# called by compiled code only; wrappers took a quarter of compiling
INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
OPTIONS = {"_nrt": False, "error_model": "numpy", "boundscheck": BOUNDS_CHECKED, **INNER}  # nothing is allocated: no references are counted
kernel_part = njit(**OPTIONS)
joined = njit(inline="always", **OPTIONS)  # becomes part of its only caller before anything is compiled, which halves what that takes
inlined = njit(forceinline=True, **OPTIONS)  # what is called once per step with many arrays, which a call would copy

load = loader(LANES)


@kernel_part
def collect(c, offset, sums, first, n, inputs, target, sign=1):
    """Add consecutive complete sums, with an offset to each, to the input; the sums are minus those that are meant where the sign is -1."""
    factor, shift, more, j = int32(c.factor * sign), int32(c.shift), int32(offset), 0
    while j + LANES <= n:
        store(inputs, target + j, plus_scaled(load(inputs, target + j), load(sums, first + j), more, factor, shift))
        j += LANES
    while j < n:
        inputs[target + j] += int32(int32(factor * int32(sums[first + j] + more)) >> shift)
        j += 1


def rows(lanes: int, graded: bool) -> Callable:
    """All-to-all: for so many targets at a time, the sum of the rows of all events, held in registers."""
    load_row, zero16, zero32 = loader(lanes), constants(types.int16, lanes), constants(types.int32, lanes)

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
    go without loops. Where most sources have sent, the others are added to minus the sum of all: that is minus what is wanted.
    """

    none = constants(types.int32 if wide else types.int16, LANES)

    def deliver(c, m, start, stop):
        sums, events, sign = m.wide if wide else m.narrow, m.events, 1
        line = c.width * c.cell
        if not wide and c.silent >= 0 and 2 * (stop - start) > 1 * c.sources:
            for y in range(c.height):
                begin, silent = c.origin + y * c.pitch, c.silent + y * line
                for j in range(0, line, LANES):  # and beyond its end, into the margin
                    store(sums, begin + j, load(m.kernels, silent + j))
            start, stop = list_others(m.events, start, stop, c.sources, m.wide)
            events, sign = m.wide, -1
        else:
            for y in range(c.height):
                begin = c.origin + y * c.pitch
                for j in range(0, line, LANES):
                    store(sums, begin + j, none())
        if three:
            scatter_three(c, m, events, start, stop, sums)
        elif graded:
            scatter_graded(c, m, events, start, stop, sums)
        else:
            scatter(c, m, events, start, stop, sums)
        channels, cell, width = c.channels, c.cell, c.width
        for y in range(c.height):
            first, row = c.origin + y * c.pitch, c.target + y * width * channels
            if channels == cell:
                collect(c, 0, sums, first, width * channels, m.inputs, row, sign)
            else:
                for x in range(width):
                    collect(c, 0, sums, first + x * cell, channels, m.inputs, row + x * channels, sign)

    return deliver


marks = constants(types.int32, LANES, 1)


@kernel_part
def list_others(events, start, stop, n, words):
    """List which of n sources have not sent, behind as many marks, in `words`; returns where the list begins and ends."""
    first = n + LANES
    for j in range(0, first, LANES):
        store(words, j, marks())
    for k in range(start, stop):
        words[get(events, k)] = 0
    end, j = first, 0
    while j + LANES <= n:
        end = append_nonzero(load(words, j), j, words, end)
        j += LANES
    while j < n:
        words[end] = j
        end += words[j] != 0
        j += 1
    return first, end


@kernel_part
def scatter_three(c, m, events, start, stop, sums):
    table, weights = c.table, c.weights
    first, second, third = get(m.tables, c.places), get(m.tables, c.places + 1), get(m.tables, c.places + 2)
    for k in range(start, stop):
        entry = table + 2 * get(events, k)
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
    def scatter(c, m, events, start, stop, sums):
        table, weights, phases, firsts, places, lengths = c.table, c.weights, c.phases, c.firsts, c.places, c.lengths
        for k in range(start, stop):
            event = get(events, k)
            base, source = get(m.tables, table + 2 * event), weights + get(m.tables, table + 2 * event + 1)
            if base >= 0:
                phase = get(m.tables, phases + event)
                length = get(m.tables, lengths + phase)
                for r in range(get(m.tables, firsts + phase), get(m.tables, firsts + phase + 1)):
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


def one_to_one(graded: bool) -> Callable:
    """Each source to the target of its own number, all with the same weight, which is part of the factor."""

    def deliver(c, m, start, stop):
        if graded and stop - start == c.n:  # all of them, in order
            collect(c, 0, m.values, start, c.n, m.inputs, c.target)
        else:
            factor, shift = int32(c.factor), int32(c.shift)
            for k in range(start, stop):
                value = int32(get(m.values, k)) if graded else int32(1)
                m.inputs[c.target + get(m.events, k)] += int32(int32(factor * value) >> shift)

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
    "one to one": one_to_one(graded=False),
    "graded one to one": one_to_one(graded=True),
}
