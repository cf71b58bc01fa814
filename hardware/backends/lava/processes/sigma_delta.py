"""Lava's sigma-delta processes in windows. The steps are Lava's. Importing this module imports Lava."""

from collections.abc import Mapping
from typing import Any

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron, Window
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta


class Windowed(stock.ModelMixin):
    """Comes before a model in the order of inheritance: states are zeroed at the start of windows, if the process says of which."""

    cleared: tuple[str, ...] = ()

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.interval, offset = (proc_params.get(name, default) for name, default in FOREVER.items())
        self.offset = offset % self.interval

    def run_spk(self) -> None:
        if self.time_step % self.interval == self.offset:
            for name in self.cleared:
                setattr(self, name, getattr(self, name) * 0)
        super().run_spk()


class PyWindowedSigmaModel(Windowed, stock.PySigmaModelFixed):
    """Lava's model, from rest in every window."""

    cleared = Sigma.states


class PyWindowedDeltaModel(Windowed, stock.PyDeltaModelFixed):
    """Lava's model, from rest in every window."""

    cleared = Delta.states


class PyWindowedSigmaDeltaModel(Windowed, stock.PySigmaDeltaModelFixed):
    """Lava's model, from rest in every window."""

    cleared = SigmaDelta.states


def _sigma(name: str, node: Sigma, window: Window | None) -> stock.AbstractProcess:
    return _with(name, stock.Sigma(shape=tuple(node.shape)), window)


def _delta(name: str, node: Delta, window: Window | None) -> stock.AbstractProcess:
    return _with(name, stock.Delta(shape=tuple(node.shape), **_encoder(node)), window)


def _sigma_delta(name: str, node: SigmaDelta, window: Window | None) -> stock.AbstractProcess:
    mode = stock.ActivationMode.RELU if node.activation == "relu" else stock.ActivationMode.UNIT
    return _with(name, stock.SigmaDelta(shape=tuple(node.shape), bias=node.bias, act_mode=mode, **_encoder(node)), window)


def _encoder(node: Delta) -> dict[str, int | bool]:
    return {"vth": node.vth, "cum_error": bool(node.cumulative), "spike_exp": node.spike_exp, "state_exp": node.state_exp}


def _with(name: str, process: stock.AbstractProcess, window: Window | None) -> stock.AbstractProcess:
    """The process with a name and a window, for which Lava's constructors have no room."""
    process.name = name
    for parameter, value in (window or FOREVER).items():
        process.proc_params[parameter] = value
    return process


SIGMA = LavaNeuron(_sigma, {stock.Sigma: PyWindowedSigmaModel})
DELTA = LavaNeuron(_delta, {stock.Delta: PyWindowedDeltaModel})
SIGMA_DELTA = LavaNeuron(_sigma_delta, {stock.SigmaDelta: PyWindowedSigmaDeltaModel})
