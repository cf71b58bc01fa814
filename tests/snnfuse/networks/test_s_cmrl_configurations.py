"""S-CMRL's configurations: what they count, which fusions there are, what they refuse."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from s_cmrl_networks import SMALL, T, lively, pictures
from torch import nn

from snnfuse import networks
from snnfuse.hardware.errors import InputError
from snnfuse.networks import run, run_folded
from snnfuse.networks.s_cmrl import SCMRLConfig
from snnfuse.networks.s_cmrl.config import RIVALS
from snnfuse.networks.s_cmrl.tables import DEAD, dead_parameters


@pytest.mark.parametrize(
    "preset, published, said, neurons",
    [
        ("crema-d", 4_231_286, "4.231", 2_523_136),
        ("urbansound8k-av", 274_042, "0.274", 630_784),
        ("mnistdvs-ntidigits", 262_994, "0.263", 181_888),
    ],
)
def test_parameters_are_the_published_ones_less_the_dead(preset: str, published: int, said: str, neurons: int) -> None:
    config = networks.preset_config("s-cmrl", preset)
    model = networks.build("s-cmrl", config)
    dead = dead_parameters(model.config)
    alive = sum(p.numel() for p in model.parameters())
    assert dead.keys() == DEAD.keys()
    assert alive + sum(dead.values()) == published and f"{published / 1e6:.3f}" == said
    assert networks.totals(sizes_of(model)) == (neurons, alive)
    page = (Path(__file__).parents[3] / "docs" / "s_cmrl.md").read_text(encoding="utf-8")
    assert all(f"{number:,}" in page for number in (alive, neurons, published, *dead.values()))


def sizes_of(model: nn.Module) -> tuple[networks.LayerSize, ...]:
    return networks.layer_sizes(model, *[torch.zeros(1, *getattr(model.config, name)) for name in model.inputs])


def test_parameters_beside_other_modules_are_counted() -> None:
    """The learnt bias of SCA belongs to a module that holds others."""
    model = lively(fusion="sca")
    assert networks.totals(sizes_of(model))[1] == sum(p.numel() for p in model.parameters())


def test_the_table_names_every_layer() -> None:
    rows = {row.path: row for row in sizes_of(lively())}
    assert rows["early.image.stages.0.0"].parameters == 8 * 2 * 9 and rows["early.image.stages.0.2"].neurons == 8 * 8 * 8
    assert rows["late.head"].parameters == 3 * 16 + 3


@pytest.mark.parametrize("fusion", RIVALS)
def test_rivals_differ_from_each_other(fusion: str) -> None:
    model = lively(fusion=fusion)
    with torch.no_grad():
        scores = run(model, *pictures(model))
    assert scores.shape == (T, 3, 3) and scores.std() > 0
    assert model.inputs == ("image", "audio") and model.decoder == "membrane_sum"


@pytest.mark.parametrize("fusion", ["image", "audio"])
def test_one_modality_reads_one_input(fusion: str) -> None:
    model = lively(fusion=fusion)
    assert model.inputs == (fusion,)
    assert run(model, *pictures(model)).shape == (T, 3, 3)


def test_biases_of_sca_depend_on_distance_alone() -> None:
    table = lively(fusion="sca", image=(1, 8, 12), audio=(1, 8, 12)).of_image.distance  # 2 x 3 tokens
    assert table.shape == (6, 6) and len(table.unique()) == 3 * 5
    assert table[0, 1] == table[3, 4] == table[4, 5] != table[1, 0]


@pytest.mark.parametrize(
    "config, said",
    [
        ({"heads": 3}, "3 heads do not divide 16 channels"),
        ({"channels": 7, "heads": 7}, "channels / 2"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"steps": 2.0}, "steps must be a positive integer"),
        ({"image": (1, 10, 8)}, "image is 10 x 8"),
        ({"audio": (1, 12, 8)}, "both need the same number of tokens"),
        ({"audio": (8, 8)}, "channels, height, width"),
        ({"patches": "deep", "channels": 32}, "divide height and width by 16"),
        ({"fusion": "softmax"}, "fusion must be one of"),
        ({"attention": "future"}, "attention must be one of"),
        ({"order": "vk"}, "order must be one of"),
        ({"legacy": True}, 'needs attention="exact"'),
        ({"legacy": True, "fusion": "sca"}, "not known for fusion 'sca'"),
        ({"attention_threshold": 0.0}, "attention_threshold must be positive"),
        ({"attention_threshold": float("inf")}, "attention_threshold must be positive and finite, not inf"),
        ({"attention_threshold": "x"}, "attention_threshold must be positive and finite, not 'x'"),
        ({"alpha": None}, "alpha must be a finite number, not None"),
        ({"alpha": float("nan")}, "alpha must be a finite number, not nan"),
        ({"legacy": "yes"}, "legacy must be true or false, not 'yes'"),
        ({"image": 5}, "image must be (channels, height, width), positive integers, not 5"),
        ({"neurons": 3}, "does not take this configuration"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        networks.build("s-cmrl", {**SMALL, **config})


@pytest.mark.parametrize("attention", ["causal", "exact"])
@pytest.mark.parametrize("through_time", [run, run_folded])
def test_more_steps_than_it_counts_are_refused(attention: str, through_time: object) -> None:
    model = lively(attention=attention)
    with pytest.raises(InputError, match="made for 4 time steps at most, and is given 5"):
        through_time(model, *pictures(model, time=5))
    assert through_time(model, *pictures(model, time=2)).shape[0] == 2


def test_one_modality_may_have_any_other() -> None:
    assert lively(fusion="image", audio=(1, 5, 3)).inputs == ("image",)


def test_a_configuration_survives_json() -> None:
    model = lively(attention="exact", alpha=1.0)
    name, config = networks.describe(model)
    assert name == "s-cmrl" and networks.build(name, json.loads(json.dumps(config))).config == model.config
    assert asdict(model.config) == config and isinstance(model.config, SCMRLConfig)
    assert replace(model.config, alpha=2.0) != model.config
