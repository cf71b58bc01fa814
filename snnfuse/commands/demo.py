"""`snnfuse demo`: the main job in one go, on the embedded data set."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, fail, json_option
from snnfuse.report.tables import table

if TYPE_CHECKING:
    from snnfuse.export.bundle.compiled import Compiled
    from snnfuse.hardware import Comparison
    from snnfuse.training import Epoch, Trained

DATA = "av-digits"
CALIBRATION_SAMPLES = 256


@dataclass
class Steps:
    """Says what runs, and keeps how long each step took, in seconds."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        self.console.say(f"{name}: {what}")
        start = time.perf_counter()
        with self.console.step(name):
            yield
        self.seconds[name] = time.perf_counter() - start


@click.command()
@click.option("-o", "--output", type=PATH, default=Path("out/demo"), show_default=True, metavar="DIR")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--lava-samples", type=click.IntRange(1), default=32, show_default=True, help="Test samples to run on Lava.")
@click.option("--force", is_flag=True, help="Replace an older demo.")
@json_option
def demo(
    output: Path, epochs: int, seed: int, lava_samples: int, force: bool, json_to: str | None, quiet: bool
) -> int:  # fmt: skip
    """Train a small audio-visual network, export it for Loihi 2, and run the program on the emulator and on Lava.

    The data is embedded: scikit-learn's handwritten digits with synthetic speech. Ends with exit 1 if emulator and Lava differ in
    a single spike or state.
    """
    from snnfuse.hardware.backends.lava import require_lava
    from snnfuse.hardware.errors import VerificationError
    from snnfuse.training import require_lightning

    require_lava()
    require_lightning()
    console = Console(json_to, quiet, (output / "bundle", output / "model.pt"))
    with console.result() as result:
        result.update(run_demo(output, epochs, seed, lava_samples, force, console))
    if not result["mismatches"]:
        return 0
    return fail(VerificationError(f"emulator and Lava differ: {result['first']}"), VerificationError.exit_code)


def run_demo(output: Path, epochs: int, seed: int, lava_samples: int, force: bool, console: Console) -> dict[str, Any]:
    """Every step; returns the figures."""
    from snnfuse.checkpoints.checkpoint import save_checkpoint
    from snnfuse.compile import save
    from snnfuse.export.bundle.bundle import is_bundle
    from snnfuse.hardware.files import check_target, resolved

    checkpoint, bundle = output / "model.pt", output / "bundle"
    check_target(resolved(bundle), force, is_bundle)
    make_folder(output)
    steps = Steps(console)
    with steps("train", f"snnfuse train fd-fusion --data {DATA} --epochs {epochs} --seed {seed} -o {checkpoint}"):
        trained = train(epochs, seed, console)
        save_checkpoint(trained.model, checkpoint, metadata={"data": DATA})
    with steps("export", f"snnfuse-export {checkpoint} --target loihi2 -o {bundle}"):
        compiled = compile_model(checkpoint)
        save(bundle, compiled, force=True)
    figures = measure(compiled, trained.accuracy, lava_samples, steps)
    report(figures, steps.seconds, bundle, compiled, console)
    return figures | {"bundle": str(bundle), "seconds": steps.seconds}


def make_folder(path: Path) -> None:
    """With those that it lies in; InputError where that cannot be done."""
    from snnfuse.hardware.errors import InputError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror})") from error


def train(epochs: int, seed: int, console: Console) -> "Trained":
    """Train, with a line per epoch."""
    from snnfuse import data, training

    def say(epoch: "Epoch") -> None:
        console.say(f"  epoch {epoch.number} of {epoch.total}: loss {epoch.loss:.3f}, held out {epoch.validation:.2%}")

    return training.train(data.load(DATA), training.Recipe(epochs=epochs, seed=seed), report=say)


def compile_model(checkpoint: Path) -> "Compiled":
    """What snnfuse-export does with this checkpoint."""
    from snnfuse.compile import compile, open_source
    from snnfuse.data.samples import draw_samples

    source = open_source(checkpoint)
    return compile(source, draw_samples(DATA, CALIBRATION_SAMPLES).named(source.inputs))


def measure(compiled: "Compiled", torch_accuracy: float, lava_samples: int, steps: Steps) -> dict[str, Any]:
    """Accuracy on the test set, and emulator against Lava on its first samples: spikes and states of every layer."""
    from snnfuse.compile.accuracy import describe_decoder, float_accuracy, program_accuracy
    from snnfuse.data.samples import draw_samples
    from snnfuse.export.staging.staged import StagedGraph
    from snnfuse.hardware import compare
    from snnfuse.hardware.backends.registry import run_on

    program = compiled.program
    test = draw_samples(DATA, 10**9, part="test").named(tuple(program.inputs))
    few = test.select(slice(lava_samples))
    with steps("emulator", f"{len(test)} test samples"):
        every = run_on("emulator", program, program.encode(test.inputs)).recording
        emulated = run_on("emulator", program, program.encode(few.inputs), "all", states=True).recording
    with steps("lava", f"the first {len(few)} test samples, every spike and state of every layer"):
        lava = run_on("lava", program, program.encode(few.inputs), "all", states=True).recording
    return {
        "decoder": describe_decoder(program),
        "test": {"samples": len(test), "float": torch_accuracy, "emulator": program_accuracy(program, every, test)},
        "lava_samples": {
            "samples": len(few),
            "float": float_accuracy(StagedGraph((compiled.stages[0].graph,)), program, few),
            "emulator": program_accuracy(program, emulated, few),
            "lava": program_accuracy(program, lava, few),
        },
        **differences(compare(emulated, lava)),
    }


def differences(comparison: "Comparison") -> dict[str, Any]:
    """Counts per variable, and the first difference in words."""
    return {
        "mismatches": comparison.mismatches,
        "compared": {name: {"values": n, "mismatches": wrong} for name, (n, wrong) in comparison.by_variable.items()},
        "first": str(comparison.first) if comparison.first else None,
    }


def report(figures: dict[str, Any], seconds: dict[str, float], bundle: Path, compiled: "Compiled", console: Console) -> None:
    """What it came to, for a person."""
    test, few = figures["test"], figures["lava_samples"]
    rows = [
        (f"test set, {test['samples']} samples", *(f"{test[name]:.2%}" for name in ("float", "emulator")), "-"),
        (f"its first {few['samples']} samples", *(f"{few[name]:.2%}" for name in ("float", "emulator", "lava"))),
    ]
    words = {"spikes": "spikes", "u": "currents", "v": "voltages"}
    counts = ", ".join(f"{c['mismatches']} of {c['values']} {words[name]}" for name, c in figures["compared"].items())
    console.say()
    console.say(table((f"accuracy ({figures['decoder']})", "float", "emulator", "Lava"), rows))
    console.say(f"emulator against Lava, every layer: {counts} differ")
    resources = compiled.stages[0].resources
    if resources:
        board = resources.board
        console.say(f"cores: {resources.cores} of the {board.cores} of {board.name}")
    console.say("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    console.say(f"bundle: {bundle}; check it with: snnfuse verify {bundle}")
