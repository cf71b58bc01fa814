"""The three networks on which backends are timed, as Programs, and their inputs.

a: 784-256-10. b: 2x16x16, conv 8 (3x3, pad 1), conv 16 (3x3, stride 2, pad 1), dense 10. c: 2x16x16, six times conv 16 (3x3, pad 1),
dense 128, dense 10. Weights are random and even, normal with a deviation of 60; voltages lose a tenth per step. Thresholds are set
layer by layer so that each population fires at about the rate of the input.
"""

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware import Connection, Conv2d, Dense, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.ir.fixed_point import NEVER

IMAGE = (2, 16, 16)
# (channels, stride) is a convolution of 3x3 with padding 1, (neurons,) is all-to-all
NETWORKS: dict[str, tuple[tuple[int, ...], list[tuple[int, ...]]]] = {
    "a": ((784,), [(256,), (10,)]),
    "b": (IMAGE, [(8, 1), (16, 2), (10,)]),
    "c": (IMAGE, [(16, 1)] * 6 + [(128,), (10,)]),
}
DENSITIES = (0.1, 0.02)
LEAK = 410  # of 4096


def build(shape: tuple[int, ...], layers: list[tuple[int, ...]], thresholds: list[int], du: int = 4095) -> Program:
    """A chain of populations l0, l1, ... behind the input x."""
    rng, nodes, links, source = np.random.default_rng(0), {"x": SpikeInput(shape)}, [], "x"
    for index, (layer, threshold) in enumerate(zip(layers, thresholds)):
        synapse = _synapse(rng, nodes[source].shape, layer)
        name = f"l{index}"
        nodes[name] = Lif(synapse.output_shape if isinstance(synapse, Conv2d) else layer, du, LEAK, threshold)
        links.append(Connection(source, name, synapse))
        source = name
    return Program(nodes, tuple(links), {"out": Output(source)})


def _synapse(rng: np.random.Generator, shape: tuple[int, ...], layer: tuple[int, ...]) -> Conv2d | Dense:
    if len(layer) == 2:
        return Conv2d(_weights(rng, (layer[0], shape[0], 3, 3)), shape, (layer[1],) * 2, (1, 1))
    return Dense(_weights(rng, (*layer, int(np.prod(shape)))))


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int32]:
    return 2 * np.clip(np.rint(rng.normal(0, 30, shape)), -128, 127).astype(np.int32)


def draw(program: Program, density: float, time: int, batch: int) -> dict[str, NDArray[np.int32]]:
    """Spikes at random."""
    size = (time, batch, *program.nodes["x"].shape)
    return {"x": (np.random.default_rng(1).random(size) < density).astype(np.int32)}


def tuned(shape: tuple[int, ...], layers: list[tuple[int, ...]], density: float, time: int = 40, batch: int = 4) -> list[int]:
    """Thresholds at which each population fires at the density of the input, found by bisection."""
    thresholds = [NEVER] * len(layers)
    for index in range(len(layers)):
        low, high = 1, 1 << 15
        while low < high:
            thresholds[index] = (low + high) // 2
            program = build(shape, layers, thresholds)
            rate = emulate(program, draw(program, density, time, batch), "all").spikes[f"l{index}"].mean()
            low, high = (thresholds[index] + 1, high) if rate > density else (low, thresholds[index])
        thresholds[index] = low
    return thresholds
