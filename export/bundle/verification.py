"""What `snnfuse verify` leaves in a bundle: when it ran, on what, and what came of it.

The manifest does not list it, for it comes later than the bundle; it holds the manifest's own hash, and says nothing of any other bundle.
Like every hash here it shows damage, and not who wrote it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from snnfuse.export.bundle.manifest import MANIFEST
from snnfuse.hardware.errors import InputError, UnsafeFileError
from snnfuse.hardware.files import sha256
from snnfuse.hardware.ir.json_fields import read_json

VERIFIED = "verified.json"
FORMAT = "snnfuse verification"
PACKAGES = ("snnfuse", "lava-nc")


def record_verification(folder: Path, passed: bool, samples: int, checks: Sequence[Mapping[str, Any]]) -> Path:
    """Write what a verification came to into the bundle; returns the file.

    Args:
        folder: of a bundle that was read.
        passed: whether every check was.
        samples: golden ones that were run.
        checks: `backend`, `seconds`, `first` difference or None, and `compared` and `mismatches` by variable.

    Raises:
        InputError: it cannot be written there.
    """
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"format": FORMAT, "manifest": sha256(folder / MANIFEST), "when": when, "packages": packages}
    content = {**about, "passed": passed, "samples": samples, "checks": [dict(check) for check in checks]}
    path = folder / VERIFIED
    try:  # in place, and through no link: a file beside it, left by a kill, would be one that the manifest does not list
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666), "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def read_verification(folder: Path) -> dict[str, Any] | None:
    """What the last verification of this very bundle came to; None where it was never verified, or its manifest is another one since.

    Raises:
        InputError: the file is damaged.
        UnsafeFileError: it is a link, which snnfuse does not write.
    """
    path = folder / VERIFIED
    if not os.path.lexists(path):
        return None
    if os.path.islink(path):
        raise UnsafeFileError(f"{path} is a link, which snnfuse writes into no bundle: delete it")
    found = read_json(path)
    checks = found.get("checks") if isinstance(found, dict) else None
    types = {"format": str, "manifest": str, "when": str, "passed": bool, "samples": int}
    if not isinstance(checks, list) or not all(isinstance(found.get(key), kind) for key, kind in types.items()):
        raise InputError(f"{path}: not what snnfuse verify writes, which writes it anew when run again")
    if not all(isinstance(check, dict) and isinstance(check.get("backend"), str) for check in checks):
        raise InputError(f"{path}: checks are not what snnfuse verify writes, which writes it anew when run again")
    return found if found["format"] == FORMAT and found["manifest"] == sha256(folder / MANIFEST) else None
