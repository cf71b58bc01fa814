"""Files of a data set: on disk or inside a zip file, read as bytes and known by name, size and time."""

import errno
import os
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from snnfuse.hardware.errors import InputError

IMAGES = (".jpg", ".jpeg", ".png")
SOUNDS = (".wav", ".flac", ".ogg")
IGNORED = ("thumbs.db", "desktop.ini", "__macosx")  # what file managers leave behind, beside everything that begins with a dot
Files = Mapping[str, "Entry"]  # by name without suffix


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        path: of the file, or of the zip file that holds it.
        size, stamp: bytes and modification time in nanoseconds; for a member of a zip file its size and checksum.
        member: name inside the zip file; None for a file of its own.
    """

    path: Path
    size: int
    stamp: int
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"

    @property
    def stem(self) -> str:
        """Name without folder and suffix; accents, which systems spell as one character or as two, are one."""
        return unicodedata.normalize("NFC", PurePosixPath(self.member).stem if self.member else self.path.stem)

    @property
    def suffix(self) -> str:
        """As ".wav", in lower case."""
        return PurePosixPath(self.member or self.path.name).suffix.lower()

    def read(self) -> bytes:
        """The whole content.

        Raises:
            InputError: it cannot be read.
        """
        try:
            return self.path.read_bytes() if self.member is None else _opened(self.path, self.path.stat().st_mtime_ns).read(self.member)
        except (OSError, EOFError, zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: an encrypted member
            raise InputError(f"{self}: cannot be read ({error}); fetch it again") from error


@lru_cache(maxsize=4)
def _opened(path: Path, stamp: int) -> zipfile.ZipFile:
    """A zip file, opened once; `stamp` changes with it."""
    return zipfile.ZipFile(path)


def is_ignored(name: str) -> bool:
    """Return True for a file that a file manager left behind."""
    return name.startswith(".") or name.lower() in IGNORED


def class_folders(root: Path) -> list[str]:
    """Names of the folders in `root`, sorted; files beside them are no part of the data.

    Raises:
        InputError: there is none, or one is a link that leads nowhere.
    """
    names = sorted(entry.name for entry in _scan(root) if not is_ignored(entry.name) and _is_folder(entry))
    if not names:
        raise InputError(f"{root}: holds no class folder")
    return names


def files_of(folder: Path, suffixes: tuple[str, ...]) -> Files:
    """The files of one class folder, sorted by name, by their names without suffix; upper case suffixes are taken, too.

    Raises:
        InputError: it holds a folder, a link that leads nowhere, a file of another kind, two of one name, or nothing.
    """
    found = []
    for entry in _scan(folder):
        if is_ignored(entry.name):
            continue
        if _is_folder(entry):
            raise InputError(f"{entry.path}: a folder inside a class folder; expected files {', '.join(suffixes)} only")
        stat = entry.stat()
        found.append(Entry(Path(entry.path), stat.st_size, stat.st_mtime_ns))
    return by_stem(found, suffixes, folder)


def by_stem(entries: list[Entry], suffixes: tuple[str, ...], folder: object) -> Files:
    """Entries of one class, sorted, by their names without suffix; raises as `files_of` does."""
    files: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.stem, str(entry))):
        if entry.suffix not in suffixes:
            raise InputError(f"{entry}: {entry.suffix or 'a file without suffix'} is none of {', '.join(suffixes)}; convert or remove it")
        if entry.stem in files:
            raise InputError(f"{entry}: has the same name as {files[entry.stem]}; a name must stand for one file")
        files[entry.stem] = entry
    if not files:
        raise InputError(f"{folder}: holds no file {', '.join(suffixes)}")
    return files


def _scan(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({_reason(error)})") from error


def _is_folder(entry: os.DirEntry) -> bool:
    """Follows links; one that leads nowhere or in a circle is an InputError."""
    try:
        entry.stat()
        return entry.is_dir()
    except OSError as error:
        raise InputError(f"{entry.path}: cannot be followed ({_reason(error)}); remove it") from error


def _reason(error: OSError) -> str:
    return "a circle of symbolic links" if error.errno == errno.ELOOP else error.strerror or str(error)


def listing(root: Path, depth: int = 4) -> dict[str, Entry]:
    """Every file of a zip file, or below a folder, by its name in there, "/" between folders, sorted; without what is ignored.

    depth: folders within folders that are looked into.

    Raises:
        InputError: the zip file is damaged, or a folder cannot be listed.
    """
    found = dict(_members(root)) if root.is_file() else dict(_below(root, "", depth))
    return {name: found[name] for name in sorted(found)}


def _members(path: Path) -> Iterator[tuple[str, Entry]]:
    try:
        infos = [info for info in _opened(path, path.stat().st_mtime_ns).infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"{path}: damaged zip file ({error}); fetch it again") from error
    for info in infos:
        if not any(is_ignored(part) for part in PurePosixPath(info.filename).parts):
            yield info.filename, Entry(path, info.file_size, info.CRC, info.filename)


def _below(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Entry]]:
    for entry in _scan(folder):
        if is_ignored(entry.name):
            continue
        if not _is_folder(entry):
            stat = entry.stat()
            yield prefix + entry.name, Entry(Path(entry.path), stat.st_size, stat.st_mtime_ns)
        elif depth:
            yield from _below(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


def zip_classes(path: Path, suffixes: tuple[str, ...]) -> dict[str, dict[str, Files]]:
    """A zip file with <side>/<class>/<file>: side -> class -> files.

    Raises:
        InputError: it is damaged, or holds something else.
    """
    groups: dict[str, dict[str, list[Entry]]] = {}
    for name, entry in _members(path):
        parts = PurePosixPath(name).parts
        if len(parts) != 3:
            raise InputError(f"{path}: {name} is not named <train or test>/<class>/<file>")
        groups.setdefault(parts[0], {}).setdefault(parts[1], []).append(entry)
    return {
        side: {name: by_stem(entries, suffixes, f"{path}: {side}/{name}") for name, entries in sorted(classes.items())}
        for side, classes in groups.items()
    }
