"""What a report says, gathered from a bundle's manifest and report.json: JSON-able, None for every part that the bundle does not have."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snnfuse import data
from snnfuse.data.samples import Samples
from snnfuse.export.bundle.compiled import describe_links
from snnfuse.export.bundle.manifest import GRAPH, PARETO
from snnfuse.export.bundle.verification import read_verification

if TYPE_CHECKING:
    from pathlib import Path

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.measures import Deployed
    from snnfuse.measures.runs import Runner

PARTS = (
    "calibration", "calibration_accuracy", "layers", "outputs_apart", "warnings", "tiers", "tier_status", "energy", "overflow", "search",
    "netx_differences", "golden_vectors", "warned",
)  # fmt: skip


def gather(bundle: "Bundle", name: str | None = None) -> dict[str, Any]:
    """Everything that a bundle's own files say; nothing is run.

    Args:
        bundle: one program, a graph, or several stages.
        name: to give it; by default its folder's.

    Returns:
        What `Compiled.to_json` gave when the bundle was written: `target`, `inputs`, `outputs`, `ledger`, `resources`, the parts of
        report.json in `PARTS` and `links`, each None where there are none, and `stages`, the same of every stage, none where there is one
        program. Beside it `name`; `manifest`, without its hashes; `files`, path to sha256; `verified`, what the last `snnfuse verify` of it
        came to, or None; `modality` and `curves`, None until they are measured.
    """
    manifest, report = dict(bundle.manifest), bundle.report
    files, resources = manifest.pop("files"), manifest.pop("resources", None)
    declared = {key: manifest.get(key) for key in ("target", "inputs", "outputs")}
    known = {part: report.get(part) for part in PARTS}
    fixed = {"ledger": report.get("ledger", []), "resources": resources, "modality": None, "curves": None}
    fixed["verified"] = read_verification(bundle.path)
    stages = [gather(stage) for stage in bundle.stages] if bundle.is_staged else []
    links = describe_links(bundle.links) if stages else None
    about = {"name": name or bundle.path.resolve().name, "manifest": manifest, "files": files}
    return {**about, **declared, **fixed, **known, "links": links, "stages": stages}


def picture_of(bundle: "Bundle") -> bytes | None:
    """The SVG of a search for bit widths, where there was one."""
    return (bundle.path / PARETO).read_bytes() if PARETO in bundle.manifest["files"] else None


def runners(bundle: "Bundle") -> "tuple[Runner | None, Deployed]":
    """Runs of a bundle's float graph, None where there is none, and of its integers.

    Raises:
        InputError: it holds no program.
    """
    from snnfuse.export.staging.staged import StagedGraph
    from snnfuse.measures import Deployed, of_floats

    pipeline, floats = bundle.pipeline, None
    if all(GRAPH in stage.manifest["files"] for stage in bundle.stages):
        floats = of_floats(StagedGraph(tuple(stage.graph for stage in bundle.stages), pipeline.links), pipeline)
    return floats, Deployed(pipeline, board_of(bundle.stages[0]))


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
