"""Board files: what they may say, and what is refused by name."""

import json
from pathlib import Path

import pytest

from snnfuse.hardware import Lif, Output, Program, SpikeInput
from snnfuse.hardware.chip import BOARDS, LIMITS, Board, board_from_json, find_board
from snnfuse.hardware.errors import InputError


def written(folder: Path, content: object) -> Path:
    path = folder / "board.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_file_overrides_limits(tmp_path: Path) -> None:
    board = find_board(written(tmp_path, {"name": "mine", "chips": 2, "cores": 128, "axons_in": 4096}))
    assert (board.cores, board.value("axons_in"), board.value("neurons")) == (256, 4096, LIMITS["neurons"].value)
    assert (board.limits["axons_in"].status, board.limits["axons_in"].source) == ("assumed", "board mine")
    assert board.limits["axons_out"] == LIMITS["axons_out"]


@pytest.mark.parametrize("board", [*BOARDS.values(), Board("mine", 3, {"neurons": 7})])
def test_a_board_survives_json(board: Board) -> None:
    assert board_from_json(json.loads(json.dumps(board.to_json()))) == board


@pytest.mark.parametrize(
    "content, message",
    [
        ({"chips": 1}, "name: missing; a board file holds name, chips and any of cores, neurons, "),
        ({"name": "mine"}, "chips: missing"),
        ({"name": "mine", "chips": 0}, r"chips: impossible, it must be an integer from 1 to \d+, not 0"),
        ({"name": "mine", "chips": 1, "neurons": -5}, "neurons: impossible, .* not -5"),
        ({"name": "mine", "chips": 1, "neurons": 1.5}, "neurons: impossible, .* not 1.5"),
        ({"name": "mine", "chips": 1, "neurons": True}, "neurons: impossible, .* not true"),
        ({"name": "mine", "chips": 1, "cores": 10**12}, "cores: impossible"),
        ({"name": "mine", "chips": 1, "nurons": 5}, "nurons: no limit of a board; there are cores, neurons"),
        ({"name": "", "chips": 1}, "name: a board needs one"),
        ({"name": 5, "chips": 1}, "name: a board needs one, not 5"),
        ({"name": "oheo-gulch", "chips": 2}, "'oheo-gulch' is the name of another board"),
        ("{", "damaged, or no JSON file"),
        ("[]", "holds no JSON object"),
    ],
)
def test_a_faulty_file_is_refused_by_name(tmp_path: Path, content: object, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as raised:
        find_board(path)
    assert raised.value.exit_code == 2 and "board.json" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read .*none.json: No such file"):
        find_board(tmp_path / "none.json")


def test_an_assertion_takes_boards_that_a_saved_case_can_name() -> None:
    from snnfuse.testing import assert_fits

    program = Program({"x": SpikeInput((1,)), "out": Lif((1,), 1, 1, 1)}, (), {"output": Output("out")})
    assert_fits(program, BOARDS["oheo-gulch"])
    with pytest.raises(InputError, match="board 'oheo-gulch': a case is saved with a board's name"):
        assert_fits(program, Board("oheo-gulch", 1, {"cores": 5}))
