"""S-CMRL on written and spoken digits, from training to the chip: `python -m benchmarks.s_cmrl [--seeds 3] [--keep DIR] [--json -]`.

Trains three forms on mnist-fsdd pictures (28 x 28, shallow patches, C = 64, T = 4) that differ in nothing else: causal spatio-temporal
attention, which a chip runs; the published one, in which every step attends to all, "exact"; and plain addition of the tokens. The recipe
is the published one but for what `SHORT` says. The epoch is chosen on held-out training items. All 2,000 test pairs are then read clean,
and, since clean digits saturate, with noise that no training pair had: on images sigma 0.1 of full scale, on recordings white noise at
10 dB. The causal and the exact form are deployed with 8-bit weights, the exact one as three programs. The first causal program runs
all test pairs on the reference too, every output compared; `--states` pairs there with every spike and state of every layer, and as a
stream, step by step; and `--lava` pairs on Lava. A class is the output with the largest sum, ties to the lowest index.

--data nmnist-fsdd does the same on event recordings with speech, as they are: N-MNIST has no noise of ours; --channels and --form make it
smaller: two cores train the causal form of 16 channels in minutes.

--keep DIR keeps what was trained and measured, and goes on from it, also where a training was broken off. What was measured is the
compiler's of that day: to measure another one, leave nothing but DIR's .pt files.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.attention import table
from benchmarks.braille import report
from benchmarks.fd_fusion import say
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from snnfuse.compile.settings import DEFAULTS
from snnfuse.compile.staged_sources import trace_stages
from snnfuse.compile.tracing import trace_module
from snnfuse.data import AudioVisual, Settings, corruptions, load
from snnfuse.data.samples import Samples
from snnfuse.export import quantize
from snnfuse.export.staging.staged import quantize_staged
from snnfuse.hardware import Program, compare, emulate, scores
from snnfuse.hardware.backends import reference
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.backends.streaming import decide
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.ir.pipeline import Pipeline, stage_folder
from snnfuse.hardware.ir.pipeline_storage import FILE as WIRING
from snnfuse.hardware.ir.pipeline_storage import pipeline_text, read_links
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.measures import accuracy
from snnfuse.networks import preset_config, run
from snnfuse.networks.stages import Staged
from snnfuse.training import Compute, Recipe, recipe_for, train

DATA, BOARD = "mnist-fsdd", "kapoho-point"
SETTINGS = Settings(audio="picture", time=4)
FORMS: dict[str, dict[str, str]] = {"causal": {"attention": "causal"}, "exact": {"attention": "exact"}, "addition": {"fusion": "add"}}
DEPLOYED = ("causal", "exact")
SIGMA, SNR_DB = 0.1, 10.0  # of the noisy test pairs; no training pair is noisy
# In two epochs in place of a hundred, hence a higher rate and smaller batches. The rest of the recipe is the published one.
SHORT = {"batch_size": 32, "lr": 2e-3, "schedule": "one-cycle", "warmup": 0, "warmup_lr": 0.0, "final_lr": 0.0}
COMPUTE = Compute(accelerator="cpu", precision="bf16-mixed")
CALIBRATION, BLOCK = 128, 50
LAVA_SECONDS = 3600.0  # at most, of a block: a loaded machine takes several times a calm one's


def recipe_of(epochs: int, seed: int) -> Recipe:
    """The same for every form."""
    return replace(recipe_for("s-cmrl", DATA), epochs=epochs, seed=seed, **SHORT)


def trained(form: str, recipe: Recipe, data: AudioVisual, keep: Path | None, channels: int | None = None) -> nn.Module:
    """A network of one form, trained now or kept from before with the same recipe; a training that was broken off goes on."""
    path = None if keep is None else keep / f"{form}-{recipe.seed}.pt"
    made = {"benchmark": "s_cmrl", "form": form, "recipe": asdict(recipe)}
    made |= {} if data.name == DATA else {"data": data.name}
    made |= {} if channels is None else {"channels": channels}
    if path is not None and path.exists() and read_metadata(path) == made:
        return load_checkpoint(path)
    sized = {} if channels is None else {"channels": channels, "heads": channels // 4}
    shapes = {name: data.shapes[name] for name in ("image", "audio")}
    config, start = {**preset_config("s-cmrl", DATA), **shapes, **sized, **FORMS[form]}, time.perf_counter()
    logs = {} if path is None else {"log_dir": path.with_suffix(".run"), "resume": True}
    result = train(data, recipe, architecture="s-cmrl", compute=COMPUTE, report=lambda epoch: say(f"{form}: {epoch}"), **logs, **config)
    say(f"trained {form}, seed {recipe.seed}: {time.perf_counter() - start:.0f} s")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(result.model, path, metadata=made)
    return result.model


def test_sets(data: AudioVisual, data_dir: Path | None, number: int) -> dict[str, Samples]:
    """The first test pairs, clean and noisy."""
    chosen = np.arange(min(number, len(data.test)))
    clean = Samples(data.test.steps(chosen), data.test.labels[chosen], f"{data.name}, test part")
    if data.name != DATA:
        return {"clean": clean}
    steps = load(DATA, data_dir, replace(SETTINGS, snr_db=SNR_DB)).test.steps(chosen)
    noisy = {**steps, "image": corruptions.image_noise(steps["image"], SIGMA, 0)}
    return {"clean": clean, "noisy": replace(clean, inputs=noisy)}


def blocks(samples: Samples) -> Iterator[dict[str, NDArray]]:
    """The inputs, a few samples at a time."""
    for start in range(0, len(samples), BLOCK):
        yield samples.select(slice(start, start + BLOCK)).inputs


def float_accuracy(model: nn.Module, samples: Samples) -> float:
    """Of the network as it was trained, in float32, in percent."""
    with torch.no_grad():
        sums = [run(model.eval(), *[torch.from_numpy(x[name]) for name in model.inputs]).sum(0).numpy() for x in blocks(samples)]
    return 100 * accuracy(np.concatenate(sums), samples.labels)


def deploy(model: nn.Module, data: AudioVisual, seed: int) -> Pipeline:
    """8-bit programs, one of the causal form, calibrated on training pairs."""
    chosen = np.sort(np.random.default_rng(seed).choice(len(data.train), CALIBRATION, replace=False))
    steps = data.train.steps(chosen)
    shapes = {name: steps[name].shape[2:] for name in model.inputs}
    if isinstance(model, Staged):
        return quantize_staged(trace_stages(model, shapes), steps).pipeline
    return Pipeline((quantize(trace_module(model, shapes, DEFAULTS)[0], steps),), ())


def deployed_accuracy(pipeline: Pipeline, samples: Samples) -> float:
    """Of the programs on the emulator, in percent."""
    last, sums = pipeline.programs[-1], []
    for x in blocks(samples):
        sums.append(scores(last, run_pipeline(pipeline, pipeline.encode(x)).recordings[-1]))
    return 100 * accuracy(np.concatenate(sums), samples.labels)


def against(runner: Any, program: Program, samples: Samples, record: str, states: bool) -> dict[str, int]:
    """The emulator against another backend, equality."""
    compared = mismatches = 0
    for x in blocks(samples):
        events = program.encode(x)
        found = compare(emulate(program, events, record, states=states), runner(program, events, record, states))
        compared, mismatches = compared + found.compared, mismatches + found.mismatches
    return {"samples": len(samples), "compared": compared, "mismatches": mismatches}


def streamed(program: Program, samples: Samples) -> dict[str, int]:
    """The samples fed as one stream, a step at a time: every score of every decision against those of the samples run whole."""
    events = program.encode(samples.inputs)
    time, batch = next(iter(events.values())).shape[:2]
    steps = ({name: values[step, sample] for name, values in events.items()} for sample in range(batch) for step in range(time))
    live = np.array([decision.scores for decision in decide(program, steps, time)])
    whole = scores(program, emulate(program, events))
    return {"samples": batch, "compared": whole.size, "mismatches": int((live.reshape(whole.shape) != whole).sum())}


def by_layer(program: Program) -> list[dict[str, Any]]:
    """What every layer takes of the board."""
    keys = ("name", "neurons", "synapses", "cores", "tier")
    return [{key: getattr(layer, key) for key in keys} for layer in check_chip(program, BOARD).layers]


def agreement(program: Program, clean: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Every backend that is asked for, against the emulator."""
    found = {"reference, outputs": against(reference.emulate, program, clean, "outputs", False)}
    if options.states:
        some = clean.select(slice(options.states))
        found["streamed step by step, scores"] = streamed(program, some)
        found["reference, every spike and state"] = against(reference.emulate, program, some, "all", True)
    if options.lava:
        on_lava, few = partial(simulate_on_lava, timeout=LAVA_SECONDS), clean.select(slice(options.lava))
        found["Lava, every spike and state"] = against(on_lava, program, few, "all", True)
    return found


@dataclass
class Bench:
    """What all measurements share; data are read when first asked for, for what was kept needs none."""

    options: argparse.Namespace

    @cached_property
    def data(self) -> AudioVisual:
        """As recorded."""
        return load(self.options.data, self.options.data_dir, SETTINGS)

    @cached_property
    def tests(self) -> dict[str, Samples]:
        """By condition."""
        return test_sets(self.data, self.options.data_dir, self.options.samples)

    def model(self, form: str, seed: int) -> nn.Module:
        """Trained, or kept."""
        return trained(form, recipe_of(self.options.epochs, seed), self.data, self.options.keep, self.options.channels)

    def floats(self, form: str, seed: int) -> dict[str, Any]:
        """Parameters, and accuracy by condition."""
        model = self.model(form, seed)
        accuracies = {name: float_accuracy(model, self.tests[name]) for name in self.tests}
        return {"parameters": sum(p.numel() for p in model.parameters()), "accuracy": accuracies}

    def pipeline(self, form: str, seed: int) -> Pipeline:
        """Its 8-bit programs, compiled now or kept."""
        folder = None if self.options.keep is None else self.options.keep / f"{form}-{seed}-programs"
        if folder is not None and (folder / WIRING).exists():
            links, stages = read_links(folder)
            return Pipeline(tuple(load_program(folder / stage) for stage in stages), links)
        made = deploy(self.model(form, seed), self.data, seed)
        if folder is not None:
            for number, program in enumerate(made.programs):
                save_program(program, folder / stage_folder(number))
            (folder / WIRING).write_text(pipeline_text(made.links, len(made.programs)))
        return made

    def integers(self, form: str, seed: int) -> dict[str, Any]:
        """Accuracy of the programs by condition, and what each takes of a board."""
        pipeline = self.pipeline(form, seed)
        accuracies = {name: deployed_accuracy(pipeline, self.tests[name]) for name in self.tests}
        return {"accuracy": accuracies, "layers": [by_layer(program) for program in pipeline.programs]}

    def agreement(self, form: str, seed: int) -> dict[str, Any]:
        """The reference and Lava against the emulator, on a form of one program; and its layers by kind."""
        (program,) = self.pipeline(form, seed).programs
        return {"table": table(program), **agreement(program, self.tests["clean"], self.options)}

    def kept(self, what: str, form: str, seed: int) -> dict[str, Any]:
        """`floats`, `integers` or `agreement`, measured now or kept from before under the same options."""
        names = ("epochs", "samples", "data", "channels", *(("states", "lava") if what == "agreement" else ()))
        of = {name: getattr(self.options, name) for name in names}
        path = None if self.options.keep is None else self.options.keep / f"{form}-{seed}-{what}.json"
        if path is not None and path.exists() and (record := json.loads(path.read_text()))["of"] == of:
            return record["figures"]
        figures = getattr(self, what)(form, seed)
        say(f"{form}, seed {seed}: {figures.get('accuracy', what)}")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"of": of, "figures": figures}, indent=2) + "\n")
        return figures


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every form and seed; accuracies in percent."""
    bench = Bench(options)
    wanted = options.form or tuple(FORMS)
    floats: dict[str, list] = {form: [] for form in wanted}
    integers: dict[str, list] = {form: [] for form in DEPLOYED if form in wanted}
    for seed in range(options.seeds):
        for form in floats:
            floats[form].append(bench.kept("floats", form, seed))
        for form in integers:
            integers[form].append(bench.kept("integers", form, seed))
    forms = {form: {"parameters": of[0]["parameters"], "float": by_condition(of)} for form, of in floats.items()}
    for form, of in integers.items():
        forms[form]["8 bits"] = by_condition(of)
    figures = {"recipe": asdict(recipe_of(options.epochs, 0)), "test pairs": options.samples, "forms": forms}
    figures |= {"points": points(forms)} if len(forms) == len(FORMS) else {}
    layers = {form: of[0]["layers"] for form, of in integers.items()}
    return figures | ({"agreement": bench.kept("agreement", "causal", 0)} if "causal" in wanted else {}) | {"layers": layers}


def by_condition(of: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Accuracies of several seeds, by condition."""
    values = {name: [each["accuracy"][name] for each in of] for name in of[0]["accuracy"]}
    return {name: {"seeds": [round(one, 2) for one in of], "mean": round(float(np.mean(of)), 3)} for name, of in values.items()}


def points(forms: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What the forms are apart, means over seeds, percentage points by condition."""

    def apart(form: str, kind: str, other: str, other_kind: str) -> dict[str, float]:
        a, b = forms[form][kind], forms[other][other_kind]
        return {name: round(a[name]["mean"] - b[name]["mean"], 3) for name in a}

    return {
        "causal over addition": apart("causal", "float", "addition", "float"),
        "exact over addition": apart("exact", "float", "addition", "float"),
        "causal over exact": apart("causal", "float", "exact", "float"),
        **{f"{form}, 8 bits over float": apart(form, "8 bits", form, "float") for form in DEPLOYED},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--data", choices=(DATA, "nmnist-fsdd"), default=DATA)
    parser.add_argument("--channels", type=int, help="of each token; default: the preset's")
    parser.add_argument("--form", action="append", choices=tuple(FORMS), help="default: all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=2000, help="test pairs")
    parser.add_argument("--states", type=int, default=200, metavar="SAMPLES", help="pairs whose every state is held to the reference")
    parser.add_argument("--lava", type=int, default=8, metavar="SAMPLES")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what was trained and measured, and go on from it")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
