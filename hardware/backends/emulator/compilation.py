"""Compiling by numba: functions that are called by their address, and the small ones that these call. Importing this imports numba.

Nothing is wrapped: a function is called by numba's own convention, for which no code of Python's or numba's is needed.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba import from_dtype, njit, types
from numba.core.errors import NumbaError
from numba.extending import overload

from snnfuse.hardware.backends.emulator import records
from snnfuse.hardware.backends.emulator.delivery import DELIVERIES, OPTIONS, joined
from snnfuse.hardware.backends.emulator.kernel import run
from snnfuse.hardware.backends.emulator.machine_code import Compiled
from snnfuse.hardware.backends.emulator.neuron_form import INLINED, of_neuron
from snnfuse.hardware.backends.emulator.records import Kept, Lists, Memory, Part, Recorded, Scratch, Tables
from snnfuse.hardware.backends.emulator.vectors import array_at, bytes_at, shorts_at, table_at, words_at

JOINED = {**OPTIONS, "inline": "always"}
ALLOCATING = {**OPTIONS, "_nrt": True}
ADDRESS = NUMBER = types.int64
calls_at, populations_at, connections_at, memories_at = (
    array_at(from_dtype(dtype)) for dtype in (records.CALL, records.POPULATION, records.CONNECTION, records.ADDRESSES)
)
spikes_at, states_at, columns_at = array_at(types.uint8), table_at(types.int32), table_at(types.int64)


@overload(of_neuron, inline="always")
def _of_neuron(parameters, j):
    if isinstance(parameters, types.Array):
        return lambda parameters, j: parameters[j]
    return lambda parameters, j: parameters


def compiled_update(update: Callable[..., None], layout: Any) -> Compiled:
    """An update for populations of one layout: (int32 *inputs, int32 *states, record *parameters, int32 *sent, int64 n)."""
    entry, arguments = _update_alike if layout.alike else _update_each, (ADDRESS, ADDRESS, ADDRESS, ADDRESS, NUMBER)
    known = {**globals(), "ports": layout.ports, "states_each": layout.states, "parameters_at": array_at(from_dtype(layout.record))}
    try:
        return compiled_function(entry, {**known, "update": _compilable(update, JOINED)}, arguments, OPTIONS)
    except NumbaError:  # one from outside may make arrays, or hold what cannot be joined
        return compiled_function(entry, {**known, "update": _compilable(update, ALLOCATING)}, arguments, ALLOCATING)


def compiled_delivery(kind: str) -> Compiled:
    """One of DELIVERIES: (connection *, memory *, int64 start, int64 stop)."""
    return compiled_function(_deliver, {**globals(), "deliver": joined(DELIVERIES[kind])}, (ADDRESS, ADDRESS, NUMBER, NUMBER))


def compiled_kernel() -> Compiled:
    """The kernel: (call *), a record of CALL; its result is an int64."""
    return compiled_function(_run, {**globals(), "run": joined(run)}, (ADDRESS,))


def compiled_function(entry: Callable, known: dict[str, Any], arguments: tuple, options: dict[str, Any] = OPTIONS) -> Compiled:
    """A function's code; `known` are the meanings of the names that it uses."""
    dispatcher: Any = njit(**options)(FunctionType(entry.__code__, known, entry.__name__))
    dispatcher.compile(arguments)
    made = dispatcher.overloads[arguments]
    made.library.get_pointer_to_function(made.fndesc.llvm_func_name)  # its object file is written now
    return Compiled(made.fndesc.llvm_func_name, made.library._get_compiled_object())


def _compilable(update: Callable, options: dict[str, Any]) -> Any:
    """An update, or a function that one calls, for numba, with those that it calls itself."""
    called = {name: update.__globals__[name] for name in update.__code__.co_names if name in update.__globals__}
    known = {name: _compilable(value, options) for name, value in called.items() if isinstance(value, FunctionType) and value in INLINED}
    copy = FunctionType(update.__code__, {**update.__globals__, **known}, update.__name__, update.__defaults__, update.__closure__)
    return njit(**options)(copy)


@joined
def memory_at(m: Any) -> Memory:
    """The arrays at the addresses of a record."""
    plan = words_at(m.tables, m.tables_size), bytes_at(m.rows, m.rows_size), shorts_at(m.kernels, m.kernels_size)
    events = words_at(m.events, m.events_size), words_at(m.values, m.values_size)
    sums = shorts_at(m.narrow, m.narrow_size), words_at(m.wide, m.wide_size), words_at(m.inputs, m.inputs_size)
    return Memory(plan[0], plan[1], plan[2], events[0], events[1], sums[0], sums[1], sums[2])


# What is compiled. These names have another meaning in each copy, given above.
update: Any = None
deliver: Any = None
parameters_at: Any = None
ports = states_each = 0


def _update_alike(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    update(states_at(inputs, ports, n), states_at(states, states_each, n), parameters_at(parameters, 1)[0], words_at(sent, n))


def _update_each(inputs: Any, states: Any, parameters: Any, sent: Any, n: Any) -> None:
    update(states_at(inputs, ports, n), states_at(states, states_each, n), parameters_at(parameters, n), words_at(sent, n))


def _deliver(connection: Any, memory: Any, start: Any, stop: Any) -> None:
    deliver(connections_at(connection, 1)[0], memory_at(memories_at(memory, 1)[0]), start, stop)


def _run(call: Any) -> Any:
    c = calls_at(call, 1)[0]
    pools = Tables(
        populations_at(c.populations, c.populations_size),
        connections_at(c.connections, c.connections_size),
        words_at(c.tables, c.tables_size),
        words_at(c.words, c.words_size),
        bytes_at(c.rows, c.rows_size),
        shorts_at(c.kernels, c.kernels_size),
    )
    part = Part(c.first_population, c.last_population, c.first_sample, c.last_sample, c.first_step, c.steps)
    kept = Kept(states_at(c.states, c.states_rows, c.states_size), states_at(c.carried, c.carried_rows, c.carried_size))
    lists = Lists(words_at(c.events, c.events_size), words_at(c.values, c.values_size), columns_at(c.starts, c.starts_rows, c.starts_size))
    places = columns_at(c.places, c.places_rows, c.places_size)
    recorded = Recorded(spikes_at(c.spikes, c.spikes_size), words_at(c.numbers, c.numbers_size), places, c.all_steps, c.batch)
    scratch = Scratch(
        shorts_at(c.narrow, c.narrow_size),
        words_at(c.wide, c.wide_size),
        words_at(c.inputs, c.inputs_size),
        words_at(c.sent, c.sent_size),
        memories_at(c.memory, c.memory_size),
    )
    return run(pools, columns_at(c.given, c.given_rows, c.given_size), part, kept, lists, recorded, scratch)
