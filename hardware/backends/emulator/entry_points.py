"""Updates and deliveries as machine code with C signatures, so that the kernel, compiled once, runs every kind of neuron and connection.

Each is compiled alone, on its first use: a program waits for the kinds that it has, and for no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import from_dtype, njit, types
from numba.np.numpy_support import carray

from snnfuse.hardware.backends.emulator.compilation import OPTIONS, c_function, told_apart
from snnfuse.hardware.backends.emulator.delivery import DELIVERIES, INNER, kernel_part
from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm
from snnfuse.hardware.backends.emulator.records import ADDRESSES, CONNECTION, Memory
from snnfuse.hardware.backends.emulator.vectors import bytes_at, shorts_at, words_at

WORDS = types.CPointer(types.int32)
_updates: dict[tuple, Any] = {}  # code lives as long as these


@dataclass(frozen=True)
class Layout:
    """What an update's code depends on beside the update.

    Attributes:
        ports, states: how many.
        parameters: names, at least one.
        alike: whether all neurons share one record of parameters.
    """

    ports: int
    states: int
    parameters: tuple[str, ...]
    alike: bool

    @property
    def record(self) -> np.dtype:
        """The parameters of a neuron."""
        return np.dtype([(name, np.int32) for name in self.parameters])


def layout_of(form: NeuronForm, ports: int, states: int) -> Layout:
    """How a form's arrays are laid out; parameters that are the same for all neurons stand there once."""
    alike = all(np.ndim(value) == 0 for value in form.parameters.values())
    return Layout(ports, states, tuple(form.parameters) or ("none",), alike)


def update_address(update: Callable[..., None], layout: Layout) -> int:
    """Where an update's code begins: void (*)(int32 *inputs, int32 *states, record *parameters, int32 *sent, int64 n)."""
    closure = tuple(cell.cell_contents for cell in update.__closure__ or ())
    key = (update.__module__, update.__qualname__, update.__code__, closure, layout)
    if key not in _updates:
        name = f"{update.__module__}.{update.__qualname__}"
        more = repr((_source(update), closure, layout))
        own = told_apart(update, sha256(more.encode()).hexdigest())
        known = {"update": njit(**OPTIONS, **INNER)(own), "ports": layout.ports, "states_each": layout.states, "carray": carray}
        arguments = (WORDS, WORDS, types.CPointer(from_dtype(layout.record)), WORDS, types.int64)
        entry = _update_alike if layout.alike else _update_each
        _updates[key] = c_function(entry, name, known, arguments, more, f"the emulator's neurons ({name})")
    return _updates[key].address


def _source(update: Callable) -> bytes:
    """The file that an update stands in, with the functions that it calls; its byte code where there is none."""
    file = Path(update.__code__.co_filename)
    return file.read_bytes() if file.is_file() else repr((update.__code__.co_code, update.__code__.co_consts)).encode()


@cache
def delivery_code(name: str) -> Any:
    """One of DELIVERIES: void (*)(connection *, memory *, int64 start, int64 stop)."""
    known: dict[str, Any] = {"deliver": kernel_part(told_apart(DELIVERIES[name], name)), "memory_at": memory_at, "carray": carray}
    arguments = (types.CPointer(from_dtype(CONNECTION)), types.CPointer(from_dtype(ADDRESSES)), types.int64, types.int64)
    return c_function(_deliver, f"deliver.{name}", known, arguments, name, f"the emulator's synapses ({name})")


@kernel_part
def memory_at(m: Any) -> Memory:
    """The arrays at the addresses of a record."""
    plan = words_at(m.tables, m.tables_size), bytes_at(m.rows, m.rows_size), shorts_at(m.kernels, m.kernels_size)
    events = words_at(m.events, m.events_size), words_at(m.values, m.values_size)
    sums = shorts_at(m.narrow, m.narrow_size), words_at(m.wide, m.wide_size), words_at(m.inputs, m.inputs_size)
    return Memory(plan[0], plan[1], plan[2], events[0], events[1], sums[0], sums[1], sums[2])


# What is compiled. These names have another meaning in each copy, given above.
update: Any = None
deliver: Any = None
ports = states_each = 0


def _update_alike(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    update(carray(inputs, (ports, n)), carray(states, (states_each, n)), carray(parameters, 1)[0], carray(sent, n))


def _update_each(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    update(carray(inputs, (ports, n)), carray(states, (states_each, n)), carray(parameters, n), carray(sent, n))


def _deliver(connection: Any, memory: Any, start: Any, stop: Any) -> None:
    deliver(carray(connection, 1)[0], memory_at(carray(memory, 1)[0]), start, stop)
