"""The table of decisions names every layer that torch has, and says of each what the tracer does."""

from collections import Counter

import pytest
import torch
from refused_models import VECTOR, assert_refused, chain, lif
from torch import nn

from snnfuse.export.tracing.capture import trace_ops
from snnfuse.export.tracing.capture.torch_advice import decided_kind
from snnfuse.export.tracing.emit import layers


def public_layers() -> set[str]:
    """Every class that torch defines under torch.nn.modules, but for the bases whose names say that they are private."""
    found, waiting = set(), [nn.Module]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("torch.nn.modules.") and not kind.__name__.startswith("_"):
            found.add(kind.__name__)
    return found - {"NonDynamicallyQuantizableLinear"}  # inside MultiheadAttention


def test_every_layer_has_one_row() -> None:
    named = Counter(name for row in layers.ops_rows() for name in row.name.split(", "))
    assert public_layers() <= named.keys()
    assert set(named.values()) == {1}


def test_every_operation_has_one_row() -> None:
    several = ("of two counts: spikes, their sums, sums over time", "of any other two values that depend on the input")
    several += ("over the batch or time", trace_ops.RETURNED, trace_ops.OVER_TIME)
    rows = [row for row in trace_ops.ops_rows() if row.case not in several]
    named = Counter(name for row in rows for name in row.name.split(", "))
    assert {*trace_ops.BY_NAME, *trace_ops.REASONS, *trace_ops.PIECES, *trace_ops.LIKE} - {"piece"} <= named.keys()
    assert set(named.values()) == {1}


def without_arguments(kind: type[nn.Module]) -> nn.Module | None:
    """An instance, where a class needs no arguments and maps a tensor to a tensor."""
    try:
        module = kind()
        returned = module.eval()(VECTOR)
        return module if isinstance(returned, torch.Tensor) and type(module) is kind else None  # a lazy layer becomes another kind
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        return None


REFUSED = [kind for kind in layers.torch_layers() if kind not in layers.BY_KIND and kind not in layers.TRANSPARENT]


@pytest.mark.filterwarnings("ignore:Implicit dimension")
def test_what_the_table_refuses_is_refused_in_the_tables_words() -> None:
    tried = [module for kind in REFUSED if (module := without_arguments(kind)) is not None]
    assert len(tried) >= 20
    for module in tried:
        reason, way_out = decided_kind(type(module))
        assert_refused(*chain(nn.Linear(4, 4), module, lif()), f"1 ({type(module).__name__})", f"{reason}; {way_out}")
