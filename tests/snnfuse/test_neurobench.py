"""Our counts by NeuroBench's definitions, against the neurobench package, `==`."""

import numpy as np
import pytest
import torch
from torch import nn

from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Connection, Constant, Conv2d, Dense, GradedInput, Lif, Output, Program, Relay, Sparse, SpikeInput
from snnfuse.hardware.energy import Metrics, estimate_energy
from snnfuse.neurobench_run import run_neurobench

pytest.importorskip("neurobench", reason="the extra `neurobench` is not installed")


def assert_same(ours: Metrics, package: dict) -> None:
    assert round(ours.connection_sparsity, 4) == package.pop("connection_sparsity")  # the package rounds
    assert {name: getattr(ours, name) for name in package} == package


def some(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Even weights, some of them 0."""
    return (2 * rng.integers(-40, 50, shape) * (rng.random(shape) < 0.7)).astype(np.int32)


def programs() -> dict[str, Program]:
    from scipy import sparse

    rng, lif = np.random.default_rng(0), {"du": 4095, "dv": 300, "vth": 60}
    conv = Conv2d(some(rng, 4, 1, 3, 3), (2, 7, 6), (2, 1), (1, 2), groups=2)
    image = {"x": SpikeInput((2, 7, 6)), "c": Lif(conv.output_shape, **lif), "o": Lif((3,), **lif), "one": Constant()}
    flat = int(np.prod(conv.output_shape))
    image_links = (
        Connection("x", "c", conv),
        Connection("c", "o", Dense(some(rng, 3, flat))),
        Connection("o", "o", Dense(some(rng, 3, 3)), lag=1),
        Connection("one", "o", Dense(some(rng, 3, 1))),
    )
    listed = Sparse(sparse.csr_matrix(some(rng, 9, 6) * (rng.random((9, 6)) < 0.3)).astype(np.int32))
    graded = {"x": GradedInput((6,), 8, 1.0), "r": Relay((9,)), "o": Lif((4,), **lif)}
    graded_links = (Connection("x", "r", listed), Connection("r", "o", Dense(some(rng, 4, 9))))
    return {
        "images, feedback and a bias": Program(image, image_links, {"y": Output("o")}),
        "graded and sparse": Program(graded, graded_links, {"y": Output("o")}),
    }


@pytest.mark.parametrize("name", list(programs()))
def test_the_package_counts_the_same_on_programs(name: str) -> None:
    program, rng = programs()[name], np.random.default_rng(1)
    (node,) = program.inputs.values()
    events = {"x": rng.integers(-1 if isinstance(node, GradedInput) else 0, 2, (9, 3, *node.shape)).astype(np.int32)}
    if isinstance(node, GradedInput):
        events["x"][4:] *= 50
    found = estimate_energy(program, events).metrics
    assert_same(found, run_neurobench(program, events))
    assert found.effective_acs > 0 and (found.effective_macs > 0) == (name == "graded and sparse")


def test_the_package_counts_the_same_on_a_snntorch_network() -> None:
    """Float layers that integers hold exactly: the package on the torch model, our counts on the Program that the compiler makes of it."""
    import snntorch as snn
    from neurobench.metrics.static import ConnectionSparsity
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import SNNTorchModel

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            rng = np.random.default_rng(2)
            rule = {"beta": 0.5, "reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
            self.conv, self.lif1 = nn.Conv2d(2, 3, 3, padding=1, bias=False), snn.Leaky(**rule)
            self.fc, self.lif2 = nn.Linear(75, 4, bias=False), snn.Leaky(output=True, **rule)
            for layer in (self.conv, self.fc):
                values = rng.integers(-8, 10, tuple(layer.weight.shape)) * (rng.random(tuple(layer.weight.shape)) < 0.8)
                layer.weight.data = torch.tensor(values / 8, dtype=torch.float32)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.lif2(self.fc(self.lif1(self.conv(x)).flatten(1)))

    class Traced(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)[0]

    x = torch.tensor(np.random.default_rng(3).integers(0, 2, (8, 5, 2, 5, 5)), dtype=torch.float32)
    model = SNNTorchModel(Net())
    model.register_hooks()
    data = (x.transpose(0, 1), None)
    with torch.no_grad():
        model(data[0])
        operations = SynapticOperations()(model, None, data)
        active = ActivationSparsity()(model, None, data)
    program = quantize(to_nir(Traced(), x[0]), x.numpy())
    found = estimate_energy(program, program.encode(x.numpy())).metrics
    assert found.effective_acs == operations["Effective_ACs"] > 0 and found.dense == operations["Dense"]
    assert found.effective_macs == operations["Effective_MACs"] == 0
    assert found.activation_sparsity == active < 1
    assert round(found.connection_sparsity, 4) == ConnectionSparsity()(model) > 0
