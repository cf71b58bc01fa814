"""Pipelines: programs in a row with a host between them, against the same written out, on every backend; and their rules."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, SpikeInput, compare
from snnfuse.hardware.backends import reference
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.backends.verify import verify
from snnfuse.hardware.errors import InputError, SaturationWarning, VerificationError, WindowWarning
from snnfuse.hardware.ir.host_steps import Normalise
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ir.pipeline_storage import FILE, pipeline_text, read_links

L2 = Link("embedding", 0, "spikes", "mean", (Normalise(4.0),))


def even(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.integers(-100, 127, shape) * 2).astype(np.int32)


def layer(rng: np.random.Generator, source: SpikeInput | GradedInput, name: str, out: int, decoder: str = "spike_count") -> Program:
    lif = Lif((out,), du=4095, dv=1024, vth=200 if decoder == "spike_count" else 2**17)
    exponent = -3 if isinstance(source, GradedInput) else 0
    weights = Dense(even(rng, out, int(np.prod(source.shape))), exponent)
    return Program({name: source, "n": lif}, (Connection(name, "n", weights),), {"spikes": Output("n", decoder)})


def pipeline(link: Link = L2, decoder: str = "spike_count") -> Pipeline:
    rng = np.random.default_rng(3)
    first = layer(rng, SpikeInput((6,)), "x", 5, decoder)
    second = layer(rng, GradedInput((5,), 12, 4.0 / 2047), "embedding", 3)
    return Pipeline((first, second), (link,))


def spikes(time: int = 9, batch: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (time, batch, 6))


@pytest.mark.parametrize("backend", ["reference", "emulator", "torch"])
def test_every_stage_is_the_reference_fed_by_hand(backend: str) -> None:
    net, x = pipeline(), spikes()
    run = run_pipeline(net, net.encode(x), backend, "all", True)
    first = reference.emulate(net.programs[0], {"x": x}, "all", True)
    counts = first.spikes["spikes"].sum(0).astype(float)
    norm = np.sqrt((counts**2).sum(1, keepdims=True))
    held = np.rint(np.divide(4 * counts, norm, out=np.zeros_like(counts), where=norm > 0) / (4.0 / 2047))
    fed = np.broadcast_to(held, (9, 4, 5)).astype(np.int32)
    second = reference.emulate(net.programs[1], {"embedding": fed}, "all", True)
    for recording, expected in zip(run.recordings, (first, second)):
        assert compare(recording, expected).mismatches == 0
    assert second.spikes["spikes"].any() and (run.recordings[1].events["embedding"] == fed).all()
    assert (net.decode(run.recordings) == second.spikes["spikes"].sum(0).argmax(1)).all()


def test_lava_runs_every_stage() -> None:
    net, x = pipeline(), spikes(time=5, batch=2)
    run, expected = (run_pipeline(net, net.encode(x), backend, "all", True) for backend in ("lava", "reference"))
    for found, wanted in zip(run.recordings, expected.recordings):
        assert compare(found, wanted).mismatches == 0


def test_voltages_are_carried_in_their_unit() -> None:
    net = pipeline(replace(L2, unit=1 / 640, steps=()), "membrane_sum")
    with pytest.warns(SaturationWarning, match="'embedding'"):
        run = run_pipeline(net, net.encode(spikes()))
    v, fed = run.recordings[0].states["n"]["v"], run.recordings[1].events["embedding"]
    assert (fed[0] == np.clip(np.rint((v / 640).mean(0) / (4.0 / 2047)), -2047, 2047)).all() and fed.any()


@pytest.mark.parametrize("time, rounded", [(1, False), (3, False), (9, False), (4, True), (18, True)])
def test_a_mean_over_another_window_is_rounded_and_says_so(time: int, rounded: bool) -> None:
    """The second stage's input was made for means over 9 steps, in units of a ninth."""
    net = pipeline(replace(L2, steps=()))
    second = replace(net.programs[1], nodes={**net.programs[1].nodes, "embedding": GradedInput((5,), 5, 1 / 9)})
    net = replace(net, programs=(net.programs[0], second))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = run_pipeline(net, net.encode(spikes(time)))
    assert [w.category for w in caught] == [WindowWarning] * rounded
    assert not rounded or f"a mean over {time} steps is rounded to multiples of 1/9" in str(caught[0].message)
    exact = run.recordings[1].events["embedding"] * time == 9 * run.recordings[0].spikes["spikes"].sum(0)
    assert exact.all() != rounded


def test_a_later_stage_may_read_inputs_again() -> None:
    rng = np.random.default_rng(2)
    first = layer(rng, SpikeInput((6,)), "x", 5)
    second = layer(rng, GradedInput((5,), 8, 1.0), "embedding", 3)
    links = (*second.connections, Connection("x", "n", Dense(even(rng, 3, 6))))
    both = replace(second, nodes={**second.nodes, "x": SpikeInput((6,))}, connections=links)
    net = Pipeline((first, both), (Link("embedding", 0, "spikes", "count"),))
    assert list(net.inputs) == ["x"]
    run = run_pipeline(net, net.encode(spikes()))
    fed = run.recordings[1].events
    assert (fed["x"] == spikes()).all() and (fed["embedding"] == run.recordings[0].spikes["spikes"].sum(0)).all()


@pytest.mark.parametrize("time, batch", [(5, 4), (9, 3)])
def test_inputs_of_different_windows_are_refused_before_any_stage_runs(time: int, batch: int) -> None:
    rng = np.random.default_rng(2)
    first, second = layer(rng, SpikeInput((6,)), "x", 5), layer(rng, GradedInput((5,), 8, 1.0), "embedding", 3)
    links = (*second.connections, Connection("y", "n", Dense(even(rng, 3, 6))))
    net = Pipeline((first, replace(second, nodes={**second.nodes, "y": SpikeInput((6,))}, connections=links)),
                   (Link("embedding", 0, "spikes", "count"),))  # fmt: skip
    for events in ({"y": spikes(time, batch), "x": spikes()}, {"x": spikes(), "y": spikes(time, batch)}):
        with pytest.raises(InputError, match="inputs differ in time or batch"):
            run_pipeline(net, events)


def test_golden_recordings_are_verified_stage_by_stage() -> None:
    net = pipeline()
    golden = run_pipeline(net, net.encode(spikes()), record="all", states=True).recordings
    checks = list(verify(net, golden, ("emulator", "torch")))
    assert [check.backend for check in checks] == ["emulator, stage 1", "emulator, stage 2", "torch, stage 1", "torch, stage 2"]
    assert all(check.passed and check.comparison.compared for check in checks)
    fed = {"embedding": golden[1].events["embedding"] + 1}
    with pytest.raises(VerificationError, match="stage 2: the golden events of 'embedding'"):
        list(verify(net, (golden[0], replace(golden[1], events=fed)), ("emulator",)))
    flipped = {name: ~values for name, values in golden[1].spikes.items()}
    failed = list(verify(net, (golden[0], replace(golden[1], spikes=flipped)), ("emulator",)))
    assert [check.passed for check in failed] == [True, False]


def test_wiring_is_stored_and_read_back(tmp_path) -> None:  # noqa: ANN001
    links = (L2, Link("counts", 1, "b", "count", (), 0.25), Link("again", 0, "c", "steps"))
    (tmp_path / FILE).write_text(pipeline_text(links, 3))
    assert read_links(tmp_path) == (links, ("stage1", "stage2", "stage3"))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"mean"', '"median"', "reduction 'median' is none of count, mean, steps"),
        ('"Normalise"', '"Exec"', 'links\\[0\\]: steps\\[0\\]: type is "Exec", none of Normalise'),
        ('"scale": 4.0', '"scale": -4.0', "scale must be positive"),
        ('"unit": 1.0', '"unit": "1"', "links\\[0\\]: unit: expected a finite number"),
        ('"unit": 1.0', f'"unit": 1{390 * "0"}', "links\\[0\\]: unit: expected a finite number, found 1000.{0,100}$"),
        ('"stage1"', '"../stage1"', "stages must be stage1"),
        ('"snnfuse pipeline"', '"other"', "format and version"),
        ('"output"', '"outlet"', "output: missing"),
    ],
)
def test_damaged_wiring_is_named(tmp_path, old: str, new: str, message: str) -> None:  # noqa: ANN001
    (tmp_path / FILE).write_text(pipeline_text((L2,), 2).replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_links(tmp_path)
    assert FILE in str(caught.value)


@pytest.mark.parametrize(
    "links, message",
    [
        ((replace(L2, stage=2),), "reads stage 2, but the stages are 0 to 1"),
        ((replace(L2, output="n2"),), "reads 'n2'; the outputs of stage 0 are spikes"),
        ((replace(L2, name="other"),), "must be read by a stage after 0"),
        ((replace(L2, stage=1),), "must be read by a stage after 1, and by none before"),
        ((L2, L2), "carry the same name"),
    ],
)
def test_links_that_carry_nothing_are_refused(links: tuple[Link, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline(pipeline().programs, links)


def test_shapes_inputs_and_events_must_fit() -> None:
    rng = np.random.default_rng(0)
    first, second = layer(rng, SpikeInput((6,)), "x", 5), layer(rng, GradedInput((4,), 12, 1.0), "embedding", 3)
    with pytest.raises(InputError, match=r"carries values of shape \(5,\), but stage 1 takes \(4,\)"):
        Pipeline((first, second), (L2,))
    with pytest.raises(InputError, match="declared differently by two stages"):
        Pipeline((first, layer(rng, GradedInput((6,), 12, 1.0), "x", 3)), ())
    with pytest.raises(InputError, match="events must be of 'x', not 'y'"):
        run_pipeline(pipeline(), {"y": spikes()})
    with pytest.raises(InputError, match="at least one program"):
        Pipeline((), ())
