"""`snnfuse export`, which is also `snnfuse-export`: a trained network to a bundle."""

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.export_net import compile_net_file
from snnfuse.commands.export_summary import count, describe_ledger, summary
from snnfuse.commands.map import board_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snnfuse.compile.compiled import Compiled
    from snnfuse.compile.sources import Graph
    from snnfuse.data import Settings
    from snnfuse.data.samples import Samples
    from snnfuse.hardware.ledger import Ledger

# Written out, because importing the modules that define them takes longer than --help may; a test compares them.
TARGETS = ("loihi2", "lava", "nir", "netx")
DROP = 0.5  # percentage points that a search may cost
SHOWN = 3  # entries of the ledger in an error
EFFORTS = ("fast", "full", "off")
RESETS = ("zero", "subtract", "subtract_delayed")
L2 = ("fold", "host", "microcode")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=PATH, metavar="MODEL")
@click.option("--target", type=click.Choice(TARGETS), required=True, help="What to make the bundle for.")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="The bundle; default: MODEL's name, a dash and the target.")
@click.option("--calib", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input, and maybe labels.")
@click.option("--data", metavar="NAME", help="Calibrate on this data set's training part; default: the one a checkpoint names.")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where the data set lies.")
@click.option("--calib-samples", type=click.IntRange(1), default=256, show_default=True, help="How many to draw with --data.")
@click.option("--model", "factory", metavar="PACKAGE.MODULE:FACTORY", help="Your own class, for a bare state_dict.")
@click.option("--sample", multiple=True, metavar="[NAME=]SHAPE", help="Shape of an input in one step, as 1x28x28; for nir.")
@click.option("--time-steps", type=click.IntRange(2), metavar="N", help="For a model whose forward loops over N steps itself.")
@click.option("--dt", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Length of a time step; default 1e-4.")
@click.option("--reset", type=click.Choice(RESETS), help="Give spiking neurons this reset; the ledger states the effect.")
@click.option("--weight-bits", type=click.IntRange(1, 8), default=8, show_default=True)
@click.option("--input-bits", type=click.IntRange(2, 24), default=12, show_default=True, help="Payload of analog inputs.")
@click.option("--max-groups", type=click.IntRange(1), default=2, show_default=True, help="Synapse groups per projection.")
@click.option("--l2", type=click.Choice(L2), default=L2[0], show_default=True, help="L2 on every step: a constant, the host, or on chip.")
@click.option("--search", is_flag=True, help="Find the cheapest bit widths that keep within --max-drop.")
@click.option("--max-drop", type=click.FloatRange(0), metavar="POINTS", help="Accuracy that --search may cost; default 0.5.")
@click.option("--cluster", metavar="ADDRESS", help="Search on a ray cluster: local, auto or HOST:PORT.")
@click.option("--prove", type=click.Choice(EFFORTS), default=EFFORTS[0], show_default=True, help="Overflow proof over all inputs.")
@board_option
@click.option("--strict", is_flag=True, help="Refuse (exit 3) if anything changed its meaning on the way.")
@click.option("--dry-run", is_flag=True, help="Do everything but write.")
@click.option("--force", is_flag=True, help="Replace an older bundle.")
@click.option("--allow-pickle", is_flag=True, help="Open a pickled module, which EXECUTES code from the file.")
@json_option
def export(model: Path, target: str, output: Path | None, json_to: str | None, quiet: bool, **options: Any) -> None:
    """Turn MODEL, a checkpoint (.pt), a graph (.nir) or a netx file of lava-dl (.net), into a bundle.

    \b
    loihi2  integers, checked against the chip's and the board's limits
    lava    integers for Lava's simulation, which can also reset by subtraction
    nir     the float graph only
    netx    integers for lava-dl's netx: network.net, which other targets hold where netx can express it
    """
    output = output or Path(f"{model.stem}-{target}")
    console = Console(json_to, quiet, (model, options["calib"], output))
    with console.result() as result:
        result.update(run_export(model, target, output, console, options))


def run_export(model: Path, target: str, output: Path, console: Console, options: dict[str, Any]) -> dict[str, Any]:
    """Export as the options say; returns the result as JSON-able figures."""
    with console.step("loading"):
        from snnfuse.compile import compiled as exporting
        from snnfuse.compile import sources as model_graphs
        from snnfuse.compile.pipeline_compiled import compile_on_chip
        from snnfuse.export.bundle.bundle import is_bundle
        from snnfuse.hardware.files import check_target, resolved

    check_options(target, options)
    check_target(resolved(output), options["force"], is_bundle)
    if model.suffix == ".net":
        return finish_program(compile_net_file(model, target, console, options), output, console, options)
    with console.step(f"reading {model}"):
        source = model_graphs.open_model(model, model=options["factory"], allow_pickle=options["allow_pickle"])
        if model_graphs.is_fixed_point(source):
            check_trained_options(target, options)
        samples = find_samples(model, source, target, options)
    if model_graphs.is_staged(source) or options["l2"] == "host":
        from snnfuse.commands.export_stages import run_staged

        return run_staged(source, samples, target, output, console, options)
    with console.step("making the graph"):
        shapes = find_shapes(source, samples, options["sample"])
        graph = model_graphs.make_graph(source, shapes, dt=options["dt"], steps=options["time_steps"])
        if samples:
            graph = model_graphs.measure_graph(source, graph, samples, unrolled=options["time_steps"] is not None)
    if target == "nir":
        return finish_graph(graph, output, console, options)
    assert samples is not None
    if model_graphs.is_fixed_point(source):
        with console.step("comparing with the float network"):
            compiled = exporting.compile_trained(source, samples, target=target, board=options["board"])
        return finish_program(compiled, output, console, options)
    foreign = source is graph.nir
    with console.step("choosing integers"), warnings_as_lines():
        settings = {key: options[key] for key in ("reset", "input_bits", "max_groups", "board")}
        settings |= {"target": target, "dt": options["dt"] if foreign else None}
        if options["l2"] == "microcode":
            compiled = compile_on_chip(graph, samples, weight_bits=options["weight_bits"], **settings)
        elif options["search"]:
            drop = DROP if options["max_drop"] is None else options["max_drop"]
            compiled = exporting.search_program(graph, samples, drop, cluster=options["cluster"], **settings)
        else:
            compiled = exporting.compile_program(graph, samples, weight_bits=options["weight_bits"], **settings)
    return finish_program(compiled, output, console, options)


def check_options(target: str, options: dict[str, Any]) -> None:
    """Refuse what would have no effect."""
    from snnfuse.hardware.errors import InputError

    check_search_options(target, options)

    if target in ("nir", "netx") and options["l2"] == "microcode":
        raise InputError(f"--l2 microcode changes the integer program, and a bundle for target {target} cannot hold that; leave it out")
    if target == "nir" and options["reset"]:
        raise InputError("--reset changes the integer program, and a bundle for target nir has none; leave it out")
    if options["calib"] and options["data"]:
        raise InputError("give --calib or --data, not both")


def check_trained_options(target: str, options: dict[str, Any]) -> None:
    """Refuse what would have no effect on a network whose integers were trained."""
    from snnfuse.hardware.errors import InputError

    if target == "nir":
        raise InputError("this checkpoint was trained in integers and has no float graph; export the float checkpoint it came from")
    defaults = {parameter.name: parameter.default for parameter in export.params}
    for name in ("reset", "weight_bits", "input_bits", "max_groups", "dt", "time_steps", "l2"):
        if name in options and options[name] is not None and options[name] != defaults[name]:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} has no effect: this checkpoint was trained in integers; leave it out, or export the float one")
    if options["search"]:
        raise InputError("--search has no effect: this checkpoint was trained in integers; leave it out, or export the float one")


def check_search_options(target: str, options: dict[str, Any]) -> None:
    """Refuse a search's options without one, and a search where nothing is rounded."""
    from snnfuse.hardware.errors import InputError

    for option in ("max_drop", "cluster"):
        if options[option] is not None and not options["search"]:
            raise InputError(f"--{option.replace('_', '-')} is for --search, which finds bit widths; add it")
    if options["search"] and options["l2"] == "microcode":
        raise InputError("--search finds bits for a program that is the graph, and with --l2 microcode it does more; leave one out")
    if options["search"] and target == "nir":
        raise InputError("--search chooses bits of weights, and a bundle for target nir holds none; leave it out")
    if options["search"] and options["weight_bits"] != 8:
        raise InputError("--search chooses the bits of every layer itself; leave --weight-bits out")


def find_samples(model: Path, source: Any, target: str, options: dict[str, Any]) -> "Samples | None":
    """Calibration samples, from a file, a data set, or the data set that a checkpoint of ours was trained on."""
    from snnfuse.compile import sources as model_graphs
    from snnfuse.data.samples import draw_samples, read_samples
    from snnfuse.hardware.errors import InputError

    own, settings = trained_on(model, source, options)
    data = options["data"] or (None if options["calib"] or options["sample"] else own)
    if options["calib"]:
        samples = read_samples(options["calib"])
    elif data:
        settings = settings if data == own else type(settings)()
        samples = draw_samples(data, options["calib_samples"], data_dir=options["data_dir"], settings=settings)
    elif target == "nir":
        return None
    else:
        raise InputError(f"--target {target} needs samples to calibrate on: --calib FILE.npz, or --data NAME")
    return samples.named(model_graphs.input_names(source))


def find_shapes(source: Any, samples: "Samples | None", given: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Of every input in one step, from samples or from --sample; none for a graph, which says them itself."""
    from snnfuse.compile import sources as model_graphs
    from snnfuse.hardware.errors import InputError

    names = model_graphs.input_names(source)
    if model_graphs.is_graph(source):
        if given:
            raise InputError("--sample is for checkpoints: a .nir file says the shapes of its inputs itself")
        return {}
    shapes = samples.shapes if samples else parse_shapes(given, names)
    model_graphs.check_shapes(source, shapes)
    return shapes


def trained_on(model: Path, source: Any, options: dict[str, Any]) -> "tuple[str | None, Settings]":
    """The data set that a checkpoint of ours names, and how it was read."""
    from snnfuse.checkpoints.checkpoint import read_metadata
    from snnfuse.compile import sources as model_graphs
    from snnfuse.data import Settings
    from snnfuse.data.samples import settings_from
    from snnfuse.networks import describe

    is_ours = not options["factory"] and model.suffix != ".nir"
    if not is_ours or (describe(source) is None and not model_graphs.is_fixed_point(source)):
        return None, Settings()
    metadata = read_metadata(model)
    return metadata.get("data"), settings_from(metadata, str(model))


def parse_shapes(given: tuple[str, ...], names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """`1x28x28`, or `image=1x28x28` once per input, to shapes by name."""
    from snnfuse.hardware.errors import InputError

    shapes = {}
    for text in given:
        name, _, shape = text.rpartition("=")
        sizes = shape.split("x")
        if not all(re.fullmatch("0*[1-9][0-9]{0,17}", size) for size in sizes):
            raise InputError(f"--sample {text}: write a shape as 1x28x28, or image=1x28x28")
        if name not in names and (name or len(names) != 1):
            raise InputError(f"--sample {text}: name one of the network's inputs, {', '.join(names)}, as in {names[0]}={shape}")
        shapes[name or names[0]] = tuple(int(size) for size in sizes)
    missing = [name for name in names if name not in shapes]
    if missing:
        raise InputError(f"the shape of input {missing[0]!r} is not known: give --sample {missing[0]}=SHAPE, or --calib FILE.npz")
    return shapes


def finish_graph(graph: "Graph", output: Path, console: Console, options: dict[str, Any]) -> dict[str, Any]:
    """Print and write a bundle that holds a graph only."""
    from snnfuse.export import write_bundle
    from snnfuse.report import whole_page

    check_strict(graph.ledger, console, options["strict"])
    if not options["dry_run"]:
        write_bundle(output, graph=graph.nir, target="nir", graph_ledger=graph.ledger, page=whole_page, force=options["force"])
    console.say(describe_ledger(graph.ledger))
    console.say(describe_place(output, options["dry_run"]))
    return figures("nir", graph.ledger, output, options["dry_run"])


def finish_program(compiled: "Compiled", output: Path, console: Console, options: dict[str, Any]) -> dict[str, Any]:
    """Print and write a bundle that holds a program."""
    from snnfuse.compile.compiled import save_compiled, with_proof

    with console.step("proving that nothing overflows"):
        compiled = with_proof(compiled, options["prove"])
    ledger = compiled.program.ledger
    check_strict(ledger, console, options["strict"])
    if not options["dry_run"]:
        save_compiled(output, compiled, force=options["force"])
    console.say(summary(compiled))
    console.say(describe_place(output, options["dry_run"]))
    more = {"resources": compiled.resources.to_json()} if compiled.resources else {}
    return figures(compiled.target, ledger, output, options["dry_run"]) | more | compiled.report


def figures(target: str, ledger: "Ledger", output: Path, dry_run: bool) -> dict[str, Any]:
    """The part of the result that every target has."""
    from snnfuse.hardware.ledger import to_json

    return {"target": target, "bundle": None if dry_run else str(output), "ledger": to_json(ledger)}


def check_strict(ledger: "Ledger", console: Console, strict: bool) -> None:
    """Refuse a ledger that is not empty, after printing it on stderr; --quiet leaves its first entries in the error."""
    if strict and ledger:
        from snnfuse.hardware.errors import UnsupportedError

        if not console.quiet:
            click.echo(describe_ledger(ledger), err=True)
        first = ", ".join(f"{entry.node}: {entry.change}" for entry in ledger[:SHOWN])
        more = f" and {len(ledger) - SHOWN} more" if len(ledger) > SHOWN else ""
        raise UnsupportedError(f"--strict: {count(ledger)} ({first}{more}); nothing was written")


@contextmanager
def warnings_as_lines() -> "Iterator[None]":
    """Warnings of calibration are in the report, and printed with it."""
    import warnings

    from snnfuse.hardware.errors import CalibrationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        yield


def describe_place(output: Path, dry_run: bool) -> str:
    """Where the bundle is."""
    return "dry run: nothing was written" if dry_run else f"bundle: {output}"
