"""Operations on one sample as matrices: found by running torch's own function on indices or on unit vectors.

Whatever is a fixed linear map of one time step is thereby expressed exactly, without a formula of our own per operation.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import sparse

from snnfuse.export.tracing.nodes.pieces import Array
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.hardware.ir.synapses import conv_matrix

Shape = tuple[int, ...]
Call = Callable[..., torch.Tensor]
MOST = 1 << 23  # numbers in one written-out matrix: 64 MiB


def size(shape: Shape) -> int:
    """How many numbers a sample holds."""
    return int(np.prod(shape, dtype=np.int64))


def check_size(numbers: int, where: str, way_out: str) -> None:
    """Refuse a matrix that would not fit a file or memory in a reasonable way."""
    if numbers > MOST:
        reason = f"NIR has no node for it, and written out as a matrix it takes {numbers} numbers, above {MOST}"
        raise refusal(where, reason, way_out)


def moved(call: Call, shapes: Sequence[Shape], batch: int) -> tuple[list[sparse.csr_matrix], Array] | None:
    """An operation that only places numbers, as one selection matrix per argument and what it fills in.

    Args:
        call: of tensors (batch, *shape), one per argument.
        shapes: of the arguments, without batch.
        batch: the samples that `call` is written for.

    Returns:
        Matrices (out, in) of 0 and 1, and a constant (out,); None if it mixes the samples of a batch.
    """
    filled = call(*(torch.zeros(batch, *shape, dtype=torch.float64) for shape in shapes))
    starts = np.cumsum([0, *(size(shape) for shape in shapes)])
    indices = [_indices(shape, start, starts[-1], batch) for shape, start in zip(shapes, starts, strict=False)]
    places = call(*indices) - filled
    if places.ndim < 1 or len(places) != batch:
        return None
    rows = places.reshape(batch, -1).numpy().astype(np.int64)
    for b in range(1, batch):
        if not np.array_equal(np.where(rows[0] > 0, rows[0] + b * starts[-1], 0), rows[b]):
            return None
    if ((rows[0] < 0) | (rows[0] > starts[-1])).any():
        return None
    return [_selection(rows[0] - start, size(shape)) for start, shape in zip(starts, shapes, strict=False)], _flat(filled)


def _indices(shape: Shape, start: int, total: int, batch: int) -> torch.Tensor:
    """1, 2, ... over all arguments of the first sample, then of the second."""
    first = torch.arange(1, size(shape) + 1, dtype=torch.float64).reshape(1, *shape) + float(start)
    return first + torch.arange(batch, dtype=torch.float64).reshape(-1, *[1] * len(shape)) * float(total)


def _selection(places: np.ndarray, count: int) -> sparse.csr_matrix:
    rows = np.flatnonzero((places >= 1) & (places <= count))
    return sparse.csr_matrix((np.ones(len(rows)), (rows, places[rows] - 1)), shape=(len(places), count))


def is_per_sample(call: Call, shapes: Sequence[Shape]) -> bool:
    """Whether an operation, which takes any batch, maps every sample of a batch by itself."""
    alone = [torch.zeros(2, *shape, dtype=torch.float64) for shape in shapes]
    try:
        nothing = call(*alone).clone()  # a view would change with what follows
    except (RuntimeError, IndexError, ValueError):  # its arguments hold for another number of samples
        return False
    for tensor in alone:
        tensor[0] = torch.arange(1, tensor[0].numel() + 1, dtype=torch.float64).reshape(tensor[0].shape)
    first = call(*alone)
    return nothing.ndim > 0 and len(nothing) == 2 and torch.equal(nothing[0], nothing[1]) and torch.equal(first[1], nothing[1])


def summed_over(call: Call, shape: Shape) -> sparse.csr_matrix | None:
    """A sum or mean over some axes as a matrix (out, in), found by what moving one unit along each axis does; None for anything else."""
    unit = torch.zeros(1, *shape, dtype=torch.float64)
    unit.view(-1)[0] = 1.0
    first = _flat(call(unit))
    kept = [axis for axis, length in enumerate(shape) if length > 1 and not np.array_equal(_flat(call(unit.roll(1, axis + 1))), first)]
    indices = np.indices(shape, sparse=True)
    strides = {axis: size(tuple(shape[a] for a in kept if a > axis)) for axis in kept}
    places = np.broadcast_to(sum((indices[a] * strides[a] for a in kept), np.zeros((1,) * len(shape), np.int64)), shape).ravel()
    if not first.any() or len(first) != size(tuple(shape[a] for a in kept)):
        return None
    matrix = sparse.csr_matrix((np.full(len(places), first[0]), (places, np.arange(len(places)))), shape=(len(first), len(places)))
    probe = np.arange(1.0, len(places) + 1)
    return matrix if np.allclose(matrix @ probe, _flat(call(torch.from_numpy(probe).reshape(1, *shape))), rtol=1e-12, atol=0) else None


def written_out(call: Call, shapes: Sequence[Shape], where: str, way_out: str) -> tuple[list[sparse.csr_matrix], Array]:
    """A linear operation as one matrix per argument, (out, in), and its constant (out,): its values at unit vectors and at zero."""
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes]
    constant = _flat(call(*zeros))
    check_size(sum(map(size, shapes)) * len(constant), where, way_out)
    return [sparse.csr_matrix(_at_units(call, zeros, i) - constant[:, None]) for i in range(len(shapes))], constant


def _at_units(call: Call, zeros: list[torch.Tensor], position: int) -> Array:
    """(out, in): what every unit vector of one argument gives."""
    shape = zeros[position].shape[1:]
    count = shape.numel()
    given = [z.expand(count, *z.shape[1:]) for z in zeros]
    given[position] = torch.eye(count, dtype=torch.float64).reshape(count, *shape)
    return call(*given).reshape(count, -1).numpy().T


def per_channel(matrix: sparse.spmatrix | Array, channels: int) -> sparse.csr_matrix:
    """One channel's matrix, for all of them."""
    return sparse.kron(sparse.identity(channels), sparse.csr_matrix(matrix), format="csr")


def conv_nd(weight: Array, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int = 1) -> sparse.csr_matrix:
    """A convolution over one or two axes written out, (out, in); weight (out, in/groups, *kernel), shape of the input."""
    if len(shape) == 2:
        weight, shape = weight[:, :, None], (shape[0], 1, shape[1])
        stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
    (channels, height, width), ((down, right), (above, left), (apart_y, apart_x)) = shape, (stride, padding, dilation)
    return conv_matrix(weight, (channels, height, width), (down, right), (above, left), (apart_y, apart_x), groups)


def _flat(sample: torch.Tensor) -> Array:
    return sample[0].reshape(-1).numpy().astype(np.float64) if sample.ndim else np.zeros(0)
