"""Neuron updates as machine code with one C signature, so that the kernel, compiled once, runs every kind of neuron.

Each update is compiled alone, on its first use: a program waits for the kinds that it has, and for no other.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numba import carray, from_dtype, njit, types
from numba.core.ccallback import CFunc

from snnfuse.hardware.backends.emulator.compilation import OPTIONS, fingerprint, keep_on_disk
from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm

WORDS = types.CPointer(types.int32)
_compiled: dict[tuple, CFunc] = {}  # code lives as long as these


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


def address_of(update: Callable[..., None], layout: Layout) -> int:
    """Where an update's code begins: void (*)(int32 *inputs, int32 *states, record *parameters, int32 *sent, int64 n)."""
    closure = tuple(cell.cell_contents for cell in update.__closure__ or ())
    key = (update.__module__, update.__qualname__, update.__code__, closure, layout)
    if key not in _compiled:
        _compiled[key] = _compile(update, closure, layout)
    return _compiled[key].address


def _compile(update: Callable[..., None], closure: tuple, layout: Layout) -> CFunc:
    name = f"{update.__module__}.{update.__qualname__}"
    known = {"_update": njit(**OPTIONS)(update), "_ports": layout.ports, "_states": layout.states, "carray": carray}
    entry = FunctionType((_enter_alike if layout.alike else _enter_each).__code__, known, "entry")
    entry.__module__, entry.__qualname__ = __name__, name
    arguments = (WORDS, WORDS, types.CPointer(from_dtype(layout.record)), WORDS, types.int64)
    function = CFunc(entry, (arguments, types.void), locals={}, options=OPTIONS)
    keep_on_disk(function, entry, _fingerprint(update, closure, layout), f"the emulator's neurons ({name})")
    function.compile()
    return function


def _fingerprint(update: Callable[..., None], closure: tuple, layout: Layout) -> str:
    """Hash of what this package, the update's own file and the layout bring into the code."""
    file = Path(update.__code__.co_filename)
    source = file.read_bytes() if file.is_file() else repr((update.__code__.co_code, update.__code__.co_consts)).encode()
    return hashlib.sha256(b"\0".join([fingerprint().encode(), source, repr((closure, layout)).encode()])).hexdigest()


def _enter_alike(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    """What is compiled for an update whose neurons share their parameters; its names are bound for each update."""
    _update(carray(inputs, (_ports, n)), carray(states, (_states, n)), carray(parameters, 1)[0], carray(sent, n))  # noqa: F821


def _enter_each(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    _update(carray(inputs, (_ports, n)), carray(states, (_states, n)), carray(parameters, n), carray(sent, n))  # noqa: F821
