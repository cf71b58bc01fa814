"""Updates, deliveries and the kernel as machine code that is called by its address, so that the kernel, compiled once, runs every kind of
neuron and connection.

Each is compiled alone, on its first use: a program waits for the kinds that it has, and for no other.
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.machine_code import code_address
from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm
from snnfuse.hardware.backends.emulator.records import CALL, Kept, Lists, Part, Recorded, Scratch, Tables

_updates: dict[tuple, int] = {}


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
    """Where an update's code begins, of (int32 *inputs, int32 *states, record *parameters, int32 *sent, int64 n)."""
    closure = tuple(cell.cell_contents for cell in update.__closure__ or ())
    key = (update.__module__, update.__qualname__, update.__code__, closure, layout)
    if key not in _updates:
        name = f"{update.__module__}.{update.__qualname__}"
        depends = repr((name, _source(update), closure, layout))

        def make():
            from snnfuse.hardware.backends.emulator.compilation import compiled_update  # imports numba

            return compiled_update(update, layout)

        _updates[key] = code_address(_in_a_file_name(name), depends, f"the emulator's neurons ({name})", make)
    return _updates[key]


def _source(update: Callable) -> bytes:
    """The file that an update stands in, with the functions that it calls; its byte code where there is none."""
    file = Path(update.__code__.co_filename)
    return file.read_bytes() if file.is_file() else repr((update.__code__.co_code, update.__code__.co_consts)).encode()


def _in_a_file_name(name: str) -> str:
    return re.sub(r"[^\w.]+", "_", name)[-80:]


@cache
def delivery_address(kind: str) -> int:
    """Where the code begins of one of `delivery.DELIVERIES`: (connection *, memory *, int64 start, int64 stop)."""

    def make():
        from snnfuse.hardware.backends.emulator.compilation import compiled_delivery  # imports numba

        return compiled_delivery(kind)

    return code_address(f"deliver.{_in_a_file_name(kind)}", kind, f"the emulator's synapses ({kind})", make)


@cache
def _kernel() -> Callable[..., int]:
    def make():
        from snnfuse.hardware.backends.emulator.compilation import compiled_kernel  # imports numba

        return compiled_kernel()

    address = code_address("kernel", "", "the emulator's kernel", make)
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)


def run(pools: Tables, inputs: NDArray[np.int64], part: Part, kept: Kept, lists: Lists, recorded: Recorded, scratch: Scratch) -> int:
    """The kernel, `kernel.run`, compiled or loaded on its first call.

    Raises:
        IndexError: in a build that checks indices, one out of its array.
    """
    spikes, words, places, steps, batch = recorded
    read = (pools.tables, pools.rows, pools.kernels, lists.events, lists.values, scratch.narrow, scratch.wide, scratch.inputs)
    scratch.memory[0] = (*(each.ctypes.data for each in read), *(each.size for each in read))
    flat = (*pools, lists.events, lists.values, spikes, words, *scratch)
    tables = (kept.states, kept.carried, lists.starts, places, inputs)
    where = (*(each.ctypes.data for each in flat), *(each.size for each in flat), *(each.ctypes.data for each in tables))
    call = np.array([(*where, *(number for each in tables for number in each.shape), *part, steps, batch)], CALL)
    result, exception = ctypes.c_int64(), ctypes.c_void_p()
    if _kernel()(ctypes.byref(result), ctypes.byref(exception), call.ctypes.data):
        raise IndexError("index is out of bounds")
    return result.value
