"""A program and the float network that it was made from, paired population by population."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from snnfuse.diagnosis.recorded import Recorded
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.outputs import reading
from snnfuse.export.lowering.resets import resetting, resting
from snnfuse.export.lowering.split_fan_in import with_relays
from snnfuse.export.targets import TARGETS
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.projected_input import ProjectedInput

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False)
class Subject:
    """What is diagnosed.

    Attributes:
        network: the float network as it was trained, legal, every population of which the program has.
        written: the same with the resets that the export was asked for: what the compiler rounded.
        program: the integers.
        recorded: what the export wrote down.
        data: float inputs by name that may have calibrated it, and last those that it is diagnosed on.
    """

    network: Network
    written: Network
    program: Program
    recorded: Recorded
    data: tuple[Mapping[str, NDArray], ...] = ()

    @property
    def layers(self) -> list[str]:
        """Populations, sources first."""
        return self.network.order


def pair(graph: "nir.NIRGraph", program: Program, recorded: Recorded) -> Subject:
    """A graph with the program made from it.

    Raises:
        InputError: the program was made from another graph.
        UnsupportedError: the graph holds what no program can.
    """
    first: SnnfuseError | None = None
    for lowered in _forms(graph, program):
        try:
            network = legalize(lowered)
            written = resting(legalize(_reset(lowered, recorded)))
        except SnnfuseError as error:
            first = first or error
            continue
        if _same_shapes(network, program):
            return Subject(network, written, program, recorded)
    if first is not None:
        raise first
    if any(isinstance(node, ProjectedInput) for node in program.inputs.values()):
        raise UnsupportedError(
            "its host computes the first layer and writes biases, which the graph does not: diagnose an export without encode='bias' "
            "(--encode bias), whose other layers are made alike"
        )
    raise InputError(
        f"the program was not made from this graph: its populations are {', '.join(program.neurons)}, in other shapes or under other names"
    )


def _same_shapes(network: Network, program: Program) -> bool:
    """Whether a program has every population of a network and the same inputs."""
    neurons = {name: node.shape for name, node in program.neurons.items()}
    inputs = {name: node.shape for name, node in program.inputs.items()}
    shapes = {name: p.shape for name, p in network.populations.items()}
    return inputs == dict(network.inputs) and all(neurons.get(name) == shape for name, shape in shapes.items())


def _forms(graph: "nir.NIRGraph", program: Program) -> Iterator[Network]:
    """The lowered graph, and as each target splits wide sums."""
    lowered = reading(lower(graph, program.dt), {name: rule.reads_membrane for name, rule in program.outputs.items()})
    binary = [name for name, node in program.inputs.items() if not node.sends_numbers]
    relays = [with_relays(lowered, target, binary) for target in TARGETS.values()]
    yield from (form for form in relays if len(form.populations) > len(lowered.populations))
    yield lowered


def _reset(network: Network, recorded: Recorded) -> Network:
    rules = set(recorded.resets.values())
    asked = resetting(network, rules.pop()) if len(rules) == 1 else network  # pyright: ignore[reportArgumentType]  (a ledger's word)
    at_once = {n: replace(asked.populations[n], reset="zero") for n in recorded.read_after_reset if n in asked.populations}
    return replace(asked, populations={**asked.populations, **at_once})
