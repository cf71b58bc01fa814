"""Two convolutions in a row as one, where they are one.

Along an axis, with strides s, paddings p and dilations d, tap a of the first and tap b of the second meet the input of output y at

    y s1 s2 + (b d2 s1 + a d1) - (p1 + p2 s1)

so that the whole has stride s1 s2, padding p1 + p2 s1 and a tap for every b d2 s1 + a d1. What the second one pads is 0; for the whole it
is what the first would put out beyond its edge. They agree if the windows there meet no input at all.
"""

from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.weights import ConvWeights
from snnfuse.hardware.ir.synapses.geometry import Axis, Geometry


def chained(first: ConvWeights, second: ConvWeights) -> ConvWeights | None:
    """The convolution that one behind another is; None where they are none, or take fewer weights written out."""
    whole = _geometry(first, second)
    if whole is None or prod(whole.kernel) > whole.kernel[0] * whole.kernel[1] * int(whole.meetings.sum()):
        return None
    groups, dilation = whole.groups, first.dilation
    kernel = np.zeros((groups, whole.kernel[0] // groups, *whole.kernel[1:]))
    before, after = _blocks(first, groups), _blocks(second, groups)
    steps = [stride * d for stride, d in zip(first.stride, second.dilation, strict=True)]
    for place in np.ndindex(*after.shape[3:]):
        rows, columns = (slice(i * step, None, d) for i, step, d in zip(place, steps, dilation, strict=True))
        met = kernel[..., rows, columns][..., : before.shape[3], : before.shape[4]]
        met += np.einsum("gom,gmiyx->goiyx", after[(..., *place)], before)
    return ConvWeights(kernel.reshape(whole.kernel), whole.input_shape, whole.stride, whole.padding, groups=groups)


def _geometry(first: ConvWeights, second: ConvWeights) -> Geometry | None:
    """The whole without its weights; None where it is no convolution."""
    height, width = (_chained_axis(*pair) for pair in zip(first.geometry.axes, second.geometry.axes, strict=True))
    if second.input_shape != first.output_shape or height is None or width is None:
        return None
    groups = gcd(first.groups, second.groups)
    kernel = len(second.kernel), first.input_shape[0] // groups, height.kernel, width.kernel
    return Geometry(kernel, first.input_shape, (height.stride, width.stride), (height.padding, width.padding), groups=groups)


def _chained_axis(first: Axis, second: Axis) -> Axis | None:
    """The axis of the whole; None where there is none."""
    span, further = ((axis.kernel - 1) * axis.dilation for axis in (first, second))  # from the first tap to the last
    last = (second.outputs - 1) * second.stride - second.padding + further  # the farthest place between them that is read
    meets_before = second.padding > 0 and span >= first.stride + first.padding
    meets_behind = last >= first.outputs and first.outputs * first.stride < first.size + first.padding
    taps, stride = further * first.stride + span + 1, first.stride * second.stride
    whole = Axis(first.size, taps, stride, first.padding + second.padding * first.stride, 1)
    return None if meets_before or meets_behind or whole.outputs != second.outputs else whole


def _blocks(conv: ConvWeights, groups: int) -> NDArray[np.float64]:
    """A kernel as (groups, out, in, kH, kW) of a divisor of its own number of groups, which become blocks of a diagonal."""
    parts = conv.groups // groups
    own = conv.kernel.reshape(groups, parts, -1, *conv.kernel.shape[1:])
    whole = np.zeros((groups, parts, own.shape[2], parts, *own.shape[3:]))
    for i in range(parts):
        whole[:, i, :, i] = own[:, i]
    return whole.reshape(groups, parts * own.shape[2], parts * own.shape[3], *own.shape[4:])
