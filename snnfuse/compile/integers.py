"""From float graphs to integers: rounded, searched for, or joined to one program whose microcode normalises."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from snnfuse.compile.settings import Settings
from snnfuse.data.samples import Samples
from snnfuse.export.bundle.manifest import PARETO
from snnfuse.export.targets import Target
from snnfuse.hardware import Program, Recording, emulate
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import output_values
from snnfuse.hardware.ir.pipeline import Pipeline, as_pipeline

if TYPE_CHECKING:
    import nir

    from snnfuse.export.quantization.output_search import Repair
    from snnfuse.export.quantization.quantize_network import Quantized
    from snnfuse.export.staging.staged import QuantizedStages, StagedGraph

Json = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Integers:
    """The programs of a source, and what is known of their making.

    Attributes:
        pipeline: the programs.
        graphs: by stage, the float graph that its bundle holds; None for none.
        samples: what made golden vectors and, where there are `floats`, calibrated it.
        floats: the float network that it is compared with; None for none.
        stages: by stage, what report.json says of it.
        report: what it says of the whole.
        files: what else a bundle holds.
    """

    pipeline: Pipeline
    graphs: "tuple[nir.NIRGraph | None, ...]"
    samples: Samples
    floats: "StagedGraph | None" = None
    stages: tuple[Json, ...] = ({},)
    report: Json = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def from_floats(floats: "StagedGraph | None", samples: Samples | None, settings: Settings, target: Target) -> Integers:
    """Programs for a float network.

    Args:
        floats: one graph, or a graph per stage.
        samples: calibration inputs, by the network's names; neither is None.
        settings: how to round, whether to search, and where L2 on every step is computed.
        target: what the programs are for.

    Raises:
        InputError, UnsupportedError: as of `quantize_staged`, `snnfuse.export.staging.search.search`, `cut` and `join`.
    """
    from snnfuse.export.staging.cutting import cut
    from snnfuse.export.staging.l2_on_chip import join

    chosen_otherwise = settings.max_drop is not None or settings.tune or settings.l2 != "fold" or (floats and len(floats.stages) > 1)
    if settings.encode == "bias" and chosen_otherwise:
        raise InputError("encode='bias' is for one program, without a search, tune, stages, or L2 on a host or in microcode")
    if floats is None or samples is None:
        raise InputError("integers are chosen for a float network, on samples: give samples")
    repair_of(settings)  # refuses what excludes it
    if settings.l2 == "fold":
        return _rounded(floats, samples, settings, target)[0]
    if len(floats.stages) > 1:
        raise InputError(f"l2={settings.l2!r} is for L2 on every step of one graph, and this network is in stages already")
    (graph,) = floats.stages
    if settings.l2 == "host":
        return _rounded(cut(graph), samples, settings, target)[0]
    made, pipeline = _rounded(cut(graph), samples, settings, target, joined=True)
    program = with_difference(join(pipeline), pipeline, samples)
    merged = {key: [row for stage in made.stages for row in stage[key]] for key in ("layers", "warnings")}
    return replace(made, pipeline=as_pipeline(program), graphs=(graph,), stages=(merged,))


def _rounded(
    floats: "StagedGraph", samples: Samples, settings: Settings, target: Target, joined: bool = False
) -> tuple[Integers, Pipeline]:
    from snnfuse.export.staging.l2_on_chip import join
    from snnfuse.export.staging.staged import quantize_staged

    if settings.max_drop is None:
        found = quantize_staged(floats, samples.inputs, settings, target, repair_of(settings))
        return _integers(floats, samples, found), found.pipeline
    from snnfuse.compile.search_plot import draw, to_json
    from snnfuse.export.quantization.mixed_precision import in_turn
    from snnfuse.export.quantization.ray_mapper import on_cluster
    from snnfuse.export.staging.search import search

    mapper = in_turn if settings.cluster is None else on_cluster(settings.cluster)
    searched = search(
        floats, samples.inputs, samples.labels, settings.max_drop, settings=settings, target=target, mapper=mapper,
        finish=(lambda pipeline: as_pipeline(join(pipeline))) if joined else (lambda pipeline: pipeline),
    )  # fmt: skip
    made = _integers(floats, samples, searched.quantized)
    files = {PARETO: draw(searched, settings.max_drop)}
    return replace(made, report={"search": to_json(searched, settings.max_drop)}, files=files), searched.quantized.pipeline


def repair_of(settings: Settings) -> "Repair | None":
    """What repairs the integers, where that is asked for.

    Raises:
        InputError: bits are searched for, too.
    """
    if not settings.tune:
        return None
    if settings.max_drop is not None:
        raise InputError("tune repairs weights of given bits, and max_drop searches for bits: give the bits found as weight_bits")
    from functools import partial

    from snnfuse.compile.tuning_folder import TuningFolder
    from snnfuse.nn.tuning import tune

    return partial(tune, memory=None if settings.tune_dir is None else TuningFolder(settings.tune_dir))


def _integers(floats: "StagedGraph", samples: Samples, found: "QuantizedStages") -> Integers:
    return Integers(found.pipeline, floats.stages, samples, floats, tuple(map(_told, found.stages)))


def _told(found: "Quantized") -> Json:
    told: dict[str, Any] = {"layers": [asdict(layer) for layer in found.layers], "warnings": list(found.warnings)}
    distance = found.distance
    return told if distance is None else told | {"outputs_apart": {"classes": distance.classes, "values": distance.values}}


def with_difference(program: Program, pipeline: Pipeline, samples: Samples) -> Program:
    """The program with what its microcode costs in its ledger: how far its outputs are from those with an exact host."""
    exact = run_pipeline(pipeline, pipeline.encode(samples.inputs)).recordings[-1]
    found = emulate(program, program.encode(samples.inputs))
    effects = [difference(program, name, found, exact) for name in program.outputs]
    names = {link.name for link in pipeline.links}
    effect = f"on {len(samples)} samples, against an exact host: {'; '.join(effects)}"
    return replace(program, ledger=tuple(replace(e, effect=effect) if e.node in names else e for e in program.ledger))


def difference(program: Program, name: str, found: Recording, exact: Recording) -> str:
    """How far an output is from an exact one: spikes that differ, or of a readout the largest difference of its voltage."""
    if not program.outputs[name].reads_membrane:
        wrong, spikes = int((found.spikes[name] != exact.spikes[name]).sum()), int(exact.spikes[name].sum())
        return f"{name}: {wrong} spikes differ where there are {spikes}"
    voltages, expected = (output_values(program, of, name).astype(np.int64) for of in (found, exact))
    return f"{name}: voltages differ by up to {np.abs(voltages - expected).max()} where they reach {np.abs(expected).max()}"
