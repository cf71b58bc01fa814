"""`snnfuse export`, which is also `snnfuse-export`: a trained network to a bundle."""

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.export_inputs import find_samples, find_shapes
from snnfuse.commands.export_options import ExportOptions, check_options, check_together
from snnfuse.commands.map import board_option
from snnfuse.commands.timings import describe_timings, timings_json, timings_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Written out, because importing the modules that define them takes longer than --help may; a test compares them.
TARGETS = ("loihi2", "lava", "nir", "netx")
STEPS = 7  # of an export, for the bar
SHOWN = 3  # entries of the ledger in an error
EFFORTS = ("fast", "full", "off")
RESETS = ("zero", "subtract", "subtract_delayed", "subtract_undelayed", "zero_delayed", "zero_stored")
DECODERS = ("spike_count", "first_spike", "membrane_sum", "membrane_last", "membrane_max")
L2 = ("fold", "host", "microcode")
TIERS = ("A", "B")
ENCODINGS = ("spikes", "bias")
LAYOUTS = ("step", "static", "time-first", "batch-first", "time-last")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=PATH, metavar="MODEL")
@click.option("--target", type=click.Choice(TARGETS), required=True, help="What to make the bundle for.")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="The bundle; default: MODEL's name, a dash and the target.")
@click.option("--calib", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input, and maybe labels.")
@click.option("--data", metavar="NAME", help="Calibrate on this data set's training part; default: the one a checkpoint names.")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where the data set lies.")
@click.option("--calib-samples", type=click.IntRange(1), default=256, show_default=True, help="How many to draw with --data.")
@click.option("--model", "factory", metavar="FILE.py:FACTORY", help="Your own class, for a bare state_dict; or PACKAGE.MODULE:FACTORY.")
@click.option("--sample", multiple=True, metavar="[NAME=]SHAPE", help="Shape of an input in one step, as 1x28x28; for nir.")
@click.option("--net", multiple=True, metavar="OPTION=N", help="Of netx, for a .net file: num_layers, skip_layers, reset_interval, ...")
@click.option("--time-steps", type=click.IntRange(1), metavar="N", help="Time steps of a forward that loops itself; default: FILE's.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="How forward takes time; default: found by tracing it.")
@click.option("--batch-first", is_flag=True, help="The arrays of --calib are (batch, time, ...).")
@click.option("--dt", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Length of a time step; default 1e-4.")
@click.option(
    "--reset", type=click.Choice(RESETS), metavar="RULE",
    help=f"Give spiking neurons this reset: {', '.join(RESETS)}; the ledger states the effect.",
)  # fmt: skip
@click.option("--weight-bits", metavar="BITS", default="8", show_default=True, help="1 to 8, or of single layers: fc1=4,fc2=8.")
@click.option(
    "--tune",
    is_flag=True,
    help="Repair few bits without labels, by training on the samples, in minutes; goes on after a kill.",
)
@click.option(
    "--input-bits", type=click.IntRange(2, 24), help="Payload of analog inputs; default 12, or fewer where weights need the room."
)
@click.option("--encode", type=click.Choice(ENCODINGS), default=ENCODINGS[0], show_default=True,
              help="Static images: graded spikes on every step, or the first layer's biases, written once per sample.")  # fmt: skip
@click.option("--max-groups", type=click.IntRange(1), default=2, show_default=True, help="Synapse groups per projection.")
@click.option("--decoder", type=click.Choice(DECODERS), help="How classes are read; default spike_count, or of membranes membrane_sum.")
@click.option("--num-classes", type=click.IntRange(1), metavar="N", help="Population code: N groups of outputs in a row, each a class.")
@click.option("--read", metavar="OUTPUT", help="Of several outputs the one that classes are read from.")
@click.option("--l2", type=click.Choice(L2), default=L2[0], show_default=True, help="L2 on every step: a constant, the host, or on chip.")
@click.option("--search", is_flag=True, help="Find the cheapest bit widths that keep within --max-drop.")
@click.option("--max-drop", type=click.FloatRange(0), metavar="POINTS", help="Accuracy that --search may cost; default 0.5.")
@click.option("--cluster", metavar="ADDRESS", help="Search on a ray cluster: local, auto or HOST:PORT.")
@click.option("--prove", type=click.Choice(EFFORTS), default=EFFORTS[0], show_default=True, help="Overflow proof over all inputs.")
@board_option
@click.option("--tier", type=click.Choice(TIERS), default=TIERS[1], show_default=True,
              help="Neurons taken: A, stock ones only, or B, microcode too, which is assumed.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse (exit 3) if anything changed its meaning on the way.")
@click.option("--dry-run", is_flag=True, help="Do everything but write.")
@click.option("--force", is_flag=True, help="Replace an older bundle.")
@click.option("-v", "--verbose", is_flag=True, help="Print all that is known, not the verdict only; report.html holds it too.")
@click.option("--allow-pickle", is_flag=True, help="Open a pickled module, which EXECUTES code from the file.")
@timings_option
@json_option
def export(json_to: str | None, quiet: bool, timings: bool, **given: Any) -> None:
    """Turn MODEL, a checkpoint (.pt), a graph (.nir) or a netx file of lava-dl (.net), into a bundle.

    \b
    loihi2  integers, fitted to the board's limits, and the tier of every neuron
    lava    integers for Lava's simulation
    nir     the float graph only
    netx    integers for lava-dl's netx: network.net, which other targets
            hold where netx can express it
    """
    options = ExportOptions(**given)
    console = Console(json_to, quiet, (options.model, options.calib, options.place), STEPS)
    with console.result() as result:
        result.update(run_export(options, console))
        if timings:
            result["timings"] = timings_json(console.spent)
            console.say(describe_timings(console.spent))


def run_export(options: ExportOptions, console: Console) -> dict[str, Any]:
    """Export as the options say; returns the result, JSON-able."""
    with console.step("loading"):
        from snnfuse.compile import compile, open_source, save
        from snnfuse.compile.main_job import with_proof
        from snnfuse.compile.tuning_folder import TuningFolder
        from snnfuse.export.bundle.bundle import is_bundle
        from snnfuse.hardware.files import check_target, resolved
        from snnfuse.hardware.reading import reading
        from snnfuse.report import summary, verdict

    check_together(options)
    check_options(options, f"to {options.target}")
    check_target(resolved(options.place), options.force, is_bundle)
    with heard() as warned:
        with console.step(f"reading {options.model}"):
            source = open_source(options.model, model=options.factory, allow_pickle=options.allow_pickle)
            check_options(options, source.kind)
            samples, settings = find_samples(source, options), options.settings(find_shapes(source, options))
        with warnings_as_lines(), reading(options.model):
            compiled = compile(source, samples, replace(settings, prove="off"), options.find_target(), console.step)
    if warned:
        compiled = replace(compiled, report={**compiled.report, "warned": warned})
    found = compiled.to_json()
    check_strict(found, console, options.strict)
    if not options.verbose:  # before what takes its time and changes none of it
        console.say("\n".join(verdict(found)))
    with console.step("proving that nothing overflows"):
        compiled = with_proof(compiled, settings.prove)
    found = compiled.to_json()
    if not options.dry_run:
        with console.step("writing the bundle"):
            save(options.place, compiled, force=options.force)
            if options.tune_dir is not None:
                TuningFolder(options.tune_dir).clear()
    if options.verbose:
        console.say(summary(found))
    console.say("dry run: nothing was written" if options.dry_run else f"bundle: {options.place}")
    if compiled.target.has_program and not options.dry_run:
        console.say(f"next: snnfuse verify {options.place}")
    return {**found, "bundle": None if options.dry_run else str(options.place)}


def check_strict(found: "Mapping[str, Any]", console: Console, strict: bool) -> None:
    """Refuse a ledger that is not empty, after printing it on stderr; --quiet leaves its first entries in the error."""
    entries = found["ledger"]
    if not strict or not entries:
        return
    from snnfuse.hardware.errors import UnsupportedError
    from snnfuse.report.sections import count, ledger
    from snnfuse.report.text import show

    shown = ledger({"ledger": entries})
    if not console.quiet and shown is not None:
        click.echo(show(shown), err=True)
    first = ", ".join(f"{entry['node']}: {entry['change']}" for entry in entries[:SHOWN])
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    raise UnsupportedError(f"--strict: {count(entries)} ({first}{more}); nothing was written")


@contextmanager
def heard() -> "Iterator[list[str]]":
    """The words of every warning that is shown meanwhile, for the report: files, data and inputs, besides what calibration finds."""
    import warnings

    shown, texts = warnings.showwarning, list[str]()

    def show(message: "Warning | str", *about: Any, **more: Any) -> None:
        if str(message) not in texts:
            texts.append(str(message))
        shown(message, *about, **more)

    warnings.showwarning = show
    try:
        yield texts
    finally:
        warnings.showwarning = shown


@contextmanager
def warnings_as_lines() -> "Iterator[None]":
    """Warnings of calibration are in the report, and printed with it."""
    import warnings

    from snnfuse.hardware.errors import CalibrationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        yield
