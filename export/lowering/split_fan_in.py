"""Graded relays where a sum would otherwise be wired many times over.

Where several sources have the same weights to every target of a population, as tokens have behind a mean, or keys behind a sum that
every query reads, one neuron that adds them up and sends the number on stands for all of them:

    W S x = W (S x)        S of zeros and ones: which sources share a column of weights

Nothing is rounded: the relay holds integers, and what follows gets the same sums, one step later. It costs neurons of tier B, so it is
done only where the direct way does not fit, or takes far more:

    a neuron has more sources than a core has input axons, and would not with a relay; or
    the direct way takes `MANY` synapses or more, and at least `WORTH` times as many as the detour

Source of the limits: `snnfuse.hardware.chip`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.graph import fresh_name
from snnfuse.export.lowering.network import Network, Projection
from snnfuse.export.lowering.populations import counting
from snnfuse.export.lowering.weights import ConvWeights, from_matrix
from snnfuse.export.targets import LAVA, Target

# Plain choices, of what a neuron of tier B and a step are worth.
WORTH = 4  # times as many synapses as with a relay
MANY = 1 << 17  # synapses: of 8 + 8 bits each, what the 12,000 words of 64 bits of not quite three cores hold


@dataclass(frozen=True, eq=False)
class _Shared:
    """Projections into one port whose columns of weights repeat.

    Attributes:
        projections: of one lag, from populations and inputs that send counts.
        group: for each source neuron of all of them in a row, the column that it shares; -1 without weights.
        columns: (targets, groups), the weights of each group once.
        direct: synapses without a relay.
        widest: sources of the neuron that has most, without a relay.
    """

    projections: tuple[Projection, ...]
    group: NDArray[np.int64]
    columns: sparse.csc_matrix
    direct: int
    widest: int

    @property
    def detour(self) -> int:
        """Synapses with a relay."""
        return int((self.group >= 0).sum()) + self.columns.nnz


def with_relays(network: Network, target: Target = LAVA, spikes: Collection[str] = ()) -> Network:
    """The same network, every spike of it, with relays where they pay; none for a target that runs no relays.

    target: whose board's input axons decide.
    spikes: the inputs that bring nothing but spikes. Of other inputs, and of maxima, no relay adds up anything: their numbers have a unit.
    """
    if "B" not in target.tiers:
        return network
    axons = target.limits.value("axons_in")
    for name, population in network.populations.items():
        for shared in _all_shared(network, name, axons, spikes) if population.kind != "relay" else ():
            if _pays(shared, axons):
                network = _relayed(network, name, shared)
    return network


def _all_shared(network: Network, name: str, axons: int, spikes: Collection[str]) -> Iterator[_Shared]:
    """For every port and lag, the projections that could share a relay, where they are large; none of a loop, where a further neuron
    would take a step too many."""
    loop = network.group_of[name]
    ways: dict[tuple[int, int], list[Projection]] = {}
    for p in network.into(name):
        counts = p.source in spikes or (p.source in network.populations and network.populations[p.source].kind != "maximum")
        if counts and p.source not in loop and not isinstance(p.weights, ConvWeights):
            ways.setdefault((p.port, p.lag), []).append(p)
    for projections in ways.values():
        matrix = sparse.hstack([sparse.csc_matrix(p.weights.matrix) for p in projections], format="csc")
        matrix.eliminate_zeros()
        if matrix.nnz >= MANY or _widest(matrix) > axons:
            yield _Shared(tuple(projections), *_columns(matrix), matrix.nnz, _widest(matrix))


def _widest(matrix: sparse.csc_matrix) -> int:
    """Sources of the neuron that has most."""
    return int(np.bincount(matrix.indices).max(initial=0))


def _columns(matrix: sparse.csc_matrix) -> tuple[NDArray[np.int64], sparse.csc_matrix]:
    """The group of every column, and each group's column once."""
    matrix.sort_indices()
    first: dict[bytes, int] = {}
    group, kept = np.full(matrix.shape[1], -1, np.int64), []
    for i in range(matrix.shape[1]):
        start, end = matrix.indptr[i], matrix.indptr[i + 1]
        if end > start:
            key = matrix.indices[start:end].tobytes() + matrix.data[start:end].tobytes()
            if key not in first:
                first[key] = len(kept)
                kept.append(i)
            group[i] = first[key]
    return group, matrix[:, kept]


def _pays(shared: _Shared, axons: int) -> bool:
    fits_so_only = shared.widest > axons >= _widest(shared.columns)
    return fits_so_only or (shared.direct >= MANY and shared.direct >= WORTH * shared.detour)


def _relayed(network: Network, name: str, shared: _Shared) -> Network:
    """With one relay before a population."""
    relay = fresh_name(f"{name}.relay", network.names)
    count, start, into = shared.columns.shape[1], 0, []
    for p in shared.projections:
        size = p.weights.matrix.shape[1]
        group = shared.group[start : start + size]
        used = np.flatnonzero(group >= 0)
        sums = sparse.csr_matrix((np.ones(len(used)), (group[used], used)), shape=(count, size))
        into.append(Projection(p.source, relay, from_matrix(sums), p.lag, is_fixed=True))
        start += size
    target = shared.projections[0]
    out = Projection(relay, name, from_matrix(shared.columns), is_fixed=target.is_fixed, port=target.port)
    gone = set(map(id, shared.projections))
    projections = (*(p for p in network.projections if id(p) not in gone), *into, out)
    populations = {**network.populations, relay: counting((count,), "relay")}
    return replace(network, populations=populations, projections=projections)
