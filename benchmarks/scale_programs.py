"""Programs of the size of published networks, with random legal weights: what running them takes does not depend on what they know.

Convolutions stay kernels, residual connections are delayed to meet the path beside them, and pooling of spikes is a population that
fires where any of its inputs did.
"""

from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from scipy import sparse

from snnfuse.hardware import Connection, Conv2d, Dense, GradedInput, Lif, Output, Program, Sparse
from snnfuse.hardware.ir.fixed_point import NEVER
from snnfuse.hardware.ir.nodes import Node
from snnfuse.hardware.ir.synapses import Synapse

INPUT_BITS = 8
PIXEL = 40.0  # deviation of the inputs
TOKENS = 64
WEIGHT = 64  # magnitude up to which random weights reach
RATE = 0.1  # spikes per neuron and step that thresholds aim at
RATE_BEFORE_POOLING = 0.03  # nine neurons together fire more often
VOLTAGE_SPREAD = 1.02  # deviation of a voltage over that of its input: a little more than in the first step from rest


@dataclass
class Builder:
    """A program that grows layer by layer, with every path delayed to arrive with the longest.

    Attributes:
        rng: of all weights.
        rate: by population, of spikes per neuron and step, as far as noise tells.
    """

    rng: np.random.Generator
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Connection] = field(default_factory=list)
    latency: dict[str, int] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        self.nodes[name], self.latency[name] = GradedInput(shape, INPUT_BITS, 1 / 128), 0
        return name

    def lif(
        self, name: str, arriving: dict[str, Synapse], shape: tuple[int, ...] | None = None, vth: int | None = None, rate: float = RATE
    ) -> str:
        """A population with membrane decay 1/2, current decay 1, and the threshold at which noise makes it fire at a rate."""
        self.latency[name] = max(self.latency[source] for source in arriving) + 1
        variance = sum(np.square(s.values.astype(float)).sum() / s.size[0] * self._reuse(s) * self._power(n) for n, s in arriving.items())
        if vth is None:
            vth = round(NormalDist().inv_cdf(1 - rate) * VOLTAGE_SPREAD * np.sqrt(variance))
        self.nodes[name] = Lif(shape or next(iter(arriving.values())).output_shape, 4095, 2048, vth)
        self.rate[name] = rate
        delays = {source: self.latency[name] - self.latency[source] - 1 for source in arriving}
        self.links += [Connection(source, name, synapse, delays[source]) for source, synapse in arriving.items()]
        return name

    def _reuse(self, synapse: Synapse) -> float:
        """How many synapses a stored weight is."""
        return float(np.prod(synapse.output_shape[1:])) if isinstance(synapse, Conv2d) else 1.0

    def _power(self, source: str) -> float:
        """Mean square of what a source sends."""
        return PIXEL**2 if isinstance(self.nodes[source], GradedInput) else self.rate[source]

    def conv(self, source: str, channels: int, kernel: int = 3, stride: int = 1) -> Conv2d:
        shape = self.nodes[source].shape
        return Conv2d(self.weights(channels, shape[0], kernel, kernel), shape, (stride,) * 2, (kernel // 2,) * 2)

    def identity(self, source: str, weight: int = WEIGHT) -> Conv2d:
        """A skip connection."""
        shape = self.nodes[source].shape
        return Conv2d(np.full((shape[0], 1, 1, 1), weight, np.int32), shape, groups=shape[0])

    def pool(self, name: str, source: str) -> str:
        """Any spike in 3 x 3, every second row and column: maximum pooling of spikes."""
        shape = self.nodes[source].shape
        window = Conv2d(np.ones((shape[0], 1, 3, 3), np.int32), shape, (2, 2), (1, 1), groups=shape[0])
        return self.lif(name, {source: window}, vth=0, rate=1 - (1 - self.rate[source]) ** 9)

    def dense(self, source: str, targets: int) -> Dense:
        return Dense(self.weights(targets, int(np.prod(self.nodes[source].shape))))

    def scattered(self, source: str, each: int) -> Sparse:
        """A shape onto itself, with so many random sources per target."""
        size = int(np.prod(self.nodes[source].shape))
        offsets = self.rng.choice(size, each, replace=False)
        sources = np.sort((np.arange(size)[:, None] + offsets) % size, axis=1).ravel()
        return Sparse(sparse.csr_matrix((self.weights(size * each), sources, np.arange(0, size * each + 1, each)), (size, size)))

    def weights(self, *shape: int) -> np.ndarray:
        return 2 * self.rng.integers(-WEIGHT // 2, WEIGHT // 2 + 1, shape, np.int32)

    def program(self, outputs: dict[str, Output]) -> Program:
        return Program(self.nodes, tuple(self.links), outputs, dt=1e-3)


def resnet18(seed: int = 0) -> Program:
    """ResNet18 for 32 x 32 images, its spiking activation after each addition; average pooling and classifier are one matrix."""
    net = Builder(np.random.default_rng(seed))
    last = net.lif("stem", {(image := net.input("image", (3, 32, 32))): net.conv(image, 64)})
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            name, stride = f"stage{stage}.{block}", 2 if stage and not block else 1
            middle = net.lif(f"{name}.a", {last: net.conv(last, channels, 3, stride)})
            skip = net.identity(last) if stride == 1 else net.conv(last, channels, 1, stride)
            last = net.lif(f"{name}.b", {middle: net.conv(middle, channels), last: skip})
    pooled = np.repeat(net.weights(10, 512), 16, axis=1)  # every position of a channel has its channel's weight
    classes = net.lif("classes", {last: Dense(pooled)}, (10,), NEVER)
    return net.program({"class": Output(classes, "membrane_sum")})


def s_cmrl(seed: int = 0, channels: int = 256, size: int = 128) -> Program:
    """S-CMRL's layers for CREMA-D (arXiv 2502.12488): per modality four stages of convolution and pooling and a residual one, a
    cross-modal block with queries of its own and keys and values of the other, and a residual MLP. In place of products of queries,
    keys and values stands a population of the same size, which reads one of each of the former and a value of each token.
    """
    net = Builder(np.random.default_rng(seed))
    tokens = {name: _stages(net, name, net.input(name, (planes, size, size)), channels) for name, planes in (("video", 3), ("audio", 1))}
    mixed = {name: _cross(net, name, tokens[name], tokens[other]) for name, other in (("video", "audio"), ("audio", "video"))}
    classes = net.lif("classes", {source: net.dense(source, 6) for source in mixed.values()}, (6,), NEVER)
    return net.program({"class": Output(classes, "membrane_sum")})


def _stages(net: Builder, name: str, last: str, channels: int) -> str:
    for stage in range(4):
        last = net.lif(f"{name}.conv{stage}", {last: net.conv(last, channels >> 3 - stage)}, rate=RATE_BEFORE_POOLING)
        last = net.pool(f"{name}.pool{stage}", last)
    place = net.lif(f"{name}.place", {last: net.conv(last, channels)})
    return net.lif(f"{name}.tokens", {last: net.identity(last), place: net.identity(place)}, vth=WEIGHT // 2)


def _cross(net: Builder, name: str, own: str, other: str) -> str:
    channels = net.nodes[own].shape[0]
    branches = {}
    for branch in ("spatial", "temporal"):
        q = net.lif(f"{name}.{branch}.q", {own: net.conv(own, channels, 1)})
        k, v = (net.lif(f"{name}.{branch}.{part}", {other: net.conv(other, channels, 1)}) for part in "kv")
        mixed = net.lif(f"{name}.{branch}.mix", {q: net.identity(q), k: net.identity(k), v: net.scattered(v, TOKENS)})
        branches[net.lif(f"{name}.{branch}.out", {mixed: net.conv(mixed, channels, 1)})] = None
    joined = net.lif(f"{name}.join", {branch: net.conv(branch, channels, 1) for branch in branches} | {own: net.identity(own)})
    hidden = net.lif(f"{name}.hidden", {joined: net.conv(joined, 4 * channels, 1)})
    return net.lif(f"{name}.mlp", {hidden: net.conv(hidden, channels, 1), joined: net.identity(joined)})


PROGRAMS = {"resnet18": resnet18, "s-cmrl": s_cmrl}


def parameters(program: Program) -> int:
    """Stored weights, skip connections and pooling included."""
    return sum(c.synapse.values.size for c in program.connections)


def neurons(program: Program) -> int:
    """Of all populations, those that pool included."""
    return sum(int(np.prod(node.shape)) for node in program.neurons.values())


def random_events(program: Program, time: int, batch: int, seed: int = 1) -> dict[str, np.ndarray]:
    """An image of noise per sample, the same on every step."""
    rng = np.random.default_rng(seed)
    shapes = {name: node.shape for name, node in program.inputs.items()}
    images = {name: np.clip(rng.normal(0, PIXEL, (1, batch, *shape)), -127, 127) for name, shape in shapes.items()}
    return {name: np.repeat(image.astype(np.int32), time, axis=0) for name, image in images.items()}
