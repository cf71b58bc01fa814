"""Random Programs with inputs, as a hypothesis strategy: every primitive, wired in every legal way, with registers at their limits.

What a program is made of is drawn by hypothesis, so that it can be made smaller. What its arrays hold is drawn by NumPy from a
seed and a style, which hypothesis draws: a hundred times faster than number by number, and the first style is the plainest.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, get_args

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware import (
    AlphaLif,
    Connection,
    Constant,
    Conv2d,
    Dense,
    Diagonal,
    GradedInput,
    InverseRoot,
    Lif,
    Maximum,
    Output,
    Product,
    Program,
    Relay,
    Sparse,
    SpikeInput,
)
from snnfuse.hardware.ir.alpha import AlphaReset
from snnfuse.hardware.ir.fixed_point import EXPONENT_RANGE
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Node
from snnfuse.hardware.ir.synapses import LIMITS, Synapse, granularity, output_size

RESETS = get_args(Reset)
DECODERS = ("spike_count", "membrane_sum", "membrane_last", "membrane_max")
LONGEST = 62  # steps that a delay line holds
SIZES = (1, 2, 3, 5, 8, 17, 40)  # shorter and longer than what a vector instruction takes at a time
IMAGES = ((1, 3, 3), (2, 4, 3), (4, 2, 5), (3, 1, 6))


class Case(NamedTuple):
    """A program and events for it, int32 (time, batch, *shape) by input."""

    program: Program
    events: dict[str, NDArray[np.int32]]


@dataclass
class Draft:
    """A program that is being drawn."""

    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Connection] = field(default_factory=list)
    latency: dict[str, int] = field(default_factory=dict)


@st.composite
def cases(draw: st.DrawFn, time: int | None = None, batch: int | None = None, most: int = 5, prefix: str = "") -> Case:
    """A program of 1 to 3 inputs and 1 to `most` neuron populations, and events of 1 to 12 steps and 1 to 3 samples where not given."""
    draft = Draft()
    for number in range(draw(st.integers(1, 3))):
        add(draft, f"{prefix}in{number}", draw(inputs()), 0)
    for number in range(draw(st.integers(1, most))):
        if draw(st.integers(0, 5)) == 5:
            add(draft, f"{prefix}one{number}", Constant(draw(st.sampled_from([(1,), (2,)]))), 0)
        draw_population(draw, draft, f"{prefix}n{number}")
    program = Program(draft.nodes, tuple(draft.links), draw(outputs(draft, prefix)))
    size = time or draw(st.integers(1, 12)), batch or draw(st.integers(1, 3))
    return Case(program, {name: draw(events(node, size)) for name, node in program.inputs.items()})


def add(draft: Draft, name: str, node: Node, latency: int) -> None:
    draft.nodes[name], draft.latency[name] = node, latency


@st.composite
def generators(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return st.one_of(st.sampled_from(SIZES).map(lambda size: (size,)), st.sampled_from(IMAGES))


@st.composite
def inputs(draw: st.DrawFn) -> SpikeInput | GradedInput:
    bits = draw(st.sampled_from([0, 0, 0, 2, 8, 16, 24]))
    return GradedInput(draw(shapes()), bits, 0.5) if bits else SpikeInput(draw(shapes()))


@st.composite
def events(draw: st.DrawFn, node: SpikeInput | GradedInput, size: tuple[int, int]) -> NDArray[np.int32]:
    """All, many, some or none of the spikes; payloads in between and at their limits."""
    density, rng, shape = draw(st.sampled_from([1.0, 0.5, 0.5, 0.1, 0.0])), draw(generators()), (*size, *node.shape)
    present = rng.random(shape) < density
    if isinstance(node, SpikeInput):
        return present.astype(np.int32)
    values = rng.integers(-node.limit, node.limit + 1, shape)
    corners = rng.choice([-node.limit, node.limit, -1, 1], shape)
    return (present * np.where(rng.random(shape) < 0.3, corners, values)).astype(np.int32)


def draw_population(draw: st.DrawFn, draft: Draft, name: str) -> None:
    """A neuron population with what arrives at it: from populations before it, and from itself."""
    kind = draw(st.sampled_from([Lif, Lif, Lif, Relay, Product, InverseRoot, Maximum, AlphaLif]))
    ports = range(draw(st.sampled_from([2, 4, 3, 1])) if kind is Maximum else 2 if kind is Product else 1)
    least = 1 if kind in (Product, InverseRoot, Maximum, AlphaLif) else 0
    sources = [(port, source) for port in ports for source in draw_sources(draw, draft, least)]
    synapses = [draw(synapse(draft.nodes[source].shape, None)) for _, source in sources[:1]]
    shape = synapses[0].output_shape if synapses and isinstance(synapses[0], Conv2d) else draw(shapes())
    synapses = [
        draw(synapse(draft.nodes[source].shape, shape)) if i or not fits(synapses[0], shape) else synapses[0]
        for i, (_, source) in enumerate(sources)
    ]
    arrival = draw_latency(draw, draft, [source for _, source in sources])
    plain = {Relay: lambda _, s: Relay(s), Maximum: lambda _, s: Maximum(s, len(ports))}
    drawn = {Lif: draw_lif, AlphaLif: draw_alpha, Product: draw_product, InverseRoot: draw_root, **plain}[kind](draw, shape)
    add(draft, name, drawn, arrival)
    for (port, source), group in zip(sources, synapses):
        delay = draw_delay(draw, draft, source, arrival)
        lag = 0 if isinstance(draft.nodes[source], Constant) else draw_lag(draw, delay)
        draft.links.append(Connection(source, name, group, delay, port, lag))
    for port in ports:
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            draft.links.append(Connection(name, name, draw(feedback(shape)), 0, port, draw_lag(draw, 0)))


def draw_sources(draw: st.DrawFn, draft: Draft, least: int) -> list[str]:
    """Up to three, the same one more than once: several groups between two populations add. No older than a delay line is long."""
    oldest = max(draft.latency.values()) - LONGEST
    names = [name for name in draft.nodes if draft.latency[name] >= oldest or not timed(draft, [name])]
    return draw(st.lists(st.sampled_from(names), min_size=least, max_size=3))


def fits(group: Synapse, shape: tuple[int, ...]) -> bool:
    return group.size[0] == int(np.prod(shape))


def timed(draft: Draft, sources: list[str]) -> list[str]:
    return [source for source in sources if not isinstance(draft.nodes[source], Constant)]


def draw_latency(draw: st.DrawFn, draft: Draft, sources: list[str]) -> int:
    """As late as the last arrival, or later; but no path is longer than a delay line."""
    arrivals = [draft.latency[source] + 1 for source in timed(draft, sources)]
    if not arrivals:
        return 1
    room = LONGEST - (max(arrivals) - min(arrivals))
    return max(arrivals) + min(draw(st.sampled_from([0, 0, 0, 1, 3, LONGEST])), room)


def draw_delay(draw: st.DrawFn, draft: Draft, source: str, arrival: int) -> int:
    if timed(draft, [source]):
        return arrival - draft.latency[source] - 1
    return draw(st.sampled_from([0, 3, LONGEST]))


def draw_lag(draw: st.DrawFn, delay: int) -> int:
    return min(draw(st.sampled_from([0] * 17 + [1, 4, LONGEST])), LONGEST - delay)


def draw_product(draw: st.DrawFn, shape: tuple[int, ...]) -> Product:
    return Product(shape, draw(st.sampled_from([0, 1, 6, 17, 31])))


def draw_alpha(draw: st.DrawFn, shape: tuple[int, ...]) -> AlphaLif:
    """Registers at their limits and in between, scalar or one per neuron."""
    rng, each = draw(generators()), draw(st.booleans())

    def register(corners: list[int], low: int, high: int) -> int | NDArray[np.int32]:
        values = np.where(rng.random(shape) < 0.4, rng.choice(corners, shape), rng.integers(low, high + 1, shape)).astype(np.int32)
        return values if each else int(values.flat[0])

    decays = register([0, 1, 4095], 0, 600), register([0, 4095, 4096], 1000, 4096)  # mostly as in snnTorch: the first is the slower
    gain, vth = register([0, 4096, 2**18 - 1], 3000, 30000), register([0, 1, 9, 2**17 - 1, 2**17], 1, 30)
    return AlphaLif(shape, *decays, gain, vth, draw(st.sampled_from(get_args(AlphaReset))))


def draw_root(draw: st.DrawFn, shape: tuple[int, ...]) -> InverseRoot:
    return InverseRoot(shape, draw(st.sampled_from([2**16 - 1, 40000, 2047, 1])))


def draw_lif(draw: st.DrawFn, shape: tuple[int, ...]) -> Lif:
    """Registers at their limits and in between, scalar or one per neuron."""
    rng = draw(generators())

    def register(*corners: int, low: int, high: int) -> int | NDArray[np.int32]:
        values = np.where(rng.random(shape) < 0.4, rng.choice(corners, shape), rng.integers(low, high + 1, shape)).astype(np.int32)
        return values if draw(st.booleans()) else int(values.flat[0])

    return Lif(
        shape,
        du=register(-1, 0, 4094, 4095, low=0, high=4095),
        dv=register(0, 1, 4095, low=0, high=2000),
        vth=register(0, 1, 0, 9, 2**17 - 1, 2**17, low=1, high=600),
        bias_mant=register(-4096, 4095, 0, low=-200, high=300),
        bias_exp=register(0, 7, low=0, high=3),
        reset=draw(st.sampled_from(RESETS)),
    )


@st.composite
def synapse(draw: st.DrawFn, source: tuple[int, ...], target: tuple[int, ...] | None) -> Synapse:
    """A group from a population into a shape, or into whatever shape it makes."""
    if len(source) == 3 and draw(st.booleans()):
        conv = draw(convolution(source))
        if target is None or fits(conv, target):
            return conv
    size = int(np.prod(target or draw(shapes()))), int(np.prod(source))
    if draw(st.booleans()):
        return Dense(*draw(weights(size)))
    if size[0] == size[1] and draw(st.booleans()):
        return Diagonal(*draw(weights(size[:1])))
    return listed(draw, size)


def listed(draw: st.DrawFn, size: tuple[int, int]) -> Sparse:
    matrix, exponent, bits = draw(weights(size))
    matrix = matrix * (draw(generators()).random(size) < draw(st.sampled_from([0.5, 0.1, 1.0])))
    return Sparse(sparse.csr_matrix(legal(matrix, bits)), exponent, bits)


@st.composite
def feedback(draw: st.DrawFn, shape: tuple[int, ...]) -> Synapse:
    """A population onto itself: an identity, which makes a relay an accumulator; a convolution that keeps the shape; or anything."""
    size = int(np.prod(shape))
    kind = draw(st.sampled_from(["identity", "conv", "other"]))
    if kind == "identity":
        return draw(st.sampled_from([Sparse(sparse.identity(size, np.int32, "csr")), Diagonal(np.ones(size, np.int32))]))
    if kind == "conv" and len(shape) == 3:
        kernel, groups = draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, shape[0]]))
        values, exponent, bits = draw(weights((shape[0], shape[0] // groups, kernel, kernel)))
        return Conv2d(values, shape, padding=(kernel // 2,) * 2, groups=groups, exponent=exponent, bits=bits)
    return draw(synapse((size,), (size,)))


@st.composite
def convolution(draw: st.DrawFn, shape: tuple[int, int, int]) -> Conv2d:
    """Any geometry that leaves an output."""
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0]))
    axes = [draw(axis(size)) for size in shape[1:]]
    kernel, stride, padding, dilation = zip(*axes)
    channels = groups * draw(st.integers(1, 3))
    values, exponent, bits = draw(weights((channels, shape[0] // groups, *kernel)))
    return Conv2d(values, shape, stride, padding, dilation, groups, exponent, bits)


@st.composite
def axis(draw: st.DrawFn, size: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation along one axis."""
    kernel, stride, padding, dilation = (draw(st.integers(low, high)) for low, high in ((1, 3), (1, 3), (0, 2), (1, 2)))
    return (kernel, stride, padding, dilation) if output_size(size, kernel, stride, padding, dilation) > 0 else (1, stride, padding, 1)


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], int, int]:
    """Legal weights, their exponent and their bits."""
    style, mode = draw(st.sampled_from(["ones", "any", "any", "extreme"])), draw(st.sampled_from(["mixed", "mixed", *LIMITS]))
    exponent = draw(st.one_of(st.sampled_from([0, 2, 5]), st.integers(*EXPONENT_RANGE)))  # half of them large: others fire less
    bits, rng = draw(st.sampled_from([8, 8, 8, 1, 2, 3, 4, 5, 6, 7])), draw(generators())
    if style == "ones":
        return np.ones(shape, np.int32), exponent, 8
    (low, high), step = LIMITS[mode], granularity(mode, bits)
    least, most = -(-low // step), high // step
    steps = rng.integers(least, most + 1, shape) if style == "any" else rng.choice([least, most, 0], shape)
    return legal(steps * step, bits), exponent, bits


def legal(values: NDArray, bits: int) -> NDArray[np.int32]:
    """What was drawn as mixed may hold one sign only, and then reaches less far; every mixed weight is a multiple of its step."""
    if not (values > 0).any():
        least = LIMITS["inhibitory"][0]
        values = np.maximum(values, -(-least // granularity("inhibitory", bits)) * granularity("inhibitory", bits))
    return values.astype(np.int32)


@st.composite
def outputs(draw: st.DrawFn, draft: Draft, prefix: str) -> dict[str, Output]:
    readable = [name for name, node in draft.nodes.items() if isinstance(node, (Lif, AlphaLif))]
    names = draw(st.lists(st.sampled_from(readable), max_size=2)) if readable else []
    return {f"{prefix}out{i}": Output(name, draw(st.sampled_from(DECODERS))) for i, name in enumerate(names)}


def beside(several: list[Case]) -> Case:
    """Cases of the same time, batch and different names as one: parts of a program that are not connected."""
    nodes: dict[str, Node] = {}
    links: tuple[Connection, ...] = ()
    named: dict[str, Output] = {}
    fed: dict[str, NDArray[np.int32]] = {}
    for case in several:
        nodes, links = nodes | dict(case.program.nodes), links + case.program.connections
        named, fed = named | dict(case.program.outputs), fed | case.events
    return Case(Program(nodes, links, named), fed)
