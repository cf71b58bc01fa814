"""Samples, sound, images and lines of events that are fuzzed: as `graph_families`."""

import wave
from pathlib import Path

import numpy as np

from snnfuse.data.samples import read_array, read_samples
from snnfuse.hardware.reading import reading
from snnfuse.streaming import audio, frames
from snnfuse.streaming.event_lines import event_lines, whole_lines
from snnfuse.streaming.opening import Settings as Streamed
from snnfuse.streaming.opening import open_stream
from tests.fuzz.containers import (
    change_archive,
    change_lines,
    change_npy,
    change_wav,
)
from tests.fuzz.engine import Family, Rng
from tests.fuzz.mutations import flip_file
from tests.fuzz.program_families import EVENTS, PROGRAM

RNG = np.random.default_rng(0)


def npz_seeds(folder: Path) -> None:
    x = RNG.integers(0, 2, (6, 2, 4))
    np.savez(folder / "plain.npz", input=x.astype(np.float32), labels=np.zeros(2, int))
    np.savez_compressed(folder / "packed.npz", a=x.astype(np.int8), b=x.astype(float))
    np.savez(folder / "both.npz", image=EVENTS["image"], spikes=EVENTS["spikes"])
    np.save(folder / "one.npy", x.astype(np.float32))


def change_npz(rng: Rng, path: Path) -> None:
    if path.suffix == ".npy":
        path.write_bytes(change_npy(rng, path.read_bytes()))
    else:
        change_archive(rng, path, change_npy)


def read_npz(path: Path) -> None:
    samples = read_samples(path)
    with reading(path):
        if set(samples.inputs) >= {"image", "spikes"}:
            PROGRAM.encode({name: samples.inputs[name] for name in PROGRAM.inputs})
    if path.suffix == ".npy":
        read_array(path)
    else:
        for _ in open_stream(PROGRAM, [str(path)], Streamed(threshold=0.5, steps=50)):
            pass


def wav_seeds(folder: Path) -> None:
    for width, channels in ((2, 1), (1, 2), (3, 1), (4, 2)):
        with wave.open(str(folder / f"w{width}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(8000)
            file.writeframes(RNG.integers(0, 256, 3000 * width * channels).astype(np.uint8).tobytes())


def read_wav(path: Path) -> None:
    rate, blocks = audio.wav_blocks(path)
    for _ in audio.sample_steps(blocks, 64):
        pass
    rate, blocks = audio.wav_blocks(path)
    for _ in audio.log_mel_steps(blocks, rate, 8):
        pass


def image_seeds(folder: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(RNG.integers(0, 256, (9, 9, 3)).astype(np.uint8))
    for suffix in ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm"):
        (folder / suffix).mkdir()
        picture.save(folder / suffix / f"a.{suffix}")
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "a.npy", np.zeros((3, 4, 4)))


def change_image(rng: Rng, folder: Path) -> None:
    (file,) = folder.iterdir()
    change_npz(rng, file) if file.suffix == ".npy" else flip_file(rng, file)


def read_images(path: Path) -> None:
    for _ in frames.folder_frames(path, (3, 4, 4)):
        pass


def line_seeds(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"spikes": [0, 1]}\n{"spikes": [0, 2], "image": [[3, -4]]}\n\n{"image": [[15, 9]]}\n{"spikes": []}\n')


def read_lines(path: Path) -> None:
    with path.open("rb") as file:
        for _ in event_lines(whole_lines(file, "lines"), PROGRAM.inputs, "lines"):
            pass


DATA = (
    Family("npz", npz_seeds, change_npz, read_npz),
    Family("wav", wav_seeds, change_wav, read_wav),
    Family("image", image_seeds, change_image, read_images),
    Family("lines", line_seeds, change_lines, read_lines),
)
