"""What comes from outside a chunk: the program's inputs, and the events of the steps before."""

from numba import types
from numpy import int32, int64

from snnfuse.hardware.backends.emulator.delivery import kernel_part, load
from snnfuse.hardware.backends.emulator.vectors import LANES, append_nonzero, bits_of_all, bits_of_both, constants, get, prefetch, words_at

CACHE_LINE = 64  # bytes
no_bits = constants(types.int32, LANES)


@kernel_part
def list_nonzero(x, events, end):
    """Append the index of everything in x that is not 0 to a list; returns its end, and every bit that is set anywhere in x."""
    n, seen, j = x.size, no_bits(), int64(0)
    while j + LANES <= n:
        values = load(x, j)
        seen = bits_of_both(seen, values)
        end = append_nonzero(values, j, events, end)
        j += LANES
    bits = bits_of_all(seen)
    while j < n:
        bits |= get(x, j)
        events[end] = j
        end += x[j] != 0
        j += 1
    return end, bits


@kernel_part
def differs(x, y):
    """Whether any element does."""
    found = int32(0)
    for j in range(x.size):
        found |= x[j] ^ y[j]
    return found != 0


@kernel_part
def take_values(x, events, values, start, stop):
    """Copy the values of listed elements, all of them in one go where none is 0; returns the largest magnitude."""
    low = high = int32(0)
    if stop - start == x.size:
        for j in range(x.size):
            values[start + j] = x[j]
            low, high = (x[j] if x[j] < low else low), (x[j] if x[j] > high else high)
    else:
        for k in range(start, stop):
            value = int32(get(x, get(events, k)))
            values[k] = value
            low, high = (value if value < low else low), (value if value > high else high)
    lowest, highest = -int64(low), int64(high)
    return lowest if lowest > highest else highest


@kernel_part
def run_input(p, q, pools, inputs, part, sample, at, lists):
    """The events of one input, one sample; whether all its values are in their range."""
    events, values, starts = lists
    n, history, limit = p.n, starts.shape[1] - 1 - part.steps, p.limit
    address, batch = inputs[p.source, 0], inputs[p.source, 1]
    for t in range(part.steps):
        here = address + 4 * n * ((part.first_step + t) * batch + sample)
        x = words_at(here, n)
        if p.written and t > 0:
            if differs(x, words_at(address + 4 * n * (part.first_step * batch + sample), n)):
                return False
            starts[q, history + t + 1] = at
            continue
        for line in range(here + 4 * n * batch, here + 4 * n * (batch + 1), CACHE_LINE):
            prefetch(line)  # the next step's values, which no processor foresees: other samples' lie between
        end, bits = list_nonzero(x, events, at)
        if p.graded:
            if take_values(x, events, values, at, end) > limit:
                return False
        elif bits & ~1:
            return False
        at = end
        starts[q, history + t + 1] = at
    return True


@kernel_part
def recall(p, q, history, carried, lists):
    """Lists of the steps before this chunk, from the values that the last one left; returns the end of the list."""
    events, values, starts = lists
    at = p.earlier + (starts.shape[1] - 1 - history) * p.events
    starts[q, : history - p.history + 1] = at
    for k in range(p.history):
        first = p.carried + k * p.n
        for j in range(p.n):
            if carried[first + j] != 0:
                events[at] = j
                if p.graded:
                    values[at] = carried[first + j]
                at += 1
        starts[q, history - p.history + k + 1] = at
    return at


@kernel_part
def remember(p, q, steps, history, carried, lists):
    """Leave the values of the last steps for the next chunk."""
    events, values, starts = lists
    carried[p.carried : p.carried + p.history * p.n] = 0
    for k in range(p.history):
        column = history + steps - p.history + k
        for r in range(starts[q, column], starts[q, column + 1]):
            carried[p.carried + k * p.n + events[r]] = values[r] if p.graded else int32(1)
