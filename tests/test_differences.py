"""Paired differences between methods: signs, roles, which pairs there are, and damaged statistics."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.reporting import claims, tables
from magan_core.reporting.sources import REAL, Results
from magan_core.reporting.tables import write_differences
from magan_core.score_files import write_scores

SETS = {
    "shi": REAL["shi"] | {"white": "blur"},
    "dut": {"source": "synthetic", "character": "clutter"},
    "ctcug": REAL["ctcug"] | {"white": "focus"},
    "frd": {"source": "synthetic", "character": "pool"},
}
RUNS = ("baseline-dut", "manet-dut", "magan-dut", "manet-shi", "magan-shi")
IMAGES = 6


def invented(error: float) -> np.ndarray:
    """Statistics of IMAGES maps of which a share `error` of the pixels is wrong, int32 (n, 2, 256)."""
    random = np.random.default_rng(3)
    statistics = np.zeros((IMAGES, 2, 256), np.int32)
    for one in statistics:
        for kind, right in ((0, 40), (1, 220)):
            pixels = random.normal(right, 25, 300)
            wrong = random.random(300) < error
            values = np.clip(np.where(wrong, 255 - pixels, pixels), 0, 255).astype(int)
            one[kind] = np.bincount(values, minlength=256)
    return statistics


ERRORS = {"baseline-dut": 0.3, "manet-dut": 0.2, "magan-dut": 0.2, "manet-shi": 0.25, "magan-shi": 0.1}


def add(root: Path, run: str, name: str, error: float) -> None:
    """Write the scores of a run on a set."""
    stems, masks = ([f"{kind} {index}" for index in range(IMAGES)] for kind in ("photo", "mask"))
    paper = metrics.get_protocol("paper")
    write_scores(root / "scores" / run / name, {}, stems, masks, invented(error), paper)


@pytest.fixture
def results(tmp_path):
    tested = {name: {"test": 0 if name == "frd" else IMAGES} for name in SETS}
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared/sets.json").write_text(json.dumps(tested))
    for run in RUNS:
        for name in ("dut", "ctcug") if run.endswith("dut") else ("shi",):
            add(tmp_path, run, name, ERRORS[run] + 0.1 * (name == "ctcug"))
    listed = {run: dict(zip(("variant", "set"), run.rsplit("-", 1), strict=True)) for run in RUNS}
    folders = (tmp_path / name for name in ("prepared", "runs", "maps", "scores"))
    return Results(*folders, listed, SETS, (), {}, bootstrap={"resamples": 300, "seed": 1})


def write(results: Results) -> pd.DataFrame:
    return write_differences(results, results.prepared.parent / "differences.csv")


def test_each_pair_that_the_profile_has_is_compared_on_each_data_set(results):
    found = write(results)
    assert list(found.groupby(["dataset", "without", "with"], sort=False).groups) == [
        ("Shi's", "manet", "magan"),
        ("DUT", "baseline", "manet"),
        ("DUT", "manet", "magan"),
        ("CTCUG", "baseline", "manet"),
        ("CTCUG", "manet", "magan"),
    ]
    assert list(found["metric"]) == list(metrics.SCORES) * 5
    assert list(found["data"].unique()) == [
        "same data",
        "synthetic scenes ‘clutter’",
        "same data, trained on synthetic scenes ‘clutter’",
    ]
    written = pd.read_csv(results.prepared.parent / "differences.csv")
    pd.testing.assert_frame_equal(written, found, rtol=1e-5)


def test_a_difference_is_with_minus_without(results):
    found = write(results).set_index(["dataset", "without", "with", "metric"])
    paper = metrics.get_protocol("paper")
    for dataset, role in (("DUT", "dut"), ("CTCUG", "ctcug")):
        without, with_ = (
            metrics.summary(results.statistics(run, role), paper) for run in ("baseline-dut", "manet-dut")
        )
        for metric in metrics.SCORES:
            row = found.loc[dataset, "baseline", "manet", metric]
            assert row["difference"] == pytest.approx(with_[metric] - without[metric], abs=1e-12)
            assert row["low"] <= row["difference"] <= row["high"]
    assert found.loc["DUT", "baseline", "manet", "mae"]["high"] < 0


def test_equal_maps_differ_by_nothing(results):
    found = write(results).query("dataset == 'DUT' and without == 'manet'")
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)
    assert (found["p"] == 1).all()


def test_two_methods_are_compared_over_the_seeds_that_both_have(results, tmp_path):
    """Seed by seed from the scores as written; a seed of one method alone does not count."""
    errors = {"manet-dut-s2": 0.3, "magan-dut-s2": 0.2, "manet-dut-s3": 0.25, "magan-dut-s4": 0.1}
    for run, error in errors.items():
        add(tmp_path, run, "dut", error)
        add(tmp_path, run, "ctcug", error)
    seeds = {run: results.listed[run[:-3]] | {"seed": int(run[-1])} for run in errors}
    found = write(dataclasses.replace(results, listed=results.listed | seeds))
    assert list(found.groupby(["dataset", "without", "with"], sort=False)["seeds"].first()) == [1, 1, 2, 1, 2]

    def mae(run):
        return metrics.summary(results.statistics(run, "dut"), metrics.get_protocol("paper"))["mae"]

    own, second = (mae(f"magan-dut{end}") - mae(f"manet-dut{end}") for end in ("", "-s2"))
    row = found.query("dataset == 'DUT' and without == 'manet' and metric == 'mae'").iloc[0]
    half = 12.706 * abs(own - second) / 2  # t of one degree of freedom, times the error of the mean
    assert row["difference"] == pytest.approx((own + second) / 2)
    assert (row["low"], row["high"]) == pytest.approx(
        (row["difference"] - half, row["difference"] + half), 1e-4
    )


def test_methods_without_a_seed_in_common_are_compared_as_first_trained(results):
    seeds = {"manet-dut": 2, "magan-dut": 3}
    listed = results.listed | {run: results.listed[run] | {"seed": seed} for run, seed in seeds.items()}
    pd.testing.assert_frame_equal(write(dataclasses.replace(results, listed=listed)), write(results))


def test_a_test_set_of_one_image_has_no_pairs_to_compare(results):
    results.sets["shi"]["test"] = 1
    assert "Shi's" not in set(write(results)["dataset"])


def test_a_profile_without_a_pair_gives_a_file_with_a_head_only(results):
    manet = {"manet-dut": results.listed["manet-dut"]}
    assert write(dataclasses.replace(results, listed=manet)).empty
    text = (results.prepared.parent / "differences.csv").read_text()
    assert text == "dataset,data,without,with,metric,difference,low,high,p,seeds\n"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", "pickle"])
def test_damaged_statistics_are_named_and_never_run(results, content):
    path = results.score("magan-shi", "shi", "statistics.npy")
    if content == "pickle":
        np.save(path, np.array([print], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(content)
    damaged = r"cannot read .*magan-shi.shi.statistics\.npy.* evaluate these maps again"
    with pytest.raises(MaganError, match=damaged):
        results.statistics("magan-shi", "shi")
    with pytest.raises(MaganError, match=damaged):
        write(results)


def test_missing_statistics_are_named(results):
    results.score("magan-shi", "shi", "statistics.npy").unlink()
    with pytest.raises(MaganError, match=r"cannot read .*statistics\.npy.* evaluate these maps again"):
        results.statistics("magan-shi", "shi")
    with pytest.raises(MaganError, match=r"magan-shi.shi is no folder of scores: it has no statistics\.npy"):
        write(results)


@pytest.mark.parametrize("found", [np.zeros((IMAGES, 256), np.int32), np.zeros((IMAGES, 2, 256))])
def test_statistics_of_another_kind_are_refused(results, found):
    np.save(results.score("magan-shi", "shi", "statistics.npy"), found)
    with pytest.raises(MaganError, match=r"expected integers \(n, 2, 256\)"):
        results.statistics("magan-shi", "shi")


def test_runs_that_were_scored_against_other_masks_are_not_compared(results):
    path = results.score("magan-shi", "shi", "per_image.csv")
    path.write_text(path.read_text().replace("mask 3", "mask 4"))
    with pytest.raises(MaganError, match="such as that of 'photo 3', are others in"):
        write(results)


def test_a_row_of_ones_own_is_held_against_what_it_names(results):
    row = {"table": "I", "row": "mine", "variant": "baseline", "against": "magan"}
    found = write(dataclasses.replace(results, rows=(row, row | {"variant": "magan", "against": "manet"})))
    pairs = list(found.groupby(["without", "with"], sort=False).groups)
    assert pairs == [("manet", "magan"), ("baseline", "manet"), ("magan", "baseline")]


def test_a_profile_without_a_set_has_no_differences_on_it(results):
    sets = {name: entry for name, entry in SETS.items() if name != "ctcug"}
    assert set(write(dataclasses.replace(results, roles=sets))["dataset"]) == {"Shi's", "DUT"}


def test_each_pair_ends_with_what_the_paper_has_the_lower_error_for():
    errors = {}  # (table, data set) -> {variant: MAE}
    for number in ("I", "III", "IV", "V", "VI"):
        for row in claims.load(number).to_dict("records"):
            if row["metric"] == "mae" and (variant := tables.VARIANTS[number].get(row["method"])):
                errors.setdefault((number, row["dataset"]), {})[variant] = row["value"]
    for first, second in tables.PAIRS:
        steps = [found[second] - found[first] for found in errors.values() if {first, second} <= found.keys()]
        assert bool(steps) == (first != "manet-raw"), "the paper has no row of the form that it prints"
        assert all(step < 0 for step in steps), (first, second)
