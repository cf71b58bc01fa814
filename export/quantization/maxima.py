"""Maxima in integers: what a payload of 1 stands for, and what rounding their weights does to the neurons that read them.

All ports of a maximum share one scale K, and what is sent is K times the float maximum. K is settled before anything is fitted, from the
float network's run alone, so that what reads the maximum can be fitted on its own. It is the finest for which

    the payload stays within a graded spike, with the headroom of currents;
    the largest weight and bias fit their groups;
    what reads it has weights left: at the reader's own finest scale they keep all their bits;

and of these a power of two, where the weights are fractions that one keeps as they are, or one at which the largest weight fills its group.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network, Projection
from snnfuse.export.quantization.candidates import DYADIC, HEADROOM, finest_scale
from snnfuse.export.quantization.fitting import Input, effective
from snnfuse.export.quantization.rounding import Form, largest, weight_limit
from snnfuse.hardware.ir.fixed_point import EXPONENT_RANGE, MESSAGE_BITS, WEIGHT_BITS
from snnfuse.hardware.ir.nodes import GradedInput

FINER = 2  # than the reader's own unit: its weights then lie in the upper half of their range, with the lowest exponent
UNUSED = 1 << 20  # of a maximum of nothing but zeros


def payloads(network: Network, run: FloatRun, inputs: Mapping[str, Input]) -> dict[str, GradedInput]:
    """By maximum, what its readers get, as a graded input whose scale is what a payload of 1 stands for."""
    names = [name for name in network.order if network.populations[name].kind == "maximum"]
    room: dict[str, float] = {}
    for name in reversed(names):  # readers first
        room[name] = min(_message_room(run, name), *(_reader_room(network, run, p, room) for p in network.projections if p.source == name))
    found: dict[str, GradedInput] = {}
    for name in names:
        scale = _scale(network, name, {**inputs, **found}, room[name])
        found[name] = GradedInput(network.populations[name].shape, MESSAGE_BITS, 1 / scale)
    return found


def _message_room(run: FloatRun, name: str) -> float:
    """The finest scale at which calibration data, grown by the headroom, stays within a message."""
    return 2.0 ** (MESSAGE_BITS - 1) / (HEADROOM * max(float(run.peak_current[name].max()), 1e-12))


def _reader_room(network: Network, run: FloatRun, projection: Projection, room: Mapping[str, float]) -> float:
    reader = network.populations[projection.target]
    is_read = projection.target in network.read_voltages
    own = room[projection.target] if reader.kind == "maximum" else finest_scale(reader, run, projection.target, is_read)
    return FINER * own * largest(effective(network, projection, {}).weights.values) or np.inf


def _scale(network: Network, name: str, inputs: Mapping[str, Input], room: float) -> float:
    values = [effective(network, p, inputs).weights.values for p in network.into(name)]
    values.append(network.populations[name].bias)
    top = max(map(largest, values))
    if not top:
        return min(room, UNUSED)
    filled = min(weight_limit(v, Form((WEIGHT_BITS, WEIGHT_BITS))) for v in values if largest(v) == top) / top
    finest = min(room, filled * 2.0 ** EXPONENT_RANGE[1])
    if not any((v * DYADIC % 1).any() for v in values):
        return 2.0 ** np.floor(np.log2(finest))
    return filled * 2.0 ** np.floor(np.log2(finest / filled))


@dataclass(frozen=True, eq=False)
class Readers:
    """The neurons that a maximum feeds, in the float network, with everything else that they get, on calibration data.

    Attributes:
        network: of these neurons, whose sources are its inputs.
        sent: by source but for the maximum, float (time, batch, *shape).
        spikes: that they send, by name.
    """

    network: Network
    sent: Mapping[str, NDArray]
    spikes: Mapping[str, NDArray[np.bool_]]

    @staticmethod
    def of(network: Network, name: str, sent: Mapping[str, NDArray]) -> "Readers":
        """Those that spike and are in no loop with others; `sent` of every input and population, float."""
        after = dict.fromkeys(p.target for p in network.projections if p.source == name)
        told = [n for n in after if network.populations[n].kind != "maximum" and len(network.group_of[n]) == 1 and sent[n].any()]
        spiking = {n: network.populations[n] for n in told if not network.populations[n].is_readout}
        into = tuple(p for n in spiking for p in network.into(n))
        shapes = {p.source: sent[p.source].shape[2:] for p in into if p.source not in spiking}
        alone = Network(shapes, spiking, into, {}, network.dt)
        return Readers(alone, {n: sent[n] for n in shapes if n != name}, {n: sent[n] for n in spiking})

    def found(self, name: str, values: NDArray) -> dict[str, NDArray[np.bool_]]:
        """What they send where the maximum sends these values."""
        return simulate(self.network, {**self.sent, name: values}, voltages=False).spikes
