"""The options of `snnfuse train`, and what they mean: how data are read, what the network looks like, how and on what it is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from snnfuse.data import AudioVisual, Settings
    from snnfuse.training import Compute, Recipe

NETWORKS = ("fd-fusion", "s-cmrl")
FUSION = "fd-fusion"
# What help lists. Its sources import NumPy and torch, which takes seconds; a test compares.
DATA_SETS = (
    "av-digits", "mnist-fsdd", "mnistdvs-ntidigits", "nmnist-fsdd", "cifar10", "cifar10-av", "urbansound8k-av", "crema-d", "esc10",
    "cifar-esc", "urbansound8k", "crema-d-published", "urbansound8k-av-published", "mnistdvs-ntidigits-published",
)  # fmt: skip
L2_RULES = ("none", "per-step", "per-step-host", "membrane", "time-average")
PRESETS = "small, narrow, narrow-cifar, full or esc10 of fd-fusion; crema-d, urbansound8k-av, mnistdvs-ntidigits or mnist-fsdd of s-cmrl"
RECIPE_FIELDS = (
    "weight_decay, held, drop_modality, sharpness, schedule, warmup, warmup_lr, final_lr, label_smoothing, alignment, temperature, "
    "augment, image_noise, occlusion, audio_snr, mixup, roll, mask"
)
DATA_SETTINGS = ("audio", "time", "size", "features", "encoder", "split", "snr_db", "inputs", "static")


class Size(click.ParamType):
    """HEIGHTxWIDTH."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(value, tuple):
            return value
        height, _, width = value.partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            self.fail(f"{value!r} is no size; write it as 28x28", param, ctx)
        return int(height), int(width)


class NetworkName(click.Choice):
    """A network of ours, or one that a module of yours has registered, which is asked for last: that imports torch."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name."""
        if value not in self.choices:
            from snnfuse.networks import names

            if value in names():
                return value
        return super().convert(value, param, ctx)


def declared(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, dict[str, Any]] | None:
    """NAME=KIND[,LOW..HIGH][,N bands] as fields of `snnfuse.data.Signal` by input; None where there is none."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, _, rest = text.partition("=")
        kind, *more = [part.strip() for part in rest.split(",")]
        signal: dict[str, Any] = {"kind": kind}
        for part in more:
            low, dots, high = part.partition("..")
            try:
                signal |= {"limits": (float(low), float(high))} if dots else {"bands": int(part.removesuffix("bands"))}
            except ValueError as error:
                raise click.BadParameter(f"{part!r} is neither LOW..HIGH nor N bands", ctx, param) from error
        if not name or not kind:
            raise click.BadParameter(f"{text!r} is not NAME=KIND, as in image=image,0..1", ctx, param)
        found[name] = signal
    return found or None


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a data set is read; each name is a field of `snnfuse.data.Settings`."""
    options = (
        click.option("--audio-form", "audio", type=click.Choice(["frames", "picture", "events"]), help="What a network hears."),
        click.option("--time-steps", "time", type=click.IntRange(1), metavar="T", help="Time steps per sample."),
        click.option("--image-size", "size", type=Size(), metavar="HxW", help="Of images, and of audio as a picture."),
        click.option("--features", type=click.Choice(["log-mel", "mel-texture", "mel-statistics", "log-stft"]), help="Of audio."),
        click.option("--encoder", type=click.Choice(["direct", "rate", "latency", "delta"]), help="How numbers become inputs."),
        click.option("--split", metavar="NAME", help="One of those that the data set offers."),
        click.option(
            "--input",
            "inputs",
            multiple=True,
            callback=declared,
            metavar="NAME=KIND[,LOW..HIGH]",
            help="Of data of your own: what an input is (image, photograph, waveform, spectrogram, events, other) and its range.",
        ),
        click.option(
            "--static",
            multiple=True,
            callback=lambda ctx, param, given: given or None,
            metavar="NAME",
            help="Likewise: an input without an axis of time.",
        ),
        click.option("--snr-db", type=float, metavar="DB", help="White noise on every recording, training and test alike."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(options: dict[str, Any], stored: "Settings | None" = None) -> "Settings":
    """How to read the data; what is not given is as `stored` says, or the data set's own choice."""
    from dataclasses import replace

    from snnfuse.data import Settings

    return replace(stored or Settings(), **{name: options[name] for name in DATA_SETTINGS if options[name] is not None})


def open_data(network: str | None, name: str, settings: "Settings", data_dir: Any) -> "AudioVisual":
    """Load a data set; S-CMRL gets audio as a picture, where the data set has it and nothing else was asked for."""
    from dataclasses import replace

    from snnfuse import data
    from snnfuse.hardware.errors import InputError

    if network == "s-cmrl" and settings.audio is None:
        try:
            return data.load(name, data_dir, replace(settings, audio="picture"))
        except InputError:  # it has none, or cannot be read at all, which the next line tells
            pass
    return data.load(name, data_dir, settings)


def configuration(network: str, dataset: "AudioVisual", options: dict[str, Any]) -> dict[str, Any]:
    """Fields of the network's configuration: its preset's, then what the options say.

    Raises:
        InputError: an option that is another network's, or a --set that cannot be read.
    """
    from snnfuse.networks import preset_config
    from snnfuse.training import inputs_of

    decided = inputs_of(network, dataset)  # in place of a preset's sizes, which are those of the data that it is named after
    named = preset_config(network, options["preset"]) if options["preset"] else {}
    found = {name: value for name, value in named.items() if name not in decided}
    if network == FUSION:
        found |= _fusion(dataset, options)
    else:
        _refuse_fusion(network, options)
    return merged(found, assignments(options["assigned"], "--set"))


def _fusion(dataset: "AudioVisual", options: dict[str, Any]) -> dict[str, Any]:
    rule = {"reset": options["reset"] or "zero", "reset_delay": options["reset_delay"]}
    found: dict[str, Any] = {"neuron": rule, "audio_neuron": {"beta": 0.95, **rule}}
    alone = {"image": "vision", "audio": "audio"}
    modality = options["modality"] or (alone[next(iter(dataset.shapes))] if len(dataset.shapes) == 1 else None)
    return found | {key: value for key, value in (("modality", modality), ("l2", options["l2"])) if value is not None}


def _refuse_fusion(network: str, options: dict[str, Any]) -> None:
    from snnfuse.hardware.errors import InputError

    for name in ("modality", "l2", "reset", "reset_delay"):
        if options[name]:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is for {FUSION}; give {network} its fields with --set, for instance --set fusion=add")


def assignments(texts: tuple[str, ...], flag: str) -> dict[str, Any]:
    """`a=1`, `b.c=x`, `d=2,2` to {"a": 1, "b": {"c": "x"}, "d": [2, 2]}; InputError for what is none."""
    from snnfuse.hardware.errors import InputError

    found: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator and value):
            raise InputError(f"{flag} {text}: write it as name=value")
        entry: Any = _value(value)
        for part in reversed(key.split(".")):
            entry = {part: entry}
        found = merged(found, entry)
    return found


def _value(text: str) -> Any:
    """JSON, numbers with commas between them as a list, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(f"[{text}]")
    except ValueError:
        return text


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Both, dictionaries within them too; the second one's values win."""
    both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys() if _are_dicts(first[key], second[key])}
    return {**first, **second, **both}


def _are_dicts(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def recipe_of(start: "Recipe", options: dict[str, Any], prefix: str = "") -> "Recipe":
    """A recipe with what the options change in it; `prefix` of the names of epochs and learning rate."""
    from dataclasses import replace

    from snnfuse.hardware.errors import InputError

    given = {"epochs": options[f"{prefix}epochs"], "lr": options[f"{prefix}lr"]}
    given |= {name: options[name] for name in ("batch_size", "seed", "patience")}
    given = {name: value for name, value in given.items() if value is not None}
    rest = assignments(options["recipe"], "--recipe")
    if unknown := [name for name in rest if name not in vars(start)]:
        raise InputError(f"--recipe {unknown[0]}: a recipe has {', '.join(vars(start))}")
    given |= rest
    replace(start, warmup=0, **{name: value for name, value in given.items() if name != "warmup"})  # refuses epochs that are no number
    return replace(start, **{"warmup": start.warmup * given.get("epochs", start.epochs) // start.epochs, **given})  # as small a part


def integers_of(options: dict[str, Any]) -> dict[str, Any]:
    """Of fine-tuning in integers: bits and scales."""
    return {"weight_bits": options["qat"], "learn_scales": options["qat_scales"]}


def integers_folder(options: dict[str, Any]) -> Path | None:
    """The folder of fine-tuning under --log-dir."""
    scales = {None: "", True: "-scales", False: "-no-scales"}[options["qat_scales"]]
    return None if options["log_dir"] is None else options["log_dir"] / f"qat-{options['qat']}{scales}"


def compute_of(options: dict[str, Any]) -> "Compute":
    """What to train on."""
    from snnfuse.training import Compute

    return Compute(**{name: options[name] for name in ("accelerator", "devices", "precision")})
