"""STAND-IN for lava-loihi's spike adapters and NeuroCore models, for tests only. NO CHIP IS INVOLVED.

The adapters have the ports and arguments that public code uses (inp, out, shape, num_message_bits) and pass spikes on within the step,
or as many steps later as SNNFUSE_STAND_IN_INPUT_DELAY and SNNFUSE_STAND_IN_OUTPUT_DELAY say. "NeuroCore models" are Lava's fixed-point
CPU models with another label; like the real package the stand-in makes Loihi2HwCfg prefer them. SNNFUSE_STAND_IN_WITHOUT names a
process that it has no model of.
"""

import os
from collections import deque

import numpy as np
from lava.magma.core import run_configs
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU, Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
from lava.proc.lif.models import PyLifModelBitAcc, PyLifResetModelBitAcc
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc


class _Adapter(AbstractProcess):
    def __init__(self, *, shape: tuple[int, ...], num_message_bits: int = 0) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class PyToNxAdapter(_Adapter):
    """From the host to the chip."""


class NxToPyAdapter(_Adapter):
    """From the chip to the host."""


class _Passing(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    delay = 0

    def __init__(self, proc_params: dict) -> None:
        super().__init__(proc_params)
        self.bits = proc_params["num_message_bits"]
        self.line = deque(np.zeros(proc_params["shape"], np.int32) for _ in range(self.delay))

    def run_spk(self) -> None:
        values = self.inp.recv().astype(np.int32)
        self.line.append(values if self.bits else (values != 0).astype(np.int32))  # without a payload a spike is a spike
        self.out.send(self.line.popleft())


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StandInPyToNx(_Passing):
    delay = int(os.environ.get("SNNFUSE_STAND_IN_INPUT_DELAY", "0"))


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StandInNxToPy(_Passing):
    delay = int(os.environ.get("SNNFUSE_STAND_IN_OUTPUT_DELAY", "0"))


def _on_neurocore(model: type) -> type:
    return requires(Loihi2NeuroCore)(type(f"StandInNc{model.__name__}", (model,), {}))


NEUROCORE = {
    model.implements_process.__name__: _on_neurocore(model)
    for model in (PyLifModelBitAcc, PyLifResetModelBitAcc, PyDenseModelBitAcc, PyDelayDenseModelBitAcc, PySparseModelBitAcc,
                  PyDelaySparseModelBitAcc, PyConvModelFixed)
}  # fmt: skip
NEUROCORE.pop(os.environ.get("SNNFUSE_STAND_IN_WITHOUT", ""), None)
run_configs.CLoihiProcessModel = type("CLoihiProcessModel", (), {})  # public Lava does not define it, and stops at the name
_select = run_configs.Loihi2HwCfg.select


def _prefer_neurocore(config: run_configs.Loihi2HwCfg, process: AbstractProcess, models: list) -> type:
    found = NEUROCORE.get(type(process).__name__)
    return found or _select(config, process, models)


run_configs.Loihi2HwCfg.select = _prefer_neurocore
