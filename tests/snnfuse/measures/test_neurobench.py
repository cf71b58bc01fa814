"""Our counts by NeuroBench's definitions, against the neurobench package, `==`."""

import numpy as np
import pytest
import torch
from torch import nn

from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Connection, Constant, Conv2d, Dense, GradedInput, Lif, Output, Program, Relay, Sparse, SpikeInput
from snnfuse.hardware.energy import Metrics, estimate_energy
from snnfuse.hardware.errors import InputError
from snnfuse.measures.neurobench import run_neurobench

# What neurobench 2.3.0 said of the two programs below.
RECORDED = {
    "images, feedback and a bias": {
        "connection_sparsity": 0.3054,
        "activation_sparsity": 0.5561210065026859,
        "effective_acs": 3608.6666666666665,
        "effective_macs": 0.0,
        "dense": 10017.0,
    },
    "graded and sparse": {
        "connection_sparsity": 0.6,
        "activation_sparsity": 0.5527065527065527,
        "effective_acs": 26.0,
        "effective_macs": 153.33333333333334,
        "dense": 810.0,
    },
}


@pytest.fixture
def package() -> None:
    pytest.importorskip("neurobench", reason="the extra `neurobench` is not installed; the recorded figures are compared all the same")


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


def events_for(program: Program) -> dict[str, np.ndarray]:
    """Spikes; or numbers, which on later steps are others than -1, 0 and 1."""
    (node,), rng = program.inputs.values(), np.random.default_rng(1)
    graded = isinstance(node, GradedInput)
    events = {"x": rng.integers(-1 if graded else 0, 2, (9, 3, *node.shape)).astype(np.int32)}
    if graded:
        events["x"][4:] *= 50
    return events


@pytest.mark.parametrize("name", RECORDED)
def test_our_counts_are_those_that_the_package_gave(name: str) -> None:
    program = programs()[name]
    assert_same(estimate_energy(program, events_for(program)).metrics, dict(RECORDED[name]))


@pytest.mark.parametrize("name", RECORDED)
def test_the_package_counts_the_same_on_programs(package: None, name: str) -> None:
    program = programs()[name]
    assert run_neurobench(program, events_for(program)) == RECORDED[name]


def test_a_group_too_large_to_write_out_is_refused(package: None) -> None:
    from scipy import sparse

    size = 1 << 14
    nodes = {"x": SpikeInput((size,)), "n": Lif((size,), 0, 0, 1)}
    program = Program(nodes, (Connection("x", "n", Sparse(sparse.identity(size, np.int32, "csr"))),), {"y": Output("n")})
    with pytest.raises(InputError, match="x -> n: neurobench has no sparse layer"):
        run_neurobench(program, {"x": np.zeros((1, 1, size), np.int32)})


def test_the_package_counts_the_same_on_a_snntorch_network(package: None) -> None:
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
