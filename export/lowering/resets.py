"""Another reset rule or start for a whole network, and what that changes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import float_alone, spikes_differ
from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.chip.check import refuse
from snnfuse.hardware.ir.encoding import decoded
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Output
from snnfuse.hardware.ledger import LedgerEntry

WORTH_A_WARNING = 0.02  # share of decided classes that another reset may change: a plain choice


def with_reset(
    network: Network, reset: Reset, x: Mapping[str, NDArray], target: Target = LAVA, decides: tuple[str, Output] | None = None
) -> Network:
    """The network with every spiking population reset by `reset`; each change goes into the ledger with its effect on the inputs `x`.

    A population without memory stays as it is: there is nothing to reset, and a delayed subtraction would give it a memory.

    Args:
        network: float network.
        reset: the rule.
        x: inputs (time, batch, *shape) by name.
        target: what runs it.
        decides: an output with its rule, whose decisions are compared too, without any labels; a change above `WORTH_A_WARNING` of them
            becomes a warning.

    Raises:
        UnsupportedError: the target runs no neurons that reset so.
    """
    changed = _other_resets(network, reset)
    if changed and reset not in target.resets:
        refuse(dict.fromkeys(changed, reset))
    if not changed:
        return network
    converted = resetting(network, reset)
    before, after = simulate(network, x), simulate(converted, x)
    effects = {name: _effect(name, (network, before), (converted, after), x) for name in changed}
    entries = tuple(LedgerEntry(n, f"reset {rule} becomes {reset}", "asked for with reset", effects[n]) for n, rule in changed.items())
    converted = replace(converted, ledger=network.ledger + entries)
    return converted if decides is None else _decided(converted, reset, decides, (network, before), after)


def _decided(converted: Network, reset: Reset, decides: tuple[str, Output], old: tuple[Network, FloatRun], after: FloatRun) -> Network:
    """The converted network with what became of an output's decisions in its ledger, and in its warnings where that is much."""
    name, rule = decides
    values = (output_values(network, run, name) for network, run in (old, (converted, after)))
    before, now = (decoded(rule, each).reshape(each.shape[1], -1).argmax(1) for each in values)
    wrong, samples = int((before != now).sum()), len(now)
    effect = f"{wrong} of {samples} decided classes change ({wrong / samples:.1%}), on the calibration samples"
    ledger = (*converted.ledger, LedgerEntry(name, f"decided with the reset {reset}", "asked for with reset", effect))
    if wrong <= WORTH_A_WARNING * samples:
        return replace(converted, ledger=ledger)
    advice = "the network's own reset changes none; to keep this one, fine-tune the network with it"
    warning = f"the reset {reset}, which was asked for: {effect}; {advice}"
    return replace(converted, ledger=ledger, warnings=(*converted.warnings, warning))


def resetting(network: Network, reset: Reset) -> Network:
    """`with_reset` without the ledger."""
    changed = _other_resets(network, reset)
    return replace(network, populations={n: replace(p, reset=reset) if n in changed else p for n, p in network.populations.items()})


def _other_resets(network: Network, reset: Reset) -> dict[str, str]:
    return {n: p.reset for n, p in network.populations.items() if not p.is_readout and p.has_memory and p.reset != reset}


def from_rest(network: Network, x: Mapping[str, NDArray]) -> Network:
    """The network with every voltage starting where it resets to, as the chip's do; each change goes into the ledger with its effect."""
    moved = [name for name, p in network.populations.items() if p.start is not None]
    if not moved:
        return network
    rested = resting(network)
    before, after = simulate(network, x), simulate(rested, x)
    reason = "the chip starts and resets at one voltage; NIR does not say where a voltage starts, and is read as 0"
    effects = {name: _effect(name, (network, before), (rested, after), x) for name in moved}
    entries = tuple(LedgerEntry(n, "its voltage starts at v_reset", reason, effects[n]) for n in moved)
    return replace(rested, ledger=network.ledger + entries)


def resting(network: Network) -> Network:
    """`from_rest` without the ledger."""
    return replace(network, populations={n: replace(p, start=None) for n, p in network.populations.items()})


def _effect(name: str, old: tuple[Network, FloatRun], new: tuple[Network, FloatRun], x: Mapping[str, NDArray]) -> str:
    """How many of a population's spikes differ between two float networks, in words: together, by its own change alone, and inherited."""
    (network, before), (changed, after), expected = old, new, old[1].spikes[name]
    together = int(np.count_nonzero(expected != after.spikes[name]))
    alone = spikes_differ(expected, float_alone(changed, name, {**x, **before.spikes}).spikes[name])
    inherited = spikes_differ(expected, float_alone(network, name, {**x, **after.spikes}).spikes[name])
    counts = f"{together} spikes differ where the float network has {np.count_nonzero(expected)}, on {expected.shape[1]} samples"
    return f"{counts}; alone {alone}, inherited {inherited}"
