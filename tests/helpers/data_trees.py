"""Small data sets in the folder layouts and file formats that their users have."""

import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from snnfuse.data import mnist_fsdd

FEW_TAKES = ("0", "1", "5", "6", "7")  # of fifty; the first five are tested on
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def image(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32), mode: str = "RGB", **options: object) -> Path:
    """A random image of (height, width), as its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def sound(path: Path, seed: int = 0, rate: int = 8000, samples: int = 1600, channels: int = 1, subtype: str | None = "PCM_16") -> Path:
    """A tone of random pitch in noise; its format is that of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * rng.uniform(200, 3000) * np.arange(samples) / rate)
    wave = 0.3 * tone[:, None] + 0.05 * rng.standard_normal((samples, channels))
    soundfile.write(path, wave, rate, subtype=subtype, format={".flac": "FLAC", ".ogg": "OGG"}.get(path.suffix.lower(), "WAV"))
    return path


def few_recordings(source: Path, root: Path) -> Path:
    """mnist-fsdd with a tenth of its recordings, and all its images."""
    for name in (mnist_fsdd.IMAGES, mnist_fsdd.LABELS, mnist_fsdd.RECORDINGS):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name != mnist_fsdd.RECORDINGS:
            (root / name).symlink_to((source / name).resolve())
    with zipfile.ZipFile(source / mnist_fsdd.RECORDINGS) as every, zipfile.ZipFile(root / mnist_fsdd.RECORDINGS, "w") as few:
        for entry in every.infolist():
            if Path(entry.filename).stem.split("_")[-1] in FEW_TAKES:
                few.writestr(entry, every.read(entry))
    return root


def cifar10_av(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 10) -> Path:
    """vision/<class>/<name>.jpg and audio/<class>/<name>.wav."""
    for number, (name, i) in enumerate((name, i) for name in classes for i in range(each)):
        image(root / "vision" / name / f"{name}_{i}.jpg", number)
        sound(root / "audio" / name / f"{name}_{i}.wav", number)
    return root


def urbansound8k_av(root: Path, *, table: bool = False, recordings: int = 10) -> Path:
    """Two classes of 10 recordings with 3 sounds each; with the table, recording i lies in fold i % 10 + 1."""
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for label, name in enumerate(("dog_bark", "siren")):
        for recording in range(recordings):
            for piece in range(3):
                source = 1000 * (label + 1) + recording
                stem = f"{source}-{label}-0-{piece}"
                image(root / "Dataset_v3_vision" / name / f"{stem}.jpg", 100 * source + piece, (40, 30))
                sound(root / "Dataset_v3_sound" / name / f"{stem}.wav", 100 * source + piece, 44100, 4410)
                rows.append(f"{stem}.wav,{source},0,1,1,{recording % 10 + 1},{label},{name}")
    if table:
        (root / "metadata").mkdir()
        (root / "metadata/UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return root


def crema_d(root: Path, actors: int = 10, tested: int = 2) -> Path:
    """Every actor says one sentence in each emotion; the folders test on `tested` of every emotion, of different actors each."""
    for number, emotion in enumerate(EMOTIONS):
        for actor in range(actors):
            side = "test" if (actor - number) % actors < tested else "train"
            stem = f"{1001 + actor}_DFA_{emotion}_XX"
            image(root / "processed_dataset" / side / "visual" / emotion / f"{stem}.jpg", 100 * number + actor, (36, 48))
            sound(root / "processed_dataset" / side / "audio" / emotion / f"{stem}.wav", 100 * number + actor, 16000)
    return root


def cifar10_folders(root: Path, train: int = 4, test: int = 2) -> Path:
    """<train or test>/<class>/<number>.png of two classes."""
    for side, each in (("train", train), ("test", test)):
        for label, name in enumerate(("airplane", "frog")):
            for i in range(each):
                image(root / side / name / f"{i:04}.png", 1000 * (side == "test") + 100 * label + i)
    return root


def cifar10_zip(root: Path) -> Path:
    """The same, in images.zip."""
    files = cifar10_folders(root / "unpacked")
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for path in sorted(files.rglob("*.png")):
            archive.write(path, path.relative_to(files).as_posix())
    return root


def cifar10_binary(root: Path, each: int = 20) -> Path:
    """cifar-10-batches-bin/data_batch_1.bin ... test_batch.bin."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (each, 3073), np.uint8)
        rows[:, 0] = np.arange(each) % 10
        (folder / name).write_bytes(rows.tobytes())
    return root


def original_crema_d(root: Path, actors: int = 10) -> Path:
    """VideoFlash/<id>.flv and AudioWAV/<id>.wav; a video holds a number, the frames that `fake_ffmpeg` makes of it."""
    for number, emotion in enumerate(EMOTIONS):
        for actor in range(actors):
            stem = f"{1001 + actor}_DFA_{emotion}_XX"
            sound(root / "AudioWAV" / f"{stem}.wav", 100 * number + actor, 16000)
            (root / "VideoFlash").mkdir(exist_ok=True)
            (root / "VideoFlash" / f"{stem}.flv").write_text("3")
    return root


FFMPEG = """#!{python}
import pathlib, sys
arguments = sys.argv[1:]
video, pattern = arguments[arguments.index("-i") + 1], arguments[-1]
assert arguments[arguments.index("-vf") + 1] == "fps=1"
try:
    frames = int(pathlib.Path(video).read_text())
except ValueError:
    sys.exit(video + ": Invalid data found")
from PIL import Image
for number in range(1, frames + 1):
    Image.new("RGB", (48, 36), (80 * number, 0, 0)).save(pattern % number)
"""


def fake_ffmpeg(folder: Path, python: str) -> str:
    """A program of that name, which makes as many frames as its video's number says; a PATH that leads to it."""
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(FFMPEG.replace("{python}", python))
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def esc10(root: Path, each: int = 1) -> Path:
    """The ten folders of ESC-10 with `each` sources in every fold, the first of two takes."""
    from snnfuse.data.folders.esc10 import FOLDERS

    for label, folder in enumerate(FOLDERS):
        for fold in range(1, 6):
            for number in range(each):
                for take in "AB"[: 2 if number == 0 else 1]:
                    source = 1000 * label + 10 * fold + number
                    sound(root / folder / f"{fold}-{source}-{take}.ogg", source + 1000 * ord(take), 22050, 2205, subtype=None)
    return root


def urbansound8k(root: Path) -> Path:
    """UrbanSound8K/audio/fold1 ... fold10 with two sounds of one recording of every class in each."""
    for fold in range(1, 11):
        for label in range(10):
            for piece in range(2):
                name = f"{100 * fold + label}-{label}-0-{piece}.wav"
                sound(root / "UrbanSound8K/audio" / f"fold{fold}" / name, 1000 * fold + 10 * label + piece, 22050, 2205 * (1 + piece))
    return root


def zipped(folder: Path, archive: Path) -> Path:
    """A zip file of what a folder holds, which is then removed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as whole:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                whole.write(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(content.getvalue())
    return archive


def bs2(events: np.ndarray) -> bytes:
    """A recording of N-MNIST: rows x, y, polarity, microseconds."""
    x, y, p, t = events.astype(np.int64).T
    word = (p << 23) | t
    return np.stack([x, y, word >> 16, (word >> 8) & 255, word & 255], 1).astype(np.uint8).tobytes()


def nmnist_fsdd(root: Path, train: int = 30, test: int = 10, events: int = 50) -> Path:
    """nmnist/<number>.bs2 with both lists, and fsdd/recordings with takes 0, 5 and 6 of every digit by one speaker."""
    rng = np.random.default_rng(0)
    (root / "nmnist").mkdir(parents=True)
    for name, numbers in (("train1K.txt", range(1, train + 1)), ("test100.txt", range(60001, 60001 + test))):
        lines = [f"{number}\t{(number - 1) % 10}" for number in numbers]
        (root / "nmnist" / name).write_text("\r\n".join(["#sample #class", *lines]) + "\r\n")
        for number in numbers:
            rows = np.stack([*rng.integers(0, 34, (2, events)), rng.integers(0, 2, events), np.sort(rng.integers(0, 300_000, events))], 1)
            (root / "nmnist" / f"{number}.bs2").write_bytes(bs2(rows))
    for digit in range(10):
        for take in (0, 5, 6):
            sound(root / "fsdd/recordings" / f"{digit}_jo_{take}.wav", 10 * digit + take)
    return root
