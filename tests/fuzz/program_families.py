"""Programs, bundles, saved cases and board files that are fuzzed: as `graph_families`."""

import json
from pathlib import Path

import lowering_graphs
import nir
import numpy as np
from scipy import sparse

from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.consistency import check_consistency
from snnfuse.hardware import (
    AlphaLif,
    BiasedLif,
    BiasInput,
    Connection,
    Constant,
    Conv2d,
    Delta,
    Dense,
    Diagonal,
    GradedInput,
    InverseRoot,
    Lif,
    Maximum,
    Output,
    Product,
    Program,
    Relay,
    ResonateAndFire,
    Sigma,
    SigmaDelta,
    Sparse,
    SpikeInput,
    emulate,
)
from snnfuse.hardware.backends.reference import emulate as run_reference
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.chip.boards import read_board
from snnfuse.hardware.ir.fixed_point import NEVER
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.reading import reading
from snnfuse.report import gather, render
from snnfuse.testing.cases import Accuracy, BitExact
from snnfuse.testing.storing import read_case, write_case
from tests.fuzz.containers import (
    change_bundle,
    change_case,
    change_program,
)
from tests.fuzz.engine import Family, Rng
from tests.fuzz.mutations import change_json_file

RNG = np.random.default_rng(0)


def a_program() -> tuple[Program, dict[str, np.ndarray]]:
    conv = Conv2d(RNG.integers(-8, 9, (2, 1, 3, 3)).astype(np.int32) * 2, (1, 4, 4), padding=(1, 1))
    nodes = {
        "image": GradedInput((1, 4, 4), 8, 0.5),
        "spikes": SpikeInput((3,)),
        "c": Lif(conv.output_shape, 100, 200, 5),
        "d": Lif((2,), 4095, 100, 3),
    }
    links = (
        Connection("image", "c", conv),
        Connection("spikes", "d", Dense(RNG.integers(-9, 9, (2, 3)).astype(np.int32) * 2), delay=1),
        Connection("c", "d", Dense(RNG.integers(-9, 9, (2, 32)).astype(np.int32) * 2)),
        Connection("d", "d", Dense(np.eye(2, dtype=np.int32) * -2)),
    )
    events = {"image": RNG.integers(-9, 9, (6, 2, 1, 4, 4)), "spikes": RNG.integers(0, 2, (6, 2, 3))}
    return Program(nodes, links, {"out": Output("d")}), {name: value.astype(np.int32) for name, value in events.items()}


def all_kinds() -> tuple[Program, dict[str, np.ndarray]]:
    """Every kind of neuron and of synapse, each with arrays in place of numbers where it takes them."""

    def each(low: int, high: int, *shape: int) -> np.ndarray:
        return RNG.integers(low, high, shape).astype(np.int32)

    spread = sparse.csr_matrix(each(-9, 10, 3, 4) * 2)
    nodes = {
        "spikes": SpikeInput((4,)), "graded": GradedInput((4,), 8, 1.0), "picture": BiasInput((4,), 0.5, 1), "one": Constant(),
        "lif": Lif((3,), each(0, 4096, 3), each(0, 4096, 3), each(1, 9, 3), each(-3, 4, 3), each(0, 3, 3), "subtract_delayed"),
        "biased": BiasedLif((4,), 4095, 100, 30, bias_exp=6),
        "alpha": AlphaLif((4,), 500, 900, 9000, each(1, 20, 4), "subtract"),
        "resonator": ResonateAndFire((4,), each(-99, 99, 4), each(3900, 4000, 4), 60, 2),
        "largest": Maximum((4,), 3), "product": Product((4,), 1), "relay": Relay((4,)), "root": InverseRoot((4,), 2047),
        "delta": Delta((4,), 5, 6, 6, 1), "sd": SigmaDelta((4,), 6, 6, 6, 0, bias=each(-9, 9, 4)), "sigma": Sigma((4,)),
        "out": Lif((4,), 4095, 100, NEVER),
    }  # fmt: skip
    eye = Dense(np.eye(4, dtype=np.int32) * 2)
    links = (
        Connection("spikes", "lif", Sparse(spread)), Connection("picture", "biased", Diagonal(np.full(4, 1, np.int32)), port=1),
        Connection("spikes", "biased", Diagonal(each(-9, 10, 4) * 2)), Connection("spikes", "alpha", Dense(each(-9, 10, 4, 4) * 2)),
        Connection("spikes", "resonator", Diagonal(np.full(4, 12, np.int32)), lag=2),
        *(Connection("graded", "largest", Diagonal(np.full(4, k * 2, np.int32)), port=k - 1) for k in (1, 2, 3)),
        Connection("graded", "product", eye), Connection("graded", "product", eye, port=1), Connection("graded", "relay", eye),
        Connection("graded", "root", eye), Connection("graded", "delta", eye), Connection("delta", "sd", eye),
        Connection("sd", "sigma", eye),
        Connection("one", "out", Dense(np.full((4, 1), 2, np.int32)), delay=1),
        Connection("relay", "out", eye),
    )  # fmt: skip
    events = {
        "spikes": RNG.integers(0, 2, (6, 2, 4)), "graded": RNG.integers(-9, 9, (6, 2, 4)),
        "picture": np.repeat(RNG.integers(-9, 9, (1, 2, 4)), 6, 0),
    }  # fmt: skip
    given = {name: value.astype(np.int32) for name, value in events.items()}
    return Program(nodes, links, {"o": Output("out", "membrane_last"), "p": Output("biased")}), given


PROGRAM, EVENTS = a_program()
KINDS, KINDS_EVENTS = all_kinds()


def program_seeds(folder: Path) -> None:
    save_program(PROGRAM, folder / "program")
    save_program(KINDS, folder / "kinds")
    for program, events in ((PROGRAM, EVENTS), (KINDS, KINDS_EVENTS)):
        emulate(program, events, record="all")  # compiled once, before there are workers


def read_program(path: Path) -> None:
    events = KINDS_EVENTS if path.name == "kinds" else EVENTS
    with reading(path):
        program = load_program(path)
        quick, slow = emulate(program, events, record="all"), run_reference(program, events, "all")
        check_chip(program, "oheo-gulch")
    assert all((quick.spikes[name] == slow.spikes[name]).all() for name in slow.spikes), "emulator and reference differ"


def bundle_seeds(folder: Path) -> None:
    from snnfuse.export import write_bundle

    golden = emulate(PROGRAM, EVENTS, record="all")
    write_bundle(
        folder / "lava",
        graph=lowering_graphs.chain(nir.Linear(np.eye(4)), lowering_graphs.lif(4)),
        program=PROGRAM,
        golden=golden,
        target="lava",
    )
    write_bundle(folder / "graph", graph=lowering_graphs.chain(nir.Linear(np.eye(4)), lowering_graphs.lif(4)), target="nir")
    write_bundle(folder / "loihi2", program=PROGRAM, golden=golden, graph=lowering_graphs.chain(lowering_graphs.lif(4)))


def read_whole_bundle(path: Path) -> None:
    bundle = read_bundle(path)
    with reading(path):
        content = gather(bundle)
        render(content)
    check_consistency(bundle)
    with reading(path):
        bundle.graph  # noqa: B018
        if "program.json" in bundle.manifest["files"]:
            emulate(bundle.program, bundle.events)
            bundle.golden  # noqa: B018


def case_seeds(folder: Path) -> None:
    write_case(BitExact(PROGRAM, EVENTS, "emulator"), folder, "t")
    labels = np.zeros(2, np.int64)
    write_case(Accuracy(PROGRAM, EVENTS, labels, labels, 1.0, "emulator", "out"), folder, "u")
    program_seeds(folder.parent)


def read_a_case(path: Path) -> None:
    case = read_case(path)
    with reading(path):
        case.problem()


def board_seeds(folder: Path) -> None:
    board = {"name": "mine", "chips": 2}
    (folder / "small.json").write_text(json.dumps({"name": "mine", "chips": 2}))
    known = read_board_fields()
    (folder / "full.json").write_text(json.dumps(board | known))


def read_board_fields() -> dict[str, int]:
    from snnfuse.hardware.chip.boards import LIMITS

    return dict.fromkeys(LIMITS, 100)


def read_a_board(path: Path) -> None:
    with reading(path):
        check_chip(PROGRAM, read_board(path))


def change_json(rng: Rng, path: Path) -> None:
    change_json_file(rng, path)


PROGRAMS = (
    Family("program", program_seeds, change_program, read_program),
    Family("bundle", bundle_seeds, change_bundle, read_whole_bundle),
    Family("case", case_seeds, change_case, read_a_case),
    Family("board", board_seeds, change_json, read_a_board),
)
