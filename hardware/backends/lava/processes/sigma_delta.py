"""Lava's sigma-delta processes in windows. The steps are Lava's. Importing this module imports Lava."""

from collections.abc import Mapping
from typing import Any

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron, Window
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta


class WindowedSigma(stock.Sigma):
    """Lava's Sigma with windows.

    Args:
        name: of the process.
        reset_interval, reset_offset: as of lava.proc.lif.process.LIFReset.
        parameters: of Lava's process.
    """

    def __init__(self, *, name: str, reset_interval: int, reset_offset: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        _say(self, name, reset_interval, reset_offset)


class WindowedDelta(stock.Delta):
    """Lava's Delta with windows; arguments as of `WindowedSigma`."""

    def __init__(self, *, name: str, reset_interval: int, reset_offset: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        _say(self, name, reset_interval, reset_offset)


class WindowedSigmaDelta(stock.SigmaDelta):
    """Lava's SigmaDelta with windows; arguments as of `WindowedSigma`."""

    def __init__(self, *, name: str, reset_interval: int, reset_offset: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        _say(self, name, reset_interval, reset_offset)


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

    implements_process = WindowedSigma
    cleared = Sigma.states


class PyWindowedDeltaModel(Windowed, stock.PyDeltaModelFixed):
    """Lava's model, from rest in every window."""

    implements_process = WindowedDelta
    cleared = Delta.states


class PyWindowedSigmaDeltaModel(Windowed, stock.PySigmaDeltaModelFixed):
    """Lava's model, from rest in every window."""

    implements_process = WindowedSigmaDelta
    cleared = SigmaDelta.states


def _sigma(name: str, node: Sigma, window: Window | None) -> stock.AbstractProcess:
    return WindowedSigma(shape=tuple(node.shape), name=name, **(window or FOREVER))


def _delta(name: str, node: Delta, window: Window | None) -> stock.AbstractProcess:
    return WindowedDelta(**_encoder(name, node, window))


def _sigma_delta(name: str, node: SigmaDelta, window: Window | None) -> stock.AbstractProcess:
    mode = stock.ActivationMode.RELU if node.activation == "relu" else stock.ActivationMode.UNIT
    return WindowedSigmaDelta(bias=node.bias, act_mode=mode, **_encoder(name, node, window))


def _encoder(name: str, node: Delta, window: Window | None) -> dict[str, Any]:
    exponents = {"spike_exp": node.spike_exp, "state_exp": node.state_exp}
    shape = tuple(node.shape)
    return {"shape": shape, "name": name, "vth": node.vth, "cum_error": bool(node.cumulative), **exponents, **(window or FOREVER)}


def _say(process: stock.AbstractProcess, name: str, reset_interval: int, reset_offset: int) -> None:
    """A name and a window, for which Lava's constructors have no room."""
    process.name = name
    process.proc_params["reset_interval"], process.proc_params["reset_offset"] = reset_interval, reset_offset


SIGMA = LavaNeuron(_sigma, {WindowedSigma: PyWindowedSigmaModel})
DELTA = LavaNeuron(_delta, {WindowedDelta: PyWindowedDeltaModel})
SIGMA_DELTA = LavaNeuron(_sigma_delta, {WindowedSigmaDelta: PyWindowedSigmaDeltaModel})
