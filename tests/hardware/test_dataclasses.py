"""What a program is made of cannot be changed once it was checked, and counts by identity where it holds arrays."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import snnfuse.hardware
from snnfuse.hardware.ir.nodes import Connection, Neuron
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.hardware.overflow.graded import PayloadBounds
from snnfuse.hardware.overflow.lif import StateBounds

ROOMS = ("snnfuse.hardware.ir", "snnfuse.hardware.overflow", "snnfuse.hardware.chip")


def declared(room: str) -> Iterator[type]:
    """The dataclasses that the modules of a room declare."""
    package = importlib.import_module(room)
    for found in pkgutil.walk_packages(package.__path__, f"{room}."):
        module = importlib.import_module(found.name)
        yield from (
            c for c in vars(module).values() if isinstance(c, type) and dataclasses.is_dataclass(c) and c.__module__ == module.__name__
        )


@pytest.mark.parametrize("room", ROOMS)
def test_every_dataclass_is_frozen(room: str) -> None:
    changeable = [c.__qualname__ for c in declared(room) if not c.__dataclass_params__.frozen]  # type: ignore[attr-defined]
    assert changeable == [] and len(list(declared(room))) > 3
    assert snnfuse.hardware.__name__ == "snnfuse.hardware"


def test_what_holds_arrays_is_equal_to_itself_alone() -> None:
    """== of arrays has no truth value, and weights of a GB have no hash."""
    holding = [c for room in ROOMS for c in declared(room) if issubclass(c, (Synapse, Neuron, Connection, StateBounds, PayloadBounds))]
    assert len(holding) > 12
    assert [c.__qualname__ for c in holding if c.__eq__ is not object.__eq__ or c.__hash__ is not object.__hash__] == []
