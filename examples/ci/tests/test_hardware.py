"""What has to hold before this network goes to a chip."""

import fusion
import pytest

from snnfuse.hardware import Program
from snnfuse.testing import assert_accuracy_drop, assert_bit_exact, assert_fits

pytestmark = pytest.mark.loihi2


def test_backends_agree_on_every_spike(program: Program) -> None:
    inputs, _ = fusion.patterns(8, seed=3)
    assert_bit_exact(program, inputs)


def test_one_chip_holds_it(program: Program) -> None:
    assert_fits(program, board="oheo-gulch")


def test_integers_cost_at_most_two_points(network: fusion.Fusion, program: Program) -> None:
    inputs, labels = fusion.patterns(100, seed=4)
    assert_accuracy_drop(network, program, inputs, labels, max_points=2)
