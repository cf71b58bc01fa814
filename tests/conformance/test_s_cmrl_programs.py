"""S-CMRL as a program: every spike and state of every node, attention included, alike on all backends; and what it takes of a chip."""

from functools import cache

import numpy as np
import pytest
import torch
from s_cmrl_networks import lively, pictures
from torch import nn

from snnfuse.compile import main_job
from snnfuse.export import quantize, to_nir
from snnfuse.export.bundle.compiled import Compiled, Stage
from snnfuse.export.targets import LAVA
from snnfuse.hardware import Product, Program, Relay, compare, emulate, simulate_on_lava
from snnfuse.hardware.backends import reference as specification
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.errors import CalibrationWarning
from snnfuse.hardware.overflow import state_bounds, sums_over_time
from snnfuse.hardware.overflow.graded import PayloadBounds
from snnfuse.report import summary

pytestmark = pytest.mark.filterwarnings(f"ignore::{CalibrationWarning.__module__}.{CalibrationWarning.__name__}")
FULL = {"image": (1, 28, 28), "audio": (1, 28, 28), "classes": 10, "channels": 64, "heads": 16}  # of mnist-fsdd: 49 tokens, T = 4


@cache
def programmed(full: bool = False, batch: int = 6, **config: object) -> tuple[nn.Module, Program, dict[str, np.ndarray]]:
    """A causal network with random weights, its program, and events."""
    torch.manual_seed(0)
    model = lively(**(FULL if full else {}), **config)
    x = dict(zip(model.inputs, (part.numpy() for part in pictures(model, batch=batch)), strict=True))
    graph = to_nir(model, tuple(torch.from_numpy(part[0]) for part in x.values()))
    program = quantize(graph, x)
    return model, program, program.encode(x)


@pytest.mark.parametrize(
    "fusion", ["spatio-temporal", "query-key", *(pytest.param(name, marks=pytest.mark.slow) for name in ("spatial", "temporal"))]
)
def test_backends_agree_in_every_spike_and_state(fusion: str) -> None:
    _, program, events = programmed(fusion=fusion)
    wanted = specification.emulate(program, events, "all", states=True)
    for name in program.neurons:
        assert wanted.spikes[name].any() or name == "output", f"{name} is silent, so that nothing tells"
    for found in (emulate(program, events, "all", states=True), run_torch(program, events, "all", states=True)):
        assert compare(wanted, found).mismatches == 0


@pytest.mark.slow
@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("fusion", ["spatio-temporal", "query-key"])
def test_lava_agrees_in_every_spike_and_state(fusion: str) -> None:
    _, program, events = programmed(fusion=fusion)
    wanted = specification.emulate(program, events, "all", states=True)
    found = compare(wanted, simulate_on_lava(program, events, "all", states=True))
    assert found.mismatches == 0 and found.compared > 50_000


def test_attention_is_ands_products_and_sums() -> None:
    _, program, _ = programmed(fusion="spatio-temporal")
    products = [name for name, node in program.nodes.items() if isinstance(node, Product)]
    sums = [name for name, node in program.nodes.items() if isinstance(node, Relay)]
    assert len(products) == 6  # of each modality spatial, temporal, and one times the other
    assert {"image_sum", "audio_sum", "image_count", "audio_count"} <= {*sums}
    changed = {entry.node for entry in program.ledger}
    assert not changed & {*products, *sums}, "products and sums are exact, so the ledger has nothing to say of them"
    bounds = state_bounds(program, steps=4)
    assert not any(bounds[name].leaves_message.any() for name in (*products, *sums))


def test_binary_attention_has_an_and_for_each_key_and_no_product_of_counts() -> None:
    _, program, _ = programmed(fusion="query-key")
    assert not any(isinstance(node, Product) for node in program.nodes.values())
    masked = [node for name, node in program.nodes.items() if "mul" in name.rsplit(".", 1)[-1]]
    assert [np.prod(node.shape) for node in masked] == [16 * 4] * 2  # C N of each modality
    assert all(np.prod(program.nodes[f"of_{name}.mask"].shape) == 2 * 4 for name in ("image", "audio"))  # H N


def test_only_the_window_bounds_sums_over_time_and_the_report_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_job, "FAST_S", 0.0)  # bounds alone
    _, program, events = programmed(fusion="temporal")
    assert sums_over_time(program) and state_bounds(program)["image_sum"].leaves_message.all()
    golden = emulate(program, events, "all", states=True)
    (stage,) = main_job.with_proof(Compiled(LAVA, (Stage(None, program, golden),)), "fast").stages
    rows = stage.report["overflow"]
    assert {row["window"] for row in rows} == {4}
    assert {row["status"] for row in rows if row["node"] == "image_sum"} == {"impossible"}
    assert "of up to 4 steps" in summary({"ledger": [], "overflow": rows})


@pytest.mark.slow
def test_the_network_for_mnist_fsdd_agrees_with_the_specification_and_fits_a_board() -> None:
    _, program, events = programmed(full=True, fusion="spatio-temporal")
    wanted = specification.emulate(program, events, "all", states=True)
    assert compare(wanted, emulate(program, events, "all", states=True)).mismatches == 0
    used = check_chip(program, "kapoho-point")
    tiers = {layer.name: layer.tier for layer in used.layers}
    assert tiers["output.relay"] == "B" and tiers["output"] == "A" and used.cores < 2 * 120
    assert not any(b.leaves_message.any() for b in state_bounds(program, steps=4).values() if isinstance(b, PayloadBounds))


@pytest.mark.slow
@pytest.mark.usefixtures("lava")
def test_lava_agrees_on_the_network_for_mnist_fsdd() -> None:
    _, program, events = programmed(full=True, fusion="spatio-temporal")
    two = {name: values[:, :2] for name, values in events.items()}
    wanted = emulate(program, two, "all", states=True)
    found = compare(wanted, simulate_on_lava(program, two, "all", states=True))
    assert found.mismatches == 0 and found.compared > 6_000_000
