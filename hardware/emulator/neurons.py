"""One step of a population of neurons: the equations of `snnfuse.hardware.lif`, branch-free in 32 bits.

All sums fit: |u| <= 2**31 - 2**24 after the one wrap, |decay(v)| and |decay(v) - 64 vth [v > 64 vth]| < 2**23, |bias| <= 2**19.
"""

from numba import njit

from snnfuse.hardware.emulator.intrinsics import add, bit_and, mul, shl, sra, sub
from snnfuse.hardware.fixed_point import ALIGN_BITS, DECAY_BITS, STATE_LIMIT

LOW = (1 << DECAY_BITS) - 1


@njit(inline="always")
def decay(x, keep):
    """trunc(x keep / 4096) of any int32 x, keep 0..4096.

    With x = 4096 h + l: floor(x keep / 4096) = h keep + floor(l keep / 4096); for x < 0 the ceiling is taken, so 4095 is added
    before the shift. Nothing overflows for
    |x| <= 2**31 - 2**24, which holds for every current and voltage.
    """
    low = add(mul(bit_and(x, LOW), keep), bit_and(sra(x, 31), LOW))
    return add(mul(sra(x, DECAY_BITS), keep), sra(low, DECAY_BITS))


@njit(inline="always")
def wrap(u):
    """24-bit wrap, once; +2**23 itself stands."""
    down = sub(u, 2 * STATE_LIMIT) if u > STATE_LIMIT else u
    return add(u, 2 * STATE_LIMIT) if u <= -STATE_LIMIT else down


@njit(inline="always")
def clip(v):
    """Saturates one below the limit on both sides."""
    v = v if v < STATE_LIMIT - 1 else STATE_LIMIT - 1
    return v if v > 1 - STATE_LIMIT else 1 - STATE_LIMIT


def _loop(reset, forgets, arrays):
    """A loop over neurons for one reset, with one parameter for all neurons or one each, compiled without its branches.

    It takes the input a, the states u and v (int32, changed in place), bytes for the spikes, the number of neurons, and the
    parameters as in `fields`; arrays begin at p and lie n apart.
    """

    @njit
    def update(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p):
        for j in range(n):
            keep_u = params[p + j] if arrays else current_keep
            keep_v = params[p + n + j] if arrays else voltage_keep
            theta = params[p + 2 * n + j] if arrays else threshold
            drift = params[p + 3 * n + j] if arrays else bias
            before = v[j]
            raw = shl(a[j], ALIGN_BITS)
            current = wrap(raw if forgets else add(decay(u[j], keep_u), raw))
            voltage = add(add(decay(before, keep_v), current), drift)
            if reset == 2:
                voltage = sub(voltage, theta if before > theta else 0)
            voltage = clip(voltage)
            fires = voltage > theta
            spikes[j] = fires
            u[j] = current
            if reset == 0:
                voltage = 0 if fires else voltage
            if reset == 1:
                voltage = sub(voltage, theta if fires else 0)
            v[j] = voltage

    return update


_zero_forgets = _loop(0, True, False)
_zero = _loop(0, False, False)
_subtract = _loop(1, False, False)
_delayed = _loop(2, False, False)
_zero_each = _loop(0, False, True)
_subtract_each = _loop(1, False, True)
_delayed_each = _loop(2, False, True)


@njit
def update_neurons(a, u, v, spikes, n, reset, forgets, current_keep, voltage_keep, threshold, bias, params, p):
    """One step of n neurons (a multiple of LANES) by the loop that fits."""
    if p >= 0:
        if reset == 0:
            _zero_each(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
        elif reset == 1:
            _subtract_each(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
        else:
            _delayed_each(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
    elif reset == 0 and forgets:
        _zero_forgets(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
    elif reset == 0:
        _zero(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
    elif reset == 1:
        _subtract(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
    else:
        _delayed(a, u, v, spikes, n, current_keep, voltage_keep, threshold, bias, params, p)
