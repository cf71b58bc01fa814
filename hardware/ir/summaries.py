"""What programs, recordings and comparisons say of themselves."""

from typing import Any

import numpy as np

from snnfuse.hardware.shown import Summary


def of_program(program: Any) -> Summary:
    """Of a Program: a row per node."""
    neurons = sum(node.size for node in program.neurons.values())
    weights = sum(np.size(c.synapse.values) for c in program.connections)
    title = f"Program: {len(program.neurons)} layers, {neurons} neurons, {weights} weights in {len(program.connections)} groups"
    reads = [f"output {name}: {output.node}, {output.decoder.replace('_', ' ')}" for name, output in program.outputs.items()]
    changes = f"ledger: {len(program.ledger)} changes of meaning" if program.ledger else "ledger: empty"
    return Summary(
        title, [*reads, changes], ("node", "kind", "shape", "from", "bits", "latency"), [_node(program, n) for n in program.order]
    )


def _node(program: Any, name: str) -> tuple[object, ...]:
    node, into = program.nodes[name], program.into(name)
    sources = ", ".join(dict.fromkeys(c.source for c in into))
    bits = ", ".join(dict.fromkeys(str(c.synapse.bits) for c in into)) or str(getattr(node, "bits", ""))
    reset = f", reset {node.custom_reset}" if node.custom_reset else ""
    shape = "x".join(map(str, node.shape))
    return name, type(node).__name__ + reset, shape, sources, bits, program.latency[name]


def of_recording(recording: Any) -> Summary:
    """Of a Recording: a row per node."""
    nodes = [n for n in recording.spikes if recording.outputs.get(n, n) == n or recording.outputs[n] not in recording.spikes]
    shape = np.shape(recording.spikes[nodes[0]]) if nodes else (0, 0)
    rows = []
    for name in nodes:
        spikes = recording.spikes[name]
        states = ", ".join(recording.states.get(name, ()))
        rows.append((name, "x".join(map(str, spikes.shape[2:])), np.count_nonzero(spikes), f"{np.mean(spikes != 0):.4g}", states))
    outputs = [f"output {name}: {node}" for name, node in recording.outputs.items()]
    title = f"Recording of {shape[0]} steps, {shape[1]} samples" + (f", {recording.backend}" if recording.backend else "")
    return Summary(title, outputs, ("node", "shape", "spikes", "per neuron and step", "states"), rows)


def of_comparison(comparison: Any) -> Summary:
    """Of a Comparison: a row per variable."""
    rows = [(name, compared, wrong) for name, (compared, wrong) in comparison.by_variable.items()]
    title = "Comparison: " + ("equal" if comparison.first is None else f"{comparison.mismatches} of {comparison.compared} values differ")
    first = [] if comparison.first is None else [f"first: {comparison.first}"]
    return Summary(title, first, ("variable", "compared", "differ"), rows)
