"""A convolution as what one spike adds: runs of weights at fixed places around it.

Outputs are ordered (row, column, channel), so that all channels of a position, and positions side by side, lie together: a spike of
input channel c at (y, x) adds, for every kernel row, one run of weights. With a stride only some taps meet an output, depending on
the spike's position modulo the stride, its phase. What falls beyond the border goes into a margin of the accumulator that nobody reads:
all spikes of a phase are alike, and none asks where it is. Taps that meet no output from anywhere are left out, so that everything here
follows the sizes of kernel, input and output, whatever stride, padding and dilation are.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.stored import Stored
from snnfuse.hardware.ir.synapses import Conv2d

VECTOR = 16  # lanes that the kernel adds at once
CHANNELS = 8  # output channels of an ungrouped convolution are filled up to a multiple of this


@dataclass(frozen=True, eq=False)
class Runs:
    """Tables for the kernel, and the accumulator's geometry.

    Attributes:
        sources: int32 (inputs, 2): accumulator and weight offset of each source neuron in C order; -1 where it meets no output wanted.
        phases: int32 (inputs): phase of each.
        firsts: int32: first run of each phase, and the end of the last one.
        places: int32: accumulator offset of each run, added to a source's own. The weights of its runs follow one another.
        weights: int16, so that they are added as they are: a kernel is small.
        lengths: int32: of the runs of each phase, shorter ones filled up with zeros; multiples of VECTOR.
        origin, pitch, cell: accumulator of output (0, 0), and the steps of a row and of a column.
        size: accumulators that are touched.
    """

    sources: NDArray[np.int32]
    phases: NDArray[np.int32]
    firsts: NDArray[np.int32]
    places: NDArray[np.int32]
    weights: NDArray[np.int16]
    lengths: NDArray[np.int32]
    origin: int
    pitch: int
    cell: int
    size: int


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a convolution: a spike at k meets output first[k] + away through each (away, tap) in taps[phase[k]].

    Attributes:
        first: int64, of each position.
        phase: int64, of each position.
        taps: by phase, in ascending order.
        outputs: those that are wanted.
    """

    first: NDArray[np.int64]
    phase: NDArray[np.int64]
    taps: list[list[tuple[int, int]]]
    outputs: range

    @cached_property
    def reached(self) -> list[NDArray[np.int64]]:
        """By phase, (positions, taps): the output that each meets, or that would lie there."""
        aways = (np.array([away for away, _ in taps], np.int64) for taps in self.taps)
        return [self.first[self.phase == k][:, None] + away for k, away in enumerate(aways)]

    @cached_property
    def meets(self) -> NDArray[np.bool_]:
        """Whether each position meets an output that is wanted."""
        found = np.zeros(len(self.first), np.bool_)
        for k, reached in enumerate(self.reached):
            found[self.phase == k] = _inside(reached, self.outputs).any(1)
        return found


def _inside(x: NDArray, outputs: range) -> NDArray[np.bool_]:
    return (x >= outputs.start) & (x < outputs.stop)


@lru_cache(maxsize=256)  # calibration makes a plan for every candidate, all of the same geometry
def axis(size: int, kernel: int, stride: int, padding: int, dilation: int, outputs: range) -> Axis:
    """An axis without the taps that meet no output from any position."""
    first, remainder = np.divmod(np.arange(size, dtype=np.int64) + padding, stride)
    phases, phase = np.unique(remainder, return_inverse=True)
    shifts, rests = np.divmod(-dilation * np.arange(kernel, dtype=np.int64), stride)
    taps: list[list[tuple[int, int]]] = [[] for _ in phases]
    for tap in range(kernel):
        met = np.flatnonzero((phases + rests[tap]) % stride == 0)  # one phase at most
        for k in met.tolist():
            away = int(shifts[tap] + (phases[k] + rests[tap]) // stride)
            if _inside(first[phase == k] + away, outputs).any():
                taps[k].append((away, tap))
    useful = [k for k, found in enumerate(taps) if found]  # all others become one, the last
    renamed = np.full(len(phases), len(useful))
    renamed[useful] = np.arange(len(useful))
    return Axis(first, renamed[phase], [*(sorted(taps[k]) for k in useful), []], outputs)


def runs(conv: Conv2d, stored: Stored, rows: range) -> Runs:
    """Tables for output rows `rows`; the accumulator's first row that is read is the first of these."""
    (_, height, width), channels = conv.input_shape, conv.weights.shape[0]
    vertical = axis(height, conv.weights.shape[2], conv.stride[0], conv.padding[0], conv.dilation[0], rows)
    horizontal = axis(width, conv.weights.shape[3], conv.stride[1], conv.padding[1], conv.dilation[1], range(conv.output_shape[2]))
    cell = channels if conv.groups > 1 else -(-channels // CHANNELS) * CHANNELS
    columns = np.concatenate([np.array([0, conv.output_shape[2] - 1]), *(x.reshape(-1) for x in horizontal.reached)])
    left = -int(columns.min())
    pitch = (left + int(columns.max()) + 1) * cell
    reach = max((taps[-1][0] - taps[0][0] for taps in vertical.taps if taps), default=0)  # rows by which a spike may miss those wanted
    origin = reach * pitch + left * cell
    weights = _by_source(conv, stored.values.astype(np.int16))
    merged = [_side_by_side(taps, conv.groups == 1) for taps in horizontal.taps]
    spacing = cell if conv.groups == 1 else weights.shape[-1]
    each = [-(-max((len(run) for _, run in found), default=0) * spacing // VECTOR) * VECTOR for found in merged]
    lengths = [length for _ in vertical.taps for length in each]
    blocks, places, firsts, starts, start = [], [], [0], [], 0
    for length, (down, across) in zip(lengths, product(vertical.taps, merged)):
        runs_here = [(y, away * pitch + column * cell, taps) for away, y in down for column, taps in across]
        block = np.zeros((len(weights), len(runs_here), length), np.int16)
        for r, (y, _, taps) in enumerate(runs_here):
            for k, x in enumerate(taps):
                block[:, r, k * spacing : k * spacing + weights.shape[-1]] = weights[:, y, x]
        starts.append((start, block[0].size))
        start += block.size
        blocks.append(block.reshape(-1))
        places += [place for _, place, _ in runs_here]
        firsts.append(len(places))
    phase = vertical.phase[:, None] * len(merged) + horizontal.phase
    begin, each = np.array(starts)[phase].transpose(2, 0, 1)
    channel = np.arange(conv.input_shape[0])[:, None, None]
    target = origin + (vertical.first[:, None] - rows.start) * pitch + horizontal.first * cell
    target = target + channel // conv.weights.shape[1] * (channels // conv.groups)
    sources = np.stack(np.broadcast_arrays(np.where(vertical.meets[:, None], target, -1), begin + each * channel), -1)
    size = (len(rows) + 2 * reach) * pitch + left * cell + 2 * max(*lengths, cell)
    phases = np.broadcast_to(phase, conv.input_shape)
    tables = sources.reshape(-1, 2), phases.reshape(-1), np.array(firsts), np.array(places), np.array(lengths)
    where, of, first, at, long = (x.astype(np.int32) for x in tables)
    return Runs(where, of, first, at, np.concatenate(blocks), long, origin, pitch, cell, size)


def of_all(conv: Conv2d, stored: Stored, sources: range, rows: range) -> NDArray[np.int64]:
    """(rows, columns, C_out): what the sources of some lines of the input add together to output rows `rows`."""
    by_tap = stored.values.sum(1)  # all input channels of its group send
    across = _met(
        conv.input_shape[2], conv.weights.shape[3], conv.stride[1], conv.padding[1], conv.dilation[1], range(conv.output_shape[2])
    )
    down = _met(conv.input_shape[1], conv.weights.shape[2], conv.stride[0], conv.padding[0], conv.dilation[0], rows, sources)
    return np.einsum("oyx,ry,cx->rco", by_tap, down, across)


def _met(
    size: int, kernel: int, stride: int, padding: int, dilation: int, outputs: range, sources: range | None = None
) -> NDArray[np.int64]:
    """(outputs, taps): 1 where an output's tap lies on one of the sources."""
    sources = range(size) if sources is None else sources
    place = np.array(outputs)[:, None] * stride - padding + np.arange(kernel) * dilation
    return ((place >= sources.start) & (place < sources.stop)).astype(np.int64)


def _by_source(conv: Conv2d, weights: NDArray[np.int16]) -> NDArray[np.int16]:
    """(C_in, kH, kW, C_out / groups): what a spike of each input channel adds to the output channels of its group."""
    share, per_group, *kernel = conv.weights.shape[0] // conv.groups, *conv.weights.shape[1:]
    by_group = weights.reshape(conv.groups, share, per_group, *kernel)
    return by_group.transpose(0, 2, 3, 4, 1).reshape(conv.groups * per_group, *kernel, share)


def _side_by_side(taps: list[tuple[int, int]], merge: bool) -> list[tuple[int, list[int]]]:
    """(column of the first, taps) of runs: taps that meet outputs side by side lie together where a cell holds one group only."""
    merged: list[tuple[int, list[int]]] = []
    for column, tap in taps:
        if merge and merged and column == merged[-1][0] + len(merged[-1][1]):
            merged[-1][1].append(tap)
        else:
            merged.append((column, [tap]))
    return merged
