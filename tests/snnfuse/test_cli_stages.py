"""The command line for networks in stages: export, simulate, verify, and what says that it takes one program."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import snntorch
import torch
from cli_calls import Cli, assert_error
from l2_networks import Averaged, PerStep, branch, made, samples

from snnfuse.compile.pipeline_compiled import compile_on_chip
from snnfuse.compile.sources import Graph
from snnfuse.data.samples import Samples
from snnfuse.export import to_nir
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.stages import open_pipeline
from snnfuse.export.staging.cutting import cut
from snnfuse.export.staging.staged import quantize_staged
from snnfuse.hardware import emulate
from snnfuse.hardware.files import hash_files
from snnfuse.networks import L2Normalise

GOOD = ("export", "net.pt", "--model", "l2_models:averaged", "--calib", "calib.npz", "--target", "loihi2", "--prove", "off", "-o", "b")
PER_STEP = ("export", "step.pt", "--model", "l2_models:per_step", "--calib", "calib.npz", "--target", "loihi2", "--prove", "off", "-o", "b")
MODELS = "from l2_networks import Averaged, PerStep\naveraged, per_step = Averaged, PerStep\n"


@pytest.fixture
def files(snn: Cli, tmp_path: Path) -> Cli:
    (tmp_path / "l2_models.py").write_text(MODELS)
    torch.save(made(Averaged()).state_dict(), tmp_path / "net.pt")
    torch.save(made(PerStep()).state_dict(), tmp_path / "step.pt")
    x = samples()
    np.savez(tmp_path / "calib.npz", labels=np.arange(24) % 4, **x)
    np.savez(tmp_path / "x.npz", labels=np.arange(5) % 4, **{name: array[:, :5] for name, array in x.items()})
    return snn


def test_export_simulate_and_verify_a_network_in_stages(files: Cli) -> None:
    done = files(*GOOD, "--json", "out.json")
    assert done.code == 0, done.err
    assert "stage 3 of 3" in done.out and "host: seen, from output of stage 1" in done.out and "programs with their host" in done.out
    figures = json.loads(Path("out.json").read_text())
    assert len(figures["stages"]) == 3 and set(figures["calibration_accuracy"]) == {"decoder", "samples", "float", "program"}
    assert any("exact between parts" in entry["change"] for entry in figures["ledger"])
    first = {backend: files("simulate", "b", "--input", "x.npz", "--backend", backend, "--record", "all", "-o", f"{backend}.npz")
             for backend in ("emulator", "reference", "torch")}  # fmt: skip
    assert all(result.code == 0 for result in first.values()), first
    arrays = {backend: dict(np.load(f"{backend}.npz")) for backend in first}
    for name, array in arrays["emulator"].items():
        assert all((array == other[name]).all() for other in arrays.values()), name
    assert "stage3/seen.events" in arrays["emulator"] and arrays["emulator"]["output.classes"].shape == (5,)
    verified = files("verify", "b")
    assert verified.code == 0 and "lava, stage 3: 0 of" in verified.out and verified.out.rstrip().endswith("PASSED")


def test_per_step_l2_on_the_host_cuts_the_network(files: Cli) -> None:
    folded, host = files(*PER_STEP), files(*PER_STEP, "--l2", "host", "--force")
    assert folded.code == 0 and "constant gain" in folded.out
    assert host.code == 0 and "constant gain" not in host.out and "every step is read, L2 normalised to length 2" in host.out
    opened = open_pipeline(read_bundle("b"))
    assert len(opened.stages) == 2 and all(stage.graph is not None for stage in opened.stages)
    for program, golden in zip(opened.pipeline.programs, opened.golden):
        assert set(golden.spikes) >= set(program.neurons)


@pytest.mark.parametrize("command", [("map",), ("energy",), ("board",), ("simulate", "--stream", "events:-")])
def test_what_takes_one_program_says_which(files: Cli, command: tuple[str, ...]) -> None:
    assert files(*GOOD).code == 0
    arguments = (command[0], "b", *command[1:])
    refused = files(*arguments)
    assert_error(refused, 2, "b holds 3 programs, one per stage; this takes one: ", "stage1")


def test_a_stage_is_a_bundle_of_its_own(files: Cli) -> None:
    assert files(*GOOD).code == 0
    assert files("map", "b/stage3").code == 0 and files("energy", "b/stage3").code == 0


@pytest.mark.parametrize(
    "more, code, words",
    [
        (("--search",), 2, ("--search finds bits for one program", "leave it out")),
        (("--target", "nir"), 3, ("--target nir holds one network", "loihi2 or lava")),
        (("--target", "netx"), 3, ("--target netx holds one network",)),
        (("--l2", "host"), 2, ("--l2 host is for L2 on every step",)),
        (("--strict",), 3, ("--strict: ",)),
    ],
)
def test_what_stages_have_no_use_for_is_refused(files: Cli, more: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    assert_error(files(*GOOD, *more, "--quiet"), code, *words)
    assert not Path("b").exists()


def test_damage_between_stages_fails_verification(files: Cli) -> None:
    assert files(*GOOD).code == 0
    wiring = Path("b/pipeline.json")
    wiring.write_text(wiring.read_text().replace('"scale": 2.0', '"scale": 3.0'))
    refused = files("verify", "b")
    assert refused.code == 1 and "pipeline.json: changed after the export" in refused.out and "FAILED" in refused.out


def test_edited_wiring_with_its_hash_still_fails(files: Cli) -> None:
    assert files(*GOOD).code == 0
    wiring = Path("b/pipeline.json")
    wiring.write_text(wiring.read_text().replace('"scale": 2.0', '"scale": 1.5'))
    rehash(Path("b"))
    refused = files("verify", "b")
    assert refused.code == 1 and "stage 3: the golden events of" in refused.out and "FAILED" in refused.out


def test_stages_that_do_not_fit_are_an_error_in_a_line_that_names_the_wiring(files: Cli) -> None:
    assert files(*GOOD).code == 0
    for one, other in (("stage1", "aside"), ("stage2", "stage1"), ("aside", "stage2")):
        Path("b", one).rename(Path("b", other))
    rehash(Path("b"))
    assert_error(files("verify", "b"), 2, "b/pipeline.json: link 'seen' carries values of shape")
    shutil.rmtree("b/stage2")
    rehash(Path("b"))
    assert_error(files("verify", "b"), 2, "b/manifest.json: files must list stage2/manifest.json")


def rehash(bundle: Path) -> None:
    """As somebody would who means to deceive."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {name: digest for name, digest in hash_files(bundle).items() if name != "manifest.json"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_an_unlisted_file_in_a_stage_is_noticed(files: Cli) -> None:
    assert files(*GOOD).code == 0
    Path("b/stage2/more.txt").write_text("x")
    refused = files("verify", "b")
    assert refused.code == 1 and "stage2/more.txt" in refused.out


def test_l2_in_microcode_is_one_program_with_its_tier(files: Cli) -> None:
    done = files(*PER_STEP, "--l2", "microcode")
    assert done.code == 0, done.err
    bundle = read_bundle("b")
    report = json.loads(Path("b/report.json").read_text())
    entry = next(entry for entry in report["ledger"] if entry["node"] == "deep_l2")
    assert "round(2047 / sqrt(k))" in entry["change"] and "against an exact host: output: " in entry["effect"]
    assert report["tiers"]["deep_l2_norm"] == report["tiers"]["deep_l2"] == "B" and bundle.graph is not None
    assert files("simulate", "b", "--input", "x.npz").code == 0
    verified = files("verify", "b")
    assert verified.code == 0 and verified.out.rstrip().endswith("PASSED")


def test_a_readout_behind_microcode_is_compared_by_its_voltage() -> None:
    model, x = made(Read()), Samples({"a": samples()["a"]}, None, "random spikes")
    graph = Graph(to_nir(model, torch.from_numpy(x.inputs["a"][0])), ())
    pipeline = quantize_staged(cut(graph.nir), x.inputs).pipeline
    compiled = compile_on_chip(graph, x, target="lava")
    exact, found = pipeline.run(pipeline.encode(x.inputs)).recordings[-1], emulate(compiled.program, compiled.program.encode(x.inputs))
    node = compiled.program.outputs["output"].node
    most = np.abs(found.states[node]["v"].astype(int) - exact.states[node]["v"]).max()
    (effect,) = {entry.effect for entry in compiled.program.ledger if entry.node == "l2"}
    assert f"output: voltages differ by up to {most} where they reach " in effect and most > 0


class Read(torch.nn.Module):
    """L2 of each step in front of membranes that are read."""

    inputs = ("a",)

    def __init__(self) -> None:
        super().__init__()
        self.body, self.l2, self.fc = branch(10, 8), L2Normalise(), torch.nn.Linear(8, 3)
        self.readout = snntorch.Leaky(0.5, reset_mechanism="none", init_hidden=True, output=True)

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return self.readout(self.fc(self.l2(self.body(a))))[1]


@pytest.mark.parametrize("more, words", [(("--search",), "--search finds bits"), (("--target", "nir"), "--l2 microcode changes")])
def test_what_microcode_cannot_do_is_refused(files: Cli, more: tuple[str, ...], words: str) -> None:
    assert_error(files(*PER_STEP, "--l2", "microcode", *more, "--quiet"), 2, words)
    assert not Path("b").exists()


def test_a_graph_file_keeps_what_was_folded_and_its_time_step(files: Cli) -> None:
    assert files("export", "step.pt", "--model", "l2_models:per_step", "--calib", "calib.npz", "--target", "nir", "-o", "g").code == 0
    done = files("export", "g/graph.nir", "--calib", "calib.npz", "--target", "lava", "--l2", "host", "--dt", "0.00005", "-o", "b")
    assert done.code == 0, done.err
    programs = open_pipeline(read_bundle("b")).pipeline.programs
    assert len(programs) == 2 and all(program.dt == 5e-5 for program in programs)
