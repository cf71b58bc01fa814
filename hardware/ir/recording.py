"""What a run produced, and whether two runs are the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.kinds import resolve
from snnfuse.hardware.ir.summaries import of_comparison, of_recording
from snnfuse.hardware.shown import Summarised, Summary


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Summarised):
    """Spikes and states of each recorded node in its own window, so that runs of any backend compare as they are.

    Attributes:
        spikes: by node or output name: (time, batch, *shape), bool, or int32 where a node sends graded spikes.
        states: by node name: every state of its kind by name (`Neuron.states`), of a Lif "u" (current) and "v" (voltage after
            reset), int32 (time, batch, *shape).
        latency: by node name: steps by which its window lags the input.
        outputs: by output name: the node whose spikes stand under it a second time.
        events: what was fed: int32 (time, batch, *shape) by input name.
        backend: what ran it, in words.
    """

    spikes: Mapping[str, NDArray[np.bool_] | NDArray[np.int32]]
    states: Mapping[str, Mapping[str, NDArray[np.int32]]] = field(default_factory=dict)
    latency: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    backend: str = ""

    def summary(self) -> Summary:
        """A row per node."""
        return of_recording(self)

    def raster(self, other: "Recording | None" = None, nodes: list[str] | None = None, sample: int = 0) -> Any:
        """Draw spikes over time, those in which another run differs marked; see `snnfuse.hardware.pictures.draw_raster`."""
        return resolve("snnfuse.hardware.pictures:draw_raster")(self, other, nodes, sample)


@dataclass(frozen=True)
class Mismatch:
    """The first place at which two runs differ, in order of time."""

    node: str
    time: int
    batch: int
    neuron: int
    variable: str
    values: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.variable} of {self.node} neuron {self.neuron}, time step {self.time}, sample {self.batch}: "
            f"{self.values[0]} against {self.values[1]}"
        )


@dataclass(frozen=True, repr=False)
class Comparison(Summarised):
    """How many spikes and states of two runs were compared and how many differ.

    Attributes:
        mismatches: values that differ.
        compared: values compared.
        first: the earliest difference, None where there is none.
        by_variable: (compared, mismatches) for "spikes" and every state, such as "u" and "v".
    """

    mismatches: int
    compared: int
    first: Mismatch | None
    by_variable: Mapping[str, tuple[int, int]]

    def summary(self) -> Summary:
        """A row per variable."""
        return of_comparison(self)


def compare(a: Recording, b: Recording) -> Comparison:
    """Compare everything that both runs recorded, each population once; `==`, no tolerance.

    Raises:
        InputError: they recorded nothing in common, or different shapes or latencies.
    """
    variables = list(_shared(a, b))
    if not variables:
        raise InputError("the two recordings share no node to compare")
    counts: dict[str, tuple[int, int]] = {}
    firsts = []
    for node, variable, x, y in variables:
        if x.shape != y.shape or a.latency.get(node) != b.latency.get(node):
            raise InputError(
                f"{variable} of {node}: windows differ, {x.shape} at latency {a.latency.get(node)} against "
                f"{y.shape} at {b.latency.get(node)}"
            )
        different = np.flatnonzero(x.ravel() != y.ravel())
        compared, wrong = counts.get(variable, (0, 0))
        counts[variable] = (compared + x.size, wrong + different.size)
        if different.size:
            firsts.append(_locate(node, variable, x, y, different[0]))
    return Comparison(
        mismatches=sum(wrong for _, wrong in counts.values()),
        compared=sum(compared for compared, _ in counts.values()),
        first=min(firsts, key=lambda m: m.time + a.latency.get(m.node, 0), default=None),
        by_variable=counts,
    )


def _shared(a: Recording, b: Recording) -> Iterator[tuple[str, str, NDArray, NDArray]]:
    """(node, variable, values of a, values of b) for all that both recorded."""
    for node in a.spikes:
        if node in b.spikes and not _is_alias(a, node):
            yield node, "spikes", np.asarray(a.spikes[node]), np.asarray(b.spikes[node])
    for node in a.states:
        for name in a.states[node]:
            if name in b.states.get(node, {}):
                x, y = np.asarray(a.states[node][name]), np.asarray(b.states[node][name])
                if (x.dtype.kind == "f") == (y.dtype.kind == "f"):  # a float network's have another unit
                    yield node, name, x, y


def _is_alias(recording: Recording, name: str) -> bool:
    """Whether a name is an output's, whose node is recorded under its own."""
    node = recording.outputs.get(name, name)
    return node != name and node in recording.spikes


def _locate(node: str, variable: str, x: NDArray, y: NDArray, index: int) -> Mismatch:
    time, batch, *rest = np.unravel_index(index, x.shape)
    neuron = int(np.ravel_multi_index(rest, x.shape[2:])) if rest else 0
    return Mismatch(node, int(time), int(batch), neuron, variable, (_number(x.ravel()[index]), _number(y.ravel()[index])))


def _number(value: Any) -> float:
    """An int, but of a float network's state."""
    return value.item() if value.dtype.kind == "f" else int(value)
