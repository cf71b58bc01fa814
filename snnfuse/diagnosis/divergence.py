"""Where a layer first does something else: step, sample, neuron, and the values on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.quantization.layer_effects import Runs
from snnfuse.hardware.backends.emulator import emulate


@dataclass(frozen=True)
class Divergence:
    """The first place at which a layer of a program differs from the float one, both run from end to end.

    Attributes:
        node: the layer.
        time: step in its window, from 0.
        batch, neuron: sample, and flat index.
        expected, found: what the float layer and the program's send there.
        float_state: the float voltage after the step, over the threshold; None where there is none.
        state: the integer one, over 64 times its threshold.
    """

    node: str
    time: int
    batch: int
    neuron: int
    expected: int
    found: int
    float_state: float | None = None
    state: float | None = None

    def __str__(self) -> str:
        what = {(1, 0): "fires in floats, and not deployed", (0, 1): "fires deployed, and not in floats"}.get(
            (self.expected, self.found), f"sends {self.found}, and in floats {self.expected}"
        )
        states = "" if self.float_state is None else f" (v / threshold after the step {self.float_state:.6g} in floats, {self.state:.6g})"
        return f"step {self.time}, sample {self.batch}, neuron {self.neuron} {what}{states}"


def first_divergences(runs: Runs) -> dict[str, Divergence]:
    """By layer that differs in a spike, its first; voltages come from a second run of the few samples concerned."""
    places = {name: place for name in runs.network.order if (place := _first(runs.run.spikes[name], runs.recording.spikes[name]))}
    samples = sorted({batch for _, batch, _ in places.values()})
    if not samples:
        return {}
    states = _states(runs, samples)
    return {name: _at(runs, name, place, states, samples.index(place[1])) for name, place in places.items()}


def _first(a: NDArray, b: NDArray) -> tuple[int, int, int] | None:
    """Step, sample and neuron of the first difference, in order of time."""
    different = (a != b).reshape(*a.shape[:2], -1)
    by_step = different.any((1, 2))
    if not by_step.any():
        return None
    time = int(by_step.argmax())
    batch, neuron = divmod(int(different[time].ravel().argmax()), different.shape[2])
    return time, batch, neuron


States = Mapping[str, tuple[NDArray, NDArray]]


def _states(runs: Runs, samples: list[int]) -> States:
    """By layer with a membrane: float and integer voltages of these samples."""
    x = {name: array[:, samples] for name, array in runs.x.items()}
    floats = simulate(runs.network, x)
    integers = emulate(runs.program, {n: a[:, samples] for n, a in runs.recording.events.items()}, "all", states=True)
    membranes = {name: runs.program.neurons[name].membrane for name in runs.network.order}
    return {n: (floats.v[n], integers.states[n][m]) for n, m in membranes.items() if m is not None and n in integers.states}


def _at(runs: Runs, name: str, place: tuple[int, int, int], states: States, sample: int) -> Divergence:
    time, batch, neuron = place
    expected, found = (int(s[time, batch].ravel()[neuron]) for s in (runs.run.spikes[name], runs.recording.spikes[name]))
    theta, vth = runs.network.populations[name].theta, getattr(runs.program.neurons[name], "vth", None)
    if name not in states or vth is None or not np.isfinite(theta).all():
        return Divergence(name, *place, expected, found)
    threshold = 64.0 * np.broadcast_to(vth, theta.shape).ravel()[neuron]
    v, integer = (float(s[time, sample].ravel()[neuron]) for s in states[name])
    return Divergence(name, *place, expected, found, v / float(theta.ravel()[neuron]), integer / threshold if threshold else None)
