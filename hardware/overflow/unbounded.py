"""What a LIF would do in registers without an end: what its wraps and clips cost, spike by spike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, INT32, decay
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.observed import arriving


def unbounded_run(program: Program, name: str, sent: Mapping[str, NDArray]) -> tuple[NDArray[np.bool_], NDArray[np.int64]] | None:
    """Run one population whose current does not wrap and whose voltage does not clip, all else as on the chip.

    Args:
        program: holds it.
        name: of the population.
        sent: by source, its own name included where it feeds itself: what arrived, integers or bool (time, batch, *shape), each in its
            node's window. A recurrent population is fed what it did send, so that the effect of one step is told, not of those after.

    Returns:
        Spikes and voltages, (time, batch, *shape); None for another kind than `Lif`, or where even 32 bits do not hold a state.
    """
    lif = program.neurons[name]
    if not isinstance(lif, Lif):
        return None
    drive = arriving(program, name, 0, sent)
    written = np.zeros_like(drive) if lif.written_port is None else arriving(program, name, lif.written_port, sent)
    u: Any = np.zeros(drive.shape[1:], np.int64)  # wider than what a register holds
    v: Any = np.zeros(drive.shape[1:], np.int64)
    spikes, voltages = np.zeros(drive.shape, np.bool_), np.zeros(drive.shape, np.int64)
    for t, a in enumerate(drive):
        u = decay(u, np.asarray(lif.du) + CURRENT_DECAY_OFFSET).astype(np.int64) + (a << ALIGN_BITS)
        charged = lif.charged(v, u, lif.shifted_bias(written[t]))
        if max(np.abs(u).max(), np.abs(charged).max()) >= INT32:
            return None
        spikes[t], v = lif.fired(v, charged)
        voltages[t] = v
    return spikes, voltages
