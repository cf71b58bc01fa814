"""What no code of this repository may name but in the one place of each, and the page that says what is defended."""

import ast
from pathlib import Path

import limits_table
import pytest
from forbidden_calls import FORBIDDEN, MODULES, TORCH_FILE, problems

ROOT = Path(__file__).resolve().parents[1]
WALKED = ("snnfuse", "export", "hardware", "benchmarks", "tools", "examples")
FILES = sorted(path for folder in WALKED for path in (ROOT / folder).rglob("*.py"))


def test_nothing_names_what_could_run_what_a_file_holds() -> None:
    found = [problem for path in FILES for problem in problems(ast.parse(path.read_text("utf-8")), path.relative_to(ROOT).as_posix())]
    assert found == []


def test_every_module_is_walked() -> None:
    """All Python of the repository but its tests, wherever a later folder may lie, and the scripts of the documentation."""
    walked = {path.relative_to(ROOT).parts[0] for path in FILES}
    holding = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and any(path.rglob("*.py"))}
    assert holding - walked <= {"tests", "build", "out", "site", "dist"}
    assert walked == set(WALKED)


def test_the_files_that_may_name_something_do() -> None:
    """Else the way would stand open for another use of a name in them."""
    for name, places in [*FORBIDDEN.items(), *MODULES.items()]:
        for place in places:
            tree = ast.parse((ROOT / place).read_text("utf-8"))
            assert name == "torch.serialization.load" or problems(tree, "elsewhere.py"), (name, place)


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ndef f(p): torch.load(p)",
        "from torch import load as l\ndef f(p): l(p, weights_only=False)",
        "from torch import load",
        "import torch as t\nt.load(p, weights_only=flag)",
        "import torch\nload = torch.load",
        "import torch\ngetattr(torch, 'load')(p)",
        "import torch\nvars(torch)['load'](p)",
        "import torch\ntorch.__dict__['load'](p)",
        "import torch.serialization as s\ns.load(p)",
        "from torch.serialization import load",
        "from torch import *",
        "from torch import serialization\nserialization.load(p)",
        "import torch\nt = torch\nt.load(p)",
        "import torch\ntorch.jit.load(p)",
        "import pickle as p\np.loads(b'')",
        "import pickle",
        "from pickle import loads\nloads(b'')",
        "from pickle import *",
        "import importlib\nimportlib.import_module('pickle').loads(b'')",
        "from importlib import import_module as m\nm('pickle').loads(b'')",
        "import sys\nsys.modules['pickle'].loads(b'')",
        "import _pickle",
        "import joblib",
        "eval('1')",
        "exec('1')",
        "f = eval",
        "list(map(eval, lines))",
        "import builtins\nbuiltins.exec('1')",
        "import builtins as b\ngetattr(b, 'eval')('1')",
        "globals()['eval']('1')",
        "__builtins__['eval']('1')",
        "__import__('pickle')",
        "import os\nos.system('x')",
        "import subprocess as s\ns.run('x', shell=True)",
        "from subprocess import run\nrun('x', shell=flag)",
        "import subprocess\nsubprocess.run('x', **{'shell': True})",
        "import subprocess\nsubprocess.run('x', **options)",
        "import subprocess\nsubprocess.getoutput('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', None, True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "from numpy import load as l\nl('x', **{'allow_pickle': True})",
        "from numpy.lib.format import read_array\nread_array(f, allow_pickle=True)",
        "import yaml\nyaml.load('x')",
        "from yaml import unsafe_load",
        "import h5py\nh5py.File('x')",
        "import h5py as h\nh.File('x')",
        "from h5py import File\nFile('x')",
        "from h5py import File as F\nF('x')",
        "import h5py\nopen_it = h5py.File",
        "import h5py\ngetattr(h5py, 'File')('x')",
        "import nir\nnir.read('x')",
        "import nir as n\nn.read('x')",
        "from nir import read",
        "from nir import serialization as s\ns.read('x')",
    ],
)
def test_the_check_sees_each_of_them_however_it_came_in(code: str) -> None:
    assert problems(ast.parse(code), "snnfuse/x.py")


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "import torch\ntorch.load(p, weights_only=True)",
        "import pickle\ntry: pass\nexcept pickle.UnpicklingError: pass",
        "import json\njson.load(f)",
        "import numpy as np\nnp.load(p, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['x'], check=True)",
        "import re\nre.compile('x')",
    ],
)
def test_the_check_lets_pass_what_runs_nothing(code: str) -> None:
    assert problems(ast.parse(code), TORCH_FILE) == []


def test_the_page_shows_the_limits_that_hold() -> None:
    """Else run: python tools/limits_table.py."""
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert limits_table.with_table(page) == page
    assert "a hash shows damage, not the author" in page.lower()
