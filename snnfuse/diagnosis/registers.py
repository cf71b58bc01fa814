"""The registers of a layer's neurons against what the compiler writes at the layer's scale."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np

from snnfuse.diagnosis.causes import Finding
from snnfuse.export.lowering.network import Array, Population
from snnfuse.export.quantization.fitting import build
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS
from snnfuse.hardware.ir.nodes import Connection, Neuron

DIGITS = 1e-5  # relative: what an inexact scale may move
CAUSES = {"du": "decay value", "dv": "decay value", "vth": "threshold value", "reset": "reset rule"}
BIASES = ("bias_mant", "bias_exp")


def audit_neurons(
    population: Population, node: Neuron, scale: float, exact: bool, biases: Sequence[Connection], name: str
) -> Iterator[Finding]:
    """What is wrong with the registers and biases of a layer, if anything.

    Args:
        population: float neurons.
        node: the program's.
        scale: K.
        exact: whether that has all its digits.
        biases: connections from constants.
        name: of the layer.
    """
    fit = build(population, [], [], scale, [])
    if fit is None:
        yield Finding(name, "threshold value", f"no registers hold it at its scale {scale:.6g}", 1.0)
        return
    expected = fit.lif
    if type(expected) is not type(node):
        yield Finding(name, "neuron kind", f"it is a {type(node).__name__}, and a {type(expected).__name__} is expected", 1.0)
        return
    for field in (f.name for f in fields(node) if f.name != "shape" and f.name not in BIASES):  # pyright: ignore[reportArgumentType]
        found, wanted = getattr(node, field), getattr(expected, field)
        if isinstance(found, str):
            if found != wanted:
                yield Finding(name, CAUSES.get(field, "neuron parameter"), f"{field} is {found}, and the network's is {wanted}", 1.0)
        else:
            yield from _register(name, field, found, wanted, population.shape, 0.0 if exact or field in ("du", "dv") else DIGITS)
    yield from _biases(name, node, expected, fit.bias, biases, population, exact)


def _register(name: str, field: str, found: object, wanted: object, shape: tuple[int, ...], digits: float) -> Iterator[Finding]:
    a, b = (np.broadcast_to(np.asarray(x, np.float64), shape) for x in (found, wanted))
    wrong = np.flatnonzero((np.abs(a - b) > digits * np.abs(b) + (1 if digits else 0)).ravel())
    if wrong.size:
        i, where = int(wrong[0]), f"{wrong.size} of {a.size} neurons"
        words = f"{field} of {where} is not what the network's rounds to: of neuron {i} {a.ravel()[i]:g}, not {b.ravel()[i]:g}"
        yield Finding(name, CAUSES.get(field, "neuron parameter"), words, 1.0)


def _biases(
    name: str, node: Neuron, expected: Neuron, column: Sequence, biases: Sequence[Connection], population: Population, exact: bool
) -> Iterator[Finding]:
    """What is added on every step, to the voltage and to the current, in the voltage's least units."""
    voltage, wanted_voltage = (into_voltage(n, population.shape) for n in (node, expected))
    current, wanted_current = _column([c.synapse for c in biases], population.shape), _column(column, population.shape)
    for found, wanted in ((voltage, wanted_voltage), (current, wanted_current)):
        slack = 0.0 if exact else DIGITS * np.abs(wanted) + 64.0
        wrong = np.flatnonzero((np.abs(found - wanted) > slack).ravel())
        if not wrong.size:
            continue
        i = int(wrong[0])
        moved = np.allclose(voltage + current, wanted_voltage + wanted_current, rtol=0.02, atol=64)
        where = "voltage" if found is voltage else "current"
        words = f"what is added to the {where} of {wrong.size} of {found.size} neurons is wrong: of neuron {i} {found.ravel()[i]:g}, "
        words += f"not {wanted.ravel()[i]:g}"
        yield Finding(name, "bias placement" if moved else "bias value", words, 1.0)
        return


def into_voltage(node: Neuron, shape: tuple[int, ...]) -> Array:
    """What is added to each voltage on every step, in its least units, of the neurons' shape."""
    mantissa, exponent = (np.asarray(getattr(node, field, 0), np.int64) for field in BIASES)
    return np.broadcast_to(mantissa * 2.0**exponent, shape)


def _column(synapses: Sequence, shape: tuple[int, ...]) -> Array:
    total = np.zeros(int(np.prod(shape)))
    for synapse in synapses:
        matrix = synapse.matrix()
        total = total + (matrix if isinstance(matrix, np.ndarray) else matrix.toarray()).sum(1) * 2.0**synapse.exponent
    return total.reshape(shape) * (1 << ALIGN_BITS)
