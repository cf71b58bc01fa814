"""A bundle comes back as it was written, and notices every change."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_parts import small_graph

from snnfuse.export.bundle.bundle import read_bundle, write_bundle
from snnfuse.export.bundle.consistency import check_consistency
from snnfuse.export.bundle.content import write_manifest
from snnfuse.hardware import Connection, Dense, Output, Program, ResonateAndFire, SpikeInput, emulate, files
from snnfuse.hardware.chip import Board, check_chip, find_board
from snnfuse.hardware.errors import InputError, UnsafeFileError, VerificationError
from snnfuse.hardware.ledger import LedgerEntry


def test_what_is_written_is_read(parts: dict, program: Program, tmp_path: Path) -> None:
    write_bundle(tmp_path / "new" / "bundle", **parts, report={"samples": 2})
    bundle = read_bundle(tmp_path / "new" / "bundle")
    assert bundle.graph.nodes.keys() == parts["graph"].nodes.keys()
    np.testing.assert_array_equal(bundle.events["x"], parts["events"]["x"])
    assert parts["golden"].spikes["hidden"].any()
    for name in ("hidden", "out", "output"):
        np.testing.assert_array_equal(bundle.golden.spikes[name], parts["golden"].spikes[name])
    np.testing.assert_array_equal(bundle.golden.states["out"]["v"], parts["golden"].states["out"]["v"])
    assert bundle.golden.latency == parts["golden"].latency
    np.testing.assert_array_equal(emulate(bundle.program, bundle.events, record="all").spikes["hidden"], bundle.golden.spikes["hidden"])
    ledger, tiers = [{"node": "x", "change": "a", "reason": "b", "effect": ""}], {"x": "C", "hidden": "A", "out": "A", "output": "C"}
    statuses = {"x": "models agree", "hidden": "measured", "out": "measured"}
    assert bundle.report == {"ledger": ledger, "tiers": tiers, "tier_status": statuses, "samples": 2}


def test_the_manifest_says_what_is_there(parts: dict, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    present = {p.relative_to(tmp_path / "bundle").as_posix() for p in (tmp_path / "bundle").rglob("*") if p.is_file()}
    assert set(manifest["files"]) == present - {"manifest.json"}
    assert manifest["inputs"] == {"x": {"shape": [3], "bits": 8, "scale": 0.25}}
    assert manifest["outputs"] == {"output": {"node": "out", "shape": [2], "decoder": "membrane_last"}}
    assert (manifest["target"], manifest["latency"], manifest["ledger_entries"]) == ("loihi2", {"x": 0, "hidden": 1, "out": 2}, 1)
    assert manifest["resources"]["cores"] == 2 and manifest["packages"]["numpy"] == np.__version__


def test_target_nir_holds_a_graph_only(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", graph=small_graph(), target="nir", graph_ledger=(LedgerEntry("a", "b", "c"),))
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["graph.nir", "manifest.json", "report.html", "report.json"]
    bundle = read_bundle(tmp_path / "b")
    assert bundle.report["ledger"][0]["node"] == "a" and bundle.manifest["ledger_entries"] == 1
    with pytest.raises(InputError, match="target='nir' and holds no program"):
        bundle.program  # noqa: B018


NAMES = [
    "graph.nir",
    "program.json",
    "program.safetensors",
    "golden/events.safetensors",
    "golden/expected.safetensors",
    "report.json",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_changed_or_missing_file_is_named(parts: dict, tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    file = tmp_path / "bundle" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(VerificationError, match=f"{name}: changed"):
        read_bundle(tmp_path / "bundle")
    file.unlink()
    with pytest.raises(VerificationError, match=f"{name}: missing"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "manifest, message",
    [
        ("", "manifest.json: it is empty"),
        ("[]", "manifest.json: holds no JSON object"),
        ('{"format": "x"}', "format is 'x'"),
        ('{"format": "snnfuse bundle", "format_version": 9}', "format_version is 9; this snnfuse reads 1, 2, 3, 4, 5"),
        ('{"format": "snnfuse bundle", "format_version": true}', "format_version is True"),
        ('{"format": "snnfuse bundle", "format_version": 1, "target": "x"}', "target is 'x'"),
        ('{"format": "snnfuse bundle", "format_version": 1, "target": ["x"]}', "target is \\['x'\\]"),
        ('{"format": "snnfuse bundle", "format_version": [4], "target": "nir"}', "format_version is \\[4\\]"),
        ('{"format": "snnfuse bundle", "format_version": 1, "target": "nir", "files": {}}', "files must list graph.nir"),
        (
            '{"format": "snnfuse bundle", "format_version": 1, "target": "nir", "files": {"../x": "", "graph.nir": "", "report.json": ""}}',
            "files lists '../x', which snnfuse writes into no bundle",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises((InputError, UnsafeFileError), match=message) as raised:
        read_bundle(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "golden", "x" * 300, "a\0b"])
def test_a_manifest_that_lists_no_files_is_no_crash(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "bundle", graph=small_graph(), target="nir")
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    manifest["files"][name] = ""
    write_manifest(tmp_path / "bundle", manifest)
    with pytest.raises(UnsafeFileError, match="which snnfuse writes into no bundle"):
        read_bundle(tmp_path / "bundle")


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such folder"):
        read_bundle(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        read_bundle(tmp_path / "file")
    with pytest.raises(InputError, match="no bundle, for it holds no manifest.json"):
        read_bundle(tmp_path)


def test_arguments_belong_together(parts: dict, program: Program, tmp_path: Path) -> None:
    outputs_only = emulate(program, parts["events"])
    for changes, message in (
        ({"target": "nowhere"}, "unknown target 'nowhere'"),
        ({"target": "nir"}, "holds no program"),
        ({"golden": None}, "both the events and what"),
        ({"events": None, "golden": replace(parts["golden"], events={})}, "both the events and what"),
        ({"events": {}}, "inputs must be 'x'"),
        ({"target": "lava"}, "resources are those of a chip"),
        ({"program": replace(program, outputs={}), "resources": None}, "without outputs"),
        ({"golden": outputs_only}, "'hidden' was not recorded"),
    ):
        with pytest.raises(InputError, match=message):
            write_bundle(tmp_path / "bundle", **{**parts, **changes})
    assert list(tmp_path.iterdir()) == []


def test_numpy_values_in_a_report_become_numbers(parts: dict, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", **parts, report={"a": np.float64(0.5), "b": np.arange(2)})
    report = read_bundle(tmp_path / "bundle").report
    assert report["a"] == 0.5 and report["b"] == [0, 1]


def test_a_bundle_is_read_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "bundle", graph=small_graph(), target="nir")
    monkeypatch.chdir(tmp_path / "bundle")
    check_consistency(read_bundle("."))


@pytest.mark.parametrize("name", ["extra.txt", "golden/extra.bin"])
def test_a_file_that_is_not_listed_is_named(parts: dict, tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    check_consistency(read_bundle(tmp_path / "bundle"))
    path = tmp_path / "bundle" / name
    path.write_text("")
    with pytest.raises(VerificationError, match=f"does not list: {name}"):
        check_consistency(read_bundle(tmp_path / "bundle"))


@pytest.mark.parametrize(
    "path, value, field",
    [
        (("target",), "nir", "target"),
        (("target",), "lava", "resources: board"),
        (("latency", "out"), 7, "latency"),
        (("outputs", "output", "shape"), [3], "outputs"),
        (("inputs", "x", "scale"), 2.0, "inputs"),
        (("ledger_entries",), 0, "ledger_entries"),
        (("resources", "cores"), 1, "resources: cores"),
        (("resources", "layers", 0, "neurons"), 1, "resources: layers"),
        (("resources", "board", "name"), "nothing", "resources: unknown board"),
        (("resources",), None, "resources"),
    ],
)
def test_a_manifest_that_contradicts_the_program_names_the_field(
    parts: dict, tmp_path: Path, path: tuple, value: object, field: str
) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write_manifest(tmp_path / "bundle", manifest)
    with pytest.raises(VerificationError, match=re.escape(field)) as raised:
        check_consistency(read_bundle(tmp_path / "bundle"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["spikes", "w/out", "v/nobody", "spikes/nobody"])
def test_golden_vectors_of_nothing_are_named(parts: dict, tmp_path: Path, key: str) -> None:
    from safetensors.numpy import load_file, save_file

    write_bundle(tmp_path / "bundle", **parts)
    path = tmp_path / "bundle/golden/expected.safetensors"
    save_file(load_file(path) | {key: np.zeros(1, np.int32)}, path)
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    manifest["files"]["golden/expected.safetensors"] = files.sha256(path)
    write_manifest(tmp_path / "bundle", manifest)
    with pytest.raises(InputError, match=f"{key}' is no variable/layer"):
        read_bundle(tmp_path / "bundle").golden  # noqa: B018


def test_a_recording_brings_its_events_along(parts: dict, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", graph=parts["graph"], program=parts["program"], golden=parts["golden"])
    bundle = read_bundle(tmp_path / "bundle")
    np.testing.assert_array_equal(bundle.events["x"], parts["events"]["x"])
    np.testing.assert_array_equal(bundle.golden.events["x"], parts["events"]["x"])
    assert bundle.manifest["resources"]["board"]["name"] == "oheo-gulch"


@pytest.mark.parametrize("field, value", [("tiers", "B"), ("tier_status", "assumed")])
def test_a_report_with_another_tier_is_noticed(parts: dict, tmp_path: Path, field: str, value: str) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    report, manifest = (tmp_path / "bundle" / name for name in ("report.json", "manifest.json"))
    content = json.loads(report.read_text())
    content[field]["hidden"] = value
    report.write_text(json.dumps(content))
    hashes = json.loads(manifest.read_text())
    hashes["files"]["report.json"] = files.sha256(report)
    write_manifest(manifest.parent, hashes)
    with pytest.raises(VerificationError, match=f"{field} of report.json is .*'hidden': '{value}'"):
        check_consistency(read_bundle(tmp_path / "bundle"))


def test_a_bundle_of_version_1_is_read_but_for_its_resources(parts: dict, tmp_path: Path) -> None:
    """It counted cores by another rule, and its report named no tiers."""
    write_bundle(tmp_path / "bundle", **parts)
    report, manifest = (tmp_path / "bundle" / name for name in ("report.json", "manifest.json"))
    content, hashes = json.loads(report.read_text()), json.loads(manifest.read_text())
    del content["tiers"], content["tier_status"]
    report.write_text(json.dumps(content))
    hashes |= {"format_version": 1, "resources": {"cores": 77}}
    hashes["files"]["report.json"] = files.sha256(report)
    del hashes["sha256"]
    manifest.write_text(json.dumps(hashes))
    check_consistency(read_bundle(tmp_path / "bundle"))


@pytest.mark.parametrize(
    "change, part", [({"memory": 1, "cores": 9}, None), ({"neurons": 5}, "neurons of layers"), ({"name": "x"}, "neurons of layers")]
)
def test_a_bundle_of_version_2_is_placed_by_another_rule_and_holds_the_same_layers(
    change: dict, part: str | None, parts: dict, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    manifest = tmp_path / "bundle" / "manifest.json"
    said = json.loads(manifest.read_text()) | {"format_version": 2}
    del said["sha256"]
    said["resources"]["layers"][0] |= change
    said["resources"]["cores"] = 77
    manifest.write_text(json.dumps(said))
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.lacks[0] == "cores and memory of each layer, which were counted by another rule"
    if part is None:
        check_consistency(bundle)
        return
    with pytest.raises(VerificationError, match=part):
        check_consistency(bundle)


def test_a_bundle_placed_before_state_memory_was_counted_still_verifies(tmp_path: Path) -> None:
    """3,000 resonators of three words took one core then, and take two now."""
    program = Program(
        {"x": SpikeInput((1,)), "n": ResonateAndFire((3000,), 0, 4096, 9)},
        (Connection("x", "n", Dense(2 * np.ones((3000, 1), np.int32))),),
        {"y": Output("n")},
    )
    events = {"x": np.ones((2, 1, 1), np.int32)}
    golden = emulate(program, events, record="all")
    before = check_chip(program, Board("oheo-gulch", 1, {"state_words": 1 << 20}))
    write_bundle(tmp_path / "b", program=program, events=events, golden=golden, resources=replace(before, board=find_board("oheo-gulch")))
    with pytest.raises(VerificationError, match="resources: cores is 1, but the bundle's content says 2"):
        check_consistency(read_bundle(tmp_path / "b"))
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    limits = manifest["resources"]["limits"]
    manifest["resources"]["limits"] = [limit for limit in limits if limit["name"] != "state_words"]
    write_manifest(tmp_path / "b", manifest)
    check_consistency(read_bundle(tmp_path / "b"))
    manifest["resources"]["limits"] = 7
    write_manifest(tmp_path / "b", manifest)
    check_consistency(read_bundle(tmp_path / "b"))
