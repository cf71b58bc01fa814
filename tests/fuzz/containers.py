"""Changes of files that hold others: zip archives of arrays and checkpoints, bundles, WAV files, and lines of events."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from snnfuse.export.bundle.content import write_manifest
from snnfuse.hardware.files import sha256
from snnfuse.hardware.seal import BLANK, KEY, seal
from tests.fuzz.mutations import NUMBERS, WORDS, Rng, change_json, change_json_file, flip_bytes, flip_file, pick

HEADERS = (b"'descr': '", b"'shape': (", b"'fortran_order': ", b"{", b"}")
PICKLED = [
    *(b"(", b")", b"}", b"]", b"R", b"b", b"0", b"2", b"t", b"l", b"d", b"N", b"Q", b"."),
    *(b"K\xff", b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\x7f" * 8, b"q\x00", b"h\x00"),
    *(b"cbuiltins\nbytearray\n", b"ctorch\nSize\n", b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"),
]


def change_archive(rng: Rng, path: Path, change: Callable[[Rng, bytes], bytes]) -> None:
    """Change a member of a zip archive, or its directory; now and then the bytes of the whole."""
    if rng.random() < 0.2 or not zipfile.is_zipfile(path):
        flip_file(rng, path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.filelist]
    except Exception:  # it was damaged before
        flip_file(rng, path)
        return
    if not members:
        return
    at, kind = int(rng.integers(len(members))), int(rng.integers(10))
    name, content = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append(members[at])
    elif kind == 2:
        members[at] = (pick(rng, [word or "x" for word in WORDS]).encode("utf-8", "replace").decode() + ".npy", content)
    elif kind == 3:
        members[at] = (name, content + bytes(int(pick(rng, [1, 1000, 10**7]))))
    else:
        members[at] = (name, change(rng, content))
    compression = pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)


def change_npy(rng: Rng, content: bytes) -> bytes:
    """Change the header of an array, which is Python's text, or its bytes."""
    if rng.random() < 0.3 or len(content) < 20:
        return flip_bytes(rng, content)
    length = struct.unpack("<H", content[8:10])[0]
    header = content[10 : 10 + length].decode("latin1")
    if rng.random() < 0.6:
        shape = tuple(abs(int(pick(rng, NUMBERS[:25]))) for _ in range(int(rng.integers(0, 5))))
        header = header[: header.index("'shape'")] + f"'shape': {shape}, }}"
    else:
        kind = pick(rng, ["<f8", "|O", "<U9999999", "<i4", "<f2", "|V0", "|S0", "<c16", "[('a', '<i4')]", ">i8", "<m8[ns]", "(" * 300])
        header = header.replace(header[header.index("'descr'") : header.index("'fortran")], f"'descr': '{kind}', ")
    text = header.encode("latin1")
    return content[:8] + struct.pack("<H", len(text) % 65536) + text + content[10 + length :]


def change_pickle(rng: Rng, content: bytes) -> bytes:
    """Put opcodes into a pickle, or flip its bytes."""
    if rng.random() < 0.4 or len(content) < 4:
        return flip_bytes(rng, content)
    at = int(rng.integers(2, len(content)))
    return content[:at] + pick(rng, PICKLED) + content[at + int(rng.integers(3)) :]


def change_wav(rng: Rng, path: Path) -> None:
    """Change a field of a WAV file's header."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.4 or len(content) < 44:
        flip_file(rng, path)
        return
    at, size = pick(rng, [(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (40, 4)])
    content[at : at + size] = int(pick(rng, [0, 1, 2, 3, 4, 16, 24, 32, 255, 65535, 2**24, 2**31 - 1, 2**32 - 1])).to_bytes(8, "little")[
        :size
    ]
    path.write_bytes(content)


def change_lines(rng: Rng, path: Path) -> None:
    """Change one line of events."""
    lines = path.read_bytes().split(b"\n")
    at = int(rng.integers(len(lines)))
    try:
        lines[at] = json.dumps(change_json(rng, json.loads(lines[at]))).encode()
    except (ValueError, RecursionError):
        lines[at] = flip_bytes(rng, lines[at])
    path.write_bytes(b"\n".join(lines) if rng.random() < 0.8 else flip_bytes(rng, path.read_bytes()))


def change_program(rng: Rng, folder: Path) -> None:
    """Change program.json, or its arrays, mostly with the hash that then belongs there."""
    record, arrays = folder / "program.json", folder / "program.safetensors"
    if rng.random() < 0.6:
        change_json_file(rng, record)
        return
    raw = arrays.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    if rng.random() < 0.6 and 8 + length < len(raw):
        values = np.frombuffer(raw[8 + length :], np.int32, (len(raw) - 8 - length) // 4).copy()
        values[int(rng.integers(len(values)))] = int(pick(rng, [0, 1, -1, 7, 255, 4096, 2**31 - 1, -(2**31), 2**24]))
        raw = raw[: 8 + length] + values.tobytes()
    else:
        raw = flip_bytes(rng, raw)
    arrays.write_bytes(raw)
    try:
        content = json.loads(record.read_text())
        content["arrays_sha256"] = sha256(arrays)
        record.write_text(json.dumps(content))
    except (ValueError, TypeError):
        pass


def change_bundle(rng: Rng, folder: Path) -> None:
    """Change a file of a bundle, mostly with the hashes that then belong into its manifest."""
    names = [
        "manifest.json",
        "manifest.json",
        "report.json",
        "program.json",
        "golden/events.safetensors",
        "golden/expected.safetensors",
        "graph.nir",
    ]
    name = pick(rng, names)
    if not (folder / name).exists():
        return
    if name == "manifest.json":
        change_json_file(rng, folder / name)
    elif name == "report.json":
        change_json_file(rng, folder / name)
    elif name == "program.json":
        change_program(rng, folder)
    else:
        flip_file(rng, folder / name)
    if rng.random() < 0.8:
        rehash(folder)


def rehash(folder: Path) -> None:
    """Make a manifest agree with the files that it lists, as far as it still is one."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in manifest["files"]:
            if (folder / name).is_file():
                manifest["files"][name] = sha256(folder / name)
        write_manifest(folder, manifest)
    except (ValueError, TypeError, KeyError, OSError, AttributeError, RecursionError):
        pass


def change_case(rng: Rng, folder: Path) -> None:
    """Change a saved case, mostly with the hashes that then belong there."""
    if rng.random() < 0.3:
        change_program(rng, folder)
    elif rng.random() < 0.3:
        flip_file(rng, folder / "events.safetensors")
    else:
        change_json_file(rng, folder / "case.json")
    try:
        record = json.loads((folder / "case.json").read_text())
        for name in record["files"]:
            if (folder / name).is_file():
                record["files"][name] = sha256(folder / name)
        (folder / "case.json").write_text(seal(json.dumps(record | {KEY: BLANK})))
    except (ValueError, TypeError, KeyError, OSError, AttributeError, RecursionError):
        pass
