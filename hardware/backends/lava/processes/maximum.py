"""The largest of what arrives at several ports, per neuron: simulation only, a chip needs neuron microcode for it.

Lava reads a process's ports off its class, so that there is a class for every number of ports, made when it is first asked for.
Importing this module imports Lava.
"""

from functools import cache
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.neuron_form import LavaNeuron, Window
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
from snnfuse.hardware.ir.maximum import MOST_PORTS, Maximum

PORTS = tuple(f"a_in{port}" for port in range(MOST_PORTS))
NO_MAGNITUDE = -(2**31)  # the one int32 that is no graded spike


class MaximumProcess(AbstractProcess):
    """Sends, of what arrives at `a_in0`, `a_in1` and so on, the largest; subclasses say how many there are.

    Args:
        shape: of the neurons.
    """

    ports = 0

    def __init__(self, *, shape: tuple[int, ...], **others: Any) -> None:
        super().__init__(shape=shape, **others)
        for port in PORTS[: self.ports]:
            setattr(self, port, InPort(shape=shape))
        self.s_out = OutPort(shape=shape)


class MaximumModel(PyLoihiProcessModel):
    """A step in NumPy; subclasses have the ports."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    ports = 0

    def run_spk(self) -> None:
        sums = [np.asarray(getattr(self, port).recv()).astype(np.int32) for port in PORTS[: self.ports]]
        largest = np.stack(sums).max(axis=0)
        self.s_out.send(np.where(largest == NO_MAGNITUDE, 0, largest))


MODELS: dict[type, type] = {}  # of the numbers of ports that were asked for


@cache
def process_of(ports: int) -> type:
    """The process of so many ports; its model is in `MODELS` from then on."""
    process = type(f"Maximum{ports}Process", (MaximumProcess,), {"ports": ports, "__doc__": MaximumProcess.__doc__})
    inlets = {port: LavaPyType(PyInPort.VEC_DENSE, np.int32) for port in PORTS[:ports]}
    model = type(f"PyMaximum{ports}Model", (MaximumModel,), {"ports": ports, "__doc__": MaximumModel.__doc__, **inlets})
    MODELS[process] = tag("fixed_pt")(requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model)))
    return process


def _build(name: str, node: Maximum, window: Window | None) -> AbstractProcess:
    return process_of(node.ports)(shape=tuple(node.shape), name=name)


MAXIMUM = LavaNeuron(_build, MODELS, PORTS)
