"""Columns of a plan's tables: one row per population, one row per connection, all int64.

The kernel is compiled once for every program because it reads what to do from these rows instead of from types.
"""

# Kinds of populations
SPIKES_IN, GRADED_IN, LIF, PRODUCT, RELAY, INVERSE_ROOT = range(6)

# Populations. Offsets are in elements of the named pool.
(
    P_KIND,
    P_N,  # neurons of this row
    P_PADDED,  # the same, rounded up to LANES
    P_EVENTS,  # neurons of all rows before, and below the same times the steps that each remembers: its events begin at
    P_EARLIER,  # P_EARLIER + steps * P_EVENTS
    P_HISTORY,  # steps before a chunk whose events its targets ask for
    P_CARRIED,  # where these lie among the values carried from chunk to chunk
    P_STATE,  # first neuron in the states of a sample
    P_FIRST,  # connections: P_FIRST <= row < P_LAST
    P_LAST,
    P_CONSTANT,  # params: what constants bring to port 0, padded; -1 for none
    P_CONSTANT_1,  # the same for port 1
    P_EXPONENT,  # of a product; the gain of an inverse root
    P_RESET,  # 0 zero, 1 subtract, 2 subtract_delayed
    P_FORGETS,  # whether du is 4095 everywhere: the current is the input
    P_CURRENT_KEEP,  # 4096 - (du + 1)
    P_VOLTAGE_KEEP,  # 4096 - dv
    P_THRESHOLD,  # 64 vth
    P_BIAS,  # bias_mant << bias_exp
    P_ARRAYS,  # params: the four above, one per neuron, each padded; -1 where all are scalars and the input is bounded
    P_ORDER,  # tables: external index of each neuron; -1 where it is its own
    P_GRADED,  # whether its events carry values
    P_LIMIT,  # largest magnitude that an input may hold
    P_EXTERNAL,  # neurons of the whole population, of which this row may be a slice
    P_SOURCE,  # inputs: position among the program's inputs
    P_BIASED,  # whether a population at rest leaves it by itself
    P_COLUMNS,
) = range(27)

# Kinds of connections
ROWS, RUNS, LISTED = range(3)

# Connections
(
    C_KIND,
    C_SOURCE,  # population
    C_UNSIGNED,  # whether stored weights are 0..255, not -128..127
    C_WEIGHTS,  # weights: the first; int16 for RUNS, otherwise bytes
    C_STRIDE,  # bytes per row
    C_BLOCK,  # rows whose sum fits 16 bits for certain
    C_FACTOR,  # stored sum times this, modulo 2**32, then
    C_SHIFT,  # an arithmetic shift to the right: the input in the target's units
    C_LAG,  # how many steps ago the events were sent; one more than its own lag where it is recurrent
    C_PORT,
    C_TABLE,  # tables: RUNS accumulator and weight offset of each source; LISTED first synapse per source
    C_PHASES,  # tables: RUNS phase of each source; LISTED target of each synapse
    C_FIRSTS,  # tables: RUNS first run of each phase
    C_RUNS,  # tables: accumulator offset of each run, added to the source's own; weights follow one another
    C_LENGTH,  # of all runs
    C_LANES,  # that are added at once
    C_THREE,  # whether a spike always adds three runs of three times as many
    C_WIDE,  # whether sums could leave 16 bits
    C_ORIGIN,  # accumulator of output (0, 0)
    C_PITCH,  # accumulators per output row
    C_HEIGHT,
    C_WIDTH,
    C_CHANNELS,
    C_CELL,  # accumulators per output position
    C_COLUMNS,
) = range(25)

LANES = 16  # populations and rows are padded to this many
RESETS = ("zero", "subtract", "subtract_delayed")
