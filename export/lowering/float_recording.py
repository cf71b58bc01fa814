"""The float network's run as a Recording, so that it compares with any other, spike by spike."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.hardware.ir.encoding import as_inputs
from snnfuse.hardware.ir.nodes import SpikeInput
from snnfuse.hardware.ir.recording import Recording

if TYPE_CHECKING:
    import nir


def record_floats(graph: "nir.NIRGraph | Network", x: ArrayLike | Mapping[str, ArrayLike], dt: float | None = None) -> Recording:
    """Run a float network by NIR's equations.

    Args:
        graph: a NIR graph, which is lowered, or a Network.
        x: float (time, batch, *shape), or {input name: such an array}.
        dt: seconds per step, as for `lower`.

    Returns:
        Recording of every population in its own window: spikes bool (time, batch, *shape), or int32 where it sends numbers; its voltage
        after the reset as state "v", float64, in the network's own units; latency: of a program with a step per synapse. A program's
        recording compares with it in its spikes.

    Raises:
        InputError, UnsupportedError: as of `lower`; InputError for inputs that it does not take.
    """
    network = graph if isinstance(graph, Network) else lower(graph, dt)
    inputs = as_inputs({name: SpikeInput(shape) for name, shape in network.inputs.items()}, x)
    run = simulate(network, inputs)
    states = {name: {"v": v} for name, v in run.v.items() if not network.populations[name].counts}
    latency = {name: network.depth[name] for name in run.spikes} | {n: network.depth[node] for n, node in network.outputs.items()}
    spikes = run.spikes | {name: run.spikes[node] for name, node in network.outputs.items()}
    events: Any = {name: np.asarray(array, np.float64) for name, array in inputs.items()}  # a float network is fed no integers
    return Recording(spikes, states, latency, dict(network.outputs), events, "float network, NIR's equations")
