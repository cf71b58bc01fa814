"""Whether a run stayed within its registers: what each current and voltage would have been without wrap and clip, and whether
graded spikes stayed within a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS, STATE_LIMIT, shift
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.overflow.bounds import Peaks
from snnfuse.hardware.overflow.intervals import bounds_form


@dataclass(frozen=True)
class Payloads:
    """One population of graded neurons over a run.

    Attributes:
        largest: largest magnitude sent; a message of 24 bits holds 2**23 - 1.
        beyond: graded spikes that a message of 24 bits does not hold.
        wraps: sums at a port, and products, that int32 wrapped.
    """

    largest: int
    beyond: int
    wraps: int


def state_peaks(program: Program, events: Mapping[str, NDArray], recording: Recording | None = None) -> dict[str, Peaks]:
    """Every state of every population that has states, in a run.

    Args:
        program, events: as for `emulate`.
        recording: of that run, every population with its states; by default the emulator runs it.
    """
    if recording is None:
        recording = emulate(program, events, "all", states=True)
    sent = _sent(program, events, recording)
    neurons = {name: node for name, node in program.neurons.items() if node.states}
    return {name: bounds_form(node).peaks(node, _inputs(program, name, sent), recording.states[name]) for name, node in neurons.items()}


def payloads(program: Program, events: Mapping[str, NDArray], recording: Recording | None = None) -> dict[str, Payloads]:
    """Every graded spike in a run; arguments as for `state_peaks`, the recording without states."""
    if recording is None:
        recording = emulate(program, events, "all")
    sent = _sent(program, events, recording)
    return {name: _payloads(program, name, sent) for name, node in program.neurons.items() if node.sends_numbers}


def _sent(program: Program, events: Mapping[str, NDArray], recording: Recording) -> dict[str, NDArray]:
    """What every node sent, constants and inputs too."""
    sent = {**check_events(program, events), **{n: recording.spikes[n] for n in program.neurons}}
    size = next(iter(sent.values())).shape[:2]
    return sent | {n: np.ones((*size, *node.shape), np.int32) for n, node in program.constants.items()}


def _payloads(program: Program, name: str, sent: Mapping[str, NDArray]) -> Payloads:
    node, magnitude = program.neurons[name], np.abs(sent[name].astype(np.int64))
    wraps = bounds_form(node).wraps(node, _inputs(program, name, sent))
    return Payloads(int(magnitude.max()), int((magnitude >= STATE_LIMIT).sum()), wraps)


def _inputs(program: Program, name: str, sent: Mapping[str, NDArray]) -> list[NDArray[np.int64]]:
    return [arriving(program, name, port, sent) for port in range(program.neurons[name].ports)]


def arriving(program: Program, name: str, port: int, sent: Mapping[str, NDArray]) -> NDArray[np.int64]:
    """Exact sums at a port, (time, batch, *shape), in the node's window."""
    a = np.zeros(sent[name].shape, np.int64)
    for connection in program.into(name):
        if connection.port == port:
            source = sent[connection.source]
            sums = connection.synapse.times(source.reshape(a.shape[0] * a.shape[1], -1))
            a += later(shift(sums, connection.synapse.exponent).reshape(a.shape), connection.lag + connection.is_recurrent)
    return a


def check_no_wrap(program: Program, events: Mapping[str, NDArray], recording: Recording | None = None) -> dict[str, Peaks]:
    """`state_peaks`; UnsupportedError where a current wrapped, or a graded spike left its message."""
    recording = recording or emulate(program, events, "all", states=True)
    peaks = state_peaks(program, events, recording)
    advice = "calibrate with data that reaches as far, or scale the weights down"
    for name, peak in peaks.items():
        if peak.wraps:
            raise UnsupportedError(
                f"{name!r}: the current reaches {peak.current}, beyond 24 bits (2**23 = {STATE_LIMIT}), and wraps {peak.wraps} times on "
                f"this data; {advice}"
            )
    for name, load in payloads(program, events, recording).items():
        if load.beyond or load.wraps:
            raise UnsupportedError(
                f"{name!r}: {load.beyond} graded spikes, up to {load.largest}, leave the {MESSAGE_BITS} bits of a message, and "
                f"{load.wraps} sums or products wrap at 32 bits, on this data; {advice}"
            )
    return peaks
