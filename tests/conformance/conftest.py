"""The comparison with the independent NIR simulator, for every test of this folder."""

from collections.abc import Callable

import nir
import nir_equations
import numpy as np
import pytest
import torch

from snnfuse.export.lowering import float_simulator as float_run
from snnfuse.export.lowering.nir_to_network import lower


@pytest.fixture
def agree(tmp_path) -> Callable[..., nir.NIRGraph]:
    """Asserts that the graph, the graph read back from a file, and what it is lowered to give the expected outputs on every step."""

    def check(
        graph: nir.NIRGraph,
        inputs: dict[str, torch.Tensor],
        expected: dict[str, np.ndarray],
        rate: bool = True,
    ) -> nir.NIRGraph:
        nir.write(tmp_path / "graph.nir", graph)
        for each in (graph, nir.read(tmp_path / "graph.nir")):
            outputs = nir_equations.simulate(each, {name: x.numpy() for name, x in inputs.items()})
            assert outputs.keys() == expected.keys()
            for name, values in expected.items():
                assert (outputs[name] != values).sum() == 0
            network = lower(each)
            run = float_run.simulate(network, {name: x.numpy() for name, x in inputs.items()})
            for name, values in expected.items():
                assert (run.spikes[network.outputs[name]] != values).sum() == 0
        if rate:
            assert all(0.001 < values.mean() < 0.95 for values in expected.values())
        return graph

    return check
