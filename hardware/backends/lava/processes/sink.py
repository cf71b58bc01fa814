"""Where spikes leave a network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.stock import (
    CPU,
    AbstractProcess,
    InPort,
    LavaPyType,
    LoihiProtocol,
    PyInPort,
    PyLoihiProcessModel,
    implements,
    requires,
    tag,
)


class EventSink(AbstractProcess):
    """Writes what arrives into the rows of an int32 .npy file, one per time step, and nothing before the first or after the last.

    Args:
        path: file of shape (steps, *shape), which exists.
        shape: of what arrives.
        first: the step, counted from 1, that goes into the first row.
    """

    def __init__(self, *, path: str, shape: tuple[int, ...], first: int) -> None:
        super().__init__(path=path, shape=shape, first=first)
        self.a_in = InPort(shape=shape)


@implements(proc=EventSink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyEventSinkModel(PyLoihiProcessModel):
    """Maps the file into memory."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.rows, self.first = np.load(proc_params["path"], mmap_mode="r+"), proc_params["first"]

    def run_spk(self) -> None:
        values, row = self.a_in.recv(), self.time_step - self.first
        if 0 <= row < len(self.rows):
            self.rows[row] = values
