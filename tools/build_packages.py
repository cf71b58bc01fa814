"""Build wheel and sdist so that the same sources give the same bytes: python tools/build_packages.py [FOLDER], by default dist.

Times are SOURCE_DATE_EPOCH, by default that of the last commit; owners, modes and the order of files are fixed. setuptools does so for
wheels, but for modes, which the sources' own are; sdists are packed again.
"""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def epoch() -> int:
    """Return SOURCE_DATE_EPOCH, else the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True))


def repacked(content: bytes, seconds: int) -> bytes:
    """Return a .tar.gz with the same files: sorted, of nobody, with one time and plain modes."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as before,
        gzip.GzipFile("", "wb", 9, packed, mtime=seconds) as outer,
        tarfile.open(fileobj=outer, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() or member.mode & 0o100 else 0o644, {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def build(source: Path, target: Path, seconds: int) -> list[Path]:
    """Build both from a source tree into a folder; returns their paths."""
    target.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds), "PYTHONHASHSEED": "0"}
    for what in ("wheel", "sdist"):  # setuptools keeps state: each in a process of its own
        code = f"import os, sys; os.umask(0o022); from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
        command = [sys.executable, "-c", code, str(target.resolve())]
        subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    (sdist,) = target.glob("*.tar.gz")
    sdist.write_bytes(repacked(sdist.read_bytes(), seconds))
    return [*target.glob("*.whl"), sdist]


if __name__ == "__main__":
    for path in build(ROOT, Path(sys.argv[1] if len(sys.argv) > 1 else "dist"), epoch()):
        print(path)
