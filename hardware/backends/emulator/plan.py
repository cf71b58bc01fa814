"""A Program as tables and pools for the kernel; made once per program and reused."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from snnfuse.hardware.backends.emulator import fields as f
from snnfuse.hardware.backends.emulator.convolution import runs
from snnfuse.hardware.backends.emulator.stored import fits_16_bits, largest_input, safe_rows, store
from snnfuse.hardware.backends.reference import synaptic_input
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, STATE_BITS, to_int32
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Constant, GradedInput, Neuron, Node, SpikeInput
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Conv2d, Synapse

SMALLEST_SLICE = 8192  # neurons: slices cost a quarter more work in all, and a thread needs some 0.5 ms of it to gain from beginning
DENSE_FROM = 0.25  # share of synapses from which listed ones are cheaper as rows
KINDS = {SpikeInput: f.SPIKES_IN, GradedInput: f.GRADED_IN, Lif: f.LIF, Product: f.PRODUCT, Relay: f.RELAY, InverseRoot: f.INVERSE_ROOT}
ALIGNMENT = 64  # bytes: one cache line, one vector


@dataclass(frozen=True, eq=False)
class Plan:
    """What the kernel reads.

    Attributes:
        pools: populations, connections (int64 rows), tables and parameters
            (int32), and weights: int8, the same as uint8, and int16 for convolutions.
        rows: by population, its rows in the first table: one, or several slices.
        states: neurons with states, padded.
        events: neurons of all populations and inputs: the longest possible lists of one step.
        earlier: the longest possible lists of the steps before a chunk that are remembered.
        history: the largest number of such steps.
        graded: whether any event carries a value.
        sums: accumulators that the largest connection needs.
        widest: neurons of the largest population, padded.
        stages: ranges of rows that do not depend on each other, first and last, and their neurons, in order.
        idle: working memory of earlier runs, by its kind.
    """

    pools: tuple[NDArray, ...]
    rows: dict[str, tuple[int, ...]]
    states: int
    events: int
    earlier: int
    history: int
    graded: bool
    sums: int
    widest: int
    stages: tuple[tuple[int, int, int], ...]
    idle: dict[str, list[tuple]] = field(default_factory=dict)


@dataclass
class _Row:
    """One population, or a slice of one: `order` holds the external index of each of its neurons."""

    name: str
    order: NDArray[np.int64]
    image: tuple[int, int, int] | None  # (C, H, W) of the population where neurons are ordered (row, column, channel)
    lines: range | None  # rows of the image


@dataclass
class _Pool:
    """Arrays laid one after the other."""

    dtype: type
    parts: list[NDArray] = field(default_factory=list)
    size: int = 0

    def put(self, array: NDArray) -> int:
        """Append; returns the offset."""
        array = np.asarray(array).reshape(-1)
        filled = -(-array.size // ALIGNMENT) * ALIGNMENT
        self.parts.append(np.concatenate([array, np.zeros(filled - array.size, array.dtype)]).astype(self.dtype))
        self.size += filled
        return self.size - filled

    def join(self) -> NDArray:
        """One array, aligned, with room behind it for a vector."""
        joined = aligned(self.size + 2 * ALIGNMENT, self.dtype)
        joined[: self.size] = np.concatenate([np.zeros(0, self.dtype), *self.parts])
        return joined


def aligned(size: int, dtype: type) -> NDArray:
    """Zeros that begin at a cache line."""
    room = np.zeros(size * np.dtype(dtype).itemsize + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size * np.dtype(dtype).itemsize].view(dtype)


def make_plan(program: Program, slices: int = 1) -> Plan:
    """Tables for a program; large feed-forward populations are cut into so many slices of neurons."""
    return _Planner(program, slices).plan()


class _Planner:
    def __init__(self, program: Program, slices: int) -> None:
        self.program, self.slices = program, slices
        self.tables, self.weights, self.params, self.runs = _Pool(np.int32), _Pool(np.int8), _Pool(np.int32), _Pool(np.int16)
        self.populations: list[NDArray] = []
        self.connections: list[NDArray] = []
        self.rows: list[_Row] = []
        self.by_name: dict[str, tuple[int, ...]] = {}
        self.states = self.events = self.earlier = self.sums = self.widest = 0
        self.stages: list[tuple[int, int, int]] = []

    def plan(self) -> Plan:
        """Every population, sources first."""
        inputs = list(self.program.inputs)
        for name in self.program.order:
            node = self.program.nodes[name]
            if isinstance(node, Constant):
                continue
            first = len(self.rows)
            self.rows += self._cut(name, node)
            self.by_name[name] = tuple(range(first, len(self.rows)))
            for index in self.by_name[name]:
                self._population(index, node, inputs.index(name) if name in inputs else 0)
            self.stages.append((first, len(self.rows), int(np.prod(node.shape))))
        weights = self.weights.join()
        connections = np.array(self.connections, np.int64).reshape(-1, f.C_COLUMNS)
        weights = (weights, weights.view(np.uint8), self.runs.join())
        pools = (np.array(self.populations), connections, self.tables.join(), self.params.join(), weights)
        graded = any(node.sends_numbers for node in self.program.nodes.values())
        sizes = self.states, self.events, self.earlier, max(map(self._history, self.by_name), default=0)
        return Plan(pools, self.by_name, *sizes, graded, self.sums, self.widest, tuple(self.stages))

    def _history(self, name: str) -> int:
        """Steps for which a population's targets remember its spikes."""
        return max((c.lag + c.is_recurrent for c in self.program.connections if c.source == name), default=0)

    def _cut(self, name: str, node: Node) -> list[_Row]:
        size, image = int(np.prod(node.shape)), self._image(name)
        order = np.arange(size)
        if image:
            order = order.reshape(image).transpose(1, 2, 0).reshape(-1)
        if not image:
            return [_Row(name, order[part.start : part.stop], None, None) for part in groups_of(size, self._slices(name, node))]
        line = image[0] * image[2]
        parts = groups_of(image[1], min(self._slices(name, node), image[1]))
        return [_Row(name, order[lines.start * line : lines.stop * line], image, lines) for lines in parts]

    def _slices(self, name: str, node: Node) -> int:
        """One for a population that is small, that waits for itself, or whose sums are rounded: a part of a sum rounds differently."""
        leaving = [c for c in self.program.connections if c.source == name]
        whole = not isinstance(node, Neuron) or any(c.is_recurrent or c.synapse.exponent < 0 for c in leaving)
        return 1 if whole else max(1, min(self.slices, int(np.prod(node.shape)) // SMALLEST_SLICE))

    def _image(self, name: str) -> tuple[int, int, int] | None:
        """The output shape of the first convolution into a population."""
        shapes = [conv.output_shape for c in self.program.into(name) if (conv := c.synapse.convolution) is not None]
        return shapes[0] if shapes else None

    def _population(self, index: int, node: Node, source: int) -> None:
        row = self.rows[index]
        p = np.zeros(f.P_COLUMNS, np.int64)
        p[f.P_N], p[f.P_PADDED] = row.order.size, _padded(row.order.size)
        p[f.P_EVENTS], p[f.P_EARLIER], p[f.P_CARRIED] = self.events, self.earlier, self.earlier
        p[f.P_HISTORY], p[f.P_SOURCE], p[f.P_EXTERNAL] = self._history(row.name), source, int(np.prod(node.shape))
        p[f.P_KIND], p[f.P_GRADED] = KINDS[type(node)], node.sends_numbers
        p[f.P_ORDER] = -1 if (row.order == np.arange(row.order.size)).all() else self.tables.put(row.order)
        self.events += row.order.size
        self.earlier += int(p[f.P_HISTORY]) * row.order.size + f.LANES  # whole vectors are written
        if isinstance(node, GradedInput):
            p[f.P_LIMIT] = node.limit
        if isinstance(node, Product):
            p[f.P_EXPONENT] = node.exponent
        if isinstance(node, InverseRoot):
            p[f.P_EXPONENT] = node.gain
        if isinstance(node, Lif):
            self._neurons(p, row, node)
        if isinstance(node, Neuron):
            self.widest = max(self.widest, int(p[f.P_PADDED]))
            self._connections(p, row)
        self.populations.append(p)

    def _neurons(self, p: NDArray[np.int64], row: _Row, lif: Lif) -> None:
        p[f.P_STATE] = self.states
        self.states += int(p[f.P_PADDED])
        p[f.P_RESET], p[f.P_FORGETS] = f.RESETS.index(lif.reset), np.all(np.asarray(lif.du) == (1 << DECAY_BITS) - 1)
        values = (
            (1 << DECAY_BITS) - CURRENT_DECAY_OFFSET - np.asarray(lif.du),
            (1 << DECAY_BITS) - np.asarray(lif.dv),
            np.left_shift(lif.vth, ALIGN_BITS),
            np.left_shift(lif.bias_mant, lif.bias_exp),
        )
        p[f.P_BIASED] = np.any(values[3] != 0)
        p[f.P_ARRAYS] = -1
        alike = all(np.ndim(x) == 0 for x in values) and not (p[f.P_BIASED] and p[f.P_N] % f.LANES)  # nothing may fill up what is no neuron
        if alike and self._largest_input(row.name) < 1 << (STATE_BITS - 1 - ALIGN_BITS):
            p[[f.P_CURRENT_KEEP, f.P_VOLTAGE_KEEP, f.P_THRESHOLD, f.P_BIAS]] = values
        else:
            each = np.zeros((4, int(p[f.P_PADDED])), np.int64)
            for k, x in enumerate(values):
                each[k, : row.order.size] = np.broadcast_to(np.reshape(x, -1) if np.ndim(x) else x, p[f.P_EXTERNAL])[row.order]
            p[f.P_ARRAYS] = self.params.put(each)

    def _largest_input(self, name: str) -> float:
        """A bound of what can arrive at any neuron of a population in a step, infinite where graded spikes do."""
        links = [(c, self.program.nodes[c.source]) for c in self.program.into(name)]
        if any(node.sends_numbers for _, node in links):
            return np.inf
        return sum(largest_input(c.synapse) for c, _ in links)

    def _connections(self, p: NDArray[np.int64], row: _Row) -> None:
        p[f.P_FIRST] = len(self.connections)
        constants = np.zeros((2, int(p[f.P_PADDED])), np.int64)
        for connection in self.program.into(row.name):
            node = self.program.nodes[connection.source]
            if isinstance(node, Constant):
                ones = np.ones((1, 1, int(np.prod(node.shape))), np.int32)
                constants[connection.port, : row.order.size] += synaptic_input(connection.synapse, ones)[0, 0][row.order]
                continue
            for source in self.by_name[connection.source]:
                self.connections.append(self._connection(connection, source, row))
        p[f.P_LAST] = len(self.connections)
        for column, constant in zip((f.P_CONSTANT, f.P_CONSTANT_1), constants):
            p[column] = self.params.put(to_int32(constant)) if constant.any() else -1

    def _connection(self, connection: Connection, source: int, row: _Row) -> NDArray[np.int64]:
        synapse, conv, c = connection.synapse, connection.synapse.convolution, np.zeros(f.C_COLUMNS, np.int64)
        c[f.C_SOURCE], c[f.C_PORT] = source, connection.port
        c[f.C_LAG], c[f.C_SHIFT] = connection.lag + connection.is_recurrent, max(-synapse.exponent, 0)
        if conv is not None and conv.output_shape == row.image:
            self._convolution(c, conv, self.rows[source], row)
        else:
            self._matrix(c, synapse, self.rows[source], row)
        return c

    def _store(self, c: NDArray[np.int64], weights: NDArray[np.int32], exponent: int):
        stored = store(weights)
        c[f.C_UNSIGNED], c[f.C_FACTOR] = stored.unsigned, stored.factor << max(exponent, 0)
        return stored

    def _convolution(self, c: NDArray[np.int64], conv: Conv2d, source: _Row, row: _Row) -> None:
        stored = self._store(c, conv.weights, conv.exponent)
        table = runs(conv, stored, row.lines)
        c[f.C_KIND], c[f.C_WIDE] = f.RUNS, not fits_16_bits(stored.values, (1, 2, 3))
        c[f.C_LENGTH], c[f.C_LANES] = table.length, table.lanes
        c[f.C_ORIGIN], c[f.C_PITCH], c[f.C_CELL] = table.origin, table.pitch, table.cell
        c[f.C_CHANNELS], c[f.C_HEIGHT], c[f.C_WIDTH] = row.image[0], len(row.lines), row.image[2]
        c[f.C_THREE] = len(table.firsts) == 2 and len(table.places) == 3 and table.length == 3 * table.lanes
        c[f.C_TABLE], c[f.C_PHASES] = self.tables.put(table.sources[source.order]), self.tables.put(table.phases[source.order])
        c[f.C_FIRSTS], c[f.C_RUNS] = self.tables.put(table.firsts), self.tables.put(table.places)
        c[f.C_WEIGHTS] = self.runs.put(table.weights)
        self.sums = max(self.sums, table.size)

    def _matrix(self, c: NDArray[np.int64], synapse: Synapse, source: _Row, row: _Row) -> None:
        matrix = synapse.matrix()
        stored = self._store(c, synapse.values, synapse.exponent)
        if issparse(matrix):
            matrix = matrix.tocsc()[row.order][:, source.order].tocsc()
            if matrix.nnz < DENSE_FROM * matrix.shape[0] * matrix.shape[1]:
                self._listed(c, matrix, stored.factor)
                return
            matrix = matrix.toarray()
        else:
            matrix = matrix[np.ix_(row.order, source.order)]
        values = matrix.astype(np.int64) // stored.factor
        rows = np.zeros((values.shape[1], _padded(len(row.order))), np.int64)
        rows[:, : len(row.order)] = values.T
        c[f.C_KIND], c[f.C_STRIDE] = f.ROWS, rows.shape[1]
        c[f.C_BLOCK] = max(len(rows), 1) if fits_16_bits(values, (1,)) else safe_rows(stored)
        c[f.C_WEIGHTS] = self.weights.put(rows.astype(np.uint8 if stored.unsigned else np.int8).view(np.int8))

    def _listed(self, c: NDArray[np.int64], matrix, factor: int) -> None:
        values = matrix.data.astype(np.int64) // factor
        c[f.C_KIND], c[f.C_TABLE] = f.LISTED, self.tables.put(matrix.indptr)
        c[f.C_PHASES] = self.tables.put(matrix.indices)
        c[f.C_WEIGHTS] = self.weights.put((values & 255).astype(np.uint8).view(np.int8))
        self.sums = max(self.sums, _padded(matrix.shape[0]))


def _padded(n: int) -> int:
    return -(-n // f.LANES) * f.LANES


def groups_of(count: int, parts: int) -> Iterator[range]:
    """Consecutive ranges that cover range(count), as equal as can be."""
    edges = [count * k // parts for k in range(parts + 1)]
    yield from (range(a, b) for a, b in zip(edges, edges[1:]) if b > a)
