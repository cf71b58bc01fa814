"""The update of `snnfuse.hardware.ir.lif.Lif`: its equations, branch-free in 32 bits.

Nothing overflows: |u| <= 2**31 - 2**24 after the one wrap, |decay(v)| and |decay(v) - 64 vth [v > 64 vth]| < 2**23, |bias| <= 2**19,
2 * 64 vth <= 2**24.
"""

from collections.abc import Callable

import numpy as np
from numpy import int32

from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, compiled, decay_24_bits, of_neuron
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.ir.lif import Lif, Reset

WHOLE = 1 << DECAY_BITS
LOW = WHOLE - 1


def form(lif: Lif) -> NeuronForm:
    """The current fades only where it is kept from step to step, which costs a third of an update."""
    bias = np.left_shift(lif.bias_mant, lif.bias_exp)
    parameters = {
        "keep_current": WHOLE - CURRENT_DECAY_OFFSET - np.asarray(lif.du),
        "keep_voltage": WHOLE - np.asarray(lif.dv),
        "threshold": np.left_shift(lif.vth, ALIGN_BITS),
        "bias": bias,
    }
    forgets = not np.any(parameters["keep_current"])
    if lif.written_port is None:
        return NeuronForm(update_of(lif.reset, forgets), parameters, rests=not np.any(bias))
    return NeuronForm(update_of(lif.reset, forgets, True), {**parameters, "bias_exp": lif.bias_exp}, rests=not np.any(bias))


def update_of(reset: Reset, forgets: bool, written: bool = False) -> Callable[..., None]:
    """The update for one reset rule, of neurons that forget their current at once or do not, and with port 1 for a bias or without."""
    if reset in ("zero_stored", "zero_delayed", "subtract_undelayed"):
        return _late_update_of(reset, forgets, written)
    to_zero, delayed = reset == "zero", reset == "subtract_delayed"

    def update(inputs, states, parameters, sent):
        for j in range(sent.size):
            p = of_neuron(parameters, j)
            current = int32(inputs[0, j] << int32(ALIGN_BITS))
            if not forgets:
                current = int32(decay(states[0, j], p.keep_current) + current)
            current = wrap(current)
            before = states[1, j]
            voltage = int32(decay_24_bits(before, p.keep_voltage) + current + p.bias)
            if written:
                voltage = int32(voltage + int32(inputs[1, j] << int32(p.bias_exp)))
            if delayed:
                voltage = int32(voltage - (p.threshold if before > p.threshold else int32(0)))
            voltage = int32(min(max(voltage, int32(1 - STATE_LIMIT)), int32(STATE_LIMIT - 1)))
            fires = voltage > p.threshold
            after = int32(0) if to_zero else voltage if delayed else int32(voltage - p.threshold)
            states[0, j] = current
            states[1, j] = after if fires else voltage
            sent[j] = fires

    return update


def _late_update_of(reset: Reset, forgets: bool, written: bool) -> Callable[..., None]:
    """`update_of` of the rules that ask for the stored voltage otherwise: apart, for the vector code of the others is sensitive."""
    stored, dropped, undelayed = reset == "zero_stored", reset == "zero_delayed", reset == "subtract_undelayed"

    def update(inputs, states, parameters, sent):
        for j in range(sent.size):
            p = of_neuron(parameters, j)
            current = int32(inputs[0, j] << int32(ALIGN_BITS))
            if not forgets:
                current = int32(decay(states[0, j], p.keep_current) + current)
            current = wrap(current)
            late = states[1, j] > p.threshold
            before = int32(0) if late and stored else states[1, j]
            voltage = int32(decay_24_bits(before, p.keep_voltage) + current + p.bias)
            if written:
                voltage = int32(voltage + int32(inputs[1, j] << int32(p.bias_exp)))
            voltage = int32(0) if late and dropped else voltage
            voltage = int32(min(max(voltage, int32(1 - STATE_LIMIT)), int32(STATE_LIMIT - 1)))
            fires = voltage > int32(p.threshold + (p.threshold if late and undelayed else int32(0)))
            states[0, j] = current
            states[1, j] = int32(voltage - (p.threshold if fires and undelayed else int32(0)))
            sent[j] = fires

    return update


@compiled
def decay(x, keep):
    """trunc(x keep / 4096) of any |x| <= 2**31 - 2**24, keep 0..4096.

    With x = 4096 h + l: floor(x keep / 4096) = h keep + floor(l keep / 4096); for x < 0 the ceiling is wanted, so 4095 is added before
    the shift.
    """
    keep = int32(keep & int32(2 * LOW + 1))  # says that it has 13 bits, for which a cheaper multiplication exists
    low = int32(int32(int32(x & int32(LOW)) * keep) + int32((x >> int32(31)) & int32(LOW)))
    return int32(int32(int32(x >> int32(DECAY_BITS)) * keep) + int32(low >> int32(DECAY_BITS)))


@compiled
def wrap(u):
    """24-bit wrap, once; +2**23 itself stands."""
    down = int32(u - int32(2 * STATE_LIMIT)) if u > int32(STATE_LIMIT) else u
    return int32(u + int32(2 * STATE_LIMIT)) if u < int32(1 - STATE_LIMIT) else down
