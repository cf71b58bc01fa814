"""What comes from outside a chunk: the program's inputs, and the events of the steps before."""

from snnfuse.hardware.backends.emulator.fields import (
    LANES,
    P_CARRIED,
    P_EARLIER,
    P_EVENTS,
    P_GRADED,
    P_HISTORY,
    P_LIMIT,
    P_N,
    P_SOURCE,
)
from snnfuse.hardware.backends.emulator.intrinsics import kernel_part, list_input, word_at


@kernel_part
def read_input(address, ahead, n, graded, events, at):
    """Append the events of one row of an input; returns the end of the list, or -1 where binary ones hold another number."""
    fine = 1
    j = 0
    while j + LANES <= n:
        at, binary = list_input(address + 4 * j, ahead, j, events, at)
        fine &= binary
        j += LANES
    while j < n:
        word = word_at(address + 4 * j)
        if word != 0:
            events[at] = j
            at += 1
            if word != 1:
                fine = 0
        j += 1
    return at if graded or fine else -1


@kernel_part
def read_values(address, limit, events, values, start, stop):
    """The payloads of listed events; whether all are within the limit."""
    fine = True
    for k in range(start, stop):
        values[k] = word_at(address + 4 * events[k])
        if values[k] > limit or values[k] < -limit:
            fine = False
    return fine


@kernel_part
def recall(p, q, history, carried, events, values, starts):
    """Lists of the steps before this chunk, from the values that the last one left; returns the end of the list."""
    at = p[P_EARLIER] + (starts.shape[1] - 1 - history) * p[P_EVENTS]
    starts[q, : history - p[P_HISTORY] + 1] = at
    for k in range(p[P_HISTORY]):
        first = p[P_CARRIED] + k * p[P_N]
        for j in range(p[P_N]):
            if carried[first + j] != 0:
                events[at] = j
                if p[P_GRADED]:
                    values[at] = carried[first + j]
                at += 1
        starts[q, history - p[P_HISTORY] + k + 1] = at
    return at


@kernel_part
def remember(p, q, steps, history, carried, events, values, starts):
    """Leave the values of the last steps for the next chunk."""
    carried[p[P_CARRIED] : p[P_CARRIED] + p[P_HISTORY] * p[P_N]] = 0
    for k in range(p[P_HISTORY]):
        column = history + steps - p[P_HISTORY] + k
        for r in range(starts[q, column], starts[q, column + 1]):
            carried[p[P_CARRIED] + k * p[P_N] + events[r]] = values[r] if p[P_GRADED] else 1


@kernel_part
def run_input(p, q, history, inputs, t_in, sample, steps, at, lists):
    """The events of one input, one sample; whether all its values are in their range."""
    events, values, starts = lists
    graded = p[P_GRADED] != 0
    for t in range(steps):
        ahead = 4 * p[P_N] * inputs[p[P_SOURCE], 1]
        row = inputs[p[P_SOURCE], 0] + (t_in + t) * ahead + 4 * p[P_N] * sample
        end = read_input(row, ahead, p[P_N], graded, events, at)
        if end < 0 or (graded and not read_values(row, p[P_LIMIT], events, values, at, end)):
            return False
        at = end
        starts[q, history + t + 1] = at
    return True
