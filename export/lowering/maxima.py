"""Maxima in a network made plain: what commutes with a maximum is moved out of it, so that what is left to round is least.

max(a_p + b) = max(a_p) + b                 a bias that all ports share is added behind
g max(a_p)   = sign(g) max(|g| a_p)         a gain behind, as of a batch norm, goes into the weights before, but for its sign
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.weights import SparseWeights


def with_plain_maxima(network: Network) -> Network:
    """Move biases that all ports of a maximum share behind it, and gains behind it before it."""
    for name in [name for name in network.order if network.populations[name].kind == "maximum"]:
        network = _with_gain_before(_with_bias_behind(network, name), name)
    return network


def _leaving(network: Network, name: str) -> list[Projection]:
    return [p for p in network.projections if p.source == name]


def _with_bias_behind(network: Network, name: str) -> Network:
    """A projection that lags would bring a bias from the first step on, and a maximum does not."""
    maximum, leaving = network.populations[name], _leaving(network, name)
    bias = maximum.bias[0]
    if not bias.any() or (maximum.bias != bias).any() or any(p.lag for p in leaving):
        return network
    populations = {**network.populations, name: replace(maximum, bias=np.zeros_like(maximum.bias))}
    for p in leaving:
        added = np.asarray(p.weights.matrix @ bias.ravel())
        populations[p.target] = _biased(populations[p.target], p.port, added)
    return replace(network, populations=populations)


def _biased(population: Population, port: int, added: Array) -> Population:
    bias = population.bias.copy()
    (bias[port] if population.kind == "maximum" else bias).reshape(-1)[:] += added
    return replace(population, bias=bias)


def _with_gain_before(network: Network, name: str) -> Network:
    """Where one projection leaves, of one factor per neuron."""
    maximum, leaving = network.populations[name], _leaving(network, name)
    gain = _factors(leaving[0]) if len(leaving) == 1 else None
    if gain is None or np.isin(gain, (-1.0, 0.0, 1.0)).all():
        return network
    size = np.where(gain == 0, 1.0, np.abs(gain))
    sign = SparseWeights(sparse.diags(np.sign(gain), format="csr"))

    def moved(p: Projection) -> Projection:
        if p.target == name:
            return replace(p, weights=p.weights.scaled(size))
        return replace(p, weights=sign, is_fixed=True) if p.source == name else p

    scaled = replace(maximum, bias=maximum.bias * size.reshape(maximum.shape))
    return replace(network, populations={**network.populations, name: scaled}, projections=tuple(map(moved, network.projections)))


def _factors(projection: Projection) -> Array | None:
    """The diagonal of a projection's weights, where they are nothing else."""
    entries = sparse.coo_matrix(projection.weights.matrix)
    kept = entries.data != 0
    if entries.shape[0] != entries.shape[1] or (entries.row[kept] != entries.col[kept]).any():
        return None
    return entries.tocsr().diagonal()
