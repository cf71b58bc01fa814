"""Make the folders that `crema-d` is read from out of the original release of CREMA-D.

    python -m snnfuse.data.make_crema_d ORIGINAL DATA_DIR [--lists DIR] [--seed N]

ORIGINAL holds VideoFlash/<id>.flv and AudioWAV/<id>.wav, with <id> = <actor>_<sentence>_<emotion>_<level>; DATA_DIR gets
processed_dataset/<train or test>/<visual or audio>/<emotion>/<id>.<jpg or wav>. Of each clip's frames, taken once per second by ffmpeg,
one is drawn, by the seed and the clip's name alone. --lists names a folder with the published split, train.csv and test.csv, each row
<id>,<emotion>, as the authors of S-CMRL and of OGM-GE publish them; without it, a seeded tenth of each emotion is the test set.

A clip that lacks one of its files, or whose file cannot be read, is left out and named: the release has a few.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import numpy as np

from snnfuse.data.folders.crema_d import EMOTIONS, FOLDER, KIND, NAME, SIDES, TRAINING
from snnfuse.data.folders.entries import Entry, files_of
from snnfuse.data.folders.sounds import read_sound, require_soundfile
from snnfuse.hardware.errors import EnvironmentProblem, InputError, SnnfuseError
from snnfuse.hardware.files import whole_folder

VIDEO, AUDIO = "VideoFlash", "AudioWAV"
FRAMES = "%06d.jpg"
SECONDS = 120  # for one clip of a few seconds
LEFT_OUT = 20  # clips; more are no fault of single files


def make(original: Path, data_dir: Path, lists: Path | None = None, seed: int = 0, say: Callable[[str], None] = print) -> dict[str, int]:
    """Make the folders, whole or not at all.

    Returns:
        Clips by side.

    Raises:
        EnvironmentProblem: ffmpeg or soundfile is missing.
        InputError: the target exists, the release is not there, a name or a list makes no sense, or too many clips cannot be used.
    """
    require_ffmpeg()
    require_soundfile()
    target = data_dir / FOLDER
    if target.exists():
        raise InputError(f"{target} exists; remove it, or name another folder")
    clips = paired_clips(original, say)
    sides = listed(lists, clips) if lists else drawn(sorted(clips), seed)
    with whole_folder(target) as unfinished:
        counts = fill(unfinished, clips, sides, seed, say)
    return counts


def require_ffmpeg() -> str:
    """Its path; EnvironmentProblem where it is not on PATH."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise EnvironmentProblem("frames of videos are decoded by ffmpeg, which is not on PATH; install it (https://ffmpeg.org)")
    return found


def paired_clips(original: Path, say: Callable[[str], None]) -> dict[str, tuple[Entry, Entry]]:
    """Video and recording by id; what has no partner is told and left out."""
    for name in (VIDEO, AUDIO):
        if not (original / name).is_dir():
            raise InputError(f"{original / name} is missing; expected the original release, {KIND.page}, with {VIDEO} and {AUDIO}")
    videos, sounds = files_of(original / VIDEO, (".flv",)), files_of(original / AUDIO, (".wav",))
    for stem in sorted(videos.keys() ^ sounds.keys()):
        say(f"left out: {stem} has no {'recording' if stem in videos else 'video'}")
    clips = {stem: (videos[stem], sounds[stem]) for stem in videos if stem in sounds}
    for stem in clips:
        emotion_of(stem, original)
    if not clips:
        raise InputError(f"{original}: no video and recording have the same name")
    return clips


def emotion_of(stem: str, place: Path) -> str:
    """Return the emotion of an id; InputError where it has none."""
    match = NAME.fullmatch(stem)
    if match is None or match[2] not in EMOTIONS:
        raise InputError(f"{place}: {stem} is not named <actor>_<sentence>_<emotion>_<level>")
    return match[2]


def listed(lists: Path, clips: Mapping[str, object]) -> dict[str, str]:
    """Side of each clip by the published lists; what they leave out is in neither."""
    sides: dict[str, str] = {}
    for side in SIDES:
        path = lists / f"{side}.csv"
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [row for row in csv.reader(file) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        for stem, *emotion in rows:
            if emotion != [emotion_of(stem, path)] or sides.get(stem, side) != side:
                raise InputError(f"{path}: {stem} is listed with {emotion}, or in both lists")
            sides[stem] = side
    if not any(stem in clips for stem in sides):
        raise InputError(f"{lists}: the lists name none of the clips")
    return sides


def drawn(stems: list[str], seed: int) -> dict[str, str]:
    """Side of each clip: a tenth of each emotion tests. stems: sorted."""
    rng = np.random.default_rng(seed)
    sides = {}
    for emotion in EMOTIONS:
        members = rng.permutation([stem for stem in stems if emotion_of(stem, Path()) == emotion])
        sides |= {str(stem): SIDES[number >= round(TRAINING * members.size)] for number, stem in enumerate(members)}
    return sides


def fill(
    folder: Path, clips: Mapping[str, tuple[Entry, Entry]], sides: Mapping[str, str], seed: int, say: Callable[[str], None]
) -> dict[str, int]:
    """Write every clip's frame and recording; clips by side."""
    counts, left_out = dict.fromkeys(SIDES, 0), 0
    for stem, side in sorted(sides.items()):
        try:
            if stem not in clips:
                raise InputError(f"{stem}: listed, but not in the release")
            write_clip(folder / side, stem, *clips[stem], seed)
            counts[side] += 1
        except InputError as error:
            left_out += 1
            say(f"left out: {error}")
            if left_out > LEFT_OUT:
                raise InputError(f"more than {LEFT_OUT} clips cannot be used, the last one: {error}") from error
    return counts


def write_clip(folder: Path, stem: str, video: Entry, sound: Entry, seed: int) -> None:
    """One drawn frame and the recording; InputError where one cannot be read, and then neither is written."""
    read_sound(sound)
    emotion = emotion_of(stem, folder)
    with tempfile.TemporaryDirectory() as frames:
        found = frames_of(video, Path(frames))
        chosen = found[np.random.default_rng([seed, zlib.crc32(stem.encode())]).integers(len(found))]
        for source, kind, suffix in ((chosen, "visual", ".jpg"), (sound.path, "audio", ".wav")):
            place = folder / kind / emotion
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place / f"{stem}{suffix}")


def frames_of(video: Entry, folder: Path) -> list[Path]:
    """One frame per second, in order."""
    path = str(video.path.resolve())  # absolute, so that no name is taken for an option or a protocol
    command = [require_ffmpeg(), "-nostdin", "-v", "error", "-i", path, "-vf", "fps=1", "-q:v", "2", str(folder / FRAMES)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, text=True, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{video}: ffmpeg did not end within {SECONDS} s") from error
    found = sorted(folder.glob("*.jpg"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no frame in it"])[-1]
        raise InputError(f"{video}: ffmpeg cannot decode it ({reason})")
    return found


@click.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("data_dir", type=click.Path(path_type=Path))
@click.option("--lists", type=click.Path(path_type=Path), help="Folder with the published split, train.csv and test.csv.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the frames, and of the split without --lists.")
def main(original: Path, data_dir: Path, lists: Path | None, seed: int) -> None:
    """Make DATA_DIR/processed_dataset from the ORIGINAL release of CREMA-D."""
    try:
        counts = make(original, data_dir, lists, seed, say=lambda line: click.echo(line, err=True))
    except SnnfuseError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(f"{data_dir / FOLDER}: {counts['train']} clips to train on, {counts['test']} to test on")


if __name__ == "__main__":
    main()
