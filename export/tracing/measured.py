"""What tracing changed, measured: the model's own output spikes against those of its graph."""

import json
from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import utils
from torch import nn

from snnfuse.export.float_run import simulate
from snnfuse.export.lowering import lower
from snnfuse.export.tracing.untouched import untouched
from snnfuse.hardware.ledger import Ledger, to_json


def measured_ledger(
    model: nn.Module, graph: nir.NIRGraph, ledger: Ledger, inputs: Mapping[str, NDArray], unrolled: bool
) -> tuple[nir.NIRGraph, Ledger]:
    """The graph and its ledger with the effect of all entries together, which only a run can tell.

    Args:
        model: what the graph was traced from; left as it is.
        graph, ledger: as `trace_model` gave them; the graph's metadata is renewed.
        inputs: float (time, batch, *shape) in the order of forward's arguments.
        unrolled: whether forward loops over time itself.

    Returns:
        The same where the ledger is empty or the graph has more than one output, whose spikes cannot be told apart.
    """
    if not ledger or len(graph.outputs) != 1:
        return graph, ledger
    network = lower(graph)
    (node,) = network.outputs.values()
    if network.populations[node].is_readout:
        return graph, ledger
    ours = simulate(network, inputs).spikes[node]
    wrong = np.count_nonzero(ours != first_output(model, inputs, unrolled).reshape(ours.shape).astype(bool))
    effect = (
        f"with all changes of the trace, {wrong} output spikes differ where the graph has {np.count_nonzero(ours)}, "
        f"on {ours.shape[1]} samples"
    )
    ledger = tuple(replace(entry, effect=entry.effect or effect) for entry in ledger)
    about = json.loads(graph.metadata["snnfuse"]) | {"ledger": to_json(ledger)}
    return nir.NIRGraph(graph.nodes, graph.edges, metadata={"snnfuse": json.dumps(about)}), ledger


def first_output(model: nn.Module, inputs: Mapping[str, NDArray], unrolled: bool) -> NDArray:
    """The first tensor that a model returns, (time, batch, *shape), run from rest in its own precision."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    tensors = [torch.as_tensor(np.asarray(x), dtype=like.dtype, device=like.device) for x in inputs.values()]
    with untouched(model):
        utils.reset(model)
        if unrolled:
            return _first(model(*tensors)).cpu().numpy()
        return np.stack([_first(model(*(x[t] for x in tensors))).cpu().numpy() for t in range(len(tensors[0]))])


def _first(returned: object) -> torch.Tensor:
    while isinstance(returned, (tuple, list)):
        returned = returned[0]
    return returned
