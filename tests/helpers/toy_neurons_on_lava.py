"""`toy_neurons.Change` as a Lava process. Importing this module imports Lava."""

from typing import Any

import numpy as np
from toy_neurons import Change

from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron
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


class DeltaProcess(AbstractProcess):
    """Sends changes."""

    def __init__(self, *, node: Change, name: str, **window: int) -> None:
        super().__init__(shape=node.shape, vth=np.asarray(node.vth, np.int64), name=name, **window)
        self.a_in, self.s_out = InPort(shape=tuple(node.shape)), OutPort(shape=tuple(node.shape))
        self.held = Var(shape=tuple(node.shape), init=0)


@implements(proc=DeltaProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDeltaModel(PyLoihiProcessModel):
    """In NumPy's wrapping int32."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    held: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.vth, self.interval = proc_params["vth"], proc_params["reset_interval"]
        self.offset = proc_params["reset_offset"] % self.interval

    def run_spk(self) -> None:
        if self.time_step % self.interval == self.offset:
            self.held[:] = 0
        change = self.a_in.recv().astype(np.int32) - self.held
        sent = np.where(np.abs(change.astype(np.int64)) >= self.vth, change, 0).astype(np.int32)
        self.held[:] = self.held + sent
        self.s_out.send(sent)


DELTA = LavaNeuron(lambda name, node, window: DeltaProcess(node=node, name=name, **(window or FOREVER)), {DeltaProcess: PyDeltaModel})
