"""The parts of Lava that the backend uses, imported with the fixes that they need. Importing this module imports Lava."""

from typing import TYPE_CHECKING, Any, cast

from snnfuse.hardware.backends.lava.compat import patched_imports

if TYPE_CHECKING:  # Lava makes ports, variables and models by metaclasses and against its own annotations; here they are untyped

    class AbstractProcess(Any): ...

    class InPort(Any): ...

    class OutPort(Any): ...

    class PyInPort(Any): ...

    class PyOutPort(Any): ...

    class Conv(Any): ...

    class PyLoihiProcessModel(Any): ...

    class ModelMixin(Any): ...

    CPU = LIF = DelayDense = DelaySparse = Dense = GradedVec = LIFReset = LavaPyType = Loihi2SimCfg = cast(Any, None)
    LoihiProtocol = ProdNeuron = PyConvModelFixed = PyDelayDenseModelBitAcc = PyDelaySparseModelBitAcc = cast(Any, None)
    PyDenseModelBitAcc = PyGradedVecModelFixed = PyLifModelBitAcc = PyLifResetModelBitAcc = cast(Any, None)
    PyOutPortVectorDense = PyProdNeuronModelFixed = PyRFModelFixed = PyResetFixed = PySparseModelBitAcc = cast(Any, None)
    PyDeltaModelFixed = PySigmaModelFixed = PySigmaDeltaModelFixed = Sigma = Delta = SigmaDelta = ActivationMode = cast(Any, None)
    Reset = RunSteps = Sparse = Var = implements = requires = tag = cast(Any, None)
else:
    with patched_imports():
        from lava.magma.core.decorator import implements, requires, tag
        from lava.magma.core.model.py.model import PyLoihiProcessModel
        from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyOutPortVectorDense
        from lava.magma.core.model.py.type import LavaPyType
        from lava.magma.core.process.ports.ports import InPort, OutPort
        from lava.magma.core.process.process import AbstractProcess
        from lava.magma.core.process.variable import Var
        from lava.magma.core.resources import CPU
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
        from lava.magma.runtime import runtime  # noqa: F401  (Lava imports it, and its fork, only when it runs)
        from lava.proc.conv.models import PyConvModelFixed
        from lava.proc.conv.process import Conv
        from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
        from lava.proc.dense.process import DelayDense, Dense
        from lava.proc.graded.models import PyGradedVecModelFixed
        from lava.proc.graded.process import GradedVec
        from lava.proc.io.reset import PyResetFixed, Reset
        from lava.proc.lif.models import PyLifModelBitAcc, PyLifResetModelBitAcc
        from lava.proc.lif.process import LIF, LIFReset
        from lava.proc.prodneuron.models import PyProdNeuronModelFixed
        from lava.proc.prodneuron.process import ProdNeuron
        from lava.proc.rf.models import PyRFModelFixed
        from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed
        from lava.proc.sdn.process import ActivationMode, Delta, Sigma, SigmaDelta
        from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
        from lava.proc.sparse.process import DelaySparse, Sparse

    ModelMixin = object  # base of what comes before a model in the order of inheritance

__all__ = [
    "CPU",
    "LIF",
    "AbstractProcess",
    "ActivationMode",
    "Conv",
    "DelayDense",
    "DelaySparse",
    "Delta",
    "Dense",
    "GradedVec",
    "InPort",
    "LIFReset",
    "LavaPyType",
    "Loihi2SimCfg",
    "LoihiProtocol",
    "ModelMixin",
    "OutPort",
    "ProdNeuron",
    "PyConvModelFixed",
    "PyDelayDenseModelBitAcc",
    "PyDelaySparseModelBitAcc",
    "PyDeltaModelFixed",
    "PyDenseModelBitAcc",
    "PyGradedVecModelFixed",
    "PyInPort",
    "PyLifModelBitAcc",
    "PyLifResetModelBitAcc",
    "PyLoihiProcessModel",
    "PyOutPort",
    "PyOutPortVectorDense",
    "PyProdNeuronModelFixed",
    "PyRFModelFixed",
    "PyResetFixed",
    "PySigmaDeltaModelFixed",
    "PySigmaModelFixed",
    "PySparseModelBitAcc",
    "Reset",
    "RunSteps",
    "Sigma",
    "SigmaDelta",
    "Sparse",
    "Var",
    "implements",
    "requires",
    "tag",
]
