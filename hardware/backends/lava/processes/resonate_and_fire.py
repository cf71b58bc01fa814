"""Lava's resonate-and-fire in windows, and with parameters per neuron. The step is Lava's. Importing this module imports Lava."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron, Window
from snnfuse.hardware.backends.lava.stock import AbstractProcess, InPort, LavaPyType, OutPort, Var
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire

with patched_imports():
    from lava.proc.rf.models import PyRFModelFixed

PARAMETERS = ("sin_decay", "cos_decay", "vth", "state_exp", "decay_bits")


class ResonateAndFireProcess(AbstractProcess):
    """Lava's RF, whose constructor takes one period for all neurons, with integers for each; states are zeroed at the start of windows.

    Args:
        node: parameters.
        reset_interval, reset_offset: as of lava.proc.lif.process.LIFReset.
    """

    def __init__(self, *, node: ResonateAndFire, name: str, reset_interval: int, reset_offset: int) -> None:
        super().__init__(shape=node.shape, name=name, reset_interval=reset_interval, reset_offset=reset_offset)
        shape = tuple(node.shape)
        self.a_real_in, self.a_imag_in, self.s_out = InPort(shape=shape), InPort(shape=shape), OutPort(shape=shape)
        self.real, self.imag = Var(shape=shape, init=0), Var(shape=shape, init=0)
        for parameter in PARAMETERS:
            value = np.asarray(getattr(node, parameter), np.int32)
            setattr(self, parameter, Var(shape=value.shape or (1,), init=value if value.ndim else int(value)))


class PyResonateAndFireModel(PyRFModelFixed):
    """Lava's model, run from rest in every window."""

    implements_process = ResonateAndFireProcess
    sin_decay: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=12)
    cos_decay: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=12)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.reset_interval = proc_params["reset_interval"]
        self.reset_offset = proc_params["reset_offset"] % self.reset_interval

    def run_spk(self) -> None:
        if self.time_step % self.reset_interval == self.reset_offset:
            self.real[:], self.imag[:] = 0, 0
        super().run_spk()


def _build(name: str, node: ResonateAndFire, window: Window | None) -> AbstractProcess:
    return ResonateAndFireProcess(node=node, name=name, **(window or FOREVER))


RESONATE_AND_FIRE = LavaNeuron(_build, {ResonateAndFireProcess: PyResonateAndFireModel}, ("a_real_in", "a_imag_in"))
