"""The one compiled function: a plan's populations, over the steps of a chunk, for a range of samples.

Each population runs over all steps before the next one begins, for one sample at a time, so that weights, states and lists of events stay
in the cache. A population that feeds back onto itself finds its own events of the step before in its own list.
"""

import numpy as np
from numba import njit

from snnfuse.hardware.backends.emulator.delivery import (
    deliver_graded_rows,
    deliver_listed,
    deliver_rows,
    deliver_runs,
)
from snnfuse.hardware.backends.emulator.fields import (
    C_KIND,
    C_LAG,
    C_PORT,
    C_SOURCE,
    C_UNSIGNED,
    INVERSE_ROOT,
    LIF,
    P_ARRAYS,
    P_BIAS,
    P_BIASED,
    P_CONSTANT,
    P_CONSTANT_1,
    P_CURRENT_KEEP,
    P_EXPONENT,
    P_EXTERNAL,
    P_FIRST,
    P_FORGETS,
    P_GRADED,
    P_KIND,
    P_LAST,
    P_N,
    P_ORDER,
    P_PADDED,
    P_RESET,
    P_STATE,
    P_THRESHOLD,
    P_VOLTAGE_KEEP,
    PRODUCT,
    RELAY,
    ROWS,
    RUNS,
)
from snnfuse.hardware.backends.emulator.inputs import recall, remember, run_input
from snnfuse.hardware.backends.emulator.intrinsics import kernel_part, mul, round_as, round_towards_zero, sra
from snnfuse.hardware.backends.emulator.neurons import update_neurons
from snnfuse.hardware.ir.inverse_root import ITERATIONS, LARGEST_EXPONENT, MANTISSA_BITS, ROOT_BITS, SLOPE, SLOPE_BITS, START

NO_MAGNITUDE = -(1 << 31)  # the one int32 that is no graded spike


@kernel_part
def deliver(c, tables, weights, events, values, graded, start, stop, narrow, wide, a, n):
    """One connection, one step."""
    w, w_unsigned, w_runs = weights
    if c[C_KIND] == RUNS:
        deliver_runs(c, tables, w_runs, events, values, graded, start, stop, narrow, wide, a)
    elif c[C_KIND] == ROWS:
        if c[C_UNSIGNED]:
            if graded:
                deliver_graded_rows(c, w_unsigned, events, values, start, stop, a)
            else:
                deliver_rows(c, w_unsigned, events, start, stop, a)
        elif graded:
            deliver_graded_rows(c, w, events, values, start, stop, a)
        else:
            deliver_rows(c, w, events, start, stop, a)
    elif c[C_UNSIGNED]:
        deliver_listed(c, tables, w_unsigned, events, values, graded, start, stop, wide, a, n)
    else:
        deliver_listed(c, tables, w, events, values, graded, start, stop, wide, a, n)


@kernel_part
def any_nonzero(x, n):
    """Whether any of the first n is not 0."""
    found = x[0]
    for j in range(n):
        found |= x[j]
    return found != 0


@kernel_part
def record_states(u, v, out, at_u, at_v, n, order, tables):
    """Copy states to a recording, in the population's own order."""
    for j in range(n):
        k = tables[order + j] if order >= 0 else j
        out[at_u + k] = u[j]
        out[at_v + k] = v[j]


@kernel_part
def begin(a, n, params, constant):
    """An input before anything arrives: zero, or what constants bring."""
    if constant < 0:
        a[:n] = 0
    else:
        for j in range(n):
            a[j] = params[constant + j]


@kernel_part
def gather(p, t, plan, lists, history, narrow, wide, a0, a1):
    """The input of one step, one array per port; returns whether nothing arrived at each."""
    pops, conns, tables, params, weights = plan
    events, values, starts = lists
    padded = p[P_PADDED]
    quiet0, quiet1 = p[P_CONSTANT] < 0, p[P_CONSTANT_1] < 0
    begin(a0, padded, params, p[P_CONSTANT])
    if p[P_KIND] == PRODUCT:
        begin(a1, padded, params, p[P_CONSTANT_1])
    for row in range(p[P_FIRST], p[P_LAST]):
        c = conns[row]
        source, column = c[C_SOURCE], history + t - c[C_LAG]
        start, stop = starts[source, column], starts[source, column + 1]
        if stop > start:
            graded = pops[source, P_GRADED] != 0
            if c[C_PORT]:
                quiet1 = False
                a = a1
            else:
                quiet0 = False
                a = a0
            deliver(c, tables, weights, events, values, graded, start, stop, narrow, wide, a, padded)
    return quiet0, quiet1


@kernel_part
def run_lif(p, q, plan, history, u, v, sample, steps, at, lists, out, scratch):
    """One population of neurons, one sample, all steps of a chunk; its events follow `at`."""
    tables, params = plan[2], plan[3]
    events, values, starts = lists
    spikes_out, states_out, places, t_out, batch = out
    narrow, wide, a, _ = scratch
    n, padded, state, order = p[P_N], p[P_PADDED], p[P_STATE], p[P_ORDER]
    u, v = u[sample, state : state + padded], v[sample, state : state + padded]
    forgets = p[P_FORGETS] != 0 and places[q, 1] < 0  # a recorded current is kept like any other
    resting = not p[P_BIASED] and not any_nonzero(u, padded) and not any_nonzero(v, padded)
    mode = round_towards_zero()
    for t in range(steps):
        quiet, _ = gather(p, t, plan, lists, history, narrow, wide, a, a)
        if not (quiet and resting):
            parameters = (p[P_CURRENT_KEEP], p[P_VOLTAGE_KEEP], p[P_THRESHOLD], p[P_BIAS])
            before = at
            at = update_neurons(a, u, v, padded, p[P_RESET], forgets, *parameters, params, p[P_ARRAYS], events, at)
            resting = quiet and at == before and not p[P_BIASED] and not any_nonzero(u, padded) and not any_nonzero(v, padded)
        starts[q, history + t + 1] = at
        step = ((t_out + t) * batch + sample) * p[P_EXTERNAL]
        if places[q, 0] >= 0:
            for k in range(starts[q, history + t], at):
                spikes_out[places[q, 0] + step + (tables[order + events[k]] if order >= 0 else events[k])] = 1
        if places[q, 1] >= 0:
            record_states(u, v, states_out, places[q, 1] + step, places[q, 2] + step, n, order, tables)
    round_as(mode)


@kernel_part
def inverse_root(a, gain):
    """`snnfuse.hardware.ir.inverse_root.inverse_root` of one number."""
    x = np.int64(a)
    if x <= 0:
        return np.int32(0)
    exponent = np.int64(0)
    while exponent < LARGEST_EXPONENT and x >= np.int64(1) << (2 * exponent + 2):
        exponent += 1
    m = (x << MANTISSA_BITS) >> (2 * exponent)
    y = START - ((SLOPE * m) >> SLOPE_BITS)
    for _ in range(ITERATIONS):
        y = (y * ((3 << ROOT_BITS) - ((m * ((y * y) >> ROOT_BITS)) >> MANTISSA_BITS))) >> (ROOT_BITS + 1)
    return np.int32((gain * y + (np.int64(1) << (ROOT_BITS - 1 + exponent))) >> (ROOT_BITS + exponent))


@kernel_part
def run_graded(p, q, plan, history, sample, steps, at, lists, out, scratch):
    """One population of products, relays or inverse roots, one sample, all steps of a chunk; its events follow `at`."""
    tables = plan[2]
    events, values, starts = lists
    _, states_out, places, t_out, batch = out
    narrow, wide, a0, a1 = scratch
    order, is_product, is_root, exponent = p[P_ORDER], p[P_KIND] == PRODUCT, p[P_KIND] == INVERSE_ROOT, p[P_EXPONENT]
    for t in range(steps):
        quiet0, quiet1 = gather(p, t, plan, lists, history, narrow, wide, a0, a1)
        if not (quiet0 or (quiet1 and is_product)):
            for j in range(p[P_N]):
                value = a0[j]
                if is_product:
                    value = sra(mul(a0[j], a1[j]), exponent)
                elif is_root:
                    value = inverse_root(a0[j], exponent)
                if value != 0 and value != NO_MAGNITUDE:
                    events[at] = j
                    values[at] = value
                    at += 1
        starts[q, history + t + 1] = at
        if places[q, 0] >= 0:
            step = places[q, 0] + ((t_out + t) * batch + sample) * p[P_EXTERNAL]
            for k in range(starts[q, history + t], at):
                states_out[step + (tables[order + events[k]] if order >= 0 else events[k])] = values[k]


def build_run(fingerprint: str, keep: bool = True):
    """The kernel, kept on disk or not; the fingerprint of its sources is part of the key under which numba caches it."""

    @njit(nogil=True, cache=keep, _nrt=False)
    def run(plan, history, inputs, t_in, first_pop, last_pop, first_sample, last_sample, steps, u, v, carried, lists, out, scratch):
        """Run populations first_pop..last_pop for samples first_sample..last_sample.

        Args:
            plan: the pools of a `Plan`: populations, connections, tables, parameters, and weights: int8, the same as uint8, int16.
            history: of the plan.
            inputs: int64 (inputs, 2): address of an int32 array (time, batch, n), and its batch size.
            t_in: first step of the inputs to read.
            u, v, carried: int32 (batch, states), and (batch, earlier): last spikes; changed in place.
            lists: events int32, values int32, starts int64 (populations, history + steps + 1): events of step t of population q lie from
                starts[q, history + t] on.
            out: spikes uint8, states int32, places int64 (populations, 3) of spikes, u and v therein or -1, first step, batch.
            scratch: int16 and int32 sums, int32 inputs of two ports.

        Returns:
            0, or 1 + the row of an input that holds a value out of its range.
        """
        _ = fingerprint
        events, values, starts = lists
        for sample in range(first_sample, last_sample):
            for q in range(first_pop, last_pop):
                p = plan[0][q]
                at = recall(p, q, history, carried[sample], events, values, starts)
                if p[P_KIND] == LIF:
                    run_lif(p, q, plan, history, u, v, sample, steps, at, lists, out, scratch)
                elif p[P_KIND] == PRODUCT or p[P_KIND] == RELAY or p[P_KIND] == INVERSE_ROOT:
                    run_graded(p, q, plan, history, sample, steps, at, lists, out, scratch)
                elif not run_input(p, q, history, inputs, t_in, sample, steps, at, lists):
                    return 1 + q
                remember(p, q, steps, history, carried[sample], events, values, starts)
        return 0

    return run
