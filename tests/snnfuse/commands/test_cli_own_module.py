"""A user's own module of neurons that snnTorch and NIR lack, from the command line: exported, bundled, verified and simulated."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli
from own_resonators import Held

from snnfuse.export import lower, read_bundle, simulate
from snnfuse.hardware import ResonateAndFire


@pytest.mark.usefixtures("lava")
def test_it_is_exported_verified_on_lava_and_simulated(snn: Cli) -> None:
    torch.save(Held().state_dict(), "held.pt")
    x = (np.random.default_rng(1).random((30, 8, 6)) < 0.4).astype(np.float32)
    np.savez("calib.npz", x=x, labels=np.zeros(8, np.int64))
    model = ("held.pt", "--model", "own_resonators:Held")
    exported = snn("export", *model, "--target", "lava", "--calib", "calib.npz", "-o", "b")
    assert exported.code == 0, exported.err
    verified = snn("verify", "b")
    assert verified.code == 0 and "lava" in verified.out, verified.out + verified.err
    bundle = read_bundle(Path("b"))
    assert isinstance(bundle.program.nodes["turn1"], ResonateAndFire)
    again = simulate(lower(bundle.graph), {"x": x.astype(np.float64)})
    assert again.spikes["turn2"].sum() > 20
    assert snn("simulate", "b", "--input", "calib.npz", "--record", "all", "-o", "out.npz").code == 0
    with np.load("out.npz") as arrays:
        assert {"turn1.spikes", "turn1.real", "turn1.imag", "output.classes"} <= {*arrays}


def test_stock_neurons_are_asked_for_in_vain(snn: Cli) -> None:
    """Lava's NeuroCore model of it is not public: its tier is B, and the report says so."""
    torch.save(Held().state_dict(), "held.pt")
    np.savez("calib.npz", x=(np.random.default_rng(1).random((30, 8, 6)) < 0.4).astype(np.float32))
    assert snn("export", "held.pt", "--model", "own_resonators:Held", "--target", "loihi2", "--calib", "calib.npz", "-o", "b").code == 0
    shown = snn("map", "b")
    assert shown.code == 0 and " B" in shown.out
