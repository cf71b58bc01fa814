"""What a checkpoint holds of a network in chip arithmetic beside its weights: the float graph it started from, and what training keeps.

The graph travels as the bytes of its .nir file, a tensor among the weights; scales, grids, inputs and the ledger so far as JSON. Loading
lowers the graph again and puts the stored scales and weights in, so that nothing is searched for, and the integers are those that were
saved.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.out_of_reach import with_silent_neurons
from snnfuse.export.lowering.resets import resetting, resting
from snnfuse.export.quantization.channel_scaling import check_units, in_units
from snnfuse.export.quantization.fitting import Fit, Input, build, effective, sends_numbers
from snnfuse.export.quantization.reading import Reading, read_as
from snnfuse.export.quantization.rounding import Form, Grid, Rounds
from snnfuse.hardware import ledger
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS
from snnfuse.hardware.ir.nodes import GradedInput, SpikeInput
from snnfuse.nn.layer import FixedPointLayer
from snnfuse.nn.making import make_layer
from snnfuse.nn.module import FixedPointNetwork

GRAPH = "graph"  # among the weights


def graph_bytes(graph: nir.NIRGraph) -> Tensor:
    """The .nir file of a graph, uint8."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        return torch.from_numpy(np.frombuffer(path.read_bytes(), np.uint8).copy())


def read_bytes(content: Tensor) -> nir.NIRGraph:
    """Inverse of `graph_bytes`; InputError where they are no graph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        path.write_bytes(content.cpu().numpy().astype(np.uint8).tobytes())
        try:
            return read_graph(path)
        except InputError as error:
            raise InputError("its graph is no readable NIR graph") from error


def describe_network(net: FixedPointNetwork) -> dict[str, Any]:
    """Everything but the graph and the weights, JSON-able."""
    return {
        "dt": net.network.dt,
        "reset": net.reset,
        **asdict(net.asked),
        "inputs": {name: {"bits": node.bits, "scale": node.scale} if node.sends_numbers else None for name, node in net.declared.items()},
        "layers": {layer.name: _describe_layer(layer) for layer in net.layers},
        "ledger": ledger.to_json(net.network.ledger),
    }


def _describe_layer(layer: FixedPointLayer) -> dict[str, Any]:
    return {
        "scale": layer.scale_found,  # what training makes of it is among the weights
        "learns_scale": layer.stretch.requires_grad,
        "slope": layer.slope,
        "units": None if layer.fitted.units is None else layer.fitted.units.tolist(),
        "forms": [asdict(form) for form in layer.fitted.forms],
        "rounds": [_describe_rounds(rounds) for rounds in layer.fitted.rounds],
        "column": _describe_rounds(layer.column),
    }


def _describe_rounds(rounds: Rounds) -> list[list[dict[str, Any]]]:
    return [[asdict(grid) for grid in each] for each in rounds]


def _rounds(rows: list[list[dict[str, Any]]]) -> Rounds:
    return tuple(tuple(Grid(**grid) for grid in each) for each in rows)


def restore(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> FixedPointNetwork:
    """The network of `describe_network` and a state_dict, whose weights are yet to be loaded.

    Raises:
        InputError, UnsupportedError: the graph or the description is damaged.
    """
    graph = read_bytes(weights[GRAPH])
    asked = Reading(*(config.get(field.name) for field in fields(Reading)))  # earlier files know a decoder only
    network = read_as(lower(graph, config["dt"]), asked)
    if config["reset"] is not None:
        network = resetting(network, config["reset"])
    declared = {name: _input(shape, config["inputs"][name]) for name, shape in network.inputs.items()}
    network = with_silent_neurons(resting(legalize(network)), {name: node.limit * node.scale for name, node in declared.items()})
    network = replace(network, ledger=ledger.from_json(config["ledger"]))
    layers = dict[str, FixedPointLayer]()
    for name in network.order:
        layers[name] = _layer(network, name, declared, config["layers"][name], layers)
    return FixedPointNetwork(network, declared, layers, graph, config["reset"], asked)


def _input(shape: tuple[int, ...], given: Mapping[str, Any] | None) -> Input:
    return SpikeInput(shape) if given is None else GradedInput(shape, given["bits"], given["scale"])


def _layer(
    network: Network, name: str, declared: Mapping[str, Input], given: Mapping[str, Any], made: Mapping[str, FixedPointLayer]
) -> FixedPointLayer:
    forms = [Form(**{**form, "bits": tuple(form["bits"])}) for form in given["forms"]]
    units = _units(name, network.populations[name].shape, given.get("units"))  # absent from files of before there were any
    own = in_units(network, name, units)
    sent = {n: GradedInput(layer.neuron.shape, MESSAGE_BITS, 1 / layer.scale) for n, layer in made.items() if layer.neuron.sends_numbers}
    projections = [effective(own, p, {**declared, **sent}) for p in own.into(name)]
    graded = [sends_numbers(network, p.source, declared) for p in projections]
    fit: Fit | None = build(own.populations[name], projections, graded, given["scale"], forms)
    if fit is None:
        raise InputError(f"the scale {given['scale']} of {name!r} does not fit its graph")
    fit = replace(fit, rounds=tuple(map(_rounds, given["rounds"])), units=units)
    return make_layer(network, name, fit, declared, given["slope"], _rounds(given["column"]), given.get("learns_scale", False), made)


def _units(name: str, shape: tuple[int, ...], given: list | None) -> NDArray[np.float64] | None:
    """InputError where they are not what `find_units` gives."""
    if given is None:
        return None
    units = np.array(given, np.float64)
    if units.shape != shape or not check_units(units):
        raise InputError(f"the units of {name!r} are not one power of two per neuron")
    return units
