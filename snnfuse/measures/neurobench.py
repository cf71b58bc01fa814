"""NeuroBench's own package on a Program: its synapse groups as torch layers, which are shown the spikes of a run again.

The package measures torch modules by hooks: what goes into every connection layer, and what comes out of every activation. Here these
are the program's integers and a recording, so that its figures are those of the integers. In double precision, for it adds in the
layers' own type.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.energy.metrics import sent_by
from snnfuse.hardware.errors import EnvironmentProblem, InputError
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Synapse

if TYPE_CHECKING:
    from torch import nn

MOST_WEIGHTS = 1 << 26  # of a group that is written out: the package has no sparse layer
INSTALL = "pip install 'snnfuse[neurobench]'"


def run_neurobench(program: Program, events: Mapping[str, NDArray]) -> dict[str, Any]:
    """The package's metrics of a program on these inputs.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input.

    Returns:
        connection_sparsity (which the package rounds to four digits), activation_sparsity, effective_acs, effective_macs, dense.

    Raises:
        EnvironmentProblem: the package is not installed.
        InputError: a sparse group that is too large to be written out.
    """
    try:
        from neurobench.metrics.static import ConnectionSparsity
        from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    except ImportError as error:
        raise EnvironmentProblem(f"the neurobench package is needed for its own figures ({error}); install it: {INSTALL}") from error
    import torch

    model = _replay(program, events)
    model.register_hooks()
    samples = next(iter(events.values())).shape[1]
    data = (torch.zeros(samples, 1), None)  # the package reads the number of samples off it
    with torch.no_grad():
        model(data[0])
        operations = SynapticOperations()(model, None, data)
        active = ActivationSparsity()(model, None, data)
    return {
        "connection_sparsity": float(ConnectionSparsity()(model)),
        "activation_sparsity": float(active),
        "effective_acs": float(operations["Effective_ACs"]),
        "effective_macs": float(operations["Effective_MACs"]),
        "dense": float(operations["Dense"]),
    }


def layer_of(synapse: Synapse, name: str) -> "nn.Module":
    """A synapse group as a torch layer without bias, in double precision."""
    import torch
    from torch import nn

    conv = synapse.convolution
    if conv is not None:
        out, _, *kernel = conv.geometry.kernel
        geometry = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}
        layer: nn.Module = nn.Conv2d(conv.input_shape[0], out, (kernel[0], kernel[1]), bias=False, dtype=torch.float64, **geometry)
        weights = conv.weights
    else:
        if np.prod(synapse.size, dtype=np.int64) > MOST_WEIGHTS:
            raise InputError(f"connection {name}: neurobench has no sparse layer, and {synapse.size} weights are too many to write out")
        layer = nn.Linear(synapse.size[1], synapse.size[0], bias=False, dtype=torch.float64)
        matrix = synapse.matrix()
        weights = matrix.toarray() if sparse.issparse(matrix) else matrix
    layer.weight = nn.Parameter(torch.from_numpy(weights.astype(np.float64)), requires_grad=False)
    return layer


def _replay(program: Program, events: Mapping[str, NDArray]) -> Any:
    """A NeuroBench model that shows each layer what the run sent."""
    import torch
    from neurobench.models import TorchModel
    from torch import nn

    recording = emulate(program, events, "all")
    links = [c for c in program.connections if program.nodes[c.source].is_timed]
    sent = [_shown(c, sent_by(program, recording, c)) for c in links]
    fired = [recording.spikes[name] for name in program.neurons]

    class Shown(nn.Module):
        """An activation whose output is known."""

        def forward(self, spikes: torch.Tensor) -> torch.Tensor:
            return spikes

    class Replay(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.synapses = nn.ModuleList(layer_of(c.synapse, f"{c.source} -> {c.target}") for c in links)
            self.neurons = nn.ModuleList(Shown() for _ in fired)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            for t in range(len(fired[0])):
                for layer, spikes in zip(self.synapses, sent):
                    layer(_tensor(spikes[t]))
                for activation, spikes in zip(self.neurons, fired):
                    activation(_tensor(spikes[t]))
            return batch

    model = TorchModel(Replay())
    model.add_activation_module(Shown)
    return model


def _shown(connection: Connection, spikes: NDArray) -> NDArray:
    """In the shape that the layer takes: an image, or a vector."""
    conv = connection.synapse.convolution
    shape = conv.input_shape if conv is not None else (connection.synapse.size[1],)
    return spikes.reshape(*spikes.shape[:2], *shape)


def _tensor(spikes: NDArray) -> Any:
    import torch

    return torch.from_numpy(spikes.astype(np.float64))
