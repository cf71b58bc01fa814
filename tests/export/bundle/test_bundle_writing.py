"""Where a bundle is written: whole or not at all, and over nothing but another bundle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_parts import small_graph

from snnfuse.export.bundle.bundle import read_bundle, write_bundle
from snnfuse.hardware import files
from snnfuse.hardware.errors import InputError


def test_an_existing_bundle_is_replaced_with_force_only(parts: dict, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", **parts)
    with pytest.raises(InputError, match="exists; use force=True"):
        write_bundle(tmp_path / "bundle", **parts)
    write_bundle(tmp_path / "bundle", graph=small_graph(), target="nir", force=True)
    assert read_bundle(tmp_path / "bundle").manifest["target"] == "nir"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_force_replaces_bundles_only(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter").write_text("dear")
    with pytest.raises(InputError, match="is no bundle, so force=True does not replace it"):
        write_bundle(tmp_path / "home", graph=small_graph(), target="nir", force=True)
    assert (tmp_path / "home/letter").read_text() == "dear"


@pytest.mark.parametrize("place", ["/proc/bundle", "file/bundle"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="bundle cannot be written") as raised:
        write_bundle(tmp_path / place, graph=small_graph(), target="nir")
    assert "\n" not in str(raised.value)


class Killed(BaseException):
    """Stands for a signal."""


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("fatal", range(1, 5))
def test_interrupted_at_any_rename_leaves_old_or_new(
    parts: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: int, existed: bool
) -> None:
    """The process stops dead before its n-th file operation on whole folders: no handler of ours runs after it."""
    target = tmp_path / "bundle"
    if existed:
        write_bundle(target, graph=small_graph(), target="nir")
    calls = 0

    def dying(operation):
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= fatal:  # and every later one, as nothing happens after death
                raise Killed
            return operation(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(files.shutil, "rmtree", dying(files.shutil.rmtree))
        try:
            write_bundle(target, **parts, force=True)
        except Killed:
            pass
    if existed or target.exists():
        assert read_bundle(target).manifest["target"] in (("nir", "loihi2") if existed else ("loihi2",))
    write_bundle(target, **parts, force=True)
    assert read_bundle(target).manifest["target"] == "loihi2"


def test_an_error_while_writing_leaves_nothing(parts: dict, tmp_path: Path) -> None:
    for report in ({"not": object()}, {"not": float("nan")}):
        with pytest.raises(InputError, match="must be JSON-able"):
            write_bundle(tmp_path / "bundle", **parts, report=report)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_readable_as_any_other(parts: dict, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write_bundle(tmp_path / "bundle", **parts)
    assert os.stat(tmp_path / "bundle").st_mode == os.stat(tmp_path / "plain").st_mode


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """HDF5 would end the process with a segmentation fault."""
    script = (
        "import resource, sys, numpy as np, nir\n"
        "from snnfuse.export.bundle.bundle import write_bundle\n"
        "from snnfuse.hardware.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "graph = nir.NIRGraph.from_list(nir.Linear(np.random.rand(99, 99)))\n"
        "try: write_bundle(sys.argv[1], graph=graph, target='nir')\n"
        "except InputError as error: print(error)"
    )
    command = [sys.executable, "-B", "-c", script, tmp_path / "bundle"]  # -B: Python would leave a .pyc that is cut off, too
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'bundle'} cannot be written: File too large\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_bundle_stays_a_link(parts: dict, tmp_path: Path) -> None:
    write_bundle(tmp_path / "real", graph=small_graph(), target="nir")
    (tmp_path / "link").symlink_to("real")
    write_bundle(tmp_path / "link", **parts, force=True)
    assert sorted(os.listdir(tmp_path)) == ["link", "real"] and (tmp_path / "link").is_symlink()
    assert read_bundle(tmp_path / "real").manifest["target"] == "loihi2"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write_bundle(tmp_path / "bundle", graph=small_graph(), target="nir")
    assert read_bundle(tmp_path / "bundle").manifest["target"] == "nir"


@pytest.mark.parametrize("place", [".", "..", "/", "", "a" * 255, "a/" + "b" * 300])
def test_places_that_cannot_become_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for force in (False, True):
        with pytest.raises(InputError):
            write_bundle(place, graph=small_graph(), target="nir", force=force)
    with pytest.raises(InputError):
        read_bundle(place)
    assert list(tmp_path.iterdir()) == [tmp_path / "inner"] and list((tmp_path / "inner").iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine, theirs = (f".bundle.new-{pid}-abcdefgh" for pid in (os.getpid(), ended.pid))
    left = [theirs, mine, ".bundle.new-old", f".other.new-{ended.pid}-abcdefgh"]
    for name in left:
        (tmp_path / name).mkdir()
    write_bundle(tmp_path / "bundle", graph=small_graph(), target="nir")
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", *left[1:]}
