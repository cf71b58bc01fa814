"""Every kind of file that is read from strangers: what it is mutated from, how, and what a command does with it."""

import json
import wave
from pathlib import Path
from typing import Any

import h5py
import lowering_graphs
import netx_files
import nir
import numpy as np
import torch
from random_nir import lowered_graph, random_inputs
from scipy import sparse

from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from snnfuse.compile import Settings, compile, open_source
from snnfuse.data.samples import Samples, read_array, read_samples
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.consistency import check_consistency
from snnfuse.export.hdf5 import opened
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.targets import find_target
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
from snnfuse.networks import build, preset_config
from snnfuse.report import gather, render
from snnfuse.streaming import audio, frames
from snnfuse.streaming.event_lines import event_lines, whole_lines
from snnfuse.streaming.opening import Settings as Streamed
from snnfuse.streaming.opening import open_stream
from snnfuse.testing.cases import Accuracy, BitExact
from snnfuse.testing.storing import read_case, write_case
from tests.fuzz.containers import (
    change_archive,
    change_bundle,
    change_case,
    change_lines,
    change_npy,
    change_pickle,
    change_program,
    change_wav,
)
from tests.fuzz.engine import Family, Rng
from tests.fuzz.mutations import change_hdf5, change_json_file, flip_file, pick

SAMPLES: dict[str, Samples] = {}  # by the name of a seed, which its cases keep
RNG = np.random.default_rng(0)
LAVA, NIR = find_target("lava"), find_target("nir")
QUICK = Settings(prove="off")


def nir_seeds(folder: Path) -> None:
    graphs = {f"random{number}": lowered_graph(number) for number in range(6)}
    graphs["chain"] = lowering_graphs.chain(
        nir.Linear(np.eye(4)), lowering_graphs.lif(4), nir.Affine(np.eye(4), np.ones(4)), lowering_graphs.lif(4)
    )
    kernel = RNG.integers(-4, 5, (2, 1, 3, 3)) / 8
    conv = nir.Conv2d((6, 6), kernel, (1, 1), (1, 1), (1, 1), 1, np.zeros(2))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = (nir.Flatten({"input": np.array([2, 3, 3])}, 0), nir.Linear(np.eye(3, 18)), lowering_graphs.lif(3))
    graphs["conv"] = lowering_graphs.chain(conv, lowering_graphs.lif(2, 6, 6), pool, *flat, size=(1, 6, 6))
    for name, graph in graphs.items():
        nir.write(folder / f"{name}.nir", graph)
        arrays = {key: value.astype(np.float32) for key, value in random_inputs(graph, 6, 2, 1).items()}
        SAMPLES[f"{name}.nir"] = Samples(arrays, None, "random")


def read_nir(path: Path) -> None:
    source, samples = open_source(path), SAMPLES[path.name]
    with reading(path):
        compile(source, None, QUICK, NIR)
        compile(source, samples.named(source.inputs), QUICK, LAVA)


def hdf5_seeds(folder: Path) -> None:
    """Files of which structure is a larger part than numbers."""
    nir.write(folder / "small.nir", lowering_graphs.chain(nir.Linear(np.eye(2)), lowering_graphs.lif(2)))
    with h5py.File(folder / "packed.nir", "w") as file:
        _pack(file, {"node": lowering_graphs.chain(nir.Linear(np.eye(4)), lowering_graphs.lif(4)).to_dict(), "version": "1.0"})


def _pack(group: h5py.Group, content: dict[str, Any]) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            _pack(group.create_group(name), value)
        elif np.size(value) > 1 and np.asarray(value).dtype.kind in "fi":
            group.create_dataset(name, data=value, chunks=True, compression="gzip", shuffle=True, fletcher32=True)
        elif value is not None:
            group[name] = value


def read_hdf5(path: Path) -> None:
    with opened(path) as file:
        file.visititems(
            lambda name, item: [item.attrs[key] for key in item.attrs] + [item[()] for _ in "x" if hasattr(item, "dtype")] and None
        )
    read_graph(path)


def net_seeds(folder: Path) -> None:
    weight = RNG.integers(-10, 11, (3, 4))
    netx_files.write(folder / "dense.net", netx_files.given((4,)), netx_files.dense(weight), netx_files.dense(np.eye(3) * 8))
    layers = (
        netx_files.conv(RNG.integers(-9, 9, (2, 1, 3, 3)), (2, 6, 6), padding=np.array([1, 1])),
        {"type": "flatten", "shape": np.array([72])},
    )
    netx_files.write(folder / "conv.net", netx_files.given((1, 6, 6)), *layers, netx_files.dense(np.ones((2, 72))))


def read_net(path: Path) -> None:
    source = open_source(path)
    with reading(path):
        compile(source, None, QUICK, LAVA)


class Two(torch.nn.Module):
    """What a user's state_dict belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)


def torch_seeds(folder: Path) -> None:
    torch.manual_seed(0)
    torch.save(Two().state_dict(), folder / "state.pt")
    torch.save({"model": Two().state_dict(), "epoch": 3, "lr": [0.1, {"a": None}]}, folder / "state_nested.pt")
    small = preset_config("fd-fusion", "small")
    save_checkpoint(build("fd-fusion", small), folder / "ours.pt", metadata={"data": "av-digits"})


def read_torch(path: Path) -> None:
    with reading(path):
        load_checkpoint(path, model=Two if path.name.startswith("state") else None)


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


def npz_seeds(folder: Path) -> None:
    x = RNG.integers(0, 2, (6, 2, 4))
    np.savez(folder / "plain.npz", input=x.astype(np.float32), labels=np.zeros(2, int))
    np.savez_compressed(folder / "packed.npz", a=x.astype(np.int8), b=x.astype(float))
    np.savez(folder / "both.npz", image=EVENTS["image"], spikes=EVENTS["spikes"])
    np.save(folder / "one.npy", x.astype(np.float32))


def change_npz(rng: Rng, path: Path) -> None:
    if path.suffix == ".npy":
        path.write_bytes(change_npy(rng, path.read_bytes()))
    else:
        change_archive(rng, path, change_npy)


def read_npz(path: Path) -> None:
    samples = read_samples(path)
    with reading(path):
        if set(samples.inputs) >= {"image", "spikes"}:
            PROGRAM.encode({name: samples.inputs[name] for name in PROGRAM.inputs})
    if path.suffix == ".npy":
        read_array(path)
    else:
        for _ in open_stream(PROGRAM, [str(path)], Streamed(threshold=0.5, steps=50)):
            pass


def wav_seeds(folder: Path) -> None:
    for width, channels in ((2, 1), (1, 2), (3, 1), (4, 2)):
        with wave.open(str(folder / f"w{width}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(8000)
            file.writeframes(RNG.integers(0, 256, 3000 * width * channels).astype(np.uint8).tobytes())


def read_wav(path: Path) -> None:
    rate, blocks = audio.wav_blocks(path)
    for _ in audio.sample_steps(blocks, 64):
        pass
    rate, blocks = audio.wav_blocks(path)
    for _ in audio.log_mel_steps(blocks, rate, 8):
        pass


def image_seeds(folder: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(RNG.integers(0, 256, (9, 9, 3)).astype(np.uint8))
    for suffix in ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm"):
        (folder / suffix).mkdir()
        picture.save(folder / suffix / f"a.{suffix}")
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "a.npy", np.zeros((3, 4, 4)))


def change_image(rng: Rng, folder: Path) -> None:
    (file,) = folder.iterdir()
    change_npz(rng, file) if file.suffix == ".npy" else flip_file(rng, file)


def read_images(path: Path) -> None:
    for _ in frames.folder_frames(path, (3, 4, 4)):
        pass


def line_seeds(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"spikes": [0, 1]}\n{"spikes": [0, 2], "image": [[3, -4]]}\n\n{"image": [[15, 9]]}\n{"spikes": []}\n')


def read_lines(path: Path) -> None:
    with path.open("rb") as file:
        for _ in event_lines(whole_lines(file, "lines"), PROGRAM.inputs, "lines"):
            pass


def change_torch(rng: Rng, path: Path) -> None:
    change_archive(rng, path, change_pickle)


def change_bytes(rng: Rng, path: Path) -> None:
    """Flip a few bits of a few bytes, of a few that matter more than those of a whole run."""
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), int(rng.integers(1, 5))):
        content[place] = int(pick(rng, [0, 1, 255, content[place] ^ 1 << int(rng.integers(8)), int(rng.integers(256))]))
    path.write_bytes(content)


def change_json(rng: Rng, path: Path) -> None:
    change_json_file(rng, path)


FAMILIES = {
    family.name: family
    for family in (
        Family("nir", nir_seeds, change_hdf5, read_nir),
        Family("hdf5", hdf5_seeds, change_bytes, read_hdf5),
        Family("net", net_seeds, change_hdf5, read_net),
        Family("torch", torch_seeds, change_torch, read_torch),
        Family("program", program_seeds, change_program, read_program),
        Family("bundle", bundle_seeds, change_bundle, read_whole_bundle),
        Family("case", case_seeds, change_case, read_a_case),
        Family("board", board_seeds, change_json, read_a_board),
        Family("npz", npz_seeds, change_npz, read_npz),
        Family("wav", wav_seeds, change_wav, read_wav),
        Family("image", image_seeds, change_image, read_images),
        Family("lines", line_seeds, change_lines, read_lines),
    )
}
