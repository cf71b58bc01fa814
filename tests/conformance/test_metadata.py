"""A graph is what its nodes and edges say: without any metadata it is the same network, but for the rules that NIR has no words for, of
which it has the nearest."""

import nir
import numpy as np
import pytest
import torch
from snntorch_models import amplify, leaky, synaptic
from torch import nn

from snnfuse.export import lower, to_nir
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.reset_notes import NEAREST
from snnfuse.export.tracing import DT

MODELS = {
    "resets": lambda: nn.Sequential(
        nn.Linear(6, 8), leaky(beta=0.9), nn.Linear(8, 8), leaky(beta=0.8, reset_delay=False), nn.Linear(8, 8),
        synaptic(alpha=0.5, beta=0.7), nn.Linear(8, 4), leaky(beta=0.7, reset_mechanism="zero", reset_delay=False),
    ),
    "membrane": lambda: nn.Sequential(nn.Linear(6, 8), leaky(beta=0.9), nn.Linear(8, 3), synaptic(alpha=0.5, beta=0.9)),
    "images": lambda: nn.Sequential(
        nn.Conv2d(6, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), leaky(beta=0.8), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(36, 4), leaky(beta=0.5),
    ),
}  # fmt: skip


def everything(network: Network) -> dict[str, object]:
    """All numbers and names of a network, but its ledger."""
    parts: dict[str, object] = {"inputs": network.inputs, "outputs": network.outputs, "dt": network.dt}
    for name, population in network.populations.items():
        values = vars(population).items()
        parts[name] = {key: rounded(value) for key, value in values}
    for i, p in enumerate(sorted(network.projections, key=lambda p: (p.source, p.target))):
        parts[f"projection {i}"] = (p.source, p.target, p.lag, p.weights.values.tolist())
    return parts


def rounded(value: object) -> object:
    """Numbers to five digits: of its own graphs this package knows how they were rounded, and that thresholds are raised by 1e-6."""
    if isinstance(value, np.ndarray):
        return [float(f"{x:.5g}") for x in value.ravel().tolist()]
    return NEAREST[value][0] if isinstance(value, str) and value in NEAREST else value


@pytest.mark.parametrize("name", MODELS)
def test_without_metadata_it_is_the_same_network(name: str, tmp_path) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().double().eval()
    amplify(model, 2.0)
    graph = to_nir(model, torch.zeros(1, *((6, 6, 6) if name == "images" else (6,)), dtype=torch.float64))
    assert graph.metadata
    expected = everything(lower(graph))
    bare = nir.NIRGraph(graph.nodes, graph.edges)
    for node in bare.nodes.values():
        node.metadata = {}
    nir.write(tmp_path / "bare.nir", bare)
    found = everything(lower(nir.read(tmp_path / "bare.nir"), DT))
    assert found.keys() == expected.keys() and {n: found[n] for n in expected} == expected
    assert any(p != {} for p in found.values()) and not nir.read(tmp_path / "bare.nir").metadata
