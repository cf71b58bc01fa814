"""Checkpoints: the same network comes back, nothing is executed, and every unusable file is named in one line."""

import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from snnfuse import networks
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from snnfuse.hardware.errors import InputError, UnsafeFileError, UnsupportedError

SMALL = {"image": (1, 8, 8), "audio": 12, "classes": 4, "channels": (2, 3), "hidden": (10,), "embedding": 6, "fused": 5}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return networks.build("fd-fusion", {**SMALL, "l2": "per-step"}).eval()


@pytest.fixture
def saved(model: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    save_checkpoint(model, path, metadata={"data": "none"})
    return path


def refuse(path: Path, message: str, error: type[Exception] = InputError, **options: object) -> None:
    with pytest.raises(error, match=message) as caught:
        load_checkpoint(path, **options)
    assert str(path) in str(caught.value), "the file must be named"
    assert "\n" not in str(caught.value)


def rewrite(path: Path, change: Callable[[dict], object]) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def test_the_same_network_comes_back(model: nn.Module, saved: Path) -> None:
    again = load_checkpoint(saved)
    assert type(again) is type(model) and again.config == model.config and not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    x = torch.rand(5, 2, 1, 8, 8), torch.rand(5, 2, 12)
    assert torch.equal(networks.run(again, *x), networks.run(model, *x))


def test_the_file_holds_tensors_and_strings_only(saved: Path) -> None:
    assert torch.serialization.get_unsafe_globals_in_checkpoint(saved) == []
    content = torch.load(saved, weights_only=True)
    assert set(content) == {"snnfuse", "architecture", "config", "metadata", "state_dict"}
    assert read_metadata(saved) == {"data": "none"}
    assert oct(saved.stat().st_mode & 0o777) == oct(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failed_save_leaves_the_old_file(model: nn.Module, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def break_off(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", break_off)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(model, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.pt"]


def test_what_cannot_be_saved_is_named(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Linear is not a registered architecture"):
        save_checkpoint(nn.Linear(1, 1), tmp_path / "x.pt")
    with pytest.raises(InputError, match="metadata must be JSON-able"):
        save_checkpoint(model, tmp_path / "x.pt", metadata={"x": object()})
    with pytest.raises(InputError, match="nowhere/x.pt: cannot be written"):
        save_checkpoint(model, tmp_path / "nowhere/x.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot be written"):
        save_checkpoint(model, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    refuse(tmp_path / "no.pt", "no such file")
    refuse(tmp_path, "is a folder, not a file")


@pytest.mark.parametrize("keep", [0, 1, 0.5, 0.99])
def test_a_truncated_file_is_named(saved: Path, keep: float) -> None:
    raw = saved.read_bytes()
    saved.write_bytes(raw[: int(keep) if keep in (0, 1) else int(len(raw) * keep)])
    refuse(saved, "it is empty" if keep == 0 else "truncated")


def test_a_flipped_byte_is_found(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        member = max(archive.infolist(), key=lambda info: info.file_size)
    raw = bytearray(saved.read_bytes())
    raw[member.header_offset + member.file_size // 2 + 100] ^= 0x55
    saved.write_bytes(raw)
    refuse(saved, "damaged")


@pytest.mark.parametrize("kind", ["text", "zip", "hdf5", "npz", "legacy"])
def test_a_foreign_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pt"
    if kind == "text":
        path.write_text("weights, honestly")
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif kind == "hdf5":
        h5py.File(path, "w").close()
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(1))
    else:
        torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    refuse(path, "torch.save")


CHANGES: dict[str, tuple[Callable[[dict], object], str]] = {
    "architecture": (lambda c: c.update(architecture="vgg"), "unknown architecture 'vgg'; there are fd-fusion"),
    "format": (lambda c: c.update(snnfuse=99), "checkpoint format 99"),
    "keys": (lambda c: c.pop("config"), "damaged checkpoint: it must hold"),
    "json": (lambda c: c.update(config="{"), "Expecting"),
    "list": (lambda c: c.update(config="[1]"), "configuration"),
    "config": (lambda c: c.update(config='{"modality": "smell"}'), "modality must be one of"),
    "unknown": (lambda c: c.update(config='{"colour": 1}'), "colour"),
    "type": (lambda c: c.update(config='{"audio": "many"}'), "model.pt: "),
    "missing": (lambda c: c["state_dict"].pop("head.1.weight"), r"do not fit FDFusion: missing head.1.weight$"),
    "extra": (lambda c: c["state_dict"].update(more=torch.zeros(1)), "unexpected more"),
    "shape": (lambda c: c["state_dict"].update({"head.4.bias": torch.zeros(7)}), r"wrong shape head.4.bias \(7,\) for \(4,\)"),
    "nan": (lambda c: c["state_dict"]["head.4.bias"].fill_(float("nan")), "NaN or infinity in head.4.bias"),
    "infinity": (lambda c: c["state_dict"]["vision.0.weight"].fill_(float("inf")), "NaN or infinity in vision.0.weight"),
    "no weights": (lambda c: c.update(state_dict={}), "damaged checkpoint"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_that_does_not_fit_is_named(saved: Path, name: str) -> None:
    change, message = CHANGES[name]
    rewrite(saved, change)
    refuse(saved, message)


HUGE = {
    "classes": {"classes": 10**7},
    "channels": {"channels": [10**5, 10**5]},
    "hidden": {"hidden": [10**5, 10**5]},
    "many layers": {"hidden": [1] * 10**5},
    "image": {"image": [1, 10**5, 10**5]},
    "audio": {"audio": [10**4, 10**4]},
    "width": {"vision": "resnet", "width": 10**4},
    "stages": {"vision": "resnet", "blocks": [1] * 10**5},
    "depth": {"vision": "resnet", "width": 1, "blocks": [10**6]},
}


@pytest.mark.parametrize("name", HUGE)
def test_a_configuration_takes_no_more_than_the_files_weights(saved: Path, name: str) -> None:
    """Refused while it is built, before the numbers beyond are given values: so no page of memory is theirs."""
    rewrite(saved, lambda content: content.update(config=json.dumps({**json.loads(content["config"]), **HUGE[name]})))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refuse(saved, "asks for more|blocks must name 1 to 32")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10  # KiB
    networks.build("fd-fusion", {**SMALL, "hidden": (2000, 2000)})  # what others build is not counted


def test_a_table_of_all_pairs_of_tokens_is_within_a_limit(tmp_path: Path) -> None:
    shape = {"channels": 16, "heads": 4, "fusion": "sca"}
    save_checkpoint(networks.build("s-cmrl", {**shape, "image": (1, 8, 8), "audio": (1, 8, 8)}), tmp_path / "sca.pt")
    size = {"image": [1, 800, 800], "audio": [1, 800, 800]}  # 160801 distances, and 1.6e9 pairs
    rewrite(tmp_path / "sca.pt", lambda content: content.update(config=json.dumps({**json.loads(content["config"]), **size})))
    refuse(tmp_path / "sca.pt", "array-bytes", UnsafeFileError)


def test_many_missing_names_are_counted(saved: Path) -> None:
    rewrite(saved, lambda content: [content["state_dict"].pop(name) for name in list(content["state_dict"]) if "audio" in name])
    refuse(saved, r"missing audio\.\S+, audio\.\S+, audio\.\S+ and \d+ more$")


class Plain(nn.Sequential):
    """A user's own class."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 2))


def test_a_state_dict_goes_with_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_nets.py").write_text("from torch import nn\ndef make():\n    return nn.Sequential(nn.Linear(3, 2))\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    plain, path = Plain(), tmp_path / "weights.pt"
    for content in (plain.state_dict(), {"epoch": 3, "state_dict": plain.state_dict()}, {"model_state_dict": plain.state_dict()}):
        torch.save(content, path)
        for given in ("their_nets:make", Plain):
            assert torch.equal(load_checkpoint(path, model=given)[0].weight, plain[0].weight)
    torch.save(plain.state_dict(), path)
    refuse(path, "bare state_dict; name the class it belongs to with model='package.module:factory'")
    torch.save([1, 2], path)
    refuse(path, "holds a list, not a state_dict", model=Plain)
    refuse(path, "holds a list, not a state_dict")
    torch.save({**plain.state_dict(), "1.bias": torch.zeros(1)}, path)
    refuse(path, "unexpected 1.bias", model=Plain)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("torch.nn", "write it as package.module:factory"),
        (":x", "write it as package.module:factory"),
        ("no_such_module_here:x", "cannot import no_such_module_here"),
        ("torch.nn:NoSuchLayer", "torch.nn has no NoSuchLayer"),
        ("torch:__version__", "not callable"),
        ("torch.nn:Linear", "calling it without arguments failed"),
        ("builtins:dict", "gave a dict, not a torch.nn.Module"),
    ],
)
def test_a_factory_that_is_none_is_named(tmp_path: Path, spec: str, message: str) -> None:
    torch.save(Plain().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=message):
        load_checkpoint(tmp_path / "weights.pt", model=spec)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.mark),))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "trap.pt", tmp_path / "mark"
    torch.save({"snnfuse": 1, "state_dict": Trap(mark)}, path)
    refuse(path, "opening it would run code from it .*mkdir", UnsafeFileError)
    refuse(path, "would run code", UnsafeFileError, model=Plain)
    assert not mark.exists()


def test_a_pickled_module_is_opened_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    linear = nn.Sequential(nn.Linear(2, 1))
    torch.save(linear, path)
    refuse(
        path,
        r"run code.*Sequential.*torch.save\(model.state_dict\(\), .*model='package.module:factory'.*allow_pickle=True",
        UnsafeFileError,
    )
    assert torch.equal(load_checkpoint(path, allow_pickle=True)[0].weight, linear[0].weight)
    with torch.no_grad():
        linear[0].weight.fill_(float("nan"))
    torch.save(linear, path)
    refuse(path, "NaN or infinity in 0.weight", allow_pickle=True)
    torch.save(Trap(tmp_path / "mark"), path)
    refuse(path, "holds a pickled NoneType, not a module", allow_pickle=True)


def test_a_pickled_class_of_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pickled_net.py").write_text("import torch\nclass Net(torch.nn.Linear): pass")
    make = "import torch, pickled_net; torch.save(pickled_net.Net(2, 3), 'whole.pt')"
    subprocess.run([sys.executable, "-c", make], check=True, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert type(load_checkpoint("whole.pt", allow_pickle=True)).__name__ == "Net"
    assert sys.path == path


def test_an_error_of_pickled_code_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "trap.pt"
    torch.save(Trap(tmp_path), path)
    refuse(path, "cannot be unpickled", allow_pickle=True)


def test_allow_pickle_changes_nothing_for_a_safe_file(saved: Path) -> None:
    assert torch.equal(load_checkpoint(saved, allow_pickle=True).head[4].bias, load_checkpoint(saved).head[4].bias)


def test_exit_codes() -> None:
    assert (InputError.exit_code, UnsafeFileError.exit_code) == (2, 5)


@pytest.mark.parametrize("metadata", ["{", "[1]"])
def test_metadata_that_is_none_is_named(saved: Path, metadata: str) -> None:
    rewrite(saved, lambda content: content.update(metadata=metadata))
    with pytest.raises(InputError, match="damaged checkpoint: its metadata is no JSON"):
        read_metadata(saved)


def test_a_file_of_an_older_torch_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refuse(tmp_path / "old.pt", "older than that of PyTorch 1.6; save it again")
