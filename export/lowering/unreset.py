"""Neurons that never reset, for hardware whose neurons all do.

A neuron with delayed reset by subtraction takes theta from its voltage one step after each spike. A synapse from the neuron onto
itself takes one step too, so one that brings theta back leaves the voltage as if nothing had been taken:

    v' = beta v + I - theta s + theta s

Behind a synaptic current that decays by alpha, what the synapse brings would last; a second one, a step later and -alpha times as
strong, ends it: i' = alpha i + theta s[t-1] - alpha theta s[t-2].
"""

from dataclasses import replace

from scipy import sparse

from snnfuse.export.lowering.network import Network, Population, Projection
from snnfuse.export.lowering.weights import from_matrix


def with_reset_returned(network: Network) -> Network:
    """The same network, every spike of it, without populations that never reset."""
    lasting = {name: p for name, p in network.populations.items() if p.reset == "none"}
    if not lasting:
        return network
    resetting = {name: replace(p, reset="subtract_delayed", taken=p.theta) for name, p in lasting.items()}
    populations = {name: resetting.get(name, p) for name, p in network.populations.items()}
    projections = tuple(p for name, neuron in lasting.items() for p in _returning(name, neuron))
    return replace(network, populations=populations, projections=network.projections + projections)


def _returning(name: str, neuron: Population) -> tuple[Projection, ...]:
    """The synapses from a population onto itself that bring back what its spikes take."""
    weight = neuron.theta / (neuron.gain * neuron.current_gain)
    back = Projection(name, name, from_matrix(sparse.diags(weight.ravel(), format="csr")), is_fixed=True)
    if neuron.alpha is None:
        return (back,)
    ending = from_matrix(sparse.diags((-neuron.alpha * weight).ravel(), format="csr"))
    return back, Projection(name, name, ending, lag=1, is_fixed=True)
