"""A static analog input whose first layer the host computes, in floats: what it gives stands in the bias registers of that layer.

Per sample, for an input x of any shape and neuron j, the mantissa that the host writes is

    n_j = round((sum_i W_ji x_i + b_j) / scale)            13 bits, saturated at +-4095

and `snnfuse.hardware.ir.bias_input` says what the neuron does with it. The layer then has no synapses, and nothing is sent to it on any
step. The sum is computed in float64, in the order in which the weights are stored, so that every machine writes the same.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.bias_input import BiasInput
from snnfuse.hardware.ir.json_fields import FLOAT_CSR, FLOATS, INTEGER, NUMBER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron


@dataclass(frozen=True, eq=False, kw_only=True)
class ProjectedInput(BiasInput):
    """A `BiasInput` for what a host makes of an image.

    Attributes:
        shape: neurons that are written to, without time and batch.
        scale: value of one unit of a mantissa, > 0, in the units of the sum.
        offset: 0; `bias` has what is added.
        image: shape of the values that it takes.
        weights: float64 CSR (neurons, values), over both flattened in C order.
        bias: float64 (neurons,).

    Raises:
        InputError: shapes do not fit, or numbers are not finite.
    """

    image: tuple[int, ...]
    weights: sparse.csr_matrix
    bias: NDArray[np.float64]
    is_calibrated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = self.size, int(np.prod(self.image, dtype=np.int64))
        if self.weights.shape != sizes or self.bias.shape != sizes[:1]:
            raise InputError(f"a projected input needs weights {sizes} and a bias of its rows; these are {self.weights.shape}")
        if not (np.isfinite(self.weights.data).all() and np.isfinite(self.bias).all()) or self.scale <= 0 or self.offset:
            raise InputError("a projected input's weights and bias are finite, its scale is positive, and its offset 0")

    @property
    def given_shape(self) -> tuple[int, ...]:
        """Of the image."""
        return self.image

    def values(self, x: NDArray) -> NDArray[np.float64]:
        """The sums, (..., *shape), of images (..., *image): computed once where steps repeat one."""
        rows = np.asarray(x, np.float64).reshape(*x.shape[: x.ndim - len(self.image)], -1)
        once = rows[:1] if rows.ndim == 3 and (rows == rows[:1]).all() else rows
        sums = (self.weights @ once.reshape(-1, rows.shape[-1]).T).T + self.bias
        return np.broadcast_to(sums.reshape(*once.shape[:-1], *self.shape), (*rows.shape[:-1], *self.shape))

    def beyond(self, x: NDArray) -> int:
        """How many sums leave the register."""
        return super().beyond(self.values(x))

    def encode(self, name: str, x: NDArray) -> NDArray[np.int32]:
        """round((W x + b) / scale), saturated."""
        return super().encode(name, self.values(x))


register_neuron(
    NeuronKind(
        ProjectedInput,
        {"shape": SHAPE, "scale": NUMBER, "offset": INTEGER, "image": SHAPE, "weights": FLOAT_CSR, "bias": FLOATS},
        placement=Placement("currents that a host computes and writes into bias registers", "C", "assumed", "as BiasInput"),
    )
)
