"""Published runs: the catalogue is what they give, and holds what was measured."""

import numpy as np
import pytest

from benchmarks.published import judge, judged_rows, said, summary
from benchmarks.published_fit import fit
from benchmarks.published_runs import FREE, HOST, Run, lava_dl_tests, runs
from snnfuse.hardware.energy.constants import values
from snnfuse.hardware.errors import EnvironmentProblem


@pytest.fixture(scope="module")
def rows() -> list[Run]:
    try:
        lava_dl_tests()
    except EnvironmentProblem as error:
        pytest.skip(str(error))
    return list(runs())


@pytest.fixture(scope="module")
def found(rows: list[Run]) -> list[dict]:
    return judged_rows(judge(rows))


@pytest.mark.slow
def test_the_catalogue_is_the_fit(rows: list[Run], found: list[dict]) -> None:
    numbers = fit(rows) | {"validation": summary(found)}
    for group in ("time", "host", "power", "validation"):
        for name, value in values(group).items():
            assert value == pytest.approx(numbers[group][name], rel=1e-3), f"{group} {name}"


def test_free_running_rows_are_judged_by_the_others(found: list[dict]) -> None:
    free = [row for row in found if row["regime"] == FREE]
    assert sum(row["inside"] for row in free) >= 8 and {row["constants"] for row in free} == {"judged"}
    assert {row["constants"] for row in found if row["regime"] == HOST} == {"fitted"}
    for row in free:
        assert row["us_high"] / row["us_low"] <= 5 and row["uj_high"] / row["uj_low"] <= 10
    for family in ("PilotNet", "SHD", "winner-take-all"):
        for unit in ("us", "uj"):
            ratio = np.median([row[f"{unit}_ratio"] for row in free if row["family"] == family and row[f"{unit}_ratio"]])
            assert 1 / 1.5 <= ratio <= 1.5, f"{family} {unit}"


def test_a_row_outside_is_said(found: list[dict]) -> None:
    missed = [found[0] | {"inside": False}, *found[1:]]
    assert f"missed: {found[0]['run']}" in said(missed, summary(missed))


def test_cores_are_near_those_published(found: list[dict]) -> None:
    for row in found:
        if row["published_cores"] and row["published_cores"] > 10:
            assert abs(row["cores"] / row["published_cores"] - 1) < 0.1
