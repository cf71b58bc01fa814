"""The pictures of a report, each with its text alternative: spikes in floats and deployed, registers, the network, its cores, its energy.

`SNNFUSE_PICTURES=off` leaves them out, for exports that must be quick.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.bundle.manifest import EVENTS, GRAPH, PROGRAM_FILES
from snnfuse.hardware.errors import SnnfuseError
from snnfuse.measures.modality import CLASSES

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.export.quantization.layer_effects import Runs
    from snnfuse.hardware.pictures import Drawing

OFF = ("SNNFUSE_PICTURES", "off")
WIDE, FULL = 480.0, 816.0  # pixels up to which a picture is shown whole on a phone, and beside another one
NAMED = 12  # layers that a text alternative names


@dataclass(frozen=True)
class Picture:
    """An SVG, and what it shows in words."""

    title: str
    svg: str
    alternative: str
    width: float = 768.0  # pixels

    @property
    def is_wide(self) -> bool:
        """Whether a phone shows it at a size that can be read, to be scrolled."""
        return self.width > WIDE

    @property
    def is_full(self) -> bool:
        """Whether it has the whole width of the page."""
        return self.width > FULL


@dataclass(frozen=True)
class Pictures:
    """Those of a report; missing: why there are none, or none of some kind, in words."""

    drawn: tuple[Picture, ...] = ()
    missing: str = ""


NONE = Pictures()


def pictures_of(bundle: "Bundle", content: Mapping[str, Any]) -> Pictures:
    """What can be drawn of a bundle, its golden inputs run in floats and deployed; of stages, each on what it was fed.

    content: as of `gather`, with the figures of a data set where they were measured.
    """
    if os.environ.get(OFF[0], "").lower() == OFF[1]:
        return NONE
    drawn, missing = list[Picture](), list[str]()
    for number, stage in enumerate(bundle.stages if PROGRAM_FILES[0] in bundle.stages[0].manifest["files"] else ()):
        about = content["stages"][number] if content["stages"] else content
        prefix = f"{about['name']}: " if content["stages"] else ""
        drawn += [replace(picture, title=prefix + picture.title) for picture in _of_stage(stage, about, missing)]
    return Pictures((*_of_data(content), *drawn), "; ".join(missing))


def _of_stage(bundle: "Bundle", about: Mapping[str, Any], missing: list[str]) -> Iterator[Picture]:
    from snnfuse.hardware.chip import check_chip
    from snnfuse.hardware.pictures import draw_cores, draw_profile, draw_program
    from snnfuse.report.contents import board_of

    program, board = bundle.program, board_of(bundle)
    runs = _runs(bundle, missing) if EVENTS in bundle.manifest["files"] else None
    if runs is not None:
        yield from _of_runs(runs)
    words = "of weights, and on the golden inputs of currents and voltages" if runs is not None else "of weights"
    profile = draw_profile(program, None if runs is None else runs.recording)
    title = "registers: histograms of weights, u and v against what they hold" if runs is not None else "weights against what they hold"
    yield _picture(title, profile, f"By layer, how many bits the magnitudes {words} have; the table of layers gives the shares used.")
    resources = None if board is None else check_chip(program, board)
    named = [f"{name} ({'x'.join(map(str, node.shape))})" for name, node in program.neurons.items()]
    yield _picture("the network", draw_program(program, resources), f"Layers by latency with shape, tier, bits and cores: {_some(named)}.")
    if resources is not None:
        cores = [f"{layer.name} {layer.cores}" for layer in resources.layers]
        yield _picture("cores", draw_cores(resources), f"{resources.cores} cores of {resources.board.name} by layer: {_some(cores)}.")
    if about["energy"]:
        yield _energy(about["energy"])


def _energy(energy: Mapping[str, Any]) -> Picture:
    from snnfuse.diagnosis.pictures import draw_energy

    return _picture("dynamic energy of an inference, by layer", draw_energy(energy), "The table on energy below has every number of it.")


def _runs(bundle: "Bundle", missing: list[str]) -> "Runs | None":
    """The golden inputs in floats and deployed, states and all; None, with a reason, without a float network of the program's layers."""
    from snnfuse.diagnosis.behaviour import run_both
    from snnfuse.diagnosis.diagnosing import golden_inputs
    from snnfuse.diagnosis.recorded import read_recorded
    from snnfuse.diagnosis.subject import pair

    if GRAPH not in bundle.manifest["files"]:
        missing.append("no picture beside the float network, for the model came as integers")
        return None
    try:
        return run_both(pair(bundle.graph, bundle.program, read_recorded(bundle.program.ledger, bundle.report)), golden_inputs(bundle))
    except SnnfuseError as error:
        missing.append(f"no picture beside the float network: {error}")
        return None


def _of_runs(runs: "Runs") -> Iterator[Picture]:
    """Spikes of the sample that differs most, and the classes of all."""
    from snnfuse.diagnosis.outcome import classes, deployed_scores, float_scores
    from snnfuse.diagnosis.pictures import draw_confusion
    from snnfuse.hardware.pictures.raster import chosen_layers, draw_raster
    from snnfuse.measures import confusion

    program, floats = runs.program, replace(runs.recording, spikes={**runs.recording.spikes, **runs.run.spikes})
    wrong = {name: (runs.run.spikes[name] != runs.recording.spikes[name]) for name in runs.network.order}
    by_sample: NDArray = np.sum([w.sum((0, *range(2, w.ndim))) for w in wrong.values()], axis=0)
    sample = int(np.argmax(by_sample))
    order = [name for name in program.neurons if name in wrong]
    shown = chosen_layers(floats, runs.recording, _spread(order))
    spikes = sum(int(((runs.run.spikes[n] != 0) | (runs.recording.spikes[n] != 0))[:, sample].sum()) for n in shown)
    differing = {n: count for n in shown if (count := int(wrong[n][:, sample].sum()))}
    said = ", ".join(f"{count} in {name}" for name, count in differing.items()) or "none"
    yield _picture(
        "spikes in floats and deployed",
        draw_raster(floats, runs.recording, shown, sample, ("float", "deployed")),
        f"Golden sample {sample + 1} of {len(by_sample)}, which differs most: of {spikes} spikes differ {sum(differing.values())}: {said}.",
    )
    if program.decides is None or len(by_sample) < 2:
        return
    a, b = (
        classes(of[program.decides]) for of in (float_scores(runs.network, program, runs.run), deployed_scores(program, runs.recording))
    )
    if len(counts := confusion(a, b)) <= CLASSES:
        same = f"{int((a == b).sum())} of {len(a)} golden samples keep the float network's class"
        yield _picture("classes in floats and deployed", draw_confusion(counts, same, ("class in floats", "class deployed")), f"{same}.")


def _of_data(content: Mapping[str, Any]) -> Iterator[Picture]:
    """Labels against classes, and angles of embeddings, where a data set was measured."""
    from snnfuse.diagnosis.pictures import draw_angles, draw_confusion

    modality = content["modality"] or {}
    for row in (row for row in modality.get("rows", ()) if row["kind"] == "clean"):
        for kind in ("float", "deployed"):
            found: dict[str, Any] = row.get(kind) or {}
            if "confusion" in found:
                words = f"{kind}: {found['accuracy']:.2%} of {row['samples']} test samples"
                yield _picture(f"confusion, {kind}", draw_confusion(found["confusion"], words), f"{words} have their class.")
    if features := modality.get("features"):
        by_name = {row["embedding"]: row for row in features}
        words = "The table on embeddings below has every number of it."
        yield _picture("angles of embeddings", draw_angles(by_name), words)


def _picture(title: str, drawing: "Drawing", alternative: str) -> Picture:
    return Picture(title, str(drawing), alternative, drawing.width)


def _spread(names: list[str]) -> list[str]:
    """As many layers as a raster has room for, first and last among them."""
    from snnfuse.hardware.pictures.raster import MOST

    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(MOST, len(names))).astype(int))]


def _some(words: list[str]) -> str:
    return ", ".join(words[:NAMED]) + (f" and {len(words) - NAMED} more" if len(words) > NAMED else "")
