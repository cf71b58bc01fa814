"""What the options of `snnfuse train` mean, and what is refused."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from snnfuse import data, networks, training
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from snnfuse.commands import train_options
from snnfuse.commands.train import data_of
from snnfuse.commands.train import train as command
from snnfuse.commands.train_options import DATA_SETTINGS, assignments, configuration, merged, recipe_of
from snnfuse.data.samples import draw_samples, settings_from
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.networks.fd_config import L2_RULES
from snnfuse.training import Recipe

QUICK = ("--data", "av-digits", "--epochs", "1", "--modality", "audio")
NOTHING = {"preset": None, "assigned": (), "modality": None, "l2": None, "reset": None, "reset_delay": False}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def message(*arguments: object) -> str:
    result = call(*arguments)
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


def test_help_lists_what_there_is() -> None:
    assert train_options.DATA_SETS == data.names() and train_options.L2_RULES == L2_RULES
    listed = train_options.PRESETS.replace(";", ",").replace(" or ", ", ").replace(" of fd-fusion", "").replace(" of s-cmrl", "")
    assert listed.split(", ") == [name for network in train_options.NETWORKS for name in networks.presets(network)]
    own = {"epochs", "batch_size", "lr", "patience", "seed"}  # have options of their own
    assert train_options.RECIPE_FIELDS.split(", ") == [field.name for field in fields(Recipe) if field.name not in own]


@pytest.mark.parametrize(
    "texts, expected",
    [
        (("width=8", "vision=resnet"), {"width": 8, "vision": "resnet"}),
        (("neuron.beta=0.9", "neuron.reset=zero"), {"neuron": {"beta": 0.9, "reset": "zero"}}),
        (("blocks=1,1", "stem=[3, 1]", "legacy=true"), {"blocks": [1, 1], "stem": [3, 1], "legacy": True}),
        (("width=8", "width=9"), {"width": 9}),
    ],
)
def test_assignments_are_read(texts: tuple[str, ...], expected: dict) -> None:
    assert assignments(texts, "--set") == expected


@pytest.mark.parametrize("text", ["width", "=8", "width="])
def test_an_assignment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--set {text}: write it as name=value"):
        assignments((text,), "--set")


def test_dictionaries_are_merged_and_left_as_they_are() -> None:
    first, second = {"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}}
    assert merged(first, second) == {"a": {"x": 1, "y": 3}, "b": 1} and first["a"] == {"x": 1, "y": 2}


def test_a_configuration_is_preset_then_flags_then_fields() -> None:
    digits = data.load("av-digits")
    options = NOTHING | {"preset": "narrow", "l2": "none", "reset": "subtract", "assigned": ("width=4", "audio_neuron.beta=0.9")}
    found = configuration("fd-fusion", digits, options)
    assert (found["vision"], found["width"], found["l2"]) == ("resnet", 4, "none")
    assert found["audio_neuron"] == {"beta": 0.9, "reset": "subtract", "reset_delay": False}


def test_a_preset_s_sizes_give_way_to_the_data_s() -> None:
    pictures = data.load("av-digits", settings=data.Settings(audio="picture"))
    found = configuration("s-cmrl", pictures, NOTHING | {"preset": "crema-d", "assigned": ("channels=32",)})
    assert found["channels"] == 32 and found["patches"] == "deep" and not {"image", "audio", "classes", "steps"} & set(found)


def test_a_single_modality_makes_its_own_network() -> None:
    digits = data.load("av-digits")
    seen = data.AudioVisual(
        "images", digits.classes,
        *(data.Pairs({"image": side.pools["image"]}, side.index[:, :1], digits.time) for side in (digits.train, digits.test)),
        source="", speech="none",
    )  # fmt: skip
    assert configuration("fd-fusion", seen, NOTHING)["modality"] == "vision"
    assert training.inputs_of("fd-fusion", seen) == {"image": (1, 8, 8), "classes": 10}


def test_recipes_take_what_is_given_and_warm_up_in_proportion() -> None:
    options = {"epochs": 20, "lr": None, "batch_size": None, "seed": 3, "patience": None, "recipe": ("weight_decay=0.5", "augment=false")}
    found = recipe_of(training.recipe_for("s-cmrl", "crema-d"), options)
    assert (found.epochs, found.warmup, found.lr, found.weight_decay, found.augment, found.seed) == (20, 1, 6.25e-4, 0.5, False, 3)
    with pytest.raises(InputError, match="--recipe colour: a recipe has epochs, batch_size"):
        recipe_of(Recipe(), options | {"recipe": ("colour=1",)})
    with pytest.raises(InputError, match="weight_decay must be a number, not 'much'"):
        recipe_of(Recipe(), options | {"recipe": ("weight_decay=much",)})
    given = recipe_of(training.recipe_for("s-cmrl", "crema-d"), options | {"epochs": None, "recipe": ("epochs=2",)})
    assert (given.epochs, given.warmup) == (2, 0), "said in either way"


def test_a_checkpoint_says_how_its_data_were_read(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    assert call("fd-fusion", *QUICK, "--encoder", "delta", "-o", path).exit_code == 0
    metadata = read_metadata(path)
    settings = settings_from(metadata, "m.pt")
    assert metadata["data"] == "av-digits" and asdict(settings)["encoder"] == "delta"
    drawn = draw_samples("av-digits", 5, settings=settings).inputs["audio"]
    assert set(torch.from_numpy(drawn).unique().tolist()) <= {-1.0, 0.0, 1.0}
    with pytest.raises(InputError, match="m.pt: how its data were read cannot be understood"):
        settings_from({"data_settings": {"smell": 1}}, "m.pt")


def test_a_run_is_gone_on_with_and_refused_without_being_asked(tmp_path: Path) -> None:
    once = ("fd-fusion", *QUICK, "-o", tmp_path / "m.pt", "--log-dir", tmp_path / "run")
    assert call(*once, "--resume").exit_code == 0, "an empty folder starts anew"
    first = load_checkpoint(tmp_path / "m.pt").state_dict()
    assert "holds a run already" in message(*once)
    assert call(*once, "--resume").exit_code == 0
    again = load_checkpoint(tmp_path / "m.pt").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize(
    "network, options, reason",
    [("s-cmrl", (), "multiplies or sums counts"), ("fd-fusion", ("--l2", "time-average"), "runs in stages")],
)
def test_a_network_that_integers_cannot_train_is_refused_before_its_own_training(
    network: str, options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda *args, **more: pytest.fail("trained in float first"))
    result = call(network, "--data", "av-digits", "--qat", 8, "-o", tmp_path / "m.pt", *options)
    assert isinstance(result.exception, UnsupportedError) and reason in str(result.exception)


def test_one_setting_of_the_data_leaves_the_others_a_checkpoint_s(tmp_path: Path) -> None:
    path, nothing = tmp_path / "m.pt", dict.fromkeys(DATA_SETTINGS)
    stored = data.Settings(encoder="delta", snr_db=3.0, seed=4)
    save_checkpoint(networks.build("fd-fusion", {}), path, metadata={"data": "mnist-fsdd", "data_settings": asdict(stored)})
    assert data_of(path, None, nothing) == ("mnist-fsdd", stored)
    assert data_of(path, "mnist-fsdd", nothing | {"snr_db": -5.0}) == ("mnist-fsdd", replace(stored, snr_db=-5.0))
    assert data_of(path, "av-digits", nothing) == ("av-digits", data.Settings()), "those of other data say nothing"


def test_a_recipe_s_fields_are_those_of_the_only_training(tmp_path: Path) -> None:
    options = {"epochs": None, "lr": None, "qat_epochs": 2, "qat_lr": None, "batch_size": None, "seed": 0, "patience": None}
    given = options | {"recipe": ("image_noise=0.5",)}
    assert recipe_of(training.FINE_TUNING, given, "qat_").image_noise == 0.5
    assert recipe_of(training.FINE_TUNING, given | {"recipe": ()}, "qat_").epochs == 2


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    to = ("-o", tmp_path / "m.pt", "--data", "av-digits")
    assert "--modality is for fd-fusion" in message("s-cmrl", *to, "--modality", "audio")
    assert "--resume needs --log-dir" in message("fd-fusion", *to, "--resume")
    again = (*to, "--from", tmp_path / "x.pt", "--qat", 8)
    for flag, value in (("--set", "width=8"), ("--preset", "small"), ("--modality", "vision"), ("--l2", "per-step")):
        assert f"{flag} shapes a new network" in message(*again, flag, value)
    for flag, value in (("--epochs", 2), ("--lr", 0.1)):
        assert f"{flag} is of the training before --qat; with --from say --qat{flag[1:]}" in message(*again, flag, value)
    assert "--reset-delay goes with --reset subtract" in message(*again, "--reset-delay")
    for flag, value in (("--qat-epochs", 2), ("--qat-lr", 0.1)):
        assert f"{flag} goes with --qat BITS" in message("fd-fusion", *to, flag, value)
    assert "--qat-scales goes with --qat BITS" in message("fd-fusion", *to, "--qat-scales")
    assert "--qat needs --precision 32" in message("fd-fusion", *to, "--qat", 8, "--precision", "bf16-mixed")
    assert "has no preset 'huge'" in message("fd-fusion", *to, "--preset", "huge")
    assert "does not take this configuration" in message("fd-fusion", *to, "--set", "colour=1")
    assert "data set 'av-digits' has no split" in message("fd-fusion", *to, "--split", "x")
    assert call("fd-fusion", *to, "--image-size", "8").exit_code == 2
    assert list(tmp_path.iterdir()) == []
