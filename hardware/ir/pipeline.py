"""Programs in a row, and what a host computes between them: a network that needs all steps of one part before the next begins.

Every stage is a run of its own, over a window of as many steps as the inputs have, from rest. Between two stages the host reads an
output of the earlier one, reduces it over the window, and feeds the result to the later ones (`snnfuse.hardware.ir.host_steps`). What it
does is data, a `Link`, so that a pipeline holds nothing that has to be executed.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import InputError, WindowWarning
from snnfuse.hardware.ir.encoding import Events, as_inputs, output_values, range_warnings, to_events
from snnfuse.hardware.ir.host_steps import REDUCTIONS, HostStep, Reduction, carry, describe_step
from snnfuse.hardware.ir.nodes import Input
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

REDUCED: dict[Reduction, str] = {
    "count": "its spikes are counted over the window",
    "mean": "it is averaged over the window",
    "steps": "every step is read",
}


def stage_folder(stage: int) -> str:
    """Name of a stage, which is counted from 0, and of its folder: stage1, stage2, ..."""
    return f"stage{stage + 1}"


def layer_name(stages: int, stage: int, node: str) -> str:
    """A node's own name, or stage1/node and so on where there are several stages."""
    return node if stages == 1 else f"{stage_folder(stage)}/{node}"


@dataclass(frozen=True)
class Link:
    """What a host carries from one stage to the later ones.

    Attributes:
        name: of the later programs' input.
        stage: which program is read, from 0.
        output: which of its outputs: its spikes, or its voltages where a membrane decoder reads it.
        reduction: what is made of the window: "count", "mean", or "steps" for every step as it was.
        steps: what is computed of that, in this order.
        unit: value of one unit of what is read: 1 for a spike; a voltage's in units of the float network.
    """

    name: str
    stage: int
    output: str
    reduction: Reduction = "mean"
    steps: tuple[HostStep, ...] = ()
    unit: float = 1.0

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise InputError(f"link {self.name!r}: reduction {self.reduction!r} is none of {', '.join(REDUCTIONS)}")
        if not (np.isfinite(self.unit) and self.unit > 0):
            raise InputError(f"link {self.name!r}: unit must be positive and finite, not {self.unit}")

    def describe(self, window: str = "") -> str:
        """What the host computes, in words; `window` says more of it, as " of 8 steps"."""
        return ", ".join([f"{REDUCED[self.reduction]}{window}", *map(describe_step, self.steps)])


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Programs that run one after the other.

    Attributes:
        programs: by stage. An input of one is a link's, where a link has its name, and the network's otherwise.
        links: what is carried.

    Raises:
        InputError: there are no programs, a link reads or feeds nothing, too early or what it cannot hold, or two stages declare the
            same input of the network differently.
    """

    programs: tuple[Program, ...]
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if not self.programs:
            raise InputError("a pipeline needs at least one program")
        if len({link.name for link in self.links}) < len(self.links):
            raise InputError("two links of a pipeline carry the same name")
        for link in self.links:
            self._check_link(link)
        _ = self.inputs

    def _check_link(self, link: Link) -> None:
        where = f"link {link.name!r}"
        if not 0 <= link.stage < len(self.programs):
            raise InputError(f"{where} reads stage {link.stage}, but the stages are 0 to {len(self.programs) - 1}")
        source = self.programs[link.stage]
        if link.output not in source.outputs:
            raise InputError(f"{where} reads {link.output!r}; the outputs of stage {link.stage} are {', '.join(source.outputs)}")
        readers = [number for number, program in enumerate(self.programs) if link.name in program.inputs]
        if not readers or readers[0] <= link.stage:
            raise InputError(f"{where} must be read by a stage after {link.stage}, and by none before")
        shape = source.nodes[source.outputs[link.output].node].shape
        for number in readers:
            if int(np.prod(self.programs[number].inputs[link.name].shape)) != int(np.prod(shape)):
                found = self.programs[number].inputs[link.name].shape
                raise InputError(f"{where} carries values of shape {shape}, but stage {number} takes {found}")

    @property
    def inputs(self) -> dict[str, Input]:
        """The network's own inputs."""
        linked = {link.name for link in self.links}
        found: dict[str, Input] = {}
        for program in self.programs:
            for name, node in program.inputs.items():
                if name not in linked and found.setdefault(name, node) != node:
                    raise InputError(f"input {name!r} is declared differently by two stages, so that it cannot be encoded once")
        return found

    def encode(self, x: ArrayLike | Mapping[str, ArrayLike]) -> Events:
        """The network's inputs to events; arguments, warnings and errors as of `snnfuse.hardware.ir.encoding.encode`."""
        return _encoded(self.inputs, as_inputs(self.inputs, x, as_given=True))

    def events_of(self, stage: int, events: Mapping[str, NDArray], recordings: Sequence[Recording]) -> Events:
        """What a stage is fed, from the network's events and the recordings of the stages before it: the host's part.

        Warns:
            SaturationWarning: carried values that saturate, with their number.
            WindowWarning: means over another number of steps than they were calibrated for, where that rounds them.
        """
        links = {link.name: link for link in self.links}
        inputs = self.programs[stage].inputs
        fed = {name: events[name] for name in inputs if name not in links}
        carried = {name: self.carried(links[name], recordings) for name in inputs if name in links}
        for name, value in carried.items():
            _warn_of_window(links[name], inputs[name], len(value))
            carried[name] = value.reshape(*value.shape[:2], *inputs[name].shape)
        return {**fed, **_encoded({name: inputs[name] for name in carried}, carried, is_own=False)}

    def carried(self, link: Link, recordings: Sequence[Recording]) -> NDArray[np.float64]:
        """The value of a link on every step, before it is encoded, float64 (time, batch, *shape)."""
        output, recording = self.programs[link.stage].outputs[link.output], recordings[link.stage]
        values = output_values(self.programs[link.stage], recording, link.output)
        return carry(link.reduction, link.steps, values * link.unit if output.reads_membrane else values)

    def values(self, recordings: Sequence[Recording], output: str | None = None) -> NDArray[np.float64]:
        """The last stage's output in the units of the float network; see `snnfuse.hardware.ir.encoding.values`."""
        return self.programs[-1].values(recordings[-1], output)

    def decode(self, recordings: Sequence[Recording], output: str | None = None) -> NDArray[np.int64]:
        """Classes (batch,), read from the last stage's recording; see `snnfuse.hardware.ir.encoding.decode`."""
        return self.programs[-1].decode(recordings[-1], output)


def as_pipeline(program: "Program | Pipeline") -> Pipeline:
    """A pipeline of one stage for a program; a pipeline as it is."""
    return program if isinstance(program, Pipeline) else Pipeline((program,), ())


def _warn_of_window(link: Link, node: Input, steps: int) -> None:
    """Means of counts over T steps are carried in units of 1 / T, exactly; over other numbers of steps they are others."""
    if link.reduction != "mean" or link.steps or not node.sends_numbers:
        return
    calibrated = round(1 / node.scale)
    if calibrated >= 1 and np.isclose(calibrated * node.scale, 1, rtol=1e-12, atol=0) and calibrated % steps:
        text = f"input {link.name!r}: a mean over {steps} steps is rounded to multiples of 1/{calibrated}"
        warnings.warn(f"{text}, for it was calibrated on windows of {calibrated} steps", WindowWarning, stacklevel=4)


def _encoded(inputs: Mapping[str, Input], arrays: Mapping[str, NDArray], is_own: bool = True) -> Events:
    for warning in range_warnings(inputs, arrays, is_own):
        warnings.warn(warning, stacklevel=4)
    return to_events(inputs, arrays)
