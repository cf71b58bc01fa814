"""From events to synaptic input: what each kind of connection adds to its target in one step.

Weights lie source by source, so that only the sources that spiked cost anything. A sum is scaled and shifted once per step, after it is
complete, as on the chip, everything modulo 2**32.
"""

from numba import njit, types
from numpy import int32, int64

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED
from snnfuse.hardware.backends.emulator.records import LISTED, RUNS
from snnfuse.hardware.backends.emulator.vectors import LANES, get, loader, plus, plus_scaled, plus_times, store, zeros

WIDE_TILE = 4 * LANES  # targets whose sums are held in registers at once
kernel_part = njit(_nrt=False, error_model="numpy", boundscheck=BOUNDS_CHECKED, forceinline=True)  # nothing is allocated: no references are counted

load = loader(LANES)


@kernel_part
def collect(inputs, target, sums, first, n, c, offset):
    """Add consecutive complete sums to the input."""
    factor, shift, more, j = int32(c.factor), int32(c.shift), int32(offset), 0
    while j + LANES <= n:
        store(inputs, target + j, plus_scaled(load(inputs, target + j), load(sums, first + j), more, factor, shift))
        j += LANES
    while j < n:
        inputs[target + j] += int32(int32(factor * int32(sums[first + j] + more)) >> shift)
        j += 1


def row_sum(lanes):
    """The heart of an all-to-all connection: for so many targets at a time, the sum of the listed rows, held in registers."""
    load_row, zero16, zero32 = loader(lanes), zeros(types.int16, lanes), zeros(types.int32, lanes)

    @kernel_part
    def add_rows(first, stride, block, rows, events, start, stop, sums):
        for j in range(0, stride, lanes):
            total = zero32()
            for begin in range(start, stop, block):
                partial = zero16()
                for k in range(begin, min(begin + block, stop)):
                    partial = plus(partial, load_row(rows, first + j + stride * get(events, k)))
                total = plus(total, partial)
            store(sums, j, total)

    @kernel_part
    def add_graded_rows(first, stride, rows, events, values, start, stop, sums):
        for j in range(0, stride, lanes):
            total = zero32()
            for k in range(start, stop):
                total = plus_times(total, load_row(rows, first + j + stride * get(events, k)), int32(get(values, k)))
            store(sums, j, total)

    return add_rows, add_graded_rows


add_wide_rows, add_wide_graded_rows = row_sum(WIDE_TILE)
add_short_rows, add_short_graded_rows = row_sum(LANES)


@kernel_part
def deliver_rows(c, rows, lists, graded, start, stop, sums, inputs, target, n):
    """All-to-all: every event adds its row."""
    events, values, _ = lists
    first, stride, block = c.weights, c.stride, c.block
    wide = stride % WIDE_TILE == 0
    count = int64(stop - start)
    if graded:
        count = int64(0)
        for k in range(start, stop):
            count += values[k]
        if wide:
            add_wide_graded_rows(first, stride, rows, events, values, start, stop, sums)
        else:
            add_short_graded_rows(first, stride, rows, events, values, start, stop, sums)
    elif wide:
        add_wide_rows(first, stride, block, rows, events, start, stop, sums)
    else:
        add_short_rows(first, stride, block, rows, events, start, stop, sums)
    collect(inputs, target, sums, 0, n, c, c.offset * count)


@kernel_part
def scatter_three(c, tables, kernels, events, start, stop, sums):
    """Three runs of three vectors for every event: kernels of 3x3 over 16 channels, without a loop."""
    table, weights, places = c.table, c.weights, c.places
    first, second, third = get(tables, places), get(tables, places + 1), get(tables, places + 2)
    for k in range(start, stop):
        entry = table + 2 * get(events, k)
        base, source = get(tables, entry), weights + get(tables, entry + 1)
        if base >= 0:
            for place in (first, second, third):
                for lane in (0, LANES, 2 * LANES):
                    store(sums, base + place + lane, plus(load(sums, base + place + lane), load(kernels, source + lane)))
                source += 3 * LANES


@kernel_part
def scatter(c, tables, kernels, events, start, stop, sums):
    """Add the kernel of every event, run by run, at its place, in 16 bits."""
    table, weights, phases, firsts, places, length = c.table, c.weights, c.phases, c.firsts, c.places, c.length
    for k in range(start, stop):
        event = get(events, k)
        base, source = get(tables, table + 2 * event), weights + get(tables, table + 2 * event + 1)
        if base >= 0:
            phase = firsts + get(tables, phases + event)
            for r in range(get(tables, phase), get(tables, phase + 1)):
                target = base + get(tables, places + r)
                for lane in range(0, length, LANES):
                    store(sums, target + lane, plus(load(sums, target + lane), load(kernels, source + lane)))
                source += length


@kernel_part
def scatter_wide(c, tables, kernels, lists, graded, start, stop, sums):
    """The same in 32 bits, times the value of an event that carries one."""
    table, weights, phases, firsts, places, length = c.table, c.weights, c.phases, c.firsts, c.places, c.length
    for k in range(start, stop):
        event, value = get(lists.events, k), int32(get(lists.values, k)) if graded else int32(1)
        base, source = get(tables, table + 2 * event), weights + get(tables, table + 2 * event + 1)
        if base >= 0:
            phase = firsts + get(tables, phases + event)
            for r in range(get(tables, phase), get(tables, phase + 1)):
                target = base + get(tables, places + r)
                for lane in range(0, length, LANES):
                    store(sums, target + lane, plus_times(load(sums, target + lane), load(kernels, source + lane), value))
                source += length


@kernel_part
def clear_runs(c, sums):
    """Zero what will be read; the margin around it is never read."""
    for y in range(c.height):
        begin = c.origin + y * c.pitch
        sums[begin : begin + c.width * c.cell] = 0


@kernel_part
def collect_runs(c, sums, inputs, target):
    """Add the complete sums of a convolution to the input, without the margin around them."""
    channels, cell, width = c.channels, c.cell, c.width
    for y in range(c.height):
        first, row = c.origin + y * c.pitch, target + y * width * channels
        if channels == cell:
            collect(inputs, row, sums, first, width * channels, c, 0)
        else:
            for x in range(width):
                collect(inputs, row + x * channels, sums, first + x * cell, channels, c, 0)


@kernel_part
def deliver_runs(c, pools, lists, graded, start, stop, scratch, target):
    """A convolution: its sums in 16 bits where they fit for certain."""
    narrow, wide, inputs, _ = scratch
    if graded or c.wide:
        clear_runs(c, wide)
        scatter_wide(c, pools.tables, pools.kernels, lists, graded, start, stop, wide)
        collect_runs(c, wide, inputs, target)
        return
    clear_runs(c, narrow)
    if c.runs == 3 and c.length == 3 * LANES:
        scatter_three(c, pools.tables, pools.kernels, lists.events, start, stop, narrow)
    else:
        scatter(c, pools.tables, pools.kernels, lists.events, start, stop, narrow)
    collect_runs(c, narrow, inputs, target)


@kernel_part
def deliver_listed(c, pools, lists, graded, start, stop, sums, inputs, target, n):
    """Synapses one by one."""
    tables, kernels, (events, values, _) = pools.tables, pools.kernels, lists
    table, targets, weights = c.table, c.targets, c.weights
    sums[:n] = 0
    for k in range(start, stop):
        value, column = int32(values[k]) if graded else int32(1), table + get(events, k)
        for r in range(get(tables, column), get(tables, column + 1)):
            sums[get(tables, targets + r)] += int32(value * kernels[weights + r])
    collect(inputs, target, sums, 0, n, c, 0)


@kernel_part
def deliver(c, pools, lists, graded, start, stop, scratch, target, n):
    """Add what one connection brings to scratch.inputs[target : target + n]."""
    if c.kind == RUNS:
        deliver_runs(c, pools, lists, graded, start, stop, scratch, target)
    elif c.kind == LISTED:
        deliver_listed(c, pools, lists, graded, start, stop, scratch.wide, scratch.inputs, target, n)
    else:
        deliver_rows(c, pools.rows, lists, graded, start, stop, scratch.wide, scratch.inputs, target, n)
