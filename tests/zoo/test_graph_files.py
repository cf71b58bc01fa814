"""NIR files as other exporters and older versions write them: read, completed and deployed, or refused by name on every target."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from cli_calls import Cli, assert_error

from snnfuse.export import lower, simulate
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.lowering.completing import writable
from snnfuse.export.lowering.nir_file import read_graph

WEIGHTS = np.random.default_rng(0).integers(-3, 5, (3, 4)).astype(float)


def ends(shape: tuple[int, ...], out: tuple[int, ...]) -> dict[str, nir.NIRNode]:
    return {"input": nir.Input({"input": np.array(shape)}), "output": nir.Output({"output": np.array(out)})}


def lif(shape: Any, **others: Any) -> nir.LIF:
    given = {"tau": 2e-4, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | others
    return nir.LIF(**{name: np.broadcast_to(value, shape).astype(float) for name, value in given.items()})


def chain(metadata: dict[str, Any] | None = None, **others: Any) -> nir.NIRGraph:
    nodes = ends((4,), (3,)) | {"fc": nir.Linear(WEIGHTS), "lif": lif((3,), **others)}
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")], metadata=metadata or {})


def image() -> nir.NIRGraph:
    rng = np.random.default_rng(1)
    nodes = ends((1, 6, 6), (3,)) | {
        "conv": nir.Conv2d((6, 6), rng.integers(-2, 4, (2, 1, 3, 3)).astype(float), 1, 0, 1, 1, np.zeros(2)),
        "hidden": lif((2, 4, 4)),
        "flat": nir.Flatten({"input": np.array((2, 4, 4))}, 0, -1),
        "fc": nir.Linear(rng.integers(-2, 4, (3, 32)).astype(float)),
        "lif": lif((3,)),
    }
    names = ["input", "conv", "hidden", "flat", "fc", "lif", "output"]
    return nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)))


def nested(size: int) -> nir.NIRGraph:
    inner = nir.NIRGraph(ends((size,), (size,)) | {"n": lif((size,))}, [("input", "n"), ("n", "output")])
    nodes = ends((4,), (3,)) | {"fc": nir.Linear(WEIGHTS), "sub": inner}
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "sub"), ("sub", "output")], type_check=False)


def scalars(file: h5py.File) -> None:
    for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        value = file[f"node/nodes/lif/{name}"][0]
        del file[f"node/nodes/lif/{name}"]
        file[f"node/nodes/lif/{name}"] = value


def without(*names: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for name in names:
            del file[f"node/nodes/{name}"]

    return change


OLD = {
    "scalars": (chain, scalars), "no v_reset": (chain, without("lif/v_reset")), "no input_type": (image, without("flat/input_type")),
    "no input_shape": (image, without("conv/input_shape")), "neither": (image, without("flat/input_type", "conv/input_shape")),
    "nested": (lambda: nested(3), lambda file: None),
}  # fmt: skip


def events(shape: tuple[int, ...]) -> np.ndarray:
    return (np.random.default_rng(2).random((12, 6, *shape)) < 0.4).astype(np.float32)


@pytest.mark.parametrize("case", OLD)
def test_old_files_mean_what_whole_ones_do_and_are_written_whole(case: str, tmp_path: Path) -> None:
    build, change = OLD[case]
    nir.write(tmp_path / "graph.nir", build())
    x = events(tuple(build().nodes["input"].input_type["input"]))
    expected = simulate(lower(build()), {"input": x}).spikes
    with h5py.File(tmp_path / "graph.nir", "r+") as file:
        change(file)
    graph = read_graph(tmp_path / "graph.nir")
    nir.write(tmp_path / "again.nir", writable(graph))
    for each in (graph, read_graph(tmp_path / "again.nir"), nir.read(tmp_path / "again.nir")):
        found = simulate(lower(each), {"input": x}).spikes
        assert all((found[name] == spikes).all() for name, spikes in expected.items()) and expected[list(expected)[-1]].any()


def test_arrays_without_an_axis_are_written(tmp_path: Path) -> None:
    graph = chain()
    graph.nodes["lif"].tau = np.array(2e-4)
    nir.write(tmp_path / "graph.nir", writable(graph))
    assert read_graph(tmp_path / "graph.nir").nodes["lif"].tau.shape == (3,) and graph.nodes["lif"].tau.shape == ()


def test_a_step_in_the_metadata_is_read() -> None:
    network = lower(chain({"dt": 1e-3}, tau=2e-3))
    assert network.dt == 1e-3 and not any("time step" in entry.change for entry in network.ledger)
    assert any("time step" in entry.change for entry in lower(chain()).ledger)


def test_thresholds_that_are_never_reached() -> None:
    x = events((4,))
    some = lower(chain(v_threshold=np.array([1.0, np.inf, 1.0])))
    found, whole = simulate(some, {"input": x}).spikes["lif"], simulate(lower(chain()), {"input": x}).spikes["lif"]
    assert not found[..., 1].any() and (found[..., [0, 2]] == whole[..., [0, 2]]).all() and found.any()
    assert lower(chain(v_threshold=np.inf)).populations["lif"].is_readout


def test_time_constants_that_never_end() -> None:
    x = events((4,))
    endless = simulate(lower(chain(tau=np.inf, r=np.inf)), {"input": x}).spikes["lif"]  # r = tau / dt, a gain of 1
    integrator = nir.IF(np.full(3, 1e4), np.ones(3), np.zeros(3))
    graph = chain()
    graph.nodes["lif"] = integrator
    assert (endless == simulate(lower(graph), {"input": x}).spikes["lif"]).all() and endless.any()
    assert not simulate(lower(chain(tau=np.inf)), {"input": x}).spikes["lif"].any()  # by NIR's equation nothing arrives


@pytest.mark.parametrize("target", ["lava", "nir"])
def test_every_target_checks_a_foreign_graph(snn: Cli, target: str) -> None:
    np.savez("calib.npz", input=events((4,)))
    calibrated = ("--calib", "calib.npz", "--prove", "off") if target == "lava" else ()
    nir.write("wrong.nir", nested(5))
    assert_error(snn("export", "wrong.nir", "--target", target, *calibrated), 2, "'sub.n' has (5,); give both one shape")
    nir.write("low.nir", chain(v_threshold=-1.0))
    assert_error(snn("export", "low.nir", "--target", target, *calibrated), 3, "node 'lif': v_threshold must lie above v_reset")
    nir.write("some.nir", chain(v_threshold=np.array([1.0, np.inf, 1.0])))
    assert snn("export", "some.nir", "--target", target, *calibrated, "-o", "some").code == 0
    if target == "lava":
        assert not read_bundle("some").golden.spikes["lif"][..., 1].any() and read_bundle("some").golden.spikes["lif"].any()


def test_what_was_not_run_is_not_called_passed(snn: Cli) -> None:
    nir.write("net.nir", chain())
    assert snn("export", "net.nir", "--target", "nir", "-o", "bundle").code == 0
    result = snn("verify", "bundle", "--json", "-")
    assert result.code == 0 and json.loads(result.out)["passed"] is None and "PASSED" not in result.err


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize("name", ["net.nir", "net.pt", "net.net", "calib.npz", "calib.npy"])
def test_pointers_of_git_lfs_and_empty_files_are_named(snn: Cli, name: str) -> None:
    nir.write("other.nir", chain())
    np.savez("data.npz", input=events((4,)))
    for content, said in ((POINTER, "is a pointer of Git LFS, not the file itself; get it with: git lfs pull"), (b"", "it is empty")):
        Path(name).write_bytes(content)
        model, data = (name, "data.npz") if name.startswith("net") else ("other.nir", name)
        extra = () if name == "net.net" else ("--calib", data)
        assert_error(snn("export", model, "--target", "lava", *extra), 2, f"{name}: {said}")


def test_files_that_are_cut_off_are_named(snn: Cli) -> None:
    import torch

    nir.write("net.nir", chain())
    np.savez("calib.npz", input=events((4,)))
    torch.save({"a": torch.zeros(100)}, "net.pt")
    for name in ("net.nir", "calib.npz", "net.pt"):
        whole = Path(name).read_bytes()
        Path(f"half_{name}").write_bytes(whole[: len(whole) // 2])
    for model, data in (("half_net.nir", "calib.npz"), ("net.nir", "half_calib.npz"), ("half_net.pt", "calib.npz")):
        assert_error(snn("export", model, "--target", "lava", "--calib", data), 2, "half written or half copied;")
