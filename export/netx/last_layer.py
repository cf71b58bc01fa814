"""How a netx network is read: spikes, a voltage, a sum; and what follows the last neurons of a file."""

import numpy as np
from scipy import sparse

from snnfuse.export.netx.contents import NetLayer
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import NEVER
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Decoder, Node
from snnfuse.hardware.ir.synapses import Sparse


def decoder_of(node: Node) -> Decoder:
    """How an output population is read: the last value of a voltage or sum, else the number of spikes.

    A threshold of 2**17 - 1, which only a voltage at the end of its range exceeds, is meant as one that is never reached.
    """
    if node.sends_numbers:
        return "membrane_last"
    return "spike_count" if np.min(getattr(node, "vth", 0)) < NEVER - 1 else "membrane_last"


def readout(shape: tuple[int, ...]) -> Lif:
    """Neurons whose voltage is 64 times the sum of all that arrived: what netx makes of a layer without neurons, whose current never
    fades and is the voltage."""
    return Lif(shape, du=4095, dv=0, vth=NEVER)


def averages(layer: NetLayer, source: Node) -> Sparse:
    """Synapses of weight 1 from each group of neurons to one readout; the sum of their spikes, of which SLAYER takes the mean.

    Raises:
        UnsupportedError: the last layer does not spike.
        InputError: the neurons do not make groups of one size.
    """
    groups, size = int(np.prod(layer.shape)), source.size
    if decoder_of(source) != "spike_count":
        raise UnsupportedError(f"{layer.name}: averages a layer that does not spike; leave it out with num_layers={layer.name[6:]}")
    if size % groups:
        raise InputError(f"{layer.name}/shape: {groups} averages of {size} neurons, which do not make groups of one size")
    targets = np.arange(size) // (size // groups)
    return Sparse(sparse.csr_matrix((np.ones(size, np.int32), (targets, np.arange(size))), (groups, size)))
