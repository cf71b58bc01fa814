"""Where events enter a network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.stock import (
    CPU,
    AbstractProcess,
    LavaPyType,
    LoihiProtocol,
    OutPort,
    PyLoihiProcessModel,
    PyOutPort,
    implements,
    requires,
    tag,
)


class EventSource(AbstractProcess):
    """Sends the rows of an int32 .npy file, one per time step, and zeros after the last.

    Args:
        path: file of shape (steps, *shape).
        shape: of what it sends.
    """

    def __init__(self, *, path: str, shape: tuple[int, ...]) -> None:
        super().__init__(path=path, shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=EventSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyEventSourceModel(PyLoihiProcessModel):
    """Maps the file into memory, so that its size does not matter."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.rows = np.load(proc_params["path"], mmap_mode="r")
        self.silence = np.zeros(proc_params["shape"], np.int32)

    def run_spk(self) -> None:
        row = self.time_step - 1  # Lava counts from 1
        self.s_out.send(self.rows[row] if row < len(self.rows) else self.silence)
