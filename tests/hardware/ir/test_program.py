"""The Program's rules: wiring, time, encoding, decoding; and its reference against a plain simulation in global time."""

from dataclasses import replace

import numpy as np
import pytest

from snnfuse.hardware import Connection, Constant, Dense, GradedInput, Lif, Output, Program, SpikeInput, compare, emulate
from snnfuse.hardware.backends.reference import synaptic_input, to_int32
from snnfuse.hardware.errors import InputError, SaturationWarning
from snnfuse.hardware.overflow.observed import check_no_wrap, state_peaks


def even(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.integers(-128, 127, shape) * 2).astype(np.int32)


@pytest.fixture
def program() -> Program:
    """A biased recurrent layer, a skip path delayed by one step, a constant into the current."""
    rng = np.random.default_rng(0)
    return Program(
        nodes={
            "x": SpikeInput((12,)),
            "one": Constant(),
            "hidden": Lif((20,), du=1000, dv=300, vth=400, bias_mant=30, bias_exp=4),
            "out": Lif((4,), du=4095, dv=400, vth=300, bias_mant=-10, bias_exp=3),
        },
        connections=(
            Connection("x", "hidden", Dense(even(rng, 20, 12))),
            Connection("hidden", "hidden", Dense(even(rng, 20, 20), exponent=-2)),
            Connection("one", "hidden", Dense(even(rng, 20, 1))),
            Connection("hidden", "out", Dense(even(rng, 4, 20))),
            Connection("x", "out", Dense(even(rng, 4, 12)), delay=1),
        ),
        outputs={"output": Output("out")},
    )


@pytest.fixture
def events(program: Program) -> dict[str, np.ndarray]:
    return program.encode((np.random.default_rng(1).random((30, 5, 12)) < 0.3).astype(float))


def in_global_time(program: Program, events: dict, time: int, batch: int) -> dict[str, np.ndarray]:
    """The docstring of `Program`, taken literally: all nodes advance together, synapses are delay lines, windows open one by one."""
    total = time + max(program.latency.values())
    sent = {n: np.zeros((total + 1, batch, *node.shape), np.int32) for n, node in program.nodes.items()}
    for name in program.inputs:
        sent[name][1 : time + 1] = events[name]
    for name, node in program.nodes.items():
        if isinstance(node, Constant):
            sent[name][:] = 1
    state = {name: lif.rest(batch) for name, lif in program.neurons.items()}
    for t in range(1, total + 1):
        for name, lif in program.neurons.items():
            opens, closes = 1 + program.latency[name], time + program.latency[name]
            if not opens <= t <= closes:
                continue
            a = np.zeros((batch, int(np.prod(lif.shape))), np.int64)
            for c in program.into(name):
                if t - 1 - c.delay >= 0:
                    a += synaptic_input(c.synapse, sent[c.source][t - 1 - c.delay][None])[0]
            spikes, state[name] = lif.step(state[name], [to_int32(a.reshape(batch, *lif.shape))])
            sent[name][t] = spikes
    return {n: sent[n][1 + program.latency[n] :][:time] for n in program.neurons}


def test_windows_are_global_time_cut_at_each_latency(program: Program, events: dict) -> None:
    recording = emulate(program, events, "all")
    expected = in_global_time(program, events, 30, 5)
    for name in program.neurons:
        np.testing.assert_array_equal(recording.spikes[name], expected[name])
        assert 0.02 < recording.spikes[name].mean() < 0.9
    assert program.latency == {"x": 0, "one": 0, "hidden": 1, "out": 2}


def test_a_recording_holds_what_was_fed(program: Program, events: dict) -> None:
    np.testing.assert_array_equal(emulate(program, events).events["x"], events["x"])


def test_samples_do_not_touch_each_other(program: Program, events: dict) -> None:
    together = emulate(program, events, "all", states=True)
    alone = emulate(program, {"x": events["x"][:, 3:4]}, "all", states=True)
    for name in program.neurons:
        np.testing.assert_array_equal(together.spikes[name][:, 3:4], alone.spikes[name])
        np.testing.assert_array_equal(together.states[name]["v"][:, 3:4], alone.states[name]["v"])


def test_compare_finds_the_earliest_difference(program: Program, events: dict) -> None:
    a = emulate(program, events, "all", states=True)
    same = compare(a, emulate(program, events, "all", states=True))
    assert (same.mismatches, same.first) == (0, None)
    assert same.compared == 30 * 5 * (20 + 4) * 3  # spikes, u and v
    spikes = {name: array.copy() for name, array in a.spikes.items()}
    spikes["hidden"][7, 2, 11] ^= True
    spikes["hidden"][9, 0, 0] ^= True
    different = compare(a, replace(a, spikes=spikes))
    assert different.mismatches == 2
    assert (different.first.node, different.first.time, different.first.batch, different.first.neuron) == ("hidden", 7, 2, 11)
    assert "spikes of hidden neuron 11, time step 7, sample 2" in str(different.first)


def test_compare_refuses_runs_without_anything_in_common(program: Program, events: dict) -> None:
    a = emulate(program, events)
    with pytest.raises(InputError, match="share no node"):
        compare(a, replace(a, spikes={}))


def test_decoding_gives_ties_to_the_lowest_index(program: Program, events: dict) -> None:
    recording = emulate(program, events)
    tied = replace(recording, spikes={**recording.spikes, "output": np.ones((3, 2, 4), bool)})
    assert program.decode(tied).tolist() == [0, 0]
    counts = recording.spikes["output"].sum(0)
    np.testing.assert_array_equal(program.decode(recording), counts.argmax(1))


@pytest.mark.parametrize("decoder, reduce", [("membrane_sum", np.sum), ("membrane_max", np.max), ("membrane_last", lambda v, axis: v[-1])])
def test_membrane_readouts(program: Program, events: dict, decoder: str, reduce) -> None:
    readout = replace(program, outputs={"output": Output("out", decoder)})
    recording = emulate(readout, events)
    np.testing.assert_array_equal(readout.decode(recording), reduce(recording.states["out"]["v"].astype(np.int64), axis=0).argmax(1))


def test_unmatched_paths_are_refused(program: Program) -> None:
    early = replace(program.connections[-1], delay=0)
    with pytest.raises(InputError, match="paths into 'out' are not matched in time: hidden after 2, x after 1"):
        replace(program, connections=(*program.connections[:-1], early))


def test_long_loops_are_refused(program: Program) -> None:
    back = Connection("out", "hidden", Dense(np.zeros((20, 4), np.int32)))
    with pytest.raises(InputError, match="feedback loop longer than one synapse"):
        replace(program, connections=(*program.connections, back))


@pytest.mark.parametrize(
    "connection, message",
    [
        (("nowhere", "out", Dense(np.zeros((4, 3), np.int32))), "no such source"),
        (("hidden", "x", Dense(np.zeros((12, 20), np.int32))), "the target is no neuron population"),
        (("hidden", "out", Dense(np.zeros((4, 19), np.int32))), r"weights are \(4, 19\), the populations \(4, 20\)"),
        (("hidden", "hidden", Dense(np.zeros((20, 20), np.int32)), 1), "a recurrent connection takes one step, not 2"),
    ],
)
def test_wiring_is_checked(program: Program, connection: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(program, connections=(*program.connections, Connection(*connection)))


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_populations_hold_neurons(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a population needs an axis, and a neuron along each"):
        Program({"x": SpikeInput(shape)}, (), {})


def test_names_and_time_are_checked(program: Program) -> None:
    with pytest.raises(InputError, match="output 'hidden' has the name of another node"):
        replace(program, outputs={"hidden": Output("out")})
    with pytest.raises(InputError, match="dt must be a positive number of seconds, not -1"):
        replace(program, dt=-1)


def test_outputs_must_be_neurons(program: Program) -> None:
    with pytest.raises(InputError, match="output 'o' reads 'x', which is no neuron population"):
        replace(program, outputs={"o": Output("x")})


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((3, 2, 11)), r"must have shape \(time, batch, 12\), not \(3, 2, 11\)"),
        (np.full((3, 2, 12), 0.5), "takes binary spikes, 0 or 1, but holds 0.5"),
        (np.full((3, 2, 12), np.nan), "NaN or infinite"),
        (np.zeros((3, 0, 12)), "is empty"),
        (np.array([["a"]]), "values, not numbers"),
        ({"y": np.zeros((3, 2, 12))}, "inputs must be 'x', not 'y'"),
    ],
)
def test_bad_inputs_are_named(program: Program, x, message: str) -> None:
    with pytest.raises(InputError, match=message):
        program.encode(x)


def test_backends_take_integers_only(program: Program, events: dict) -> None:
    with pytest.raises(InputError, match="float64; backends take integers"):
        emulate(program, {"x": events["x"].astype(float)})
    with pytest.raises(InputError, match="hold 2, outside 0..1"):
        emulate(program, {"x": events["x"] + 1})
    with pytest.raises(InputError, match="cannot record 'x'"):
        emulate(program, events, ["x"])


def test_a_program_without_inputs_cannot_run() -> None:
    with pytest.raises(InputError, match="without inputs has no time steps"):
        emulate(Program({"n": Lif((1,), du=0, dv=0, vth=1)}, (), {"o": Output("n")}), {})


def test_graded_inputs_are_rounded_and_saturate() -> None:
    program = Program({"x": GradedInput((2,), bits=4, scale=0.5)}, (), {})
    with pytest.warns(SaturationWarning, match="input 'x': 2 of 4 values lie beyond the 3.5 that it was calibrated for"):
        events = program.encode(np.array([[[0.74, -1.3]], [[100.0, -100.0]]]))
    assert events["x"].tolist() == [[[1, -3]], [[7, -7]]]


def test_a_wrapping_current_is_found() -> None:
    def driven(weight: int) -> Program:
        lif = Lif((1,), du=-1, dv=0, vth=100)
        return Program({"x": SpikeInput((1,)), "n": lif}, (Connection("x", "n", Dense(np.array([[weight]], np.int32), exponent=7)),), {})

    spikes = {"x": np.ones((5, 1, 1), np.int32)}
    assert state_peaks(driven(200), spikes)["n"].current == 5 * 200 * 128 * 64
    assert check_no_wrap(driven(200), spikes)["n"].wraps == 0
    with pytest.raises(Exception, match="'n': the current reaches .* and wraps 1 times"):
        check_no_wrap(driven(250), spikes)


def test_a_program_stays_as_it_was_checked(program: Program) -> None:
    nodes, connections = dict(program.nodes), list(program.connections)
    same = Program(nodes, connections, program.outputs)
    nodes["stray"] = Lif((3,), 0, 0, 0)
    connections.append(Connection("hidden", "stray", Dense(np.ones((3, 20), np.int32))))
    assert "stray" not in same.nodes and same.connections == program.connections


@pytest.mark.parametrize(
    "link, message",
    [
        ({"port": 0.0}, "a port is an integer, not 0.0"),
        ({"synapse": np.ones((1, 1))}, "ndarray is no synapse group"),
        ({"lag": 1.0}, "lag of"),
    ],
)
def test_what_compiled_code_indexes_with_is_an_integer(link: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Connection(**{"source": "x", "target": "n", "synapse": Dense(np.ones((1, 1), np.int32))} | link)
