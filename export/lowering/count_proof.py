"""Proof that products and sums over time get what they are exact for: counts, that is integers from 0 to a known bound."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from snnfuse.export.lowering.network import Array, Network
from snnfuse.hardware.errors import UnsupportedError

WHOLE = 1e-9  # how far a weight may lie from an integer


def unproven(network: Network) -> frozenset[str]:
    """The products of which a factor may be no count, or exceed its bound.

    A sum over time has no bound of its own: that of the product that reads it is taken for it, which is what the graph's thresholds
    say, and is checked on data.

    Raises:
        UnsupportedError: a sum over time gets what is no count.
    """
    most = bounds(network)
    for name, population in network.populations.items():
        if population.kind == "relay" and most[name] is None:
            raise UnsupportedError(
                f"node {name!r} passes on a sum of what is no count; only spikes and integers travel on the chip: feed it with spikes "
                "through weights that are positive integers, add a threshold, or read it as an output"
            )
    return frozenset(name for name, p in network.populations.items() if p.kind == "product" and most[name] is None)


def bounds(network: Network) -> dict[str, Array | None]:
    """How high each population's integers reach, flat; None where they are none, infinite for sums over time."""
    most: dict[str, Array | None] = dict.fromkeys(network.inputs)
    for group in network.groups:
        for name in group:
            population = network.populations[name]
            if len(group) > 1 and (population.counts or population.sends_numbers):
                raise UnsupportedError(f"{name!r} lies in a loop of {', '.join(group)}; only neurons can form one")
            most[name] = _most(network, name, most)
    return most


def _most(network: Network, name: str, most: Mapping[str, Array | None]) -> Array | None:
    population = network.populations[name]
    if population.counts:
        return _of_product(network, name, most) if population.kind == "product" else _of_relay(network, name, most)
    return None if population.sends_numbers else np.ones(population.theta.size)


def _of_product(network: Network, name: str, most: Mapping[str, Array | None]) -> Array | None:
    population, found = network.populations[name], []
    for port, bound in enumerate(population.bounds):
        arriving = _arriving(network, name, port, most)
        if arriving is None or (np.isfinite(arriving) & (arriving > bound)).any():
            return None
        found.append(np.minimum(arriving, bound))
    return found[0] * found[1]


def _of_relay(network: Network, name: str, most: Mapping[str, Array | None]) -> Array | None:
    arriving = _arriving(network, name, 0, most)
    feeds_itself = any(p.source == name for p in network.into(name))
    return arriving if arriving is None or not feeds_itself else np.full(arriving.shape, np.inf)


def _arriving(network: Network, name: str, port: int, most: Mapping[str, Array | None]) -> Array | None:
    """The most that can arrive at a port from other populations; None for what is no count."""
    population = network.populations[name]
    total = np.zeros(population.theta.size)
    if population.bias.any():
        return None
    for projection in network.into(name):
        if projection.port != port or projection.source == name:
            continue
        source, matrix = most[projection.source], sparse.csr_matrix(projection.weights.matrix)
        whole = np.rint(matrix.data)
        if source is None or (matrix.data < 0).any() or (np.abs(matrix.data - whole) > WHOLE).any():
            return None
        matrix = sparse.csr_matrix((whole, matrix.indices, matrix.indptr), matrix.shape)
        matrix.eliminate_zeros()
        total = total + matrix @ source  # no weight of 0 is left to meet an infinite bound
    return total
