"""The independent NIR simulator, for every test of this folder."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def nir_equations() -> ModuleType:
    """The module `nir_equations.py` beside this file."""
    spec = importlib.util.spec_from_file_location("nir_equations", Path(__file__).with_name("nir_equations.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
