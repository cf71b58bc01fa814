"""gain / sqrt(a) per neuron, in integers: simulation only, a chip needs neuron microcode for it. The equations are in
`snnfuse.hardware.ir.inverse_root`; written a second time here, neuron by neuron, so that two readings of them can be compared.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

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
    implements,
    requires,
    tag,
)


class InverseRootProcess(AbstractProcess):
    """Sends the rounded gain / sqrt of what arrives, and 0 where that is not positive.

    Args:
        shape: of the neurons.
        gain: 1..2**16 - 1.
    """

    def __init__(self, *, shape: tuple[int, ...], gain: int, **others: Any) -> None:
        super().__init__(shape=shape, gain=gain, **others)
        self.a_in, self.s_out = InPort(shape=shape), OutPort(shape=shape)


@implements(proc=InverseRootProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyInverseRootModel(PyLoihiProcessModel):
    """Python's integers, one neuron at a time."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.gain = int(proc_params["gain"])

    def run_spk(self) -> None:
        a = np.asarray(self.a_in.recv()).astype(np.int32)
        self.s_out.send(np.array([_root(int(x), self.gain) for x in a.ravel()], np.int32).reshape(a.shape))


def _root(a: int, gain: int) -> int:
    """One neuron, one step."""
    if a <= 0:
        return 0
    e = (a.bit_length() - 1) // 2
    m = (a << 13) >> (2 * e)
    y = 18076 - (21845 * m >> 16)
    for _ in range(3):
        y = y * (3 * 2**14 - (m * (y * y >> 14) >> 13)) >> 15
    return (gain * y + (1 << (13 + e))) >> (14 + e)
