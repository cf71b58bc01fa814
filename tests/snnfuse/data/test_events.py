"""Events: every one in exactly one bin; files read in their true formats; damage refused by file and event."""

from fractions import Fraction
from pathlib import Path

import event_files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnfuse.data.events import Events, aedat, to_frames, to_strips
from snnfuse.data.events.binning import time_bins
from snnfuse.hardware.errors import InputError

SHAPE = (2, 128, 128)


def stream(t: list[int], shape: tuple[int, int, int] = SHAPE, x: int = 0, y: int = 0, p: int = 0) -> Events:
    times = np.array(t, np.int64)
    return Events(times, *(np.full_like(times, value) for value in (x, y, p)), shape, "here")


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=40),
    st.integers(1, 100),
    st.integers(0, 1000),
    st.integers(1, 10**6),
)
def test_every_event_lands_in_the_one_bin_whose_edges_hold_it(times: list[int], bins: int, before: int, after: int) -> None:
    t = np.array(sorted(times))
    start, stop = int(t[0]) - before, int(t[-1]) + after
    edges = [start + Fraction(k * (stop - start), bins) for k in range(bins + 1)]
    for time, chosen in zip(times, time_bins(np.array(times), bins, (start, stop))):
        assert [k for k in range(bins) if edges[k] <= time < edges[k + 1]] == [chosen]


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(4, 128), st.integers(4, 128))
def test_no_event_is_lost_or_counted_twice(seed: int, time: int, height: int, width: int) -> None:
    t, x, y, p = event_files.random_events(np.random.default_rng(seed), 300)
    frames = to_frames(Events(t, x, y, p, SHAPE), time, (height, width))
    assert frames.shape == (time, 2, height, width) and frames.sum() == 300
    np.testing.assert_array_equal(frames.sum(axis=(0, 2, 3)), np.bincount(p, minlength=2))
    rows = np.zeros(height, int)
    for row in y:
        rows[row * height // 128] += 1
    np.testing.assert_array_equal(frames.sum(axis=(0, 1, 3)), rows)


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(4, 40))
def test_strips_are_finer_bins_side_by_side(seed: int, time: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    t, y = np.sort(rng.integers(0, 10**6, 200)), rng.integers(0, 64, 200)
    none = np.zeros_like(t)
    events = Events(t, none, y, none, (1, 64, 1))
    fine = to_frames(events, time * width, (64, 1))[..., 0]  # (time * width, 1, 64)
    expected = fine.reshape(time, width, 1, 64).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(to_strips(events, time, (64, width)), expected)


def test_edges_are_fractions_where_the_bins_do_not_divide_the_duration() -> None:
    frames = to_frames(stream(list(range(10))), 4, (128, 128))  # edges at 0, 2.5, 5, 7.5, 10
    np.testing.assert_array_equal(frames[:, 0, 0, 0], [3, 2, 3, 2])


def test_counts_are_as_wide_as_they_must_be() -> None:
    assert to_frames(stream([0] * 255), 1, (4, 4)).dtype == np.uint8
    frames = to_frames(stream([0] * 256), 1, (4, 4))
    assert frames.dtype == np.uint16 and frames.max() == 256


@pytest.mark.parametrize(
    "bad, message",
    [
        (lambda: stream([3, 5, 4]), "here: time runs backwards at event 2, from 5 to 4 us"),
        (lambda: stream([3, 5], x=128), "here: event 0 has x = 128, outside 0..127"),
        (lambda: stream([3, 5], y=-1), "here: event 0 has y = -1, outside 0..127"),
        (lambda: stream([3], p=2), "here: event 0 has p = 2, outside 0..1"),
        (lambda: Events(np.arange(3), np.arange(2), np.arange(3), np.arange(3), SHAPE, "here"), "here: has 3 t, 2 x, 3 y, 3 p"),
        (lambda: to_frames(stream([]), 4, (4, 4)), "here: holds no events"),
        (lambda: to_frames(stream([1]), 4, (4, 129)), "width 129 is larger than the sensor's 128"),
        (lambda: to_strips(stream([1]), 4, (4, 4)), "only channels can be laid out"),
        (lambda: time_bins(np.array([5]), 4, (0, 5)), "do not lie in the window from 0 to 5 us"),
        (lambda: time_bins(np.array([5]), 4, (5, 5)), "must last at least 1 us"),
        (lambda: time_bins(np.array([5]), 4, (0, 1 << 61)), "is too long for 4 bins"),
    ],
)
def test_streams_that_cannot_be_are_refused(bad: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bad()


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "digit.aedat"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("header", [event_files.HEADER, b"#!AER-DAT2.0\n", b"#!AER-DAT2.0\r\n"])
def test_aedat_is_read_as_it_was_written(tmp_path: Path, header: bytes) -> None:
    t, x, y, p = event_files.random_events(np.random.default_rng(1), 500)
    events = aedat.read_aedat(write(tmp_path, event_files.aedat_bytes(t, x, y, p, header)))
    for found, written in zip((events.t, events.x, events.y, events.p), (t, x, y, p)):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, written)


def test_addresses_are_decoded_as_jaer_does(tmp_path: Path) -> None:
    """Its extractor for the DVS128: raw polarity 0 is ON; x is flipped; y counts from the bottom."""
    raw = bytes.fromhex("0000 0000 0000 00070000 7F01 0000 00080000 00FE 0000 0009")
    events = aedat.read_aedat(write(tmp_path, event_files.HEADER + raw))
    found = [events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.tolist()]
    assert found == [[7, 8, 9], [127, 127, 0], [127, 0, 127], [1, 0, 1]]


def test_tonic_reads_the_same_records(tmp_path: Path) -> None:
    """Addresses and times, which its `read_dvs_128` cannot decode: it fails on every file since its headers hold a start time."""
    tonic_io = pytest.importorskip("tonic.io")
    path = write(tmp_path, event_files.aedat_bytes(*event_files.random_events(np.random.default_rng(2), 100)))
    version, start, _ = tonic_io.read_aedat_header_from_file(str(path))
    theirs = tonic_io.get_aer_events_from_file(str(path), version, start)
    ours = aedat.read_aedat(path)
    np.testing.assert_array_equal(ours.t, theirs["timeStamp"])
    np.testing.assert_array_equal((127 - ours.y) << 8 | (127 - ours.x) << 1 | (1 - ours.p), theirs["address"])


EVENT = bytes(7) + b"\5"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "no AEDAT file"),
        (b"RIFF....WAVE", "no AEDAT file"),
        (b"# a header without a version\r\n" + EVENT, "AEDAT 1.0 file, or none"),
        (b"#!AER-DAT1.0\r\n" + EVENT, "is AEDAT 1.0, and 2.0 is read; convert it to AEDAT 2.0"),
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "is AEDAT 3.1"),
        (b"#!AER-DAT4.0\r\n", "is AEDAT 4.0"),
        (b"#!AER-DAT2.0\r\n# and then", "ends within its header"),
        (event_files.HEADER, "holds no events"),
        (event_files.HEADER + EVENT + EVENT[:5], "ends within event 1, 5 of 8 bytes"),
        (event_files.HEADER + EVENT + bytes(7) + b"\4", "time runs backwards at event 1, from 5 to 4 us"),
        (event_files.HEADER + EVENT + bytes.fromhex("0000 8000 0000 0006"), "event 1 has address 0x8000"),
        (event_files.HEADER + bytes.fromhex("8000 0000 0000 0006"), "event 0 has address 0x80000000"),
    ],
)
def test_damaged_aedat_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"digit.aedat.*{message}"):
        aedat.read_aedat(write(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.aedat: No such file"):
        aedat.read_aedat(tmp_path / "none.aedat")
    with pytest.raises(InputError, match="Is a directory"):
        aedat.read_aedat(tmp_path)


def test_damage_of_any_kind_is_an_input_error_of_one_line_that_names_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw = event_files.aedat_bytes(*event_files.random_events(rng, 40))
    refused = 0
    for _ in range(300):
        path = write(tmp_path, event_files.damaged(rng, raw))
        try:
            to_frames(aedat.read_aedat(path), 16, (28, 28))
        except InputError as error:
            assert "digit.aedat" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 200  # the rest changed a comment, or an event into another
