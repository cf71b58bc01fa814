"""NIR graph to a snnTorch model, which steps like the graph: the way back from `to_nir`, and from other frameworks.

snnTorch's own importer resets every neuron to zero and wires recurrent graphs wrongly; this one recognises neurons as `patterns` does
and builds each with the reset that the graph spells:

    LIF, IF, CubaLIF                              Leaky, Leaky(beta=1), Synaptic; reset to zero, at once
    LI or I -> Threshold, with or without Scale   Leaky or Synaptic that subtracts one step later, or never resets; one that subtracts at
                                                  once is one that never resets, and what it loses is part of its next input, because
                                                  snnTorch's own skips the reset of a membrane above twice the threshold
    a note of one of snnTorch's other resets      Leaky or Synaptic with it; one that drops its input is a Synaptic, with alpha=0 if need be
    a note of an alpha neuron                     Alpha
    LI, I, CubaLI -> Output                       Leaky or Synaptic without a reset, whose membrane is returned
    Threshold after anything else                 Leaky(beta=0) without a reset; those of a product too
    I that is read by layers                      a running sum
    a node noted as a maximum                     MaxPool2d, or the largest number of each window

In a loop, every connection takes one step, as everywhere in this project.
"""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnfuse.export.lowering.alpha import AlphaNeurons
from snnfuse.export.lowering.graph import strong_components
from snnfuse.export.lowering.linear_nodes import as_padding, delay_steps, per_axis
from snnfuse.export.lowering.linear_regions import node_maps
from snnfuse.export.lowering.maximum_patterns import is_maximum, places_of
from snnfuse.export.lowering.maximum_places import place
from snnfuse.export.lowering.network import Array, Population
from snnfuse.export.lowering.nir_to_network import LOWERING, time_step
from snnfuse.export.lowering.passes import run_passes
from snnfuse.export.lowering.shapes import Shape, size, spread
from snnfuse.export.lowering.state import Lowering, named
from snnfuse.export.lowering.subgraphs import inlined
from snnfuse.export.to_snntorch.step_model import DelayLine, Factor, Layer, Neuron, RunningSum, StepLayer, StepModel, WindowMaximum
from snnfuse.hardware.errors import UnsupportedError

SUBTRACTING = ("subtract_delayed", "subtract_undelayed")  # as snnTorch does it
UNIT = 1e-6  # how far a gain may lie from 1 and count as 1: files hold float32
MARGINS = {torch.float64: 1e-9, torch.float32: 1e-6}  # relative, above rounding: a membrane at its threshold does not fire


def from_nir(graph: nir.NIRGraph, dt: float | None = None, dtype: torch.dtype = torch.float32) -> "StepModel":
    """Build a snnTorch model.

    Args:
        graph: standard primitives.
        dt: seconds per step; by default what the graph's metadata says, or 1e-4.
        dtype: of parameters and states, float32 or float64.

    Returns:
        Module whose forward takes one time step of each input, (batch, *shape), in the graph's order of Input nodes, and returns that of
        each output, alone or as a tuple: spikes of 0 and 1, or membranes. It keeps its states from step to step; `reset()` clears them.
        Its layers, in `layers` by node name, are torch's and snnTorch's own, with parameters to train.

    Raises:
        UnsupportedError: what snnTorch or this project cannot hold, by node.
        InputError: the graph is damaged.
    """
    if dtype not in MARGINS:
        raise UnsupportedError(f"snnTorch computes in float32 or float64, not {dtype}")
    lowering = run_passes(LOWERING, Lowering(inlined(graph), time_step(graph, dt)))  # refuses whatever has no meaning in discrete time
    layers: dict[str, StepLayer] = {}
    for name in lowering.nodes:
        if name in lowering.cells and not _is_output(lowering, name):
            layers[name] = _neuron(name, lowering.populations[name], dtype)
        elif name in lowering.shapes and not lowering.is_end(name):
            layers[name] = named(name, _layer, name, lowering.nodes[name], lowering, dtype)
    edges = lowering.outer_edges
    loop = strong_components({name: None for edge in edges for name in edge}, edges)
    late = {(s, t) for s, t in edges if s in lowering.cells and loop[s] == loop[t]}
    return StepModel(lowering.inputs, layers, edges, late, lowering.graph.of_type(nir.Output))


def _is_output(lowering: Lowering, name: str) -> bool:
    return isinstance(lowering.nodes[name], nir.Output)


def _neuron(name: str, p: Population, dtype: torch.dtype) -> Neuron | RunningSum:
    if p.kind == "relay":
        return RunningSum(p.shape)
    if isinstance(p.own, AlphaNeurons):
        return _alpha(name, p.own, p.shape, dtype)
    if p.own is not None:
        raise UnsupportedError(f"node {name!r} is a {p.own.kind.__name__}, which snnTorch does not have; run it as a Program")
    if p.reset_to is not None:
        raise UnsupportedError(
            f"node {name!r}: v_reset is {float(p.reset_to.flat[np.argmax(np.abs(p.reset_to))]):g}, and snnTorch's neurons reset to 0; "
            "shift v_leak, v_threshold and the bias before it by it"
        )
    if p.alpha is not None and p.voltage_bias.any():
        raise UnsupportedError(
            f"node {name!r}: v_leak is not 0 behind a synaptic current, and snnTorch's Synaptic adds nothing to the membrane; "
            "shift v_threshold and v_reset by it"
        )
    tensor, gain = _tensors(dtype), p.gain * p.current_gain
    options = {
        "beta": tensor(p.beta),
        "threshold": 1.0 if p.is_readout else tensor(p.amount * (1 + MARGINS[dtype]) if p.reset in SUBTRACTING else p.theta),
        "reset_mechanism": _mechanism(p),
        "reset_delay": p.reset in ("subtract_delayed", "zero_delayed", "zero_stored"),
        "init_hidden": True,
    }
    drops = p.reset == "zero_delayed"  # what Leaky does not, and Synaptic does
    alpha = np.zeros(p.shape) if p.alpha is None and drops else p.alpha
    return Neuron(
        snn.Leaky(**options) if alpha is None else snn.Synaptic(alpha=tensor(alpha), **options),
        p.shape,
        p.is_readout,
        scale=None if np.allclose(gain, 1, rtol=0, atol=UNIT) else tensor(gain),
        bias=tensor(p.voltage_bias) if p.voltage_bias.any() else None,
        loss=tensor(p.beta * p.amount) if p.reset == "subtract" else None,
    )


def _alpha(name: str, own: AlphaNeurons, shape: Shape, dtype: torch.dtype) -> Neuron:
    """snnTorch's Alpha, whose gain follows from its decays; another gain scales its input, and with it all states."""
    kept, lost = (np.array(np.broadcast_to(x, shape), np.float64) for x in (own.alpha, own.beta))
    if (kept <= lost).any() or (lost < 0).any() or (kept > 1).any():
        raise UnsupportedError(f"node {name!r}: snnTorch's Alpha takes decays of 1 >= alpha > beta >= 0 only; run it as a Program")
    with np.errstate(divide="ignore"):  # the logarithm of 0
        gain = np.asarray(own.tau) / (np.log(kept) / (np.log(lost) - np.log(kept)) + 1)
    scales = not np.allclose(gain, 1, rtol=0, atol=UNIT)
    if scales and own.rule == "subtract":
        raise UnsupportedError(
            f"node {name!r}: its gain tau is not the one of its decays, and snnTorch's Alpha subtracts its threshold from a current "
            "that it cannot scale; reset to zero, or run it as a Program"
        )
    tensor = _tensors(dtype)
    decays: dict[str, Any] = {"alpha": tensor(kept), "beta": tensor(lost), "threshold": tensor(np.asarray(own.theta, np.float64))}
    return Neuron(snn.Alpha(**decays, reset_mechanism=own.rule, init_hidden=True), shape, False, scale=tensor(gain) if scales else None)


def _mechanism(p: Population) -> str:
    if p.is_readout or not p.has_memory or p.reset in ("none", "subtract"):
        return "none"
    return "subtract" if p.reset in SUBTRACTING else "zero"


def _tensors(dtype: torch.dtype) -> Callable[[Array], torch.Tensor]:
    """Arrays to tensors, one number where all neurons share it."""

    def tensor(values: Array) -> torch.Tensor:
        shared = values.size and (values == values.flat[0]).all()
        return torch.as_tensor(values.flat[0] if shared else values).to(dtype)

    return tensor


def _layer(name: str, node: nir.NIRNode, lowering: Lowering, dtype: torch.dtype) -> Layer:
    """A linear node as torch's layer."""
    shape = lowering.shapes[lowering.graph.sources(name)[0]]
    if is_maximum(name, node):
        return Layer(_largest(name, node, lowering, shape), shape)
    if isinstance(node, (nir.Affine, nir.Linear)):
        shape = (size(shape),)
        return Layer(_weighted(nn.Linear(shape[0], node.weight.shape[0], bias=isinstance(node, nir.Affine)), node, dtype), shape)
    if isinstance(node, nir.Scale):
        return Layer(Factor(torch.as_tensor(spread(name, "a scale", node.scale, shape)).to(dtype)), shape)
    if isinstance(node, nir.Delay):
        return Layer(DelayLine(torch.as_tensor(delay_steps(name, node, shape, lowering.dt).reshape(shape))), shape)
    if isinstance(node, nir.Flatten):
        return Layer(nn.Flatten(1 + int(node.start_dim) % len(shape), 1 + int(node.end_dim) % len(shape)), shape)
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        return Layer(_pool(node), shape)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return Layer(_convolution(name, node, dtype), shape)
    raise UnsupportedError(f"node {name!r} is a {type(node).__name__}, which torch has no layer for; write it as NIR's own nodes")


def _largest(name: str, node: nir.NIRNode, lowering: Lowering, shape: Shape) -> nn.Module:
    """The maximum that a node is noted as; torch's own where it is a plain pool, and then one can export it again."""
    if isinstance(node, nir.AvgPool2d):
        window: Any = [per_axis(value, 2) for value in (node.kernel_size, node.stride, node.padding)]
        if all(2 * p <= k for p, k in zip(window[2], window[0], strict=True)):
            return nn.MaxPool2d(*window)
    (windows,) = node_maps(lowering, name, shape)
    reads = [place(name, windows.resolved(), port).matrix.tocsr().indices for port in range(places_of(name, node))]
    return WindowMaximum(torch.as_tensor(np.stack(reads).astype(np.int64)), lowering.shapes[name])


def _pool(node: nir.AvgPool2d | nir.SumPool2d) -> nn.Module:
    window: Any = [per_axis(value, 2) for value in (node.kernel_size, node.stride, node.padding)]
    size, stride, padding = window
    divisor = 1 if isinstance(node, nir.SumPool2d) else None
    if all(2 * p <= k for p, k in zip(padding, size, strict=True)):
        return nn.AvgPool2d(size, stride, padding, divisor_override=divisor)
    sides = (padding[1], padding[1], padding[0], padding[0])  # more than torch's pools allow
    return nn.Sequential(nn.ZeroPad2d(sides), nn.AvgPool2d(size, stride, divisor_override=divisor))


def _convolution(name: str, node: nir.Conv1d | nir.Conv2d, dtype: torch.dtype) -> nn.Module:
    kind, axes = (nn.Conv1d, 1) if isinstance(node, nir.Conv1d) else (nn.Conv2d, 2)
    kernel: Any = node.weight.shape[2:]
    stride, dilation = (per_axis(value, axes) for value in (node.stride, node.dilation))
    padding = as_padding(name, node.padding, kernel, stride, dilation)
    channels = node.weight.shape[1] * int(node.groups), node.weight.shape[0]
    geometry: Any = stride, padding, dilation  # of as many axes as the kind has
    return _weighted(kind(*channels, kernel, *geometry, int(node.groups), bias=node.bias is not None), node, dtype)


def _weighted(layer: Any, node: Any, dtype: torch.dtype) -> nn.Module:
    """A layer with a node's weights and bias."""
    layer.to(dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(np.asarray(node.weight)))
        if layer.bias is not None:
            layer.bias.copy_(torch.as_tensor(np.array(np.broadcast_to(node.bias, layer.bias.shape))))
    return layer
