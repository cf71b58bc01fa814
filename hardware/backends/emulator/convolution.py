"""A convolution as what one spike adds: runs of weights at fixed places around it.

Outputs are ordered (row, column, channel), so that all channels of a position, and positions side by side, lie together: a spike of
input channel c at (y, x) adds, for every kernel row, one run of weights. With a stride only some taps meet an output, depending on
the spike's position modulo the stride, its phase. What falls beyond the border goes into a margin of the accumulator that nobody reads:
all spikes of a phase are alike, and none asks where it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.stored import Stored
from snnfuse.hardware.ir.synapses import Conv2d
from snnfuse.hardware.ir.synapses.geometry import Axis

WIDTHS = (64, 32, 16, 8)  # lanes that the kernel can add at once


@dataclass(frozen=True, eq=False)
class Runs:
    """Tables for the kernel, and the accumulator's geometry.

    Attributes:
        sources: int32 (inputs, 2): accumulator and weight offset of each source neuron in C order; -1 where it misses the wanted rows.
        phases: int32 (inputs): phase of each.
        firsts: int32: first run of each phase, and the end of the last one.
        places: int32: accumulator offset of each run, added to a source's own. The weights of its runs follow one another.
        weights: int16, so that they are added as they are: a kernel is small.
        length: of all runs, shorter ones filled up with zeros; a multiple of `lanes`.
        lanes: how many are added at once.
        origin, pitch, cell: accumulator of output (0, 0), and the steps of a row and of a column.
        size: accumulators that are touched.
    """

    sources: NDArray[np.int32]
    phases: NDArray[np.int32]
    firsts: NDArray[np.int32]
    places: NDArray[np.int32]
    weights: NDArray[np.int16]
    length: int
    lanes: int
    origin: int
    pitch: int
    cell: int
    size: int


def runs(conv: Conv2d, stored: Stored, rows: range) -> Runs:
    """Tables for output rows `rows`; the accumulator's first row that is read is the first of these."""
    channels, grouped = conv.weights.shape[0], conv.groups > 1
    share = channels // conv.groups
    cell = channels if grouped else -(-channels // 8) * 8
    lanes = next(n for n in WIDTHS if n == 8 or (share >= n if grouped else cell % n == 0))
    left = -((conv.dilation[1] * (conv.weights.shape[3] - 1) - conv.padding[1]) // -conv.stride[1])  # columns before the first output
    left = max(left, 0)
    right = (conv.input_shape[2] - 1 + conv.padding[1]) // conv.stride[1]
    pitch = (left + max(right, conv.output_shape[2] - 1) + 1) * cell
    reach = conv.dilation[0] * (conv.weights.shape[2] - 1) // conv.stride[0]  # rows by which a spike that meets an output may miss others
    origin = reach * pitch + left * cell
    maker = _Maker(conv, stored.values.astype(np.int16), rows, cell, lanes, pitch, origin)
    size = (len(rows) + 2 * reach) * pitch + left * cell + 2 * max(maker.length, cell)
    firsts = np.cumsum([0, *(len(phase.places) for phase in maker.phases)]).astype(np.int32)
    places = np.array([place for phase in maker.phases for place in phase.places], np.int32)
    weights = np.concatenate([phase.weights.reshape(-1) for phase in maker.phases])
    return Runs(*maker.sources(), firsts, places, weights, maker.length, lanes, origin, pitch, cell, size)


@dataclass(frozen=True, eq=False)
class _Phase:
    """What spikes add whose position modulo the stride is the same.

    Attributes:
        downs: output row of each kernel row that meets one, less that of the spike.
        places: accumulator offset of each run.
        weights: int16 (channels, runs * length).
    """

    downs: list[int]
    places: list[int]
    weights: NDArray[np.int16]


def _phases(axis: Axis) -> list[int]:
    """Positions modulo the stride that an input has along one axis, rising: a large stride has few of them."""
    return np.unique((np.arange(axis.size) + axis.padding) % axis.stride).tolist()


class _Maker:
    """Lays out the weights of every phase, and the sources."""

    def __init__(self, conv: Conv2d, weights: NDArray[np.int16], rows: range, cell: int, lanes: int, pitch: int, origin: int) -> None:
        self.conv, self.rows, self.cell, self.pitch, self.origin = conv, rows, cell, pitch, origin
        self.share, per_group, *kernel = conv.weights.shape[0] // conv.groups, *conv.weights.shape[1:]
        self.spacing = cell if conv.groups == 1 else self.share
        by_group = weights.reshape(conv.groups, self.share, per_group, *kernel)
        self.weights = by_group.transpose(0, 2, 3, 4, 1).reshape(conv.groups * per_group, *kernel, self.share)
        self.phases_y, self.phases_x = (_phases(axis) for axis in conv.geometry.axes)
        longest = max((len(taps) for phase in self.phases_x for _, taps in self._runs(phase)), default=0)
        self.length = -(-longest * self.spacing // lanes) * lanes
        self.phases = [self._phase(y, x) for y in self.phases_y for x in self.phases_x]

    def sources(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Offsets, and phase, of every source."""
        conv = self.conv
        channels, height, width = conv.input_shape
        row, phase_y = np.divmod(np.arange(height) + conv.padding[0], conv.stride[0])
        column, phase_x = np.divmod(np.arange(width) + conv.padding[1], conv.stride[1])
        phase_y, phase_x = np.searchsorted(self.phases_y, phase_y), np.searchsorted(self.phases_x, phase_x)
        channel = np.arange(channels)[:, None, None]
        phase = phase_y[:, None] * len(self.phases_x) + phase_x
        sizes = [phase.weights.size for phase in self.phases]
        starts, each = np.cumsum([0, *sizes[:-1]])[phase], np.array(sizes)[phase] // channels
        downs = [self.phases[y * len(self.phases_x)].downs for y in phase_y]
        meets = np.array([any(y + down in self.rows for down in found) for y, found in zip(row.tolist(), downs)])
        first_channel = channel // conv.weights.shape[1] * self.share
        base = self.origin + (row - self.rows.start)[:, None] * self.pitch + column * self.cell + first_channel
        offsets = np.stack([np.where(meets[:, None], base, -1), starts + each * channel], -1)
        phases = np.broadcast_to(phase, (channels, height, width))
        return offsets.reshape(-1, 2).astype(np.int32), phases.reshape(-1).astype(np.int32)

    def _phase(self, phase_y: int, phase_x: int) -> _Phase:
        conv = self.conv
        rows = [y for y in range(conv.weights.shape[2]) if (phase_y - y * conv.dilation[0]) % conv.stride[0] == 0]
        downs = [(phase_y - y * conv.dilation[0]) // conv.stride[0] for y in rows]
        runs = self._runs(phase_x)
        places = [down * self.pitch + first * self.cell for down in downs for first, _ in runs]
        parts = [self._run_of(self.weights[:, y], taps) for y in rows for _, taps in runs]
        none = np.zeros((len(self.weights), 0), np.int16)
        return _Phase(downs, places, np.concatenate([none, *parts], axis=1))

    def _runs(self, phase_x: int) -> list[tuple[int, list[int]]]:
        """(column offset of the first, kernel columns) of taps that meet outputs side by side."""
        conv = self.conv
        taps = [kx for kx in range(conv.weights.shape[3]) if (phase_x - kx * conv.dilation[1]) % conv.stride[1] == 0]
        found = sorted(((phase_x - kx * conv.dilation[1]) // conv.stride[1], kx) for kx in taps)
        merged: list[tuple[int, list[int]]] = []
        for column, kx in found:
            if merged and conv.groups == 1 and column == merged[-1][0] + len(merged[-1][1]):
                merged[-1][1].append(kx)
            else:
                merged.append((column, [kx]))
        return merged

    def _run_of(self, weights: NDArray[np.int16], taps: list[int]) -> NDArray[np.int16]:
        """(channels, weights) of kernel columns one after the other, filled up with zeros."""
        channels, _, share = weights.shape
        run = np.zeros((channels, self.length), np.int16)
        for k, kx in enumerate(taps):
            run[:, k * self.spacing : k * self.spacing + share] = weights[:, kx]
        return run
