"""A compiled network: what is known of its programs, and so what a bundle is to hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snnfuse.export.bundle.manifest import describe_inputs, describe_outputs
from snnfuse.export.targets import Target
from snnfuse.hardware.chip import Resources
from snnfuse.hardware.chip.tiers import statuses, tiers
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.pipeline import Link, Pipeline, stage_folder
from snnfuse.hardware.ir.pipeline_storage import link_record
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ledger import Ledger, to_json

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False)
class Stage:
    """What is known of one program.

    Attributes:
        graph: the float graph it was made from; None where that was integers.
        program: the integers; None for target `nir`.
        golden: what the program makes of the encoded inputs that the recording carries, every layer; None for none.
        resources: what it takes of a board; None for another target than `loihi2`.
        graph_ledger: the changes, where there is no program to carry them.
        report: what was measured, JSON-able.
    """

    graph: "nir.NIRGraph | None"
    program: Program | None = None
    golden: Recording | None = None
    resources: Resources | None = None
    graph_ledger: Ledger = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """Every change of meaning."""
        return self.graph_ledger if self.program is None else self.program.ledger

    @property
    def measured(self) -> dict[str, Any]:
        """What its report.json holds."""
        runs_on = {} if self.program is None else {"tiers": tiers(self.program), "tier_status": statuses(self.program)}
        return {"ledger": to_json(self.ledger), **runs_on, **self.report}

    def to_json(self) -> dict[str, Any]:
        """`measured`, with what the manifest says of inputs, outputs and resources."""
        declared = {} if self.program is None else _declared(self.program, self.program)
        return declared | self.measured | ({"resources": self.resources.to_json()} if self.resources else {})


@dataclass(frozen=True, eq=False)
class Compiled:
    """A network for a target: one stage, or several with a host between them.

    Attributes:
        target: what it was made for.
        stages: in the order in which they run.
        links: what the host carries between them.
        report: what was measured of the whole, JSON-able.
        files: what else a bundle of it is to hold, by name.
    """

    target: Target
    stages: tuple[Stage, ...]
    links: tuple[Link, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """The only program; InputError where there is none, or several."""
        if len(self.stages) != 1 or self.stages[0].program is None:
            raise InputError(f"one program was asked for, and this holds {sum(stage.program is not None for stage in self.stages)}")
        return self.stages[0].program

    @property
    def pipeline(self) -> Pipeline:
        """The programs, wired; InputError for target `nir`, which has none."""
        programs = tuple(stage.program for stage in self.stages if stage.program is not None)
        return Pipeline(programs, self.links)

    @property
    def ledger(self) -> Ledger:
        """Every change of meaning, of all stages."""
        return tuple(entry for stage in self.stages for entry in stage.ledger)

    @property
    def measured(self) -> dict[str, Any]:
        """What report.json holds."""
        if len(self.stages) == 1:
            return {**self.stages[0].measured, **self.report}
        by_stage = {stage_folder(i): to_json(stage.ledger) for i, stage in enumerate(self.stages)}
        return {"ledger": to_json(self.ledger), "stages": by_stage, **self.report}

    def to_json(self) -> dict[str, Any]:
        """All that is known, JSON-able: what `snnfuse-export` prints, its `--json`, and `snnfuse.report.gather` of the bundle."""
        if len(self.stages) == 1:
            return {"target": self.target.name, **self.stages[0].to_json(), **self.report}
        stages = [{"name": stage_folder(i), **stage.to_json()} for i, stage in enumerate(self.stages)]
        declared = _declared(self.pipeline, self.pipeline.programs[-1])
        return {"target": self.target.name, **declared, **self.measured, "links": describe_links(self.links), "stages": stages}

    def check(self) -> None:
        """InputError where the parts do not belong together."""
        if len(self.stages) > 1 and "stages" not in self.target.holds:
            raise UnsupportedError(f"target {self.target.name} holds one network, and this one is {len(self.stages)}, with a host between")
        for stage in self.stages:
            _check_stage(self.target, stage)


def describe_links(links: tuple[Link, ...]) -> list[dict[str, Any]]:
    """What the host carries, as JSON, and in words."""
    return [{**link_record(link), "words": link.describe()} for link in links]


def _declared(inputs: Program | Pipeline, outputs: Program) -> dict[str, Any]:
    return {"inputs": describe_inputs(inputs.inputs), "outputs": describe_outputs(outputs)}


def _check_stage(target: Target, stage: Stage) -> None:
    program = stage.program
    if (program is not None) != target.has_program:
        raise InputError("a bundle for target 'nir' holds no program, every other one needs it")
    if stage.resources is not None and not target.is_placed:
        raise InputError(f"resources are those of a chip, which target {target.name!r} has none of; leave them out")
    if program is None:
        if stage.graph is None:
            raise InputError(f"a bundle for target {target.name!r} needs a graph")
        return
    if not program.outputs:
        raise InputError("a program without outputs has nothing to verify")
    if stage.golden is not None:
        _check_golden(program, stage.golden)


def _check_golden(program: Program, golden: Recording) -> None:
    check_events(program, golden.events)
    missing = [name for name in program.neurons if name not in golden.spikes]
    if missing:
        raise InputError(f"golden vectors need every layer, {missing[0]!r} was not recorded: use record='all'")
