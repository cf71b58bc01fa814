"""Reset by subtraction in NIR, which has no word for it, recognised as the loop that spells it.

    LI -> Threshold -> Scale(-theta) -> LI                   taken from the next voltage, snnTorch's default
    LI -> Threshold -> Scale(-beta theta) -> LI              taken at once: the LI holds the voltage before its reset
    LI -> LI -> Threshold -> Scale -> second LI              the same for a neuron with a synaptic current

and a Threshold on a sum of spikes, fed by weights alone, which is a neuron that forgets from step to step (a maximum over binary spikes).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np

from snnfuse.export.network import Population
from snnfuse.export.neurons import LEAKY_NODES, membrane, population
from snnfuse.hardware.errors import UnsupportedError

SAME = 1e-5  # relative; the amounts told apart differ by 1 - beta, parameters may be float32 and thresholds nudged by 1e-6


@dataclass(frozen=True)
class Loop:
    """One fused neuron: the nodes that spell it.

    Attributes:
        threshold: the node that spikes; names the population.
        membrane: LI or I that holds the voltage.
        scale: what is taken away per spike.
        current: LI that holds the synaptic current, if there is one.
    """

    threshold: str
    membrane: str
    scale: str
    current: str | None

    @property
    def entry(self) -> str:
        """The node that input arrives at."""
        return self.current or self.membrane

    @property
    def inner(self) -> frozenset[str]:
        """All its nodes."""
        return frozenset({self.threshold, self.membrane, self.scale, *([self.current] if self.current else [])})


def find_loops(nodes: Mapping[str, nir.NIRNode], edges: Iterable[tuple[str, str]]) -> list[Loop]:
    """Every reset-by-subtraction loop of a graph."""
    edges = list(edges)
    return [loop for name, node in nodes.items() if isinstance(node, nir.Threshold) and (loop := _loop_at(nodes, edges, name))]


def _loop_at(nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], threshold: str) -> Loop | None:
    before = [s for s, t in edges if t == threshold]
    if len(before) != 1 or not isinstance(nodes[before[0]], LEAKY_NODES):
        return None
    cell = before[0]
    scales = [t for s, t in edges if s == threshold and isinstance(nodes[t], nir.Scale) and (t, cell) in edges]
    if len(scales) != 1:
        raise UnsupportedError(
            f"node {threshold!r}: a threshold on the membrane {cell!r} needs one Scale back to it that says what a spike takes away; "
            f"this graph has {len(scales)}. Use a LIF node for reset to zero"
        )
    currents = [s for s, t in edges if t == cell and isinstance(nodes[s], nir.LI)]
    loop = Loop(threshold, cell, scales[0], currents[0] if currents else None)
    _check_closed(loop, edges)
    return loop


def _check_closed(loop: Loop, edges: list[tuple[str, str]]) -> None:
    """Nothing else may read or feed what becomes the inside of one neuron."""
    for source, target in edges:
        enters = target in loop.inner and source not in loop.inner and target != loop.entry
        leaves = source in loop.inner and target not in loop.inner and source != loop.threshold
        if enters or leaves:
            raise UnsupportedError(
                f"edge {source!r} -> {target!r} {'enters' if enters else 'leaves'} the inside of the neuron {loop.threshold!r}; "
                f"only {loop.entry!r} takes input and only {loop.threshold!r} gives spikes"
            )


def fuse(loop: Loop, nodes: Mapping[str, nir.NIRNode], dt: float) -> Population:
    """The population that a loop spells.

    Raises:
        UnsupportedError: the Scale takes away neither theta nor beta theta.
    """
    theta = np.asarray(nodes[loop.threshold].threshold, np.float64)
    neuron = population(loop.membrane, nodes[loop.membrane], dt)
    taken = -neuron.gain * np.asarray(nodes[loop.scale].scale, np.float64)
    if np.allclose(taken, theta, rtol=SAME, atol=0):
        reset = "subtract_delayed"
    elif np.allclose(taken, neuron.beta * theta, rtol=SAME, atol=0):
        reset = "subtract"
    else:
        raise UnsupportedError(
            f"node {loop.scale!r} takes {float(np.ravel(taken)[0]):g} from the voltage per spike; only the threshold "
            f"({float(np.ravel(theta)[0]):g}, a delayed reset) or beta times it (an immediate one) can be kept"
        )
    neuron = replace(neuron, theta=np.broadcast_to(theta, neuron.shape).copy(), reset=reset)
    return neuron if loop.current is None else _with_current(neuron, loop.current, nodes[loop.current], dt)


def _with_current(neuron: Population, name: str, node: nir.LI, dt: float) -> Population:
    alpha, gain, leak = membrane(name, node, dt)
    if np.any(leak):
        raise UnsupportedError(f"node {name!r}: a synaptic current with v_leak other than 0 cannot be kept; fold it into a bias")
    return replace(neuron, alpha=alpha, current_gain=gain)


def memoryless(node: nir.Threshold, shape: tuple[int, ...]) -> Population:
    """A Threshold on weighted spikes: v' = I, s = v' > theta."""
    theta = np.broadcast_to(np.asarray(node.threshold, np.float64), shape).copy()
    zeros, ones = np.zeros(shape), np.ones(shape)
    return Population(shape, beta=zeros, gain=ones, theta=theta, alpha=None, current_gain=ones, bias=zeros, voltage_bias=zeros)
