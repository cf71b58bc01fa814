"""A convolution whose sums are shifted right before they are sent: what Lava's Dense and Sparse do with a negative exponent, and its
Conv does not. Written out as a Sparse, a kernel of a wide network takes gigabytes.

    a = (kernel * s) wrapped at 24 bits, as by Conv;   sent: floor(a / 2**shift)
"""

from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.stock import Conv, PyConvModelFixed

SHIFT = "shift"


class ShiftedConv(Conv):
    """Parameters as in lava.proc.conv.process.Conv; shift: 0..31 bits."""

    def __init__(self, *, shift: int, **options: Any) -> None:
        super().__init__(**options)
        self.proc_params[SHIFT] = shift


class PyShiftedConvModel(PyConvModelFixed):
    """Lava's model, with the shift behind its wrap. Which process it implements is set by hand, for Lava's decorator refuses a subclass
    of a model."""

    implements_process = ShiftedConv

    def clamp_precision(self, x: np.ndarray) -> np.ndarray:
        """Sums to what is sent, int32."""
        return super().clamp_precision(x) >> self.proc_params[SHIFT]
