"""What both ways of `snnfuse train` share while they run: the bar, the reset that was asked for, and the figures at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from snnfuse.commands.console import write
from snnfuse.commands.phases import Dots, drawing

if TYPE_CHECKING:
    from snnfuse.data import AudioVisual
    from snnfuse.training import Epoch, Trained


def reset_of(options: dict[str, Any]) -> Any:
    """The rule that fine-tuning gives every neuron; None for each one's own."""
    return "subtract_delayed" if options["reset"] == "subtract" and options["reset_delay"] else options["reset"]


@contextmanager
def progress(quiet: bool, what: str = "training") -> "Iterator[dict[str, Any]]":
    """On standard error a progress bar, if that is a terminal, or else a line per epoch; gives `report` and `progress` for a training."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    lines = not quiet and not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    around = Dots(what) if lines else drawing()
    with around, Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task, start = bar.add_task(what, total=None), perf_counter()

        def report(epoch: "Epoch") -> None:
            said = f"epoch {epoch.number} of {epoch.total}: loss {epoch.loss:.3f}, held out {epoch.validation:.2%}"
            if lines:
                write(f"{what}: {said}, {perf_counter() - start:.0f} s", err=True)
            bar.update(task, description=said)

        yield {"report": report, "progress": lambda done, total: bar.update(task, completed=done, total=total)}


def figures(dataset: "AudioVisual", trained: "Trained", recipe: Any) -> dict[str, Any]:
    """What the training came to, JSON-able."""
    from dataclasses import asdict

    from snnfuse.training import decoder_of

    best = max(trained.history, key=lambda epoch: (epoch.validation, epoch.number))
    return {
        "data": dataset.name,
        "data_settings": asdict(dataset.settings),
        "test_accuracy": trained.accuracy,
        "test_samples": trained.samples,
        "decoder": decoder_of(trained.model).described(),
        "best_epoch": best.number,
        "held_out_accuracy": best.validation,
        "recipe": asdict(recipe),
    }
