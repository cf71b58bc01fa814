"""`snnfuse ops`: the table, on the screen, as JSON and as the page of the documentation."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from cli_calls import Cli, assert_error

from snnfuse.commands.ops import DECISIONS, page
from snnfuse.export.ops_table import SOURCES, Decision, Row, rows

ROOT = Path(__file__).parents[3]


def test_the_page_of_the_documentation_is_the_table() -> None:
    assert (ROOT / "docs/ops.md").read_text(encoding="utf-8") == page(rows()), "run: snnfuse ops --markdown > docs/ops.md"


def test_json_holds_every_row_once_with_a_decision(snn: Cli) -> None:
    done = snn("ops", "--json", "-")
    content = json.loads(done.out)
    assert done.code == 0 and content["rows"] == [vars(row) for row in rows()]
    assert content["counts"] == {name: Counter(row.decision for row in rows())[name] for name in DECISIONS}
    keys = Counter((row["group"], row["name"], row["case"]) for row in content["rows"])
    assert max(keys.values()) == 1, keys.most_common(3)
    assert all(row["decision"] in DECISIONS and row["how"] for row in content["rows"])
    assert all(bool(row["way_out"]) or row["decision"] != "refused" for row in content["rows"])


def test_filters_choose_rows(snn: Cli) -> None:
    content = json.loads(snn("ops", "--json", "-", "--group", "neuron", "--decision", "approximate").out)
    assert content["rows"] == [vars(row) for row in rows() if "neuron" in row.group.lower() and row.decision == "approximate"]
    assert {row["name"] for row in content["rows"]} >= {"Leaky", "Synaptic", "RSynaptic"}
    assert content["counts"]["exact"] == content["counts"]["refused"] == 0 < content["counts"]["approximate"]


def test_the_screen_shows_every_group_and_counts(snn: Cli) -> None:
    out = snn("ops").out
    assert all(row.group in out for row in rows())
    counts = Counter(row.decision for row in rows())
    assert out.splitlines()[-1] == ", ".join(f"{counts[name]} {name}" for name in DECISIONS)


def test_markdown_on_stdout_is_the_page(snn: Cli) -> None:
    assert snn("ops", "--markdown").out == page(rows())


def test_a_group_that_does_not_exist_is_one_line(snn: Cli) -> None:
    assert_error(snn("ops", "--group", "tensorflow"), 2, "--group tensorflow: the groups are", "snnTorch neuron")


def test_a_name_chooses_its_rows(snn: Cli) -> None:
    content = json.loads(snn("ops", "conv2D", "--json", "-").out)
    assert content["rows"] == [vars(row) for row in rows() if "conv2d" in row.name.lower().split(", ")] != []
    part = json.loads(snn("ops", "onv1", "--json", "-").out)["rows"]
    assert part and all("onv1" in f"{row['name']} {row['case']}".lower() for row in part)
    assert_error(snn("ops", "leaki"), 2, "no row is called leaki; did you mean leaky or rleaky?")
    assert_error(snn("ops", "zzzz"), 2, "snnfuse ops lists all of them")


def test_decisions_are_those_of_the_table() -> None:
    assert get_args(Decision) == DECISIONS


@pytest.mark.parametrize("wrong, why", [({"decision": "unknown"}, "no decision is called"), ({"decision": "refused"}, "needs a way out")])
def test_a_row_without_a_decision_or_way_out_cannot_be_made(wrong: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Row(**{"group": "snnTorch neuron", "name": "Leaky", "case": "", "decision": "exact", "how": "LIF", **wrong})


def test_every_source_has_rows_and_none_needs_lava() -> None:
    script = (
        "import sys, importlib\n"
        "sys.modules['lava'] = None\n"
        "from snnfuse.export import ops_table\n"
        f"for source in {SOURCES!r}: assert importlib.import_module(f'snnfuse.export.{{source}}').ops_rows(), source\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
