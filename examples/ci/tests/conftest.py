"""The network and its program, made once for all tests."""

import fusion
import pytest
import torch

from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Program


@pytest.fixture(scope="session")
def network() -> fusion.Fusion:
    """The float network."""
    return fusion.train()


@pytest.fixture(scope="session")
def program(network: fusion.Fusion) -> Program:
    """What would run on the chip."""
    calibration, _ = fusion.patterns(64, seed=2)
    sample = tuple(torch.from_numpy(calibration[name][0]) for name in ("image", "audio"))
    return quantize(to_nir(network, sample), calibration)
