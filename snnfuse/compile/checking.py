"""What would become of a network, before anybody calibrates it: exact or not, tier, and whether it fits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from snnfuse.compile.main_job import compile
from snnfuse.compile.random_inputs import random_inputs
from snnfuse.compile.settings import Settings
from snnfuse.compile.sources import Source
from snnfuse.data.samples import Samples
from snnfuse.export.bundle.compiled import Compiled, Stage
from snnfuse.export.targets import Target
from snnfuse.hardware import SpikeInput
from snnfuse.hardware.errors import InputError

if TYPE_CHECKING:
    from snnfuse.hardware.chip.resources import Layer

FEW = 4
"""Samples that choose the integers of a check: their number tells groups and so cores, not accuracy."""


@dataclass(frozen=True)
class LayerCheck:
    """What becomes of one population.

    Attributes:
        stage: of the network, counted from 1.
        name: as in the graph.
        neurons: how many.
        decision: "exact", or "approximate", where the float graph already is not what was trained.
        why: what changes; empty where nothing does.
        tier: A, stock neurons; B, microcode; C, the host.
        status: how sure that is.
        cores: that it takes of the board, where the target has one.
    """

    stage: int
    name: str
    neurons: int
    decision: str
    why: str
    tier: str
    status: str
    cores: int | None


@dataclass(frozen=True)
class Check:
    """A network's layers, and where it would go.

    Attributes:
        layers: in the order in which they run.
        board: its name; None where the target has none.
        cores, of: that all stages take, and that the board has.
        samples: what stood in for calibration data.
        elsewhere: changes that belong to no layer.
    """

    layers: tuple[LayerCheck, ...]
    board: str | None
    cores: int
    of: int
    samples: str
    elsewhere: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `snnfuse check --json` writes it."""
        return asdict(self)


def check(source: Source, samples: Samples | None, settings: Settings, target: Target) -> Check:
    """Compile with a few samples that stand in for calibration data, and say what became of each layer.

    Args:
        source: as of `open_source` or `source_of`.
        samples: calibration data, of which `FEW` are used; None: random spikes of the shapes that the settings give, or the graph declares.
        settings, target: as for `compile`; nothing is searched or proved.

    Raises:
        UnsupportedError: names the first layer that cannot be exported, the reason and a way out.
        DoesNotFitError: it fits no board of the target's.
        InputError: nothing tells the shapes of the inputs.
    """
    few = _stand_in(source, settings) if samples is None else samples.select(slice(FEW))
    compiled = compile(source, few, replace(settings, prove="off", max_drop=None), target)
    changes = [_changes(stage, settings) for stage in compiled.stages]
    layers = tuple(
        row for number, (stage, found) in enumerate(zip(compiled.stages, changes), 1) for row in _layers(number, stage, found, compiled)
    )
    named = {row.name for row in layers}
    elsewhere = tuple(f"{node}: {change}" for found in changes for node, change in found.items() if node not in named)
    boards = [stage.resources for stage in compiled.stages if stage.resources is not None]
    cores, board = sum(found.cores for found in boards), boards[0].board if boards else None
    about = "random spikes" if samples is None else f"{min(FEW, len(samples))} samples of {samples.source}"
    return Check(layers, board.name if board else None, cores, board.cores if board else 0, about, elsewhere)


def _stand_in(source: Source, settings: Settings) -> Samples | None:
    """Random spikes of the shapes that are known; None for integers, which need no samples."""
    if source.floats is None:
        return None
    shapes = settings.shapes
    if shapes is None and source.kind == "graph":
        (graph,) = source.floats(None, settings).stages
        shapes = {name: tuple(int(n) for n in node.input_type["input"]) for name, node in graph.inputs.items()}
    if shapes is None:
        ways = "give samples, or their shapes (--calib FILE.npz, --data NAME or --sample SHAPE)"
        raise InputError(f"the shapes of {source.name}'s inputs are not known: {ways}")
    spikes = random_inputs({name: SpikeInput(tuple(shape)) for name, shape in shapes.items()}, settings.time_steps)
    return replace(spikes, inputs={name: array.astype(np.float32) for name, array in spikes.inputs.items()})


def _changes(stage: Stage, settings: Settings) -> dict[str, str]:
    """By node, what tracing and lowering changed, before any integer was chosen."""
    from snnfuse.export import lower

    if stage.graph is None:
        return {}
    found: dict[str, str] = {}
    for entry in lower(stage.graph, settings.dt).ledger:
        found[entry.node] = "; ".join(filter(None, (found.get(entry.node), entry.change)))
    return found


def _layers(number: int, stage: Stage, changes: Mapping[str, str], compiled: Compiled) -> list[LayerCheck]:
    """A row per population of a stage's program."""
    from snnfuse.hardware.chip.tiers import statuses, tiers

    program = stage.program
    assert program is not None
    tier, status = tiers(program), statuses(program)
    placed: Mapping[str, Layer] = {} if stage.resources is None else {layer.name: layer for layer in stage.resources.layers}
    return [
        LayerCheck(
            number, name, int(np.prod(node.shape)), "approximate" if name in changes else "exact", changes.get(name, ""), tier[name],
            status.get(name, ""), placed[name].cores if name in placed else None,
        )
        for name, node in program.neurons.items()
    ]  # fmt: skip
