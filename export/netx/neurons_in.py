"""`neuron/` of a layer: what SLAYER's CUBA and SDNN neurons, and SLAYER 1's LOIHI neurons, write there."""

from typing import TYPE_CHECKING

from snnfuse.export.netx.contents import CUBA, SDNN, NetNeuron, NetSdnn
from snnfuse.export.netx.datasets import integers, one, text
from snnfuse.export.netx.table import REFUSED_NEURONS
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.sigma_delta import Activation

if TYPE_CHECKING:
    import h5py

TRAINING = {"tauRho", "scaleRho", "theta"}  # of the surrogate gradient: no part of the network
KNOWN = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "weight_exp", "wgtExp"} | TRAINING
KNOWN_SDNN = {"type", "vThMant", "activation", "sigma_output"} | TRAINING
ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "ReLU": "relu", "identity": "unit", "linear": "unit", "unit": "unit", "none": "unit"}


def read_neuron(group: "h5py.Group | None", name: str) -> NetNeuron | NetSdnn | None:
    """A layer's neurons, None where it has none; errors as of `read_contents`."""
    if group is None:
        return None
    kind = text(group, "type")
    if kind == SDNN:
        return _sigma_delta(group, name)
    if kind not in CUBA:
        family = next((key for key in REFUSED_NEURONS if key in kind), "")
        reason, way_out = REFUSED_NEURONS.get(family, ("it is no neuron that SLAYER writes", "train with slayer.block.cuba"))
        raise UnsupportedError(f"{name}: type {kind!r} is not supported: {reason}; {way_out}")
    if "gradedSpike" in group and one(group, "gradedSpike"):
        raise UnsupportedError(
            f"{name}/gradedSpike: spikes that carry the voltage are not supported (netx sends 1 instead); train with graded_spike=False"
        )
    if "weight_exp" in group and "wgtExp" in group:
        raise InputError(f"{name}: has both weight_exp and wgtExp")
    i_decay, v_decay, threshold = (integers(group, key) for key in ("iDecay", "vDecay", "vThMant"))
    exponent = next((one(group, key) for key in ("weight_exp", "wgtExp") if key in group), 0)
    if "weight_exp" in group:
        exponent = -exponent  # SLAYER divides by 2**weight_exp
    refractory = one(group, "refDelay") if "refDelay" in group else 1
    return NetNeuron(i_decay, v_decay, threshold, refractory, exponent, normalised="weight_exp" in group)


def known_names(neuron: NetNeuron | NetSdnn) -> set[str]:
    """What lava-dl writes for such a neuron."""
    return KNOWN_SDNN if isinstance(neuron, NetSdnn) else KNOWN


def _sigma_delta(group: "h5py.Group", name: str) -> NetSdnn:
    activation = text(group, "activation") if "activation" in group else "relu"
    if activation not in ACTIVATIONS:
        raise UnsupportedError(
            f"{name}/activation: {activation!r} is not supported: Lava's sigma-delta neurons have relu, or none; train with "
            "torch.nn.functional.relu"
        )
    is_output = "sigma_output" in group and bool(one(group, "sigma_output"))
    return NetSdnn(one(group, "vThMant"), ACTIVATIONS[activation], is_output)
