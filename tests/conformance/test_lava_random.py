"""The reference is Lava: every spike, current and voltage, on every step, of random programs that visit every corner."""

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import (
    Connection,
    Constant,
    Conv2d,
    Dense,
    GradedInput,
    Lif,
    Output,
    Program,
    Sparse,
    SpikeInput,
    compare,
)
from snnfuse.hardware.lava import simulate_on_lava
from snnfuse.hardware.ranges import state_peaks
from snnfuse.hardware.reference import emulate
from snnfuse.hardware.synapses import conv_output_size

RESETS = ("zero", "subtract", "subtract_delayed")
STEPS, BATCH = 9, 4


def weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int = 8, mode: str = "") -> np.ndarray:
    """Legal weights, the largest and the smallest among them."""
    mode = mode or rng.choice(["mixed", "mixed", "excitatory", "inhibitory"])
    low, high = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[mode]
    step = 1 << (8 - bits + (mode == "mixed"))
    values = rng.integers(-(-low // step), high // step + 1, shape) * step
    values.flat[:2] = low // step * step if mode == "mixed" else 0, high // step * step
    return values.astype(np.int32)


def dense(rng: np.random.Generator, out: int, source: int, exponent: int, **how) -> Dense:
    return Dense(weights(rng, (out, source), **how), exponent, how.get("bits", 8))


def listed(rng: np.random.Generator, out: int, source: int, exponent: int, **how) -> Sparse:
    matrix = weights(rng, (out, source), **how) * (rng.random((out, source)) < 0.5)
    return Sparse(sparse.csr_matrix(matrix.astype(np.int32)), exponent, how.get("bits", 8))


def lif(rng: np.random.Generator, shape: tuple[int, ...], reset: str = "") -> Lif:
    """Any mixture of registers at their limits and in between, scalar or one per neuron."""

    def register(*choices: int, low: int, high: int) -> int | np.ndarray:
        values = np.where(rng.random(shape) < 0.4, rng.choice(choices, shape), rng.integers(low, high + 1, shape)).astype(
            np.int32
        )
        return values if rng.random() < 0.6 else int(values.flat[0])

    return Lif(
        shape,
        du=register(-1, 0, 4094, 4095, low=0, high=4095),
        dv=register(0, 1, 4095, low=0, high=2000),
        vth=register(0, 1, 2**17 - 1, 2**17, low=1, high=600),
        bias_mant=register(-4096, 4095, 0, low=-200, high=300),
        bias_exp=register(0, 7, low=0, high=3),
        reset=reset or str(rng.choice(RESETS)),
    )


def recurrent_part(rng: np.random.Generator) -> tuple[dict, list]:
    """Several groups with different exponents, recurrence, delay lines, and paths of different depth that join."""
    nodes = {"r_in": SpikeInput((3, 4)), "r_a": lif(rng, (5,)), "r_b": lif(rng, (2, 3)), "r_one": Constant()}
    links = [
        Connection("r_in", "r_a", dense(rng, 5, 12, 2)),
        Connection("r_in", "r_a", listed(rng, 5, 12, -3)),
        Connection("r_a", "r_a", dense(rng, 5, 5, 1)),
        Connection("r_a", "r_a", listed(rng, 5, 5, 3, bits=5)),
        Connection("r_a", "r_b", dense(rng, 6, 5, 3), delay=2),
        Connection("r_in", "r_b", listed(rng, 6, 12, -1), delay=3),
        Connection("r_in", "r_b", dense(rng, 6, 12, 0, bits=3), delay=3),
        Connection("r_b", "r_b", dense(rng, 6, 6, 2)),
        Connection("r_one", "r_b", dense(rng, 6, 1, 4, mode="inhibitory"), delay=7),
        Connection("r_one", "r_a", dense(rng, 5, 1, 7, mode="excitatory")),
    ]
    return nodes, links


def conv(rng: np.random.Generator, source: tuple[int, int, int], channels: int, **how) -> Conv2d:
    groups = how.get("groups", 1)
    kernel = how.pop("kernel", (3, 2))
    return Conv2d(weights(rng, (channels, source[0] // groups, *kernel), mode="mixed"), source, **how)


def image_part(rng: np.random.Generator) -> tuple[dict, list]:
    """Convolutions of every geometry, into each other, into themselves and into a dense layer; as Lava's Conv and as matrices."""
    first = conv(rng, (2, 9, 8), 4, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, exponent=2)
    shape = (4, *conv_output_size(first))
    second = conv(rng, shape, 6, kernel=(3, 3), stride=(1, 2), padding=(0, 1), groups=2, exponent=-2)
    deep = (6, *conv_output_size(second))
    size = int(np.prod(deep))
    nodes = {"i_in": SpikeInput((2, 9, 8)), "i_a": lif(rng, shape), "i_b": lif(rng, deep), "i_c": lif(rng, (4,))}
    links = [
        Connection("i_in", "i_a", first),
        Connection("i_a", "i_a", conv(rng, shape, 4, kernel=(3, 3), padding=(1, 1), exponent=1)),
        Connection("i_a", "i_b", second),
        Connection("i_a", "i_b", conv(rng, shape, 6, kernel=(3, 3), stride=(1, 2), padding=(0, 1), exponent=3)),
        Connection("i_b", "i_c", dense(rng, 4, size, 0), delay=1),
        Connection("i_b", "i_c", listed(rng, 4, size, 1), delay=1),
    ]
    return nodes, links


def graded_part(rng: np.random.Generator) -> tuple[dict, list]:
    """Signed payloads, small and so large that 32-bit sums and 24-bit currents wrap."""
    nodes = {
        "g_small": GradedInput((2, 5, 4), bits=6, scale=0.1),
        "g_large": GradedInput((7,), bits=24, scale=0.1),
        "g_image": GradedInput((1, 6, 6), bits=20, scale=0.1),
        "g_a": lif(rng, (3, 5, 4)),
        "g_b": lif(rng, (6,)),
        "g_c": lif(rng, (6,)),
        "g_d": lif(rng, (2, 4, 4)),
    }
    links = [
        Connection("g_small", "g_a", conv(rng, (2, 5, 4), 3, kernel=(3, 3), padding=(1, 1), exponent=1)),
        Connection("g_large", "g_b", dense(rng, 6, 7, -4)),
        Connection("g_large", "g_b", listed(rng, 6, 7, 7)),
        Connection("g_small", "g_b", dense(rng, 6, 40, 0)),
        Connection("g_large", "g_c", dense(rng, 6, 7, -8), delay=1),
        Connection("g_large", "g_c", listed(rng, 6, 7, 2), delay=1),
        Connection("g_b", "g_c", dense(rng, 6, 6, 5)),
        Connection("g_image", "g_d", conv(rng, (1, 6, 6), 2, kernel=(3, 3), exponent=0)),
    ]
    return nodes, links


def lonely_part(rng: np.random.Generator) -> tuple[dict, list]:
    """Neurons that only their bias or a constant drives, one population per reset."""
    nodes = {f"l_{reset}": lif(rng, (40,), reset) for reset in RESETS} | {"l_one": Constant((2,)), "l_fed": lif(rng, (5,))}
    return nodes, [Connection("l_one", "l_fed", dense(rng, 5, 2, 2, mode="excitatory"), delay=4)]


def lagging_part(rng: np.random.Generator) -> tuple[dict, list]:
    """Delays within the window, of every synapse and source, beside delays of paths, and longer than the window."""
    nodes = {
        "d_in": SpikeInput((2, 4, 3)),
        "d_graded": GradedInput((6,), bits=9, scale=0.1),
        "d_a": lif(rng, (5,)),
        "d_b": lif(rng, (2, 3, 2)),
        "d_c": lif(rng, (4,)),
    }
    links = [
        Connection("d_in", "d_a", dense(rng, 5, 24, 2)),
        Connection("d_in", "d_a", listed(rng, 5, 24, 1), lag=3),
        Connection("d_graded", "d_a", dense(rng, 5, 6, 0), lag=1),
        Connection("d_graded", "d_a", listed(rng, 5, 6, -2), lag=STEPS + 3),
        Connection("d_a", "d_a", dense(rng, 5, 5, 2), lag=2),
        Connection("d_a", "d_a", listed(rng, 5, 5, 3)),
        Connection("d_in", "d_b", conv(rng, (2, 4, 3), 2, kernel=(2, 2), exponent=1), lag=4),
        Connection("d_a", "d_c", dense(rng, 4, 5, 3), delay=2),
        Connection("d_a", "d_c", dense(rng, 4, 5, 3), delay=2, lag=1),
        Connection("d_in", "d_c", dense(rng, 4, 24, 1), delay=3, lag=5),
        Connection("d_c", "d_c", dense(rng, 4, 4, 2), lag=STEPS - 2),
    ]
    return nodes, links


def build(seed: int) -> tuple[Program, dict[str, np.ndarray]]:
    """A program of five unconnected parts, and events for it."""
    rng = np.random.default_rng(seed)
    nodes: dict = {}
    links: list = []
    for part in (recurrent_part, image_part, graded_part, lonely_part, lagging_part):
        more_nodes, more_links = part(rng)
        nodes, links = nodes | more_nodes, links + more_links
    program = Program(nodes, tuple(links), {"spikes": Output("r_b"), "membrane": Output("g_c", "membrane_last")})
    return program, {name: draw(rng, node) for name, node in program.inputs.items()}


def draw(rng: np.random.Generator, node: SpikeInput | GradedInput) -> np.ndarray:
    """Events of a dozen steps: dense and sparse ones, and payloads at their limits."""
    shape = (STEPS, BATCH, *node.shape)
    if isinstance(node, SpikeInput):
        return (rng.random(shape) < rng.random((1, BATCH) + (1,) * len(node.shape))).astype(np.int32)
    values = rng.integers(-node.limit, node.limit + 1, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([-node.limit, node.limit, 0, -1, 1], shape), values).astype(np.int32)


def check(program, events) -> None:
    expected = emulate(program, events, record="all", states=True)
    found = simulate_on_lava(program, events, record="all", states=True)
    assert found.backend == "lava"
    assert set(found.spikes) == {*program.neurons, *program.outputs}
    assert set(found.states) == set(program.neurons)
    result = compare(expected, found)
    neurons = sum(int(np.prod(lif.shape)) for lif in program.neurons.values())
    time, batch = next(iter(events.values())).shape[:2]
    assert result.by_variable["u"] == result.by_variable["v"] == (neurons * time * batch, 0), result.first
    assert result.mismatches == 0, result.first
    for name in program.neurons:
        for variable in "uv":
            assert found.states[name][variable].dtype == np.int32


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("seed", range(4))
def test_random_programs(seed: int) -> None:
    check(*build(seed))


@pytest.mark.slow
@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_random_programs(seed: int) -> None:
    check(*build(seed))


def test_the_programs_are_no_idle_ones() -> None:
    """Otherwise the tests above would compare zeros: they fire, wrap the current and clip the voltage."""
    fired, wraps, clips = [], 0, 0
    for seed in range(4):
        program, events = build(seed)
        fired += [spikes.mean() for spikes in emulate(program, events, record="all").spikes.values()]
        for peaks in state_peaks(program, events).values():
            wraps += peaks.wraps
            clips += peaks.clipped_low + peaks.clipped_high
    assert np.mean([0.02 < rate < 0.98 for rate in fired]) > 0.7
    assert wraps > 1000 and clips > 1000
