"""torch's layers as NIR: the table that the tracer dispatches on, and that users are shown."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import nir
import numpy as np
from torch import nn

from snnfuse.export.ops_table import Row
from snnfuse.export.tracing.capture import layer_kinds as kinds
from snnfuse.export.tracing.capture.torch_advice import decided, decided_kind
from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import SMALLER
from snnfuse.export.tracing.emit.layer_use import Use
from snnfuse.export.tracing.emit.pooling_layers import average_pool, max_pool, pool_matrix
from snnfuse.export.tracing.emit.signals import Signal
from snnfuse.export.tracing.emit.weighted_layers import conv3d, convolution, linear, norm, transposed
from snnfuse.export.tracing.nodes.pieces import Piece
from snnfuse.export.tracing.nodes.refusal import refusal

GROUP = "torch layer"
WRITTEN = "the next weights times its matrix, or nir.Conv or nir.Linear"


def fold_windows(use: Use) -> Signal:
    """Overlapping windows added up, written out."""
    (matrix,), _ = maps.written_out(use.call, [use.source.shape], use.where, SMALLER)
    return use.source.mapped(matrix, use.term.shape)


def move(use: Use) -> Signal:
    """A layer that only places numbers: a view of what it reads."""
    placed = maps.moved(use.call, [use.source.shape], 1)
    if placed is None:
        raise refusal(use.where, "it mixes the samples of a batch", "keep the first axis for the batch")
    (matrix,), filled = placed
    return flat(use, use.source.mapped(matrix, use.term.shape, filled))


def flat(use: Use, signal: Signal) -> Signal:
    """The same; images that become vectors behind a nir.Flatten, named after a module where there is one."""
    if len(signal.shape) > 1:
        return signal
    graph = use.graph
    for part in signal.parts:
        if use.path and len(signal.parts) == 1 and len(part.shape) > 1 and part.nodes not in graph.flat and part.view is None:
            graph.flat[part.nodes] = use.stem
            graph.place(Piece({use.stem: nir.Flatten(np.array(part.shape), 0, -1)}, (), use.stem, use.stem), part.nodes)
    return replace(signal, parts=tuple(graph.flattened(p) if p.view is None else p for p in signal.parts))


def keep(use: Use) -> Signal:
    """Nothing."""
    return use.source


@dataclass(frozen=True)
class Layer:
    """What becomes of some kinds of layer: how, in which case, and by which function."""

    kinds: tuple[type[nn.Module], ...]
    lower: Callable[[Use], Signal]
    how: str
    case: str = ""


NOTHING = "nothing: the same numbers in evaluation"
PLACED = "the next or the last weights in another order, or nir.Conv or nir.Linear"
OF_SPIKES = "nir.SumPool2d, or another sum over windows, and nir.Threshold"
OF_NUMBERS = "nir.AvgPool2d, nir.Conv or nir.Linear, noted as a maximum in its metadata: a maximum neuron, a step before what reads it"
TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
LAYERS: tuple[Layer, ...] = (
    Layer((nn.Linear,), linear, "nir.Affine or nir.Linear"),
    Layer((nn.Conv1d,), convolution, "nir.Conv1d; what it cannot say written out as nir.Affine", "groups written dense"),
    Layer((nn.Conv2d,), convolution, "nir.Conv2d; what it cannot say written out as nir.Affine", "groups written dense"),
    Layer((nn.Conv3d,), conv3d, "written out as nir.Affine"),
    Layer(kinds.TRANSPOSED, transposed, "written out as nir.Affine or nir.Linear"),
    Layer(kinds.NORMS, norm, "into the layer before or after it, or nir.Scale and a bias", "with running statistics"),
    Layer((nn.AvgPool2d, nn.AdaptiveAvgPool2d), average_pool, f"nir.AvgPool2d; what it cannot say as {WRITTEN}"),
    Layer(kinds.POOLS, pool_matrix, WRITTEN),
    Layer(kinds.MAX_POOLS, max_pool, f"of spikes {OF_SPIKES}; of anything else {OF_NUMBERS}"),
    Layer(kinds.UPSAMPLES, pool_matrix, WRITTEN),
    Layer((nn.Fold,), fold_windows, WRITTEN),
    Layer(kinds.FLATTENS, move, "nir.Flatten, or the next weights as they are", "over axes of a sample"),
    Layer(kinds.MOVES, move, PLACED),
    Layer(kinds.IDENTITIES, keep, NOTHING),
)


BY_KIND: dict[type[nn.Module], Layer] = {kind: layer for layer in LAYERS for kind in layer.kinds}


def lower_layer(use: Use) -> Signal:
    """A layer behind its source.

    Raises:
        UnsupportedError: there is no NIR form, or none that is reasonably small.
    """
    found = BY_KIND.get(type(use.layer))
    if found is None:
        raise refusal(use.where, *decided(use.layer))
    return found.lower(use)


def torch_layers() -> Iterator[type[nn.Module]]:
    """Every layer class that torch offers under torch.nn."""
    for name in sorted(vars(nn)):
        kind = getattr(nn, name)
        if isinstance(kind, type) and issubclass(kind, nn.Module):
            yield kind


def ops_rows() -> tuple[Row, ...]:
    """What becomes of every torch layer: those that are kept, then all others by the reason why they are refused."""
    kept = [Row(GROUP, _names(layer.kinds), layer.case, "exact", layer.how) for layer in LAYERS]
    passed = Row(GROUP, _names(TRANSPARENT), "", "exact", "the modules that it holds")
    refused: dict[tuple[str, str], list[type[nn.Module]]] = {}
    for kind in torch_layers():
        if kind not in BY_KIND and kind not in TRANSPARENT:
            refused.setdefault(decided_kind(kind), []).append(kind)
    return (*kept, passed, *(Row(GROUP, _names(found), "", "refused", *answer) for answer, found in refused.items()))


def _names(found: Iterable[type[nn.Module]]) -> str:
    return ", ".join(kind.__name__ for kind in found)
