"""Geometry of convolutions by counting, over every small size, stride, padding and dilation; and the ends of what integers hold."""

import itertools

import numpy as np
import pytest

from snnfuse.hardware import Conv2d
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.kinds import SYNAPSES
from snnfuse.hardware.ir.synapses.geometry import Axis, Geometry, _under, output_size

LARGEST = 2**31 - 1
AXES = [Axis(*each) for each in itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2, 3, 5), (0, 1, 2, 4), (1, 2, 3))]


def meetings(axis: Axis, place: int) -> list[tuple[int, int]]:
    """(input, output) wherever a tap lies on an input, counted out."""
    outputs = 0
    while outputs * axis.stride + axis.dilation * (axis.kernel - 1) < axis.size + 2 * axis.padding:
        outputs += 1
    met = [(o * axis.stride + place * axis.dilation - axis.padding, o) for o in range(outputs)]
    return [(i, o) for i, o in met if 0 <= i < axis.size]


def test_an_axis_counts_its_outputs_and_what_lies_under_each_tap() -> None:
    for axis in AXES:
        positions = len([p for p in range(0, axis.size + 2 * axis.padding) if p % axis.stride == 0 and
                         p + axis.dilation * (axis.kernel - 1) < axis.size + 2 * axis.padding])  # fmt: skip
        assert max(axis.outputs, 0) == positions
        assert output_size(axis.size, axis.kernel, axis.stride, axis.padding, axis.dilation) == axis.outputs
        if not positions:
            with pytest.raises(InputError, match=rf"larger than its padded input of {axis.size + 2 * axis.padding}$"):
                _under(axis)
            continue
        under, outputs = _under(axis)
        assert outputs == positions
        for place in range(axis.kernel):
            met = meetings(axis, place)
            inputs, reached = axis.tap(place)
            assert list(range(axis.size))[inputs] == [i for i, _ in met]
            assert list(range(outputs))[reached] == [o for _, o in met]
            assert inputs.stop <= axis.size and reached.stop - reached.start == len(met) == len(range(axis.size)[inputs])
            assert [int(i) for i in under[place] if 0 <= i < axis.size] == [i for i, _ in met]


@pytest.mark.parametrize("groups", [1, 2])
def test_a_geometry_counts_its_meetings_and_writes_itself_out(groups: int) -> None:
    rng = np.random.default_rng(groups)
    for _ in range(60):
        size, kernel = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        stride, padding, dilation = rng.integers(1, 4, 2), rng.integers(0, 4, 2), rng.integers(1, 3, 2)
        given = [tuple(each.tolist()) for each in (stride, padding, dilation)]
        axes = [Axis(*each) for each in zip(size.tolist(), kernel.tolist(), *given)]
        if min(axis.outputs for axis in axes) < 1:
            continue
        out, into = 2 * groups, 3
        geometry = Geometry((out, into, *kernel.tolist()), (into * groups, *size.tolist()), *given, groups).check()
        assert geometry.axes == tuple(axes) and geometry.output_shape == (out, axes[0].outputs, axes[1].outputs)
        met = [[len(meetings(axes[0], y)) * len(meetings(axes[1], x)) for x in range(kernel[1])] for y in range(kernel[0])]
        assert geometry.meetings.tolist() == met
        assert [tap.place for tap in geometry.taps()] == [(y, x) for y in range(kernel[0]) for x in range(kernel[1]) if met[y][x]]
        weights = rng.integers(1, 99, geometry.kernel)
        full = np.zeros((*geometry.output_shape, *geometry.input_shape), np.int64)
        for o, i, y, x in itertools.product(*map(range, geometry.kernel)):
            channel = o // (out // groups) * into + i
            for (down, to_down), (right, to_right) in itertools.product(meetings(axes[0], y), meetings(axes[1], x)):
                full[o, to_down, to_right, channel, down, right] += weights[o, i, y, x]
        written = geometry.matrix(weights)
        assert written.has_sorted_indices and written.dtype == weights.dtype and written.indices.dtype == np.int32
        assert (written.toarray() == full.reshape(written.shape)).all() and written.nnz == (full != 0).sum()


def test_the_ends_of_what_a_geometry_may_be() -> None:
    one = np.full((1, 1, 1, 1), 2)
    assert Conv2d(one, (1, 1, 1), (LARGEST, LARGEST)).stride == (LARGEST, LARGEST)
    assert Conv2d(one, (1, 1, 1), dilation=(1, LARGEST)).dilation == (1, LARGEST)
    assert Conv2d(one, (1, 1, LARGEST)).size == (LARGEST, LARGEST)
    assert Conv2d(one, (1, 1, 1), padding=(0, (LARGEST - 1) // 2)).size == (LARGEST, 1)
    for settings, what in (
        ({"stride": (1, LARGEST + 1)}, rf"stride is two integers of at most {LARGEST}, \(vertical, horizontal\), not \(1, {LARGEST + 1}\)"),
        ({"dilation": (LARGEST + 1, 1)}, f"dilation is two integers of at most {LARGEST}"),
        ({"input_shape": (1, 1, LARGEST + 1)}, rf"input shape is three integers of at most {LARGEST}, \(channels, height, width\)"),
        ({"padding": (0, LARGEST // 2 + 1)}, f"more than {LARGEST} neurons"),
        ({"input_shape": (1, 2, 2**30), "stride": (2, 2)}, rf"from \(1, 2, {2**30}\) to \(1, 1, {2**29}\): more than {LARGEST} neurons"),
        ({"input_shape": (1, 2, 2**29), "padding": (1, 0)}, rf"to \(1, 4, {2**29}\): more than {LARGEST} neurons"),
        ({"stride": (1, 1, 1)}, "stride is two integers of at least 1"),
        ({"dilation": (0, 1)}, "dilation is two integers of at least 1"),
        ({"groups": 0}, "0 groups do not divide"),
        ({"groups": LARGEST + 1}, f"{LARGEST + 1} groups do not divide"),
    ):
        with pytest.raises(InputError, match=what):
            Conv2d(one, **({"input_shape": (1, 1, 1)} | settings))
    for shape, input_shape, groups in (((3, 1, 1, 1), (2, 1, 1), 2), ((2, 1, 1, 1), (3, 1, 1), 2), ((2, 1, 0, 1), (1, 1, 1), 1)):
        with pytest.raises(InputError, match="do not fit an input of"):
            Conv2d(np.full(shape, 2), input_shape, groups=groups)
    with pytest.raises(InputError, match=r"a kernel of 3 \(dilation 2\) is larger than its padded input of 4"):
        Conv2d(np.full((1, 1, 1, 3), 2), (1, 1, 2), padding=(0, 1), dilation=(1, 2))
    with pytest.raises(InputError, match=r"needs four axes .*, this one has shape \(1, 1, 1\)"):
        Conv2d(one[0], (1, 1, 1))
    assert Conv2d(np.full((1, 1, 1, 3), 2), (1, 1, 3), padding=(0, 1), dilation=(1, 2)).output_shape == (1, 1, 1)


def test_what_is_left_out_is_a_plain_convolution() -> None:
    conv, geometry = Conv2d(np.full((2, 3, 2, 2), 2), (3, 4, 4)), Geometry((2, 3, 2, 2), (3, 4, 4))
    plain = ((1, 1), (0, 0), (1, 1), 1)
    assert (conv.stride, conv.padding, conv.dilation, conv.groups) == plain and (conv.exponent, conv.bits) == (0, 8)
    assert (geometry.stride, geometry.padding, geometry.dilation, geometry.groups) == plain
    assert conv.geometry == geometry and conv.convolution is conv


def test_fields_of_a_file_are_as_many_and_as_large_as_they_must_be() -> None:
    fields = SYNAPSES.named("Conv2d").fields
    for name, good, bad in (
        ("input_shape", [1, 1, 1], [[1, 1], [1, 1, 1, 1], [1, 0, 1]]),
        ("stride", [1, 1], [[1], [1, 1, 1], [0, 1]]),
        ("padding", [0, 0], [[0], [0, 0, 0], [-1, 0]]),
        ("dilation", [1, 1], [[1], [1, 1, 1], [1, 0]]),
    ):
        assert fields[name].read(good, {}) == tuple(good) and fields[name].write(tuple(good), "", {}) == good
        for value in bad:
            with pytest.raises(InputError, match="integers of at least"):
                fields[name].read(value, {})


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_any_number_of_images_goes_through_in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a block holds: one image, or all."""
    rng = np.random.default_rng(rows)
    conv = Conv2d(2 * rng.integers(-99, 99, (4, 2, 3, 2)), (4, 6, 5), (2, 1), (1, 1), groups=2)
    messages = rng.integers(-9, 9, (rows, conv.size[1]))
    expected = messages @ conv.matrix().toarray().astype(np.int64).T
    places = conv.matrix(np.ones(conv.weights.shape, np.int64)).toarray()
    for windows in (1, 5000, 1 << 20):
        monkeypatch.setattr("snnfuse.hardware.ir.synapses.conv2d.WINDOWS", windows)
        assert (conv.times(messages) == expected).all()
        assert (conv.arrivals(abs(messages)) == abs(messages) @ places.T).all()


@pytest.mark.parametrize(("channels", "taps"), [(8, 1), (1, 8), (2, 4)])
def test_sums_beyond_what_a_float_holds_are_exact(channels: int, taps: int) -> None:
    """2**53, counted over all channels and taps into a target."""
    conv = Conv2d(np.full((1, channels, 1, taps), 255), (channels, 1, taps))
    for largest in (2**42 + 1, 2**44 + 1, 2**46 + 1):
        messages = np.full((1, channels * taps), largest)
        messages[0, -1] += 1
        assert conv.times(messages).tolist() == [[255 * (8 * largest + 1)]]


def test_a_kernel_that_meets_padding_only() -> None:
    conv = Conv2d(np.full((1, 1, 1, 2), 2), (1, 1, 1), padding=(0, 4), stride=(1, 9), dilation=(1, 3))
    assert conv.size == (1, 1) and conv.count == conv.matrix().nnz == 0
    assert conv.times(np.ones((2, 1), np.int64)).tolist() == [[0], [0]] and conv.arrivals(np.ones((1, 1), np.int64)).tolist() == [[0]]
    assert conv.transposed_times(np.ones(1, np.int64)).tolist() == [0]


def test_bounds_of_a_convolution_are_of_its_strongest_channel() -> None:
    rng = np.random.default_rng(0)
    weights = 2 * rng.integers(-99, 99, (5, 2, 2, 3))
    conv = Conv2d(weights, (2, 4, 5))
    channels = weights.reshape(5, -1)
    assert conv.row_sum() == max(abs(row).sum() for row in channels)
    assert conv.spike_sums() == (min(row[row < 0].sum() for row in channels), max(row[row > 0].sum() for row in channels))
    assert Conv2d(np.full((1, 1, 1, 1), 3), (1, 1, 1)).spike_sums() == (0, 3)
    assert Conv2d(np.full((1, 1, 1, 1), -3), (1, 1, 1)).spike_sums() == (-3, 0)
    assert Conv2d(np.zeros((1, 1, 1, 1), np.int64), (1, 1, 1)).row_sum() == 0
