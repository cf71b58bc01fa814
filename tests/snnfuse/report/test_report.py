"""`snnfuse report`: one page that holds what the bundle says, fetches nothing, and takes no name for anything but text."""

import json
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from cli_calls import FOR, Cli, assert_error
from l2_networks import Averaged, made, samples

from snnfuse import save_checkpoint
from snnfuse.compile import compile, save, source_of
from snnfuse.compile.staged_sources import trace_stages
from snnfuse.data import Settings
from snnfuse.data.samples import Samples
from snnfuse.export import read_bundle, write_bundle
from snnfuse.export.staging.staged import simulate_staged
from snnfuse.hardware import scores
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.energy import energy_of
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import sha256
from snnfuse.measures import embedding_nodes
from snnfuse.networks import build
from snnfuse.report import draw_curves, gather, register_section, render, sections, summary, verdict
from snnfuse.report.contents import runners
from snnfuse.report.rows import overflow_counts
from snnfuse.report.sections import sections_of, warnings_of

HOSTILE = "<script>alert(1)</script>\"'&$\\frac{"
FETCHING = {"script", "link", "iframe", "object", "embed", "base", "form", "audio", "video"}


class Page(HTMLParser):
    """Tags, addresses and text of a page; `open` is empty in the end where every tag was closed."""

    VOID = {"meta", "img", "br"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action", "data")]
        assert not [key for key, _ in attrs if key.startswith("on")], attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def checked(page: str) -> Page:
    """A page that is whole and fetches nothing."""
    found = Page(page)
    assert not found.open and not found.tags & FETCHING
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in found.addresses)
    assert "url(http" not in page and "@import" not in page
    return found


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, *FOR, "-o", "b").code == 0
    return Path("b")


def test_everything_that_the_bundle_says_is_on_the_page(snn: Cli, bundle: Path) -> None:
    result = snn("report", "b", "-o", "page.html", "--json", "figures.json")
    assert result.code == 0, result.err
    text, figures = checked(Path("page.html").read_text()).text, json.loads(Path("figures.json").read_text())
    manifest, report = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "report.json"))
    assert figures["ledger"] == report["ledger"] and figures["energy"] == report["energy"] and figures["overflow"] == report["overflow"]
    assert figures["files"] == manifest["files"] and figures["resources"] == manifest["resources"]
    assert figures["modality"] is None and figures["report"] == "page.html"
    for entry in report["ledger"]:
        assert " ".join(entry["change"].split()) in text and " ".join(entry["reason"].split()) in text
    accuracy = report["calibration_accuracy"]
    for value in (accuracy["float"], accuracy["program"]):
        assert f"{value:.2%}" in text
    for model in report["energy"]["models"]:
        low, high = model["dynamic_uj"]
        assert model["model"] in text and f"{low:.3g} to {high:.3g}" in text
    assert f"{len(report['overflow'])} proofs: {overflow_counts(report['overflow'])['impossible']} show" in text
    for digest in manifest["files"].values():
        assert digest in text
    for layer in manifest["resources"]["layers"]:
        assert f"{layer['name']} {layer['neurons']} {layer['synapses']} {layer['memory']} {layer['cores']}" in text


EXPORTS = (
    ("net.nir", *FOR),
    ("net.nir", "--target", "nir"),
    ("net.nir", "--target", "netx", "--calib", "calib.npz"),
    ("staged.pt", "--model", "staged_models:averaged", "--target", "loihi2", "--calib", "ab.npz"),
    ("n/network.net", "--target", "lava"),
)


@pytest.mark.parametrize("arguments", EXPORTS, ids=lambda given: f"{given[0]}-{given[1:]}")
def test_command_line_report_and_page_say_the_same(snn: Cli, graph: Path, calib: Path, arguments: tuple[str, ...]) -> None:
    if arguments[0] == "staged.pt":
        Path("staged_models.py").write_text("from l2_networks import Averaged\naveraged = Averaged\n")
        torch.save(made(Averaged()).state_dict(), "staged.pt")
        np.savez("ab.npz", labels=np.arange(24) % 4, **samples())
    if arguments[0].endswith(".net"):
        assert snn("export", "-v", "net.nir", "--target", "netx", "--calib", "calib.npz", "-o", "n").code == 0
    done = snn("export", "-v", *arguments, "-o", "b", "--json", "out.json")
    assert done.code == 0, done.err
    said, content = json.loads(Path("out.json").read_text()), gather(read_bundle("b"))
    page = checked(Path("b/report.html").read_text()).text
    last = "bundle: b\n" + ("" if said["target"] == "nir" else "next: snnfuse verify b\n")
    assert said.pop("bundle") == "b" and done.out == f"{summary(content)}\n{last}" == f"{summary(said)}\n{last}"
    assert verdict(content) == verdict(said)
    assert_same(said, content)
    for each in (said, *said.get("stages", ())):
        for section in sections_of(each).values():
            cells = [str(cell) for table in section.tables for row in (table.head, *table.rows) for cell in row]
            for words in (*section.lines, *cells, *section.notes):
                assert " ".join(words.split()) in page
        assert all(words in page for words in warnings_of(each))


def assert_same(said: dict, gathered: dict) -> None:
    """What an export's JSON has is what the bundle's own files say, stage by stage."""
    assert said.keys() <= gathered.keys()
    for key in said.keys() - {"stages"}:
        assert said[key] == json.loads(json.dumps(gathered[key])), key
    for one, other in zip(said.get("stages", ()), gathered["stages"], strict=True):
        assert_same(one, other)


def test_a_section_of_ones_own_is_printed_and_on_the_page(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "SECTIONS", dict(sections.SECTIONS))

    def weather(content: dict) -> sections.Section:
        return sections.Section("weather", (f"it rains on {content['target']}",))

    register_section(weather)
    assert "it rains on loihi2" in snn("export", "-v", graph, *FOR, "-o", "b").out
    text = checked(Path("b/report.html").read_text()).text
    assert "Weather it rains on loihi2" in text


def test_the_page_is_written_where_it_is_said_and_never_into_the_bundle(snn: Cli, bundle: Path) -> None:
    assert snn("report", "b").out.strip() == "report: report.html"
    first = Path("report.html").read_bytes()
    assert snn("report", "b").code == 0 and Path("report.html").read_bytes() == first
    assert_error(snn("report", "b", "-o", "b/report.html"), 2, "into a bundle")
    assert_error(snn("report", "b", "-o", "nowhere/report.html"), 2, "does not exist")
    assert_error(snn("report", "nothing"), 2, "nothing: no such folder")


@pytest.mark.parametrize("target", ["loihi2", "lava", "nir", "netx"])
def test_an_export_puts_the_page_into_the_bundle(snn: Cli, graph: Path, calib: Path, target: str) -> None:
    options = ("--target", target, *(() if target == "nir" else ("--calib", "calib.npz")))
    assert snn("export", graph, *options, "-o", "made").code == 0
    bundle = read_bundle(Path("made"))
    inside = Path("made/report.html").read_text()
    text = checked(inside).text
    assert text.startswith("made: snnfuse report") and bundle.manifest["files"]["report.html"] == sha256(Path("made/report.html"))
    for entry in bundle.report["ledger"]:
        assert " ".join(entry["change"].split()) in text
    content = gather(bundle)
    content["files"].pop("report.html")  # a page cannot hold its own hash
    assert render(content) == inside
    assert target == "netx" or snn("verify", "made").code == 0
    Path("made/report.html").write_text(inside + " ")
    assert_error(snn("simulate", "made", "--input", "x.npz"), 1, "report.html: changed after the export")


def test_a_page_that_fails_leaves_no_bundle(tmp_path: Path) -> None:
    def failing(bundle: object, name: str) -> str:
        raise InputError("no page")

    graph = nir.NIRGraph.from_list(nir.Threshold(np.ones(2)))
    with pytest.raises(InputError, match="no page"):
        write_bundle(tmp_path / "b", graph=graph, target="nir", page=failing)
    assert not list(tmp_path.iterdir())
    assert set(write_bundle(tmp_path / "b", graph=graph, target="nir", page=False).manifest["files"]) == {"graph.nir", "report.json"}
    assert "report.html" in write_bundle(tmp_path / "c", graph=graph, target="nir").manifest["files"]


@pytest.mark.parametrize("target", ["lava", "nir"])
def test_bundles_without_some_parts(snn: Cli, graph: Path, calib: Path, target: str) -> None:
    options = () if target == "nir" else ("--calib", "calib.npz", "--prove", "off")
    assert snn("export", graph, "--target", target, *options, "-o", "part").code == 0
    result = snn("report", "part", "--json", "-")
    assert result.code == 0, result.err
    figures, text = json.loads(result.out), checked(Path("report.html").read_text()).text
    assert figures["energy"] is figures["overflow"] is figures["resources"] is None
    assert "Energy and time" not in text and "Overflow" not in text and "Cores" not in text
    assert ("holds a float graph only" in text) == (target == "nir")


def test_names_are_text(tmp_path: Path) -> None:
    """Nodes, ledger, files and data sets are named by whoever made the model."""
    name = "<script>alert(1)<&>"
    write_bundle(tmp_path / "<b>", graph=nir.NIRGraph.from_list(nir.Threshold(np.ones(2))), target="nir")
    content = gather(read_bundle(tmp_path / "<b>"))
    content["ledger"] = [dict.fromkeys(("node", "change", "reason", "effect"), HOSTILE)]
    content["files"] = {HOSTILE: HOSTILE}
    content["warnings"] = [HOSTILE]
    content["calibration_accuracy"] = {"float": 0.5, "program": 0.5, "samples": HOSTILE, "decoder": HOSTILE}
    content["tiers"] = {name: HOSTILE}
    content["manifest"] |= {"target": HOSTILE, "python": HOSTILE} | dict.fromkeys(("inputs", "outputs", "absent"), {HOSTILE: HOSTILE})
    rows = [row(HOSTILE, level) for level in (None, 1.0, 2.0)]
    content["modality"] = {"rows": rows, "source": HOSTILE, "seed": 0, "features": [features(HOSTILE)]}
    content["curves"] = draw_curves(rows)
    page = render(content)
    found = checked(page)
    assert "<script" not in page and found.text.count("<script>alert(1)</script>") > 15
    assert found.text.startswith("<b>: snnfuse report")


def row(sensor: str, level: float | None) -> dict:
    run = {"accuracy": 0.5, "spikes": 3.0, "layers": {sensor: 3.0}}
    kind = "clean" if level is None else "image noise"
    return {
        "name": f"{sensor}: {kind}", "kind": kind, "input": None if level is None else sensor, "level": level, "unit": "standard deviation",
        "samples": 4, "float": run, "deployed": run | {"energy": {sensor: [1.0, 2.0]}, "saturated": {}},
    }  # fmt: skip


def features(name: str) -> dict:
    figures = {"samples": 4, "silent": 1, "classes": 2, "compactness": 12.5, "separability": 81.25, "smallest": 81.25, "nearest": [0, 1]}
    return {"embedding": name, "node": name, "float": figures | {"fisher": None}, "deployed": None}


def test_a_proof_says_its_window_and_a_picture_of_a_search_cannot_run(snn: Cli, bundle: Path) -> None:
    content = gather(read_bundle(bundle))
    point = {"bytes": 10, "accuracy": 0.5, "accepted": True, "weights": {"a": {"bits": 3, "groups": 1}}}
    halves = {"fitted": 5, "held_out": 5}
    content["search"] = {"float": 0.75, "max_drop": 0.5, "judged_by": "labels", "taken": point, "front": [point], "samples": halves}
    assert "proofs:" in Page(render(content)).text
    content["overflow"] = [{**each, "window": 12} for each in content["overflow"]]
    found = checked(render(content, b"<svg onload='alert(1)'></svg>"))
    assert "proofs, for windows of up to 12 steps:" in found.text
    assert "img" in found.tags and "Taken: 10 bytes" in found.text


DAMAGED = ({"layers": [{}]}, {"energy": {"models": 3}}, {"calibration_accuracy": [1]}, {"overflow": 5}, {"tiers": "x"})


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_report_json_of_another_kind_is_an_error_in_a_line(snn: Cli, bundle: Path, damage: dict) -> None:
    content = gather(read_bundle(bundle)) | damage
    with pytest.raises(InputError, match="^b: its report.json is not what an export writes"):
        render(content)


def test_curves_are_the_rows() -> None:
    rows = [row("image", None), row("image", 0.5), row("image", 1.0)]
    drawn = draw_curves(rows)
    assert drawn == draw_curves(rows) and drawn.startswith("<svg") and "image: image noise" in drawn
    assert draw_curves(rows[:2]) is None, "one level is no curve"
    rows[2] = rows[2] | {"float": rows[2]["float"] | {"accuracy": 0.25}}
    assert draw_curves(rows) != drawn
    rows[1] = row("<image>", 0.5)
    rows[2] = row("<image>", 1.0)
    assert "&lt;image&gt;" in str(draw_curves(rows)) and "<image>" not in str(draw_curves(rows))


# ---- with a data set ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fusion(snn: Cli) -> Path:
    """A bundle of the smallest network for av-digits, untrained but spiking."""
    torch.manual_seed(0)
    small = {"image": [1, 8, 8], "audio": 80, "channels": [2, 2], "hidden": [8], "embedding": 8, "fused": 8}
    model = build("fd-fusion", small).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.bias, 0.4)
    save_checkpoint(model, "m.pt", metadata={"data": "av-digits"})
    result = snn("export", "m.pt", "--target", "loihi2", "--calib-samples", "32", "--prove", "off", "-o", "f")
    assert result.code == 0, result.err
    return Path("f")


def test_conditions_and_embeddings_with_data(snn: Cli, fusion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--data", "av-digits", "--samples", "20")
    result = snn("report", "f", *options, "--embedding", "eyes=vision.9", "--embedding", "head.3", "--json", "-")
    assert result.code == 0, result.err
    found, text = json.loads(result.out)["modality"], checked(Path("report.html").read_text()).text
    assert {row["samples"] for row in found["rows"]} == {20}
    kinds = {(row["input"], row["kind"]) for row in found["rows"]}
    assert {(None, "clean"), ("image", "missing"), ("audio", "missing"), ("image", "late"), ("audio", "feature noise")} <= kinds
    for row in found["rows"]:
        assert f"{row['name']} {100 * row['float']['accuracy']:.2f} % {100 * row['deployed']['accuracy']:.2f} %" in text
        low, high = row["deployed"]["energy"]["Loihi 1 silicon (SANA-FE)"]
        assert 0 < low < high and f"{low:.3g} to {high:.3g}" in text
    assert [(row["embedding"], row["node"]) for row in found["features"]] == [("eyes", "vision.9"), ("head.3", "head.3")]
    for row in found["features"]:
        assert f"{row['embedding']} {row['node']} float {row['float']['compactness']:.4g}" in text
    assert "svg" in Page(Path("report.html").read_text()).tags and "audio: late 2: float" in result.err


def test_the_data_are_read_as_they_were_in_training(snn: Cli) -> None:
    torch.manual_seed(0)
    small = {"image": [1, 8, 8], "audio": 80, "channels": [2, 2], "hidden": [8], "embedding": 8, "fused": 8}
    read = asdict(Settings(encoder="delta", seed=3))
    save_checkpoint(build("fd-fusion", small).eval(), "m.pt", metadata={"data": "av-digits", "data_settings": read})
    assert snn("export", "m.pt", "--target", "loihi2", "--calib-samples", "32", "--prove", "off", "-o", "f").code == 0

    def settings(*options: str) -> dict:
        result = snn("report", "f", "--data", "av-digits", "--samples", "2", *options, "--json", "-")
        assert result.code == 0, result.err
        return json.loads(result.out)["modality"]["settings"]

    assert settings() == read
    assert settings("--encoder", "rate") == read | {"encoder": "rate"}


@pytest.mark.parametrize(
    "options, part",
    [
        (("--samples", "3"), "--samples goes with --data"),
        (("--embedding", "x"), "--embedding goes with --data"),
        (("--data-dir", "."), "--data-dir goes with --data"),
        (("--snr-db", "0"), "--snr-db goes with --data"),
        (("--data", "nothing"), "unknown data set 'nothing'"),
        (("--data", "av-digits"), "no array 'input'"),
        (("--data", "av-digits", "--embedding", "x"), "'x' is no layer of this program"),
    ],
)
def test_options_that_cannot_be_meant(snn: Cli, bundle: Path, options: tuple[str, ...], part: str) -> None:
    assert_error(snn("report", "b", *options), 2, part)
    assert not Path("report.html").exists()


def test_a_graph_alone_cannot_be_measured(snn: Cli, graph: Path) -> None:
    assert snn("export", graph, "--target", "nir", "-o", "n").code == 0
    assert_error(snn("report", "n", "--data", "av-digits"), 2, "holds no program")


# ---- several programs ---------------------------------------------------------------------------------------------------------------


def test_a_network_in_stages_is_reported_stage_by_stage_and_measured_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = made(Averaged()), samples()
    given = Samples(x, np.arange(24) % 4, "given")
    staged = trace_stages(network, given.shapes)
    save(tmp_path / "p", compile(source_of(network), given))
    bundle = read_bundle(tmp_path / "p")
    content = gather(bundle)
    assert [stage["name"] for stage in content["stages"]] == ["stage1", "stage2", "stage3"]
    text = checked(render(content)).text
    for entry in content["ledger"]:
        assert " ".join(entry["change"].split()) in text
    content["files"].pop("report.html")
    assert render(content) == (tmp_path / "p/report.html").read_text() and not list((tmp_path / "p").glob("stage*/*.html"))

    floats, deployed = runners(bundle)
    pipeline = bundle.pipeline
    run = run_pipeline(pipeline, pipeline.encode(x), "emulator", "all")
    found, more = deployed(x)
    np.testing.assert_array_equal(found.scores, scores(pipeline.programs[-1], run.recordings[-1]))
    for i, recording in enumerate(run.recordings):
        for name in pipeline.programs[i].neurons:
            np.testing.assert_array_equal(found.counts[f"stage{i + 1}/{name}"], recording.spikes[name].sum(0))
    parts = [energy_of(program, [recording]).models for program, recording in zip(pipeline.programs, run.recordings)]
    assert set(more["energy"]) == {model.model for model in parts[0] if model.layers}
    for models in zip(*([model for model in part if model.layers] for part in parts)):
        assert more["energy"][models[0].model] == pytest.approx([sum(m.dynamic_uj[end] for m in models) for end in (0, 1)])
    expected = [stage.run.spikes for stage in simulate_staged(staged, x)]
    in_float = floats(x)
    for i, spikes in enumerate(expected):
        for name, each in spikes.items():
            np.testing.assert_array_equal(in_float.counts[f"stage{i + 1}/{name}"], each.sum(0))
    assert in_float.scores.shape == found.scores.shape == (24, 4)
    nodes = embedding_nodes(pipeline)
    assert nodes["a"].startswith("stage1/") and nodes["b"].startswith("stage2/") and set(nodes.values()) <= set(found.counts)
