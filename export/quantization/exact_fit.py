"""Products and relays as a Program's: nothing of them is searched or rounded, for they take counts through weights that are integers."""

import numpy as np

from snnfuse.export.lowering.network import Network, Population
from snnfuse.export.lowering.weights import Weights
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.rounding import Form, Grid
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.synapses import LIMITS, Synapse

FORGETS = 4095  # of du, which adds one, all of the current; of dv all of the few units that one spike leaves
AND = 1  # fires above one spike
GRID = Grid("excitatory", WEIGHT_BITS, 0)


def fit_exactly(network: Network, name: str) -> Fit:
    """A product or relay with its weights as they are.

    Raises:
        UnsupportedError: a weight is larger than a synapse holds.
    """
    population, into = network.populations[name], network.into(name)
    return Fit(
        lif=_neurons(population),
        synapses=tuple((_synapse(name, p.source, p.weights),) for p in into),
        rounds=(((GRID,),),) * len(into),
        bias=(),
        forms=(Form((WEIGHT_BITS, WEIGHT_BITS)),) * len(into),
        scale=1.0,
        rounding=0.0,
        faithful=True,
        mismatch=0.0,
    )


def _neurons(population: Population) -> Neuron:
    if population.kind == "relay":
        return Relay(population.shape)
    return Product(population.shape) if population.sends_numbers else Lif(population.shape, du=FORGETS, dv=FORGETS, vth=AND)


def _synapse(name: str, source: str, weights: Weights) -> Synapse:
    integers = np.rint(weights.values).astype(np.int32)
    most = LIMITS["excitatory"][1]
    if integers.max(initial=0) > most:
        raise UnsupportedError(
            f"{name!r} adds {int(integers.max())} times what {source} sends, and a synapse holds {most}: put a partial sum in between"
        )
    return weights.synapse(integers, 0, WEIGHT_BITS)
