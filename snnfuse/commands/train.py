"""`snnfuse train`: train a fusion network and write a checkpoint."""

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
@click.argument("network", type=click.Choice(["fd-fusion"]))
@click.option(
    "--data", "name", required=True, metavar="NAME", help="av-digits (embedded, synthetic speech) or mnist-fsdd (real)."
)
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
    "--reset", type=click.Choice(["zero", "subtract"]), default="zero", show_default=True, help="Loihi 2 resets to zero."
)
@click.option("--reset-delay/--no-reset-delay", default=False, show_default=True, help="Reset one step late, snnTorch's default.")
@json_option
def train(network: str, name: str, output: Path, data_dir: Path | None, json_to: str | None, quiet: bool, **options: Any) -> None:
    """Train NETWORK on a data set and write a checkpoint.

    The best epoch is chosen on items held out of the training set; the test set is used once, at the end.
    """
    console = Console(json_to, quiet, (output,))
    with console.result() as result:
        result.update(run_training(network, name, output, data_dir, console, options))


def run_training(
    network: str, name: str, output: Path, data_dir: Path | None, console: Console, options: dict[str, Any]
) -> dict[str, Any]:
    """Train, save, and return the figures."""
    from snnfuse.whole_file import check_output_file

    check_output_file(output)
    from snnfuse import checkpoint, data

    dataset = data.load(name, data_dir)
    recipe, trained = fit(network, dataset, console.quiet, options)
    result = {**figures(name, options["modality"], trained), "recipe": recipe}
    checkpoint.save_checkpoint(trained.model, output, metadata=result)
    console.say(summary(result, dataset.speech, output))
    return {**result, "checkpoint": str(output)}


def fit(network: str, dataset: Any, quiet: bool, options: dict[str, Any]) -> "tuple[dict[str, Any], Trained]":
    """Train as the options say; returns the recipe, as a dictionary, and the result."""
    from dataclasses import asdict

    from snnfuse import training
    from snnfuse.networks import Neuron

    recipe = training.Recipe(**{key: options[key] for key in ("epochs", "batch_size", "lr", "seed")})
    rule = {"reset": options["reset"], "reset_delay": options["reset_delay"]}
    with progress(recipe.epochs, quiet) as report:
        trained = training.train(
            dataset, recipe, architecture=network, report=report, modality=options["modality"], l2=options["l2"],
            neuron=Neuron(**rule), audio_neuron=Neuron(beta=0.95, **rule),
        )  # fmt: skip
    return asdict(recipe), trained


@contextmanager
def progress(epochs: int, quiet: bool) -> "Iterator[Callable[[Epoch], None]]":
    """A progress bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("training", total=epochs)

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
    return (
        f"{result['data']} ({speech} speech), {result['modality']}: float test accuracy {result['test_accuracy']:.2%} "
        f"on {result['test_samples']} samples ({result['decoder']})\n"
        f"epoch {result['best_epoch']} was best on held-out training items ({result['held_out_accuracy']:.2%})\n"
        f"checkpoint: {output}"
    )
