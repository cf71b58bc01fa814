"""Random NIR graphs of every node: NIR's own equations, the float network and its chip form agree on every step, or a node is refused."""

import re

import nir
import nir_equations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nir import DT, lowered_graph, random_graph, random_inputs

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.hardware.errors import SnnfuseError, UnsupportedError

STEPS, BATCH = 30, 3
REFUSALS = r"node '\w+' delays a bias"  # the only thing that these graphs hold and lowering refuses
CHIP_REFUSALS = r"the loop of .* would become one population on the chip, but they reset differently"


def agrees(network: Network, run: FloatRun, expected: dict[str, np.ndarray]) -> bool:
    """Spikes equal; membranes too, up to the rounding of sums in another order."""
    for output, name in network.outputs.items():
        if network.populations[name].is_readout:
            np.testing.assert_allclose(run.v[name], expected[output], rtol=1e-9, atol=1e-9)
        else:
            np.testing.assert_array_equal(run.spikes[name], expected[output])
    return True


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_network_is_what_the_graph_says(seed: int) -> None:
    graph = random_graph(seed)
    try:
        network = lower(graph, DT)
    except UnsupportedError as error:
        assert re.match(REFUSALS, str(error)), error
        return
    x = random_inputs(graph, STEPS, BATCH, seed)
    expected = nir_equations.simulate(graph, x)
    assert network.outputs.keys() == expected.keys()
    assert agrees(network, simulate(network, x), expected)
    try:
        chip = legalize(network)
    except UnsupportedError as error:
        assert re.match(CHIP_REFUSALS, str(error)), error
        return
    assert agrees(chip, simulate(chip, x), expected)
    assert all(len(group) == 1 for group in chip.groups)


def test_the_random_graphs_hold_everything() -> None:
    """Every node, loops of two populations, delays, resets to other voltages; and they spike, and are mostly taken."""
    kinds, loops, lags, resets, rates, taken = set(), 0, 0, 0, [], 0
    for seed in range(80):
        graph = random_graph(seed)
        kinds |= {type(node) for node in graph.nodes.values()}
        try:
            network = lower(graph, DT)
        except SnnfuseError:
            continue
        taken += 1
        loops += any(len(group) > 1 for group in network.groups)
        lags += any(p.lag for p in network.projections)
        resets += any(p.reset_to is not None for p in network.populations.values())
        run = simulate(network, random_inputs(graph, STEPS, BATCH, seed))
        rates += [run.spikes[n].mean() for n in network.outputs.values() if not network.populations[n].is_readout]
    everything = {kind for kind in vars(nir.ir).values() if isinstance(kind, type) and issubclass(kind, nir.NIRNode)}
    assert kinds == everything - {nir.NIRNode, nir.NIRGraph}
    assert taken > 40 and min(loops, lags, resets) > 5
    assert sum(0.01 < rate < 0.9 for rate in rates) > 40


@pytest.mark.parametrize("seed", range(8))
def test_metadata_carries_no_meaning(seed: int) -> None:
    graph = lowered_graph(seed)
    network = lower(graph, DT)
    graph.metadata["snnfuse"] = '{"dt": 0.01, "ledger": []}'
    for node in graph.nodes.values():
        node.metadata = {"reset": "subtract", "lag": 3}
    x = random_inputs(graph, STEPS, BATCH, seed)
    noted = lower(graph, DT)
    for name, spikes in simulate(network, x).spikes.items():
        np.testing.assert_array_equal(simulate(noted, x).spikes[name], spikes)
