"""What the benchmark of failing sensors computes from its runs, and how it writes the documentation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fd_fusion, fd_fusion_page
from snnfuse.data import Pool, hold_out, make_pairs
from snnfuse.hardware.errors import InputError


def row(kind: str, level: float | None, accuracy: float, sensor: str | None = "image", deployed: float | None = None) -> dict:
    deployed = accuracy if deployed is None else deployed
    name = kind if sensor is None else f"{sensor}: {kind} {level}"
    shared = {"name": name, "kind": kind, "input": sensor, "level": level, "unit": None, "samples": 20}
    return shared | {"float": accuracy, "deployed": deployed, "float16": accuracy, "deployed_spikes": 7.0, "energy": {"model": [1.0, 2.0]}}


ROWS = {
    "vision": [row("clean", None, 0.98, None), row("image noise", 0.5, 0.95), row("image noise", 0.8, 0.86), row("image noise", 1.0, 0.7),
               row("occlusion", 0.1, 0.84), row("occlusion", 0.3, 0.6)],
    "audio": [row("clean", None, 0.96, None), row("recording noise", 5.0, 0.83, "audio"), row("recording noise", 0.0, 0.7, "audio")],
    "both": [row("image noise, both", level, a, deployed=a - 0.01) for level, a in ((0.5, 0.97), (0.8, 0.95), (1.0, 0.9))]
            + [row("occlusion, both", 0.1, 0.93), row("occlusion, both", 0.3, 0.9)],
    "fusion": [row("clean", None, 0.99, None), row("missing", None, 0.91, "image"), row("image noise", 0.8, 0.98),
               row("recording noise", 0.0, 0.97, "audio"), row("late", 1, 0.98), row("late", 1, 0.97, "audio")],
}  # fmt: skip
LEVELS = {"image noise": 0.8, "occlusion": 0.1, "recording noise": 5.0}


def test_levels_are_those_where_a_modality_alone_is_nearest_to_what_is_wanted() -> None:
    found = {kind: fd_fusion.nearest(ROWS["audio" if kind == "recording noise" else "vision"], kind) for kind in LEVELS}
    assert found == LEVELS


def test_the_gain_is_over_the_better_modality() -> None:
    gains = {(row["images"], row["run"]): row for row in fd_fusion.fusion_gain(ROWS, LEVELS)}
    assert gains["image noise 0.8", "float"]["points"] == pytest.approx(95 - 86)
    assert gains["image noise 0.8", "deployed"]["points"] == pytest.approx(94 - 86)
    assert gains["occlusion 0.1", "float"]["points"] == pytest.approx(93 - 84)


def test_distances_are_in_points_over_all_conditions_and_a_loss_counts_where_it_exceeds_the_goal() -> None:
    by = {(row["network"], row["run"]): row for row in fd_fusion.apart(ROWS)}
    lost, still = by["both", "deployed"], by["both", "float16"]
    assert (lost["short"], lost["conditions"], lost["lost"], lost["gained"]) == (3, 5, 1.0, 0.0)
    assert lost["rms"] == pytest.approx((3 / 5) ** 0.5) and lost["worst"].startswith("image: image noise, both")
    assert (still["short"], still["lost"], still["rms"], still["worst"]) == (0, 0.0, 0.0, None)


def test_the_control_rounds_every_parameter_and_leaves_the_model_alone() -> None:
    model = torch.nn.Linear(3, 2)
    before = [p.clone() for p in model.parameters()]
    made = fd_fusion.halved(model)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before))
    assert all(torch.equal(p, b.half().float()) and not torch.equal(p, b) for p, b in zip(made.parameters(), before))


def test_means_are_over_seeds() -> None:
    def result(*accuracies: float) -> dict:
        runs = [{"accuracy": a, "spikes": 10 * a, "energy": None} for a in accuracies]
        return {"rows": [row("clean", None, 0.0) | dict.fromkeys(fd_fusion.RUNS, run) for run in runs]}

    first, second = fd_fusion.mean_rows([result(0.5, 1.0), result(0.75, 0.5)])
    assert (first["float"], first["deployed_seeds"], first["float_spikes"]) == (0.625, [0.5, 0.75], 6.25)
    assert second["deployed"] == 0.75


def test_noisy_copies_of_a_recording_stay_on_one_side_of_a_split() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 8)
    copies = [Pool(np.full((24, 2, 1), i) + np.arange(24)[:, None, None] / 100, labels, timed=True) for i in range(3)]
    audio = fd_fusion.joined(copies)
    assert len(audio) == 72 and (audio.labels == np.tile(labels, 3)).all()
    pairs = make_pairs({"image": Pool(rng.random((30, 1, 4, 4)), np.repeat(np.arange(3), 10)), "audio": audio}, 2, 0)
    kept, held = hold_out(pairs, 0.25, 0)
    recordings = [{round(100 * float(item[0, 0])) % 100 for item in side.pools["audio"].items} for side in (kept, held)]
    assert recordings[0] | recordings[1] == set(range(24)) and not recordings[0] & recordings[1]


def test_the_page_is_rewritten_between_its_marks_only(tmp_path: Path) -> None:
    features = {"vision": [[{"embedding": "vision", "node": "vision.9"} | {run: dict.fromkeys(("compactness", "separability", "smallest",
                "fisher"), 1.5) for run in ("float", "deployed")}]]}  # fmt: skip
    found = {
        "seeds": 2, "samples": 20, "rows": ROWS, "fusion gain": fd_fusion.fusion_gain(ROWS, LEVELS), "features": features,
        "apart from float": fd_fusion.apart(ROWS),
        "emulator against Lava": {"samples": 4, "compared": 1000, "mismatches": 0},
    }  # fmt: skip
    page = tmp_path / "modalities.md"
    with pytest.raises(InputError, match="must exist and hold the lines"):
        fd_fusion_page.write_page(tmp_path, found)
    page.write_text(f"before\n{fd_fusion_page.BEGIN}\nold\n{fd_fusion_page.END}\nafter\n")
    fd_fusion_page.write_page(tmp_path, found)
    text, picture = page.read_text(), (tmp_path / "modalities.svg").read_bytes()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "mean of 2 seeds" in text and "0 of 1,000 spikes and states differ" in text
    assert "| clean | 98.00 / 98.00 | 96.00 / 96.00 | 99.00 / 99.00 | 7 | 1 to 2 |" in text
    assert "| image: missing None |  |  | 91.00 / 91.00 |" in text
    assert "| both | 8 bits on the emulator | 0.77 | 1.00 | 0.00 | 3 of 5 | image: image noise, both" in text
    assert "| image noise 0.8 | 5 dB | deployed | 86.00 | 83.00 | 94.00 | +8.00 |" in text
    fd_fusion_page.write_page(tmp_path, found)
    assert page.read_text() == text and (tmp_path / "modalities.svg").read_bytes() == picture
    assert (Path(__file__).parents[2] / "docs" / fd_fusion_page.PAGE).read_text().count(fd_fusion_page.BEGIN) == 1
