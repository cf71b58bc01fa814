"""What the end of a failed assertion says of the shrunk case: which layer, which step, which part of it, and what to do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends import verify as verification
from snnfuse.hardware.backends.reference import emulate as run_reference
from snnfuse.hardware.errors import SnnfuseError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.testing.cases import Accuracy, BitExact

if TYPE_CHECKING:
    from snnfuse.testing.networks import FloatNetwork

PARTS = {
    "u": "the current: what arrives, its decay, or its wrap at 24 bits",
    "v": "the voltage: its decay, its bias, its clip at 24 bits, or the reset",
    "spikes": "the threshold, for its states are equal",
}


def of_bit_exact(case: BitExact) -> str:
    """The layer that first differs by itself, and the part of its step that does; "" where a second run does not tell."""
    try:
        expected = run_reference(case.program, case.events, "all", states=True)
        found = verification.run_on(case.compared, case.program, case.events, "all", states=True).recording
    except Exception:  # a backend that cannot run again must not hide the failure that was found
        return ""
    for name in case.program.neurons:
        said = _of_layer(case.program, name, expected, found)
        if said:
            return f"diagnosis: {said}"
    return ""


def _of_layer(program: Program, name: str, expected: Recording, found: Recording) -> str:
    """Of the first layer that differs: those before it are equal, so that it does by itself."""
    values = {s: (expected.states[name][s], found.states[name][s]) for s in program.neurons[name].states if s in found.states.get(name, {})}
    values |= {"spikes": (expected.spikes[name], found.spikes[name])}
    firsts = {variable: place for variable, (a, b) in values.items() if (place := _first(a, b)) is not None}
    if not firsts:
        return ""
    step = min(place[0] for place in firsts.values())
    variable = next(v for v, place in firsts.items() if place[0] == step)
    time, batch, neuron = firsts[variable]
    a, b = (int(x[time, batch].ravel()[neuron]) for x in values[variable])
    part = PARTS.get(variable, f"its state {variable}")
    return (
        f"{name} ({type(program.neurons[name]).__name__}) differs by itself, for all that reaches it is equal: at step {time}, sample "
        f"{batch}, neuron {neuron} {variable} is {a} in the reference and {b} here; look at {part}"
    )


def _first(a: NDArray, b: NDArray) -> tuple[int, int, int] | None:
    """Step, sample and neuron of the first difference."""
    if a.shape != b.shape or not (different := a != b).any():
        return None
    time, batch, *rest = np.unravel_index(int(different.argmax()), a.shape)
    return int(time), int(batch), int(np.ravel_multi_index(rest, a.shape[2:])) if rest else 0


def of_accuracy(network: "FloatNetwork", case: Accuracy, x: Mapping[str, NDArray]) -> str:
    """The cause that `snnfuse.diagnose` names on the shrunk case; "" where the program was made of another graph."""
    from snnfuse.diagnosis import diagnose

    try:
        found = diagnose(case.program, x, case.labels, graph=network.graph, source="the shrunk case")
    except SnnfuseError:
        return ""
    return "\n".join(("diagnosis:", *found.verdict))
