"""Whatever is wrong with a graph, `lower` says it in one line: random damage of every kind to random graphs of every node."""

from collections.abc import Callable

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nir import DT, random_graph

from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.hardware.errors import InputError, SnnfuseError

Damage = Callable[[nir.NIRGraph, np.random.Generator], None]
WRONG = (
    None, "text", b"bytes", [], [[1, 2], [3]], np.nan, np.inf, -1, 0, 10**30, np.ones(0), np.ones((2, 3, 4)), np.ones((1,) * 7),
    np.array("text"), np.array(None), np.array([1 + 2j]), np.full((3, 3), np.nan), {}, object(), np.zeros(3), -np.ones(4), True,
)  # fmt: skip


def any_of(items: list, rng: np.random.Generator):
    return items[rng.integers(len(items))]


def intact(graph: nir.NIRGraph) -> list[nir.NIRNode]:
    return [node for node in graph.nodes.values() if isinstance(node, nir.NIRNode)] or [nir.Scale(np.ones(1))]


def parameter(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    node = any_of(intact(graph), rng)
    setattr(node, any_of(list(vars(node)), rng), any_of(list(WRONG), rng))


def one_value(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    node = any_of(intact(graph), rng)
    arrays = [value for value in vars(node).values() if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size]
    if arrays:
        any_of(arrays, rng).flat[0] = any_of([np.nan, np.inf, -1.0, 0.0, 1e300], rng)


def lost_node(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    del graph.nodes[any_of(list(graph.nodes), rng)]


def lost_edge(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    graph.edges.remove(any_of(graph.edges, rng))


def new_edge(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    graph.edges.append((any_of(list(graph.nodes), rng), any_of(list(graph.nodes), rng)))


def no_edge(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    graph.edges.append(any_of([("a", "b"), ("in0",), None, 3, ("in0", 3), "ab"], rng))


def no_node(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    graph.nodes[any_of(list(graph.nodes), rng)] = any_of(list(WRONG), rng)


def another_node(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    nodes = list(graph.nodes)
    graph.nodes[any_of(nodes, rng)] = graph.nodes[any_of(nodes, rng)]


def within_itself(graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    graph.nodes[any_of(list(graph.nodes), rng)] = graph


DAMAGES: tuple[Damage, ...] = (
    parameter, parameter, one_value, lost_node, lost_edge, new_edge, no_edge, no_node, another_node, within_itself
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damage_is_one_line(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    for _ in range(rng.integers(1, 4)):
        if graph.nodes and graph.edges:
            DAMAGES[rng.integers(len(DAMAGES))](graph, rng)
    try:
        lower(graph, DT)
    except SnnfuseError as error:
        assert "\n" not in str(error) and len(str(error)) < 700


@pytest.mark.parametrize("value", ["text", [[1.0], [1.0, 2.0]], None, {}], ids=repr)
@pytest.mark.parametrize("node, key", [(nir.Threshold, "threshold"), (nir.Scale, "scale")])
def test_a_damaged_product_is_refused_by_name(node: type, key: str, value: object) -> None:
    nodes = {
        "x": nir.Input({"input": np.array([2])}),
        "q": nir.Input({"input": np.array([2])}),
        "gate": nir.Scale(np.ones(2)),
        "and": nir.Threshold(np.full(2, 1.5)),
        "out": nir.Output({"output": np.array([2])}),
    }
    damaged = next(name for name, found in nodes.items() if isinstance(found, node))
    edges = [("x", "and"), ("q", "gate"), ("gate", "and"), ("and", "out")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    setattr(graph.nodes[damaged], key, value)
    with pytest.raises(SnnfuseError, match=damaged) as refused:
        lower(graph, DT)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(
    "node, key", [(nir.Input, "input_type"), (nir.Output, "output_type"), (nir.Linear, "weight"), (nir.LIF, "tau"), (nir.Delay, "delay")]
)
def test_a_wrong_parameter_names_its_node(node: type, key: str, value: object) -> None:
    nodes = {
        "a": nir.Input({"input": np.array([4])}),
        "b": nir.Linear(np.ones((4, 4))),
        "c": nir.Delay(np.zeros(4)),
        "d": nir.LIF(*np.ones((4, 4)), v_reset=np.zeros(4)),
        "e": nir.Output({"output": np.array([4])}),
    }
    graph = nir.NIRGraph(nodes, list(zip("abcd", "bcde")), type_check=False)
    (name,) = (name for name, each in nodes.items() if type(each) is node)
    setattr(nodes[name], key, value)
    try:
        lower(graph, 0.5)
    except SnnfuseError as error:
        assert "\n" not in str(error)
        assert repr(name) in str(error) or name == "e" or f"{name} gives" in str(error) or f"-> {name}" in str(error)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_file_of_wrong_content_is_one_line(tmp_path_factory, seed: int) -> None:
    """Entries are missing or hold something else; bytes that are no HDF5 are another test's, and crash HDF5 itself."""
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("file") / "graph.nir"
    nir.write(path, random_graph(seed % 20))
    with h5py.File(path, "a") as file:
        for _ in range(rng.integers(1, 4)):
            names: list[str] = []
            file.visit(names.append)
            name = any_of(names, rng)
            del file[name]
            if rng.random() < 0.5:
                file[name] = any_of(["text", 3, -1.0, np.nan, np.ones((2, 2)), np.zeros(0)], rng)
            if not len(file):
                break
    try:
        lower(read_graph(path), DT)
    except SnnfuseError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_file_cut_short_is_one_line(tmp_path, keep: int) -> None:
    nir.write(tmp_path / "graph.nir", random_graph(0))
    (tmp_path / "graph.nir").write_bytes((tmp_path / "graph.nir").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"graph\.nir: (no readable (NIR graph|HDF5 file): |is cut off, |it is empty)[^\n]*$"):
        read_graph(tmp_path / "graph.nir")
