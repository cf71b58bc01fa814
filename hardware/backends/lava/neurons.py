"""The neuron kinds that Lava has, or that need no more than a model of theirs. Importing this module imports Lava."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.neuron_form import FOREVER, LavaNeuron, Window
from snnfuse.hardware.backends.lava.processes.biased_lif import BIASED
from snnfuse.hardware.backends.lava.processes.inverse_root import InverseRootProcess, PyInverseRootModel
from snnfuse.hardware.backends.lava.processes.lif_resets import (
    LIFSubtract,
    LIFSubtractDelayed,
    LIFSubtractUndelayed,
    LIFZeroDelayed,
    LIFZeroStored,
    PyLifSubtractDelayedModel,
    PyLifSubtractModel,
    PyLifSubtractUndelayedModel,
    PyLifZeroDelayedModel,
    PyLifZeroStoredModel,
)
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif

WINDOWED = {
    "zero": stock.LIFReset,
    "subtract": LIFSubtract,
    "subtract_delayed": LIFSubtractDelayed,
    "subtract_undelayed": LIFSubtractUndelayed,
    "zero_delayed": LIFZeroDelayed,
    "zero_stored": LIFZeroStored,
}


def lif_parameters(name: str, lif: Lif, window: Window | None) -> dict[str, Any]:
    """What a windowed LIF process is made of."""
    return {
        "name": name,
        "shape": tuple(lif.shape),
        "du": register(lif.du),
        "dv": register(lif.dv),
        "vth": register(lif.vth),
        "bias_mant": np.broadcast_to(lif.bias_mant, lif.shape).astype(np.int16),
        "bias_exp": np.broadcast_to(lif.bias_exp, lif.shape).astype(np.int16),
        **(window or FOREVER),
    }


def _lif(name: str, lif: Lif, window: Window | None) -> stock.AbstractProcess:
    parameters = lif_parameters(name, lif, window)
    if window is None and lif.reset == "zero":
        return stock.LIF(**{key: value for key, value in parameters.items() if key not in FOREVER})
    return WINDOWED[lif.reset](**parameters)


def _biased_lif(name: str, lif: Lif, window: Window | None) -> stock.AbstractProcess:
    return BIASED[WINDOWED[lif.reset]][0](**lif_parameters(name, lif, window))


def register(value: int | NDArray[np.int32]) -> int | NDArray[np.int32]:
    """A plain int, or int32 array: Lava keeps whatever type it is given, and shifts in it."""
    return int(value) if np.ndim(value) == 0 else np.asarray(value, np.int32)


def _product(name: str, node: Product, window: Window | None) -> stock.AbstractProcess:
    return named(name, stock.ProdNeuron(shape=tuple(node.shape), vth=0, exp=int(node.exponent)))


def _relay(name: str, node: Relay, window: Window | None) -> stock.AbstractProcess:
    return named(name, stock.GradedVec(shape=tuple(node.shape), vth=0))


def _inverse_root(name: str, node: InverseRoot, window: Window | None) -> stock.AbstractProcess:
    return named(name, InverseRootProcess(shape=tuple(node.shape), gain=int(node.gain)))


def named(name: str, process: stock.AbstractProcess) -> stock.AbstractProcess:
    """A process whose constructor takes no name, with one."""
    process.name = name
    return process


LIF = LavaNeuron(
    _lif,
    {
        stock.LIF: stock.PyLifModelBitAcc,
        stock.LIFReset: stock.PyLifResetModelBitAcc,
        LIFSubtract: PyLifSubtractModel,
        LIFSubtractDelayed: PyLifSubtractDelayedModel,
        LIFSubtractUndelayed: PyLifSubtractUndelayedModel,
        LIFZeroDelayed: PyLifZeroDelayedModel,
        LIFZeroStored: PyLifZeroStoredModel,
    },
)
BIASED_LIF = LavaNeuron(_biased_lif, dict(BIASED.values()), ("a_in", "bias_in"))
PRODUCT = LavaNeuron(_product, {stock.ProdNeuron: stock.PyProdNeuronModelFixed}, ("a_in1", "a_in2"))
RELAY = LavaNeuron(_relay, {stock.GradedVec: stock.PyGradedVecModelFixed})
INVERSE_ROOT = LavaNeuron(_inverse_root, {InverseRootProcess: PyInverseRootModel})
