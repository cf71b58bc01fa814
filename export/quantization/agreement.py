"""How far a program is from the float network, layer by layer, both run from end to end on the same inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import membrane, reduce_window
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording


@dataclass(frozen=True)
class LayerAgreement:
    """A population that spikes.

    Attributes:
        node: its name.
        float_spikes: spikes of the float network; of products and relays the sum of the numbers that they send.
        mismatches: neurons and steps at which only one of the two spikes, or at which their numbers differ.
        compared: neurons times steps times samples.
        samples: batch size.
    """

    node: str
    float_spikes: int
    mismatches: int
    compared: int
    samples: int

    @property
    def exact(self) -> bool:
        """Whether every spike is kept, and there are spikes that could tell."""
        return self.mismatches == 0 and self.float_spikes > 0

    @property
    def effect(self) -> str:
        """The same in words."""
        if not self.float_spikes:
            return f"no neuron of it fires on these {self.samples} samples, so no spike can tell; {self.mismatches} are added"
        share = self.mismatches / self.float_spikes
        return f"{self.mismatches} spikes differ where the float network has {self.float_spikes} ({share:.1%}), on {self.samples} samples"


@dataclass(frozen=True)
class ReadoutAgreement:
    """A population whose membrane is read.

    Attributes:
        node: its name.
        deviation: rms of the difference to the float voltage, each relative to its own rms, a gain in common left out: what a
            decoder that looks for the largest value can notice.
        mismatches: samples whose largest neuron differs, read by the output's decoder.
        samples: batch size.
    """

    node: str
    deviation: float
    mismatches: int
    samples: int

    @property
    def exact(self) -> bool:
        """Whether the voltages are the same up to a factor."""
        return self.deviation == 0

    @property
    def effect(self) -> str:
        """The same in words."""
        return f"the largest membrane differs in {self.mismatches} of {self.samples} samples, the voltage by {self.deviation:.2%} rms"


def measure_agreement(network: Network, program: Program, x: Mapping[str, NDArray]) -> tuple[LayerAgreement | ReadoutAgreement, ...]:
    """Compare float and integer runs on float inputs (time, batch, *shape) by name."""
    network = legalize(network)
    return compare_runs(network, program, simulate(network, x), emulate(program, program.encode(x), "all"))


def compare_runs(network: Network, program: Program, run: FloatRun, recording: Recording) -> tuple[LayerAgreement | ReadoutAgreement, ...]:
    """`measure_agreement` of two runs on the same inputs; the recording holds every population."""
    decoders = {output.node: output.decoder for output in program.outputs.values()}
    return tuple(
        _readout(name, decoders[name], run.v[name], membrane(program, recording, name))
        if network.populations[name].is_readout
        else _spiking(name, run.spikes[name], recording.spikes[name])
        for name in network.order
    )


def _spiking(name: str, expected: NDArray[np.bool_], found: NDArray) -> LayerAgreement:
    wrong = int((expected != found).sum())
    return LayerAgreement(name, int(expected.sum()), wrong, expected.size, expected.shape[1])


def _readout(name: str, decoder: str, expected: NDArray[np.float64], found: NDArray[np.int32]) -> ReadoutAgreement:
    float_class, found_class = (reduce_window(decoder, v).reshape(v.shape[1], -1).argmax(1) for v in (expected, found))
    wrong = int((float_class != found_class).sum())
    return ReadoutAgreement(name, _difference(expected, found), wrong, expected.shape[1])


def _difference(expected: NDArray[np.float64], found: NDArray[np.int32]) -> float:
    a, b = (v / max(np.sqrt((v.astype(np.float64) ** 2).mean()), 1e-300) for v in (expected, found))
    return float(np.sqrt(((a - b) ** 2).mean()))
