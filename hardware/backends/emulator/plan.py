"""A Program as the tables that the kernel reads: made once per program and reused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from snnfuse.hardware.backends.emulator import records
from snnfuse.hardware.backends.emulator.convolution import VECTOR, of_all, runs
from snnfuse.hardware.backends.emulator.records import Tables
from snnfuse.hardware.backends.emulator.stored import SAFE_ROWS, Stored, fits_16_bits, store
from snnfuse.hardware.backends.reference import synaptic_input
from snnfuse.hardware.ir.fixed_point import to_int32
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import Connection, Input, Neuron, Node
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Conv2d, Diagonal, Synapse

SMALLEST_SLICE = 8192  # neurons: slices cost a quarter more work in all, and a thread needs some 0.5 ms of it to gain from beginning
DENSE_FROM = 0.25  # share of synapses from which listed ones are cheaper as rows
ALIGNMENT = 64  # bytes: one cache line, one vector
SHORT_ROW = 2 * VECTOR  # weights up to which a row is filled up to one vector, beyond to four


@dataclass(frozen=True, eq=False)
class Plan:
    """What the kernel reads.

    Attributes:
        tables: populations, connections, and the arrays that they point into.
        rows: by population, its rows in the first table: one, or several slices.
        states: of all neurons.
        events: neurons of all populations and inputs: the longest possible lists of one step.
        earlier: the longest possible lists of the steps before a chunk that are remembered.
        history: the largest number of such steps.
        graded: whether any event carries a value.
        sums: accumulators that the largest connection needs.
        inputs: neurons times ports of the largest population.
        stages: ranges of rows that do not depend on each other, first and last, and their neurons, in order.
        idle: working memory of earlier runs, by its kind.
    """

    tables: Tables
    rows: dict[str, tuple[int, ...]]
    states: int
    events: int
    earlier: int
    history: int
    graded: bool
    sums: int
    inputs: int
    stages: tuple[tuple[int, int, int], ...]
    idle: dict[str, list[tuple]] = field(default_factory=dict)


@dataclass
class _Row:
    """One population, or a slice of one: `order` holds the external index of each of its neurons."""

    name: str
    order: NDArray[np.int64]
    image: tuple[int, int, int] | None  # (C, H, W) of the population where neurons are ordered (row, column, channel)
    lines: range  # rows of the image


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
        self.tables, self.words, self.weights, self.kernels = _Pool(np.int32), _Pool(np.int32), _Pool(np.int8), _Pool(np.int16)
        self.populations: list[SimpleNamespace] = []
        self.connections: list[SimpleNamespace] = []
        self.rows: list[_Row] = []
        self.by_name: dict[str, tuple[int, ...]] = {}
        self.states = self.events = self.earlier = self.sums = self.inputs = 0
        self.stages: list[tuple[int, int, int]] = []

    def plan(self) -> Plan:
        """Every population, sources first."""
        inputs = list(self.program.inputs)
        for name in self.program.order:
            node = self.program.nodes[name]
            if not node.is_timed:
                continue
            first = len(self.rows)
            self.rows += self._cut(name, node)
            self.by_name[name] = tuple(range(first, len(self.rows)))
            for index in self.by_name[name]:
                self._population(index, node, inputs.index(name) if name in inputs else 0)
            self.stages.append((first, len(self.rows), node.size))
        records_ = (_table(self.populations, records.POPULATION), _table(self.connections, records.CONNECTION))
        tables = Tables(*records_, *(pool.join() for pool in (self.tables, self.words, self.weights, self.kernels)))
        graded = any(node.sends_numbers for node in self.program.nodes.values())
        sizes = self.states, self.events, self.earlier, max(map(self._history, self.by_name), default=0)
        return Plan(tables, self.by_name, *sizes, graded, self.sums, self.inputs, tuple(self.stages))

    def _history(self, name: str) -> int:
        """Steps for which a population's targets remember its spikes."""
        return max((c.lag + c.is_recurrent for c in self.program.connections if c.source == name), default=0)

    def _cut(self, name: str, node: Node) -> list[_Row]:
        size, image = node.size, self._image(name)
        order = np.arange(size)
        if image:
            order = order.reshape(image).transpose(1, 2, 0).reshape(-1)
        if not image:
            return [_Row(name, order[part.start : part.stop], None, range(0)) for part in groups_of(size, self._slices(name, node))]
        line = image[0] * image[2]
        parts = groups_of(image[1], min(self._slices(name, node), image[1]))
        return [_Row(name, order[lines.start * line : lines.stop * line], image, lines) for lines in parts]

    def _slices(self, name: str, node: Node) -> int:
        """One for a population that is small, that waits for itself, or whose sums are rounded: a part of a sum rounds differently."""
        leaving = [c for c in self.program.connections if c.source == name]
        whole = not isinstance(node, Neuron) or any(c.is_recurrent or c.synapse.exponent < 0 for c in leaving)
        return 1 if whole else max(1, min(self.slices, node.size // SMALLEST_SLICE))

    def _image(self, name: str) -> tuple[int, int, int] | None:
        """The output shape of the first convolution into a population."""
        shapes = [conv.output_shape for c in self.program.into(name) if (conv := c.synapse.convolution) is not None]
        return shapes[0] if shapes else None

    def _population(self, index: int, node: Node, source: int) -> None:
        row = self.rows[index]
        p = _row_of(records.POPULATION)
        n = p.n = row.order.size
        p.whole, p.history, p.graded = node.size, self._history(row.name), node.sends_numbers
        p.order = -1 if (row.order == np.arange(n)).all() else self.tables.put(row.order)
        p.events, p.earlier, p.carried = self.events, self.earlier, self.earlier
        self.events += n
        self.earlier += int(p.history) * n + VECTOR  # whole vectors are written
        if isinstance(node, Neuron):
            self._neurons(p, row, node)
            self._connections(p, row, node.ports)
        elif isinstance(node, Input):
            p.source, p.limit, p.written = source, node.limit, node.is_written
        self.populations.append(p)

    def _neurons(self, p: SimpleNamespace, row: _Row, node: Neuron) -> None:
        from snnfuse.hardware.backends.emulator.entry_points import layout_of, update_address  # imports LLVM

        form = NEURONS.of(node).form("emulator")(node)
        layout = layout_of(form, node.ports, len(node.states))
        p.update, p.rests, p.ports, p.states = update_address(form.update, layout), form.rests, layout.ports, layout.states
        p.first_state = self.states
        self.states += layout.states * row.order.size
        self.inputs = max(self.inputs, layout.ports * row.order.size)
        parameters = np.zeros(1 if layout.alike else row.order.size, layout.record)
        for name, value in form.parameters.items():
            parameters[name] = value if np.ndim(value) == 0 else np.reshape(value, -1)[row.order]
        p.parameters = self.words.put(parameters.view(np.int32))

    def _connections(self, p: SimpleNamespace, row: _Row, ports: int) -> None:
        p.first_connection = len(self.connections)
        constants = np.zeros((ports, row.order.size), np.int64)
        for connection in self.program.into(row.name):
            node = self.program.nodes[connection.source]
            if not node.is_timed:
                ones = np.ones((1, 1, node.size), np.int32)
                constants[connection.port] += synaptic_input(connection.synapse, ones)[0, 0][row.order]
                continue
            for source in self.by_name[connection.source]:
                self.connections.append(self._connection(connection, source, row))
        p.last_connection = len(self.connections)
        p.constants = self.words.put(to_int32(constants)) if constants.any() else -1

    def _connection(self, connection: Connection, source: int, row: _Row) -> SimpleNamespace:
        from snnfuse.hardware.backends.emulator.entry_points import delivery_address  # imports LLVM

        synapse, c = connection.synapse, _row_of(records.CONNECTION)
        c.source, c.lag, c.n = source, connection.lag + connection.is_recurrent, row.order.size
        c.target = connection.port * row.order.size
        node, conv = self.program.nodes[connection.source], synapse.convolution
        graded, c.written = node.sends_numbers, node.is_written
        if conv is not None and conv.output_shape == row.image:
            stored = store(conv.values)
            kind = self._convolution(c, conv, stored, self.rows[source], row, graded)
        else:
            stored = store(synapse.values)
            kind = self._matrix(c, synapse, stored, self.rows[source], row, graded)
        each = int(stored.values.flat[0]) if kind.endswith("one to one") else 1
        c.shift, c.factor = max(-synapse.exponent, 0), each * (stored.factor << max(synapse.exponent, 0))
        c.deliver = delivery_address(kind)
        return c

    def _convolution(self, c: SimpleNamespace, conv: Conv2d, stored: Stored, source: _Row, row: _Row, graded: bool) -> str:
        table = runs(conv, stored, row.lines)
        c.origin, c.pitch, c.cell, c.lengths = table.origin, table.pitch, table.cell, self.tables.put(table.lengths)
        c.channels, c.height, c.width = conv.weights.shape[0], len(row.lines), conv.output_shape[2]
        c.table, c.phases = self.tables.put(table.sources[source.order]), self.tables.put(table.phases[source.order])
        c.firsts, c.places = self.tables.put(table.firsts), self.tables.put(table.places)
        c.weights = self.kernels.put(table.weights)
        self.sums, c.silent = max(self.sums, table.size), -1
        if graded:
            return "graded runs"
        if not fits_16_bits(stored.values, (1, 2, 3)):
            return "wide runs"
        self._silent(c, conv, stored, source, row)
        if table.lengths[0] == 3 * VECTOR and len(table.places) == 3 and not table.phases.any():
            return "three runs"
        return "runs"

    def _silent(self, c: SimpleNamespace, conv: Conv2d, stored: Stored, source: _Row, row: _Row) -> None:
        """What those add that have not sent, by what all add; unless minus that is one too large for 16 bits."""
        whole = len(source.order) == conv.size[1]
        lines = source.lines if source.image == conv.input_shape else range(conv.input_shape[1])
        if not (whole or source.image == conv.input_shape) or (stored.values.clip(max=0).sum((1, 2, 3)) < 1 - (1 << 15)).any():
            return
        filled = np.zeros((len(row.lines), conv.output_shape[2], int(c.cell)), np.int16)
        filled[:, :, : conv.weights.shape[0]] = -of_all(conv, stored, lines, row.lines)
        c.silent, c.sources = self.kernels.put(filled), len(source.order)
        self.sums = max(self.sums, 2 * (len(source.order) + VECTOR))

    def _matrix(self, c: SimpleNamespace, synapse: Synapse, stored: Stored, source: _Row, row: _Row, graded: bool) -> str:
        if _is_uniform(synapse) and np.array_equal(row.order, source.order):
            return "graded " * graded + "one to one"
        matrix = synapse.matrix()
        if isinstance(matrix, np.ndarray):
            part = matrix[np.ix_(row.order, source.order)]
        else:
            listed = csc_matrix(matrix.tocsc()[row.order][:, source.order])
            if listed.nnz < DENSE_FROM * len(row.order) * len(source.order):
                return self._listed(c, listed, stored.factor, graded)
            part = listed.toarray()
        values = part.astype(np.int64) // stored.factor
        c.offset = 128 if stored.unsigned else 0  # of 0..255, which an int8 does not hold
        values -= c.offset
        n = len(row.order)
        short = n <= SHORT_ROW
        rows = np.zeros((values.shape[1], _filled(n, VECTOR if short else 4 * VECTOR)), np.int8)
        rows[:, :n] = values.T
        c.stride, c.weights = rows.shape[1], self.weights.put(rows)
        c.block = max(len(rows), 1) if fits_16_bits(values, (1,)) else SAFE_ROWS
        self.sums = max(self.sums, rows.shape[1])
        return "graded " * graded + "short " * short + "rows"

    def _listed(self, c: SimpleNamespace, matrix: csc_matrix, factor: int, graded: bool) -> str:
        c.table, c.targets = self.tables.put(matrix.indptr), self.tables.put(matrix.indices)
        c.weights = self.kernels.put(matrix.data.astype(np.int64) // factor)
        self.sums = max(self.sums, matrix.shape[0])
        return "graded " * graded + "listed"


def _is_uniform(synapse: Synapse) -> bool:
    """Whether all synapses are one-to-one with the same weight."""
    return isinstance(synapse, Diagonal) and bool((synapse.weights == synapse.weights[0]).all())


def _row_of(dtype: np.dtype) -> SimpleNamespace:
    """A record of zeros whose fields are set one by one, which a record of NumPy's makes slow."""
    return SimpleNamespace(**dict.fromkeys(dtype.names or (), 0))


def _table(rows: list[SimpleNamespace], dtype: np.dtype) -> NDArray:
    """One array of records."""
    return np.array([tuple(vars(row).values()) for row in rows], dtype)


def _filled(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def groups_of(count: int, parts: int) -> Iterator[range]:
    """Consecutive ranges that cover range(count), as equal as can be."""
    edges = [count * k // parts for k in range(parts + 1)]
    yield from (range(a, b) for a, b in zip(edges, edges[1:]) if b > a)
