"""What the host takes and refuses at both ends, value by value, and what its messages say."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Dense, Diagonal, GradedInput, Lif, Output, Program, Relay, SpikeInput
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir import encoding
from snnfuse.hardware.ir.bias_input import BiasedLif, BiasInput
from snnfuse.hardware.ir.encoding import as_inputs, check_events, decode, encode, integer_events, saturated, scores, values
from snnfuse.hardware.ir.projected_input import ProjectedInput
from snnfuse.hardware.ir.recording import Recording

NODES = {"x": GradedInput((2, 3), 5, 0.5), "s": SpikeInput((4,))}


def program(outputs: dict[str, Output] | None = None, **nodes: Any) -> Program:
    into = {"x": Dense(np.full((6, 6), 2)), "s": Dense(np.full((6, 4), 2))}
    given = {"n": Lif((2, 3), 4095, 0, 1), "m": Lif((2, 3), 4095, 0, 1), "r": Relay((6,))}
    links = (*(Connection(name, "n", group) for name, group in into.items()), Connection("n", "m", Diagonal(np.full(6, 2))))
    links += (Connection("n", "r", Diagonal(np.full(6, 2))),)
    return Program({**NODES, **given, **nodes}, links, outputs or {"o": Output("n")})


def given(**changed: Any) -> dict[str, Any]:
    return {"x": np.zeros((4, 2, 2, 3)), "s": np.zeros((4, 2, 4)), **changed}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 2, 4)), "this network has 2 inputs: give a dictionary with 'x', 's'"),
        ({"x": np.zeros((4, 2, 2, 3))}, "inputs must be 'x', 's', not 'x'"),
        ({}, "inputs must be 'x', 's', not empty"),
        (given(s=np.zeros((4, 2, 5))), r"input 's' must have shape \(time, batch, 4\), not \(4, 2, 5\)$"),
        (given(x=np.zeros((4, 2, 6))), r"input 'x' must have shape \(time, batch, 2, 3\), not \(4, 2, 6\)$"),
        (given(s=np.zeros((4,))), r"not \(4,\)$"),
        (given(x=np.zeros((4, 2, 9, 3))), r"not \(4, 2, 9, 3\)$"),
        (given(x=np.zeros((4, 2, 9))), r"not \(4, 2, 9\)$"),
        (given(x=np.zeros((4, 2, 3))), r"not \(4, 2, 3\); was a whole sequence given as sample when it was traced"),
        (given(s=np.zeros((0, 2, 4))), r"input 's' is empty: shape \(0, 2, 4\)"),
        (given(s=np.zeros((4, 0, 4))), r"input 's' is empty: shape \(4, 0, 4\)"),
        (given(s=np.zeros((4, 3, 4))), r"inputs differ in time or batch: x \(4, 2\), s \(4, 3\)"),
        (given(s=np.zeros((5, 2, 4))), r"inputs differ in time or batch: x \(4, 2\), s \(5, 2\)"),
        (given(s=np.full((4, 2, 4), "a")), "input 's' holds <U1 values, not numbers"),
        (given(s=np.zeros((4, 2, 4), complex)), "input 's' holds complex128 values, not numbers"),
        (given(x=[[1, 2], [3]]), "input 'x' is no array"),
        (given(x=np.where(np.arange(48).reshape(4, 2, 2, 3) == 47, np.nan, 0)), "input 'x' holds NaN or infinite values"),
        (given(x=np.full((4, 2, 2, 3), np.inf)), "input 'x' holds NaN or infinite values"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_inputs(program().inputs, x)


def test_inputs_that_fit_are_taken() -> None:
    found = as_inputs(program().inputs, given(s=np.ones((4, 2, 4), np.uint8)))
    assert {name: array.shape for name, array in found.items()} == {"x": (4, 2, 2, 3), "s": (4, 2, 4)}
    assert as_inputs({"s": NODES["s"]}, np.zeros((1, 1, 4), bool))["s"].shape == (1, 1, 4)
    assert as_inputs({"s": SpikeInput(())}, np.zeros((3, 2)))["s"].shape == (3, 2)


def test_events_are_integers_within_what_an_input_declares() -> None:
    both = program()
    events = {"x": np.full((4, 2, 2, 3), 15), "s": np.ones((4, 2, 4), np.int8)}
    taken = check_events(both, events)
    assert list(taken) == ["x", "s"] and all(array.dtype == np.int32 for array in taken.values())
    assert check_events(both, {**events, "x": -events["x"]})["x"].min() == -15
    for name, value in (("x", 16), ("x", -16), ("s", 2), ("s", -1)):
        changed = events[name].copy()
        changed.flat[-1] = value
        ends = r"-15\.\.15" if name == "x" else r"0\.\.1"
        with pytest.raises(InputError, match=f"events of {name!r} hold {value}, outside {ends}"):
            check_events(both, {**events, name: changed})
    with pytest.raises(InputError, match="events of 's' are float64; backends take integers"):
        integer_events(both, {**events, "s": np.ones((4, 2, 4))})
    with pytest.raises(InputError, match="without inputs has no time steps"):
        integer_events(Program({"n": Lif((1,), 0, 0, 1, bias_mant=1)}, (), {}), {})


def written() -> Program:
    image = ProjectedInput(
        shape=(3,), scale=0.5, image=(2, 2), weights=sparse.csr_matrix(np.arange(12.0).reshape(3, 4)), bias=np.array([0.0, 1.0, -1.0])
    )
    link = Connection("x", "n", Diagonal(np.ones(3, np.int32)), port=1)
    return Program({"x": image, "n": BiasedLif((3,), 4095, 0, 1)}, (link,), {"o": Output("n")})


def test_what_a_host_writes_is_given_as_an_image_and_stays_for_a_sample() -> None:
    x = np.arange(8.0).reshape(1, 2, 2, 2).repeat(3, 0)
    events = encode(written(), x)["x"]
    expected = np.rint((x.reshape(3, 2, 4) @ np.arange(12.0).reshape(3, 4).T + [0.0, 1.0, -1.0]) / 0.5)
    assert (events == expected).all() and (check_events(written(), {"x": events})["x"] == events).all()
    with pytest.raises(InputError, match=r"must have shape \(time, batch, 2, 2\), not \(3, 2, 3\)"):
        encode(written(), expected)
    later = events.copy()
    later[2, 1, 0] += 1
    with pytest.raises(InputError, match="events of 'x' change from step to step, but a host writes them once per sample"):
        check_events(written(), {"x": later})
    assert (
        check_events(program(), {"x": np.arange(48).reshape(4, 2, 2, 3) % 9, "s": np.eye(4, dtype=int)[:, None].repeat(2, 1)})["x"]
    ).any()


def test_values_beyond_a_range_are_counted() -> None:
    node, x = NODES["x"], np.zeros((1, 1, 2, 3))
    x.flat[:] = [7.5, 7.74, 7.75, -7.75, -100.0, 0.0]
    assert saturated({"x": node, "s": SpikeInput((1,))}, {"x": x, "s": np.ones((1, 1, 1))}) == {"x": 3}
    assert node.encode("x", x).ravel().tolist() == [15, 15, 15, -15, -15, 0]
    biased = BiasInput((6,), 0.5, offset=5)
    assert biased.beyond(np.array([[[2045.0, 2045.5, -2050.0, -2050.5, 0, 0]]])) == 2
    assert saturated({"x": node}, {"x": x[..., :1] * 0}) == {}


def recording(program: Program, states: dict[str, np.ndarray] | None = None) -> Recording:
    rng = np.random.default_rng(0)
    shape = (5, 2, 2, 3)
    spikes = {name: rng.random(shape) < 0.5 for name in program.outputs}
    return Recording(spikes=spikes, states={"m": {"u": np.zeros(shape, np.int32), "v": rng.integers(-99, 99, shape).astype(np.int32)}})


def test_scores_and_values_of_every_kind_of_output() -> None:
    offset = (0.5, -1.0, 0.0, 2.0, 0.25, 100.0)
    outputs = {
        "spikes": Output("n"), "early": Output("n", "first_spike", num_classes=3),
        "last": Output("m", "membrane_last", unit=0.25, offset=2.0),
        "sum": Output("m", "membrane_sum", unit=0.25, offset=offset), "max": Output("m", "membrane_max"),
    }  # fmt: skip
    whole = program(outputs)
    run = recording(whole)
    v = run.states["m"]["v"].astype(np.int64)
    assert (scores(whole, run, "spikes") == run.spikes["spikes"].sum(0)).all()
    first = [[next((5 - 1 - t for t in range(5) if run.spikes["early"][t, b].ravel()[n]), 0) for n in range(6)] for b in range(2)]
    assert scores(whole, run, "early").tolist() == [[max(row[2 * c : 2 * c + 2]) for c in range(3)] for row in first]
    found = scores(whole, run, "last")
    assert found.dtype.kind == "i" and (found == v[-1]).all()
    found = scores(whole, run, "sum")
    floats = v * 0.25 + np.reshape(offset, (2, 3))
    assert found.dtype == np.float64 and np.allclose(found, floats.sum(0), rtol=1e-12)
    assert (scores(whole, run, "max") == v.max(0)).all()
    for name in ("spikes", "last", "max"):
        best = scores(whole, run, name).reshape(2, -1)
        assert decode(whole, run, name).tolist() == [row.tolist().index(max(row.tolist())) for row in best]
    assert values(whole, run, "sum").tolist() == floats.tolist()
    assert values(whole, run, "last").tolist() == (v * 0.25 + 2.0).tolist()
    spikes = values(whole, run, "spikes")
    assert spikes.dtype == np.float64 and (spikes == run.spikes["spikes"]).all()
    with pytest.raises(InputError, match="output 'max' does not say what a unit of its voltage is worth"):
        values(whole, run, "max")


def test_which_output_is_meant() -> None:
    outputs = {"spikes": Output("n"), "volts": Output("m", "membrane_last", unit=0.5)}
    run = recording(program(outputs))
    assert values(program(outputs), run).tolist() == (run.states["m"]["v"] * 0.5).tolist()
    only = program({"spikes": Output("n")})
    assert values(only, run).tolist() == run.spikes["spikes"].astype(float).tolist()
    with pytest.raises(InputError, match="has 2 outputs: name one of spikes, volts"):
        scores(program(outputs), run)
    two = {name: Output("m", "membrane_last", unit=0.5) for name in ("a", "b")}
    with pytest.raises(InputError, match="has 2 outputs: name one of a, b"):
        values(program(two), run)
    with pytest.raises(InputError, match="no output 'c'; this program has spikes"):
        encoding.only_output(only, "c")
    with pytest.raises(InputError, match="'r' has no state that stands for a voltage"):
        encoding.membrane(only, run, "r")
    assert (encoding.membrane(only, run, "m") == run.states["m"]["v"]).all()


@pytest.mark.parametrize("value", [1, 2, 10**9, np.int64(3)])
def test_settings_that_are_positive(value: int) -> None:
    assert encoding.positive("n", value) == value and type(encoding.positive("n", value)) is int
