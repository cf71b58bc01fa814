"""The search for bit widths: cheapest within a drop, decided on samples that no fit has seen, the same wherever it runs."""

import nir
import numpy as np
import pytest
from quantization_graphs import chain, lif

from snnfuse.export import lower, simulate
from snnfuse.export.quantization.mixed_precision import Choice
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.export.staging.search import search
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import InputError, UnsupportedError

ONE = QuantizationSettings(max_groups=1)


def network() -> tuple[nir.NIRGraph, np.ndarray, np.ndarray]:
    """A graph of two layers, inputs, and labels: its own classes, one in ten of them wrong."""
    rng = np.random.default_rng(0)
    first, second = nir.Linear(rng.normal(0, 0.4, (24, 16))), nir.Linear(rng.normal(0, 0.6, (4, 24)))
    graph = chain(first, lif(24, 0.9), second, lif(4, 0.9), size=16)
    x = np.random.default_rng(1).random((30, 60, 16)) < np.random.default_rng(2).random((1, 60, 16)) * 0.6
    classes = simulate(lower(graph), {"input": x.astype(float)}).spikes["n3"].sum(0).argmax(1)
    return graph, x.astype(float), np.where(np.arange(60) % 10 == 3, (classes + 1) % 4, classes)


def test_the_cheapest_assignment_within_the_drop_is_taken() -> None:
    graph, x, labels = network()
    found = search(StagedGraph((graph,)), {"input": x}, labels, 4.0, settings=ONE)
    program = found.quantized.pipeline.programs[0]
    held = program.decode(emulate(program, program.encode({"input": x[:, 1::2]})))
    assert float((held == labels[1::2]).mean()) == found.best.accuracy  # of the half that no fit has seen
    assert found.best.accuracy >= found.float_accuracy - 0.04
    assert found.best.memory < found.points[0].memory
    assert found.best.memory == min(p.memory for p in found.points if p.accepted)
    assert all(a.memory < b.memory and a.accuracy < b.accuracy for a, b in zip(found.front, found.front[1:]))
    assert found.samples == (30, 30)


def test_without_labels_the_float_classes_are_kept() -> None:
    graph, x, _ = network()
    found = search(StagedGraph((graph,)), {"input": x}, None, 10.0, settings=ONE)
    assert (found.judged_by, found.float_accuracy) == ("the float network's classes", 1.0)
    assert found.best.accuracy >= 0.9


def test_a_search_is_the_same_every_time() -> None:
    graph, x, labels = network()
    first, second = (search(StagedGraph((graph,)), {"input": x}, labels, 4.0, settings=ONE) for _ in range(2))
    assert first.points == second.points
    for a, b in zip(first.quantized.pipeline.programs[0].connections, second.quantized.pipeline.programs[0].connections):
        np.testing.assert_array_equal(a.synapse.values, b.synapse.values)


@pytest.mark.slow
def test_a_cluster_finds_the_same() -> None:
    pytest.importorskip("ray")
    from snnfuse.export.quantization.ray_mapper import on_cluster

    graph, x, labels = network()
    here = search(StagedGraph((graph,)), {"input": x}, labels, 4.0, settings=ONE)
    there = search(StagedGraph((graph,)), {"input": x}, labels, 4.0, settings=ONE, mapper=on_cluster())
    assert here.points == there.points
    for a, b in zip(here.quantized.pipeline.programs[0].connections, there.quantized.pipeline.programs[0].connections):
        np.testing.assert_array_equal(a.synapse.values, b.synapse.values)


def test_what_cannot_be_searched_is_named() -> None:
    graph, x, labels = network()
    with pytest.raises(InputError, match="a search needs two samples or more"):
        search(StagedGraph((graph,)), {"input": x[:, :1]}, labels[:1], 1.0)
    with pytest.raises(InputError, match="max_drop must be 0 percentage points or more"):
        search(StagedGraph((graph,)), {"input": x}, labels, -1.0)
    with pytest.raises(UnsupportedError, match="no choice of bits keeps within the drop"):
        search(StagedGraph((graph,)), {"input": x}, labels, 0.0, mapper=lambda f, c, tasks: [f(c, (n, Choice(1, 1))) for n, _ in tasks])
    with pytest.raises(UnsupportedError, match="'n1': no bit width keeps its weights"):
        search(StagedGraph((graph,)), {"input": x}, labels, 0.0, mapper=lambda f, c, tasks: [None for _ in tasks])
