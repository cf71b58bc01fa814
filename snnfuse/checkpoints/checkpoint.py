"""Checkpoints: weights plus the name and configuration of an architecture, never code.

A file of ours is what torch.save makes of

    {"snnfuse": 1, "architecture": "fd-fusion", "config": "<JSON>", "metadata": "<JSON>", "state_dict": {name: tensor}}

or, of a network in the chip's arithmetic (`snnfuse.nn`), with "fixed-point" as its architecture and the bytes of its float graph's
.nir file among the tensors. It is read with weights_only=True, which builds tensors and containers and executes nothing. A user's own
class is named beside a bare state_dict; a pickled module is opened only on request, because opening it runs whatever the file says.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnfuse import networks
from snnfuse.checkpoints.building import bounded_by
from snnfuse.checkpoints.torch_file import first_line, read_torch_file, some
from snnfuse.checkpoints.user_model import architecture_of, call_factory
from snnfuse.checkpoints.weights import fill, find_weights, is_state_dict, refuse_content
from snnfuse.hardware.errors import InputError, UnsafeFileError, UnsupportedError
from snnfuse.hardware.files import write_whole

FORMAT = 1
FIXED_POINT = "fixed-point"  # the architecture of a network in chip arithmetic
KEYS = {"snnfuse", "architecture", "config", "metadata", "state_dict"}


def save_checkpoint(model: nn.Module, path: str | Path, *, metadata: dict[str, Any] | None = None) -> None:
    """Write a model of ours. The file appears whole or not at all.

    metadata: anything JSON-able that a reader may want to know; it has no effect on loading.

    model: of a registered architecture, or a `snnfuse.nn.FixedPointNetwork`.

    Raises:
        UnsupportedError: the model is neither.
        InputError: metadata that JSON cannot hold, or a path that cannot be written.
    """
    described, weights = describe_model(model), model.state_dict()
    if described is None:
        raise UnsupportedError(
            f"{type(model).__name__} is not a registered architecture: decorate its factory with "
            "snnfuse.networks.architecture, or write torch.save(model.state_dict(), path) and load it with "
            "model='package.module:factory'"
        )
    name, config = described
    try:
        content = {"snnfuse": FORMAT, "architecture": name, "config": json.dumps(config), "metadata": json.dumps(metadata or {})}
    except (TypeError, ValueError) as error:
        raise InputError(f"metadata must be JSON-able: {error}") from error
    blob = io.BytesIO()
    if name == FIXED_POINT:
        from snnfuse.nn.storing import GRAPH, graph_bytes

        weights = {**weights, GRAPH: graph_bytes(model.graph)}
    torch.save({**content, "state_dict": weights}, blob)
    write_whole(Path(path), blob.getbuffer())


def describe_model(model: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """(architecture, configuration) as a checkpoint holds them; None for a model of no registered architecture."""
    from snnfuse.nn import FixedPointNetwork
    from snnfuse.nn.storing import describe_network

    return (FIXED_POINT, describe_network(model)) if isinstance(model, FixedPointNetwork) else networks.describe(model)


def load_checkpoint(
    path: str | Path, *, model: str | Callable[[], nn.Module] | None = None, allow_pickle: bool = False
) -> nn.Module:  # fmt: skip
    """Read a model, on the CPU and in eval mode.

    Args:
        path: a checkpoint of ours, or with `model` a bare state_dict.
        model: the factory that a checkpoint of ours names, which is called with the arguments stored in it; or what bare weights belong
            to, by whatever names a wrapper gave them (`snnfuse.checkpoints.weights`), called without arguments:
            "package.module:factory", imported (the current folder counts), or the factory itself.
        allow_pickle: open a pickled module too. This EXECUTES code from the file: only for files whose origin you trust.

    Raises:
        UnsafeFileError: the file holds more than tensors and containers.
        InputError: the file is missing, damaged, foreign, or does not fit the architecture; or `model` names nothing usable.
    """
    path = Path(path)
    content = read_torch_file(path, allow_pickle)
    if isinstance(content, nn.Module):
        loaded = content
    elif isinstance(model, str) and is_checkpoint(content):
        loaded = _ours(content, path, architecture_of(model))
    elif model is not None:
        loaded = fill(call_factory(model), find_weights(content, path), path)
    else:
        loaded = _ours(content, path)
    _check_finite(loaded, path)
    return loaded.eval()


def is_checkpoint(content: Any) -> bool:
    """Whether what a file holds is a checkpoint of ours, damaged or not."""
    return isinstance(content, dict) and "snnfuse" in content


def known_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a checkpoint of ours; of bare weights {}. Other errors as of `load_checkpoint`."""
    return read_metadata(path) if is_checkpoint(read_torch_file(Path(path), False)) else {}


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a checkpoint of ours. Errors as of `load_checkpoint`."""
    content = read_torch_file(Path(path), False)
    _check_ours(content, Path(path))
    try:
        metadata = json.loads(content["metadata"])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged checkpoint: its metadata is no JSON ({first_line(error)})") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: damaged checkpoint: its metadata is no JSON object")
    return metadata


def _check_ours(content: Any, path: Path) -> None:
    if not isinstance(content, dict):
        refuse_content(content, path)
    if "snnfuse" not in content:
        what = "a bare state_dict" if is_state_dict(content) else "a dict that is not a checkpoint of ours"
        raise InputError(f"{path}: holds {what}; name the class it belongs to with model='package.module:factory'")
    found = content["snnfuse"]
    if type(found) is not int or found != FORMAT:
        shown = found if type(found) is int else type(found).__name__
        raise InputError(f"{path}: checkpoint format {shown}, but this version reads {FORMAT}; update snnfuse")
    strings = all(isinstance(content.get(key), str) for key in ("architecture", "config", "metadata"))
    if set(content) != KEYS or not strings or not is_state_dict(content["state_dict"]):
        raise InputError(f"{path}: damaged checkpoint: it must hold {', '.join(sorted(KEYS))}")


def _ours(content: Any, path: Path, architecture: str | None = None) -> nn.Module:
    """architecture: by which name it is registered here; None: by the one that the file holds."""
    _check_ours(content, path)
    if content["architecture"] == FIXED_POINT:
        return _fixed_point(content, path)
    return fill(_built(content, path, architecture), content["state_dict"], path)


def _fixed_point(content: dict[str, Any], path: Path) -> nn.Module:
    from snnfuse.nn.storing import GRAPH, restore

    weights = dict(content["state_dict"])
    try:
        net = restore(json.loads(content["config"]), weights)
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {first_line(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else first_line(error)
        raise InputError(f"{path}: damaged checkpoint of a network in chip arithmetic: {what}") from error
    del weights[GRAPH]
    return fill(net, weights, path)


def _built(content: Any, path: Path, architecture: str | None) -> nn.Module:
    try:
        with bounded_by(content["state_dict"].values()):
            return networks.build(architecture or content["architecture"], json.loads(content["config"]))
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{path}: {first_line(error)}") from error
    except (ValueError, TypeError, RuntimeError) as error:  # InputError and JSONDecodeError are ValueErrors
        raise InputError(f"{path}: {first_line(error)}") from error


def _check_finite(model: nn.Module, path: Path) -> None:
    bad = [name for name, value in model.state_dict().items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise InputError(f"{path}: NaN or infinity in {some(bad)}; train it again with a lower learning rate")
