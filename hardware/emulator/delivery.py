"""From events to synaptic input: what each kind of connection adds to its target in one step.

Rows of weights lie source by source, so that only the sources that spiked cost anything. A sum is scaled and shifted once per step,
after it is complete, as on the chip: a += (factor * sum) >> shift, everything modulo 2**32.
"""

from numba import njit

from snnfuse.hardware.emulator.fields import (
    C_BLOCK,
    C_CELL,
    C_CHANNELS,
    C_CHUNKS,
    C_CLASSES,
    C_FACTOR,
    C_HEIGHT,
    C_LANES,
    C_ORIGIN,
    C_PITCH,
    C_SHIFT,
    C_STRIDE,
    C_TABLE,
    C_WEIGHTS,
    C_WIDTH,
)
from snnfuse.hardware.emulator.intrinsics import add, chunk_sum, graded_chunk_sum, graded_row_sum, mul, row_sum, sra

_rows128, _rows64, _rows32, _rows16 = (row_sum(lanes) for lanes in (128, 64, 32, 16))
_graded64, _graded16 = graded_row_sum(64), graded_row_sum(16)
_chunk64, _chunk32, _chunk16, _chunk8 = (chunk_sum(lanes) for lanes in (64, 32, 16, 8))
_graded_chunk8 = graded_chunk_sum(8)


@njit
def deliver_rows(c, w, events, start, stop, a, n):
    """All-to-all, binary: c is the connection's row, n the padded number of targets."""
    first, stride, block, factor, shift = c[C_WEIGHTS], c[C_STRIDE], c[C_BLOCK], c[C_FACTOR], c[C_SHIFT]
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


@njit
def deliver_graded_rows(c, w, events, values, start, stop, a, n):
    """All-to-all, graded."""
    first, stride, factor, shift = c[C_WEIGHTS], c[C_STRIDE], c[C_FACTOR], c[C_SHIFT]
    j = 0
    while j + 64 <= n:
        _graded64(a, j, events, values, start, stop, w, first + j, stride, factor, shift)
        j += 64
    while j + 16 <= n:
        _graded16(a, j, events, values, start, stop, w, first + j, stride, factor, shift)
        j += 16


@njit
def _clear_runs(c, acc):
    """Zero what will be read; the margin around it is never read."""
    for y in range(c[C_HEIGHT]):
        begin = c[C_ORIGIN] + y * c[C_PITCH]
        acc[begin : begin + c[C_WIDTH] * c[C_CELL]] = 0


@njit
def _collect_runs(c, acc, a):
    """Add the complete sums to the input."""
    factor, shift, channels, cell = c[C_FACTOR], c[C_SHIFT], c[C_CHANNELS], c[C_CELL]
    if channels == cell:
        length = c[C_WIDTH] * channels
        for y in range(c[C_HEIGHT]):
            begin = c[C_ORIGIN] + y * c[C_PITCH]
            for k in range(length):
                a[y * length + k] = add(a[y * length + k], sra(mul(acc[begin + k], factor), shift))
        return
    for y in range(c[C_HEIGHT]):
        for x in range(c[C_WIDTH]):
            begin, target = c[C_ORIGIN] + y * c[C_PITCH] + x * cell, (y * c[C_WIDTH] + x) * channels
            for k in range(channels):
                a[target + k] = add(a[target + k], sra(mul(acc[begin + k], factor), shift))


@njit
def _scatter_runs(c, tables, w, events, start, stop, acc):
    """Add the kernel of every event, chunk by chunk, at its place."""
    table, classes, chunks, lanes = c[C_TABLE], c[C_CLASSES], c[C_CHUNKS], c[C_LANES]
    for k in range(start, stop):
        entry = table + 3 * events[k]
        base, weights, kind = tables[entry], c[C_WEIGHTS] + tables[entry + 1], tables[entry + 2]
        first, last = chunks + 2 * tables[classes + kind], chunks + 2 * tables[classes + kind + 1]
        if lanes == 8:
            for r in range(first, last, 2):
                _chunk8(acc, base + tables[r], w, weights + tables[r + 1])
        elif lanes == 16:
            for r in range(first, last, 2):
                _chunk16(acc, base + tables[r], w, weights + tables[r + 1])
        elif lanes == 32:
            for r in range(first, last, 2):
                _chunk32(acc, base + tables[r], w, weights + tables[r + 1])
        else:
            for r in range(first, last, 2):
                _chunk64(acc, base + tables[r], w, weights + tables[r + 1])


@njit
def deliver_runs(c, tables, w, events, start, stop, acc, a):
    """A convolution, binary, its sums in the width of `acc`."""
    _clear_runs(c, acc)
    _scatter_runs(c, tables, w, events, start, stop, acc)
    _collect_runs(c, acc, a)


@njit
def deliver_graded_runs(c, tables, w, events, values, start, stop, acc, a):
    """A convolution, graded."""
    _clear_runs(c, acc)
    table, classes, chunks = c[C_TABLE], c[C_CLASSES], c[C_CHUNKS]
    for k in range(start, stop):
        entry = table + 3 * events[k]
        base, weights, kind = tables[entry], c[C_WEIGHTS] + tables[entry + 1], tables[entry + 2]
        for r in range(chunks + 2 * tables[classes + kind], chunks + 2 * tables[classes + kind + 1], 2):
            for lane in range(0, c[C_LANES], 8):
                _graded_chunk8(acc, base + tables[r] + lane, w, weights + tables[r + 1] + lane, values[k])
    _collect_runs(c, acc, a)


@njit
def deliver_listed(c, tables, w, events, values, graded, start, stop, acc, a, n):
    """Synapses one by one."""
    factor, shift, table, classes = c[C_FACTOR], c[C_SHIFT], c[C_TABLE], c[C_CLASSES]
    acc[:n] = 0
    for k in range(start, stop):
        value = values[k] if graded else 1
        for r in range(tables[table + events[k]], tables[table + events[k] + 1]):
            target = tables[classes + r]
            acc[target] = add(acc[target], mul(w[c[C_WEIGHTS] + r], value))
    for j in range(n):
        a[j] = add(a[j], sra(mul(acc[j], factor), shift))
