"""What an output of a graph reads: the spikes of a population, or its membrane.

In NIR an Output reads what the node before it puts out: of an LI or CubaLI that nothing else reads its membrane, of a neuron that
fires its spikes. Of a neuron spelled as LI -> Threshold, which a reset by subtraction from the next voltage is, an edge from the LI to the
Output reads the membrane beside the spikes, in NIR's own words. Of one that is a single node NIR has no words: there the Output reads the
neuron, and a note in the Output's metadata, {"reads": "membrane"}, says what is meant: the voltage that the neuron is left with, after a
reset at once and before one that takes effect in the next step. Readers that do not know the note see the spikes.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.graph import Graph, of_kind
from snnfuse.export.lowering.network import Network, Population
from snnfuse.export.lowering.neuron_nodes import INTEGRATORS
from snnfuse.hardware.errors import InputError, UnsupportedError

KEY = "snnfuse"  # among a node's metadata
AT_ONCE = ("zero", "subtract", "subtract_undelayed")
AFTER_RESET, BEFORE_RESET = READS = ("membrane", "membrane before reset")


def membrane_output(node: nir.Output, before_reset: bool = False) -> nir.Output:
    """The same output with the note that it reads a membrane."""
    return replace(node, metadata={**(node.metadata or {}), KEY: json.dumps({"reads": READS[before_reset]})})


def membrane_read(name: str, node: nir.NIRNode) -> str | None:
    """Which of `READS` an output's note says; None where it has none, so that it reads what the node before it puts out.

    Raises:
        InputError: it has a note that says something else.
    """
    metadata = getattr(node, "metadata", None)
    text = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if text is None:
        return None
    try:
        said = json.loads(text if isinstance(text, (str, bytes)) else str(text))
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.keys() != {"reads"} or said["reads"] not in READS:
        raise InputError(f"output {name!r}: its metadata {KEY!r} is damaged; export the model again, or delete it")
    return said["reads"]


def with_membranes_noted(graph: Graph) -> Graph:
    """Let an output that reads the LI of a neuron that fires read the neuron itself, with a note.

    An LI is such a neuron's where one Threshold reads it, and nothing else but outputs does.
    """
    for name in graph.of_type(nir.Output):
        sources = graph.sources(name)
        threshold = _threshold_on(graph, sources[0]) if len(sources) == 1 else None
        if threshold is not None:
            graph.disconnect(sources[0], name)
            graph.connect(threshold, name)
            graph.nodes[name] = membrane_output(of_kind(graph.nodes[name], nir.Output), before_reset=True)
    return graph


def check_before_reset(name: str, population: Population) -> None:
    """UnsupportedError where an output reads the voltage before a reset that takes effect at once: no neuron keeps that."""
    if population.reset in AT_ONCE and population.has_memory:
        raise UnsupportedError(
            f"output {name!r} reads the voltage before a reset by subtraction that takes effect at once, which no neuron keeps; read the "
            "neuron's spikes, or note that it reads the membrane after the reset"
        )


def _threshold_on(graph: Graph, name: str) -> str | None:
    """The only Threshold on an integrator that is read by it and by outputs."""
    if not isinstance(graph.nodes.get(name), INTEGRATORS):
        return None
    others = [target for target in graph.targets(name) if not isinstance(graph.nodes.get(target), nir.Output)]
    only = others[0] if len(others) == 1 and isinstance(graph.nodes.get(others[0]), nir.Threshold) else None
    return only if only is not None and graph.sources(only) == (name,) else None


def output_values(network: Network, run: FloatRun, output: str) -> NDArray:
    """What an output of a float network puts out, (time, batch, *shape): bool spikes, or float64 voltages in the graph's units."""
    node = network.outputs[output]
    if output not in network.membranes:
        return run.spikes[node]
    origin = network.populations[node].origin
    return run.v[node] if origin is None else run.v[node] + origin


def reading(network: Network, membranes: Mapping[str, bool]) -> Network:
    """The network with its outputs reading membranes, or spikes, as told by name; those that are not named stay as they are."""
    names = {name for name in network.outputs if membranes.get(name, name in network.membranes)}
    return network if names == network.membranes else replace(network, membranes=frozenset(names))


def deviation(expected: NDArray, found: NDArray) -> float:
    """Mean squared difference over the variance of what is expected; 0 where neither varies nor differs."""
    error, variance = float(np.mean((found - expected) ** 2)), float(np.var(expected))
    return 0.0 if error == 0 else error / variance if variance else float("inf")
