"""Lava 0.10 on Python 3.10 to 3.13 and NumPy 1.26 to 2.x, without changing a file of it.

A handful of its modules get a one-line source fix while they are imported, by a finder that is there for those imports only:

    from snnfuse.hardware.backends.lava import patched_imports
    with patched_imports():
        from lava.lib.dl import netx

What the fixes cure: a mutable dataclass default, which Python 3.11 refuses; an argument of np.reshape that NumPy 2.1 deprecates
and 2.4 removes, and int() of an array, which 2.4 refuses; an import of scipy.signal for convolutions alone, more than all else that
importing Lava takes (`convolution`); and the global start method of multiprocessing, which Lava sets to fork on import (failing if it is
set already) and here takes from a context of its own. A module that was imported before keeps what it was.
"""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

from snnfuse.hardware.errors import EnvironmentProblem

INSTALL = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0"
FORK = "__import__('multiprocessing').get_context('fork')"

Fixes = Mapping[str, tuple[tuple[str, str], ...]]

FIXES: Fixes = {
    "lava.magma.compiler.var_model": (
        (": ByteEncoder = ByteEncoder()", ": ByteEncoder = __import__('dataclasses').field(default_factory=ByteEncoder)"),
    ),
    "lava.magma.core.process.ports.ports": (("ft.partial(np.reshape, newshape=", "__import__('operator').methodcaller('reshape', "),),
    "lava.lib.dl.netx.hdf5": (
        ("int(layer_config['weight'])", "layer_config['weight'].item()"),
        ("int(layer_config['bias'])", "layer_config['bias'].item()"),
    ),
    "lava.magma.runtime.message_infrastructure.multiprocessing": (
        ("import multiprocessing as mp\n", f"mp = {FORK}\n"),
        ("    mp.set_start_method('fork')", "    pass"),
    ),
    "lava.magma.runtime.message_infrastructure.shared_memory_manager": (
        ("managers.SharedMemoryManager()", f"managers.SharedMemoryManager(ctx={FORK})"),
    ),
    "lava.magma.runtime.runtime": (("from multiprocessing import Queue\n", f"Queue = {FORK}.Queue\n"),),
    "lava.magma.compiler.channels.pypychannel": (("from multiprocessing import Semaphore\n", f"Semaphore = {FORK}.Semaphore\n"),),
    "lava.proc.conv.utils": (("from scipy import signal\n", "from snnfuse.hardware.backends.lava import convolution as signal\n"),),
    # slayer's __init__ imports its only user of cv2, Pillow and torchvision.
    "lava.lib.dl.slayer": (
        (
            "from . import object_detection as obd",
            "try:\n    from . import object_detection as obd\nexcept (ImportError, RuntimeError):\n    obd = None",
        ),
    ),
}


def require_lava() -> None:
    """Raise EnvironmentProblem, with the command that installs it, where lava-nc or its files are missing. Runs none of them."""
    if not _is_found():
        raise EnvironmentProblem(f"Lava is not installed for {sys.executable}; install it with: {INSTALL}") from None


def _is_found() -> bool:
    try:
        importlib.metadata.version("lava-nc")  # a folder named lava could be anything
        return importlib.util.find_spec("lava.magma") is not None
    except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError):
        return False


def why_not_importable(error: ImportError) -> str:
    """A Lava that is there and does not import, in one line."""
    return (
        f"Lava is installed but cannot be imported ({type(error).__name__}: {' '.join(str(error).split())}); "
        f"install snnfuse again, which brings what Lava needs, and then: {INSTALL}"
    )


@contextmanager
def patched_imports(fixes: Fixes = FIXES) -> Iterator[None]:
    """Fix Lava's modules as they are imported inside this block.

    Raises:
        EnvironmentProblem: Lava is missing, or a module is not the one that its fix was written for.
    """
    require_lava()
    finder = _Finder(fixes)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds modules as the other finders do, and puts a fixing loader in place of the one for source files."""

    def __init__(self, fixes: Fixes) -> None:
        self.fixes = fixes

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.fixes:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if not isinstance(finder, _Finder))
        spec = next((found for found in others if found is not None), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path, self.fixes[name])
        return spec


class _Loader(SourceFileLoader):
    """Compiles the fixed source, and neither reads nor writes the cached bytecode."""

    def __init__(self, name: str, path: str, fixes: tuple[tuple[str, str], ...]) -> None:
        super().__init__(name, path)
        self.fixes = fixes

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(fixed(fullname, self.get_source(fullname) or "", self.fixes), self.path)


def fixed(module: str, source: str, fixes: tuple[tuple[str, str], ...]) -> str:
    """The source with every fix applied; EnvironmentProblem where one finds nothing to replace."""
    for old, new in fixes:
        if old not in source:
            raise EnvironmentProblem(
                f"{module} does not hold {old.strip()!r}, which snnfuse replaces on import: "
                f"this is no lava-nc 0.10.0 / lava-dl 0.6.0; install them with: {INSTALL}"
            )
        source = source.replace(old, new)
    return source
