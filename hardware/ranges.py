"""Whether a run stayed within the states' 24 bits: what each current and voltage would have been without wrap and clip."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.emulator import emulate
from snnfuse.hardware.encoding import check_events
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, STATE_LIMIT, decay
from snnfuse.hardware.lif import Lif
from snnfuse.hardware.program import Constant, Program
from snnfuse.hardware.recording import Recording
from snnfuse.hardware.reference import exact_input, later


@dataclass(frozen=True)
class Peaks:
    """One population over a run.

    Attributes:
        current: largest magnitude of u before its wrap; the 24-bit limit is 2**23.
        wraps: values of u that wrapped.
        clipped_high, clipped_low: values of v that stood at the upper and lower end of their range.
    """

    current: int
    wraps: int
    clipped_high: int
    clipped_low: int


def state_peaks(program: Program, events: Mapping[str, NDArray], recording: Recording | None = None) -> dict[str, Peaks]:
    """Every state of every population in a run.

    Args:
        program, events: as for `emulate`.
        recording: of that run, every population with its states; by default the emulator runs it.
    """
    if recording is None:
        recording = emulate(program, events, "all", states=True)
    sent = {**check_events(program, events), **{n: recording.spikes[n] for n in program.neurons}}
    size = next(iter(sent.values())).shape[:2]
    sent |= {n: np.ones((*size, *node.shape), np.int32) for n, node in program.nodes.items() if isinstance(node, Constant)}
    return {name: _peaks(program, name, lif, sent, recording.states[name]) for name, lif in program.neurons.items()}


def _peaks(program: Program, name: str, lif: Lif, sent: Mapping[str, NDArray], states: Mapping[str, NDArray]) -> Peaks:
    u, v = states["u"], states["v"]
    a = np.zeros(u.shape, np.int64)
    for connection in program.into(name):
        arrived = exact_input(connection.synapse, sent[connection.source]).reshape(u.shape)
        a += later(arrived, connection.lag + connection.is_recurrent)
    before = np.concatenate([np.zeros_like(u[:1]), u[:-1]])
    raw = decay(before, np.asarray(lif.du) + CURRENT_DECAY_OFFSET).astype(np.int64) + (a << ALIGN_BITS)  # 64 bits: no wrap at 32
    high, low = (v == STATE_LIMIT - 1), (v == 1 - STATE_LIMIT)
    return Peaks(int(np.abs(raw).max()), int((raw != u).sum()), int(high.sum()), int(low.sum()))


def check_no_wrap(program: Program, events: Mapping[str, NDArray], recording: Recording | None = None) -> dict[str, Peaks]:
    """`state_peaks`; UnsupportedError where a current wrapped."""
    peaks = state_peaks(program, events, recording)
    for name, peak in peaks.items():
        if peak.wraps:
            raise UnsupportedError(
                f"{name!r}: the current reaches {peak.current}, beyond 24 bits (2**23 = {STATE_LIMIT}), and wraps {peak.wraps} times on "
                "this data; calibrate with data that reaches as far, or scale the weights down"
            )
    return peaks
