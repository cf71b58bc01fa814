"""The networks of the folder `zoo` beside the checkout: the first command, with their own resets, keeps what they are worth."""

import re
import sys
from pathlib import Path

import pytest
from cli_calls import Cli, assert_error
from shared_zoo import ZOO, completed, figures, neighbour

MOST_POINTS, MOST_VARIANCE = 0.5, 0.02  # one of 200 samples


@pytest.fixture
def zoo() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "zoo"
    if not folder.is_dir():
        pytest.skip(f"no networks beside the checkout: {folder} does not exist")
    neighbour()
    return folder


def command(zoo: Path, name: str) -> tuple[object, ...]:
    data = zoo / "data"
    model = ("--model", f"{zoo / 'models' / name}.py:net")
    return ("export", data / f"{name}.pt", *model, "--target", "loihi2", "--calib", data / f"{name}_calib.npz", "--prove", "off")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ZOO))
def test_the_first_command_keeps_it(snn: Cli, zoo: Path, name: str) -> None:
    entry, call = ZOO[name], command(zoo, name)
    if entry.returns:
        said = f"add `return {entry.returns}` as its last line"
        assert_error(snn(*call), 3, said)
        completed(entry, sys.modules[f"models.{name}"].SNN)
    result = snn(*call, *entry.options, "-o", "bundle")
    assert result.code == 0, result.err
    found = figures(zoo, name, entry, Path("bundle"))
    print(f"\n{name:16} exit {result.code}  float {found.floats:7.2f}  deployed {found.deployed:8.4f}  loss {found.loss:.4f}")
    assert found.loss <= (MOST_VARIANCE if found.is_value else MOST_POINTS), found


@pytest.mark.slow
def test_weights_that_change_with_the_step_are_refused_in_one_line(snn: Cli, zoo: Path) -> None:
    result = snn(*command(zoo, "m22_bntt"))
    assert_error(result, 3, "steps 0 and 1 of its loop differ: bn1.0 (BatchNorm1d) against bn1.1 (BatchNorm1d)")
    assert re.search("every step of the loop the same", result.err)
