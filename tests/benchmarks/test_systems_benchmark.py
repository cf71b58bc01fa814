"""What the benchmark of whole networks says of a small one, and how it writes the documentation."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import systems, systems_page
from benchmarks.systems import System
from snnfuse.hardware import Connection, Conv2d, Lif, Output, Program, SpikeInput
from snnfuse.hardware.chip import BOARDS, Demands, count
from snnfuse.hardware.errors import CalibrationWarning, InputError

SMALL = {"image": (1, 8, 8), "audio": (1, 8, 8), "channels": 4, "heads": 2, "classes": 3}
TINY = System("tiny", "s-cmrl", "mnist-fsdd", 4, SMALL)
EVENTS = System("tiny events", "s-cmrl", "mnist-fsdd", 4, SMALL, events=True)
FUSED = System("tiny", "fd-fusion", "small", 3, {"image": (1, 8, 8), "audio": 6, "l2": "per-step"}, l2="microcode")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)  # a network too small for random weights
        return systems.run_one(TINY, samples=2)


def plane(size: int, delay: int = 0) -> Program:
    """An input, and a neuron for each of its pixels."""
    conv = Conv2d(np.full((1, 1, 1, 1), 2, np.int32), (1, size, size))
    nodes = {"x": SpikeInput((1, size, size)), "layer": Lif((1, size, size), du=4095, dv=0, vth=1)}
    return Program(nodes, (Connection("x", "layer", conv, delay),), {"output": Output("layer")})


def test_inputs_are_of_the_data_s_kind() -> None:
    rng, model = np.random.default_rng(0), TINY.build()
    still = systems.inputs(TINY, model, 2, rng)
    assert {name: values.shape for name, values in still.items()} == dict.fromkeys(("image", "audio"), (4, 2, 1, 8, 8))
    assert all((values == values[:1]).all() and values.dtype == np.float32 for values in still.values())
    assert 0 <= still["image"].min() < still["image"].max() <= 1 and still["audio"].min() < 0
    events = systems.inputs(EVENTS, model, 2, rng)
    assert set(np.unique(events["image"])) == {0, 1} and (events["image"][0] != events["image"][1]).any()
    heard = systems.inputs(FUSED, FUSED.build(), 2, rng)["audio"]
    assert heard.shape == (3, 2, 6) and (heard[0] != heard[1]).all()


def test_norms_hold_the_mean_statistics_of_the_batches() -> None:
    torch.manual_seed(0)
    model, rng = TINY.build(), np.random.default_rng(0)
    batches = [systems.inputs(TINY, model, 2, rng) for _ in range(3)]
    name, norm = next((n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d))
    conv = model.get_submodule(name.rsplit(".", 1)[0] + ".0")
    seen = [conv(torch.from_numpy(batch["image"]).flatten(0, 1)).mean((0, 2, 3)) for batch in batches]
    assert not systems.settle(model, iter(batches)).training
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0))


@pytest.mark.slow
def test_a_network_s_figures_agree_with_each_other(found: dict[str, Any]) -> None:
    assert found["cores"] == sum(row["cores"] for row in found["limits"].values()) >= found["cores_tight"] >= found["least_cores"]
    assert found["neurons"] == sum(found["tiers"].values()) and found["kinds_b"] == ["Product", "Relay"]
    assert (found["host_sends"], found["host_reads"], found["steps"], found["samples"]) == (128, 3, 4, 2)
    assert (found["board"], found["chips"], found["refused"]) == ("oheo-gulch", 1, None)
    assert 0 < found["rate"] < 1 and found["updates"] == 4 * found["neurons"]
    assert all(low <= high for model in found["models"] for low, high in (model["dynamic_uj"], model["time_us"]))
    assert json.loads(json.dumps(found)) == found


def test_l2_in_microcode_is_one_program_with_inverse_roots() -> None:
    assert systems.run_one(FUSED, samples=2)["kinds_b"] == ["InverseRoot", "Product"]


def test_a_smaller_board_says_which_layer_and_what_would_fit() -> None:
    program = plane(800)
    resources = count(program, BOARDS["hala-point"])
    refused = systems.refusal(program, resources)
    assert systems.board_for(resources).name == "kapoho-point" and resources.cores == 200
    assert refused is not None and refused.startswith("oheo-gulch: layer 'layer' takes 200 cores for 640000 neurons")
    assert "80 more than the 120" in refused and "board='kapoho-point'" in refused
    assert systems.limits(resources) == {"neurons": {"cores": 200, "layer": "layer", "layer_cores": 200, "layer_neurons": 640_000}}


def test_cores_without_waiting_are_told_from_those_with_it() -> None:
    program = plane(64, delay=31)  # 32 slots a neuron: 1,024 of the 4,096 neurons on a core; without, a column less than all
    resources = count(program, BOARDS["hala-point"])
    assert resources.cores == 4
    assert systems.delays(program, resources, Demands(program)) == {"longest": 31, "cores_without": 2}


def test_kept_figures_are_not_measured_again(tmp_path: Path) -> None:
    (tmp_path / "crema-d.json").write_text('{"cores": 7}')
    assert systems.run_child("crema-d", tmp_path) == {"cores": 7}


def test_the_page_holds_every_table_between_its_marks(tmp_path: Path, found: dict[str, Any]) -> None:
    page = tmp_path / systems_page.PAGE
    page.write_text(f"before\n{systems_page.BEGIN}\nold\n{systems_page.END}\nafter\n")
    systems_page.write_page(tmp_path, {"tiny": found, "again": found})
    text = page.read_text()
    assert text.startswith(f"before\n{systems_page.BEGIN}\n**What it takes.**") and text.endswith(f"{systems_page.END}\nafter\n")
    assert "old" not in text and text.count("| tiny |") == 6 + 2 * (len(found["limits"]) - 1) + 2
    page.write_text("no marks")
    with pytest.raises(InputError, match="must exist and hold the lines"):
        systems_page.write_page(tmp_path, {"tiny": found})


@pytest.mark.parametrize(
    "bounds, text", [((0.5, 20.0), "0.0005 to 0.02"), ((1234.0, 45_678.0), "1.234 to 45.68"), ((1e6, 3e6), "1,000 to 3,000")]
)
def test_ranges_are_read_in_thousands(bounds: tuple[float, float], text: str) -> None:
    assert systems_page.thousandths(bounds) == text
