"""`snnfuse train`: train a fusion network, or fine-tune one in the chip's arithmetic, and write a checkpoint."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from snnfuse.training import Epoch, Trained

DECODER = "spike count, ties to the lowest index"


@click.command()
@click.argument("network", type=click.Choice(["fd-fusion"]), required=False)
@click.option("--from", "start", type=PATH, metavar="CHECKPOINT", help="Fine-tune this float checkpoint instead; needs --qat.")
@click.option(
    "--data", "name", metavar="NAME",
    help="av-digits (embedded, synthetic speech) or mnist-fsdd (real); with --from by default what the checkpoint was trained on.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=PATH, required=True, help="Checkpoint to write; an older one is replaced."
)
@click.option(
    "--data-dir", type=PATH, help="Where mnist-fsdd lies; else $SNNFUSE_DATA, else ../shared/data."
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), default=64, show_default=True)
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=4e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--modality", type=click.Choice(["fusion", "vision", "audio"]), default="fusion", show_default=True)
@click.option(
    "--l2", type=click.Choice(["none", "per-step"]), default="none", show_default=True, help="Normalise the embeddings."
)
@click.option(
    "--reset", type=click.Choice(["zero", "subtract"]),
    help="Loihi 2 resets to zero, the default; with --from a checkpoint's own rule is.",
)  # fmt: skip
@click.option("--reset-delay/--no-reset-delay", default=False, show_default=True, help="Reset one step late, snnTorch's default.")
@click.option("--qat", type=click.IntRange(1, 8), metavar="BITS", help="Then fine-tune in the chip's arithmetic, weights in BITS bits.")
@click.option("--qat-epochs", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--qat-lr", type=click.FloatRange(0, min_open=True), default=0.02, show_default=True, help="Highest, relative to each tensor's rms."
)
@json_option
def train(
    network: str | None, start: Path | None, name: str | None, output: Path, data_dir: Path | None, json_to: str | None, quiet: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Train NETWORK on a data set and write a checkpoint.

    The best epoch is chosen on items held out of the training set; the test set is used once, at the end. With --qat the checkpoint
    holds integers: snnfuse-export takes them as they are.
    """
    console = Console(json_to, quiet, (output, *([start] if start else [])))
    with console.result() as result:
        check_start(network, start, name, options)
        result.update(run_training(network, start, name, output, data_dir, console, options))


def check_start(network: str | None, start: Path | None, name: str | None, options: dict[str, Any]) -> None:
    """Refuse what contradicts, or would have no effect."""
    from snnfuse.hardware.errors import InputError

    if (network is None) == (start is None):
        raise InputError("give NETWORK (fd-fusion) to train one from scratch, or --from CHECKPOINT to fine-tune one, not both")
    if start is not None and options["qat"] is None:
        raise InputError("--from fine-tunes in the chip's arithmetic: say in how many bits with --qat BITS")
    if start is None and name is None:
        raise InputError("--data NAME is missing: av-digits or mnist-fsdd")


def run_training(
    network: str | None, start: Path | None, name: str | None, output: Path, data_dir: Path | None, console: Console,
    options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Train, save, and return the figures."""
    from snnfuse.whole_file import check_output_file

    check_output_file(output, [start])
    from snnfuse import checkpoint, data

    name = name or data_of(start)
    dataset = data.load(name, data_dir)
    if start is None:
        recipe, trained = fit(network, dataset, console.quiet, options)
        result = {**figures(name, options["modality"], trained), "recipe": recipe}
        model = trained.model
    else:
        model, result = checkpoint.load_checkpoint(start), {}
    if options["qat"] is not None:
        result = {"float": result or original(model, start, dataset)}
        recipe, trained = tune(model, dataset, console.quiet, options)
        result |= {**figures(name, result["float"].get("modality"), trained), "weight_bits": options["qat"], "recipe": recipe}
    checkpoint.save_checkpoint(trained.model, output, metadata=result)
    console.say(summary(result, dataset.speech, output))
    return {**result, "checkpoint": str(output)}


def data_of(start: Path) -> str:
    """The data set that a checkpoint names."""
    from snnfuse.checkpoint import read_metadata
    from snnfuse.hardware.errors import InputError

    name = read_metadata(start).get("data")
    if not isinstance(name, str):
        raise InputError(f"{start} does not say what it was trained on: give --data NAME")
    return name


def original(model: Any, start: Path, dataset: Any) -> dict[str, Any]:
    """What is known of a checkpoint, measured anew."""
    from snnfuse import training
    from snnfuse.checkpoint import read_metadata

    check_same_shapes(model, start, dataset)
    return {**read_metadata(start), "test_accuracy": training.evaluate(model, dataset.test), "checkpoint": str(start)}


def check_same_shapes(model: Any, start: Path, dataset: Any) -> None:
    """InputError for data that a network was not made for."""
    from snnfuse import model_graphs
    from snnfuse.hardware.errors import InputError

    unknown = [name for name in model_graphs.input_names(model) if name not in dataset.shapes]
    if unknown:
        raise InputError(f"{start}: its input {unknown[0]!r} is none of {dataset.name}: {', '.join(dataset.shapes)}")
    model_graphs.check_shapes(model, {name: dataset.shapes[name] for name in model_graphs.input_names(model)})


def tune(model: Any, dataset: Any, quiet: bool, options: dict[str, Any]) -> "tuple[dict[str, Any], Trained]":
    """Fine-tune as the options say; returns the recipe, as a dictionary, and the result."""
    from dataclasses import asdict, replace

    from snnfuse import training

    given = {"epochs": options["qat_epochs"], "lr": options["qat_lr"], "batch_size": options["batch_size"], "seed": options["seed"]}
    recipe = replace(training.FINE_TUNING, **given)
    delay = options["reset"] == "subtract" and options["reset_delay"]
    reset = "subtract_delayed" if delay else options["reset"]
    with progress(recipe.epochs, quiet, "fine-tuning") as report:
        trained = training.fine_tune(model, dataset, recipe, report=report, weight_bits=options["qat"], reset=reset)
    return asdict(recipe), trained


def fit(network: str, dataset: Any, quiet: bool, options: dict[str, Any]) -> "tuple[dict[str, Any], Trained]":
    """Train as the options say; returns the recipe, as a dictionary, and the result."""
    from dataclasses import asdict

    from snnfuse import training
    from snnfuse.networks import Neuron

    recipe = training.Recipe(**{key: options[key] for key in ("epochs", "batch_size", "lr", "seed")})
    rule = {"reset": options["reset"] or "zero", "reset_delay": options["reset_delay"]}
    with progress(recipe.epochs, quiet) as report:
        trained = training.train(
            dataset, recipe, architecture=network, report=report, modality=options["modality"], l2=options["l2"],
            neuron=Neuron(**rule), audio_neuron=Neuron(beta=0.95, **rule),
        )  # fmt: skip
    return asdict(recipe), trained


@contextmanager
def progress(epochs: int, quiet: bool, what: str = "training") -> "Iterator[Callable[[Epoch], None]]":
    """A progress bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=epochs)

        def report(epoch: "Epoch") -> None:
            bar.update(task, advance=1, description=f"loss {epoch.loss:.3f}, held out {epoch.validation:.2%}")

        yield report


def figures(name: str, modality: str, trained: "Trained") -> dict[str, Any]:
    """What the training came to, JSON-able."""
    best = max(trained.history, key=lambda epoch: (epoch.validation, epoch.number))
    return {
        "data": name,
        "modality": modality,
        "test_accuracy": trained.accuracy,
        "test_samples": trained.samples,
        "decoder": DECODER,
        "best_epoch": best.number,
        "held_out_accuracy": best.validation,
    }


def summary(result: dict[str, Any], speech: str, output: Path) -> str:
    """The lines that a person reads."""
    kind = f"{result['weight_bits']}-bit fixed-point" if "weight_bits" in result else "float"
    known = f" (float {result['float']['test_accuracy']:.2%})" if "float" in result else ""
    return (
        f"{result['data']} ({speech} speech), {result['modality']}: {kind} test accuracy {result['test_accuracy']:.2%}{known} "
        f"on {result['test_samples']} samples ({result['decoder']})\n"
        f"epoch {result['best_epoch']} was best on held-out training items ({result['held_out_accuracy']:.2%})\n"
        f"checkpoint: {output}"
    )
