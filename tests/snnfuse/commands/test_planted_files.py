"""What somebody adds to a bundle on its way: no reader opens it, and its script imports nothing that lies beside it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_calls import GOOD, Cli, assert_error

from snnfuse.export.bundle.board_script import OLDER_SCRIPTS, RUN_ON_BOARD
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.content import write_manifest
from snnfuse.hardware.errors import InputError, VerificationError

PLANTED = "import os, sys; open('ran', 'w').close(); os._exit(99)"


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn(*GOOD, "-o", "b").code == 0
    return Path("b").resolve()


def plant(bundle: Path, name: str, content: str = PLANTED) -> None:
    """Add a file and list it, as anybody can who sends a bundle."""
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content.encode()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["click.py", "click/__init__.py", "golden/more.npz", "sitecustomize.py", "\x1b[31m.py"])
@pytest.mark.parametrize("command", ["verify", "map", "report"])
def test_every_reader_refuses_what_no_bundle_holds(snn: Cli, bundle: Path, command: str, name: str) -> None:
    plant(bundle, name)
    result = snn(command, bundle, "--quiet")
    assert_error(result, 5, "which snnfuse writes into no bundle; do not run anything in this folder")
    assert "\x1b" not in result.err


@pytest.mark.parametrize("name", ["click.py", "pathlib.py", "snnfuse.py", "json.py", "numpy/__init__.py", "numba.py"])
@pytest.mark.parametrize("place", ["elsewhere", "inside"])
def test_the_script_imports_nothing_that_lies_beside_it(bundle: Path, tmp_path: Path, name: str, place: str) -> None:
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text(PLANTED)
    folder = bundle if place == "inside" else tmp_path
    done = subprocess.run([sys.executable, bundle / RUN_ON_BOARD, "--help"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "golden inputs" in done.stdout, done.stderr
    assert not (folder / "ran").exists()


def test_another_script_is_no_bundles(snn: Cli, bundle: Path) -> None:
    plant(bundle, RUN_ON_BOARD, PLANTED)
    write_manifest(bundle, json.loads((bundle / "manifest.json").read_text()))  # its hash too
    result = snn("verify", bundle)
    assert result.code == 1 and "another script" in result.out + result.err
    assert not os.path.exists("ran")


OLDER_SCRIPT = '''"""Run this bundle's golden inputs on a Loihi 2 board and compare the spikes: python run_on_board.py [--help]

Needs snnfuse, and for a board Intel's lava-loihi; without that, the CPU runs in its place, and the output says so. It was written without
a board and has never run on one. Ends 0 if every spike is equal, 1 if not, 6 if something is missing here.
"""

import sys
from pathlib import Path

try:
    from snnfuse.cli import board_main
except ImportError as error:
    print(f"error: snnfuse cannot be imported by {sys.executable} ({error}); install it for this Python", file=sys.stderr)
    sys.exit(6)

if __name__ == "__main__":
    sys.exit(board_main(str(Path(__file__).resolve().parent)))
'''


def flipped(file: Path, places: list[int]) -> Iterator[int]:
    """Flip bits one at a time; the file is whole again afterwards."""
    whole = file.read_bytes()
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        file.write_bytes(content)
        yield place
    file.write_bytes(whole)


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 23])
def test_every_bit_of_the_manifest_is_under_its_hash(snn: Cli, graph: Path, stride: int) -> None:
    """Damage ends reading whatever it hits: what is JSON no more with 2, all else with 1 or, in the name of the format, 2."""
    assert snn("export", graph, "--target", "nir", "-o", "b").code == 0
    manifest = Path("b/manifest.json")
    for place in flipped(manifest, list(range(0, 8 * len(manifest.read_bytes()), stride))):
        with pytest.raises((VerificationError, InputError)):
            read_bundle("b")
            raise AssertionError(f"bit {place} flips unseen")
    assert snn("verify", "b").code == 0


@pytest.mark.parametrize("command", ["map", "energy", "report", "verify", "board", "simulate"])
def test_every_reader_compares_hashes_first(snn: Cli, bundle: Path, calib: Path, command: str) -> None:
    more = {"simulate": ("--input", calib), "report": ("-o", "page.html")}.get(command, ())
    for name in ("manifest.json", "program.json", "report.json", "golden/expected.safetensors"):
        size = 8 * (bundle / name).stat().st_size
        for _ in flipped(bundle / name, [size // 2 // 8 * 8]):
            result = snn(command, bundle, *more)
            assert result.code in (1, 2) and ("sha256" in result.out + result.err or "no JSON" in result.err), (name, result)


@pytest.mark.parametrize("version, code", [(1, 0), (2, 0), (4, 1)])
def test_the_script_is_that_of_the_version_that_wrote_the_bundle(snn: Cli, bundle: Path, lava: None, version: int, code: int) -> None:
    older = OLDER_SCRIPT.encode()
    assert hashlib.sha256(older).hexdigest() in OLDER_SCRIPTS
    plant(bundle, RUN_ON_BOARD, OLDER_SCRIPT)
    manifest = json.loads((bundle / "manifest.json").read_text()) | {"format_version": version}
    write_manifest(bundle, manifest)
    if version != 4:
        del manifest["sha256"]
        (bundle / "manifest.json").write_text(json.dumps(manifest))
    result = snn("verify", bundle)
    assert result.code == code, result
    said = "of which this is not checked: whether the manifest itself is as it was written"
    assert (said in result.out) == (version != 4)


def test_a_hash_cannot_be_left_out(snn: Cli, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["sha256"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert snn("verify", bundle).code == 1


@pytest.mark.parametrize("planted", ["click.py", "golden/sitecustomize.py", "numpy/__init__.py", "x.pth", "torch.so"])
def test_code_that_lies_beside_a_bundle_unlisted(snn: Cli, bundle: Path, planted: str) -> None:
    (bundle / planted).parent.mkdir(exist_ok=True)
    (bundle / planted).write_text("raise SystemExit('planted')")
    for command in (("map", bundle), ("verify", bundle), ("simulate", bundle, "--input", "calib.npz")):
        assert_error(snn(*command), 5, planted, "code that is not of this bundle")


READERS = (("map",), ("report",), ("energy",), ("verify",), ("simulate", "--input", "calib.npz"))


def swap(file: Path) -> None:
    """A link in place of a file, to the same bytes."""
    file.rename(file.parent.parent / "aside")
    file.symlink_to(file.parent.parent / "aside")


PLANTS = {
    "unlisted": lambda bundle: (bundle / "notes.txt").symlink_to("/etc/passwd"),
    "dangling": lambda bundle: (bundle / "golden/more").symlink_to("nowhere"),
    "folder": lambda bundle: (bundle / "more").symlink_to("/", target_is_directory=True),
    "listed": lambda bundle: swap(bundle / "report.json"),
    "manifest": lambda bundle: swap(bundle / "manifest.json"),
    "verified": lambda bundle: (bundle / "verified.json").symlink_to("/etc/passwd"),
    "pipe": lambda bundle: os.mkfifo(bundle / "notes.txt"),
}


@pytest.mark.parametrize("plants", PLANTS)
def test_no_reader_opens_a_bundle_that_holds_links(snn: Cli, bundle: Path, plants: str) -> None:
    PLANTS[plants](bundle)
    for command, *more in READERS:
        assert_error(snn(command, bundle, *more), 5, "is a link or a device, which snnfuse writes into no bundle")


def test_notes_beside_a_bundle_open_and_fail_verification(snn: Cli, bundle: Path, lava: None) -> None:
    assert snn("verify", bundle).code == 0 and (bundle / "verified.json").is_file()
    assert snn("verify", bundle).code == 0, "what verify left is no stranger"
    (bundle / "notes.txt").write_text("mine")
    assert snn("map", bundle).code == 0
    result = snn("verify", bundle)
    assert result.code == 1 and "holds what its manifest does not list: notes.txt" in result.out


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "\u202eback", "\x00", "tab\there"])
@pytest.mark.parametrize("place", ["program", "manifest"])
def test_names_that_cannot_be_printed(snn: Cli, bundle: Path, name: str, place: str) -> None:
    """Every hash is computed anew, and nothing of the name reaches the terminal."""
    known = sorted(json.loads((bundle / "program.json").read_text())["nodes"])[-1]
    changed = bundle / ("program.json" if place == "program" else "manifest.json")
    changed.write_text(changed.read_text().replace(json.dumps(known), json.dumps(name)))
    manifest = json.loads((bundle / "manifest.json").read_text())
    for file in ("program.json",):
        manifest["files"][file] = hashlib.sha256((bundle / file).read_bytes()).hexdigest()
    write_manifest(bundle, manifest)
    for command, *more in READERS:
        result = snn(command, bundle, *more)
        assert_error(result, 2, "holds a character that is not printed; rename it")
        assert name not in result.err
