"""What a netx file says, as plain integers: one record per layer, in the file's own axes.

Source: the export_hdf5 methods of lava-dl 0.6.0 (`lava/lib/dl/slayer/block/base.py`), which write the files, and
`lava/lib/dl/netx/hdf5.py`, which reads them.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.sigma_delta import Activation

Array = NDArray[np.int64]
Register = int | Array

CUBA = ("CUBA", "LOIHI")  # two names of one neuron
SDNN = "SDNN"


@dataclass(frozen=True, eq=False)
class NetNeuron:
    """A current-based leaky integrator, `neuron/` of a layer.

    Attributes:
        i_decay: 0..4096, of the current; a register's value plus one.
        v_decay: 0..4096, of the voltage.
        threshold: mantissa, vThMant; 2**17 and more never fires.
        refractory: steps; 1 is none beyond the reset.
        weight_exp: power of two that multiplies what the synapses add up, after the sum.
        normalised: whether that power comes from a batch normalisation, which scales the bias as well.
    """

    i_decay: Register
    v_decay: Register
    threshold: Register
    refractory: int = 1
    weight_exp: int = 0
    normalised: bool = False


@dataclass(frozen=True, eq=False)
class NetSdnn:
    """A sigma-delta neuron, `neuron/` of a layer.

    Attributes:
        threshold: mantissa, vThMant; the least change that is sent, in units of the weights.
        activation: "relu" or "unit".
        is_output: whether it only adds up, and sends the sum (sigma_output).
    """

    threshold: int
    activation: Activation = "relu"
    is_output: bool = False


@dataclass(frozen=True, eq=False)
class NetLayer:
    """One layer.

    Attributes:
        name: its group, as "layer/1".
        kind: "input", "flatten", "dense", "dense_rec", "conv" or "average".
        shape: of its output: (n,) or (C, H, W).
        neuron: of a layer that has weights, or of an input that encodes; None of a last layer whose current is read.
        transform: of an input with neurons: x becomes weight * x + bias, these two.
        ignored: names under its group that lava-dl does not write.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neuron: NetNeuron | NetSdnn | None = None
    transform: tuple[int, int] = (64, 0)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedLayer(NetLayer):
    """One with synapses: "dense", "dense_rec" or "conv".

    Attributes:
        weight: (out, in), or (C_out, C_in / groups, kH, kW).
        weight_rec: (out, out), of dense_rec.
        bias: per output neuron or channel, in units of 2**6.
        delay: steps; a scalar, or per output neuron or channel, or per input, or per synapse.
        stride, padding, dilation: (vertical, horizontal).
        groups: channel groups.
    """

    weight: Array
    weight_rec: Array | None = None
    bias: Array | None = None
    delay: Array | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Net:
    """A file's layers, in order.

    Attributes:
        layers: the first may be an input, which says a shape, and may have neurons.
        dt: seconds per step, where the file says it.
        steps: of a sample, where the file says it.
    """

    layers: tuple[NetLayer, ...]
    dt: float | None = None
    steps: int | None = None


def same(a: object, b: object) -> bool:
    """Whether two records are equal in every field, arrays by value."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, (Net, NetLayer, NetNeuron, NetSdnn)):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return np.array_equal(np.asarray(a), np.asarray(b)) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else a == b
