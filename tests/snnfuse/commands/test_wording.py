"""The library names arguments as Python takes them, and commands name their options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import snnfuse.export
import snnfuse.hardware
from snnfuse.cli import COMMANDS, load_command
from snnfuse.commands.wording import FLAGS, in_flags

ROOTS = [Path(module.__file__ or "").parent for module in (snnfuse, snnfuse.export, snnfuse.hardware)]
OF_COMMANDS = ("commands", "cli.py", "pytest_plugin.py", "failing.py", "make_crema_d.py", "board_script.py")
OF_OTHERS = ("opening.py", "published.py")  # what --stream takes, and the options of another project's training
FLAG = re.compile(r"(?<![\w-])--[a-z]")
BOTH = re.compile(
    r"\((?:give )?--[^)]*\)|`[^`]*--[^`]*`|snnfuse [a-z-]+ [^;]*--|pip install|--data-dir, \$"
)  # an option beside the argument


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module that is no docstring."""
    tree = ast.parse(path.read_text())
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


def test_no_message_of_the_library_names_an_option_alone() -> None:
    found = [
        f"{path}:{line}: {text}"
        for root in ROOTS
        for path in sorted(root.rglob("*.py"))
        if not {*path.parts[-3:]} & {*OF_COMMANDS, *OF_OTHERS}
        for line, text in strings(path)
        if FLAG.search(text) and not BOTH.search(text)
    ]
    assert len(ROOTS) == 3 and not found, "\n".join(found)


@pytest.mark.parametrize(("said", "printed"), [
    ("export with l2='fold'", "export with --l2 fold"), ("give force=True", "give --force"),
    ("more bits (weight_bits=8) or groups (max_groups=3)", "more bits (--weight-bits 8) or groups (--max-groups 3)"),
    ("say num_classes=10", "say --num-classes 10"), ("send it with more bits (input_bits)", "send it with more bits (--input-bits)"),
    ("the layer input_bits.weight", "the layer input_bits.weight"),
])  # fmt: skip
def test_a_command_names_its_options(said: str, printed: str) -> None:
    assert in_flags(said) == printed


def test_every_option_that_is_named_exists() -> None:
    known = {option for name in COMMANDS for parameter in load_command(name).params for option in parameter.opts}
    assert {*FLAGS.values()} <= known
