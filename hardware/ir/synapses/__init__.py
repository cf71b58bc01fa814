"""Synapse groups in integers: weights of 1 to 8 bits, and one exponent for the whole group.

`Synapse` (base.py) says what a kind of group is and can do; each kind has a module of its own. What was checked when a group is built stays
as it is: weights are read-only copies, unless they were read-only already.
"""

from snnfuse.hardware.ir.synapses.base import Synapse
from snnfuse.hardware.ir.synapses.conv2d import Conv2d
from snnfuse.hardware.ir.synapses.dense import Dense
from snnfuse.hardware.ir.synapses.diagonal import Diagonal
from snnfuse.hardware.ir.synapses.geometry import Geometry, conv_matrix, output_size
from snnfuse.hardware.ir.synapses.sparse import Sparse
from snnfuse.hardware.ir.synapses.weights import LIMITS, check_weights, granularity, sign_mode

__all__ = [
    "LIMITS",
    "Conv2d",
    "Dense",
    "Diagonal",
    "Geometry",
    "Sparse",
    "Synapse",
    "check_weights",
    "conv_matrix",
    "granularity",
    "output_size",
    "sign_mode",
]
