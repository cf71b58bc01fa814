"""One step of a population of neurons: the equations of `snnfuse.hardware.ir.lif`, branch-free in 32 bits, LANES neurons at once.

Nothing overflows: |u| <= 2**31 - 2**24 after the one wrap, |decay(v)| and |decay(v) - 64 vth [v > 64 vth]| < 2**23, |bias| <= 2**19.
Where the input is bounded, |a| < 2**17, |64 a| < 2**23 and so |u| <= 2**23: one wrap brings any |u| + |64 a| <= 3 * 2**23 back.
"""

from llvmlite import ir
from numba.extending import intrinsic

from snnfuse.hardware.backends.emulator.fields import LANES
from snnfuse.hardware.backends.emulator.intrinsics import INT, kernel_part
from snnfuse.hardware.backends.emulator.vectors import F32, I32, I64, Lanes, count_bits, element, indices, load
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS, STATE_LIMIT

LOW = (1 << DECAY_BITS) - 1
ZERO, SUBTRACT, DELAYED = range(3)  # resets, in the order of fields.RESETS


def decay(x: Lanes, keep: Lanes) -> Lanes:
    """trunc(x keep / 4096) of any |x| <= 2**31 - 2**24, keep 0..4096.

    With x = 4096 h + l: floor(x keep / 4096) = h keep + floor(l keep / 4096); for x < 0 the ceiling is wanted, so 4095 is added before
    the shift.
    """
    keep = keep & (2 * LOW + 1)  # says that it has 13 bits, for which a cheaper multiplication exists
    low = (x & LOW) * keep + ((x >> 31) & LOW)
    return (x >> DECAY_BITS) * keep + (low >> DECAY_BITS)


def decay_bounded(x: Lanes, keep: Lanes) -> Lanes:
    """trunc(x keep / 4096) of any |x| <= 2**24, keep a float32 vector of keep / 4096, while floats are rounded towards zero.

    x and keep are exact. The product keeps its 24 leading bits, among them all before the point; what is dropped, by the product and then
    by the conversion, is dropped towards zero.
    """
    return x.as_float().scaled(keep).truncated()


def wrap(u: Lanes) -> Lanes:
    """24-bit wrap, once; +2**23 itself stands."""
    down = (u - 2 * STATE_LIMIT).where(u > STATE_LIMIT, u)
    return (u + 2 * STATE_LIMIT).where(u < 1 - STATE_LIMIT, down)


def _tile(reset: int, forgets: bool, bounded: bool):
    """One vector of neurons, compiled for one reset, and for bounded inputs with parameters for all, or any inputs and parameters each.

    Takes input a and states u, v (int32, changed in place; u is neither read nor written where the current forgets), the first neuron,
    and the parameters as in `fields`. Appends the neurons that fire to `events` and returns the end of the list.
    """

    @intrinsic
    def update(typingctx, a, u, v, j, keep_u, keep_v, theta, bias, params, p, padded, events, at):
        def generate(context, builder, signature, args):
            a_, u_, v_, j_, keep_u_, keep_v_, theta_, bias_, params_, p_, padded_, events_, at_ = args
            places = [element(context, builder, t, x, j_) for t, x in ((a, a_), (u, u_), (v, v_))]
            drive, before = load(builder, places[0], I32, LANES), load(builder, places[2], I32, LANES)
            scalars, first = (keep_u_, keep_v_, theta_, bias_), builder.add(p_, j_)
            rows = [] if bounded else [builder.add(first, builder.mul(padded_, ir.Constant(I64, k))) for k in range(4)]
            parameters = [load(builder, element(context, builder, params, params_, row), I32, LANES) for row in rows] or [
                Lanes(builder, before.like(builder.trunc(x, I32))) for x in scalars
            ]
            keep, leak, threshold, drift = parameters
            if bounded:
                whole = Lanes(builder, ir.Constant(ir.VectorType(F32, LANES), [1 / (1 << DECAY_BITS)] * LANES))
                keep, leak = (x.as_float().scaled(whole) for x in (keep, leak))
            fade = decay_bounded if bounded else decay
            current = drive << ALIGN_BITS
            if not forgets:
                current = fade(load(builder, places[1], I32, LANES), keep) + current
            if not (forgets and bounded):
                current = wrap(current)
            voltage = fade(before, leak) + current + drift
            if reset == DELAYED:
                voltage = (voltage - threshold).where(before > threshold, voltage)
            voltage = voltage.clip(1 - STATE_LIMIT, STATE_LIMIT - 1)
            fires = voltage > threshold
            after = {ZERO: Lanes(builder, voltage.like(0)), SUBTRACT: voltage - threshold, DELAYED: voltage}[reset]
            after.where(fires, voltage).store(places[2])
            if not forgets:
                current.store(places[1])
            indices(builder, j_, LANES).store_chosen(fires, element(context, builder, events, events_, at_))
            return builder.add(at_, count_bits(builder, fires.bits()))

        scalars = [INT] * 4
        return INT(a, u, v, INT, *scalars, params, INT, INT, events, INT), generate

    @kernel_part
    def loop(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at):
        for j in range(0, n, LANES):
            at = update(a, u, v, j, keep_u, keep_v, theta, bias, params, p, n, events, at)
        return at

    return loop


_zero_forgets = _tile(ZERO, True, True)
_zero, _subtract, _delayed = (_tile(reset, False, True) for reset in (ZERO, SUBTRACT, DELAYED))
_zero_any, _subtract_any, _delayed_any = (_tile(reset, False, False) for reset in (ZERO, SUBTRACT, DELAYED))


@kernel_part
def update_neurons(a, u, v, n, reset, forgets, keep_u, keep_v, theta, bias, params, p, events, at):
    """One step of n neurons (a multiple of LANES) by the loop that fits; returns the end of the list of those that fire."""
    if p >= 0:
        if reset == ZERO:
            return _zero_any(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
        if reset == SUBTRACT:
            return _subtract_any(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
        return _delayed_any(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
    if reset == ZERO:
        if forgets:
            return _zero_forgets(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
        return _zero(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
    if reset == SUBTRACT:
        return _subtract(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
    return _delayed(a, u, v, n, keep_u, keep_v, theta, bias, params, p, events, at)
