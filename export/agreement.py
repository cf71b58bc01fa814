"""How far a program's spikes are from the float network's, layer by layer, both run from end to end on the same inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.float_run import simulate
from snnfuse.export.network import Network
from snnfuse.hardware.program import Program
from snnfuse.hardware.reference import emulate


@dataclass(frozen=True)
class LayerAgreement:
    """One population.

    Attributes:
        node: its name.
        float_spikes: spikes of the float network.
        mismatches: neurons and steps at which only one of the two spikes; of a membrane readout, samples whose largest neuron differs.
        compared: neurons times steps times samples; of a readout, samples.
        samples: batch size.
    """

    node: str
    float_spikes: int
    mismatches: int
    compared: int
    samples: int

    @property
    def effect(self) -> str:
        """The same in words."""
        if self.float_spikes == 0 and self.compared == self.samples:
            return f"the largest membrane differs in {self.mismatches} of {self.samples} samples"
        share = self.mismatches / max(self.float_spikes, 1)
        return f"{self.mismatches} spikes differ where the float network has {self.float_spikes} ({share:.1%}), on {self.samples} samples"


def measure_agreement(network: Network, program: Program, x: Mapping[str, NDArray]) -> tuple[LayerAgreement, ...]:
    """Compare float and integer runs on float inputs (time, batch, *shape) by name."""
    run = simulate(network, x)
    readouts = [name for name, p in network.populations.items() if p.is_readout]
    recording = emulate(program, program.encode(x), "all")
    layers = []
    for name in network.order:
        samples = run.spikes[name].shape[1]
        if name in readouts:
            wrong = _classes(run.v[name]) != _classes(recording.states[name]["v"])
            layers.append(LayerAgreement(name, 0, int(wrong.sum()), samples, samples))
        else:
            wrong = run.spikes[name] != recording.spikes[name]
            layers.append(LayerAgreement(name, int(run.spikes[name].sum()), int(wrong.sum()), wrong.size, samples))
    return tuple(layers)


def _classes(v: NDArray) -> NDArray[np.int64]:
    return v.sum(0).reshape(v.shape[1], -1).argmax(1)
