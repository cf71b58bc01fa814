"""Lava's LIF whose bias mantissa comes in at a port, for samples that run back to back; the step is Lava's. Importing this module imports
Lava.

On a chip, and in lava-dl's netx, a host writes `bias_mant` once per sample.
"""

from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.processes import lif_resets


class WithBias(stock.ModelMixin):
    """Comes before a model in the order of inheritance."""

    bias_in = stock.LavaPyType(stock.PyInPort.VEC_DENSE, np.int32)

    def scale_bias(self) -> None:
        """The mantissa of this step's sample, shifted by Lava."""
        own = self.bias_mant
        self.bias_mant = own + self.bias_in.recv()
        super().scale_bias()
        self.bias_mant = own


def _biased(base: type, model: type) -> tuple[type, type]:
    """A windowed LIF process, and its model, with the port."""

    def __init__(self: Any, **parameters: Any) -> None:
        base.__init__(self, **parameters)
        self.bias_in = stock.InPort(shape=parameters["shape"])

    process = type(f"Biased{base.__name__}", (base,), {"__init__": __init__, "__module__": __name__, "__doc__": base.__doc__})
    return process, type(
        f"Biased{model.__name__}", (WithBias, model), {"implements_process": process, "__module__": __name__, "__doc__": model.__doc__}
    )


PAIRS = (
    (stock.LIFReset, stock.PyLifResetModelBitAcc),
    (lif_resets.LIFSubtract, lif_resets.PyLifSubtractModel),
    (lif_resets.LIFSubtractDelayed, lif_resets.PyLifSubtractDelayedModel),
    (lif_resets.LIFSubtractUndelayed, lif_resets.PyLifSubtractUndelayedModel),
    (lif_resets.LIFZeroDelayed, lif_resets.PyLifZeroDelayedModel),
    (lif_resets.LIFZeroStored, lif_resets.PyLifZeroStoredModel),
)
BIASED = {base: _biased(base, model) for base, model in PAIRS}
"""By windowed LIF process, the same with the port, and its model."""
globals().update({made.__name__: made for pair in BIASED.values() for made in pair})  # Lava looks for models in a process's module
