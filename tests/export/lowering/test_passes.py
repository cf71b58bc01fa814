"""The passes from a NIR graph to the network that is rounded: listed, watched, and run one by one."""

import nir
import numpy as np
import pytest
from lowering_graphs import DT, chain, lif, ping_pong, spikes

from snnfuse.export import lower, passes, quantize
from snnfuse.export.lowering.graph import Graph
from snnfuse.export.lowering.legalize import LEGALIZE, legalize
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import LOWERING
from snnfuse.export.lowering.passes import run_passes
from snnfuse.export.lowering.state import Lowering
from snnfuse.export.lowering.subgraphs import inlined
from snnfuse.hardware.errors import UnsupportedError


def test_the_list_says_what_each_pass_does() -> None:
    listed = [str(each) for each in passes()]
    assert len({each.name for each in passes()}) == len(listed) > 10
    assert all(line.partition(": ")[2] and line.endswith(".") and "\n" not in line for line in listed), listed


def test_quantize_shows_what_every_pass_gives_in_the_order_of_the_list() -> None:
    seen = []
    quantize(ping_pong(), spikes(40, 4, 4), reset="subtract", watch=lambda name, value: seen.append((name, type(value))))
    assert [name for name, _ in seen] == [each.name for each in passes()]
    kinds = [kind for _, kind in seen]
    assert kinds == [Graph] * 4 + [Lowering] * len(LOWERING) + [Network] * (len(seen) - 4 - len(LOWERING))


def test_watching_changes_nothing() -> None:
    seen = {}
    watched = lower(ping_pong(), watch=seen.__setitem__)
    plain = lower(ping_pong())
    assert [(p.source, p.target, p.lag) for p in watched.projections] == [(p.source, p.target, p.lag) for p in plain.projections]
    assert seen["projections"].projections == watched.projections


def test_products_that_cannot_be_proven_are_searched_again() -> None:
    """x may be 2, which one threshold is no product of: the second round leaves it as neurons."""
    nodes = {
        "x": nir.Input(np.array([2])),
        "twice": nir.Linear(2 * np.eye(2)),
        "first": lif(2),
        "q": nir.Input(np.array([2])),
        "second": lif(2),
        "gate": nir.Scale(np.ones(2)),
        "and": nir.Threshold(np.full(2, 1.5)),
        "out": nir.Output(np.array([2])),
    }
    edges = [("x", "first"), ("first", "twice"), ("twice", "and"), ("q", "second"), ("second", "gate"), ("gate", "and"), ("and", "out")]
    seen = []
    network = lower(nir.NIRGraph(nodes, edges, type_check=False), DT, watch=lambda name, value: seen.append((name, value)))
    rounds = [value.nodes.keys() for name, value in seen if name == "products"]
    assert len(rounds) == 2 and "gate" not in rounds[0] and "gate" in rounds[1]
    assert network.populations["and"].kind == "neuron"


def test_a_pass_runs_alone() -> None:
    """Neurons are found without shapes; shapes without weights being folded."""
    start = Lowering(inlined(chain(nir.Linear(np.ones((3, 4))), lif(), nir.Linear(np.ones((2, 3))), lif(2))), DT)
    by_name = {each.name: each for each in LOWERING}
    found = by_name["neurons"].run(start)
    assert [*found.cells] == ["n1", "n3"] and not found.shapes
    regions = by_name["linear regions"].run(found)
    assert regions.regions == (("n0",), ("n2",))
    assert by_name["shapes"].run(regions).shapes == {"input": (4,), "n0": (3,), "n1": (3,), "n2": (2,), "n3": (2,)}


def test_loops_are_merged_by_one_pass_and_checked_by_another() -> None:
    network = lower(ping_pong())
    merge = next(each for each in LEGALIZE if each.name == "loops merged")
    assert "loop(a, b)" not in network.populations and "loop(a, b)" in merge.run(network).populations
    assert run_passes(LEGALIZE, network).populations.keys() == legalize(network).populations.keys()


def test_a_refusal_comes_from_the_pass_that_finds_it() -> None:
    seen: list[str] = []
    with pytest.raises(UnsupportedError, match="leads nowhere"):
        loose = chain(nir.Linear(np.eye(4)), lif(4))
        loose.nodes["alone"] = nir.Linear(np.eye(4))
        lower(loose, watch=lambda name, value: seen.append(name))
    assert seen == ["subgraphs", "membranes read", "maxima", "products"]
