"""Networks inside wrappers, and layers that know their shapes late: taken for what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forms import INPUTS, agrees, by_steps, found, graph_spikes, made, spikes_over_time
from forms import Net as Plain
from torch import nn

from snnfuse.checkpoints.checkpoint import load_checkpoint
from snnfuse.export.tracing.capture.arguments import input_names, unwrapped
from snnfuse.hardware.errors import InputError


class Net(Plain):
    def forward(self, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in x])


class Lazy(Net):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.LazyLinear(8)


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "none": lambda net: net, "parallel": nn.DataParallel, "compiled": torch.compile,
    "compiled parallel": lambda net: torch.compile(nn.DataParallel(net)),
    "parallel compiled": lambda net: nn.DataParallel(torch.compile(net)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_wraps_a_network_is_looked_through(name: str) -> None:
    model, x = made(Net), spikes_over_time()
    wrapped = WRAPPERS[name](model)
    graph, form = found(wrapped, x)
    assert unwrapped(wrapped) is model and input_names(wrapped) == ("x",) and form.layout == "time-first"
    assert (graph_spikes(graph, x) == by_steps(model, x)).all()


def test_a_lazy_layer_is_what_its_weights_make_of_it(tmp_path: Path) -> None:
    torch.save(made(Net).state_dict(), tmp_path / "net.pt")
    model = load_checkpoint(tmp_path / "net.pt", model=Lazy).double()
    assert type(model.fc1) is nn.Linear and model.fc1.in_features == INPUTS
    agrees(model, spikes_over_time(), "time-first")
    with pytest.raises(InputError, match="fc1 .LazyLinear. has no weights yet; load them, or run the model once on a sample"):
        found(Lazy(), spikes_over_time())


@pytest.mark.parametrize("lazy, whole", [
    (nn.LazyConv2d(4, 3, groups=2), nn.Conv2d(6, 4, 3, groups=2)), (nn.LazyConvTranspose1d(4, 3), nn.ConvTranspose1d(6, 4, 3)),
    (nn.LazyBatchNorm1d(), nn.BatchNorm1d(6)), (nn.LazyLinear(3), nn.Linear(6, 3)),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_lazy_layers_of_all_kinds(lazy: nn.Module, whole: nn.Module, tmp_path: Path) -> None:
    torch.save(nn.Sequential(whole).state_dict(), tmp_path / "net.pt")
    model = load_checkpoint(tmp_path / "net.pt", model=lambda: nn.Sequential(lazy))
    assert repr(model[0]) == repr(whole)
