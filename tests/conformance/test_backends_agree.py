"""Every backend equals the reference in every spike and every state of every node, for random programs that visit every corner."""

from pathlib import Path

import numpy as np
import pytest
from counterexamples import KEPT, Counterexamples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs import Case, beside, cases

from snnfuse.hardware import Connection, Dense, Lif, Output, Product, Program, Relay, SpikeInput
from snnfuse.hardware.backends import registry as backends
from snnfuse.hardware.backends import verify
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.ir import graded
from snnfuse.hardware.ir.fixed_point import to_int32
from snnfuse.hardware.overflow.observed import payloads, state_peaks
from snnfuse.testing.cases import BitExact
from snnfuse.testing.storing import read_case

FAST = tuple(name for name in backends.BACKENDS if name not in ("reference", "lava"))
COMMON = {"deadline": None, "database": None, "report_multiple_bugs": False, "suppress_health_check": list(HealthCheck)}
FIXED = settings(derandomize=True, max_examples=100, **COMMON)  # the same programs each time
MANY = settings(max_examples=10_000, **COMMON)  # others each time
SHRUNK = [Phase.generate, Phase.shrink]  # but not explained, which takes longer than both
TOGETHER = 6  # programs in one run of Lava
KINDS = {"lif": Lif((2,), 4095, 0, 3), "sub": Lif((2,), 4095, 0, 3, reset="subtract"), "relay": Relay((2,)), "product": Product((2,))}


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Counterexamples:
    """Where this test leaves the smallest program that it fails for."""
    return Counterexamples(KEPT, request.node.name)


@pytest.mark.parametrize("backend", FAST)
@FIXED
@given(case=cases())
def test_a_fast_backend_equals_the_reference(backend: str, kept: Counterexamples, case: Case) -> None:
    kept.require_equal(case, backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", FAST)
@MANY
@given(case=cases())
def test_a_fast_backend_equals_the_reference_10000_times(backend: str, kept: Counterexamples, case: Case) -> None:
    kept.require_equal(case, backend)


@st.composite
def together(draw: st.DrawFn) -> Case:
    """Programs of the same time and batch side by side, for a start of Lava costs more than a run."""
    size = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    return beside([draw(cases(*size, prefix=f"p{i}_")) for i in range(draw(st.sampled_from([1] + [TOGETHER] * 9)))])


@pytest.mark.usefixtures("lava")
@settings(FIXED, max_examples=3)
@given(case=together())
def test_lava_equals_the_reference(kept: Counterexamples, case: Case) -> None:
    kept.require_equal(case, "lava")


@pytest.mark.slow
@pytest.mark.usefixtures("lava")
@settings(MANY, max_examples=64)
@given(case=together())
def test_lava_equals_the_reference_300_times(kept: Counterexamples, case: Case) -> None:
    kept.require_equal(case, "lava")


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("backend", (*FAST, "lava"))
@pytest.mark.parametrize("folder", sorted(KEPT.iterdir()), ids=lambda folder: folder.name)
def test_what_once_differed_is_equal(folder: Path, backend: str) -> None:
    case = read_case(folder)
    assert BitExact(case.program, case.events, backend).problem() is None


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("backend", (*FAST, "lava"))
def test_recordings_hold_the_same_types(backend: str) -> None:
    one = Dense(np.ones((2, 2), np.int32))
    links = [Connection("in", name, one) for name in KINDS] + [Connection("in", "product", one, port=1)]
    program = Program({"in": SpikeInput((2,)), **KINDS}, tuple(links), {"out": Output("lif")})
    run = backends.run_on(backend, program, {"in": np.ones((3, 2, 2), np.int32)}, "all", states=True).recording
    spikes = {"lif": np.bool_, "out": np.bool_, "sub": np.bool_, "relay": np.int32, "product": np.int32}
    assert {name: (values.dtype, values.shape) for name, values in run.spikes.items()} == {n: (t, (3, 2, 2)) for n, t in spikes.items()}
    assert {name: {k: v.dtype for k, v in of.items()} for name, of in run.states.items()} == {
        name: {"u": np.int32, "v": np.int32} for name in ("lif", "sub")
    }


@pytest.mark.slow
def test_a_fault_is_found_shrunk_kept_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose products are not shifted."""

    def unshifted(node: Product, a0: np.ndarray, a1: np.ndarray) -> np.ndarray:
        return to_int32(a0.astype(np.int64) * a1)

    def faulty(backend: str, program: Program, events: dict, record: str, **options: bool) -> backends.Run:
        with monkeypatch.context() as patch:
            patch.setattr(graded, "product", unshifted)
            return backends.Run(emulate(program, events, record, options["states"]), 0.0)

    kept = Counterexamples(tmp_path, "fault")
    hunt = settings(FIXED, max_examples=200, phases=SHRUNK)(given(case=cases(most=1))(lambda case: kept.require_equal(case, "emulator")))
    with monkeypatch.context() as patch:
        patch.setattr(verify, "run_on", faulty)
        with pytest.raises(AssertionError, match="the emulator differs from the reference in 1 of .* spikes"):
            hunt()
        (folder,) = tmp_path.iterdir()
        case = read_case(folder)
        assert case.problem() is not None
    assert case.problem() is None
    assert sorted(type(node).__name__ for node in case.program.neurons.values()) == ["Product"]
    assert {events.shape[:2] for events in case.events.values()} == {(1, 1)}


def test_the_programs_are_no_idle_ones() -> None:
    """Otherwise the tests above would compare zeros: populations fire, currents wrap, voltages clip, products wrap."""
    alive: dict[str, list[bool]] = {}
    wraps = clips = lost = 0

    @settings(FIXED, max_examples=150)
    @given(case=cases())
    def look(case: Case) -> None:
        nonlocal wraps, clips, lost
        run = emulate(case.program, case.events, "all", states=True)
        for name, node in case.program.neurons.items():
            alive.setdefault(type(node).__name__, []).append(bool(run.spikes[name].any()))
        peaks = state_peaks(case.program, case.events, run).values()
        wraps, clips = wraps + sum(p.wraps for p in peaks), clips + sum(p.clipped_low + p.clipped_high for p in peaks)
        lost += sum(p.wraps + p.beyond for p in payloads(case.program, case.events, run).values())

    look()
    assert set(alive) == {"Lif", "Relay", "Product", "InverseRoot", "Maximum", "AlphaLif"} and all(
        np.mean(fired) > 0.3 for fired in alive.values()
    )
    assert min(wraps, clips, lost) > 200
