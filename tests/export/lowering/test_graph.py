"""The graph of NIR nodes, and orders of graphs."""

import networkx
import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operation_count import count_operations

from snnfuse.export.lowering.graph import Graph, fresh_name, strong_components
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput
from snnfuse.hardware.ir.graph_order import reachable, shortest_way, topological_order

NAMES = "abcdefgh"
EDGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20)


def scale() -> nir.Scale:
    return nir.Scale(np.ones(1))


@given(EDGES, st.lists(st.sampled_from(NAMES), unique=True))
def test_neighbours_are_those_of_the_edges(edges: list[tuple[str, str]], removed: list[str]) -> None:
    graph = Graph({name: scale() for name in NAMES}, edges)
    for name in removed:
        graph.remove(name)
    left = [edge for edge in dict.fromkeys(edges) if not {*edge} & {*removed}]
    assert graph.edges == tuple(left) and [*graph.nodes] == [name for name in NAMES if name not in removed]
    for name in NAMES:
        assert graph.sources(name) == tuple(s for s, t in left if t == name)
        assert graph.targets(name) == tuple(t for s, t in left if s == name)


@given(EDGES)
def test_orders_are_those_of_networkx(edges: list[tuple[str, str]]) -> None:
    other = networkx.DiGraph()
    other.add_nodes_from(NAMES)
    other.add_edges_from(edges)
    order = topological_order(NAMES, edges)
    place = {name: i for i, name in enumerate(order)}
    assert all(place[s] < place[t] for s, t in edges if t in place)
    assert (len(order) == len(NAMES)) == networkx.is_directed_acyclic_graph(other)
    looped = {name for name in NAMES if any(name in loop for loop in networkx.simple_cycles(other))}
    assert {*order} == {*NAMES} - looped - {t for name in looped for t in networkx.descendants(other, name)}
    components = strong_components(NAMES, edges)
    assert {frozenset(n for n in NAMES if components[n] == first) for first in components.values()} == {
        frozenset(found) for found in networkx.strongly_connected_components(other)
    }
    for name in NAMES:
        assert {*reachable([name], lambda n: other.successors(n))} == {name} | networkx.descendants(other, name)


@given(EDGES, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_way_is_the_shortest(edges: list[tuple[str, str]], start: str, goal: str) -> None:
    other = networkx.DiGraph([("a", "b"), *edges])
    other.add_nodes_from(NAMES)
    way = shortest_way(start, goal, lambda name: other.successors(name))
    assert all(edge in other.edges for edge in zip(way, way[1:], strict=False))
    loops = [networkx.shortest_path_length(other, s, goal) for s in other.successors(start) if networkx.has_path(other, s, goal)]
    assert len(way) == (2 + min(loops) if loops else 0)


def test_an_order_keeps_what_is_free_as_it_was() -> None:
    assert topological_order("dcba", [("a", "c")]) == ("d", "b", "a", "c")


@pytest.mark.parametrize("taken, expected", [((), "x"), (("x",), "x_1"), (("x", "x_1"), "x_2"), (("x_1",), "x")])
def test_a_fresh_name_is_new(taken: tuple[str, ...], expected: str) -> None:
    assert fresh_name("x", taken) == expected == fresh_name("x", {}, {*taken})


def chain(count: int) -> Program:
    weights = Dense(np.full((1, 1), 64, np.int32))
    names = ["x", *(f"n{i}" for i in range(count))]
    nodes = {"x": SpikeInput((1,))} | {name: Lif((1,), 0, 0, 10) for name in names[1:]}
    links = tuple(Connection(s, t, weights) for s, t in zip(names, names[1:], strict=False))
    return Program(nodes, links, {"out": Output(names[-1])})


def test_a_programs_checks_grow_linearly() -> None:
    modules = "hardware/ir/program.py", "hardware/ir/graph_order.py"
    small, large = (count_operations(lambda count=count: chain(count).latency, *modules) for count in (50, 200))
    assert 3.5 < large / small < 4.5
