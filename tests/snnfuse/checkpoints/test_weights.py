"""Weights as people have them: every wrapper's names, older versions' buffers, and what is no set of weights."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from snnfuse import load_checkpoint
from snnfuse.hardware.errors import CheckpointWarning, InputError, UnsupportedError


class Net(nn.Module):
    """A network as in snnTorch's tutorials, with a batch norm, which counts, and a name that a wrapper uses too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 5)
        self.norm = nn.BatchNorm1d(5)
        self.lif1 = snn.Leaky(beta=0.9, threshold=0.5)
        self.model = nn.Sequential(nn.Linear(5, 3), snn.Leaky(beta=0.8, init_hidden=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.lif1(self.norm(self.fc1(x)))[0])


def prefixed(prefix: str) -> Callable[[Mapping[str, Tensor]], dict[str, Any]]:
    return lambda weights: {f"{prefix}{name}": value for name, value in weights.items()}


def lightning(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    own = {f"net.{name}": value for name, value in weights.items()} | {"loss_fn.weight": torch.ones(3)}
    return {"epoch": 3, "global_step": 7, "state_dict": own, "loops": {}, "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}]}


def inner_wrapper(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """A submodule was compiled, another one ran on several devices."""
    names = {"fc1.": "fc1._orig_mod.", "model.": "model.module."}
    return {next((name.replace(a, b, 1) for a, b in names.items() if name.startswith(a)), name): v for name, v in weights.items()}


def with_states(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {**weights, "lif1.mem": torch.zeros(16, 5), "model.1.mem": torch.zeros(16, 3)}


FORMS: dict[str, Callable[[Mapping[str, Tensor]], Any]] = {
    "bare": dict,
    "DataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "compiled, then parallel": prefixed("module._orig_mod."),
    "under model": lambda weights: {"model": dict(weights), "epoch": 4},
    "under model_state": lambda weights: {"model_state": dict(weights), "optimizer": {"lr": 0.1}},
    "under model_state_dict, parallel": lambda weights: {"model_state_dict": prefixed("module.")(weights)},
    "under checkpoint's network": lambda weights: {"network": {"state_dict": dict(weights)}},
    "an attribute of a trainer": prefixed("net."),
    "an attribute with the name of a part": prefixed("model."),
    "Lightning": lightning,
    "a submodule wrapped": inner_wrapper,
    "hidden states left in": with_states,
}


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    net = Net()
    nn.init.normal_(net.norm.running_mean)
    return net.eval()


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::snnfuse.hardware.errors.CheckpointWarning")
def test_every_form_gives_the_same_network(net: nn.Module, form: str, tmp_path: Path) -> None:
    torch.save(FORMS[form](net.state_dict()), tmp_path / "net.pt")
    assert same(load_checkpoint(tmp_path / "net.pt", model=Net), net)


def test_what_belongs_to_a_wrapper_is_named(net: nn.Module, tmp_path: Path) -> None:
    torch.save(lightning(net.state_dict()), tmp_path / "net.ckpt")
    with pytest.warns(CheckpointWarning, match="takes the weights under 'net.' and leaves out loss_fn.weight, which belong"):
        load_checkpoint(tmp_path / "net.ckpt", model=Net)


def test_settings_that_an_older_version_did_not_write_stay_and_are_named(net: nn.Module, tmp_path: Path) -> None:
    older = {name: v for name, v in net.state_dict().items() if not name.endswith(("_factor", "_val", "num_batches_tracked"))}
    torch.save(older, tmp_path / "net.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(load_checkpoint(tmp_path / "net.pt", model=Net), net)
    torch.save({name: v for name, v in older.items() if name != "lif1.threshold"}, tmp_path / "net.pt")
    with pytest.warns(CheckpointWarning, match="does not hold lif1.threshold; the values that the model is built with stay"):
        assert same(load_checkpoint(tmp_path / "net.pt", model=Net), net)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "torch.compile"])
def test_a_factory_may_return_a_wrapper(net: nn.Module, wrap: Callable[[nn.Module], Any], tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = load_checkpoint(tmp_path / "net.pt", model=lambda: wrap(Net()))
    assert type(loaded) is Net and same(loaded, net)


def test_lazy_layers_take_the_shapes_of_the_file(tmp_path: Path) -> None:
    lazy, known = (nn.Sequential(layer, snn.Leaky(beta=0.9)) for layer in (nn.LazyLinear(4), nn.Linear(7, 4)))
    torch.save(known.state_dict(), tmp_path / "net.pt")
    assert same(load_checkpoint(tmp_path / "net.pt", model=lambda: lazy), known)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {n: v for n, v in w.items() if n != "fc1.weight"}, "missing fc1.weight"),
        (lambda w: {**w, "fc2.weight": torch.ones(2)}, "unexpected fc2.weight"),
        (lambda w: {**w, "fc1.weight": torch.ones(5, 7)}, r"wrong shape fc1.weight \(5, 7\) for \(5, 6\)"),
        (lambda w: {f"module.{n}": v for n, v in w.items() if n != "fc1.bias"}, "missing fc1.bias"),
        (lambda w: {**w, "fc1.mem": torch.ones(2)}, "unexpected fc1.mem"),
        (lambda w: {**w, "fc2.\x1b[31m": torch.ones(2)}, r"unexpected fc2.\?\[31m"),
    ],
)
def test_weights_of_another_network_are_refused(net: nn.Module, change: Callable, message: str, tmp_path: Path) -> None:
    torch.save(change(net.state_dict()), tmp_path / "net.pt")
    with pytest.raises(InputError, match=f"net.pt: its weights do not fit Net: .*{message}"):
        load_checkpoint(tmp_path / "net.pt", model=Net)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(2)], {"state_dict": {}}, {"state_dict": {"a": 1}}])
def test_what_holds_no_weights_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(InputError, match="not a state_dict; write it with torch.save"):
        load_checkpoint(tmp_path / "net.pt", model=Net)


KINDS: list[tuple[str, Callable[[], Tensor], str]] = [
    ("sparse", lambda: torch.eye(3).to_sparse(), "sparse; save it dense"),
    ("csr", lambda: torch.eye(3).to_sparse_csr(), "sparse; save it dense"),
    ("complex", lambda: torch.ones(3, dtype=torch.complex64), "complex; a Program has real weights"),
    ("meta", lambda: torch.empty(3, device="meta"), "a meta tensor, which has a shape and no values"),
    ("quantised", lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantised by torch; save the float model"),
]


@pytest.mark.parametrize(("make", "message"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS])
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_tensors_that_no_network_has_are_refused_by_name(make: Callable[[], Tensor], message: str, tmp_path: Path) -> None:
    torch.save({"model": {"fc1.weight": make()}}, tmp_path / "net.pt")
    with pytest.raises(UnsupportedError, match=f"net.pt: model.fc1.weight is {message}"):
        load_checkpoint(tmp_path / "net.pt", model=Net)
