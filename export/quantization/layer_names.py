"""Bits of single layers, named as a user names them: by the neurons, or by the layer of weights that feeds them."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

import nir

from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.settings import QuantizationSettings, Width
from snnfuse.hardware.errors import InputError


def by_population(graph: nir.NIRGraph, network: Network, settings: QuantizationSettings) -> QuantizationSettings:
    """The settings with `weight_bits` of populations only: a layer of weights stands for the populations that it feeds.

    Raises:
        InputError: no such layer, or two that feed the same population and have other bits, for a population has one width.
    """
    if not isinstance(settings.weight_bits, Mapping):
        return settings
    found: dict[str, tuple[str, Width]] = {}
    for name, width in settings.weight_bits.items():
        for population in [name] if name in network.populations else _fed_by(graph, network, name):
            other, before = found.setdefault(population, (name, width))
            if before != width:
                both = f"weight_bits gives {other!r} {before} bits and {name!r} {width}"
                raise InputError(f"{both}: both feed {population!r}, which has one width")
    return replace(settings, weight_bits={population: width for population, (_, width) in found.items()})


def _fed_by(graph: nir.NIRGraph, network: Network, name: str) -> list[str]:
    """The populations next behind a node of the graph, through others that are none."""
    if name not in graph.nodes:
        known = [*network.order, *(node for node in graph.nodes if hasattr(graph.nodes[node], "weight"))]
        near = get_close_matches(name, known, 1, 0.5)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"weight_bits names {name!r}, but the populations are {', '.join(network.order)}{meant}")
    waiting, seen, found = [name], {name}, list[str]()
    while waiting:
        behind = [target for source, target in graph.edges if source == waiting[0] and target not in seen]
        waiting = waiting[1:] + [target for target in behind if target not in network.populations]
        found += [target for target in behind if target in network.populations]
        seen.update(behind)
    if not found:
        raise InputError(f"weight_bits names {name!r}, which feeds no population; these are {', '.join(network.order)}")
    return found
