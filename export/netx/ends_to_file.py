"""What a netx file says of the neurons that encode an image, and of sigma-delta neurons."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.netx.contents import NetLayer, NetSdnn
from snnfuse.export.netx.first_layer import STATE_EXP
from snnfuse.export.netx.neuron_registers import BIAS_SHIFT, neuron_of, stored
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.bias_input import BiasedLif, BiasInput
from snnfuse.hardware.ir.nodes import Connection, GradedInput, Node
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta
from snnfuse.hardware.ir.synapses import Diagonal

WAY_OUT = "use target='lava'"
SPIKE_EXP = 6  # netx's default; it is an argument, and not in the file


def encoder_of(program: Program, name: str) -> NetLayer | None:
    """The input layer with neurons that a first population is, None for another; UnsupportedError for one that netx would run otherwise."""
    node, fed = program.nodes[name], next(iter(program.inputs.values()))
    if not isinstance(node, (BiasedLif, Delta)) or isinstance(node, SigmaDelta):
        return None
    (shape, transform) = node.shape, (_weight(name, fed), fed.offset if isinstance(fed, BiasInput) else 0)
    arriving = program.into(name)
    is_plain = len(arriving) == 1 and isinstance(arriving[0].synapse, Diagonal) and bool((arriving[0].synapse.weights == 1).all())
    if not is_plain or arriving[0].synapse.exponent or arriving[0].delay or arriving[0].lag or fed.shape != shape:
        raise UnsupportedError(f"{name}: netx feeds the neurons of an input layer directly, and nothing else into them; {WAY_OUT}")
    if isinstance(node, BiasedLif):
        if np.any(node.bias_mant) or np.any(np.asarray(node.bias_exp) != BIAS_SHIFT):
            raise UnsupportedError(f"{name}: netx writes an image with exponent {BIAS_SHIFT} where there is no other bias; {WAY_OUT}")
        neuron, _ = neuron_of(node, name, flat=False)
    else:
        neuron, _ = sdnn_of(node, name, flat=False)
    return NetLayer("layer/0", "input", shape, neuron, transform=transform)


def _weight(name: str, fed: Node) -> int:
    scale = fed.scale if isinstance(fed, (BiasInput, GradedInput)) else 0.0
    weight = round(1 / scale) if scale else 0
    if not weight or 1 / weight != scale:
        raise UnsupportedError(f"{name}: its input's scale is {scale}, and a netx file holds its whole inverse; {WAY_OUT}")
    return weight


def sdnn_of(node: Delta | Sigma, where: str, flat: bool) -> tuple[NetSdnn, NDArray[np.int64] | None]:
    """Threshold and bias of sigma-delta neurons, as a file holds them; arguments as of `neuron_of`.

    Raises:
        UnsupportedError: exponents, errors or an activation that netx does not give them.
    """
    if isinstance(node, Sigma):
        return NetSdnn(0, is_output=True), None
    if (node.spike_exp, node.state_exp, node.cumulative) != (SPIKE_EXP, STATE_EXP, 0):
        raise UnsupportedError(
            f"{where}: has spike_exp={node.spike_exp}, state_exp={node.state_exp}, cumulative={node.cumulative}; of what a netx file says "
            f"netx makes {SPIKE_EXP}, {STATE_EXP} and 0; {WAY_OUT}"
        )
    if not isinstance(node, SigmaDelta):
        return NetSdnn(node.vth), None
    if node.activation != "relu":
        raise UnsupportedError(f"{where}: has no activation, and netx runs relu; {WAY_OUT}")
    bias = np.broadcast_to(np.asarray(node.bias, np.int64), node.shape)
    return NetSdnn(node.vth), stored(bias, flat) if bias.any() else None


def begun_together(name: str, feed: Sequence[Connection]) -> list[Connection]:
    """The connections with what they delay beyond a synapse's step; UnsupportedError where the window begins later than its source's."""
    if any(c.delay + 1 or not c.lag for c in feed):
        raise UnsupportedError(
            f"{name}: netx begins all sigma-delta populations at once, and this one begins after what feeds it (delay=-1 with a lag of 1 "
            f"or more is netx's); {WAY_OUT}"
        )
    return [replace(c, delay=0, lag=c.lag - 1) for c in feed]
