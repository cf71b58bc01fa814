"""`snnfuse report`: what is known of a bundle, and how its network does with sensors that fail, as one page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.train_options import DATA_SETTINGS, data_options, settings_of

if TYPE_CHECKING:
    from snnfuse.data import Settings
    from snnfuse.export.bundle.bundle import Bundle

PAGE = Path("report.html")


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--data", metavar="NAME", help="Measure on this data set's test part, with sensors clean, missing, noisy and late.")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where the data set lies.")
@data_options
@click.option("--samples", type=click.IntRange(1), metavar="N", help="Measure on the first N test samples only.")
@click.option("--embedding", "embeddings", multiple=True, metavar="[NAME=]NODE", help="A layer whose spike counts are embeddings.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise; on recordings it is the data's own.")
@click.option("-o", "--output", type=PATH, default=PAGE, show_default=True, metavar="FILE", help="The page.")
@json_option
def report(json_to: str | None, quiet: bool, **given: Any) -> None:
    """Write all that is known of BUNDLE into one HTML file, which opens anywhere and fetches nothing.

    Ledger, layers, cores, tiers, modelled energy, accuracy and overflow proof are the export's. With --data come accuracy, spikes and
    energy in every condition of the sensors, float and deployed, and how well embeddings tell classes apart.
    """
    options = ReportOptions(reading={name: given.pop(name) for name in DATA_SETTINGS}, **given)
    console = Console(json_to, quiet, (options.bundle,))
    with console.result() as result:
        result.update(run_report(options, console))


@dataclass(frozen=True)
class ReportOptions:
    """The command line; reading: how the data set is read, as of `snnfuse.commands.train_options.data_options`."""

    bundle: Path
    output: Path
    data: str | None
    data_dir: Path | None
    reading: Mapping[str, Any]
    samples: int | None
    embeddings: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        named = {"data_dir": self.data_dir, "samples": self.samples, "embeddings": self.embeddings, **self.reading}
        flags = {str(parameter.name): parameter.opts[0] for parameter in report.params}
        for name, value in named.items():
            if value not in (None, ()) and not self.data:
                raise click.UsageError(f"{flags[name]} goes with --data NAME")


def run_report(options: ReportOptions, console: Console) -> dict[str, Any]:
    """Gather, measure, write; returns the content."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.export.targets import find_target
    from snnfuse.hardware.files import check_output_file, write_whole
    from snnfuse.report import gather, picture_of, pictures_of, render

    check_output_file(options.output, (options.bundle,))
    bundle = read_bundle(options.bundle)
    if find_target(bundle.manifest["target"]).has_program:
        bundle.pipeline  # noqa: B018  # what cannot be read is refused, though the page needs the JSON alone
    content = gather(bundle)
    if options.data is not None:
        content |= measure(bundle, options.data, options, console)
    with console.step("drawing"):
        pictures = pictures_of(bundle, content)
    if pictures.missing:
        console.say(f"note: {pictures.missing}")
    write_whole(options.output, render(content, picture_of(bundle), pictures).encode())
    console.say(f"report: {options.output}")
    return content | {"report": str(options.output)}


def measure(bundle: "Bundle", name: str, options: ReportOptions, console: Console) -> dict[str, Any]:
    """`modality`, the figures in every condition, and `curves`, their SVG or None."""
    from snnfuse.measures import conditions_for, embedding_nodes, measure_modalities
    from snnfuse.report.contents import TestPart, runners
    from snnfuse.report.curves import draw_curves

    floats, deployed = runners(bundle)
    pipeline = deployed.pipeline
    nodes = embedding_nodes(pipeline, parse_embeddings(options.embeddings))
    with console.step(f"reading {name}"):
        settings = settings_of(dict(options.reading), read_as(bundle, name))
        read = TestPart(name, options.data_dir, tuple(pipeline.inputs), options.samples, settings)
        clean = read(None)
        pipeline.encode({key: x[:, :1] for key, x in clean.inputs.items()})  # refuses other shapes, before the work
    with console.progress("conditions") as progress:
        found = measure_modalities(
            read, conditions_for(clean.inputs, recordings=read.recordings), floats=floats, deployed=deployed, embeddings=nodes,
            seed=options.seed, progress=progress,
        )  # fmt: skip
    found |= {"source": clean.source, "settings": asdict(settings), "seed": options.seed}
    for row in found["rows"]:
        console.say(describe(row))
    return {"modality": found, "curves": draw_curves(found["rows"])}


def read_as(bundle: "Bundle", name: str) -> "Settings | None":
    """How the export read a data set, and so the training; None where the bundle was calibrated on other samples."""
    from snnfuse.data import same_reading
    from snnfuse.data.samples import settings_from

    drawn_from = (bundle.report.get("calibration") or {}).get("data") or {}
    if not same_reading(name, drawn_from.get("name")):
        return None
    return settings_from({"data_settings": drawn_from.get("settings")}, str(bundle.path))


def parse_embeddings(given: tuple[str, ...]) -> dict[str, str] | None:
    """`NODE` or `NAME=NODE`, each once; None where nothing was given."""
    pairs = [(name or node, node) for name, _, node in (text.rpartition("=") for text in given)]
    return dict(pairs) if pairs else None


def describe(row: dict[str, Any]) -> str:
    """A condition in a line."""
    runs = ", ".join(f"{kind} {row[kind]['accuracy']:.2%}" for kind in ("float", "deployed") if row[kind])
    return f"{row['name']}: {runs}"
