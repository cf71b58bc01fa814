"""What verify leaves in a bundle: of this very bundle, through no link, and never in the way of the next verification."""

import json
from pathlib import Path

import pytest
from cli_calls import Cli

from snnfuse.export import read_bundle
from snnfuse.export.bundle.verification import VERIFIED, read_verification, record_verification
from snnfuse.hardware.errors import InputError, UnsafeFileError
from snnfuse.report import gather
from snnfuse.report.screen import answers

CHECK = {"backend": "lava", "passed": True, "seconds": 1.0, "first": None, "spikes": {"compared": 7, "mismatches": 0}}


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, "--target", "lava", "--calib", calib, "--prove", "off", "-o", "b").code == 0
    return Path("b")


def said(bundle: Path) -> list[str]:
    return answers(gather(read_bundle(bundle)))["Was it verified?"]


def test_a_page_says_when_and_on_what(bundle: Path, snn: Cli) -> None:
    assert said(bundle)[0] == "not when this page was written"
    record_verification(bundle, True, 10, [CHECK])
    assert said(bundle)[0] == "yes: PASSED on 10 golden samples" and said(bundle)[-1] == "lava: 0 of 7 spikes differ"
    record_verification(bundle, False, 10, [{**CHECK, "passed": False, "first": "there"}])
    assert said(bundle)[0] == "it FAILED on 10 golden samples" and said(bundle)[-1].endswith("first: there")
    assert snn("verify", bundle).code == 0 and said(bundle)[0].startswith("yes: PASSED"), "the record is none of the bundle's own files"
    (bundle / "more.json").write_text("{}")
    assert snn("verify", bundle).code == 1


def test_what_was_verified_is_this_bundle(bundle: Path) -> None:
    record_verification(bundle, True, 10, [CHECK])
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    assert read_verification(bundle) is None
    (bundle / VERIFIED).write_text('{"format": 3}')
    with pytest.raises(InputError, match="writes it anew"):
        read_verification(bundle)


def test_no_link_is_followed(bundle: Path, tmp_path: Path, snn: Cli) -> None:
    (tmp_path / "other").write_text("mine")
    (bundle / VERIFIED).symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="cannot be written"):
        record_verification(bundle, True, 10, [CHECK])
    with pytest.raises(UnsafeFileError):
        read_verification(bundle)
    assert (tmp_path / "other").read_text() == "mine" and snn("verify", bundle).code == 5


def test_a_read_only_bundle_is_verified_and_says_that_it_is_not_recorded(bundle: Path, snn: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise InputError("it is write-protected")

    monkeypatch.setattr("snnfuse.export.bundle.verification.record_verification", refused)
    done = snn("verify", bundle, "--json", "v.json")
    assert done.code == 0 and "not recorded for snnfuse report: it is write-protected" in done.out
    assert all(check["passed"] for check in json.loads(Path("v.json").read_text())["checks"])
