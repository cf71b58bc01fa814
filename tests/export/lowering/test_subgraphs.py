"""Graphs within graphs are written out, and mean what the same nodes side by side mean."""

import nir
import nir_equations
import numpy as np
import pytest
from lowering_graphs import DT, RNG, graph, lif, spikes

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.subgraphs import inlined
from snnfuse.hardware.errors import InputError, UnsupportedError

WEIGHTS = [RNG.normal(0.3, 1, (4, 4)) for _ in range(3)]


def ends() -> dict[str, nir.NIRNode]:
    return {"input": nir.Input({"input": np.array([4])}), "output": nir.Output({"output": np.array([4])})}


def block(weight: np.ndarray, **inner: nir.NIRNode) -> nir.NIRGraph:
    """Linear and recurrent neurons as a graph of their own."""
    nodes = {**ends(), "fc": nir.Linear(weight), "lif": lif(4), "rec": nir.Linear(0.2 * weight), **inner}
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")], type_check=False)


def nested() -> nir.NIRGraph:
    """A block in a graph in a graph, then another block."""
    middle = nir.NIRGraph({**ends(), "block": block(WEIGHTS[0])}, [("input", "block"), ("block", "output")], type_check=False)
    return graph([("input", "a"), ("a", "b"), ("b", "output")], **ends(), a=middle, b=block(WEIGHTS[1]))


def flat() -> nir.NIRGraph:
    nodes, edges = ends(), [("input", "a.block.fc"), ("a.block.lif", "b.fc"), ("b.lif", "output")]
    for name, weight in (("a.block", WEIGHTS[0]), ("b", WEIGHTS[1])):
        nodes |= {f"{name}.fc": nir.Linear(weight), f"{name}.lif": lif(4), f"{name}.rec": nir.Linear(0.2 * weight)}
        edges += [(f"{name}.{s}", f"{name}.{t}") for s, t in (("fc", "lif"), ("lif", "rec"), ("rec", "lif"))]
    return graph(edges, **nodes)


def test_nested_graphs_are_the_same_written_out(tmp_path) -> None:
    written = inlined(nested())
    assert written.nodes.keys() == flat().nodes.keys() and {*written.edges} == {*flat().edges}
    x = {"input": spikes(50, 3, 4)}
    expected = nir_equations.simulate(flat(), x)["output"]
    nir.write(tmp_path / "graph.nir", nested())
    for each in (nested(), nir.read(tmp_path / "graph.nir")):
        np.testing.assert_array_equal(simulate(lower(each, DT), x).spikes["b.lif"], expected)
    assert 0.01 < expected.mean() < 0.9


def test_a_subgraph_that_passes_on_what_it_gets_counts_beside_a_direct_edge() -> None:
    """Two equal edges would be one; the sum is twice the input."""
    through = nir.NIRGraph(ends(), [("input", "output")], type_check=False)
    both = graph([("input", "sub"), ("sub", "lif"), ("input", "lif"), ("lif", "output")], **ends(), sub=through, lif=lif(4))
    network = lower(both)
    total = sum(p.weights.matrix.toarray() for p in network.projections)
    assert total.tolist() == (2 * np.eye(4)).tolist()


def test_an_edge_that_could_mean_several_inputs_is_refused() -> None:
    two = block(WEIGHTS[0], side=nir.Input({"input": np.array([4])}))
    two.edges.append(("side", "lif"))
    with pytest.raises(UnsupportedError, match="subgraph 'a' has 2 inputs, and an edge does not say which it means"):
        lower(graph([("input", "a"), ("a", "output")], **ends(), a=two))


def test_an_unknown_node_in_a_subgraph_is_named_with_its_path() -> None:
    broken = block(WEIGHTS[0])
    broken.edges.append(("lif", "gone"))
    with pytest.raises(InputError, match=r"edge 'lif' -> 'gone': the graph has no node a\.gone"):
        lower(graph([("input", "a"), ("a", "output")], **ends(), a=broken))


def test_names_that_meet_are_refused() -> None:
    with pytest.raises(InputError, match=r"two nodes are called 'a\.fc' once subgraphs are written out"):
        lower(graph([("input", "a"), ("a", "a.fc"), ("a.fc", "output")], **ends(), **{"a": block(WEIGHTS[0]), "a.fc": lif(4)}))


def test_a_graph_that_holds_itself_is_one_line() -> None:
    endless = graph([("input", "a"), ("a", "output")], **ends(), a=lif(4))
    endless.nodes["a"] = endless
    with pytest.raises(InputError, match="does the graph hold itself"):
        lower(endless)


def test_graphs_within_a_file_are_checked_by_lowering_and_not_by_nir(tmp_path) -> None:
    """Neurons whose parameters are one number for all have a shape of their own for nir, and a graph of them no reading."""
    inner = {**ends(), "fc": nir.Linear(WEIGHTS[0]), "lif": lif(1)}
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    with pytest.raises(ValueError, match="type mismatch"):
        nir.NIRGraph(inner, list(edges))
    outer = graph([("input", "a"), ("a", "output")], **ends(), a=nir.NIRGraph(inner, edges, type_check=False))
    nir.write(tmp_path / "graph.nir", outer)
    assert lower(read_graph(tmp_path / "graph.nir"), DT).populations["a.lif"].shape == (4,)
