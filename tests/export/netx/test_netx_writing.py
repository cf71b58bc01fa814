"""What netx can express is written and read back as the same network; everything else is refused by name."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse

from snnfuse.export.netx import net_bytes, read_net, write_net
from snnfuse.export.netx.contents import same
from snnfuse.export.netx.file_in import read_contents
from snnfuse.export.netx.program_to_file import to_contents
from snnfuse.hardware import (
    BiasedLif,
    BiasInput,
    Connection,
    Constant,
    Conv2d,
    DeclaredInput,
    Delta,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Program,
    Relay,
    Sigma,
    SigmaDelta,
    Sparse,
    SpikeInput,
    compare,
)
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import InputError, UnsupportedError

RNG = np.random.default_rng(0)


def even(*shape: int, most: int = 60) -> np.ndarray:
    values = 2 * RNG.integers(-most, most, shape, dtype=np.int32)
    values.flat[:2] = -2 * most, 2 * most
    return values


LIF = Lif((4,), 1000, 200, 60)
NODES = {"x": SpikeInput((6,)), "a": LIF, "b": Lif((3,), 4095, 100, 50, 64, 3)}
LINKS = (Connection("x", "a", Dense(even(4, 6))), Connection("a", "b", Dense(even(3, 4))))
PROGRAM = Program(NODES, LINKS, {"out": Output("b")}, dt=2e-4)


def conv(**changes) -> Program:
    """A convolution into a dense layer."""
    synapse = replace(Conv2d(even(2, 2, 2, 2), (2, 4, 5)), **changes)
    lif = Lif(synapse.output_shape, 1000, 200, 60)
    size = int(np.prod(lif.shape))
    nodes = {"x": SpikeInput((2, 4, 5)), "a": lif, "b": NODES["b"]}
    return Program(nodes, (Connection("x", "a", synapse), Connection("a", "b", Dense(even(3, size)))), {"out": Output("b")})


def recurrent(rec: np.ndarray, exponent: int = 0, **link) -> Program:
    back = Connection("a", "a", Dense(rec, exponent), **link)
    return replace(PROGRAM, connections=(*LINKS, back))


def changed(**nodes) -> Program:
    return replace(PROGRAM, nodes=NODES | nodes)


def linked(*links: Connection, **nodes) -> Program:
    return replace(PROGRAM, nodes=NODES | nodes, connections=links)


SMALL = np.array([[1, -3, 5, -7, 9, 0]] * 4, np.int32)
PER_NEURON = np.array([10, 900, 4095, 2], np.int32)
LISTED = Sparse(sparse.csr_matrix(np.triu(even(4, 6, most=20)).astype(np.int32)), 1)

GOOD = {
    "dense": PROGRAM,
    "registers per neuron": changed(a=Lif((4,), PER_NEURON - 1, PER_NEURON, PER_NEURON, 64 * (PER_NEURON % 7), 0)),
    "a population with axes": changed(a=Lif((2, 2), 1000, 200, PER_NEURON.reshape(2, 2))),
    "no neuron fires": changed(b=Lif((3,), 4095, 0, 1 << 17)),
    "negative exponent that divides": linked(Connection("x", "a", Dense(2 * SMALL, -1)), LINKS[1]),
    "groups": linked(Connection("x", "a", Dense(even(4, 6))), Connection("x", "a", LISTED), LINKS[1]),
    "sparse": linked(Connection("x", "a", LISTED), LINKS[1]),
    "delay of a layer": linked(LINKS[0], replace(LINKS[1], delay=5)),
    "lag of a layer": linked(replace(LINKS[0], lag=7), LINKS[1]),
    "lag per synapse": linked(
        Connection("x", "a", Dense(np.tril(even(4, 6)))), Connection("x", "a", Dense(np.triu(even(4, 6), 1)), lag=62), LINKS[1]
    ),
    "recurrent": recurrent(even(4, 4)),
    "convolution": conv(stride=(1, 2), padding=(1, 0), dilation=(2, 1)),
    "grouped convolution": conv(weights=even(4, 1, 2, 2), groups=2),
    "odd convolution": conv(weights=2 * (even(2, 2, 2, 2, most=20) + 1), exponent=-1),
    "image into a dense layer": linked(Connection("x", "a", Dense(even(4, 12))), LINKS[1], x=SpikeInput((3, 2, 2))),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_written_reads_back_as_the_same_network(name: str, tmp_path: Path) -> None:
    """States too: every neuron of every layer, in order."""
    program = GOOD[name]
    write_net(program, tmp_path / "a.net")
    back = read_net(tmp_path / "a.net")
    assert not back.ledger and back.dt == pytest.approx(program.dt)
    (source,) = program.inputs.values()
    x = RNG.integers(0, 2, (70, 3, *source.shape), dtype=np.int32)
    ours = emulate(program, {next(iter(program.inputs)): x}, "all", states=True)
    theirs = emulate(back, {"input": x.reshape(70, 3, *back.nodes["input"].shape)}, "all", states=True)
    for mine, other in zip(program.neurons, back.neurons, strict=True):
        assert (ours.spikes[mine].reshape(theirs.spikes[other].shape) == theirs.spikes[other]).all()
        for variable in "uv":
            assert (ours.states[mine][variable].reshape(70, 3, -1) == theirs.states[other][variable].reshape(70, 3, -1)).all()
    assert any(spikes.any() for spikes in ours.spikes.values())


@pytest.mark.parametrize("name", GOOD)
def test_contents_survive_the_file(name: str, tmp_path: Path) -> None:
    write_net(GOOD[name], tmp_path / "a.net")
    assert same(read_contents(tmp_path / "a.net").layers, to_contents(GOOD[name]).layers)


def test_a_file_that_was_read_is_written_again_with_its_delays(tmp_path: Path) -> None:
    """One delay per neuron, as SLAYER has it."""
    write_net(GOOD["lag of a layer"], tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        assert file["layer/1/delay"][()].tolist() == [7, 7, 7, 7]
        assert file["layer/1/type"][0] == b"dense" and file["layer/1/weight"].dtype == np.float32
    program = read_net(tmp_path / "a.net")
    x = {"input": RNG.integers(0, 2, (30, 2, 6), dtype=np.int32)}
    write_net(program, tmp_path / "b.net")
    assert compare(emulate(program, x, "all"), emulate(read_net(tmp_path / "b.net"), x, "all")).mismatches == 0


ODD = np.array([[129, -255, 3, 0, 1, 7]] * 4, np.int32)
BAD = [
    (changed(x=GradedInput((6,), 8, 0.1)), "a: numbers are fed to it, and a netx file cannot say so"),
    (
        linked(*LINKS, Connection("one", "b", Dense(even(3, 1))), one=Constant()),
        "netx networks have one input, this program has x (SpikeInput), one (Con",
    ),
    (linked(*LINKS, Connection("y", "a", Dense(even(4, 2))), y=SpikeInput((2,))), "this program has x (SpikeInput), y (SpikeInput)"),
    (changed(a=replace(LIF, reset="subtract")), "a: resets by 'subtract'; netx knows reset to zero only: other targets keep it"),
    (changed(a=replace(LIF, bias_mant=33)), "a: its bias is no multiple of 2**6"),
    (
        linked(Connection("x", "r", Dense(even(4, 6))), Connection("r", "a", Dense(even(4, 4))), LINKS[1], r=Relay((4,))),
        "r: netx has no Relay neurons",
    ),
    (linked(*LINKS, Connection("x", "b", Dense(even(3, 6)), delay=1)), "b: netx networks are one chain, but it is fed by a, x"),
    (replace(PROGRAM, outputs={"out": Output("b"), "more": Output("a")}), "netx networks end in their output, but a is one as well"),
    (linked(Connection("x", "a", Dense(even(4, 6), -3)), LINKS[1]), "a: its exponent -3 rounds sums down"),
    (linked(Connection("x", "a", Dense(np.abs(even(4, 6)), 2)), LINKS[1]), "a: netx would change weights from"),
    (linked(Connection("x", "a", Dense(np.full((4, 6), -128, np.int32))), LINKS[1]), "a: netx would change weights from -128 to -128"),
    (
        linked(Connection("x", "a", Dense(ODD // 2 * 2)), Connection("x", "a", Dense(ODD % 2)), LINKS[1]),
        "a: netx would change weights from -255 to 129, odd ones among them",
    ),
    (linked(Connection("x", "a", Dense(np.zeros((4, 6), np.int32))), LINKS[1]), "a: all its weights are 0, on which netx fails"),
    (linked(*LINKS, Connection("x", "a", Dense(even(4, 6)), lag=3)), "a: two neurons are connected with two delays"),
    (recurrent(even(4, 4), lag=1), "a: netx files cannot say delays of a recurrent layer"),
    (replace(conv(), connections=tuple(replace(c, lag=2) for c in conv().connections)), "a: netx ignores the delays of a convolution"),
    (conv(padding=(128, 0)), "a: Lava keeps the geometry of a convolution in 8 bits"),
    (Program({"x": SpikeInput((6,))}, (), {}), "netx networks have a layer, this program has no neurons"),
]


@pytest.mark.parametrize(("program", "message"), BAD, ids=[message[:50] for _, message in BAD])
def test_what_netx_cannot_express_is_refused_by_name(program: Program, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        write_net(program, tmp_path / "a.net")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_sums_that_leave_24_bits_are_refused() -> None:
    synapse = Conv2d(np.full((1, 50, 6, 6), 254, np.int32), (50, 6, 6), exponent=5)
    nodes = {"x": SpikeInput((50, 6, 6)), "a": Lif((1, 1, 1), 0, 0, 9)}
    with pytest.raises(UnsupportedError, match="a: sums of its weights may leave 24 bits"):
        net_bytes(Program(nodes, (Connection("x", "a", synapse),), {"out": Output("a")}))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none/a.net: cannot be written .No such file"):
        write_net(PROGRAM, tmp_path / "none" / "a.net")
    (tmp_path / "folder.net").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_net(PROGRAM, tmp_path / "folder.net")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.net"]


def encoded(node: BiasedLif | Delta, fed: BiasInput | GradedInput, *behind: Lif | SigmaDelta | Sigma, **link: int) -> Program:
    """An image into neurons that encode it, a convolution and a dense layer."""
    port = 1 if isinstance(node, BiasedLif) else 0
    conv_in = Conv2d(even(2, 1, 2, 2, most=9), node.shape)
    links = (
        Connection("img", "e", Diagonal(np.ones(node.size, np.int32)), port=port),
        Connection("e", "c", conv_in, **link),
        Connection("c", "d", Dense(even(3, 12, most=9)), **link),
    )
    nodes = {"img": fed, "e": node, "c": behind[0], "d": behind[1]}
    decoder = "spike_count" if isinstance(behind[1], Lif) else "membrane_last"
    return Program(nodes, links, {"out": Output("d", decoder)})


IMAGE = (1, 3, 4)
TOGETHER = {"delay": -1, "lag": 1}
BIAS = RNG.integers(-9, 9, (2, 2, 3)).astype(np.int32)
SUMS = encoded(Delta(IMAGE, 1, 6, 6), DeclaredInput(IMAGE, 16, 1 / 64), SigmaDelta((2, 2, 3), 3, 6, 6, bias=BIAS), Sigma((3,)), **TOGETHER)
WRITTEN = encoded(
    BiasedLif(IMAGE, 4095, 300, 25, bias_exp=6), BiasInput(IMAGE, -1 / 40, 36), Lif((2, 2, 3), 4095, 100, 9), Lif((3,), 900, 100, 9)
)


@pytest.mark.parametrize("program", [SUMS, WRITTEN], ids=["sums", "written"])
def test_neurons_that_encode_an_image_are_written(program: Program, tmp_path: Path) -> None:
    write_net(program, tmp_path / "a.net")
    back = read_net(tmp_path / "a.net")
    assert same(read_contents(tmp_path / "a.net").layers, to_contents(program).layers)
    assert not back.ledger and back.nodes["input"] == program.nodes["img"]
    x = np.repeat(RNG.uniform(-1, 1, (1, 2, *IMAGE)), 30, 0)
    events = program.encode(x)["img"]
    ours, theirs = (emulate(each, {name: events}, "all", states=True) for each, name in ((program, "img"), (back, "input")))
    for mine, other in zip(program.neurons, back.neurons, strict=True):
        assert (ours.spikes[mine] == theirs.spikes[other]).all() and ours.spikes[mine].any()
        for variable in program.neurons[mine].states:
            assert (ours.states[mine][variable] == theirs.states[other][variable]).all()


def node_changed(program: Program, **changes) -> Program:
    return replace(program, nodes={**program.nodes, **changes})


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (node_changed(SUMS, c=replace(SUMS.nodes["c"], spike_exp=3)), "c: has spike_exp=3, state_exp=6, cumulative=0"),
        (node_changed(SUMS, c=replace(SUMS.nodes["c"], activation="unit")), "c: has no activation, and netx runs relu"),
        (node_changed(SUMS, e=replace(SUMS.nodes["e"], cumulative=1)), "e: has spike_exp=6, state_exp=6, cumulative=1"),
        (node_changed(SUMS, img=GradedInput(IMAGE, 16, 0.3)), "e: its input's scale is 0.3"),
        (
            replace(SUMS, connections=tuple(replace(c, delay=0, lag=0) for c in SUMS.connections)),
            "c: netx begins all sigma-delta populations at once",
        ),
        (node_changed(SUMS, d=Lif((3,), 1, 1, 1 << 17)), "netx clears LIF neurons between samples and sigma-delta neurons never"),
        (node_changed(SUMS, c=Sigma((2, 2, 3))), "c: netx has no Sigma neurons, but at an end"),
        (node_changed(WRITTEN, e=replace(WRITTEN.nodes["e"], bias_exp=5)), "e: netx writes an image with exponent 6"),
        (node_changed(WRITTEN, e=replace(WRITTEN.nodes["e"], reset="subtract")), "e: resets by 'subtract'"),
    ],
)
def test_what_netx_would_run_otherwise_is_refused(program: Program, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        net_bytes(program)
    assert message in str(caught.value) and "\n" not in str(caught.value)
