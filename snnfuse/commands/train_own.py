"""`snnfuse train --from` with data of a user's own: fine-tune a network in the chip's arithmetic, on arrays with labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.commands.console import Console

if TYPE_CHECKING:
    import nir

    from snnfuse.data import AudioVisual
    from snnfuse.data.samples import Samples
    from snnfuse.nn import FixedPointNetwork

READ = ("decoder", "num_classes", "read")
SUFFIXES = (".npz", ".npy", ".pt", ".pth")


def is_file(name: str | None) -> bool:
    """Whether --data names a file of arrays, and no data set."""
    return name is not None and Path(name).suffix in SUFFIXES


def is_own_training(start: Path, options: dict[str, Any]) -> bool:
    """Whether a checkpoint is one of ours, trained on data of a user's own, which are then read as they were in that training."""
    from snnfuse.checkpoints.checkpoint import known_metadata
    from snnfuse.data import is_own

    if start.suffix not in (".pt", ".pth", ".ckpt") or not start.exists():
        return False
    named = known_metadata(start).get("data")
    return isinstance(named, str) and (is_own(named) or named.endswith(".npz"))


def run_own(start: Path, name: str, output: Path, console: Console, options: dict[str, Any]) -> dict[str, Any]:
    """Fine-tune, save, and return the figures.

    Raises:
        InputError: the data hold no labels, or others than the network's classes.
        UnsupportedError: a network in stages, or one that training in integers does not compute.
    """
    from snnfuse import training
    from snnfuse.checkpoints.checkpoint import save_checkpoint
    from snnfuse.data.arrays import from_arrays

    with console.step(f"reading {start}"):
        graph, samples = _float_graph(start, name, options)
    dataset = from_arrays(samples, options["seed"])
    trained, figures = _tuned(graph, dataset, console.quiet, options)
    before = _float_accuracy(graph, trained.model, dataset)
    result = {
        "float": {"test_accuracy": before, "checkpoint": str(start)},
        **figures,
        "modality": "own arrays",
        "weight_bits": options["qat"],
    }
    if training.is_main():
        save_checkpoint(
            trained.model, output, metadata={key: value for key, value in result.items() if key not in ("data", "data_settings")}
        )
    console.say(_summary(result, output, Path(name)))
    return {**result, "checkpoint": str(output)}


def _float_graph(start: Path, name: str, options: dict[str, Any]) -> "tuple[nir.NIRGraph, Samples]":
    """The network, traced, and the samples under its inputs' names."""
    from snnfuse.compile import Settings, open_source
    from snnfuse.compile.open_samples import open_samples
    from snnfuse.hardware.errors import UnsupportedError

    source = open_source(start, model=options["factory"])
    if source.floats is None:
        raise UnsupportedError(f"{start}: it holds integers already; fine-tune the float network that they were made from")
    samples = open_samples(name).named(source.inputs)
    floats = source.floats(samples, Settings(time_steps=options["time"]))
    if len(floats.stages) > 1:
        from snnfuse.nn.making import IN_STAGES

        raise UnsupportedError(f"{start} {IN_STAGES}")
    return floats.stages[0], samples


def _tuned(graph: "nir.NIRGraph", dataset: "AudioVisual", quiet: bool, options: dict[str, Any]) -> Any:
    from dataclasses import replace

    from snnfuse import training
    from snnfuse.commands.train_options import compute_of, integers_folder, integers_of, recipe_of
    from snnfuse.commands.train_running import figures, progress, reset_of

    usable = int(len(dataset.train) * (1 - training.FINE_TUNING.held))
    own = {"batch_size": options["batch_size"] or max(2, min(64, usable // 2))}
    plain = replace(training.FINE_TUNING, augment=False, drop_modality=0.0)  # nobody knows what these numbers are
    recipe = recipe_of(plain, options | own, "qat_")
    with progress(quiet, "fine-tuning") as bar:
        trained = training.fine_tune(
            graph, dataset, recipe, compute=compute_of(options), reset=reset_of(options), decoder=options["decoder"],
            num_classes=options["num_classes"], output=options["read"], log_dir=integers_folder(options), resume=options["resume"],
            **integers_of(options), **bar,
        )  # fmt: skip
    return trained, figures(dataset, trained, recipe)


def _float_accuracy(graph: "nir.NIRGraph", net: "FixedPointNetwork", dataset: "AudioVisual") -> float:
    """Of the float network with its own reset, on the test side, read by the same decoder."""
    from snnfuse.measures.runs import of_graph

    return of_graph(graph, net.program())(dataset.test.steps()).accuracy(dataset.test.labels)


def _summary(result: dict[str, Any], output: Path, data: Path) -> str:
    return (
        f"{data}: {result['weight_bits']}-bit fixed-point test accuracy {result['test_accuracy']:.2%} (float "
        f"{result['float']['test_accuracy']:.2%}) on {result['test_samples']} samples ({result['decoder']})\n"
        f"epoch {result['best_epoch']} was best on held-out training items ({result['held_out_accuracy']:.2%})\n"
        f"checkpoint: {output}; next: snnfuse-export {output} --target loihi2 --calib {data}"
    )
