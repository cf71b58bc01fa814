"""The networks and arrays of lava-dl's own tests, which demand most of them of a Loihi 2 board: not one value differs."""

import pytest

from benchmarks.chip_tests import BOARD, TESTS, folder
from snnfuse.hardware.errors import EnvironmentProblem

LEAST = {
    "PilotNet LIF, from the image": 8_943_270,
    "PilotNet LIF, layer by layer": 8_561_376,
    "tinynet, from the image": 37_980,
    "tinynet, layer by layer": 26_460,
    "PilotNet SDNN, from the image": 9,
    "PilotNet SDNN, sums": 497_280,
    "PilotNet SDNN square, sums": 183_760,
    "tinynet SDNN, block by block": 13_984,
    "NTIDIGITS": 725_032,
    "dense block": 512_000,
}


@pytest.fixture(autouse=True)
def installed() -> None:
    try:
        folder()
    except EnvironmentProblem as error:
        pytest.skip(str(error))


def test_every_array_is_compared() -> None:
    assert {*TESTS} == {*LEAST} and [demanded for demanded, _ in TESTS.values()].count(BOARD) == 7


@pytest.mark.parametrize("name", TESTS)
def test_no_value_differs(name: str) -> None:
    count = TESTS[name][1]()
    assert (count.compared, count.differ) == (LEAST[name], 0)
