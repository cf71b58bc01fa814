"""What torch.fx types more widely than a trace needs: an argument may be any value, the target of a call any function."""

from typing import cast

from snntorch import SpikingNeuron
from torch import fx, nn


def argument_node(node: fx.Node, index: int = 0) -> fx.Node:
    """Return an argument that is known to be another node."""
    return cast(fx.Node, node.args[index])


def module_path(node: fx.Node) -> str:
    """Return the path of the module that a "call_module" node calls, or the name of a placeholder: fx has both as strings."""
    return cast(str, node.target)


def neuron_at(model: nn.Module, path: str) -> SpikingNeuron:
    """Return the submodule at a path that is known to be a snnTorch neuron."""
    return cast(SpikingNeuron, model.get_submodule(path))
