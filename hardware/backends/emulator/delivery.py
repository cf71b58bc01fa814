"""From events to synaptic input: what each kind of connection adds to its target in one step.

Rows of weights lie source by source, so that only the sources that spiked cost anything. A sum is scaled and shifted once per step,
after it is complete, as on the chip: a += (factor * sum) >> shift, everything modulo 2**32.
"""

from snnfuse.hardware.backends.emulator.fields import (
    C_BLOCK,
    C_CELL,
    C_CHANNELS,
    C_FACTOR,
    C_FIRSTS,
    C_HEIGHT,
    C_LANES,
    C_LENGTH,
    C_ORIGIN,
    C_PHASES,
    C_PITCH,
    C_RUNS,
    C_SHIFT,
    C_STRIDE,
    C_TABLE,
    C_THREE,
    C_WEIGHTS,
    C_WIDE,
    C_WIDTH,
)
from snnfuse.hardware.backends.emulator.intrinsics import (
    collector,
    get,
    graded_chunk_sum,
    graded_row_sum,
    kernel_part,
    row_sum,
    run_sum,
    three_runs,
)

_rows128, _rows64, _rows32, _rows16 = (row_sum(lanes) for lanes in (128, 64, 32, 16))
_graded64, _graded16 = graded_row_sum(64), graded_row_sum(16)
_graded_chunk8, _run8, _add_one = graded_chunk_sum(8), run_sum(8), graded_chunk_sum(1)
_collect16, _collect1 = collector(16), collector(1)


@kernel_part
def deliver_rows(c, w, events, start, stop, a):
    """All-to-all, binary: c is the connection's row."""
    first, n, stride, block, factor, shift = c[C_WEIGHTS], c[C_STRIDE], c[C_STRIDE], c[C_BLOCK], c[C_FACTOR], c[C_SHIFT]
    j = 0
    while j + 128 <= n:
        _rows128(a, j, events, start, stop, block, w, first + j, stride, factor, shift)
        j += 128
    if j + 64 <= n:
        _rows64(a, j, events, start, stop, block, w, first + j, stride, factor, shift)
        j += 64
    if j + 32 <= n:
        _rows32(a, j, events, start, stop, block, w, first + j, stride, factor, shift)
        j += 32
    if j + 16 <= n:
        _rows16(a, j, events, start, stop, block, w, first + j, stride, factor, shift)


@kernel_part
def deliver_graded_rows(c, w, events, values, start, stop, a):
    """All-to-all, graded."""
    first, n, stride, factor, shift = c[C_WEIGHTS], c[C_STRIDE], c[C_STRIDE], c[C_FACTOR], c[C_SHIFT]
    j = 0
    while j + 64 <= n:
        _graded64(a, j, events, values, start, stop, w, first + j, stride, factor, shift)
        j += 64
    while j + 16 <= n:
        _graded16(a, j, events, values, start, stop, w, first + j, stride, factor, shift)
        j += 16


@kernel_part
def _clear_runs(c, acc):
    """Zero what will be read; the margin around it is never read."""
    for y in range(c[C_HEIGHT]):
        begin = c[C_ORIGIN] + y * c[C_PITCH]
        acc[begin : begin + c[C_WIDTH] * c[C_CELL]] = 0


@kernel_part
def _collect(a, target, acc, first, length, factor, shift):
    """Add consecutive complete sums to the input."""
    k = 0
    while k + 16 <= length:
        _collect16(a, target + k, acc, first + k, factor, shift)
        k += 16
    while k < length:
        _collect1(a, target + k, acc, first + k, factor, shift)
        k += 1


@kernel_part
def _collect_runs(c, acc, a):
    """Add the complete sums of a convolution to the input, without the margin around them."""
    channels, cell, width = c[C_CHANNELS], c[C_CELL], c[C_WIDTH]
    for y in range(c[C_HEIGHT]):
        first = c[C_ORIGIN] + y * c[C_PITCH]
        if channels == cell:
            _collect(a, y * width * channels, acc, first, width * channels, c[C_FACTOR], c[C_SHIFT])
            continue
        for x in range(width):
            _collect(a, (y * width + x) * channels, acc, first + x * cell, channels, c[C_FACTOR], c[C_SHIFT])


@kernel_part
def _scatter_wide(c, tables, w, events, values, graded, start, stop, acc):
    """Add the kernel of every event, run by run, at its place."""
    for k in range(start, stop):
        event = get(events, k)
        base, source = get(tables, c[C_TABLE] + 2 * event), c[C_WEIGHTS] + get(tables, c[C_TABLE] + 2 * event + 1)
        phase = c[C_FIRSTS] + get(tables, c[C_PHASES] + event)
        for r in range(get(tables, phase), get(tables, phase + 1)) if base >= 0 else range(0):
            target = base + get(tables, c[C_RUNS] + r)
            for lane in range(0, c[C_LENGTH], 8):
                if graded:
                    _graded_chunk8(acc, target + lane, w, source + lane, get(values, k))
                else:
                    _run8(acc, target + lane, w, source + lane)
            source += c[C_LENGTH]


def _scatter(lanes):
    """A loop that adds the kernel of every event at its place in 16 bits, so many lanes at once."""
    add_run, add_three = run_sum(lanes), three_runs(lanes)

    @kernel_part
    def scatter_three(table, first, second, third, first_weight, tables, w, events, start, stop, acc):
        for k in range(start, stop):
            entry = table + 2 * get(events, k)
            base = get(tables, entry)
            if base >= 0:
                add_three(acc, base + first, base + second, base + third, w, first_weight + get(tables, entry + 1))

    @kernel_part
    def scatter(c, tables, w, events, start, stop, acc):
        table, phases, firsts, runs, length = c[C_TABLE], c[C_PHASES], c[C_FIRSTS], c[C_RUNS], c[C_LENGTH]
        if c[C_THREE]:
            places = tables[runs], tables[runs + 1], tables[runs + 2]
            scatter_three(table, *places, c[C_WEIGHTS], tables, w, events, start, stop, acc)
            return
        for k in range(start, stop):
            event = get(events, k)
            base, source = get(tables, table + 2 * event), c[C_WEIGHTS] + get(tables, table + 2 * event + 1)
            phase = firsts + get(tables, phases + event)
            for r in range(get(tables, phase), get(tables, phase + 1)) if base >= 0 else range(0):
                target = base + get(tables, runs + r)
                for lane in range(0, length, lanes):
                    add_run(acc, target + lane, w, source + lane)
                source += length

    return scatter


_scatter64, _scatter32, _scatter16, _scatter8 = (_scatter(lanes) for lanes in (64, 32, 16, 8))


@kernel_part
def deliver_runs(c, tables, w, events, values, graded, start, stop, narrow, wide, a):
    """A convolution: its sums in 16 bits where they fit for certain."""
    if graded or c[C_WIDE]:
        _clear_runs(c, wide)
        _scatter_wide(c, tables, w, events, values, graded, start, stop, wide)
        _collect_runs(c, wide, a)
        return
    _clear_runs(c, narrow)
    lanes = c[C_LANES]
    if lanes == 8:
        _scatter8(c, tables, w, events, start, stop, narrow)
    elif lanes == 16:
        _scatter16(c, tables, w, events, start, stop, narrow)
    elif lanes == 32:
        _scatter32(c, tables, w, events, start, stop, narrow)
    else:
        _scatter64(c, tables, w, events, start, stop, narrow)
    _collect_runs(c, narrow, a)


@kernel_part
def deliver_listed(c, tables, w, events, values, graded, start, stop, acc, a, n):
    """Synapses one by one."""
    table, targets, weights = c[C_TABLE], c[C_PHASES], c[C_WEIGHTS]
    acc[:n] = 0
    for k in range(start, stop):
        value = get(values, k) if graded else 1
        column = table + get(events, k)
        for r in range(get(tables, column), get(tables, column + 1)):
            _add_one(acc, get(tables, targets + r), w, weights + r, value)
    _collect(a, 0, acc, 0, n, c[C_FACTOR], c[C_SHIFT])
