"""The rows of NIR's nodes in the table of operations say what lowering does."""

from dataclasses import replace

import nir
import numpy as np
import pytest
from lowering_graphs import GRID, chain, lif, spikes

from snnfuse.export import lower, register_lowering, simulate
from snnfuse.export.lowering import registry
from snnfuse.export.lowering.linear_map import LinearMap
from snnfuse.export.lowering.network import Population
from snnfuse.export.lowering.nir_nodes import known_types, ops_rows
from snnfuse.export.lowering.populations import memoryless
from snnfuse.export.lowering.registry import LinearLowering, NeuronLowering
from snnfuse.export.lowering.weights import from_matrix
from snnfuse.export.ops_table import SOURCES, rows
from snnfuse.hardware.errors import InputError, UnsupportedError

NODES = [kind for kind in vars(nir.ir).values() if isinstance(kind, type) and issubclass(kind, nir.NIRNode) and kind is not nir.NIRNode]
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


class Mirror(nir.NIRNode):
    """Neurons in the opposite order, each with a bias of its own."""

    def __init__(self, bias: np.ndarray) -> None:
        self.bias = bias
        self.input_type, self.output_type, self.metadata = {"input": np.array([4])}, {"output": np.array([4])}, {}


class Halving(nir.NIRNode):
    """Neurons that leak by a half per step and fire at `level`."""

    def __init__(self, level: np.ndarray) -> None:
        self.level = level
        self.input_type, self.output_type, self.metadata = {"input": np.array([4])}, {"output": np.array([4])}, {}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two, registered as a module outside the package would, until the test ends."""
    monkeypatch.setattr(registry, "_LOWERINGS", dict(registry._LOWERINGS))

    def mirrored(name: str, node: Mirror, shape: tuple[int, ...], dt: float) -> tuple[LinearMap, ...]:
        return (LinearMap(shape, from_matrix(np.eye(4)[::-1])),)

    def halved(name: str, node: Halving, dt: float) -> Population:
        return replace(memoryless(np.shape(node.level), node.level), beta=np.full(np.shape(node.level), 0.5))

    register_lowering(Mirror, LinearLowering("synapses in the opposite order", maps=mirrored, numbers=("bias",)))
    register_lowering(Halving, NeuronLowering("a population that leaks by a half", population=halved, numbers=("level",)))


@pytest.mark.usefixtures("registered")
def test_types_of_other_packages_are_lowered_by_what_they_register() -> None:
    weight, bias = GRID[0], np.array([0.5, 0.25, 0, 0])
    network = lower(chain(nir.Linear(weight), Mirror(bias), Halving(np.float64(1.0)), nir.Linear(np.eye(4)), lif(4)))
    same = lower(chain(nir.Affine(weight[::-1], bias), lif(4, beta=0.5, r=np.full(4, 2.0)), nir.Linear(np.eye(4)), lif(4)))
    x = {"input": spikes(40, 3, 4)}
    found, expected = simulate(network, x).spikes["n2"], simulate(same, x).spikes["n1"]
    np.testing.assert_array_equal(found, expected)
    assert 0.02 < expected.mean() < 0.98 and network.populations["n2"].shape == (4,)


@pytest.mark.usefixtures("registered")
def test_a_registered_type_has_a_row_and_its_numbers_are_checked() -> None:
    assert any(row.name == "Mirror" and row.how == "synapses in the opposite order" for row in rows())
    with pytest.raises(InputError, match="node 'n0': bias holds NaN"):
        lower(chain(Mirror(np.full(4, np.nan)), lif(4)))
    with pytest.raises(InputError, match="node 'n0': level holds nothing"):
        lower(chain(Halving(np.zeros(0)), lif(4)))


@pytest.mark.usefixtures("registered")
def test_a_type_is_registered_once_and_must_be_a_node() -> None:
    with pytest.raises(InputError, match="the lowering of Mirror is registered already, as: synapses in the opposite order"):
        register_lowering(Mirror, LinearLowering(maps=lambda *_: ()))
    with pytest.raises(InputError, match="is no type of NIR node"):
        register_lowering(dict, LinearLowering(maps=lambda *_: ()))


def test_a_type_derived_from_a_known_one_is_lowered_like_it() -> None:
    class Named(nir.Linear):
        """A layer with another name."""

    assert lower(chain(Named(np.eye(4)), lif(4))).projections[0].weights.matrix.tolist() == np.eye(4).tolist()
