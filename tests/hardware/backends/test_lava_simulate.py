"""A Lava run ends, whatever happens, and nothing is left of it: no process, no shared memory, no file."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, Lif, Output, Product, Program, Relay, SpikeInput, compare, emulate
from snnfuse.hardware.backends.lava import child, compat, default_time_limit, require_lava, simulate_on_lava
from snnfuse.hardware.backends.lava.child import job_folder, run_module
from snnfuse.hardware.errors import EnvironmentProblem, InputError

require_lava()  # fails with the command that installs it

PROC = Path("/proc")
PROGRAM = Program(
    {"in": SpikeInput((3,)), "a": Lif((2,), 4095, 100, 3)},
    (Connection("in", "a", Dense(np.array([[2, 4, 6], [-2, 8, 10]], np.int32))),),
    {"out": Output("a")},
)


def events(steps: int = 5, batch: int = 2) -> dict[str, np.ndarray]:
    return {"in": np.random.default_rng(0).integers(0, 2, (steps, batch, 3)).astype(np.int32)}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where this test's runs put their files: a short path, for sockets are among them."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


@pytest.fixture
def no_spare() -> Iterator[None]:
    """Nothing is left of runs before, and this test's child is its own."""
    child._dismiss_spare()
    yield
    child._dismiss_spare()


def statistics() -> Iterator[tuple[Path, int, int]]:
    """Every process with its parent and its session."""
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            state, parent, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z":
                yield process, int(parent), int(session)


def sessions(parent: int) -> set[int]:
    """What a process has started in sessions of their own: Lava's children."""
    return {session for process, of, session in statistics() if of == parent and session == int(process.name)}


def running(led: set[int]) -> list[Path]:
    """The live processes of some sessions, Lava's and its manager of shared memory among them."""
    return [process for process, _, session in statistics() if session in led]


def shared_memory(processes: list[Path]) -> set[Path]:
    """Segments that processes have mapped."""
    segments = set()
    for process in processes:
        try:
            lines = (process / "maps").read_text().splitlines()
        except OSError:
            continue
        segments |= {Path(line.split()[5]) for line in lines if "/dev/shm/psm" in line}
    return segments


def wait_for(condition, seconds: float = 90.0):  # noqa: ANN001, ANN201
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


LONG_RUN = """
import signal
import numpy as np
from snnfuse.hardware import Connection, Dense, Lif, Output, Product, Program, Relay, SpikeInput
from snnfuse.hardware.backends.lava import simulate_on_lava
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with interrupts ignored
into, square = Dense(np.full((2, 3), 2, np.int32)), Dense(np.full((2, 2), 2, np.int32))
nodes = {"in": SpikeInput((3,)), "sum": Relay((2,)), "product": Product((2,), 9), "a": Lif((2,), 4095, 100, 3)}
links = [Connection("in", "sum", into), Connection("sum", "sum", square), Connection("product", "a", square)]
links += [Connection("sum", "product", square, port=port) for port in (0, 1)]
program = Program(nodes, tuple(links), {"out": Output("a")})
simulate_on_lava(program, {"in": np.ones((400000, 1, 3), np.int32)}, timeout=LIMIT)
"""


def start_long_run(folder: Path, limit: float) -> subprocess.Popen:
    code = LONG_RUN.replace("LIMIT", str(limit))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(folder)}, **pipes)


@pytest.mark.skipif(not PROC.is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [pytest.param("time limit", marks=pytest.mark.slow), "interrupt", "killed parent"])
def test_a_run_cut_short_leaves_nothing(how: str, temporary: Path) -> None:
    parent = start_long_run(temporary, limit=20 if how == "time limit" else 500)
    led = wait_for(lambda: sessions(parent.pid))
    wait_for(lambda: len(running(led)) >= 6)  # itself, the job, its manager of shared memory, and Lava's
    segments = wait_for(lambda: shared_memory(running(led)))
    assert list(temporary.iterdir())
    if how != "time limit":
        parent.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
    output, errors = parent.communicate(timeout=60)
    wait_for(lambda: not running(led), 10)
    wait_for(lambda: not any(segment.exists() for segment in segments), 10)
    wait_for(lambda: not list(temporary.iterdir()), 10)
    assert output == "" and parent.returncode != 0
    if how == "time limit":
        assert "EnvironmentProblem: Lava, running 400000 steps, did not end within its time limit of 20 s; raise it" in errors
    if how == "interrupt":
        assert errors.strip().endswith("KeyboardInterrupt")


def test_a_time_limit_is_exit_code_6_and_says_how_to_raise_it(temporary: Path, monkeypatch: pytest.MonkeyPatch, no_spare: None) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(EnvironmentProblem, match=r"time limit of 0.2 s; raise it with timeout=10") as caught:
        simulate_on_lava(PROGRAM, events(), timeout=0.2)
    assert caught.value.exit_code == 6 and not list(temporary.iterdir())


FAILING = """
from snnfuse.hardware.backends.lava import recorders, stock
from snnfuse.hardware.backends.lava.worker import main, prepare

def broken_step(self):
    if self.time_step == 3:
        raise ValueError("the third step")
    recorders.Tapped.run_spk(self)

def broken_start(self, parameters):
    raise ValueError("the start")

tapped = recorders.tapped(stock.PyLifResetModelBitAcc)
tapped.WHERE
"""


@pytest.mark.parametrize("where, what", [("run_spk = broken_step", "the third step"), ("__init__ = broken_start", "the start")])
def test_a_lava_process_that_raises_ends_the_run_with_its_last_line(
    where: str, what: str, temporary: Path, monkeypatch: pytest.MonkeyPatch, no_spare: None
) -> None:
    """Lava alone would wait for it for ever."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (temporary / "modules").mkdir()
    (temporary / "modules" / "failing_worker.py").write_text(FAILING.replace("WHERE", where))
    monkeypatch.syspath_prepend(str(temporary / "modules"))
    monkeypatch.setattr("snnfuse.hardware.backends.lava.simulate.WORKER", "failing_worker")
    with pytest.raises(EnvironmentProblem, match=f"failed: ValueError: {what}$"):
        simulate_on_lava(PROGRAM, events(), timeout=100)
    assert [entry.name for entry in temporary.iterdir()] == ["modules"]
    assert not sessions(os.getpid())


UNCLEARED = """
from snnfuse.hardware.backends.lava import network
from snnfuse.hardware.backends.lava.worker import main, prepare
network._resets = lambda *_: ()
"""


def test_an_accumulator_begins_each_sample_at_zero_because_its_synapse_is_cleared(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else has to be: without the reset each sample goes on from where the one before ended, and nothing more."""
    one = Dense(np.ones((1, 1), np.int32))
    nodes = {"in": SpikeInput((1,)), "sum": Relay((1,)), "square": Product((1,))}
    links = (Connection("in", "sum", one), Connection("sum", "sum", one))
    program = Program(nodes, (*links, *(Connection("sum", "square", one, port=port) for port in (0, 1))), {})
    fed = {"in": np.ones((4, 3, 1), np.int32)}
    cleared = simulate_on_lava(program, fed, "all").spikes
    assert cleared["sum"][..., 0].T.tolist() == [[1, 2, 3, 4]] * 3
    assert cleared["square"][..., 0].T.tolist() == [[1, 4, 9, 16]] * 3
    (temporary / "uncleared_worker.py").write_text(UNCLEARED)
    monkeypatch.syspath_prepend(str(temporary))
    monkeypatch.setattr("snnfuse.hardware.backends.lava.simulate.WORKER", "uncleared_worker")
    left = simulate_on_lava(program, fed, "all").spikes
    assert left["sum"][..., 0].T.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]


def test_a_child_that_says_nothing_is_reported_by_its_exit_code(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    (temporary / "silent.py").write_text("import os\nprepare, main = bool, lambda folder: os._exit(9)")
    monkeypatch.syspath_prepend(str(temporary))
    with job_folder() as folder, pytest.raises(EnvironmentProblem, match="^it failed: exit code 9$"):
        run_module("silent", folder, 30, "it")


def test_lava_missing_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    def missing(name: str) -> str:
        raise compat.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(compat.importlib.metadata, "version", missing)
    with pytest.raises(EnvironmentProblem, match="Lava is not installed"):
        simulate_on_lava(PROGRAM, events())
    assert not list(temporary.iterdir())


def test_nothing_is_printed_and_what_was_not_asked_for_is_not_recorded(capfd: pytest.CaptureFixture[str]) -> None:
    recording = simulate_on_lava(PROGRAM, events())
    assert set(recording.spikes) == {"a", "out"} and recording.states == {} and recording.backend == "lava"
    assert capfd.readouterr() == ("", "")


JOBS = """
import os, sys, time
def prepare():
    open(os.environ["PREPARED"], "a").write(f"{os.getpid()}\\n")
def main(folder):
    (folder / "found").write_text(f"{os.getppid()} {os.environ.get('COLOUR')} {os.environ['TMPDIR']} {hasattr(sys, 'mark')}")
    sys.mark = True
    time.sleep(float(os.environ.get("SLEEP", 0)))
    if "FAILS" in os.environ:
        sys.exit(os.environ["FAILS"])
"""


@pytest.fixture
def jobs(temporary: Path, monkeypatch: pytest.MonkeyPatch, no_spare: None) -> Iterator[Path]:
    """A module that tells where it runs; the file that names the processes which prepared it."""
    (temporary / "telling_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(temporary))
    monkeypatch.setenv("PREPARED", str(temporary / "prepared"))
    yield temporary / "prepared"
    child._dismiss_spare()


def run_job(timeout: float = 60) -> list[str]:
    """Its child, a variable of the environment, its folder for temporary files, and whether a run before has left a mark."""
    with job_folder() as folder:
        run_module("telling_jobs", folder, timeout, "it")
        found = (folder / "found").read_text().split()
        assert found.pop(2) == str(folder)
        return found


def test_one_child_runs_job_after_job_and_none_finds_another(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_job()
    monkeypatch.setenv("COLOUR", "blue")
    second = run_job()
    assert first == [second[0], "None", "False"] and second[1:] == ["blue", "False"]
    assert jobs.read_text().split() == [first[0]] and sessions(os.getpid()) == {int(first[0])}


def test_a_job_that_fails_or_takes_too_long_ends_its_child(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_job()
    ends = (("FAILS", "no", "it failed: SystemExit: no"), ("SLEEP", "30", "did not end within its time limit of 1 s"))
    for variable, value, what in ends:
        with monkeypatch.context() as patch, pytest.raises(EnvironmentProblem, match=what):
            patch.setenv(variable, value)
            run_job(timeout=1 if variable == "SLEEP" else 60)
        assert not sessions(os.getpid())
        run_job()
    assert len(set(jobs.read_text().split())) == 3


def test_a_child_is_kept_for_the_import_path_that_it_was_started_with(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_job()
    monkeypatch.syspath_prepend(str(jobs.parent / "more"))
    assert run_job()[0] != first[0] and len(sessions(os.getpid())) == 1


def test_jobs_at_the_same_time_have_children_of_their_own_and_one_is_kept(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEP", "2")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: run_job()[0], range(2)))
    assert len(set(found)) == 2 and len(sessions(os.getpid())) == 1


def test_a_child_that_died_or_waited_too_long_is_replaced(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_job()[0]
    os.kill(int(first), signal.SIGKILL)
    wait_for(lambda: not sessions(os.getpid()))
    second = run_job()[0]
    monkeypatch.setattr(child, "SPARE_S", 0.0)
    third = run_job()[0]
    assert len({first, second, third}) == 3
    wait_for(lambda: not sessions(os.getpid()), 10)  # it ends by itself


def test_a_forked_process_keeps_no_child_of_its_parent_alive(jobs: Path) -> None:
    """Its copies of the pipes would."""
    first = run_job()[0]
    forked = os.fork()
    if not forked:
        time.sleep(60)
        os._exit(0)
    try:
        child._dismiss_spare()
        assert not (PROC / first).exists()
    finally:
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


KILLED = """
import os, signal
from snnfuse.hardware.backends.lava.child import job_folder, run_module
with job_folder() as folder:
    run_module("telling_jobs", folder, 60, "it")
END
"""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", ""])
def test_a_child_that_waits_ends_with_its_parent(jobs: Path, end: str) -> None:
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLED.replace("END", end)], env={**os.environ, **paths}, capture_output=True, timeout=60
    )
    assert done.returncode == (-signal.SIGKILL if "SIGKILL" in end else 0) and done.stderr == b""
    wait_for(lambda: not (PROC / jobs.read_text().strip()).exists(), 10)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_runs_inside_a_daemonic_worker_as_data_loaders_have_them(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        recording = pool.apply(simulate_on_lava, (PROGRAM, events()))
    assert compare(emulate(PROGRAM, events()), recording).mismatches == 0


@pytest.mark.parametrize("steps, batch", [(1, 1), (1, 5), (2, 3)])
def test_windows_as_short_as_one_step(steps: int, batch: int) -> None:
    program = Program(
        {"in": SpikeInput((3,)), "a": Lif((2,), 0, 100, 3, bias_mant=100), "b": Lif((2,), 0, 0, 2, bias_mant=90)},
        (
            Connection("in", "a", PROGRAM.connections[0].synapse),
            Connection("a", "b", Dense(np.array([[40, 2], [8, 60]], np.int32)), delay=5),
            Connection("b", "b", Dense(np.array([[-4, 2], [8, -6]], np.int32))),
        ),
        {"out": Output("b", "membrane_sum")},
    )
    given = events(steps, batch)
    result = compare(emulate(program, given, "all", True), simulate_on_lava(program, given, "all", True))
    assert result.mismatches == 0
    assert result.by_variable == {"spikes": (4 * steps * batch, 0), "u": (4 * steps * batch, 0), "v": (4 * steps * batch, 0)}


def test_wrong_arguments_are_refused_before_lava_starts() -> None:
    with pytest.raises(InputError, match="time limit must be positive, not 0"):
        simulate_on_lava(PROGRAM, events(), timeout=0)
    with pytest.raises(InputError, match="time limit must be positive, not 'a'"):
        simulate_on_lava(PROGRAM, events(), timeout="a")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot record 'b'"):
        simulate_on_lava(PROGRAM, events(), record="b")
    with pytest.raises(InputError, match="hold 2, outside 0..1"):
        simulate_on_lava(PROGRAM, {"in": np.full((2, 1, 3), 2)})


def test_the_default_limit_grows_with_the_run() -> None:
    assert default_time_limit(PROGRAM, 1000) > default_time_limit(PROGRAM, 10) > 60


STRAYS = """
import os, subprocess, sys, time
prepare = bool
def main(folder):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(300)"
    stray = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    stray.stdout.readline()
    open(os.environ["STRAY"], "w").write(str(stray.pid))
    time.sleep(float(os.environ["SLEEP"]))
"""
STRAY_PARENT = """
from snnfuse.hardware.backends.lava.child import job_folder, run_module
with job_folder() as folder:
    run_module("stray_jobs", folder, 60, "it")
"""


@pytest.mark.skipif(not PROC.is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "how", [pytest.param("ends", marks=pytest.mark.slow), pytest.param("time limit", marks=pytest.mark.slow), "killed parent"]
)
def test_what_a_job_started_in_a_session_of_its_own_ends_with_it(
    how: str, temporary: Path, monkeypatch: pytest.MonkeyPatch, no_spare: None
) -> None:
    """Even if it takes no SIGTERM."""
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    (temporary / "stray_jobs.py").write_text(STRAYS)
    monkeypatch.syspath_prepend(str(temporary))
    monkeypatch.setenv("STRAY", str(temporary / "stray"))
    monkeypatch.setenv("SLEEP", "0" if how == "ends" else "60")
    if how == "killed parent":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        parent = subprocess.Popen([sys.executable, "-c", STRAY_PARENT], env=environment)
        wait_for(lambda: (temporary / "stray").exists() and (temporary / "stray").read_text())
        parent.kill()
        parent.wait()
    else:
        with job_folder() as folder, suppress(EnvironmentProblem):
            run_module("stray_jobs", folder, 3, "it")
    stray = PROC / (temporary / "stray").read_text() / "stat"
    wait_for(lambda: not stray.exists() or ") Z" in stray.read_text(), 10)


def test_a_run_clears_up_after_one_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, running, other = (tmp_path / f"snnfuse-lava-{name}" for name in (f"{gone.pid}-x", f"{os.getpid()}-x", "x"))
    for folder in (left, running, other):
        folder.mkdir()
        (folder / "job.json").write_text("{}")
    with job_folder() as folder:
        assert folder.parent == tmp_path and not left.exists() and running.exists() and other.exists()
    assert not folder.exists()
