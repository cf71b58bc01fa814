"""Which populations a run records, and how they become a Recording: one rule for every backend."""

from collections.abc import Iterable, Mapping

from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording


def recorded_nodes(program: Program, record: str | Iterable[str], states: bool) -> tuple[list[str], set[str]]:
    """Which populations to record, and of which the states too; the same rule for every backend."""
    outputs = [output.node for output in program.outputs.values()]
    names = {"outputs": outputs, "all": list(program.neurons)}.get(record, record) if isinstance(record, str) else list(record)
    if isinstance(names, str):
        names = [names]
    unknown = [name for name in names if name not in program.neurons]
    if unknown:
        raise InputError(f"cannot record {unknown[0]!r}: the neuron populations are {', '.join(program.neurons)}")
    membranes = {output.node for output in program.outputs.values() if output.reads_membrane}
    stateful = {name for name in names if program.neurons[name].states} if states else set()
    return list(dict.fromkeys([*names, *outputs])), membranes | stateful


def make_recording(
    program: Program,
    spikes: Mapping[str, NDArray],
    states: Mapping[str, Mapping],
    backend: str,
    events: Mapping[str, NDArray] | None = None,
) -> Recording:
    """A Recording whose outputs are there under their own names too."""
    named = {name: spikes[output.node] for name, output in program.outputs.items() if output.node in spikes}
    latency = {n: program.latency[n] for n in spikes} | {n: program.latency[o.node] for n, o in program.outputs.items()}
    outputs = {name: output.node for name, output in program.outputs.items()}
    return Recording({**spikes, **named}, states, latency, outputs, events or {}, backend)
