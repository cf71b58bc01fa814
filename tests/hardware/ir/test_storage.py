"""A Program written and read again is the same Program; anything else on disk is refused in one line."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from scipy import sparse

from snnfuse.hardware import (
    Connection,
    Constant,
    Conv2d,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Product,
    Program,
    Relay,
    Sparse,
    SpikeInput,
    emulate,
)
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.ledger import LedgerEntry


@pytest.fixture
def program() -> Program:
    """Every primitive, every kind of parameter, two inputs, a delay and a recurrence."""
    rng = np.random.default_rng(0)
    even = lambda *shape: 2 * rng.integers(-128, 128, shape, dtype=np.int32)  # noqa: E731
    csr = sparse.random(12, 18, 0.3, "csr", random_state=rng, data_rvs=lambda n: 2 * rng.integers(1, 100, n)).astype(np.int32)
    nodes = {
        "image": SpikeInput((2, 3, 3)),
        "sound": GradedInput((5,), bits=12, scale=0.1),
        "one": Constant(),
        "vision.lif": Lif((4, 2, 2), du=4095, dv=np.arange(16, dtype=np.int32).reshape(4, 2, 2), vth=20),
        "fuse": Lif((12,), du=np.full(12, 100, np.int32), dv=163, vth=30, bias_mant=-5, bias_exp=2, reset="subtract_delayed"),
        "sum": Relay((5,)),
        "gate": Product((2, 2), exponent=3),
    }
    connections = (
        Connection("image", "vision.lif", Conv2d(even(4, 1, 2, 2), (2, 3, 3), groups=2, exponent=-1)),
        Connection("vision.lif", "fuse", Dense(even(12, 16), exponent=1)),
        Connection("image", "fuse", Sparse(csr, bits=6 if not (csr.data % 4).any() else 8), delay=1),
        Connection("sound", "fuse", Dense(even(12, 5)), delay=1),
        Connection("one", "fuse", Dense(np.full((12, 1), 7, np.int32))),
        Connection("fuse", "fuse", Dense(np.zeros((12, 12), np.int32))),
        Connection("sound", "sum", Sparse(sparse.identity(5, np.int32, "csr"))),
        Connection("sound", "sum", Diagonal(even(5), exponent=2)),
        Connection("sum", "gate", Dense(even(4, 5))),
        Connection("vision.lif", "gate", Dense(even(4, 16)), port=1),
    )
    outputs = {"spikes": Output("fuse"), "membrane": Output("fuse", "membrane_max")}
    return Program(nodes, connections, outputs, dt=1e-3, ledger=(LedgerEntry("fuse", "a", "because", "0.1 %"),))


def assert_same(a: object, b: object) -> None:
    """Equal in type and in every field, arrays in values and dtype."""
    assert type(a) is type(b)
    for field in fields(a):  # type: ignore[arg-type]
        x, y = getattr(a, field.name), getattr(b, field.name)
        if sparse.issparse(x):
            assert x.shape == y.shape and x.format == y.format
            x, y = x.toarray(), y.toarray()
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        elif field.name == "synapse":
            assert_same(x, y)
        else:
            assert x == y and type(x) is type(y)


def test_every_field_of_every_primitive_comes_back(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path / "new" / "folder")
    again = load_program(tmp_path / "new" / "folder")
    assert list(again.nodes) == list(program.nodes) and list(again.outputs) == list(program.outputs)
    assert (again.dt, again.ledger, again.outputs) == (program.dt, program.ledger, program.outputs)
    for name in program.nodes:
        assert_same(again.nodes[name], program.nodes[name])
    assert len(again.connections) == len(program.connections)
    for a, b in zip(again.connections, program.connections):
        assert_same(a, b)


def test_the_copy_runs_the_same(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path)
    rng = np.random.default_rng(1)
    events = program.encode({"image": rng.integers(0, 2, (9, 2, 2, 3, 3)), "sound": rng.normal(size=(9, 2, 5))})
    a, b = (emulate(p, events, record="all", states=True) for p in (program, load_program(tmp_path)))
    for name in program.neurons:
        np.testing.assert_array_equal(a.spikes[name], b.spikes[name])
        assert a.spikes[name].any()
    np.testing.assert_array_equal(a.states["fuse"]["v"], b.states["fuse"]["v"])


def test_same_program_same_bytes(program: Program, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_program(program, tmp_path / folder)
    for name in ("program.json", "program.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def edit(folder: Path, path: tuple, value: object) -> None:
    """Set, or with DELETE remove, one value of program.json."""
    file = folder / "program.json"
    record = json.loads(file.read_text())
    place = record
    for key in path[:-1]:
        place = place[key]
    if value is DELETE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    file.write_text(json.dumps(record))


DELETE = object()
LIF = ("nodes", "vision.lif")
CONV = ("connections", 0, "synapse")


def test_a_file_of_version_1_has_no_ports(tmp_path: Path) -> None:
    link = Connection("in", "n", Dense(np.ones((2, 2), np.int32)), delay=1)
    save_program(Program({"in": SpikeInput((2,)), "n": Lif((2,), 0, 0, 1)}, (link,), {}), tmp_path)
    edit(tmp_path, ("connections", 0, "port"), DELETE)
    with pytest.raises(InputError, match=r"connections\[0\]: port: missing"):
        load_program(tmp_path)
    edit(tmp_path, ("format_version",), 1)
    assert_same(load_program(tmp_path).connections[0], link)


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("format",), "other", "format is 'other'"),
        (("format_version",), 4, "format_version is 4; this snnfuse reads 1 to 3"),
        (("dt",), "fast", 'dt: expected a finite number, found "fast"'),
        (("dt",), DELETE, "dt: missing"),
        (("dt",), 0, "dt: a time step must be positive, found 0"),
        (("format_version",), True, "format_version is True; this snnfuse reads 1 to 3"),
        (("nodes",), [], "nodes: expected a dict"),
        (("surprise",), 1, "surprise: unknown field"),
        ((*LIF, "type"), "os.system", r'nodes.vision.lif: type is "os.system", none of .*Constant, .*GradedInput, InverseRoot, Lif'),
        ((*LIF, "type"), DELETE, "nodes.vision.lif: type is null"),
        ((*LIF, "vth"), 1.5, "nodes.vision.lif: vth: expected an integer, found 1.5"),
        ((*LIF, "vth"), True, "nodes.vision.lif: vth: expected an integer, found true"),
        ((*LIF, "vth"), 1 << 20, "nodes.vision.lif: vth=1048576 is outside its register"),
        ((*LIF, "vth"), 10**30, "nodes.vision.lif: vth holds object values"),
        ((*LIF, "vth"), DELETE, "nodes.vision.lif: vth: missing"),
        ((*LIF, "du"), {"array": "nowhere"}, "nodes.vision.lif: du: expected the name of a stored array"),
        ((*LIF, "du"), {"array": ["x"]}, "nodes.vision.lif: du: expected the name of a stored array"),
        ((*LIF, "shape"), [4, 0], "nodes.vision.lif: shape: expected a list of integers of at least 1"),
        ((*LIF, "reset"), "sometimes", "nodes.vision.lif: reset='sometimes'"),
        ((*LIF, "reset"), ["zero"], "nodes.vision.lif: reset: expected a string"),
        (("nodes", "sound", "scale"), -1, "nodes.sound: a graded input's scale must be positive"),
        ((*CONV, "stride"), [0, 1], r"connections\[0\]: synapse: stride: expected 2 integers of at least 1"),
        ((*CONV, "stride"), [2**40, 1], r"connections\[0\]: synapse: a convolution's stride is two integers of at most 2147483647"),
        ((*CONV, "padding"), [2**30, 2**30], r"connections\[0\]: synapse: a convolution .* more than 2147483647 neurons"),
        ((*CONV, "groups"), -1, r"connections\[0\]: synapse: groups: -1 groups do not divide"),
        ((*CONV, "groups"), 0, r"connections\[0\]: synapse: groups: 0 groups do not divide"),
        ((*CONV, "input_shape"), [9, 9, 9], r"connections\[0\]: synapse: weights .* do not fit"),
        (("connections", 0, "target"), "nobody", "connection image -> nobody"),
        (("connections", 1, "delay"), 99, r"connections\[1\]: delay of vision.lif -> fuse=99"),
        (
            ("connections", 1, "synapse", "weights"),
            {"array": "nodes.vision.lif.dv"},
            r"synapse: dense weights need two axes",
        ),
        (("connections", 2, "synapse", "weights", "shape"), [12, 5], r"connections\[2\]: synapse: weights: no valid CSR matrix"),
        (("outputs", "spikes", "decoder"), "guess", "outputs.spikes: decoder 'guess'"),
        (("outputs", "spikes", "node"), "image", "output 'spikes' reads 'image'"),
        (("ledger", 0), {"node": "x"}, r"ledger\[0\]: change: missing"),
        (("ledger", 0, "effect"), 3, r"ledger\[0\]: effect: expected a string"),
    ],
)
def test_a_wrong_field_is_named(program: Program, tmp_path: Path, path: tuple, value: object, message: str) -> None:
    save_program(program, tmp_path)
    edit(tmp_path, path, value)
    with pytest.raises(InputError, match=message) as raised:
        load_program(tmp_path)
    assert str(raised.value).startswith(str(tmp_path / "program.json")) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["program.json", "program.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "foreign", "folder"])
def test_a_damaged_file_is_named(program: Program, tmp_path: Path, name: str, damage: str) -> None:
    save_program(program, tmp_path)
    file = tmp_path / name
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        file.write_bytes({"truncated": content[:-9], "empty": b"", "foreign": b"\x89PNG\r\n\x1a\n"}[damage])
    with pytest.raises(InputError, match=name) as raised:
        load_program(tmp_path)
    assert "\n" not in str(raised.value)


def replace_arrays(folder: Path, changes: dict[str, np.ndarray]) -> None:
    """Change arrays together with their hash, as someone who means harm would."""
    import hashlib

    blob = save(load_file(folder / "program.safetensors") | changes)
    (folder / "program.safetensors").write_bytes(blob)
    edit(folder, ("arrays_sha256",), hashlib.sha256(blob).hexdigest())


def test_indices_beyond_the_matrix_are_refused(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path)
    indices = load_file(tmp_path / "program.safetensors")["connections.2.weights.indices"]
    replace_arrays(tmp_path, {"connections.2.weights.indices": np.full_like(indices, 10**6)})
    with pytest.raises(InputError, match=r"connections\[2\]: synapse: weights: no valid CSR matrix"):
        load_program(tmp_path)


@pytest.mark.parametrize(
    "part, change, message",
    [
        ("indptr", lambda a: np.where(np.arange(len(a)) == len(a) - 1, -1, a), "indptr runs from 0 to -1"),
        ("indptr", lambda a: np.where(np.arange(len(a)) == len(a) - 1, 0, a), "indptr runs from 0 to 0"),
        ("indptr", lambda a: np.where(np.arange(len(a)) == 1, 10**6, a), "indptr falls"),
        ("indptr", lambda a: a[:-1], "indptr has 12 entries, 12 rows need 13"),
        ("indptr", lambda a: a[None], "indptr must be one row of integers"),
        ("indices", lambda a: np.full_like(a, -1), "indices must be < 18 and not negative"),
        ("indices", lambda a: a[:-1], "values, but"),
        ("indices", lambda a: np.zeros_like(a), "twice"),
        ("data", lambda a: a[:-1], "values, but"),
    ],
)
def test_row_pointers_and_indices_that_mislead_are_refused(
    program: Program, tmp_path: Path, part: str, change: Callable, message: str
) -> None:
    save_program(program, tmp_path)
    name = f"connections.2.weights.{part}"
    replace_arrays(tmp_path, {name: np.ascontiguousarray(change(load_file(tmp_path / "program.safetensors")[name]))})
    with pytest.raises(InputError, match=rf"connections\[2\]: synapse: .*{message}"):
        load_program(tmp_path)


@pytest.mark.parametrize(
    "array, message",
    [(np.ones((12, 16), np.float32), "float32 values"), (np.full((12, 16), 999, np.int32), "weight=999 is outside its register")],
)
def test_weights_that_no_chip_holds_are_refused(program: Program, tmp_path: Path, array: np.ndarray, message: str) -> None:
    save_program(program, tmp_path)
    replace_arrays(tmp_path, {"connections.1.weights": array})
    with pytest.raises(InputError, match=message):
        load_program(tmp_path)


def test_nan_is_no_number(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path)
    edit(tmp_path, ("dt",), float("nan"))
    with pytest.raises(InputError, match="NaN is no JSON number"):
        load_program(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the program to .*file"):
        save_program(program, tmp_path / "file")
