"""`snnfuse train`: train a network, or fine-tune one in the chip's arithmetic, and write a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.train_options import DATA_SETS, L2_RULES, NETWORKS, PRESETS, RECIPE_FIELDS, NetworkName, data_options
from snnfuse.commands.train_own import is_file, is_own_training, run_own
from snnfuse.commands.train_running import figures, progress, reset_of

if TYPE_CHECKING:
    from snnfuse.data import AudioVisual, Settings
    from snnfuse.training import Trained

DECODERS = ("spike_count", "first_spike", "membrane_sum", "membrane_last", "membrane_max")  # a test compares, as for `snnfuse export`
WEIGHT_BITS = 8


@click.command()
@click.argument("network", type=NetworkName(NETWORKS), required=False)
@click.option("--from", "start", type=PATH, metavar="CHECKPOINT", help="Fine-tune this float checkpoint instead, in 8 bits or --qat.")
@click.option(
    "--model",
    "factory",
    metavar="PACKAGE.MODULE:FACTORY",
    help="A network of your own, in place of NETWORK; with --from the class of bare weights.",
)
@click.option(
    "--data", "name", metavar="NAME",
    help=f"{', '.join(DATA_SETS)}; the first is embedded, with synthetic speech. "
    "Or your own: an .npz file of arrays (time, batch, ...) and labels, or a folder. With --from by default what the checkpoint was "
    "trained on.",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="Checkpoint to write; an older one is replaced. With --from by default CHECKPOINT-int8.pt.")
@click.option("--data-dir", type=PATH, help="Where the data set lies; else $SNNFUSE_DATA, else ../shared/data.")
@data_options
@click.option("--preset", metavar="NAME", help=f"A configuration by name: {PRESETS}.")
@click.option("--set", "assigned", multiple=True, metavar="FIELD=VALUE", help="A field of its configuration: width=8, neuron.beta=0.9.")
@click.option("--modality", type=click.Choice(["fusion", "vision", "audio"]), help="Of fd-fusion; by default all that the data have.")
@click.option("--l2", metavar="RULE", help=f"Of fd-fusion: normalise the embeddings; {', '.join(L2_RULES)}.")
@click.option(
    "--reset", type=click.Choice(["zero", "subtract"]),
    help="Of fd-fusion: Loihi 2 resets to zero, the default; with --from a checkpoint's own rule is.",
)  # fmt: skip
@click.option("--reset-delay/--no-reset-delay", default=False, show_default=True, help="Reset one step late, snnTorch's default.")
@click.option("--decoder", type=click.Choice(DECODERS), help="With --from and data of your own: how classes are read.")
@click.option("--num-classes", type=click.IntRange(1), metavar="N", help="Likewise: N groups of outputs in a row, each a class.")
@click.option("--read", metavar="OUTPUT", help="Likewise: of several outputs the one that classes are read from.")
@click.option("--epochs", type=click.IntRange(1), help="Default: the network's own recipe, and so below.")
@click.option("--batch-size", type=click.IntRange(2), help="Pairs per update, over all devices together.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Highest learning rate.")
@click.option("--patience", type=click.IntRange(1), metavar="N", help="Stop after N epochs no better on held-out training items.")
@click.option("--recipe", multiple=True, metavar="FIELD=VALUE", help=f"Another field of the recipe: {RECIPE_FIELDS}.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--qat", type=click.IntRange(1, 8), metavar="BITS", help="Then fine-tune in the chip's arithmetic, weights in BITS bits.")
@click.option("--qat-epochs", type=click.IntRange(1), help="Default: 3.")
@click.option("--qat-lr", type=click.FloatRange(0, min_open=True), help="Highest, relative to each tensor's rms; default: 0.02.")
@click.option(
    "--qat-scales/--no-qat-scales", default=None, help="Train each layer's threshold scale beside its weights; by default of 2 bits or 1."
)
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes that share every batch.")
@click.option("--precision", type=click.Choice(["32", "bf16-mixed", "16-mixed"]), default="32", show_default=True)
@click.option("--log-dir", type=PATH, metavar="DIR", help="Write a table, TensorBoard's curves, and what --resume needs, into this folder.")
@click.option("--resume", is_flag=True, help="Go on with the run in --log-dir, if there is one, as if it had never been ended.")
@json_option
def train(
    network: str | None, start: Path | None, name: str | None, output: Path | None, data_dir: Path | None, json_to: str | None, quiet: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Train NETWORK on a data set and write a checkpoint.

    NETWORK is fd-fusion, s-cmrl, or a name that a module of yours registers (snnfuse --import MODULE train NAME).

    The best epoch is chosen on items held out of the training set; the test set is used once, at the end. With --qat the checkpoint
    holds integers: snnfuse-export takes them as they are.
    """
    from snnfuse.commands.train_checks import check_start
    from snnfuse.training import is_main

    if start is not None:
        options["qat"] = options["qat"] or WEIGHT_BITS
        output = output or start.with_name(f"{start.stem}-int{options['qat']}.pt")
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    main = is_main()  # of several processes, one speaks and writes
    console = Console(json_to if main else None, quiet or not main, (output, *([start] if start else [])))
    with console.result() as result:
        check_start(network, start, name, options)
        if start is None and options["factory"] is not None:
            from snnfuse.checkpoints.user_model import architecture_of

            network = architecture_of(options["factory"])
        result.update(run_training(network, start, name, output, data_dir, console, options))


def run_training(
    network: str | None, start: Path | None, name: str | None, output: Path, data_dir: Path | None, console: Console,
    options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Train, save, and return the figures."""
    from snnfuse.hardware.files import check_output_file

    check_output_file(output, [start])
    from snnfuse import training
    from snnfuse.checkpoints import checkpoint
    from snnfuse.commands.train_checks import check_tunable
    from snnfuse.commands.train_options import open_data

    training.require_lightning()
    if start is not None and name is not None and is_file(name) and not is_own_training(start, options):
        return run_own(start, name, output, console, options)
    dataset = open_data(network, *data_of(start, name, options), data_dir=data_dir)
    if start is None:
        with console.step("making sure that integers can train this network"):
            check_tunable(network, dataset, options)
        trained, result = fit(network, dataset, console.quiet, options)
        model = trained.model
    else:
        model, result = checkpoint.load_checkpoint(start, model=options["factory"]), {}
    if options["qat"] is not None:
        floats = result or original(model, start, dataset)
        trained, result = tune(model, start, dataset, console.quiet, options)
        model = trained.model
        result = {"float": floats, **result, "modality": floats.get("modality"), "weight_bits": options["qat"]}
    if training.is_main():
        checkpoint.save_checkpoint(model, output, metadata=result)
    console.say(summary(result, dataset.speech, output))
    return {**result, "checkpoint": str(output)}


def data_of(start: Path | None, name: str | None, options: dict[str, Any]) -> "tuple[str, Settings]":
    """Which data, and how they are read: as the options say, else as the checkpoint's metadata do."""
    from snnfuse.checkpoints.checkpoint import known_metadata
    from snnfuse.commands.train_options import settings_of
    from snnfuse.data import same_reading
    from snnfuse.data.samples import settings_from
    from snnfuse.hardware.errors import InputError

    if start is None:
        return str(name), settings_of(options)
    metadata = known_metadata(start)
    named = metadata.get("data")
    if name is None and not isinstance(named, str):
        raise InputError(f"{start} does not say what it was trained on: give --data NAME")
    stored = settings_from(metadata, str(start)) if same_reading(name, named) else None
    return name or named, settings_of(options, stored)


def original(model: Any, start: Path, dataset: "AudioVisual") -> dict[str, Any]:
    """What is known of a checkpoint, measured anew."""
    from snnfuse import training
    from snnfuse.checkpoints.checkpoint import read_metadata

    check_same_shapes(model, dataset)
    return {**read_metadata(start), "test_accuracy": training.evaluate(model, dataset.test), "checkpoint": str(start)}


def check_same_shapes(model: Any, dataset: "AudioVisual") -> None:
    """InputError for data that a network was not made for."""
    from snnfuse import training
    from snnfuse.compile.sources import check_shapes
    from snnfuse.networks import input_names

    training.check_inputs(model, dataset)
    check_shapes(model, {name: dataset.shapes[name] for name in input_names(model)})


def tune(model: Any, start: Path | None, dataset: "AudioVisual", quiet: bool, options: dict[str, Any]) -> "tuple[Trained, dict[str, Any]]":
    """Fine-tune as the options say; returns the result and its figures."""
    from snnfuse import training
    from snnfuse.commands.train_options import compute_of, integers_folder, integers_of, recipe_of

    # After a training its recipe has been followed; --from has no other training that --recipe could be of.
    own = {"batch_size": options["batch_size"] or 64, "recipe": options["recipe"] if start else ()}
    recipe = recipe_of(training.FINE_TUNING, options | own, "qat_")
    with progress(quiet, "fine-tuning") as bar:
        trained = training.fine_tune(
            model, dataset, recipe, compute=compute_of(options), reset=reset_of(options), log_dir=integers_folder(options),
            resume=options["resume"], **integers_of(options), **bar,
        )  # fmt: skip
    return trained, figures(dataset, trained, recipe)


def fit(network: str, dataset: "AudioVisual", quiet: bool, options: dict[str, Any]) -> "tuple[Trained, dict[str, Any]]":
    """Train as the options say; returns the result and its figures."""
    from snnfuse import training
    from snnfuse.commands.train_options import compute_of, configuration, recipe_of
    from snnfuse.networks import input_names

    recipe = recipe_of(training.recipe_for(network, dataset.name), options)
    config = configuration(network, dataset, options)
    with progress(quiet) as bar:
        trained = training.train(
            dataset, recipe, architecture=network, compute=compute_of(options), log_dir=options["log_dir"], resume=options["resume"],
            **bar, **config,
        )  # fmt: skip
    own = getattr(trained.model, "config", None)
    modality = getattr(own, "modality", None) or getattr(own, "fusion", None) or " and ".join(input_names(trained.model))
    return trained, figures(dataset, trained, recipe) | {"modality": modality}


def summary(result: dict[str, Any], speech: str, output: Path) -> str:
    """The lines that a person reads."""
    kind = f"{result['weight_bits']}-bit fixed-point" if "weight_bits" in result else "float"
    known = f" (float {result['float']['test_accuracy']:.2%})" if "float" in result else ""
    heard = "" if speech == "none" else f" ({speech} speech)"
    return (
        f"{result['data']}{heard}, {result['modality']}: {kind} test accuracy {result['test_accuracy']:.2%}{known} "
        f"on {result['test_samples']} samples ({result['decoder']})\n"
        f"epoch {result['best_epoch']} was best on held-out training items ({result['held_out_accuracy']:.2%})\n"
        f"checkpoint: {output}"
    )
