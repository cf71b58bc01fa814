"""S-CMRL as NIR: the graph that a plain reader opens is, by NIR's own equations, the network."""

from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from nir_equations import simulate
from s_cmrl_networks import lively, on_a_grid, pictures, pictures_on_a_grid

from snnfuse import export
from snnfuse.compile.staged_sources import trace_stages
from snnfuse.export.staging.staged import simulate_staged
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.networks import run


@pytest.mark.parametrize("fusion", ["spatio-temporal", "spatial", "temporal", "query-key", "add", "sca", "cmci", "image", "audio"])
def test_a_graph_read_by_anybody_is_the_network(fusion: str, tmp_path: Path) -> None:
    model = on_a_grid(fusion=fusion)
    x = pictures_on_a_grid(model)
    nir.write(tmp_path / "net.nir", export.to_nir(model, tuple(step[0] for step in x)))
    inputs = {name: values.numpy() for name, values in zip(model.inputs, x, strict=True)}
    (actual,) = simulate(nir.read(tmp_path / "net.nir"), inputs).values()
    with torch.no_grad():
        expected = run(model, *x).numpy()
    np.testing.assert_array_equal(actual, expected)
    assert len(np.unique(expected)) > 10


def test_the_other_order_of_products_has_a_graph_too() -> None:
    model = on_a_grid(fusion="spatial", order="kv-first")
    x = pictures_on_a_grid(model)
    graph = export.to_nir(model, tuple(step[0] for step in x))
    (actual,) = simulate(graph, {name: values.numpy() for name, values in zip(model.inputs, x, strict=True)}).values()
    np.testing.assert_array_equal(actual, run(model, *x).detach().numpy())


def test_weight_attention_is_refused_by_name() -> None:
    model = lively(fusion="weight-attention")
    with pytest.raises(UnsupportedError, match=r"weigh_(image|audio).*is no count"):
        export.to_nir(model, tuple(step[0] for step in pictures(model)))


@pytest.mark.parametrize("fusion", ["spatio-temporal", "temporal"])
def test_the_exact_form_is_three_graphs_and_a_host(fusion: str) -> None:
    model = on_a_grid(fusion=fusion, attention="exact")
    x = pictures_on_a_grid(model)
    graphs = trace_stages(model, {name: tuple(values.shape[2:]) for name, values in zip(model.inputs, x, strict=True)})
    last = simulate_staged(graphs, {name: values.numpy() for name, values in zip(model.inputs, x, strict=True)})[-1]
    expected = run(model, *x).detach().numpy()
    np.testing.assert_array_equal(last.run.v[last.network.outputs["output"]], expected)
    assert len(graphs.stages) == 3 and len(np.unique(expected)) > 10
    assert {link.name for link in graphs.links if link.reduction == "count"} >= {"image_products", "audio_products"}


def test_legacy_is_not_exported() -> None:
    model = on_a_grid(attention="exact", legacy=True)
    with pytest.raises(UnsupportedError, match="legacy attention"):
        trace_stages(model, {"image": (2, 8, 8), "audio": (1, 8, 8)})
