"""The rows of NIR's nodes in the table of operations say what lowering does."""

import nir
import numpy as np
import pytest
from lowering_graphs import chain, lif

from snnfuse.export import lower
from snnfuse.export.lowering.nir_nodes import known_types, ops_rows
from snnfuse.export.ops_table import SOURCES, rows
from snnfuse.hardware.errors import UnsupportedError

NODES = [
    kind for kind in vars(nir.ir).values() if isinstance(kind, type) and issubclass(kind, nir.NIRNode) and kind is not nir.NIRNode
]
TABLE = ops_rows()


@pytest.mark.parametrize("kind", NODES)
def test_every_node_of_nir_has_a_row(kind: type) -> None:
    found = [row for row in TABLE if kind.__name__ in row.name.split(", ")]
    assert any(row.decision != "refused" for row in found)
    assert kind.__name__ in known_types() or kind is nir.NIRGraph


def test_there_are_nineteen() -> None:
    assert len(NODES) == 19


def test_no_row_stands_twice_and_all_are_in_the_table() -> None:
    assert "lowering.nir_nodes" in SOURCES
    keys = [(row.name, row.case) for row in TABLE]
    assert len(keys) == len({*keys}) and {row.group for row in TABLE} == {"NIR node"}
    assert {*TABLE} <= {*rows(("lowering.nir_nodes",))}


class Novel(nir.NIRNode):
    """A node that a later NIR may have."""

    def __init__(self) -> None:
        self.input_type, self.output_type, self.metadata = {"input": np.array([4])}, {"output": np.array([4])}, {}


def test_a_node_without_a_row_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="node 'n0' is a Novel, which has no counterpart on the chip yet; these have: Affine, "):
        lower(chain(Novel(), lif(4)))
