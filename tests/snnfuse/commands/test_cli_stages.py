"""The command line for networks in stages: whatever takes one program takes several, or says why not."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import snntorch
import torch
from cli_calls import Cli, assert_error
from l2_networks import Averaged, PerStep, branch, made, samples

from snnfuse.compile import Settings, compile, source_of
from snnfuse.data.samples import Samples
from snnfuse.export import read_net, to_nir
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.content import write_manifest
from snnfuse.export.staging.cutting import cut
from snnfuse.export.staging.staged import quantize_staged
from snnfuse.export.targets import LAVA
from snnfuse.hardware import emulate
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.energy import estimate_energy
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
    done = files(*GOOD, "-v", "--json", "out.json")
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
    folded, host = files(*PER_STEP, "-v"), files(*PER_STEP, "-v", "--l2", "host", "--force")
    assert folded.code == 0 and "constant gain" in folded.out
    assert host.code == 0 and "constant gain" not in host.out and "every step is read, L2 normalised to length 2" in host.out
    opened = read_bundle("b")
    assert len(opened.stages) == 2 and all(stage.graph is not None for stage in opened.stages)
    for program, golden in zip(opened.pipeline.programs, opened.recordings):
        assert set(golden.spikes) >= set(program.neurons)


def test_every_stage_is_placed(files: Cli) -> None:
    assert files(*GOOD).code == 0
    done = files("map", "b", "--input", "x.npz", "--json", "-")
    assert done.code == 0, done.err
    whole, parts = json.loads(done.out), [json.loads(files("map", f"b/stage{n}", "--json", "-").out) for n in (1, 2, 3)]
    assert [stage["layers"] for stage in whole["stages"]] == [part["layers"] for part in parts]
    cores = [part["cores"] for part in parts]
    assert whole["cores"] == {"at_once": sum(cores), "in_turn": max(cores)}
    assert "stage 3 of 3" in done.err and f"all stages: {sum(cores)} cores at once" in done.err
    assert all(stage["traffic"]["measured"] for stage in whole["stages"])


@pytest.mark.parametrize("inputs", [(), ("--input", "x.npz")])
def test_energy_is_that_of_all_stages(files: Cli, inputs: tuple[str, ...]) -> None:
    assert files(*GOOD).code == 0
    done = files("energy", "b", *inputs, "--json", "-")
    assert done.code == 0, done.err
    found, pipeline = json.loads(done.out), read_bundle("b").pipeline
    x = np.load("x.npz" if inputs else "calib.npz")
    run = run_pipeline(pipeline, pipeline.encode({name: x[name] for name in pipeline.inputs}))
    expected = [estimate_energy(program, recording.events) for program, recording in zip(pipeline.programs, run.recordings)]
    assert all(each.pop("measured_here")["us"] > 0 for each in found["stages"])
    assert found["stages"] == [json.loads(json.dumps(each.to_json())) for each in expected]
    for model, parts in zip(found["models"], zip(*(each.models for each in expected))):
        for name in ("dynamic_uj", "time_us", "latency_us"):
            assert model[name] == pytest.approx([sum(getattr(part, name)[end] for part in parts) for end in (0, 1)])
    assert "all stages, one after the other" in done.err


def test_a_board_runs_every_stage(files: Cli) -> None:
    assert files(*GOOD).code == 0
    done = files("board", "b", "--json", "-")
    figures = json.loads(done.out)
    assert done.code == 0 and figures["equal"] and len(figures["stages"]) == 3 and done.err.splitlines()[-1] == "EQUAL"
    assert figures["compared"] == sum(stage["compared"] for stage in figures["stages"]) > 0


def test_a_stream_decides_as_whole_runs_do(files: Cli) -> None:
    assert files(*GOOD).code == 0
    assert files("simulate", "b", "--input", "x.npz", "-o", "whole.npz").code == 0
    done = files("simulate", "b", "--stream", "x.npz", "-o", "lines.jsonl")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in Path("lines.jsonl").read_text().splitlines()]
    pipeline = read_bundle("b").pipeline
    with np.load("whole.npz") as whole:
        spikes = whole["output.spikes"]
        assert [line["neuron"] for line in lines] == whole["output.classes"].tolist()
    assert [line["scores"] for line in lines] == spikes.sum(0).tolist()
    assert [line["step"] for line in lines] == [8, 16, 24, 32, 40]
    latencies = [program.latency[program.outputs["output"].node] for program in pipeline.programs]
    assert {line["latency"] for line in lines} == {sum(latencies) + 2 * 8}, "two windows pass before the last stage's own"
    for sample, line in enumerate(lines):
        answers, settled = spikes[:, sample].cumsum(0).argmax(1), line["settled"]
        assert (answers[settled - 1 :] == line["neuron"]).all() and (settled == 1 or answers[settled - 2] != line["neuron"])
    refused = files("simulate", "b", "--stream", "x.npz", "--sliding", "3", "--quiet")
    assert_error(refused, 2, "sliding windows reset nothing, but each stage", "leave sliding out")


def test_a_search_goes_over_all_stages(files: Cli) -> None:
    done = files(*GOOD, "-v", "--search", "--max-drop", "10", "--max-groups", "1")
    assert done.code == 0, done.err
    bundle = read_bundle("b")
    found = bundle.report["search"]
    assert found["taken"] in found["front"] and found["taken"]["accuracy"] >= found["float"] - 0.1
    layers = {f"stage{i}/{name}" for i, program in enumerate(bundle.pipeline.programs, 1) for name in program.neurons}
    assert set(found["taken"]["weights"]) == layers
    assert found["taken"]["bytes"] == sum(layer["memory"] for stage in bundle.stages for layer in stage.manifest["resources"]["layers"])
    assert found["taken"]["bytes"] < found["tried"][0]["bytes"]
    pipeline, x = bundle.pipeline, np.load("calib.npz")
    held = run_pipeline(pipeline, pipeline.encode({name: x[name][:, 1::2] for name in pipeline.inputs}))
    assert (pipeline.decode(held.recordings) == x["labels"][1::2]).mean() == found["taken"]["accuracy"], "of the half that no fit has seen"
    assert Path("b/pareto.svg").read_bytes().startswith(b"<svg") and "stage1/first.1" in " ".join(done.out.split())
    assert files("verify", "b").code == 0


@pytest.mark.slow
def test_stages_over_a_cluster(files: Cli) -> None:
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    assert files(*GOOD).code == 0 and files("simulate", "b", "--input", "x.npz", "-o", "here.npz").code == 0
    done = files("simulate", "b", "--input", "x.npz", "-o", "there.npz", "--cluster", "--json", "-")
    assert done.code == 0 and json.loads(done.out)["cluster"] == "local", done.err
    with np.load("here.npz") as a, np.load("there.npz") as b:
        assert set(a) == set(b) and all((a[name] == b[name]).all() for name in a)


def test_a_netx_file_per_stage_where_netx_can_say_it(files: Cli) -> None:
    """Spikes that are played again on every step are binary, so that netx takes every stage."""
    Path("played.py").write_text(PLAYED)
    sys.modules.pop("played", None)
    module: dict = {}
    exec(PLAYED, module)
    model = made(module["Played"]())
    for parameter in model.parameters():
        parameter.data.round_()  # on the grid of what netx holds
    torch.save(model.state_dict(), "p.pt")
    np.savez("a.npz", a=samples()["a"])
    done = files("export", "p.pt", "--model", "played:Played", "--calib", "a.npz", "--target", "netx", "--max-groups", "1", "-o", "b")
    assert done.code == 0, done.err
    bundle = read_bundle("b")
    assert len(bundle.stages) == 2 and bundle.recordings[1].spikes["output"].any()
    for stage in bundle.stages:
        ours = stage.golden.spikes["output"]
        (events,) = stage.events.values()
        assert (emulate(read_net(stage.path / "network.net"), {"input": events}).spikes["output"] == ours).all()


PLAYED = """
import torch
from l2_networks import branch
from snnfuse.networks import Carry, Stage, Staged


class Played(Staged):
    inputs = ("a",)

    def __init__(self):
        super().__init__()
        self.body, self.head = branch(10, 8), branch(8, 4)

    def stages(self):
        return Stage(self.body, ("a",), ("s",), {"seen": Carry("s", "steps")}), Stage(self.head, ("seen",), ("out",))
"""


def test_a_stage_is_a_bundle_of_its_own(files: Cli) -> None:
    assert files(*GOOD).code == 0
    assert files("map", "b/stage3").code == 0 and files("energy", "b/stage3").code == 0


@pytest.mark.parametrize(
    "more, code, words",
    [
        (("--time-steps", "3"), 2, ("--time-steps is for a forward that loops over time itself", "leave it out")),
        (("--target", "nir"), 3, ("--target nir holds one network", "use --target loihi2 or --target lava")),
        (("--target", "netx", "--max-groups", "1"), 3, ("stage 2: ", "use --target lava")),
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
    write_manifest(bundle, manifest)


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
    graph = to_nir(model, torch.from_numpy(x.inputs["a"][0]))
    pipeline = quantize_staged(cut(graph), x.inputs).pipeline
    compiled = compile(source_of(graph), x, Settings(l2="microcode"), LAVA)
    exact = run_pipeline(pipeline, pipeline.encode(x.inputs)).recordings[-1]
    found = emulate(compiled.program, compiled.program.encode(x.inputs))
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


def test_what_microcode_cannot_do_is_refused(files: Cli) -> None:
    for target in ("nir", "netx"):
        assert_error(files(*PER_STEP, "--l2", "microcode", "--target", target, "--quiet"), 2, "--l2 microcode changes")
    assert not Path("b").exists()


def test_a_search_judges_what_microcode_computes(files: Cli) -> None:
    assert files(*PER_STEP, "--l2", "microcode", "--search", "--max-drop", "20", "--max-groups", "1").code == 0
    bundle, x = read_bundle("b"), np.load("calib.npz")
    program, found = bundle.program, bundle.report["search"]
    held = emulate(program, program.encode({name: x[name][:, 1::2] for name in program.inputs}))
    assert (program.decode(held) == x["labels"][1::2]).mean() == found["taken"]["accuracy"]
    assert found["taken"]["bytes"] < found["tried"][0]["bytes"]


def test_a_graph_file_keeps_what_was_folded_and_its_time_step(files: Cli) -> None:
    assert files("export", "step.pt", "--model", "l2_models:per_step", "--calib", "calib.npz", "--target", "nir", "-o", "g").code == 0
    done = files("export", "g/graph.nir", "--calib", "calib.npz", "--target", "lava", "--l2", "host", "--dt", "0.00005", "-o", "b")
    assert done.code == 0, done.err
    programs = read_bundle("b").pipeline.programs
    assert len(programs) == 2 and all(program.dt == 5e-5 for program in programs)
