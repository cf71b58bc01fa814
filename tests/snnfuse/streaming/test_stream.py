"""`snnfuse simulate --stream`: sources, what they become, and equality with a whole run of the same bundle."""

import io
import json
import sys
import types
import wave
from pathlib import Path

import numpy as np
import pytest
from cli_calls import FOR, Cli, assert_error

from snnfuse.export import read_bundle, write_bundle
from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.errors import DataWarning, EnvironmentProblem, InputError, UnsafeFileError
from snnfuse.streaming import Settings, open_stream
from snnfuse.streaming.audio import log_mel_steps, wav_blocks


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, *FOR, "-o", "b").code == 0
    return Path("b")


def decisions(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_replayed_file_gives_the_classes_of_a_whole_run(snn: Cli, bundle: Path) -> None:
    """Ten samples of twelve steps, one after the other."""
    assert snn("simulate", "b", "--input", "calib.npz", "-o", "whole.npz").code == 0
    result = snn("simulate", "b", "--stream", "calib.npz", "-o", "lines.jsonl", "--json", "-")
    assert result.code == 0, result.err
    lines, figures = decisions("lines.jsonl"), json.loads(result.out)
    with np.load("whole.npz") as whole:
        assert [line["neuron"] for line in lines] == whole["output.classes"].tolist()
        assert [line["scores"] for line in lines] == whole["output.spikes"].sum(0).tolist()
    assert [line["step"] for line in lines] == [12 * (n + 1) for n in range(10)]
    program = read_bundle(bundle).program
    assert {line["latency"] for line in lines} == {program.latency[program.outputs["output"].node]} == {1}
    assert (figures["steps"], figures["decisions"], figures["window"]) == (120, 10, 12)
    assert "1 steps later" in result.err and "0 at the end make none" in result.err


def test_events_on_standard_input(snn: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load("calib.npz") as given:
        x = given["x"][:, :2].astype(int)
    lines = [json.dumps(np.flatnonzero(x[t, b]).tolist()) for b in range(2) for t in range(12)]
    program = read_bundle(bundle).program
    expected = program.decode(emulate(program, {"input": x.astype(np.int32)})).tolist()
    for text in ("\n".join(lines), "\n\n".join(f'{{"input": {line}}}' for line in lines) + "\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert snn("simulate", "b", "--stream", "-", "-o", "lines.jsonl").code == 0
        assert [line["neuron"] for line in decisions("lines.jsonl")] == expected


@pytest.mark.parametrize(
    "line, part",
    [
        ("{", "standard input, line 2: damaged, or no JSON"),
        ("3", "a step is a list of events by input"),
        ('{"input": 3}', "a step is a list of events by input"),
        ('{"eyes": []}', "no input 'eyes'; there are input"),
        ("[4]", "neuron 4 is outside 0..3"),
        ("[-1]", "neuron -1 is outside 0..3"),
        ("[1.5]", "whole numbers, not 1.5"),
        ("[true]", "whole numbers, not true"),
        ("[[1, 2]]", "payload 2 is outside 0..1"),
        ("[[1, 2, 3]]", "an event is a neuron or [neuron, payload]"),
        ('{"\udcff": []}', "standard input, line 2: byte 3 is no UTF-8 text"),
    ],
)
def test_events_that_are_none(snn: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch, line: str, part: str) -> None:
    content = f"[]\n{line}\n".encode("utf-8", "surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert_error(snn("simulate", "b", "--stream", "-", "--quiet"), 2, part)


@pytest.mark.parametrize("line", ["[" * 99999, "[" * 65 + "]" * 65, "[" + "1" * 401 + "]", "[0." + "1" * 401 + "]", "[" * (1 << 26)])
def test_events_beyond_the_limits_on_json(snn: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert_error(snn("simulate", "b", "--stream", "-", "--quiet"), 5, "standard input", "set SNNFUSE_LIMITS=json-")


def test_sliding_and_windows_of_other_lengths(snn: Cli, bundle: Path) -> None:
    result = snn("simulate", "b", "--stream", "calib.npz", "--window", "7", "--sliding", "3", "--steps", "20", "-o", "l.jsonl")
    assert result.code == 0 and "20 steps, 5 decisions" in result.out and "nothing was reset" in result.out
    assert [line["step"] for line in decisions("l.jsonl")] == [7, 10, 13, 16, 19]
    assert "6 at the end make none" in snn("simulate", "b", "--stream", "calib.npz", "--window", "7", "--steps", "20").out


@pytest.mark.parametrize(
    "options, part",
    [
        ((), "give --input FILE or --stream SOURCE"),
        (("--input", "calib.npz", "--stream", "-"), "one of the two"),
        (("--input", "calib.npz", "--window", "3"), "--window goes with --stream"),
        (("--stream", "calib.npz", "--backend", "torch"), "--stream runs on the emulator"),
        (("--stream", "calib.npz", "--record", "all"), "--stream runs on the emulator"),
        (("--stream", "nothing.xyz"), "nothing.xyz: no source"),
        (("--stream", "nothing.wav"), "nothing.wav: no such file"),
        (("--stream", "nothing.npy"), "nothing.npy: no such file"),
        (("--stream", "calib.npz", "--stream", "-"), "hold every input; give one alone"),
        (("--stream", "eyes=mic"), "write INPUT=SOURCE"),
        (("--stream", "input=a.wav", "--stream", "input=b.wav"), "has a source already"),
        (("--stream", "."), "holds no frames"),
        (("--stream", "calib.npz", "--readout", "z"), "no output 'z'"),
        (("--stream", "calib.npz", "--window", "0"), "--window"),
        (("--stream", "calib.npz", "-o", "no/where.jsonl"), "no/where.jsonl"),
    ],
)
def test_options_that_cannot_be_meant(snn: Cli, bundle: Path, options: tuple[str, ...], part: str) -> None:
    assert_error(snn("simulate", "b", *options), 2, part)


def write_wav(path: str, samples: np.ndarray, rate: int = 8000, width: int = 2) -> None:
    """Integers (n, channels) of so many bytes."""
    with wave.open(path, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        raw = (samples + 128).astype(np.uint8) if width == 1 else samples.astype("<i4")
        file.writeframes(raw.tobytes() if width in (1, 4) else raw.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_files_of_every_width(tmp_path: Path, width: int, channels: int) -> None:
    full = 1 << (8 * width - 1)
    samples = np.random.default_rng(0).integers(-full, full, (3000, channels))
    write_wav(str(tmp_path / "a.wav"), samples, width=width)
    rate, blocks = wav_blocks(tmp_path / "a.wav")
    found = np.concatenate(list(blocks))
    assert rate == 8000
    np.testing.assert_array_equal(found, (samples / full).mean(1))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 9])
def test_what_is_no_wav_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match="a.wav: (no WAV file of whole numbers|it is empty)"):
        wav_blocks(tmp_path / "a.wav")


def sound_program(size: int = 16) -> Program:
    rng = np.random.default_rng(0)
    links = (Connection("sound", "o", Dense(2 * rng.integers(-60, 70, (3, size), dtype=np.int32))),)
    return Program({"sound": GradedInput((size,), 10, 1 / 400), "o": Lif((3,), 4095, 300, 900)}, links, {"y": Output("o")})


def test_a_truncated_wav_file_is_named_where_it_ends(tmp_path: Path) -> None:
    write_wav(str(tmp_path / "whole.wav"), np.arange(5000)[:, None])
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: 44 + 2 * 3000 + 1])  # within a frame
    read = []
    with pytest.raises(InputError, match="a.wav: ends after 3000 of 5000 frames; it is truncated"):
        read += wav_blocks(tmp_path / "a.wav")[1]


def declaring(path: Path, size: int) -> Path:
    """A WAV file of 5000 frames of two bytes, whose header says that it holds `size` bytes of sound."""
    write_wav(str(path), np.arange(5000)[:, None])
    content = bytearray(path.read_bytes())
    content[4:8], content[40:44] = min(size + 36, 2**32 - 1).to_bytes(4, "little"), size.to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [2**32 - 1, 2**31, 2**31 - 1, 0x7FFFF000])
def test_a_wav_file_of_unknown_length_is_read_to_its_end_and_says_so(tmp_path: Path, size: int) -> None:
    with pytest.warns(DataWarning, match="a.wav: its header does not say how long it is, .*; read to its end, 5000 frames"):
        assert sum(map(len, wav_blocks(declaring(tmp_path / "a.wav", size))[1])) == 5000


@pytest.mark.parametrize("size", [2**32 - 2**16, 3 * 2**30, 2**31 + 2**20, 2**30, 10002])
def test_a_wav_file_that_holds_less_than_it_declares_is_truncated(tmp_path: Path, size: int) -> None:
    with pytest.raises(InputError, match=f"a.wav: ends after 5000 of {size // 2} frames; it is truncated"):
        list(wav_blocks(declaring(tmp_path / "a.wav", size))[1])


def test_a_rate_that_no_sound_has(tmp_path: Path) -> None:
    write_wav(str(tmp_path / "a.wav"), np.arange(50)[:, None], rate=(1 << 31) - 1)
    with pytest.raises(UnsafeFileError, match="asks for 2147483647 samples of sound per second, and the limit is 1000000"):
        wav_blocks(tmp_path / "a.wav")


@pytest.mark.parametrize("features", ["samples", "log-mel"])
def test_a_wav_file_streamed_is_the_same_sound_run_at_once(snn: Cli, features: str) -> None:
    program = sound_program()
    events = {"sound": np.zeros((10, 1, 16), np.int32)}
    write_bundle("b", program=program, events=events, golden=emulate(program, events, "all"), target="lava")
    t = np.arange(4000) / 8000
    wave_ = np.rint(20_000 * np.sin(2 * np.pi * (200 + 1500 * t) * t) * np.minimum(1, 4 * t))
    write_wav("a.wav", wave_[:, None].astype(int))
    result = snn("simulate", "b", "--stream", "a.wav", "--features", features, "-o", "l.jsonl")
    assert result.code == 0, result.err
    if features == "samples":
        steps = (wave_ / 32768).reshape(-1, 16)
    else:
        steps = np.array(list(log_mel_steps(iter([wave_ / 32768]), 8000, 16)))  # the blocks that it arrives in do not matter
        assert steps.min() >= 0 and steps.max() <= 1 and steps.std() > 0.1 and len(steps) == (4000 - 256) // 64 + 1
    whole = steps[: len(steps) // 10 * 10].reshape(-1, 10, 16).swapaxes(0, 1)
    recording = emulate(program, program.encode(whole))
    assert [line["neuron"] for line in decisions("l.jsonl")] == program.decode(recording).tolist()
    assert [line["scores"] for line in decisions("l.jsonl")] == recording.spikes["y"].sum(0).tolist()
    assert recording.spikes["y"].any()


def test_log_mel_finds_a_tone_and_silence() -> None:
    """A full-scale sine fills its band, and silence none."""
    t = np.arange(8000) / 8000
    frames = np.array(list(log_mel_steps(iter(np.split(np.sin(2 * np.pi * 1000 * t), 80)), 8000, 12)))
    assert (frames.argmax(1) == frames[0].argmax()).all() and frames.max() > 0.9
    assert np.array(list(log_mel_steps(iter([np.zeros(800)]), 8000, 12))).max() == 0


def image_program(shape: tuple[int, ...] = (3, 4, 5), graded: bool = True) -> Program:
    size = int(np.prod(shape))
    node = GradedInput(shape, 9, 1 / 255) if graded else SpikeInput(shape)
    link = Connection("eyes", "o", Dense(np.full((2, size), 2, np.int32)))
    return Program({"eyes": node, "o": Lif((2,), 4095, 300, 900)}, (link,), {"y": Output("o")})


def test_frames_of_a_folder(tmp_path: Path) -> None:
    """By name, scaled to the input, colours first; arrays as they are."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image.fromarray(pixels).save(tmp_path / "b.png")
    image.fromarray(np.repeat(np.repeat(pixels, 2, 0), 2, 1)).save(tmp_path / "c.bmp")
    np.save(tmp_path / "a.npy", pixels.transpose(2, 0, 1) / 255)
    (tmp_path / "notes.txt").write_text("no frame")
    steps = list(open_stream(image_program(), [str(tmp_path)], Settings(repeat=2)))
    assert len(steps) == 6
    for step in steps:
        np.testing.assert_array_equal(step["eyes"], pixels.transpose(2, 0, 1))
    grey = list(open_stream(image_program((1, 4, 5)), [str(tmp_path)], Settings(steps=0)))
    assert grey == []
    (tmp_path / "d.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="d.png: no readable image"):
        list(open_stream(image_program(), [str(tmp_path)]))
    with pytest.raises(InputError, match=r"a.npy: has shape \(3, 4, 5\), the input \(1, 4, 5\)"):
        list(open_stream(image_program((1, 4, 5)), [str(tmp_path)]))
    (tmp_path / "a.npy").unlink()
    with pytest.raises(InputError, match="an image fits an input of 1 or 3 channels"):
        list(open_stream(image_program((20,)), [str(tmp_path)]))


def test_inputs_that_take_spikes_need_a_threshold(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).random((6, 3, 4, 5))
    np.save(tmp_path / "x.npy", frames)
    program = image_program(graded=False)
    with pytest.raises(InputError, match="takes spikes, 0 or 1, .* give --threshold"):
        list(open_stream(program, [str(tmp_path / "x.npy")]))
    steps = list(open_stream(program, [str(tmp_path / "x.npy")], Settings(threshold=0.7)))
    np.testing.assert_array_equal(np.array([step["eyes"] for step in steps]), frames > 0.7)
    np.save(tmp_path / "x.npy", np.full((2, 3, 4, 5), np.nan))
    with pytest.raises(InputError, match="NaN"):
        list(open_stream(program, [str(tmp_path / "x.npy")], Settings(threshold=0.7)))
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"not numbers \(time, 3, 4, 5\)"):
        open_stream(program, [str(tmp_path / "x.npy")])


def test_two_inputs_end_with_the_shorter(tmp_path: Path) -> None:
    one = Dense(np.ones((1, 2), np.int32))
    nodes = {"a": GradedInput((2,), 4, 1.0), "b": SpikeInput((2,)), "o": Lif((1,), 0, 0, 1)}
    program = Program(nodes, (Connection("a", "o", one), Connection("b", "o", one)), {"y": Output("o")})
    np.save(tmp_path / "a.npy", np.array([[1, 2], [9, -9], [3, 3]]))
    np.save(tmp_path / "b.npy", np.ones((2, 2)))
    settings = Settings()
    steps = list(open_stream(program, [f"a={tmp_path / 'a.npy'}", f"b={tmp_path / 'b.npy'}"], settings))
    assert [step["a"].tolist() for step in steps] == [[1, 2], [7, -7]] and settings.cut == 2  # a payload of four bits ends at 7
    with pytest.raises(InputError, match="input 'b' has no source; give --stream b=SOURCE"):
        open_stream(program, [f"a={tmp_path / 'a.npy'}"])


def test_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sounddevice, for there is no microphone in a test."""
    program = sound_program()
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(EnvironmentProblem, match="the microphone needs sounddevice"):
        list(open_stream(program, ["mic"]))

    class Stream:
        def __init__(self, **given: object) -> None:
            assert given == {"samplerate": 8000, "channels": 1, "dtype": "float32"}

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, n: int) -> tuple[np.ndarray, bool]:
            return np.full((n, 1), 0.25, np.float32), False

    stand_in = types.SimpleNamespace(InputStream=Stream, PortAudioError=RuntimeError)
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in)
    steps = list(open_stream(program, ["mic"], Settings(rate=8000, steps=200)))
    assert len(steps) == 200 and (steps[-1]["sound"] == 100).all()

    def unplugged(**_: object) -> Stream:
        raise RuntimeError("no device")

    stand_in.InputStream = unplugged
    with pytest.raises(EnvironmentProblem, match="no microphone: no device"):
        list(open_stream(program, ["mic"], Settings(rate=8000)))


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for OpenCV, whose colours are blue, green, red."""
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EnvironmentProblem, match="a camera needs OpenCV"):
        list(open_stream(image_program(), ["camera"]))
    shown = [np.full((4, 5, 3), [0, 0, 255], np.uint8)]
    opened = []

    def capture(number: int) -> types.SimpleNamespace:
        opened.append(number)
        return types.SimpleNamespace(read=lambda: (bool(shown), shown.pop() if shown else None), release=lambda: opened.append("shut"))

    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(VideoCapture=capture))
    stream = open_stream(image_program(), ["eyes=camera2"])
    first = next(stream)["eyes"]
    assert (first[0] == 255).all() and not first[1:].any()
    with pytest.raises(EnvironmentProblem, match="camera 2 gives no picture"):
        next(stream)
    assert opened == [2, "shut"]
