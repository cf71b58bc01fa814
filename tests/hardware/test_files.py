"""Output files: whole or not at all, and refused beforehand where they cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import check_output_file, write_whole


def test_a_file_is_replaced_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    check_output_file(tmp_path / "link")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "real").read_bytes() == b"new" and (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_the_file_is_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from snnfuse.hardware.errors import InputError\n"
        "from snnfuse.hardware.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: write_whole(Path(sys.argv[1]), bytes(1000))\n"
        "except InputError as error: print(error)"
    )
    command = [sys.executable, "-B", "-c", script, tmp_path / "file"]  # -B: Python would leave a .pyc that is cut off, too
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.endswith("file: cannot be written (File too large)\n"), done.stderr
    assert (tmp_path / "file").read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
def test_devices_are_written_to_as_they_are(device: str) -> None:
    script = f"from snnfuse.hardware.files import *; p = Path({device!r}); check_output_file(p); write_whole(p, b'here')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ("here" if device == "/dev/stdout" else ""), done.stderr


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"")
    (tmp_path / "same").symlink_to("input")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("folder", "it is a folder"),
        ("no/file", "no does not exist"),
        ("input/file", "input does not exist"),
        (300 * "a", "File name too long"),
        ("same", "written over an input"),
        ("folder/file", "written over an input, or into a bundle"),
    ):
        with pytest.raises(InputError, match=message):
            check_output_file(tmp_path / name, (tmp_path / "input", None, tmp_path / "folder"))


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    script = (
        "import os, signal, sys; from pathlib import Path; from snnfuse.hardware.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as partial:\n"
        "    partial.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert len(list(tmp_path.iterdir())) == 1 and not target.exists()
    write_whole(target, b"all of it")
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"] and target.read_bytes() == b"all of it"


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("\u00e4" * 127)  # 254 bytes
    write_whole(target, b"here")
    assert target.read_bytes() == b"here" and len(list(tmp_path.iterdir())) == 1
