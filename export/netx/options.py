"""Which part of a file is taken, and what is fed to it: the arguments of lava-dl's `netx.hdf5.Network`, under their names."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from snnfuse.export.netx.contents import Net, NetLayer, NetSdnn, WeightedLayer
from snnfuse.hardware.errors import InputError, UnsupportedError

SDNN_BITS = 16  # netx's message bits for sigma-delta neurons


@dataclass(frozen=True)
class NetOptions:
    """Arguments of netx.

    Attributes:
        num_layers: layers of the file to take, input and flatten counted; None for all.
        skip_layers: of those, how many to leave out at the start: what they would send is fed instead.
        input_message_bits: > 0 where what is fed carries numbers, of magnitude below 2**input_message_bits.
        reset_interval: steps of a sample, after which states are cleared; None: those of simulation/tSample.
        reset_offset: where in time netx clears them. A Program's windows begin where the samples do, which for netx is 0 where its first
            layer has neurons that a host writes to, and 1 where it is fed spikes; None for that one.
        spike_exp: bits behind the point of what sigma-delta neurons send.
    """

    num_layers: int | None = None
    skip_layers: int = 0
    input_message_bits: int = 0
    reset_interval: int | None = None
    reset_offset: int | None = None
    spike_exp: int = 6

    def __post_init__(self) -> None:
        least = {"num_layers": 1, "reset_interval": 1}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least.get(field.name, 0)):
                raise InputError(f"{field.name} must be an integer of at least {least.get(field.name, 0)}, not {value!r}")
        if self.spike_exp > 7 or self.input_message_bits > 23:
            raise InputError("spike_exp is at most 7, and input_message_bits at most 23: a message has 24 bits with its sign")

    def chosen(self, net: Net) -> tuple[tuple[NetLayer, ...], tuple[NetLayer, ...]]:
        """The layers that are left out at the start, and those that are taken; InputError where none with neurons is."""
        layers = net.layers[: self.num_layers]
        skipped, taken = layers[: self.skip_layers], layers[self.skip_layers :]
        if not any(isinstance(layer, WeightedLayer) or layer.neuron is not None for layer in taken):
            asked = f"num_layers={self.num_layers} and skip_layers={self.skip_layers} leave" if self != DEFAULTS else "holds"
            raise InputError(f"layer: {asked} no layer with weights or neurons")
        return skipped, taken

    def payload_bits(self, skipped: tuple[NetLayer, ...]) -> int:
        """Of what is fed in place of the layers before; 0 for spikes."""
        neurons = [layer.neuron for layer in skipped if layer.neuron is not None]
        return SDNN_BITS if neurons and isinstance(neurons[-1], NetSdnn) else self.input_message_bits and self.input_message_bits + 1

    def check_offset(self, is_written: bool) -> None:
        """UnsupportedError for a reset in the middle of a sample."""
        exact = 0 if is_written else 1
        if self.reset_offset not in (None, exact):
            raise UnsupportedError(
                f"reset_offset={self.reset_offset} clears states in the middle of a sample; windows begin where samples do, which for this "
                f"network is reset_offset={exact}"
            )


DEFAULTS = NetOptions()


def net_options(given: Mapping[str, Any]) -> NetOptions:
    """Options by name; InputError for a name that netx does not have."""
    known = [field.name for field in fields(NetOptions)]
    if unknown := sorted(set(given) - set(known)):
        raise InputError(f"{unknown[0]} is no option of a netx file; there are {', '.join(known)}")
    return NetOptions(**given)
