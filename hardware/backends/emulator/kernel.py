"""The one compiled function: a plan's populations, over the steps of a chunk, for a range of samples.

Each population runs over all steps before the next one begins, for one sample at a time, so that weights, states and lists of events stay
in the cache. A population that feeds back onto itself finds its own events of the step before in its own list.
"""

from snnfuse.hardware.backends.emulator.delivery import inlined, joined, kernel_part
from snnfuse.hardware.backends.emulator.inputs import list_nonzero, recall, remember, run_input
from snnfuse.hardware.backends.emulator.vectors import call_delivery, call_update, round_as, round_towards_zero


@kernel_part
def any_nonzero(x):
    """Whether any is not 0."""
    found = 0
    for j in range(x.size):
        found |= x[j]
    return found != 0


@inlined
def gather(p, column, first, pools, lists, scratch):
    """The input of one step at every port; returns whether anything arrived. What stays as it is was listed in the chunk's first column."""
    starts, inputs = lists.starts, scratch.inputs[: p.ports * p.n]
    if p.constants < 0:
        inputs[:] = 0
    else:
        constants = pools.words[p.constants : p.constants + inputs.size]
        for j in range(inputs.size):
            inputs[j] = constants[j]
    arrived = p.constants >= 0
    for row in range(p.first_connection, p.last_connection):
        c = pools.connections[row]
        sent = first if c.written else column - c.lag
        start, stop = starts[c.source, sent], starts[c.source, sent + 1]
        if stop > start:
            arrived = True
            call_delivery(c.deliver, pools.connections, row, scratch.memory, start, stop)
    return arrived


@inlined
def record(p, q, step, sample, start, stop, states, tables, lists, recorded):
    """Copy what was sent in a step, and the states after it, in the population's own order."""
    n, whole, order, size = p.n, p.whole, p.order, recorded.steps * recorded.batch * p.whole
    here = (step * recorded.batch + sample) * whole
    place = recorded.places[q, 0] + here
    if recorded.places[q, 0] >= 0:
        for k in range(start, stop):
            j = lists.events[k]
            to = place + (tables[order + j] if order >= 0 else j)
            if p.graded:
                recorded.words[to] = lists.values[k]
            else:
                recorded.spikes[to] = 1
    if recorded.places[q, 1] >= 0:
        for s in range(p.states):
            place = recorded.places[q, 1] + s * size + here
            for j in range(n):
                recorded.words[place + (tables[order + j] if order >= 0 else j)] = states[s * n + j]


@joined
def run_neurons(p, q, pools, part, sample, at, lists, states, recorded, scratch):
    """One population of neurons, one sample, all steps of a chunk; its events follow `at`."""
    events, values, starts = lists
    n, history, rests = p.n, starts.shape[1] - 1 - part.steps, p.rests != 0
    parameters, sent = pools.words[p.parameters :], scratch.sent[:n]
    resting = rests and not any_nonzero(states)
    for t in range(part.steps):
        before, arrived = at, gather(p, history + t, history, pools, lists, scratch)
        if arrived or not resting:
            call_update(p.update, scratch.inputs, states, parameters, sent, n)
            at, _ = list_nonzero(sent, events, at)
            if p.graded:
                for k in range(before, at):
                    values[k] = sent[events[k]]
            resting = rests and not arrived and at == before and not any_nonzero(states)
        starts[q, history + t + 1] = at
        record(p, q, part.first_step + t, sample, before, at, states, pools.tables, lists, recorded)


def run(pools, inputs, part, kept, lists, recorded, scratch):
    """Run some populations for some samples, over the steps of a chunk.

    Args:
        pools: `records.Tables`.
        inputs: int64 (inputs, 2): address of an int32 array (time, batch, n), and its batch size.
        part, kept, lists, recorded, scratch: see `records`; `kept`, `lists`, `recorded` and `scratch` are written to.

    Returns:
        0, or 1 + the row of an input that holds a value out of its range.
    """
    history, rounding = lists.starts.shape[1] - 1 - part.steps, round_towards_zero()
    for sample in range(part.first_sample, part.last_sample):
        for q in range(part.first_population, part.last_population):
            p = pools.populations[q]
            at = recall(p, q, history, kept.carried[sample], lists)
            if p.update:
                states = kept.states[sample, p.first_state : p.first_state + p.states * p.n]
                run_neurons(p, q, pools, part, sample, at, lists, states, recorded, scratch)
            elif not run_input(p, q, pools, inputs, part, sample, at, lists):
                round_as(rounding)
                return 1 + q
            remember(p, q, part.steps, history, kept.carried[sample], lists)
    round_as(rounding)
    return 0
