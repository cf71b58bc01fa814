"""How a run is cut into threads, blocks and chunks changes nothing; bad input is refused as by the reference; compiled code is kept."""

import ctypes
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import Connection, Conv2d, Dense, GradedInput, Lif, Output, Program, SpikeInput, compare, emulate
from snnfuse.hardware.backends.emulator import machine_code, plan, running, turns
from snnfuse.hardware.backends.emulator.run_state import Session, plan_of
from snnfuse.hardware.backends.emulator.turns import available_cores, in_turns, worth
from snnfuse.hardware.backends.reference import emulate as reference
from snnfuse.hardware.errors import InputError

STEPS, BATCH = 23, 7


def make_program() -> Program:
    rng = np.random.default_rng(0)
    conv = Conv2d((rng.integers(-128, 128, (6, 2, 3, 3)) * 2).astype(np.int32), (2, 8, 8), padding=(1, 1))
    nodes = {"x": SpikeInput((2, 8, 8)), "g": GradedInput((5,), 8, 0.1), "a": Lif((6, 8, 8), 500, 300, 900), "b": Lif((20,), 4095, 50, 800)}
    links = (
        Connection("x", "a", conv),
        Connection("a", "b", Dense((rng.integers(-128, 128, (20, 384)) * 2).astype(np.int32)), lag=3),
        Connection("g", "b", Dense((rng.integers(-128, 128, (20, 5)) * 2).astype(np.int32)), delay=1),
        Connection("b", "b", Dense((rng.integers(-128, 128, (20, 20)) * 2).astype(np.int32), -1)),
    )
    return Program(nodes, links, {"out": Output("b")})


PROGRAM = make_program()
RNG = np.random.default_rng(1)
EVENTS = {
    "x": (RNG.random((STEPS, BATCH, 2, 8, 8)) < 0.2).astype(np.int32),
    "g": RNG.integers(-127, 128, (STEPS, BATCH, 5)).astype(np.int32),
}
EXPECTED = reference(PROGRAM, EVENTS, "all", states=True)


@pytest.fixture(autouse=True)
def every_thread_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the programs are."""
    monkeypatch.setattr(turns, "SMALLEST_SHARE", 1)


def test_the_runs_here_are_no_idle_ones() -> None:
    assert all(0.05 < spikes.mean() < 0.95 for spikes in EXPECTED.spikes.values())


@pytest.mark.parametrize("threads", [1, 2, 3, 50])
@pytest.mark.parametrize("memory", [None, 1, 40_000, 200_000])
def test_threads_and_memory_do_not_change_the_result(threads: int, memory: int | None) -> None:
    found = emulate(PROGRAM, EVENTS, "all", True, threads=threads, memory=memory)
    result = compare(found, EXPECTED)
    assert (result.mismatches, result.compared) == (0, STEPS * BATCH * 404 * 3)


@pytest.mark.parametrize("threads", [2, 3, 9])
@pytest.mark.parametrize("memory", [None, 1])
def test_slices_of_neurons_do_not_change_the_result(threads: int, memory: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer samples than threads, populations are cut: but not those whose sums a negative exponent rounds, or that feed back."""
    monkeypatch.setattr(plan, "SMALLEST_SLICE", 8)
    program, last = make_program(), BATCH - 1
    events = {name: x[:, last:] for name, x in EVENTS.items()}
    found = emulate(program, events, "all", True, threads=threads, memory=memory)
    expected = reference(program, events, "all", True)
    assert compare(found, expected).mismatches == 0
    rows = plan_of(program, threads).rows
    assert len(rows["a"]) == min(threads, 8)
    assert len(rows["x"]) == len(rows["b"]) == 1


def test_a_last_block_of_fewer_samples_than_threads_is_cut_into_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a run then differ in their plans, and fill one recording."""
    monkeypatch.setattr(plan, "SMALLEST_SLICE", 8)
    monkeypatch.setattr(running, "BLOCK", 3)
    found = emulate(make_program(), EVENTS, "all", True, threads=2)
    assert BATCH % 6 == 1
    assert compare(found, EXPECTED).mismatches == 0


def test_a_source_of_rounded_sums_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """-1 >> 1 twice is -2, (-1 - 1) >> 1 is -1."""
    monkeypatch.setattr(plan, "SMALLEST_SLICE", 1)
    nodes = {"x": SpikeInput((2,)), "a": Lif((2,), 4095, 0, 0), "b": Lif((4,), 4095, 0, 2**17), "c": Lif((1,), 4095, 0, 2**17)}
    links = (
        Connection("x", "a", Dense(np.array([[1, 0], [0, 1]], np.int32))),
        Connection("a", "b", Dense(np.full((4, 2), -1, np.int32), -1)),
        Connection("b", "c", Dense(np.ones((1, 4), np.int32))),
    )
    program = Program(nodes, links, {"o": Output("b", "membrane_last")})
    found = emulate(program, {"x": np.ones((1, 1, 2), np.int32)}, "all", True, threads=2)
    assert found.states["b"]["v"].tolist() == [[[-64] * 4]]
    assert [len(plan_of(program, 2).rows[name]) for name in ("a", "b", "c")] == [1, 2, 1]


def test_memory_bounds_the_working_set() -> None:
    """Steps per pass shrink with the setting, down to one; so do samples at once."""
    lengths = [Session(PROGRAM, BATCH, threads=1, memory=memory).longest_chunk for memory in (1, 60_000, 200_000, 1 << 30)]
    assert lengths == sorted(lengths) and lengths[0] == 1 and lengths[1] < lengths[2] < lengths[3]
    made = plan_of(PROGRAM)
    session = Session(PROGRAM, 1, threads=1, memory=200_000)
    lists, scratch = session.lists(session.longest_chunk), session.scratch(session.longest_chunk)
    states = 8 * made.states + 4 * made.earlier
    assert sum(array.nbytes for array in (*lists, *scratch)) + states <= 200_000 + 4096


def test_a_session_goes_on_where_it_stopped() -> None:
    session = Session(PROGRAM, BATCH, "all", True)
    parts, start = [], 0
    for steps in (1, 1, 2, 5, 14):
        parts.append(session.advance({name: x[start : start + steps] for name, x in EVENTS.items()}))
        start += steps
    for name, spikes in EXPECTED.spikes.items():
        np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), spikes)
    for name, states in EXPECTED.states.items():
        np.testing.assert_array_equal(np.concatenate([part.states[name]["v"] for part in parts]), states["v"])


def test_a_session_takes_its_own_batch_only() -> None:
    with pytest.raises(InputError, match="this session runs 3 samples, the events hold 7"):
        Session(PROGRAM, 3).advance(EVENTS)


def test_progress_counts_up_to_all_steps() -> None:
    seen = []
    emulate(PROGRAM, EVENTS, memory=20_000, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 2
    assert seen == sorted(seen) and seen[-1] == (STEPS, STEPS)


def test_progress_is_told_while_many_samples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BLOCK", 2)
    seen = []
    found = emulate(PROGRAM, EVENTS, "all", True, threads=1, progress=lambda *call: seen.append(call))
    assert seen == [(STEPS * done // BATCH, STEPS) for done in (2, 4, 6, 7)]
    assert compare(found, EXPECTED).mismatches == 0


def test_an_interrupt_ends_the_other_threads_too() -> None:
    taken = []

    def work(turns: Iterator[int]) -> bool:
        for item in turns:
            taken.append(item)
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            time.sleep(0.001)
        return False

    with pytest.raises(KeyboardInterrupt):
        in_turns(work, range(10_000), 3)
    assert len(taken) < 1000


def test_small_work_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SMALLEST_SHARE", 1000)
    assert [worth(size, 4) for size in (0, 999, 1000, 2000, 3999, 10**9)] == [1, 1, 1, 2, 3, 4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    assert in_turns(lambda items: [time.sleep(0.01) for _ in items] == 0, range(4), 2) is False
    child = os.fork()
    if child == 0:
        os._exit(in_turns(lambda items: any(time.sleep(0.01) for _ in items), range(4), 2))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_integers_of_any_width_and_any_layout(dtype: type) -> None:
    strided = {name: np.repeat(x, 2, axis=0).astype(dtype)[::2] for name, x in EVENTS.items()}
    found = emulate(PROGRAM, strided, "all", True)
    assert compare(found, EXPECTED).mismatches == 0
    assert all(x.dtype == np.int32 for x in found.events.values())
    flags = emulate(PROGRAM, {"x": EVENTS["x"].astype(bool), "g": EVENTS["g"]}, "all", True)
    assert compare(flags, EXPECTED).mismatches == 0


@pytest.mark.parametrize(
    "name, index, value, message",
    [
        ("x", (0, 0, 0, 0, 0), 2, "events of 'x' hold 2, outside 0..1"),
        ("x", (STEPS - 1, BATCH - 1, 1, 7, 7), -1, "events of 'x' hold -1, outside 0..1"),
        ("x", (3, 3, 1, 2, 3), -(2**31), "outside 0..1"),
        ("g", (5, 6, 4), 128, "events of 'g' hold 128, outside -127..127"),
        ("g", (0, 0, 0), -(2**31), "outside -127..127"),
    ],
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_values_out_of_range_are_refused_wherever_they_stand(name: str, index: tuple, value: int, message: str, dtype: type) -> None:
    events = {n: x.astype(dtype) for n, x in EVENTS.items()}
    events[name][index] = value
    for run in (emulate, reference):
        with pytest.raises(InputError, match=message):
            run(PROGRAM, events)


def test_a_number_that_int32_would_change_is_refused() -> None:
    with pytest.raises(InputError, match="hold 4294967297, outside 0..1"):
        emulate(PROGRAM, {**EVENTS, "x": EVENTS["x"].astype(np.int64) + 2**32 * (EVENTS["x"] != 0)})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": EVENTS["x"].astype(float)}, "float64; backends take integers"),
        ({"x": np.full(EVENTS["x"].shape, np.nan)}, "NaN or infinite"),
        ({"x": EVENTS["x"][:, :3]}, "inputs differ in time or batch"),
        ({"x": EVENTS["x"][0]}, "must have shape"),
        ({"y": EVENTS["x"]}, "inputs must be"),
        ({"x": [[[1], [1, 0]]]}, "input 'x' is no array: "),
    ],
)
def test_other_bad_events_are_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        emulate(PROGRAM, {**EVENTS, **change})


@pytest.mark.parametrize(
    "name, value", [("threads", 0), ("threads", 1.5), ("memory", -1), ("memory", True), ("memory", "1"), ("memory", np.nan)]
)
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} must be a positive integer"):
        emulate(PROGRAM, EVENTS, **{name: value})


def test_unknown_nodes_are_named() -> None:
    with pytest.raises(InputError, match="cannot record 'x'"):
        emulate(PROGRAM, EVENTS, ["x"])


def test_a_plan_is_made_once_and_goes_with_its_program() -> None:
    program = make_program()
    assert plan_of(program) is plan_of(program)
    assert plan_of(program) is not plan_of(PROGRAM)


def test_cores_are_counted() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_the_fingerprint_covers_every_file_of_the_kernel() -> None:
    """Whatever module of this package is compiled must not find old code in the cache once it changes."""
    script = (
        "import sys; import snnfuse.hardware.backends.emulator.plan, snnfuse.hardware.backends.emulator.run_state;"
        "known = set(sys.modules); from snnfuse.hardware.backends.emulator import compilation, entry_points;"
        "print(*(n for n in set(sys.modules) - known if n.startswith('snnfuse')), 'snnfuse.hardware.backends.emulator.records')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name.split(".")[-1] + ".py" for name in done.stdout.split()} == set(machine_code.SOURCES)


def test_numba_is_imported_by_the_first_run_only() -> None:
    script = (
        "import sys, snnfuse.hardware, snnfuse.hardware.backends.emulator.run_state, snnfuse.hardware.backends.emulator.lif;"
        "sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_the_first_run_compiles_and_says_so_and_the_next_process_does_not(tmp_path: Path) -> None:
    script = (
        "import logging; logging.basicConfig(level='INFO', format='%(message)s');"
        "import numpy as np; from snnfuse.hardware import *;"
        "link = Connection('x', 'n', Dense(np.ones((1, 1), int)));"
        "p = Program({'x': SpikeInput((1,)), 'n': Lif((1,), 0, 0, 0)}, (link,), {'o': Output('n')});"
        "assert emulate(p, {'x': np.ones((1, 1, 1), int)}).spikes['o'].all();"
        "import sys; print('numba' in sys.modules)"
    )
    said = []
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        said.append(("compiling" in done.stderr, done.stdout.strip()))
    assert said == [(True, "True"), (False, "False")]


MAKES_ARRAYS = """
import sys
import numpy as np
from snnfuse.hardware.backends.emulator import entry_points
from snnfuse.hardware.backends.emulator.neuron_form import compiled

@compiled
def doubled(x):
    return x + x

def update(inputs, states, parameters, sent):
    kept = np.zeros(sent.size, np.int32)
    for j in range(sent.size):
        kept[j] = doubled(inputs[0, j])
    sent[:] = kept

import ctypes
layout = entry_points.Layout(1, 1, ("none",), True)
address = entry_points.update_address(update, layout)
call = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 6, ctypes.c_int64)(address)
inputs, sent, unused = np.arange(5, dtype=np.int32), np.zeros(5, np.int32), np.zeros(5, np.int32)
result, exception = ctypes.c_void_p(), ctypes.c_void_p()
places = (array.ctypes.data for array in (inputs, unused, unused, sent))
assert call(ctypes.byref(result), ctypes.byref(exception), *places, 5) == 0
assert sent.tolist() == [0, 2, 4, 6, 8], sent
"""


@pytest.mark.slow
def test_an_update_from_outside_may_make_arrays(tmp_path: Path) -> None:
    """Which needs functions of numba's, in a process that loads it too."""
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", MAKES_ARRAYS], env=environment, check=True)
    assert len(list(tmp_path.rglob("*.code"))) == 1


def test_the_library_itself_prints_nothing(capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "snnfuse"):
        emulate(PROGRAM, EVENTS)
    assert capfd.readouterr() == ("", "")


def answer():
    return 42


def compiled_answer() -> int:
    """What a function gives that is compiled in no time, or loaded, as in a new process."""

    def make() -> machine_code.Compiled:
        from snnfuse.hardware.backends.emulator.compilation import compiled_function

        return compiled_function(answer, {}, ())

    address = machine_code.code_address("answer", "", "a test", make)
    result, exception = ctypes.c_int64(0), ctypes.c_void_p()
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(address)
    assert call(ctypes.byref(result), ctypes.byref(exception)) == 0
    return result.value


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled code is kept during a test."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("share", [0, 0.02, 0.5])
def test_compiled_code_that_cannot_be_read_is_discarded_and_made_again(
    cache_folder: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that was killed, or a full disk, leaves empty or truncated files."""
    caplog.set_level(logging.INFO, "snnfuse")
    assert compiled_answer() == 42
    assert "compiling a test" in caplog.text
    (file,) = cache_folder.rglob("*.code")
    os.truncate(file, int(file.stat().st_size * share))
    caplog.clear()
    assert compiled_answer() == 42
    assert "discarding compiled code of a test" in caplog.text and "compiling a test" in caplog.text
    caplog.clear()
    assert compiled_answer() == 42
    assert caplog.text == ""


def test_a_folder_that_is_full_is_no_error(cache_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(machine_code.os, "replace", full)
    with caplog.at_level(logging.INFO, "snnfuse"):
        assert compiled_answer() == 42
    assert "compiled code of a test is not kept" in caplog.text and "No space left" in caplog.text
    assert not [path for path in cache_folder.rglob("*") if path.is_file()]


def test_where_nothing_can_be_kept_the_kernel_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only installation of a user without a home."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", f"{os.devnull}/folder")
    with caplog.at_level(logging.INFO, logger="snnfuse"):
        assert compiled_answer() == 42
    assert "set NUMBA_CACHE_DIR" in caplog.text


@pytest.mark.slow
def test_the_build_for_fuzzing_finds_an_index_out_of_its_array(tmp_path: Path) -> None:
    script = (
        "import numpy as np; from snnfuse.hardware import *;"
        "from snnfuse.hardware.backends.emulator.run_state import plan_of;"
        "link = Connection('x', 'n', Dense(np.ones((3, 4), int)));"
        "p = Program({'x': SpikeInput((4,)), 'n': Lif((3,), 0, 0, 0)}, (link,), {'o': Output('n')});"
        "events = {'x': np.ones((2, 1, 4), int)};"
        "assert emulate(p, events, threads=1).spikes['o'].all();"
        "plan_of(p).tables.connections['weights'] = 10**6; emulate(p, events, threads=1)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SNNFUSE_EMULATOR_BOUNDSCHECK": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == "IndexError: index is out of bounds"


CODE_OF_SEVERAL_PROCESSES = """
import sys
import numpy as np
from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.backends import reference

rng = np.random.default_rng(0)
events = {"x": (rng.random((30, 2, 80)) < 0.4).astype(np.int32)}
for reset, sent in (word.split("/") for word in sys.argv[1:]):
    source = GradedInput((80,), 8, 1.0) if sent == "numbers" else SpikeInput((80,))
    link = Connection("x", "l", Dense(2 * rng.integers(-60, 100, (80, 80))))
    program = Program({"x": source, "l": Lif((80,), 1000, 300, 100, reset=reset)}, (link,), {"o": Output("l")})
    expected, found = (run(program, events, "all").spikes["l"] for run in (reference.emulate, emulate))
    assert expected.any() and (expected == found).all(), (reset, sent)
"""


@pytest.mark.slow
def test_code_that_several_processes_kept_is_told_apart(tmp_path: Path) -> None:
    """One process loads what two others have compiled: neurons of one class with other rules, connections of one kind."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for cases in (["zero/spikes"], ["subtract/numbers"], ["zero/spikes", "subtract/numbers"]):
        command = [sys.executable, "-c", CODE_OF_SEVERAL_PROCESSES, *cases]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{cases}: {done.stderr}"
