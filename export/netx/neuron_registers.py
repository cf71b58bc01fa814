"""A netx layer's neurons as a Lif, and back."""

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.netx.contents import NetLayer, NetNeuron, NetSdnn, Register, WeightedLayer
from snnfuse.hardware.errors import FixedPointError, InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import BIAS_EXPONENT_RANGE, BIAS_MANTISSA_RANGE, CURRENT_DECAY_OFFSET, NEVER, Int
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.sigma_delta import Sigma, SigmaDelta
from snnfuse.hardware.ledger import LedgerEntry

FULL = 4096  # a decay of everything
BIAS_SHIFT = 6  # netx's bias_exp, and SLAYER's scale between weights and states


def lif_of(layer: WeightedLayer, neuron: NetNeuron, shape: tuple[int, ...]) -> tuple[Lif, list[LedgerEntry]]:
    """A layer's neurons in registers, and what had to be changed.

    Raises:
        InputError: a value is out of its range, or of another size than the layer.
        UnsupportedError: a bias that the register cannot hold.
    """
    current, voltage, threshold = registers(layer, neuron, shape)
    mantissa, exponent = bias_of(layer, neuron, shape)
    lif = Lif(shape, current - CURRENT_DECAY_OFFSET, capped(voltage, FULL - 1), threshold, mantissa, exponent)
    return lif, changes(layer.name, neuron, voltage)


def registers(layer: NetLayer, neuron: NetNeuron, shape: tuple[int, ...]) -> tuple[Int, Int, Int]:
    """iDecay and vDecay, 0..4096, and the threshold, 0..2**17, each an int or int32 of the shape; errors as of `lif_of`."""
    current, voltage, threshold = (
        _per_neuron(layer, key, getattr(neuron, field), shape, high)
        for key, field, high in (("iDecay", "i_decay", FULL), ("vDecay", "v_decay", FULL), ("vThMant", "threshold", 2**31 - 1))
    )
    return current, voltage, capped(threshold, NEVER)


def sigma_delta_of(layer: WeightedLayer, neuron: NetSdnn, shape: tuple[int, ...], spike_exp: int, state_exp: int) -> Sigma | SigmaDelta:
    """A layer's sigma-delta neurons; InputError for a value out of its range, UnsupportedError for an output that has a bias."""
    has_bias = layer.bias is not None and bool(layer.bias.any())
    if neuron.is_output:
        if has_bias:
            raise UnsupportedError(f"{layer.name}/bias: an output that only adds up has none, and netx fails on it; add it on the host")
        return Sigma(shape)
    bias = per_neuron(layer.bias, shape, f"{layer.name}/bias").astype(np.int32) if layer.bias is not None and has_bias else 0
    try:
        return SigmaDelta(shape, neuron.threshold, spike_exp, state_exp, bias=bias, activation=neuron.activation)
    except FixedPointError as error:
        raise InputError(f"{layer.name}/neuron: {error}") from error


def per_neuron(values: NDArray[np.int64], shape: tuple[int, ...], where: str) -> NDArray[np.int64]:
    """One value for all, per channel or per neuron, to one per neuron; InputError for another number of values."""
    return _spread(values, shape, where) if values.size > 1 else np.full(shape, values.flat[0])


def changes(name: str, neuron: NetNeuron, voltage: Int) -> list[LedgerEntry]:
    """What registers could not keep."""
    entries = []
    if np.max(voltage) == FULL:
        change = f"a voltage decay of {FULL - 1} / {FULL} in place of {FULL} / {FULL}"
        entries.append(LedgerEntry(name, change, "the register has 12 bits"))
    if neuron.refractory > 1:
        change = f"no refractory delay in place of {neuron.refractory} steps, so that a neuron may fire again at once"
        entries.append(LedgerEntry(name, change, "Loihi's stock neuron in Lava has none; netx ignores it as well"))
    return entries


def _per_neuron(layer: NetLayer, key: str, value: Register, shape: tuple[int, ...], high: int) -> Int:
    """A plain int, or int32 of the population's shape; files hold one value, one per channel, or all with axes (W, H, C)."""
    values = np.asarray(value)
    if values.size and (values.min() < 0 or values.max() > high):
        raise InputError(f"{layer.name}/neuron/{key}: {values.min()}..{values.max()} is outside 0..{high}")
    if values.size == 1:
        return int(values.flat[0])
    return np.minimum(_spread(values, shape, f"{layer.name}/neuron/{key}"), 2**31 - 1).astype(np.int32)


def _spread(values: NDArray[np.int64], shape: tuple[int, ...], where: str) -> NDArray[np.int64]:
    if values.size == shape[0] and values.ndim <= 1:
        values = values.reshape(-1, *(1,) * (len(shape) - 1))
    elif values.shape == shape[::-1]:
        values = values.transpose()
    else:
        raise InputError(f"{where}: {values.shape} values for a layer of shape {shape}; there is one, one per channel, or one per neuron")
    return np.ascontiguousarray(np.broadcast_to(values, shape))


def capped(value: Int, most: int) -> Int:
    """The smaller of the two, element by element."""
    return min(value, most) if isinstance(value, int) else np.minimum(value, most)


def bias_of(layer: WeightedLayer, neuron: NetNeuron, shape: tuple[int, ...]) -> tuple[Int, int]:
    """Mantissa and exponent of bias * 2**6, times 2**weight_exp after a batch normalisation."""
    if layer.bias is None or not layer.bias.any():
        return 0, 0
    where = f"{layer.name}/bias"
    values = per_neuron(layer.bias, shape, where)
    power = BIAS_SHIFT + (neuron.weight_exp if neuron.normalised else 0)
    low, high = BIAS_MANTISSA_RANGE
    if power > BIAS_EXPONENT_RANGE[1]:
        values, power = values << power - BIAS_EXPONENT_RANGE[1], BIAS_EXPONENT_RANGE[1]
    while (values.min() < low or values.max() > high) and power < BIAS_EXPONENT_RANGE[1] and not (values % 2).any():
        values, power = values // 2, power + 1
    if power < BIAS_EXPONENT_RANGE[0] or values.min() < low or values.max() > high:
        raise UnsupportedError(
            f"{where}: {values.min()}..{values.max()} times 2**{power} does not fit 13 bits with an exponent of 0..7; scale weights, "
            "bias and threshold down"
        )
    return values.astype(np.int32), power


def neuron_of(lif: Lif, where: str, flat: bool) -> tuple[NetNeuron, NDArray[np.int64] | None]:
    """Registers and bias of a population, as a file holds them.

    Args:
        lif: the population.
        where: its name, for errors.
        flat: whether a file has it without its shape, as the output of a dense layer; otherwise its axes are (W, H, C).

    Raises:
        UnsupportedError: a reset by subtraction, or a bias that is no multiple of 2**6.
    """
    if lif.reset != "zero":
        way_out = "other targets keep it, and reset='zero' measures what a change costs"
        raise UnsupportedError(f"{where}: resets by {lif.reset!r}; netx knows reset to zero only: {way_out}")
    bias = np.left_shift(np.asarray(lif.bias_mant, np.int64), lif.bias_exp)
    if (bias % (1 << BIAS_SHIFT)).any():
        raise UnsupportedError(f"{where}: its bias is no multiple of 2**{BIAS_SHIFT}, which is all that netx files can say")
    registers = (np.asarray(value, np.int64) for value in (np.add(lif.du, CURRENT_DECAY_OFFSET), lif.dv, lif.vth))
    current, voltage, threshold = (int(v.flat[0]) if v.min() == v.max() else stored(v, flat) for v in registers)
    neuron = NetNeuron(current, voltage, threshold)
    return neuron, stored(np.broadcast_to(bias >> BIAS_SHIFT, lif.shape), flat) if bias.any() else None


def stored(values: NDArray[np.int64], flat: bool) -> NDArray[np.int64]:
    """One value per neuron in the axes of a file: (n,) of a dense layer, (W, H, C) of a convolution."""
    return values.reshape(-1) if flat else np.ascontiguousarray(values.transpose())
