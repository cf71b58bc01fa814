"""What the benchmarks of the papers' claims compute from their rows, and both of them whole on a tiny part of real pairs."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import claims, discrimination, fusions
from benchmarks.rows import Kept, Row, epochs, fewer, interval, paired, shown
from snnfuse.data import AudioVisual, Pool, make_pairs

SIZE = {"shown": 40, "pairs": 20, "tests": 10}


def rows_of(key: str, name: str, seeds: dict[int, float], **more: object) -> list[Row]:
    return [{"data": "mnist-fsdd", key: name, "seed": seed, "accuracy": value, **SIZE, **more} for seed, value in seeds.items()]


def test_an_interval_is_students_over_seeds() -> None:
    mean, half = interval([90.0, 92.0, 94.0])
    assert mean == 92 and half == pytest.approx(4.303 * 2 / np.sqrt(3)), "t of two degrees of freedom, 95 % on both sides"
    assert shown([90.0, 92.0, 94.0], 2) == "92.00 ± 4.97" and shown([91.25], 2) == "91.25" and shown([]) == "–"


def test_networks_are_compared_seed_by_seed_and_a_difference_is_marked_only_where_it_shows() -> None:
    own = rows_of("form", "a", {0: 50.0, 1: 70.0, 2: 90.0}) + rows_of("form", "b", {2: 88.0, 0: 48.1, 1: 68.0, 3: 1.0})
    assert paired(own, "accuracy", {"form": "a"}, {"form": "b"}) == pytest.approx([1.9, 2.0, 2.0])
    assert claims.gain(own, {"form": "a"}, {"form": "b"}, "accuracy", 1) == "**2.0 ± 0.1**", "the seeds' own spread of 40 is left out"
    noisy = own + rows_of("form", "c", {0: 40.0, 1: 71.0, 2: 85.0})
    assert claims.gain(noisy, {"form": "a"}, {"form": "c"}, "accuracy", 1) == "4.7 ± 13.7", "the interval holds zero"
    assert claims.gain(own, {"form": "a"}, {"form": "b"}, "fisher", 1) == "–"
    assert claims.gain(own[:1] + own[3:], {"form": "a"}, {"form": "b"}, "accuracy", 1) == "1.9", "of one seed nothing is shown"


def drawn(items: int) -> AudioVisual:
    labels = np.arange(items) % 4
    x = np.arange(items, dtype=np.float32)[:, None]
    pools = {name: Pool(x, labels, timed=False) for name in ("image", "audio")}
    return AudioVisual("d", tuple("abcd"), make_pairs(pools, 3, 0), make_pairs(pools, 3, 1), "own", "none")


def test_a_part_of_a_data_set_has_the_first_items_of_every_class_and_as_many_epochs_as_are_to_be_shown() -> None:
    data = drawn(40)
    part = fewer(data, 20, 7)
    kept = part.train.pools["image"]
    assert len(part.train) == 20 and len(part.test) == 7 and epochs(100, part) == 5 and epochs(1, part) == 1
    assert kept.items[:, 0].tolist() == list(range(20)) and np.bincount(kept.labels).tolist() == [5, 5, 5, 5]
    assert part.train.pools["audio"] is data.train.pools["audio"], "sounds stay all there"
    chosen = part.test.steps()["image"]
    assert {tuple(x.ravel()) for x in chosen.swapaxes(0, 1)} <= {tuple(x.ravel()) for x in data.test.steps()["image"].swapaxes(0, 1)}


def test_rows_of_one_request_are_measured_once_and_after_the_minutes_nothing_more(tmp_path: Path) -> None:
    calls: list[Row] = []

    def measure(one: Row):
        calls.append(one)
        yield {"accuracy": 10.0 * one["seed"]}
        yield {"accuracy": 50.0}

    options = claims.parser("A test.", **SIZE).parse_args(["--keep", str(tmp_path / "rows"), "--seeds", "2", "--data", "cifar-esc"])
    found = claims.rows(options, "form", ["a", "b"], measure)
    assert [(row["form"], row["seed"], row["accuracy"]) for row in found[::2]] == [("a", 0, 0), ("b", 0, 0), ("a", 1, 10), ("b", 1, 10)]
    assert claims.rows(options, "form", ["a", "b"], lambda _: pytest.fail("measured again")) == found
    half = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()][:-1]  # the mark that the last one is done is missing
    assert not half[-1].get("done")
    options.minutes, options.seeds = 0.0, 3
    assert claims.rows(options, "form", ["a", "b"], lambda _: pytest.fail("begun")) == found
    options.sizes, options.shown = ("shown",), 41
    assert claims.rows(options, "form", ["a"], lambda _: pytest.fail("begun")) == [], "rows of another size are not shown"
    assert len(calls) == 4 and len(Kept(options.keep).read()) == 12


def test_cosines_across_modalities_tell_one_class_from_two_and_leave_silent_ones_out() -> None:
    image = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    audio = np.array([[3.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    found = fusions.across(image, audio, np.array([0, 1, 1]))
    root = np.sqrt(0.5)
    assert found["same"] == pytest.approx((1 + root + root) / 3) and found["other"] == pytest.approx((root + root + 0) / 3)
    assert fusions.across(0 * image, audio, np.array([0, 1, 1])) == {"same": None, "other": None}


def test_pages_show_every_network_that_has_rows_and_only_those() -> None:
    embedding = claims.geometry("image", np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [0.2, 1.0]]), np.array([0, 0, 1, 1]))
    chip = {"8 bits": 89.0, "neurons": 12000, "cores": 3, "synapses": 7, "spikes": 5.5, "energy": {"m": (1.0, 2.0)}}
    own = rows_of("form", "S-CMRL", {0: 90.0, 1: 91.0}, parameters=1234, channels=8, **embedding)
    own += rows_of("form", "addition", {0: 80.0, 1: 81.0}, parameters=1000, channels=8)
    page = claims.sections([own[0] | chip, *own[1:]], fusions.tables)
    assert page.startswith("**mnist-fsdd**: 40 training pairs shown, 8 channels, 10 test pairs, seeds 0, 1.")
    assert "| addition | 1,000 | 2 | 80.50 ± 6.35 |  |  |  |  |" in page and "| CMCI" not in page
    assert "| S-CMRL | 1,234 | 2 | 90.50 ± 6.35 | **10.00 ± 0.00** | 5.7 ± 0.0, 78.7 ± 0.0," in page
    assert "| S-CMRL | 89.00 | 12,000 | 3 | 7 | 6 | m 1.0 to 2.0 |" in page
    rules = [row | {"lowered": "float"} for rule in ("none", "membrane") for row in rows_of("rule", rule, {0: 70.0, 1: 71.0}, **embedding)]
    page = claims.sections(rules, discrimination.tables)
    assert page.count("| membrane | float |") == 2 and page.count("| none | float |") == 1, "nothing is compared with itself"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::snnfuse.hardware.errors.CalibrationWarning")  # so short a training leaves layers silent
@pytest.mark.parametrize(
    ("benchmark", "more", "rows"),
    [(discrimination, ("--shown", "400", "--pairs", "200"), 9), (fusions, ("--shown", "100", "--pairs", "100", "--channels", "8"), 7)],
    ids=["discrimination", "fusions"],
)
def test_on_real_pairs_from_training_to_the_page(
    benchmark: ModuleType, more: tuple[str, ...], rows: int, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, keep = tmp_path / "claims.md", tmp_path / "rows.jsonl"
    page.write_text(f"before\n{benchmark.BEGIN}\n{benchmark.END}\nafter\n")
    words = ["--data-dir", shared_data, "--data", "mnist-fsdd", "--seeds", "1", "--tests", "12", *more]
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, words), "--keep", str(keep), "--docs", str(tmp_path)])
    benchmark.main()
    found = [row for row in Kept(keep).read() if not row.get("done")]
    assert len(found) == rows and all(0 <= row["accuracy"] <= 100 for row in found)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and f"**mnist-fsdd**: {more[1]} training pairs shown" in text
    assert all(word in text for word in (discrimination.RULES if benchmark is discrimination else fusions.FORMS))
