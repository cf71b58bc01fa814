"""Every neuron and reset of snnTorch in random networks: spikes and membranes of snnTorch, counted against those of the float simulator.

    python -m benchmarks.resets             # 5 million spikes and more, a few minutes

Weights, biases, thresholds and recurrences are multiples of 1/16, decays dyadic fractions, and inputs spikes, so that membranes meet their
thresholds exactly, and what is wrong by a rounding shows. Two layers of the same neurons in double precision; the second's membrane is an
output too. A spike that differs although its membrane was within 1e-5 of the threshold is counted apart, as a tie.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnfuse.export import lower, simulate, trace_model

TIE = 1e-5  # of the threshold
INPUTS, HIDDEN, LAST = 16, 64, 32
DELAYED: tuple[type[nn.Module], ...] = (
    snn.Leaky,
    snn.Synaptic,
    snn.RLeaky,
)  # those that have both forms; RSynaptic has the delayed one only
KINDS: tuple[type[nn.Module], ...] = (snn.Leaky, snn.Synaptic, snn.Lapicque, snn.RLeaky, snn.RSynaptic, snn.Alpha)


@dataclass(frozen=True)
class Rule:
    """A neuron with one of its resets; delay None where it has no choice."""

    kind: type[nn.Module]
    reset: str
    delay: bool | None

    def __str__(self) -> str:
        return f"{self.kind.__name__} {self.reset}" + ("" if self.delay is None else ", delayed" if self.delay else ", undelayed")


@dataclass(frozen=True)
class Found:
    """Of one network: spikes of snnTorch, those that differ, ties among them, and membranes that are not equal to 1e-12."""

    spikes: int
    differing: int
    ties: int
    membranes: int


def rules() -> Iterator[Rule]:
    """All of them."""
    for kind, reset in itertools.product(KINDS, ("subtract", "zero", "none")):
        for delay in (True, False) if kind in DELAYED and reset != "none" else (None,):
            yield Rule(kind, reset, delay)


class Network(nn.Module):
    """Two layers of the same neurons, drawn by a seed; forward returns the spikes of both, and the membrane of the second."""

    def __init__(self, rule: Rule, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.fc1, self.lif1 = nn.Linear(INPUTS, HIDDEN), drawn(rule, rng, HIDDEN)
        self.fc2, self.lif2 = nn.Linear(HIDDEN, LAST), drawn(rule, rng, LAST)
        gain = 4.0 if rule.kind is snn.Alpha else 2.0
        for layer in (self.fc1, self.fc2, *(m.recurrent for m in (self.lif1, self.lif2) if hasattr(m, "recurrent"))):
            for values in layer.parameters():
                values.data = (values.data * 16 * gain).round() / 16

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first = self.lif1(self.fc1(x))[0]
        second, *_, membrane = self.lif2(self.fc2(first))
        return first, second, membrane


def heaviside(x: torch.Tensor) -> torch.Tensor:
    """snnTorch's own surrogates return float32 spikes, which a float64 layer does not take."""
    return (x > 0).to(x.dtype)


def drawn(rule: Rule, rng: np.random.Generator, neurons: int) -> nn.Module:
    """Neurons with parameters on the grid, one for all or one each."""

    def register(low: int, high: int) -> torch.Tensor:
        values = rng.integers(low, high + 1, neurons if rng.random() < 0.5 else ()) / 16
        return torch.as_tensor(values, dtype=torch.float64)

    options: dict[str, Any] = {"reset_mechanism": rule.reset, "threshold": register(8, 40), "init_hidden": True, "output": True}
    options |= {"spike_grad": heaviside} | ({} if rule.delay is None else {"reset_delay": rule.delay})
    if rule.kind is snn.Lapicque:
        return rule.kind(R=float(2.0 ** rng.integers(1, 3)), C=float(2.0 ** rng.integers(-1, 2)), **options)
    if rule.kind is snn.Alpha:
        return rule.kind(alpha=register(11, 16), beta=register(0, 10), **options)
    options["beta"] = register(0, 16)
    if rule.kind in (snn.Synaptic, snn.RSynaptic):
        options["alpha"] = register(0, 15)
    if rule.kind in (snn.RLeaky, snn.RSynaptic):
        options |= {"linear_features": neurons} if rng.random() < 0.5 else {"all_to_all": False, "V": register(-16, 16)}
    return rule.kind(**options)


def compare(rule: Rule, seed: int, steps: int, batch: int) -> Found:
    """One random network on random spikes, in snnTorch and in the float simulator."""
    listed = list(snn.SpikingNeuron.instances)
    model = Network(rule, seed).double().eval()
    snn.SpikingNeuron.instances[:] = listed  # a list of all neurons, which snnTorch's own reset works on
    rng = np.random.default_rng(seed + 10**6)
    x = torch.from_numpy((rng.random((steps, batch, INPUTS)) < rng.choice([0.1, 0.3, 0.6])).astype(np.float64))
    graph, ledger = trace_model(model, x[0])
    assert not ledger, ledger
    before: list[list[torch.Tensor]] = [watch(layer) for layer in (model.lif1, model.lif2)]
    with torch.no_grad():
        returned = [torch.stack(values).numpy() for values in zip(*(model(now) for now in x), strict=True)]
    network = lower(graph)
    run = simulate(network, {"x": x.numpy()})
    differing = ties = spikes = 0
    for layer, name, expected, mem in zip((model.lif1, model.lif2), ("lif1", "lif2"), returned, before):
        wrong, theta = run.spikes[name] != expected.astype(bool), layer.threshold.numpy()
        close = np.abs(torch.stack(mem).numpy() - theta) <= TIE * theta
        spikes, differing, ties = spikes + int(expected.sum()), differing + int(wrong.sum()), ties + int((wrong & close).sum())
    membranes = ~np.isclose(run.v["lif2"], returned[2], rtol=1e-12, atol=1e-12)
    return Found(spikes, differing, ties, int(membranes.sum()))


def watch(layer: nn.Module) -> list[torch.Tensor]:
    """What the membrane is compared with the threshold at, step by step, as the layer runs."""
    seen, fire = [], layer.fire

    def fires(mem: torch.Tensor) -> torch.Tensor:
        seen.append(mem.clone())
        return fire(mem)

    layer.fire = fires
    return seen


def main() -> None:
    """Print a line per neuron and reset, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=6, help="per neuron and reset")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    total = [0, 0, 0, 0]
    for number, rule in enumerate(rules()):
        seeds = range(1000 * number, 1000 * number + options.networks)
        found = [compare(rule, seed, options.steps, options.batch) for seed in seeds]
        sums = [sum(getattr(f, name) for f in found) for name in ("spikes", "differing", "ties", "membranes")]
        total = [a + b for a, b in zip(total, sums)]
        print(f"{str(rule):32} {sums[0]:10,} spikes, {sums[1]} differ, {sums[2]} of them ties; {sums[3]} membranes differ", flush=True)
    print(f"{'all':32} {total[0]:10,} spikes, {total[1]} differ, {total[2]} of them ties; {total[3]} membranes differ")


if __name__ == "__main__":
    main()
