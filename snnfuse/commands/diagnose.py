"""`snnfuse diagnose`: why a bundle does something else than its float network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.wording import in_flags

if TYPE_CHECKING:
    from snnfuse.data.samples import Samples
    from snnfuse.export.bundle.bundle import Bundle


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input, and maybe labels.")
@click.option("--data", metavar="NAME", help="Run on this data set's test part, read as the export read it.")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where the data set lies.")
@click.option("--samples", type=click.IntRange(1), metavar="N", help="Run on N samples only, evenly spaced.")
@click.option("--all-layers", is_flag=True, help="Restore every layer to float, not only the three blamed most.")
@json_option
def diagnose(json_to: str | None, quiet: bool, **given: Any) -> None:
    """Say why BUNDLE's program does something else than its float network: the layer, the step, the cause, and what to do.

    Without --input or --data it runs on the bundle's golden inputs, as they were encoded, and without labels.
    """
    options = DiagnoseOptions(**given)
    if options.inputs is not None and options.data is not None:
        raise click.UsageError("give --input FILE or --data NAME, not both")
    if options.data_dir is not None and options.data is None:
        raise click.UsageError("--data-dir goes with --data NAME")
    console = Console(json_to, quiet, (options.bundle, options.inputs))
    with console.result() as result:
        result.update(run_diagnosis(options, console))


@dataclass(frozen=True)
class DiagnoseOptions:
    """The command line."""

    bundle: Path
    inputs: Path | None
    data: str | None
    data_dir: Path | None
    samples: int | None
    all_layers: bool


def run_diagnosis(options: DiagnoseOptions, console: Console) -> dict[str, Any]:
    """Read, diagnose and print; returns the figures."""
    from snnfuse.diagnosis import diagnose as find_cause
    from snnfuse.diagnosis.result import HEAD
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.report.tables import table

    bundle = read_bundle(options.bundle)
    with console.step("reading samples"):
        samples = read(bundle, options)
    if samples is None:
        with console.step("diagnosing"):
            found = find_cause(bundle, all_layers=options.all_layers)
    else:
        with console.step("diagnosing"):
            found = find_cause(bundle, samples.inputs, samples.labels, all_layers=options.all_layers, source=samples.source)
    console.say(in_flags("\n".join(found.sentences)))
    console.say(table(HEAD, found.rows))
    return found.to_json()


def read(bundle: "Bundle", options: DiagnoseOptions) -> "Samples | None":
    """The samples asked for, under the network's input names; None for the golden ones."""
    import numpy as np

    from snnfuse.compile.accuracy import check_labels
    from snnfuse.data.samples import draw_samples, read_samples, settings_from

    if options.inputs is not None:
        found = read_samples(options.inputs)
    elif options.data is not None:
        about = (bundle.report.get("calibration") or {}).get("data") or {}
        settings = settings_from({"data_settings": about.get("settings") if about.get("name") == options.data else None}, str(bundle.path))
        found = draw_samples(options.data, 10**9, part="test", data_dir=options.data_dir, settings=settings)
    else:
        return None
    found = found.named(tuple(bundle.pipeline.inputs))
    check_labels(bundle.pipeline.programs[-1], found)
    if options.samples is not None and options.samples < len(found):
        found = found.select(np.unique(np.linspace(0, len(found) - 1, options.samples).astype(int)))
    return found
