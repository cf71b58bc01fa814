"""What product code may not call but in the one place of each, and the page that says what is defended."""

import ast
from collections.abc import Iterator
from pathlib import Path

import limits_table
import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = sorted(path for folder in ("snnfuse", "export", "hardware") for path in (ROOT / folder).rglob("*.py"))
FORBIDDEN = {
    "pickle.load": (), "pickle.loads": (), "pickle.Unpickler": (), "pickle.dump": (), "pickle.dumps": (),
    "marshal.loads": (), "shelve.open": (),
    "dill.load": (), "joblib.load": (), "cloudpickle.loads": (), "cloudpickle.load": (),
    "eval": (), "exec": (), "__import__": (), "os.system": (), "os.popen": (),
    "yaml.load": (), "yaml.unsafe_load": (), "yaml.full_load": (), "tarfile.open": (), "tempfile.mktemp": (),
    "torch.load": ("snnfuse/checkpoints/torch_file.py",), "torch.jit.load": (), "torch.hub.load": (),
    "h5py.File": ("export/hdf5.py", "export/netx/file_out.py"),
    "nir.read": (),
}  # fmt: skip
"""Calls, and the files that may make them: a netx file is written there, all that is read goes through `snnfuse.export.hdf5`."""
FORBIDDEN_ARGUMENTS = {("shell", True), ("allow_pickle", True)}
UNSAFE_LOAD = "snnfuse/checkpoints/torch_file.py:_unpickle"  # behind --allow-pickle


def _first(name: str) -> str:
    return name.partition(".")[0]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call, str]]:
    """(name as imported from where, call, enclosing function) of every call."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or _first(alias.name): alias.name if alias.asname else alias.name.partition(".")[0] for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, function = waiting.pop()
        function = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        waiting += [(inner, function) for inner in ast.iter_child_nodes(node)]
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield names.get(first, first) + dot + rest, node, function


def problems(tree: ast.AST, file: str) -> list[str]:
    found = []
    for name, call, function in calls(tree):
        where = f"{file}:{call.lineno}: {name}"
        if name in FORBIDDEN and file not in FORBIDDEN[name]:
            found.append(where)
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        found += [f"{where}({key}={value})" for key, value in FORBIDDEN_ARGUMENTS if given.get(key) == value]
        if name == "torch.load" and given.get("weights_only") is not True and f"{file}:{function}" != UNSAFE_LOAD:
            found.append(f"{where} without weights_only=True")
        if name == "numpy.load" and given.get("allow_pickle", False) is not False:
            found.append(f"{where}(allow_pickle)")
    return sorted(set(found))


def test_product_code_calls_nothing_that_could_run_what_a_file_holds() -> None:
    found = [problem for path in PRODUCT for problem in problems(ast.parse(path.read_text()), path.relative_to(ROOT).as_posix())]
    assert found == []
    assert len(PRODUCT) > 300


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ndef f(p): torch.load(p)",
        "from torch import load as l\ndef f(p): l(p, weights_only=False)",
        "import pickle as p\np.loads(b'')",
        "from pickle import loads\nloads(b'')",
        "eval('1')",
        "exec('1')",
        "import subprocess as s\ns.run('x', shell=True)",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import yaml\nyaml.load('x')",
        "import h5py\nh5py.File('x')",
        "from h5py import File\nFile('x')",
        "import nir\nnir.read('x')",
        "import nir as n\nn.read('x')",
    ],
)
def test_the_check_sees_each_of_them_however_it_is_imported(code: str) -> None:
    assert problems(ast.parse(code), "snnfuse/x.py")


def test_the_page_shows_the_limits_that_hold() -> None:
    """Else run: python tools/limits_table.py."""
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert limits_table.with_table(page) == page
    assert "a hash shows damage, not the author" in page.lower()
