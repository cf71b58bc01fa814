"""FD-fusion from snnTorch to Lava: the float graph keeps every spike, and Lava every spike and state of the emulator."""

import numpy as np
import pytest
import snntorch
import torch
from fd_networks import data, enliven, lively
from torch import nn

from snnfuse import networks
from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Program, compare, emulate
from snnfuse.hardware.backends import reference
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.hardware.errors import UnsupportedError

BLOCKS = ("act-after-addition", "standard")


def arrays(model: nn.Module, inputs: list[torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: x.numpy() for name, x in zip(model.inputs, inputs, strict=True)}


def deployed(model: nn.Module, inputs: list[torch.Tensor]) -> tuple[Program, dict[str, np.ndarray]]:
    """The program of a network, and its inputs as integers."""
    program = quantize(to_nir(model, tuple(x[0] for x in inputs)), arrays(model, inputs))
    return program, program.encode(arrays(model, inputs))


@pytest.mark.parametrize("fusion", ["smlp", "embedding", "early"])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_float_graph_keeps_every_spike(agree, block: str, fusion: str) -> None:
    """Without L2, which a graph replaces by a constant; in float64, for graph and network add in different orders."""
    model, inputs = lively(block=block, fusion=fusion, l2="none")
    model, inputs = model.double(), [x.double() for x in inputs]
    graph = to_nir(model, tuple(x[0] for x in inputs))
    for neuron in (m for m in model.modules() if isinstance(m, snntorch.SpikingNeuron)):
        neuron.register_forward_hook(lambda _, args, spikes: spikes.double())  # surrogates give float32
    with torch.no_grad():
        spikes = networks.run(model, *inputs).numpy()
    assert spikes.any()
    agree(graph, dict(zip(model.inputs, inputs, strict=True)), {"output": spikes}, rate=False)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_fused_resnet_is_one_program_on_every_backend(lava, block: str) -> None:
    model, inputs = lively(block=block, image=(2, 6, 7), width=2)
    program, events = deployed(model, [x[:, :2] for x in inputs])
    emulated = emulate(program, events, "all", states=True)
    assert all(emulated.spikes[name].any() for name in model_neurons(model)), "a silent layer would prove nothing"
    for other in (reference.emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True)):
        assert compare(emulated, other).mismatches == 0
    changes = [entry.change for entry in program.ledger if "L2 normalisation" in entry.change]
    assert len(changes) == 2 and all("constant gain" in change for change in changes)


def model_neurons(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if isinstance(module, snntorch.SpikingNeuron)]


def test_shortcuts_wait_for_the_residual() -> None:
    """An identity and a 1x1 convolution are one synapse, what they join is two: each waits a step; so does a fast branch, several."""
    model, inputs = lively(hidden=())
    program, _ = deployed(model, inputs)
    waiting = {(c.source, c.target): c.delay for c in program.connections if c.delay}
    stages = "vision.stages"
    assert waiting == {
        ("vision.stem.2", f"{stages}.0.0.neuron"): 1,
        (f"{stages}.0.0.neuron", f"{stages}.0.1.neuron"): 1,
        (f"{stages}.0.1.neuron", f"{stages}.1.0.neuron"): 1,
        ("audio.2", "head.3"): 7,
    }


def test_added_class_scores_are_read_as_such() -> None:
    model, inputs = lively(fusion="late", l2="none")
    program, events = deployed(model, inputs)
    recording = emulate(program, events, "all", states=True)
    counts = sum(recording.spikes[f"head.{name}.5"].sum(0).astype(int) for name in ("vision", "audio"))
    assert program.outputs["output"].decoder == "membrane_sum" and counts.any()
    assert (program.decode(recording) == counts.argmax(1)).all()


def test_normalised_membranes_stay_in_training() -> None:
    model, inputs = lively(l2="membrane")
    with pytest.raises(UnsupportedError, match="l2"):
        to_nir(model, tuple(x[0] for x in inputs))


@pytest.mark.slow
@pytest.mark.parametrize("block, width, side", [("act-after-addition", 64, 32), ("standard", 8, 16)])
def test_the_full_resnet18_is_the_same_on_lava(lava, block: str, width: int, side: int) -> None:
    """One sample of four steps, spikes and states of every layer; at width 64, 11.2 million weights and 559,114 neurons.

    The standard block is narrower: its sums reach later blocks by kernels with delays, which Lava has written out only, several times 36
    million synapses at width 64.
    """
    config = {**networks.preset_config("fd-fusion", "full"), "image": (3, side, side), "audio": 128, "block": block, "width": width}
    torch.manual_seed(0)
    model = networks.build("fd-fusion", config)
    inputs = data(model, time=4, batch=2, image=(3, side, side), audio=(128,))
    program, events = deployed(enliven(model, inputs), inputs)
    one = {name: x[:, :1] for name, x in events.items()}
    emulated = emulate(program, one, "all", states=True)
    assert all(emulated.spikes[name].any() for name in model_neurons(model) if not name.startswith("head")), "spikes must reach the end"
    assert compare(emulated, simulate_on_lava(program, one, "all", states=True)).mismatches == 0
