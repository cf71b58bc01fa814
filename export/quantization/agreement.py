"""How far a program is from the float network, layer by layer, both run from end to end on the same inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import spikes_differ, voltage_deviation, voltages_differ
from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.nodes import Output
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
        either: neurons and steps at which either of the two spikes.
    """

    node: str
    float_spikes: int
    mismatches: int
    compared: int
    samples: int
    either: int

    @property
    def share(self) -> float:
        """Mismatches over what either of the two sends, in [0, 1]."""
        return self.mismatches / self.either if self.either else 0.0

    @property
    def exact(self) -> bool:
        """Whether every spike is kept, and there are spikes that could tell."""
        return self.mismatches == 0 and self.float_spikes > 0

    @property
    def effect(self) -> str:
        """The same in words."""
        if not self.float_spikes:
            return f"no neuron of it fires on these {self.samples} samples, so no spike can tell; {self.mismatches} are added"
        which = f"where the float network has {self.float_spikes}"
        return f"{self.mismatches} spikes differ {which} ({self.share:.1%} of those of either), on {self.samples} samples"


@dataclass(frozen=True)
class ReadoutAgreement:
    """The membrane of a population that an output reads.

    Attributes:
        node: its name.
        deviation: rms of the difference to the float voltage, each relative to its own rms, a gain in common left out: what a
            decoder that looks for the largest value can notice; in [0, 1].
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


@dataclass(frozen=True)
class PayloadAgreement:
    """A maximum, which sends numbers.

    Attributes:
        node: its name.
        deviation: rms of the difference to the float numbers, each relative to its own rms.
        samples: batch size.
    """

    node: str
    deviation: float
    samples: int

    @property
    def exact(self) -> bool:
        """Whether the numbers are the same up to a factor."""
        return self.deviation == 0

    @property
    def effect(self) -> str:
        """The same in words."""
        return f"the numbers that it sends differ by {self.deviation:.2%} rms, on {self.samples} samples"


Agreement = LayerAgreement | ReadoutAgreement | PayloadAgreement


def measure_agreement(network: Network, program: Program, x: Mapping[str, NDArray]) -> tuple[Agreement, ...]:
    """Compare float and integer runs on float inputs (time, batch, *shape) by name."""
    network = legalize(network)
    return compare_runs(network, program, simulate(network, x), emulate(program, program.encode(x), "all"))


def compare_runs(network: Network, program: Program, run: FloatRun, recording: Recording) -> tuple[Agreement, ...]:
    """`measure_agreement` of two runs on the same inputs; the recording holds every population."""
    return tuple(
        _readout(program, name, run, recording)
        if network.populations[name].is_readout
        else PayloadAgreement(name, voltage_deviation(run.spikes[name], recording.spikes[name]), run.spikes[name].shape[1])
        if network.populations[name].kind == "maximum"
        else _spiking(name, run.spikes[name], recording.spikes[name])
        for name in network.order
    )


def compare_read(network: Network, program: Program, run: FloatRun, recording: Recording) -> tuple[ReadoutAgreement, ...]:
    """How far the membranes that outputs read are off, of neurons that fire: `compare_runs` says it of those that do not."""
    names = [name for name in network.order if name in network.read_voltages and not network.populations[name].is_readout]
    return tuple(_readout(program, name, run, recording) for name in names)


def _spiking(name: str, expected: NDArray[np.bool_], found: NDArray) -> LayerAgreement:
    found_here = spikes_differ(expected, found)
    return LayerAgreement(name, int(expected.sum()), found_here.different, expected.size, expected.shape[1], found_here.either)


def _readout(program: Program, name: str, run: FloatRun, recording: Recording) -> ReadoutAgreement:
    expected = run.v[name]
    differ = voltages_differ(expected, membrane(program, recording, name), rule_of(program, name))
    assert differ.deviation is not None
    return ReadoutAgreement(name, differ.deviation, differ.different, expected.shape[1])


def rule_of(program: Program, name: str) -> Output:
    """How the voltages of a population are read: by an output of it, or added up."""
    rules = [output for output in program.outputs.values() if output.node == name]
    return next((output for output in rules if output.reads_membrane), Output(name, "membrane_sum"))
