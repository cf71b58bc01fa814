"""What a report says, gathered from a bundle's manifest and report.json: JSON-able, None for every part that the bundle does not have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snnfuse import data
from snnfuse.compile.compiled import PARETO
from snnfuse.data.samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.measures import Deployed
    from snnfuse.measures.runs import Runner

GRAPH = "graph.nir"
PARTS = ("calibration", "calibration_accuracy", "layers", "warnings", "tiers", "energy", "overflow", "search")


def gather(bundle: "Bundle", name: str | None = None) -> dict[str, Any]:
    """Everything that a bundle's own files say; nothing is run.

    Args:
        bundle: one program, a graph, or several stages.
        name: to give it; by default its folder's.

    Returns:
        `name`; `manifest`, without its hashes; `files`, path to sha256; `ledger`; `resources`, or None; the parts of report.json in
        `PARTS`, each None where the export did not make it; `stages`, the same of every stage, none where there is one program; `modality`
        and `curves`, None until they are measured.
    """
    manifest, report = dict(bundle.manifest), bundle.report
    files, resources = manifest.pop("files"), manifest.pop("resources", None)
    known = {part: report.get(part) for part in PARTS}
    fixed = {"ledger": report.get("ledger", []), "resources": resources, "modality": None, "curves": None}
    stages = [gather(stage) for stage in stages_of(bundle)]
    return {"name": name or bundle.path.resolve().name, "manifest": manifest, "files": files, **fixed, **known, "stages": stages}


def stages_of(bundle: "Bundle") -> "tuple[Bundle, ...]":
    """A bundle per stage; none where there is one program."""
    from snnfuse.export.bundle.bundle import read_bundle

    return tuple(read_bundle(bundle.path / stage) for stage in bundle.manifest.get("stages", ()))


def picture_of(bundle: "Bundle") -> bytes | None:
    """The SVG of a search for bit widths, where there was one."""
    return (bundle.path / PARETO).read_bytes() if PARETO in bundle.manifest["files"] else None


def runners(bundle: "Bundle") -> "tuple[Runner | None, Deployed]":
    """Runs of a bundle's float graph, None where there is none, and of its integers.

    Raises:
        InputError: it holds no program.
    """
    from snnfuse.measures import Deployed, of_graph, of_stages

    if not bundle.is_pipeline:
        floats = of_graph(bundle.graph, bundle.program) if GRAPH in bundle.manifest["files"] else None
        return floats, Deployed(bundle.program, board_of(bundle))
    from snnfuse.export.bundle.stages import open_pipeline
    from snnfuse.export.staging.staged import StagedGraph

    opened = open_pipeline(bundle)
    staged = StagedGraph(tuple(stage.graph for stage in opened.stages), opened.pipeline.links)
    return of_stages(staged, opened.pipeline), Deployed(opened.pipeline, board_of(opened.stages[0]))


def overflow_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many proofs end how: "impossible", "harmless" (it may happen, without an effect), "witnessed" and "undecided"."""
    counts = {"impossible": 0, "harmless": 0, "witnessed": 0, "undecided": 0}
    for row in rows:
        status = str(row["status"])
        counts["harmless" if row["harmless"] and status != "impossible" else status if status in counts else "undecided"] += 1
    return counts


def board_of(bundle: "Bundle") -> str | None:
    """The board that the bundle was placed on; None for one that was not."""
    resources = bundle.manifest.get("resources") or {}
    board = resources.get("board", {})
    return board.get("name") if isinstance(board, dict) else None


class TestPart:
    """Labelled test samples of a data set under a network's input names, the same ones whatever the noise on their recordings.

    Attributes:
        recordings: inputs whose waveforms can be given noise.
    """

    __test__ = False  # no test of pytest's

    def __init__(
        self,
        name: str,
        data_dir: "str | Path | None",
        inputs: Sequence[str],
        number: int | None = None,
        settings: data.Settings = data.Settings(),
    ) -> None:
        """name, data_dir, settings: as of `snnfuse.data.load`. inputs: of the network, in its order. number: so many; None: all."""
        self.name, self.data_dir, self.inputs, self.number, self.settings = name, data_dir, tuple(inputs), number, settings
        self.recordings: tuple[str, ...] = ()
        self._last: dict[float | None, Samples] = {}

    def __call__(self, snr_db: float | None) -> "Samples":
        """Given a signal-to-noise ratio in dB, None for the recordings as the settings have them. One reading at a time is kept."""
        if snr_db not in self._last:
            self._last.clear()
            settings = self.settings if snr_db is None else replace(self.settings, snr_db=snr_db)
            loaded = data.load(self.name, self.data_dir, settings)
            chosen = slice(self.number)
            self.recordings = tuple(name for name in self.inputs if name in loaded.recordings)
            samples = Samples(loaded.test.steps(chosen), loaded.test.labels[chosen], f"{self.name}, test part")
            self._last[snr_db] = samples.named(self.inputs)
        return self._last[snr_db]
