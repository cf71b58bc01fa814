"""Networks from the files of S-CMRL's authors: a bare state_dict, or the .pth.tar that their training writes, read as data."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from snnfuse import networks
from snnfuse.checkpoints.torch_file import read_torch_file
from snnfuse.checkpoints.weights import find_weights
from snnfuse.hardware.errors import InputError
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.published import Mapped, fusion_of, map_weights, shape_of

FORMS = {
    "legacy": {"legacy": True, "attention": "exact"},
    "exact": {"attention": "exact"},
    "causal": {"attention": "causal"},
}
SIZES = {"deep": (128, 128), "shallow": (28, 28)}
STEPS = {"deep": 4, "shallow": 16}
ALPHA, HEADS = 1.5, 16
METHODS = {"SpatialTemporal": "spatio-temporal", "Spatial": "spatial", "Temporal": "temporal", "WeightAttention": "weight-attention",
           "SCA": "sca", "CMCI": "cmci"}  # fmt: skip
WRAPPER = "module."  # of DataParallel


@dataclass(frozen=True, eq=False)
class Published:
    """A network with the authors' weights.

    Attributes:
        model: in eval mode, of the architecture "s-cmrl".
        mapped: which tensor is which, and what is dead.
        assumed: fields of the configuration that neither the file nor the caller said, with the published value that they got.
    """

    model: nn.Module
    mapped: Mapped
    assumed: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What `snnfuse convert s-cmrl` reports."""
        _, config = networks.describe(self.model) or ("", {})
        return {
            "config": config,
            "assumed": self.assumed,
            "names": self.mapped.names,
            "dead": {k: list(v) for k, v in self.mapped.dead.items()},
        }


def read_published(
    path: str | Path, *, form: str = "legacy", fusion: str | None = None, size: tuple[int, int] | None = None,
    steps: int | None = None, heads: int | None = None, alpha: float | None = None,
) -> Published:  # fmt: skip
    """Read a file of S-CMRL's authors.

    Args:
        path: what torch.save made of a state_dict, also of DataParallel's, or of a dict that holds it as `state_dict`, as .pth.tar does.
            Nothing of it is executed.
        form: "legacy", the arithmetic of their code; "exact", as published without its faults; "causal", for a stream and a chip. The
            weights are the same.
        fusion: needed where the file does not say: "spatial" or "temporal", which have the same names; "image" or "audio"; and "add", for
            training without cross attention.
        size: (height, width) of the inputs. steps: T. heads: of attention. alpha: of the residual. None: what the file's own arguments say,
            else the published value.

    Raises:
        UnsafeFileError: it holds more than tensors, containers and a training's arguments.
        UnsupportedError: a network of their code that is none of ours; says which option of theirs made it so.
        InputError: no weights of their code, or something that it does not explain.
    """
    path = Path(path)
    if form not in FORMS:
        raise InputError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    content = read_torch_file(path, False, data=(argparse.Namespace,))
    given = arguments(content)
    weights = {name.removeprefix(WRAPPER): value for name, value in find_weights(content, path).items()}
    try:
        fusion = fusion or said_fusion(given) or guessed(fusion_of(weights))
        if fusion != "add":
            check_is(fusion, fusion_of(weights))
        shape, (patches, assumed) = shape_of(weights, fusion), ("", {})
        patches = shape["patches"]
        chosen: dict[str, Any] = {}
        for name, own, said, published in (("size", size, None, SIZES[patches]), ("steps", steps, given.get("step"), STEPS[patches]),
                                           ("heads", heads, None, HEADS), ("alpha", alpha, given.get("alpha"), ALPHA)):  # fmt: skip
            chosen[name] = own if own is not None else said if isinstance(said, (int, float)) else published
            if chosen[name] == published and own is None and said is None:
                assumed[name] = published
        model = built(shape, fusion, form, chosen)
        mapped = map_weights(weights, cast(SCMRLConfig, model.config))  # every network of the architecture has one
        _load(model, mapped.state)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    return Published(model.eval(), mapped, assumed)


def arguments(content: Any) -> dict[str, Any]:
    """What a .pth.tar says of how it was trained; {} of other files."""
    found = content.get("args") if isinstance(content, Mapping) else None
    return vars(found) if isinstance(found, argparse.Namespace) else dict(found) if isinstance(found, Mapping) else {}


def said_fusion(given: Mapping[str, Any]) -> str | None:
    """The fusion that their arguments name, in our words."""
    if given.get("model") == "spikformer":
        return {"visual": "image", "audio": "audio"}.get(str(given.get("modality")))
    if "cross_attn" in given and not given["cross_attn"]:
        return "add"
    return METHODS.get(str(given.get("attn_method")))


def guessed(found: str | None) -> str:
    """The fusion that weights show; InputError where they do not tell two apart."""
    if found is None:
        raise InputError("weights of one modality do not say which: pass fusion='image' or fusion='audio' (--fusion)")
    if found == "spatial":
        raise InputError("weights of Spatial and Temporal have the same names: pass fusion='spatial' or fusion='temporal' (--fusion)")
    return found


def check_is(fusion: str, found: str | None) -> None:
    """InputError for a fusion that the weights are not of."""
    alike = ("image", "audio") if found is None else ("spatial", "temporal") if found == "spatial" else (found,)
    if fusion not in alike:
        raise InputError(f"these are weights of {' or '.join(alike)}, not of {fusion!r}")


def built(shape: Mapping[str, Any], fusion: str, form: str, chosen: Mapping[str, Any]) -> nn.Module:
    """The network that weights are to be loaded into."""
    inputs = {name: (channels, *chosen["size"]) for name, channels in shape.items() if name in ("image", "audio")}
    other = {name: next(iter(inputs.values())) for name in ("image", "audio") if name not in inputs}  # of a modality that is not read
    rest = {name: shape[name] for name in ("channels", "classes", "patches", "mlp_ratio")}
    numbers = {name: chosen[name] for name in ("steps", "heads", "alpha")}
    return networks.build("s-cmrl", {**inputs, **other, **rest, **numbers, "fusion": fusion, **FORMS[form]})


def _load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network its weights; its neurons' constants follow from its configuration."""
    own = model.state_dict()
    wrong = [name for name, value in state.items() if name not in own or own[name].shape != value.shape]
    if wrong:
        raise InputError(f"{wrong[0]} would be of shape {tuple(state[wrong[0]].shape)}: sizes of these weights do not go together")
    model.load_state_dict({**own, **state})
