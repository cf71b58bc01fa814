"""What a layer costs: the program with that layer in floats, and all behind it in integers as before."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.outcome import accuracy, agreement, deployed_scores, float_scores
from snnfuse.export.lowering.differences import float_alone
from snnfuse.export.quantization.layer_effects import Runs, run_alone
from snnfuse.hardware.ir.encoding import decoded
from snnfuse.hardware.ir.maximum import Maximum


@dataclass(frozen=True)
class Cost:
    """Of one layer's integers.

    Attributes:
        agreement: share of samples of the float network's class, with the layer restored, minus without; in [-1, 1].
        accuracy: the same of accuracy; None without labels.
    """

    agreement: float
    accuracy: float | None

    @property
    def points(self) -> float:
        """Percentage points of accuracy, or without labels of class agreement."""
        return 100 * (self.agreement if self.accuracy is None else self.accuracy)


def cost_of(runs: Runs, name: str, labels: NDArray | None) -> Cost:
    """Run the program with one layer in floats."""
    program, network = runs.program, runs.network
    before = deployed_scores(program, runs.recording)
    layer = float_alone(network, name, {**runs.decoded, **runs.decoded_spikes})
    node = program.nodes[name]
    sent = node.encode(layer.spikes[name]) if isinstance(node, Maximum) else layer.spikes[name]
    spikes, states = {**runs.recording.spikes, name: sent}, dict(runs.recording.states)
    events = runs.recording.events
    changed = {name}
    for later in (n for n in network.order if n != name):
        if not changed & _sources(runs, later):
            continue
        part = run_alone(program, later, {**events, **{n: spikes[n] for n in network.populations}}, states=True)
        spikes[later] = part.spikes[later]
        states |= {later: part.states[later]} if later in part.states else {}
        changed.add(later)
    spikes |= {n: spikes[o.node] for n, o in program.outputs.items()}
    after = deployed_scores(program, replace(runs.recording, spikes=spikes, states=states))
    for output, rule in program.outputs.items():
        if rule.node == name and rule.reads_membrane:
            after[output] = decoded(rule, layer.v[name])
    expected = float_scores(network, program, runs.run)
    gained = agreement(after, expected) - agreement(before, expected)
    right = [accuracy(program, found, labels) for found in (before, after)]
    return Cost(gained, None if right[0] is None or right[1] is None else right[1] - right[0])


def _sources(runs: Runs, name: str) -> set[str]:
    return {p.source for p in runs.network.into(name)} - {name}


def random_moves(values: NDArray[np.float64], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Weights, each moved by a normal share of itself."""
    return values * (1 + size * rng.standard_normal(values.shape))
