"""snnTorch's alpha neuron as a Lava process: simulation only, a chip needs neuron microcode for it. The equations are in
`snnfuse.hardware.ir.alpha`; written a second time here, so that two readings of them can be compared. Importing this module imports Lava.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron, Window
from snnfuse.hardware.backends.lava.stock import (
    CPU,
    AbstractProcess,
    InPort,
    LavaPyType,
    LoihiProtocol,
    OutPort,
    PyInPort,
    PyLoihiProcessModel,
    PyOutPort,
    Var,
    implements,
    requires,
    tag,
)
from snnfuse.hardware.ir.alpha import AlphaLif

LARGEST = 2**23 - 1


class AlphaProcess(AbstractProcess):
    """Alpha neurons, whose states are zeroed at the start of windows.

    Args:
        node: parameters.
        reset_interval, reset_offset: as of lava.proc.lif.process.LIFReset.
    """

    def __init__(self, *, node: AlphaLif, name: str, reset_interval: int, reset_offset: int) -> None:
        super().__init__(shape=node.shape, name=name, reset=node.reset, reset_interval=reset_interval, reset_offset=reset_offset)
        shape = tuple(node.shape)
        self.a_in, self.s_out = InPort(shape=shape), OutPort(shape=shape)
        self.e, self.h, self.v = (Var(shape=shape, init=0) for _ in range(3))
        for register in node.registers:
            setattr(self, register, Var(shape=shape, init=np.broadcast_to(getattr(node, register), shape).astype(np.int32)))


@implements(proc=AlphaProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAlphaModel(PyLoihiProcessModel):
    """Masks, where the reference selects."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    e: np.ndarray = LavaPyType(np.ndarray, np.int32)
    h: np.ndarray = LavaPyType(np.ndarray, np.int32)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32)
    de: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dh: np.ndarray = LavaPyType(np.ndarray, np.int32)
    gain: np.ndarray = LavaPyType(np.ndarray, np.int32)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.reset = proc_params["reset"]
        self.reset_interval = proc_params["reset_interval"]
        self.reset_offset = proc_params["reset_offset"] % self.reset_interval

    def run_spk(self) -> None:
        if self.time_step % self.reset_interval == self.reset_offset:
            self.e[:], self.h[:], self.v[:] = 0, 0, 0
        arriving = (np.asarray(self.a_in.recv()).astype(np.int32) << 6).astype(np.int64)
        theta = self.vth.astype(np.int64) * 64
        fired = self.v > theta
        e = np.fix(self.e.astype(np.float64) * (4096 - self.de) / 4096).astype(np.int64) + arriving
        h = np.fix(self.h.astype(np.float64) * (4096 - self.dh) / 4096).astype(np.int64) - arriving
        v = np.fix((e + h).astype(np.float64) * self.gain / 4096).astype(np.int64)
        if self.reset == "subtract":
            e[fired] -= theta[fired]
            v[fired] += self.h[fired]
            h[fired] = 0
        elif self.reset == "zero":
            e[fired], h[fired], v[fired] = 0, 0, 0
        for state, raw in ((self.e, e), (self.h, h), (self.v, v)):
            state[:] = np.maximum(np.minimum(raw, LARGEST), -LARGEST)
        self.s_out.send(self.v > theta)


def _build(name: str, node: AlphaLif, window: Window | None) -> AbstractProcess:
    return AlphaProcess(node=node, name=name, **(window or FOREVER))


ALPHA = LavaNeuron(_build, {AlphaProcess: PyAlphaModel})
