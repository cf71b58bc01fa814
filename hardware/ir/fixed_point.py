"""Loihi's integers: register widths, and the three roundings that states go through.

Source of every rule: Lava 0.10's bit-accurate models (`lava/proc/lif/models.py`, `lava/proc/dense/models.py`), which are what
"bit-exact" means in this project.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import FixedPointError

DECAY_BITS = 12  # decays are fractions of 2**12
ALIGN_BITS = 6  # synaptic input and threshold sit 6 bits above the state's least significant bit
STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)  # states are 24-bit two's complement
CURRENT_DECAY_OFFSET = 1  # the chip adds one to du, not to dv

WEIGHT_BITS = 8
EXPONENT_RANGE = (-8, 7)  # 4-bit signed exponent per synapse group; models agree (nengo-loihi's wgtExp), Lava itself takes any
DELAY_RANGE = (0, 62)  # Lava's netx clips to 62; its delay line holds 63
MESSAGE_BITS = 24  # payload of a graded spike, signed; public models allocate 24 of the chip's 32

THRESHOLD_LIMIT = 1 << 17  # 17-bit mantissa
NEVER = THRESHOLD_LIMIT  # as a threshold: 64 * 2**17 lies above the highest voltage, so the neuron cannot fire
BIAS_MANTISSA_RANGE = (-4096, 4095)  # 13 bits; Lava stores it as int16 and does not check
BIAS_EXPONENT_RANGE = (0, 7)

INT32 = 1 << 31
PRODUCT_EXPONENT_RANGE = (0, 31)  # a shift of 32 bits by more is undefined

Int = int | NDArray[np.int32]


def decay(x: NDArray[np.int32], amount: Int) -> NDArray[np.int32]:
    """trunc(x (4096 - amount) / 4096), towards zero: a plain right shift would round negative values down."""
    scaled = x.astype(np.int64) * ((1 << DECAY_BITS) - amount)
    return (np.sign(scaled) * (np.abs(scaled) >> DECAY_BITS)).astype(np.int32)


def wrap(u: NDArray[np.int32]) -> NDArray[np.int32]:
    """24-bit wrap of the current. Lava wraps once only, and lets +2**23 itself stand."""
    return np.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, np.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)).astype(np.int32)


def clip(v: NDArray[np.int64]) -> NDArray[np.int64]:
    """The voltage saturates one below the limit on both sides."""
    return np.clip(v, 1 - STATE_LIMIT, STATE_LIMIT - 1)


def shift(a: NDArray[np.int64], exponent: int) -> NDArray[np.int64]:
    """a 2**exponent; for a negative exponent an arithmetic shift, which rounds down."""
    return a << exponent if exponent >= 0 else a >> -exponent


def to_int32(a: NDArray[np.int64]) -> NDArray[np.int32]:
    """Keep the low 32 bits, as Lava's int32 arithmetic does."""
    return ((a + INT32) % (2 * INT32) - INT32).astype(np.int32)


def held(value: Int) -> Int:
    """Integers as a Program holds them: an int, or a read-only int32 array in C order, copied unless it is one already.

    What was checked stays as it is, then, and so does all that is made from it; and no backend computes in a narrower type than another.
    """
    array = np.asarray(value)
    if not array.ndim:
        return int(array)
    if array.dtype == np.int32 and array.flags.c_contiguous and not array.flags.writeable and array.base is None:
        return array
    return read_only(np.array(array, np.int32, order="C"))


def read_only(array: NDArray) -> NDArray:
    """The array itself, which nobody can write to any more."""
    array.flags.writeable = False
    return array


def check_range(name: str, value: ArrayLike, low: int, high: int) -> None:
    """Raise FixedPointError where an integer, or any element of an integer array, lies outside [low, high].

    Floats are refused too: Lava would truncate them without a word.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise FixedPointError(f"{name} holds {array.dtype} values; registers take integers")
    outside = array[(array < low) | (array > high)]
    if outside.size:
        raise FixedPointError(f"{name}={outside.flat[0]} is outside its register ({low}..{high})")
