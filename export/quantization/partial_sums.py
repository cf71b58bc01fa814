"""Sums in parts, by relays: what a neuron of more sources than a core has input axons can be wired through.

    shift(n x, e) = shift(n_1 x_1 + ... + n_K x_K, e)        n x the sum of a synapse group, its sources divided into K parts

Each part is summed by a relay, through the same integer weights with exponent 0, and the neuron adds the K numbers through weights of 1
and the group's own exponent: the same integers, one step later. It takes K relays per neuron and group, of tier B.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.network import Network, Projection
from snnfuse.export.lowering.populations import counting
from snnfuse.export.lowering.weights import from_matrix
from snnfuse.export.quantization.fitting import Fit, Input
from snnfuse.hardware.ir.graded import Relay
from snnfuse.hardware.ir.synapses import Sparse, Synapse


@dataclass(frozen=True)
class Sums:
    """What a population's relays add up.

    Attributes:
        projections: by their place in `Network.into`.
        parts: K, into how many the sources of each are divided: a power of two, so that cores hold whole parts.
    """

    projections: tuple[int, ...]
    parts: int


def summable(network: Network, name: str, fit: Fit, inputs: Mapping[str, Input], payload_bits: int) -> list[int]:
    """The projections, by their place in `Network.into`, whose sums a relay can send, those of most sources first: none of a loop, where a
    relay would take a step too many, and none whose sums may be larger than a graded spike."""
    loop = next(group for group in network.groups if name in group)
    into = enumerate(zip(network.into(name), fit.synapses))
    found = [i for i, (p, groups) in into if p.source not in loop and _can_sum(network, p, groups, inputs, payload_bits)]
    return sorted(found, key=lambda i: -max(_sources(s).size for s in fit.synapses[i]))


def _can_sum(network: Network, p: Projection, groups: tuple[Synapse, ...], inputs: Mapping[str, Input], payload_bits: int) -> bool:
    before, node = network.populations.get(p.source), inputs.get(p.source)
    if (before is not None and before.sends_numbers) or any(s.convolution is not None for s in groups):
        return False
    payload = 1 if node is None else node.limit
    return all(int(abs(s.matrix()).sum(axis=1).max()) * payload < 1 << (payload_bits - 1) for s in groups)


def _sources(synapse: Synapse) -> NDArray[np.int64]:
    """The sources that have a weight."""
    return np.unique(sparse.coo_matrix(synapse.matrix()).col).astype(np.int64)


def with_sums(network: Network, fits: Mapping[str, Fit], name: str, sums: Sums) -> tuple[Network, dict[str, Fit]]:
    """Network and fits with relays before a population. The weights of the projections from and to them are the program's integers."""
    fit, into, fits = fits[name], network.into(name), dict(fits)
    chosen = [into[i] for i in sums.projections]
    projections = [p for p in network.projections if not any(p is each for each in chosen)]
    populations = dict(network.populations)
    kept = tuple(groups for i, groups in enumerate(fit.synapses) if i not in sums.projections)
    for p, synapse in ((into[i], synapse) for i in sums.projections for synapse in fit.synapses[i]):
        relay = _free(network.inputs.keys() | populations.keys() | network.outputs.keys(), f"{name}.relay")
        parts, whole = _divided(synapse, sums.parts)
        populations[relay] = counting((parts.size[0],), "relay")
        projections.append(Projection(p.source, relay, from_matrix(_floats(parts)), p.lag, is_fixed=True))
        projections.append(Projection(relay, name, from_matrix(_floats(whole)), is_fixed=True, port=p.port))
        fits[relay] = Fit(Relay((parts.size[0],)), ((parts,),), (), (), (), 1.0, 0.0, True, mismatch=0.0)
        kept = (*kept, (whole,))
    fits[name] = replace(fit, synapses=kept)
    return replace(network, populations=populations, projections=tuple(projections)), fits


def _divided(synapse: Synapse, parts: int) -> tuple[Sparse, Sparse]:
    """A group's synapses onto relays, K of which stand for each neuron, part after part; and those that add them up."""
    entries, sources = sparse.coo_matrix(synapse.matrix()), _sources(synapse)
    targets, count = synapse.size
    part_of = np.zeros(count, np.int64)
    part_of[sources] = np.arange(sources.size) * parts // sources.size
    rows = part_of[entries.col] * targets + entries.row
    onto = sparse.csr_matrix((entries.data, (rows, entries.col)), shape=(parts * targets, count))
    ones = np.tile(np.arange(targets), (parts, 1))
    whole = sparse.csr_matrix((np.ones(ones.size, np.int32), (ones.ravel(), np.arange(ones.size))), shape=(targets, ones.size))
    return Sparse(onto, 0, synapse.bits), Sparse(whole, synapse.exponent)


def _floats(synapse: Sparse) -> sparse.csr_matrix:
    return sparse.csr_matrix(synapse.weights, dtype=float, copy=True)


def _free(taken: set[str], name: str) -> str:
    while name in taken:
        name += "_"
    return name
