"""Every neuron and reset of snnTorch in random networks on a grid: no spike and no membrane differs from the float simulator's."""

import pytest

from benchmarks.resets import Rule, compare, rules

RULES = tuple(rules())


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_no_spike_differs(rule: Rule) -> None:
    for seed in (7, 8):
        found = compare(rule, seed, steps=30, batch=2)
        assert (found.differing, found.membranes) == (0, 0)
        assert found.spikes > 0


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_none_of_200_000_spikes_differs(rule: Rule) -> None:
    """5 million and more with all rules: `python -m benchmarks.resets` prints the counts."""
    seed, spikes = 100, 0
    while spikes < 210_000:
        found = compare(rule, seed, steps=60, batch=128)
        assert (found.differing, found.membranes) == (0, 0), seed
        seed, spikes = seed + 1, spikes + found.spikes
