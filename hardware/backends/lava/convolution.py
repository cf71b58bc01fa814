"""The one function of `scipy.signal` that Lava's convolutions call, without importing that package, in each of Lava's processes anew."""

import importlib
import importlib.util
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import scipy
from numpy.typing import NDArray

VALID, ZEROS, FLIPPED = 0, 0, 1  # what SciPy's own code calls the mode, the boundary and a convolution


def convolve2d(in1: NDArray, in2: NDArray, mode: str) -> NDArray:
    """`scipy.signal.convolve2d(in1, in2, mode)`, by the same compiled code.

    Args:
        in1, in2: of two dimensions, as there.
        mode: as there; Lava's is "valid".
    """
    core = _core()
    if core is None or mode != "valid" or any(big < small for big, small in zip(in1.shape, in2.shape)):
        return importlib.import_module("scipy.signal").convolve2d(in1, in2, mode)
    return core(in1, in2, FLIPPED, VALID, ZEROS, 0)


@cache
def _core() -> Any:
    """What SciPy's own function calls; None for a SciPy that has it elsewhere."""
    spec = PathFinder.find_spec("_sigtools", [str(Path(scipy.__file__).parent / "signal")])
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "_convolve2d", None)
