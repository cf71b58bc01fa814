"""What the tests put into bundles."""

import nir
import numpy as np


def small_graph(weight: float = 1.0) -> nir.NIRGraph:
    ones = np.ones(2)
    return nir.NIRGraph.from_list(
        nir.Linear(weight * np.ones((2, 3))), nir.LIF(tau=ones, r=ones, v_leak=0 * ones, v_reset=0 * ones, v_threshold=ones)
    )
