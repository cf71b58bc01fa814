"""What training costs: `python -m benchmarks.training [--data-dir DIR] [--pairs N] [--epochs N] [--json -]`.

The small FD-fusion network learns from a part of mnist-fsdd in three ways, from the same weights, on the same batches in the same order,
with the same optimiser and schedule, and each validates after every epoch:

    plain     a loop over time as snnTorch's tutorials have it, one step of the whole network after the other
    folded    `snnfuse.networks.run_folded`: layer after layer, each over all time steps at once, in a loop over batches as plain
    trainer   `snnfuse.training.train`, which is folded within Lightning's loop

Batch norm's statistics over one step and over all steps are not the same numbers, so losses can only agree without it: the first network
has none, and its losses are compared: those of the trainer and of the folded loop in float32, those of the plain loop and of the folded one
over an epoch in float64, because a sum that is rounded otherwise in float32 tips a spike sooner or later, and with it all that follows. The
second is the real one. Augmentation and dropout are off. Seconds are the processor's, per epoch, the fewest of all epochs, of interleaved
runs.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from benchmarks.braille import report
from snnfuse import training
from snnfuse.data import AudioVisual, Pairs, hold_out, load, make_pairs
from snnfuse.networks import architecture, build, reset, run_folded
from snnfuse.report.tables import table
from snnfuse.training.batches import Share, TrainingBatches, in_time
from snnfuse.training.objective import classification
from snnfuse.training.schedules import schedule_of

DATA = "mnist-fsdd"
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@architecture("fd-fusion-without-batch-norm")
def without_batch_norm(**config: Any) -> nn.Module:
    """The same network with a bias, and weights three times as large, in the place of every batch norm."""
    model = build("fd-fusion", config)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, NORMS):
                setattr(parent, name, nn.Identity())
            if isinstance(child, (nn.Linear, nn.Conv2d)):
                child.weight.data *= 3
    return model


def plain(model: nn.Module, *inputs: Tensor) -> Tensor:
    """Spikes (time, batch, classes), one step after the other."""
    reset(model)
    return torch.stack([model(*step) for step in zip(*inputs, strict=True)])


def by_hand(
    name: str, data: AudioVisual, recipe: training.Recipe, through_time: Callable[..., Tensor], config: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Seconds and mean loss of each epoch of a loop written by hand."""
    torch.manual_seed(recipe.seed)
    model = build(name, {**training.inputs_of("fd-fusion", data), **config}).to(dtype)
    for layer in (m for m in model.modules() if isinstance(m, snntorch.SpikingNeuron)):
        layer.register_forward_hook(lambda module, given, spikes: spikes.to(dtype))  # snnTorch's spikes are float32, whatever the membrane
    kept, held = hold_out(data.train, recipe.held, recipe.seed)
    seconds: list[float] = []
    losses: list[float] = []
    batches, steps_of = TrainingBatches(kept, model.inputs, recipe, Share(), lambda: len(losses) + 1), in_time(kept)
    optimiser = torch.optim.AdamW(model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    schedule = schedule_of(optimiser, recipe, recipe.epochs * len(batches))
    for _ in range(recipe.epochs):
        start, found = time.process_time(), []
        model.train()
        for batch in batches:
            steps = {name: values.to(dtype) for name, values in steps_of(batch["values"]).items()}
            loss = classification(model, through_time(model, *steps.values()), batch["labels"], recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            found.append(loss.detach())
        if dtype == torch.float32:
            training.evaluate(model, held)
        seconds.append(time.process_time() - start)
        losses.append(torch.stack(found).double().mean().item())
    return seconds, losses


def by_trainer(name: str, data: AudioVisual, recipe: training.Recipe, config: dict[str, Any]) -> tuple[list[float], list[float]]:
    """The same by the trainer; an epoch's seconds are those from one report to the next."""
    at: list[float] = []
    wide = {**training.inputs_of("fd-fusion", data), **config}
    trained = training.train(
        data, recipe, architecture=name, compute=training.Compute("cpu"), report=lambda epoch: at.append(time.process_time()), **wide
    )  # fmt: skip
    return [after - before for before, after in zip(at, at[1:])], [epoch.loss for epoch in trained.history]


def some(pairs: Pairs, number: int) -> Pairs:
    """Pairs of some items of every modality."""
    pools = {name: pool.part(np.random.default_rng(0).permutation(len(pool)) < number) for name, pool in pairs.pools.items()}
    return replace(make_pairs(pools, pairs.time, 0), encoding=pairs.encoding)


def measure(options: argparse.Namespace) -> dict[str, dict[str, tuple[float, list[float]]]]:
    """By network and way: seconds of the fastest epoch, and the losses."""
    data = load(DATA, options.data_dir)
    data = replace(data, train=some(data.train, options.pairs), test=some(data.test, 100))
    recipe = training.Recipe(epochs=options.epochs, seed=options.seed, augment=False, drop_modality=0.0)
    config, found = {"dropout": 0.0}, {}
    for network in ("fd-fusion-without-batch-norm", "fd-fusion"):
        ways: dict[str, Callable[[], tuple[list[float], list[float]]]] = {
            "plain": lambda name=network: by_hand(name, data, recipe, plain, config),
            "folded": lambda name=network: by_hand(name, data, recipe, run_folded, config),
            "trainer": lambda name=network: by_trainer(name, data, recipe, config),
        }
        runs = [{way: run() for way, run in ways.items()} for _ in range(options.repeat)]
        found[network] = {way: (min(s for run in runs for s in run[way][0]), runs[0][way][1]) for way in ways}
    short, exact = replace(recipe, epochs=1), "fd-fusion-without-batch-norm"
    for way, through_time in (("plain", plain), ("folded", run_folded)):
        seconds, losses = by_hand(exact, data, short, through_time, config, torch.float64)
        found[exact][f"{way}, float64"] = min(seconds), losses
    return found


def figures(found: dict[str, dict[str, tuple[float, list[float]]]]) -> dict[str, Any]:
    """What it comes to."""
    out: dict[str, Any] = {}
    for network, ways in found.items():
        for way, (seconds, losses) in ways.items():
            out[f"{network}, {way}"] = f"{seconds:.2f} processor seconds per epoch, last loss {losses[-1]:.6f}"
        out[f"{network}, plain / trainer"] = f"{ways['plain'][0] / ways['trainer'][0]:.2f}"
        out[f"{network}, trainer / folded"] = f"{ways['trainer'][0] / ways['folded'][0]:.3f}"
    exact = found["fd-fusion-without-batch-norm"]
    (plainly,), (at_once,) = exact["plain, float64"][1], exact["folded, float64"][1]
    out["without batch norm, float64, relative difference of the epoch's loss, plain and folded"] = f"{abs(plainly / at_once - 1):.1e}"
    out["without batch norm, losses of folded and trainer"] = "equal" if exact["folded"][1] == exact["trainer"][1] else "different"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--pairs", type=int, default=1000, help="training pairs, of which a tenth validates")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    found = measure(options)
    if options.json != "-":
        rows = [
            (network, *(f"{ways[way][0]:.2f}" for way in ("plain", "folded", "trainer")), f"{ways['plain'][0] / ways['trainer'][0]:.2f}")
            for network, ways in found.items()
        ]
        print(table(("processor seconds per epoch", "plain", "folded", "trainer", "plain / trainer"), rows))
    report(figures(found), options.json)


if __name__ == "__main__":
    main()
