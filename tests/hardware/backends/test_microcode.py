"""Pseudo-code of neurons that need microcode: run operation by operation, it is the neuron's own step."""

from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from microcode_machine import OPERATIONS, run

from snnfuse.hardware import InverseRoot, Lif, Product, Relay, ResonateAndFire
from snnfuse.hardware.backends.microcode import pseudo_code
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.alpha import AlphaLif, AlphaReset
from snnfuse.hardware.ir.bias_input import BiasedLif
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Neuron, SpikeInput

NODES = [
    *(Lif((1,), du, dv, vth, bias, exp, reset=reset) for reset in get_args(Reset)
      for du, dv, vth, bias, exp in ((900, 300, 2000, -3, 2), (4095, 0, 9, 40, 0), (-1, 4095, 100000, 0, 0))),
    *(AlphaLif((1,), 300, 900, 3000, 2000, reset=reset) for reset in get_args(AlphaReset)),
    BiasedLif((1,), 900, 300, 2000, -3, 2, reset="subtract"),
    ResonateAndFire((1,), 1200, -3800, 900, 3, 12), ResonateAndFire((1,), -5, 7, 0, 0, 3),
    Product((1,), 0), Product((1,), 7), Relay((1,)), InverseRoot((1,), 40000), Maximum((1,), 3),
]  # fmt: skip


@pytest.mark.parametrize("node", NODES, ids=lambda node: f"{type(node).__name__} {node.custom_reset}")
def test_pseudo_code_is_the_step(node: Neuron) -> None:
    rng, lines = np.random.default_rng(0), pseudo_code(node)
    values = {name: int(getattr(node, name)) for field in fields(node) if (name := field.name) not in ("shape", "reset")}
    for trial in range(150):
        size = (50, 1 << 12, 1 << 20, 1 << 30)[trial % 4]
        inputs = [int(x) for x in rng.integers(-size, size, node.ports)] if trial % 7 else [(1 << 25) - 1 - trial] * node.ports
        before = [int(x) for x in rng.integers(-(1 << 23) + 1, 1 << 23, len(node.states))] if trial % 3 else [0] * len(node.states)
        one = [np.full((1, 1), x, np.int32) for x in (*before, *inputs)]
        sent, after = node.step(tuple(one[: len(before)]), one[len(before) :])
        found, states = run(lines, values, dict(zip(node.states, before)), inputs)
        assert (found, [states[name] for name in node.states]) == (int(sent[0, 0]), [int(x[0, 0]) for x in after]), (inputs, before)


def test_only_public_operations_are_used() -> None:
    known = {*OPERATIONS, "RDC", "RMW", "SKP_C", "SPIKE"}
    assert {line.split()[0] for node in NODES for line in pseudo_code(node)} <= known


def test_a_kind_without_pseudo_code_is_named() -> None:
    assert all(NEURONS.of(node).microcode is not None for node in NODES)
    with pytest.raises(UnsupportedError, match="no pseudo-code is written for SpikeInput"):
        pseudo_code(SpikeInput((1,)))  # type: ignore[arg-type]
