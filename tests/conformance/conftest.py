"""The comparison with the independent NIR simulator, for every test of this folder."""

from collections.abc import Callable

import nir
import nir_equations
import numpy as np
import pytest
import torch

from snnfuse.export.lowering import float_simulator as float_run
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.notes import without_notes
from snnfuse.export.lowering.reset_notes import read_note


@pytest.fixture
def agree(tmp_path) -> Callable[..., nir.NIRGraph]:
    """Asserts that the graph, the graph read back from a file, and what it is lowered to give the expected outputs on every step; where
    a note says what NIR cannot, that what it is lowered to does, and without the note is what NIR's equations give.
    """

    def check(
        graph: nir.NIRGraph,
        inputs: dict[str, torch.Tensor],
        expected: dict[str, np.ndarray],
        rate: bool = True,
    ) -> nir.NIRGraph:
        nir.write(tmp_path / "graph.nir", graph)
        for each in (graph, nir.read(tmp_path / "graph.nir")):
            outputs = nir_equations.simulate(each, {name: x.numpy() for name, x in inputs.items()})
            assert outputs.keys() - {"membrane"} == expected.keys()  # that of a neuron which fires has tests of its own
            outputs = {name: outputs[name] for name in expected}
            has_notes = any(read_note(node) for node in each.nodes.values())
            for seen, wanted in ((without_notes(each), outputs), (each, expected if has_notes else outputs)):
                network = lower(seen)
                run = float_run.simulate(network, {name: x.numpy() for name, x in inputs.items()})
                for name, values in wanted.items():
                    assert (run.spikes[network.outputs[name]] != values).sum() == 0
            for name, values in ({} if has_notes else expected).items():
                assert (outputs[name] != values).sum() == 0
        if rate:
            assert all(0.001 < values.mean() < 0.95 for values in expected.values())
        return graph

    return check
