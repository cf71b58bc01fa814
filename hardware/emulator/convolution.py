"""A convolution as what one spike adds: runs of weights at fixed places around it.

Outputs are ordered (row, column, channel), so that all channels of a position, and positions side by side, lie together: a spike of
input channel c at (y, x) adds, for every kernel row, one run of weights. With a stride only some taps meet an output, depending on
the spike's position modulo the stride, its phase. Columns beyond the border fall into a margin of the accumulator that nobody reads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.emulator.stored import Stored
from snnfuse.hardware.synapses import Conv2d

WIDTHS = (64, 32, 16, 8)  # lanes that the kernel can add at once


@dataclass(frozen=True, eq=False)
class Runs:
    """Tables for the kernel, and the accumulator's geometry.

    Attributes:
        sources: int32 (inputs, 3): accumulator and weight offset, and class, of each source neuron in C order.
        classes: int32: first run of each class; one more at the end.
        places: int32 (runs, 2): offsets into accumulator and weights, added to a source's own.
        weights: int16, so that they are added as they are: a kernel is small.
        length: of all runs, shorter ones filled up with zeros; a multiple of `lanes`.
        lanes: how many are added at once.
        origin, pitch, cell: accumulator of output (0, 0), and the steps of a row and of a column.
        size: accumulators that are touched.
    """

    sources: NDArray[np.int32]
    classes: NDArray[np.int32]
    places: NDArray[np.int32]
    weights: NDArray[np.int16]
    length: int
    lanes: int
    origin: int
    pitch: int
    cell: int
    size: int


def runs(conv: Conv2d, stored: Stored, rows: range) -> Runs:
    """Tables for output rows `rows`; the accumulator's first row is the first of these."""
    channels, grouped = conv.weights.shape[0], conv.groups > 1
    share = channels // conv.groups
    cell = channels if grouped else -(-channels // 8) * 8
    lanes = next(n for n in WIDTHS if n == 8 or (share >= n if grouped else cell % n == 0))
    left = -((conv.dilation[1] * (conv.weights.shape[3] - 1) - conv.padding[1]) // -conv.stride[1])  # columns before the first output
    left = max(left, 0)
    right = (conv.input_shape[2] - 1 + conv.padding[1]) // conv.stride[1]
    pitch = (left + max(right, conv.output_shape[2] - 1) + 1) * cell
    maker = _Maker(conv, stored.values.astype(np.int16), rows, cell, lanes, pitch, left * cell)
    sources = maker.sources()
    size = len(rows) * pitch + left * cell + 2 * max(maker.length, cell)
    classes = np.cumsum([0, *map(len, maker.lists)]).astype(np.int32)
    places = np.array([place for places in maker.lists for place in places], np.int32).reshape(-1, 2)
    return Runs(sources, classes, places, np.concatenate(maker.blocks), maker.length, lanes, left * cell, pitch, cell, size)


class _Maker:
    """Collects classes of sources: a phase of the stride, and the kernel rows that meet the wanted output rows."""

    def __init__(self, conv: Conv2d, weights: NDArray[np.int16], rows: range, cell: int, lanes: int, pitch: int, origin: int) -> None:
        self.conv, self.weights, self.rows = conv, weights, rows
        self.cell, self.lanes, self.pitch, self.origin = cell, lanes, pitch, origin
        self.phases: dict[tuple[int, int], tuple[int, int, dict]] = {}
        self.known: dict[tuple, int] = {}
        self.lists: list[list[tuple[int, int]]] = []
        self.blocks: list[NDArray[np.int16]] = []
        self.total = 0
        share = conv.weights.shape[0] // conv.groups
        self.spacing = cell if conv.groups == 1 else share
        longest = max(len(taps) for phase in range(conv.stride[1]) for _, taps in [(0, []), *self._runs(phase)])
        self.length = -(-longest * self.spacing // lanes) * lanes

    def sources(self) -> NDArray[np.int32]:
        """(base, weights, class) of every source."""
        conv = self.conv
        channels, height, width = conv.input_shape
        table = np.zeros((channels, height, width, 3), np.int32)
        channel = np.arange(channels)
        group = channel // conv.weights.shape[1]
        first_channel = group * (conv.weights.shape[0] // conv.groups)
        for y in range(height):
            row, phase_y = divmod(y + conv.padding[0], conv.stride[0])
            for x in range(width):
                column, phase_x = divmod(x + conv.padding[1], conv.stride[1])
                start, length, places = self._phase(phase_y, phase_x)
                table[:, y, x, 0] = self.origin + (row - self.rows.start) * self.pitch + column * self.cell + first_channel
                table[:, y, x, 1] = start + length * channel
                table[:, y, x, 2] = self._class(phase_y, phase_x, row, places)
        return table.reshape(-1, 3)

    def _phase(self, phase_y: int, phase_x: int) -> tuple[int, int, dict]:
        """Where this phase's weights begin, how many there are per channel, and by kernel row the (row offset, places) of its runs."""
        key = phase_y, phase_x
        if key not in self.phases:
            places, block = self._layout(phase_y, phase_x)
            self.phases[key] = self.total, block.shape[1], places
            self.blocks.append(block.reshape(-1))
            self.total += block.size
        return self.phases[key]

    def _layout(self, phase_y: int, phase_x: int) -> tuple[dict, NDArray[np.int16]]:
        conv, share = self.conv, self.conv.weights.shape[0] // self.conv.groups
        per_group, (height, width) = conv.weights.shape[1], conv.weights.shape[2:]
        by_group = self.weights.reshape(conv.groups, share, per_group, height, width)
        by_channel = by_group.transpose(0, 2, 3, 4, 1).reshape(conv.groups * per_group, height, width, share)
        places, parts, offset = {}, [], 0
        for ky in range(height):
            if (phase_y - ky * conv.dilation[0]) % conv.stride[0]:
                continue
            down = (phase_y - ky * conv.dilation[0]) // conv.stride[0]
            runs = []
            for first, taps in self._runs(phase_x):
                runs.append((down * self.pitch + first * self.cell, offset))
                parts.append(self._run_of(by_channel[:, ky], taps))
                offset += self.length
            places[ky] = down, runs
        none = np.zeros((len(by_channel), 0), np.int16)
        return places, np.concatenate([none, *parts], axis=1)

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

    def _class(self, phase_y: int, phase_x: int, row: int, places: dict) -> int:
        """The class of a source in this row: kernel rows that would miss the wanted output rows are left out."""
        meets = tuple(ky for ky, (down, _) in places.items() if row + down in self.rows)
        key = phase_y, phase_x, meets
        if key not in self.known:
            self.known[key] = len(self.lists)
            self.lists.append([place for ky in meets for place in places[ky][1]])
        return self.known[key]
