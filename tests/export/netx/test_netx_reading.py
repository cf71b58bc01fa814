"""What a netx file says is what the Program does; what contradicts itself is named by its dataset."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from netx_files import conv, dense, given, neuron, sdnn, write

from snnfuse.export.netx import netx_differences, read_net, sample_steps
from snnfuse.export.netx.weight_groups import split_weights
from snnfuse.hardware import BiasedLif, BiasInput, Conv2d, DeclaredInput, GradedInput, Program, SpikeInput
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import InputError, NetxWarning, SnnfuseError, UnsafeFileError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import NEVER

RNG = np.random.default_rng(0)
EVEN = 2 * RNG.integers(-100, 100, (4, 6))


def read(path: Path, **how) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_net(path, **how)


def test_a_dense_layer(tmp_path) -> None:
    program = read(write(tmp_path / "a.net", dense(EVEN, bias=np.array([1, -2, 3, 0.0]))))
    lif = program.nodes["layer0"]
    assert (lif.du, lif.dv, lif.vth, lif.bias_exp, lif.bias_mant.tolist()) == (1023, 128, 80, 6, [1, -2, 3, 0])
    (link,) = program.connections
    assert (link.synapse.weights == EVEN).all() and link.synapse.exponent == 0
    assert program.nodes["input"].shape == (6,) and program.outputs["output"].node == "layer0" and not program.ledger


def test_a_convolution_and_a_flatten(tmp_path) -> None:
    kernel = 2 * RNG.integers(-50, 50, (4, 1, 3, 2, 1))
    layer = conv(kernel, (4, 3, 7), stride=np.array([2, 1]), padding=np.array([1, 0]), dilation=np.array([1, 2]), groups=2)
    flat = {"type": "flatten", "shape": np.array([84, 1, 1])}
    program = read(write(tmp_path / "a.net", given((2, 6, 9)), layer, flat, dense(2 * RNG.integers(-50, 50, (3, 84)))))
    first, _ = program.connections
    assert isinstance(first.synapse, Conv2d) and (first.synapse.weights == kernel[..., 0]).all()
    assert (first.synapse.stride, first.synapse.padding, first.synapse.dilation, first.synapse.groups) == ((2, 1), (1, 0), (1, 2), 2)
    assert program.nodes["layer1"].shape == (4, 3, 7)


def test_parameters_per_channel_and_per_neuron(tmp_path) -> None:
    """Per neuron a file has Lava's axes, (W, H, C)."""
    decays, thresholds = np.array([100, 200]), RNG.integers(1, 99, (3, 2, 2))
    layer = conv(np.ones((2, 1, 1, 1)), (2, 2, 3), neuron=neuron(iDecay=decays, vThMant=thresholds))
    lif = read(write(tmp_path / "a.net", given((1, 2, 3)), layer)).nodes["layer1"]
    assert (lif.du[:, 1, 2] == decays - 1).all() and (lif.vth == thresholds.transpose()).all()


def effect(program: Program, name: str = "layer0") -> np.ndarray:
    """The current that one spike of each input brings, in units of 64: (out, in)."""
    size = int(np.prod(program.nodes["input"].shape))
    x = np.eye(size, dtype=np.int32).reshape(1, size, *program.nodes["input"].shape)
    states = emulate(program, {"input": x}, [name], states=True).states[name]["u"]
    return states[0].reshape(size, -1).T / 64


@pytest.mark.parametrize(
    "weights",
    [
        [[1, -3], [5, 127]],
        [[129, -3], [0, 254]],
        [[-255, 255], [-256, 1]],
        [[300, 4], [511, 0]],
        [[-256, -256], [-64, -256]],
        [[-128, -128], [-128, -128]],
        [[1000, -777], [4095, -32768]],
        [[0, 0], [0, 0]],
    ],
)
def test_every_weight_is_kept(weights, tmp_path) -> None:
    path = write(tmp_path / "a.net", dense(weights))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NetxWarning)
        program = read_net(path)
    assert (effect(program) == weights).all() and not program.ledger


@pytest.mark.parametrize("exponent", [0, 3, -2])
def test_split_weights_add_up(exponent: int) -> None:
    for limit in (3, 127, 200, 255, 256, 900, 20000 >> max(exponent, 0)):
        for low, high in ((-limit, limit), (0, limit), (-limit, 0)):
            values = RNG.integers(low, high + 1, (5, 7))
            groups = split_weights(values, exponent, "here")
            assert len(groups) <= 2
            assert (sum(weights * 2.0**power for weights, power in groups) == values * 2.0**exponent).all()


def test_delays_lag_before_a_plain_neuron_and_behind_one_with_a_bias(tmp_path) -> None:
    delay = np.array([0, 2.0, 2, 7], np.float32)
    plain = read(write(tmp_path / "a.net", dense(EVEN, delay=delay)))
    assert sorted(c.lag for c in plain.connections) == [0, 2, 7] and "layer0.delay" not in plain.nodes
    biased = read_quietly(write(tmp_path / "b.net", dense(EVEN, delay=delay, bias=np.ones(4)), dense(EVEN[:, :4])))
    assert sorted(c.lag for c in biased.connections) == [0, 0, 2, 7]
    last = read_quietly(write(tmp_path / "c.net", dense(abs(EVEN), delay=delay, bias=np.ones(4))))
    assert last.outputs["output"].node == "layer0.delay"
    x = {"input": RNG.integers(0, 2, (30, 2, 6), dtype=np.int32)}
    run = emulate(last, x, "all")
    for i, steps in enumerate(delay.astype(int)):
        before = run.spikes["layer0"][: 30 - steps, :, i]
        assert (run.spikes["output"][steps:, :, i] == before).all() and before.any()
        assert not run.spikes["output"][:steps, :, i].any()


def read_quietly(path: Path, **how) -> Program:
    with pytest.warns(NetxWarning):
        return read_net(path, **how)


def test_delays_per_input_and_per_synapse(tmp_path) -> None:
    per_input = read(write(tmp_path / "a.net", dense(EVEN, delay=np.arange(6.0))))
    assert [c.lag for c in per_input.connections] == [0, 1, 2, 3, 4, 5]
    each = RNG.integers(0, 3, EVEN.shape)
    program = read(write(tmp_path / "b.net", dense(EVEN, delay=each.astype(np.float32))))
    for c in program.connections:
        rows, columns = c.synapse.matrix().nonzero()
        assert (each[rows, columns] == c.lag).all()


def test_a_layer_that_never_fires_is_read_by_its_voltage(tmp_path) -> None:
    program = read(write(tmp_path / "a.net", dense(EVEN, neuron=neuron(vThMant=(1 << 18) - 1))))
    assert program.nodes["layer0"].vth == NEVER and program.outputs["output"].decoder == "membrane_last"


def test_the_time_step(tmp_path) -> None:
    assert read(write(tmp_path / "a.net", dense(EVEN), simulation__Ts=2.0)).dt == 2e-3
    assert read(write(tmp_path / "b.net", dense(EVEN))).dt == 1e-3
    assert read(tmp_path / "a.net", dt=1e-4).dt == 1e-4


@pytest.mark.parametrize(
    ("changes", "change", "netx"),
    [
        ({"refDelay": 3}, "no refractory delay in place of 3 steps", "ignores the refractory delay of 3 steps"),
        ({"vDecay": 4096}, "a voltage decay of 4095 / 4096", None),
        ({"wgtExp": -2}, "multiplied by 2**-2 and rounded down", "ignores neuron/wgtExp, a factor of 2**-2"),
        ({"weight_exp": 1.0}, "batch normalisation's factor 2**-1 moved", "ignores neuron/weight_exp, a factor of 2**-1"),
    ],
)
def test_what_integers_cannot_keep_stands_in_the_ledger(changes, change, netx, tmp_path) -> None:
    path = write(tmp_path / "a.net", dense(EVEN, neuron=neuron(**changes)))
    program = read_quietly(path) if netx else read(path)
    (entry,) = program.ledger
    assert entry.node == "layer/0" and change in entry.change
    assert [e.change for e in netx_differences(path)] == ([netx] if netx else [])


def test_a_positive_weight_exponent_is_kept(tmp_path) -> None:
    program = read_quietly(write(tmp_path / "a.net", dense(EVEN, neuron=neuron(wgtExp=3))))
    assert (effect(program) == 8 * EVEN).all() and not program.ledger


def test_a_normalised_bias_is_scaled_with_the_weights(tmp_path) -> None:
    layer = dense(EVEN, neuron=neuron(weight_exp=-1.0), bias=np.array([3.0, 2, 1, 0]))
    lif = read_quietly(write(tmp_path / "a.net", layer)).nodes["layer0"]
    assert (np.left_shift(lif.bias_mant, lif.bias_exp) == np.array([3, 2, 1, 0]) * 2 * 64).all()


REFUSED = [
    ({"type": "pool", "shape": np.array([2, 3, 3])}, "layer/0: type 'pool' is not supported: netx itself cannot build it; use a conv"),
    ({"type": "concat", "shape": np.array([2])}, "type 'concat' is not supported"),
    ({"type": "convT", "shape": np.array([2])}, "type 'convT' is not supported"),
    ({"type": "unpool", "shape": np.array([2])}, "type 'unpool' is not supported"),
    ({"type": "dense_comp", "shape": np.array([2])}, "type 'dense_comp' is not supported"),
    ({"type": "add", "shape": np.array([2])}, "type 'add' is not supported: netx skips it without a word"),
    ({"type": "mystery", "shape": np.array([2])}, "type 'mystery' is not supported: netx skips it without a word"),
    (dense(EVEN, neuron=None, bias=np.ones(4)), "layer/0/bias: of a layer without neurons"),
    (conv(np.ones((2, 1, 1, 1)), (2, 3, 3), neuron=None), "layer/0: has no neuron, and netx takes that of dense layers only"),
    (given((3,)) | {"neuron": sdnn(), "bias": 3}, "layer/0: its transform is 64 * x + 3, and graded inputs"),
    (dense(EVEN, neuron=sdnn(activation="tanh")), "layer/0/neuron/activation: 'tanh' is not supported"),
    (dense(EVEN, neuron=sdnn(sigma_output=True), bias=np.ones(4)), "layer/0/bias: an output that only adds up has none"),
    (dense(EVEN, neuron=neuron(type="RF_PHASE")), "type 'RF_PHASE' is not supported: resonate"),
    (dense(EVEN, neuron=neuron(type="ADRF_IZHIKEVICH")), "type 'ADRF_IZHIKEVICH' is not supported: resonate"),
    (dense(EVEN, neuron=neuron(type="ALIF")), "type 'ALIF' is not supported: adaptive"),
    (dense(EVEN, neuron=neuron(gradedSpike=True)), "layer/0/neuron/gradedSpike: spikes that carry the voltage"),
    (dense(EVEN * 1000), f"layer/0/weight: weights from {EVEN.min() * 1000} to"),
    (dense(EVEN, bias=np.full(4, 4097.0 * 5)), "layer/0/bias: 20485..20485 times 2**6 does not fit"),
]


@pytest.mark.parametrize(("layer", "message"), REFUSED, ids=[message.partition(":")[2][:40] for _, message in REFUSED])
def test_what_has_no_counterpart_is_refused_by_name(layer, message, tmp_path) -> None:
    path = write(tmp_path / "a.net", layer)
    with pytest.raises(UnsupportedError) as caught:
        read_net(path)
    check(caught.value, path, message)


def check(error: SnnfuseError, path: Path, message: str) -> None:
    assert str(error).startswith(f"{path}: ") and message in str(error) and "\n" not in str(error)


BAD = [
    (dense(EVEN + 0.5), "layer/0/weight: holds "),
    (dense(np.where(EVEN == EVEN.max(), np.nan, EVEN)), "layer/0/weight: holds nan"),
    (dense(EVEN, shape=np.array([5])), "layer/0/weight: expected (5, in), found (4, 6)"),
    (dense(EVEN, shape=np.array([0])), "layer/0/shape: expected one to three positive sizes"),
    (dense(EVEN, shape=None), "layer/0/shape: missing"),
    (dense(EVEN) | {"weight": np.bytes_(b"x")}, "layer/0/weight: expected at most"),
    (dense(EVEN, neuron=neuron(iDecay=None)), "layer/0/neuron/iDecay: missing"),
    (dense(EVEN, neuron=neuron(iDecay=4097)), "layer/0/neuron/iDecay: 4097..4097 is outside 0..4096"),
    (dense(EVEN, neuron=neuron(vThMant=-1)), "layer/0/neuron/vThMant: -1..-1 is outside"),
    (dense(EVEN, neuron=neuron(vDecay=np.arange(3))), "layer/0/neuron/vDecay: (3,) values for a layer of shape (4,)"),
    (dense(EVEN, neuron=neuron(refDelay=np.arange(2))), "layer/0/neuron/refDelay: expected one integer, found 2"),
    (dense(EVEN, delay=np.arange(5.0)), "layer/0/delay: shape (5,) fits neither"),
    (dense(EVEN, delay=np.array([0, 1, 2, -3.0])), "layer/0/delay: -3 steps; there are 0..62"),
    (dense(EVEN, bias=np.ones(3)), "layer/0/bias: (3,) values"),
    (dense(EVEN, "dense_rec", weight_rec=np.ones((4, 3))), "layer/0/weight_rec: expected (4, 4), found (4, 3)"),
    (dense(EVEN, "dense_rec"), "layer/0/weight_rec: missing"),
    (conv(np.ones((2, 1, 1, 1)), (2, 3, 3)), "layer/0: no input layer says the shape"),
    ({"type": "flatten", "shape": np.array([3])}, "layer: holds no layer with weights or neurons"),
]


@pytest.mark.parametrize(("layer", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_what_contradicts_itself_is_named_by_its_dataset(layer, message, tmp_path) -> None:
    path = write(tmp_path / "a.net", layer)
    with pytest.raises(InputError) as caught:
        read_net(path)
    check(caught.value, path, message)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((dense(EVEN), dense(EVEN)), "layer/1/weight: takes 6 inputs, the layer before has 4"),
        ((given((2, 3, 3)), conv(np.ones((2, 1, 2, 2)), (2, 2, 2))), "layer/1/weight: (2, 1, 2, 2) in 1 groups do not fit"),
        ((given((1, 3, 3)), conv(np.ones((2, 1, 2, 2)), (2, 3, 3))), "layer/1/shape: is (2, 3, 3), but its convolution gives (2, 2, 2)"),
        ((given((1, 3, 3)), conv(np.ones((2, 1, 4, 2)), (2, 3, 3))), "layer/1/weight: the kernel is larger"),
        ((given((9,)), conv(np.ones((2, 1, 2, 2)), (2, 2, 2))), "layer/1: a convolution needs an input of shape (C, H, W)"),
        (
            (given((1, 3, 3)), conv(np.ones((2, 1, 2, 2)), (2, 2, 2), kernelSize=np.array([3, 3]))),
            "layer/1/kernelSize: is not that of the weights",
        ),
        (
            (given((1, 3, 3)), conv(np.ones((2, 1, 2, 2)), (2, 2, 2), stride=np.array([0, 1]))),
            "layer/1/stride: expected one or two integers of at least 1",
        ),
        (
            (dense(EVEN, delay=np.full(4, 40.0), bias=np.ones(4)), dense(EVEN[:, :4], delay=np.full(4, 40.0))),
            "layer/1/delay: together with the layer before 80 steps; a synapse has 62",
        ),
    ],
)
def test_layers_that_do_not_fit_each_other(layers, message, tmp_path) -> None:
    path = write(tmp_path / "a.net", *layers)
    with pytest.raises(InputError) as caught:
        read_net(path)
    check(caught.value, path, message)


def test_a_damaged_or_foreign_file(tmp_path) -> None:
    path = write(tmp_path / "a.net", dense(EVEN))
    whole = path.read_bytes()
    for name, content, message in (
        ("text.net", b"no HDF5", "no readable HDF5 file"),
        ("short.net", whole[: len(whole) // 2], "is cut off"),
        ("empty.net", b"", "it is empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_net(tmp_path / name)
        check(caught.value, tmp_path / name, message)
    with h5py.File(tmp_path / "other.net", "w") as file:
        file["node"] = 1
    for name, message in (("other.net", "layer: missing"), ("none.net", "no such file"), (".", "is a folder")):
        with pytest.raises(InputError) as caught:
            read_net(tmp_path / name)
        check(caught.value, tmp_path / name, message)


def test_any_flipped_byte_gives_a_program_or_one_line(tmp_path) -> None:
    whole = write(tmp_path / "a.net", dense(EVEN, delay=np.arange(4.0))).read_bytes()
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        (tmp_path / "b.net").write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NetxWarning)
                read_net(tmp_path / "b.net")
            outcomes.add("read")
        except SnnfuseError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_what_lies_in_another_file_is_not_followed(tmp_path) -> None:
    write(tmp_path / "a.net", dense(EVEN))
    with h5py.File(tmp_path / "b.net", "w") as file:
        file["layer/0"] = h5py.ExternalLink(str(tmp_path / "a.net"), "/layer/0")
    with pytest.raises(UnsafeFileError, match="layer/0: a link, which could lead to any other file"):
        read_net(tmp_path / "b.net")
    layer = {key: value for key, value in dense(EVEN).items() if key != "weight"}
    with h5py.File(write(tmp_path / "c.net", layer), "a") as file:
        file["layer/0/weight"] = h5py.ExternalLink(str(tmp_path / "a.net"), "/layer/0/weight")
    with pytest.raises(UnsafeFileError, match="layer/0/weight: a link, which could lead to any other file"):
        read_net(tmp_path / "c.net")


def test_a_claim_of_a_huge_dataset_is_not_believed(tmp_path) -> None:
    layer = {key: value for key, value in dense(EVEN).items() if key != "weight"}
    with h5py.File(write(tmp_path / "a.net", layer), "a") as file:
        file["layer/0"].create_dataset("weight", (4, 1 << 40), np.float32, chunks=(1, 1 << 10))
    with pytest.raises(UnsafeFileError, match="layer/0/weight: asks for 16384GiB of memory for one array, and the limit is 512MiB"):
        read_net(tmp_path / "a.net")


def test_a_dataset_that_nobody_writes_is_left_out_and_said(tmp_path) -> None:
    (entry,) = read(write(tmp_path / "a.net", dense(EVEN, neuron=neuron(messageBits=8), mask=np.ones(3)))).ledger
    assert (entry.node, entry.change) == ("layer/0", "mask, neuron/messageBits under it left out")


def test_an_input_layer_with_neurons_takes_an_image(tmp_path) -> None:
    first = given((2, 3, 3)) | {"neuron": neuron(iDecay=4096), "weight": np.array([40.0]), "bias": 36.0}
    layer = conv(2 * RNG.integers(-50, 50, (4, 2, 2, 2)), (4, 2, 2))
    program = read(write(tmp_path / "a.net", first, layer))
    image, lif = program.nodes["input"], program.nodes["layer0"]
    assert isinstance(image, BiasInput) and isinstance(lif, BiasedLif) and (lif.bias_exp, lif.du, lif.vth) == (6, 4095, 80)
    assert image.encode("x", np.array([0.0, 1.0, -0.5])).tolist() == [36, 76, 16] and not program.ledger
    faded = read(write(tmp_path / "b.net", first | {"neuron": neuron()}, layer))
    assert "its input is a bias of the voltage" in faded.ledger[0].change
    assert read(write(tmp_path / "c.net", given((3,)) | {"neuron": neuron(iDecay=4096)}, dense(EVEN[:, :3]))).nodes["input"].scale == 1 / 64


def test_a_part_of_a_network(tmp_path) -> None:
    """num_layers and skip_layers count input and flatten, as netx does; what is skipped says the shape and what is fed."""
    layers = (
        given((1, 5, 5)),
        conv(np.ones((3, 1, 2, 2)), (3, 4, 4)),
        {"type": "flatten", "shape": np.array([48])},
        dense(EVEN[:, :4].repeat(12, 1)),
    )
    path = write(tmp_path / "a.net", *layers)
    assert list(read(path, num_layers=2).neurons) == ["layer1"]
    skipped = read(path, skip_layers=2)
    assert list(skipped.neurons) == ["layer3"] and skipped.inputs == {"input": SpikeInput((3, 4, 4))}
    graded = read(path, input_message_bits=8).nodes["input"]
    assert isinstance(graded, GradedInput) and graded.limit == 255
    with pytest.raises(InputError, match="num_layers=3 and skip_layers=3 leave no layer"):
        read(path, num_layers=3, skip_layers=3)
    for wrong in ({"skip_layers": -1}, {"num_layers": 0}, {"spike_exp": 8}, {"layers": 3}, {"reset_interval": 1.5}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            read(path, **wrong)


def test_windows_begin_where_samples_do(tmp_path) -> None:
    fed = write(tmp_path / "a.net", dense(EVEN))
    written = write(tmp_path / "b.net", given((6,)) | {"neuron": neuron(iDecay=4096)}, dense(EVEN))
    assert read(fed, reset_interval=16, reset_offset=1) and read(written, reset_interval=16, reset_offset=0)
    for path, offset in ((fed, 0), (written, 1)):
        with pytest.raises(
            UnsupportedError, match=f"reset_offset={offset} clears states in the middle of a sample.*reset_offset={1 - offset}"
        ):
            read(path, reset_interval=16, reset_offset=offset)


def test_a_sigma_delta_network(tmp_path) -> None:
    layers = (
        given((1, 3, 4)) | {"neuron": sdnn(vThMant=0)},
        conv(2 * RNG.integers(-9, 9, (2, 1, 2, 2)), (2, 2, 3), neuron=sdnn(), bias=np.array([3.0, -4])),
        {"type": "flatten", "shape": np.array([12])},
        dense(2 * RNG.integers(-9, 9, (5, 12)), neuron=sdnn(activation="identity"), delay=np.array([0, 1, 0, 2, 0.0])),
        dense(2 * RNG.integers(-9, 9, (2, 5)), neuron=sdnn(sigma_output=True)),
    )
    path = write(tmp_path / "a.net", *layers)
    program = read_quietly(path)
    kinds = {name: type(node).__name__ for name, node in program.nodes.items()}
    assert kinds == {"input": "DeclaredInput", "layer0": "Delta", "layer1": "SigmaDelta", "layer3": "SigmaDelta", "layer4": "Sigma"}
    node = program.nodes["layer1"]
    assert (node.vth, node.spike_exp, node.state_exp, node.activation) == (5, 6, 6, "relu") and node.bias[:, 0, 0].tolist() == [3, -4]
    assert [(c.delay, c.lag) for c in program.connections] == [(0, 0), (-1, 1), (-1, 1), (-1, 2), (-1, 3), (-1, 1)]
    assert program.outputs["output"].decoder == "membrane_last" and not program.ledger
    assert [e.change for e in netx_differences(path)] == ["runs relu in place of no activation"]
    assert read(path, num_layers=2, spike_exp=3).nodes["layer1"].spike_exp == 3
    skipped = read_quietly(path, skip_layers=1)
    assert skipped.inputs["input"] == DeclaredInput((1, 3, 4), 16, 2.0**-12) and skipped.latency["layer4"] == 0


def test_what_follows_the_last_neurons(tmp_path) -> None:
    """A layer without neurons adds up its currents, as netx's does; an average adds up each group's spikes."""
    x = {"input": RNG.integers(0, 2, (20, 2, 6), dtype=np.int32)}
    bare = read(write(tmp_path / "a.net", dense(EVEN, neuron=None)))
    found = emulate(bare, x, "all", states=True)
    assert (found.states["layer0"]["v"][-1] == 64 * x["input"].sum(0) @ EVEN.T).all() and bare.outputs["output"].decoder == "membrane_last"
    with pytest.raises(UnsupportedError, match="layer/0: has no neuron, and is not the last layer.*num_layers=0"):
        read(write(tmp_path / "b.net", dense(EVEN, neuron=None), dense(EVEN[:, :4])))
    averaged = read_quietly(write(tmp_path / "c.net", dense(abs(EVEN)), {"type": "average", "shape": np.array([2, 1, 1])}))
    found = emulate(averaged, x, "all", states=True)
    sums = found.spikes["layer0"].reshape(20, 2, 2, 2).sum((0, 3))
    assert (found.states["layer1"]["v"][-1] == 64 * sums).all() and sums.any() and "readouts" in averaged.ledger[0].change
    with pytest.raises(InputError, match="layer/1/shape: 3 averages of 4 neurons"):
        read(write(tmp_path / "d.net", dense(EVEN), {"type": "average", "shape": np.array([3])}))


def test_the_length_of_a_sample(tmp_path) -> None:
    assert sample_steps(write(tmp_path / "a.net", dense(EVEN), simulation__tSample=16)) == 16
    assert sample_steps(write(tmp_path / "b.net", dense(EVEN))) is None
    with pytest.raises(InputError, match="simulation/tSample: expected a positive number of steps, found 0"):
        sample_steps(write(tmp_path / "c.net", dense(EVEN), simulation__tSample=0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "is a pointer of Git LFS.*git lfs pull"),
        (b"/annex/objects/MD5E-s12--4d7a.net\n", "is a pointer of git-annex.*git annex get"),
        (b"\n<!DOCTYPE html>\n<html><head>", "is a web page, saved in place of the file"),
    ],
)
def test_what_stands_in_place_of_a_file_is_named(content: bytes, message: str, tmp_path) -> None:
    (tmp_path / "a.net").write_bytes(content)
    with pytest.raises(InputError, match=f"a.net: {message}") as caught:
        read_net(tmp_path / "a.net")
    assert "\n" not in str(caught.value)
