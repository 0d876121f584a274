"""Every run beats the baselines by the margin on its own test set, or the pipeline fails in the end."""

import json
from pathlib import Path

import pytest

from magan_core import cli, params
from magan_core.checks import beats_baselines
from magan_core.errors import MaganError

CHECK = {"baselines": ["constant", "laplacian"], "mae_margin": 0.01}
OWN = {"manet": "dut"}
ROOT = Path(__file__).parent.parent


def summaries(**mae):
    return {name: {"dut": {"mae": value}} for name, value in mae.items()}


def test_a_run_that_beats_both():
    lines = beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=0.08), OWN, CHECK)
    assert lines == [
        "manet on dut: MAE 0.0800, constant 0.4000",
        "manet on dut: MAE 0.0800, laplacian 0.1000",
    ]


@pytest.mark.parametrize("bar", [round(0.05 + 0.0001 * step, 4) for step in range(50)])
def test_exactly_the_margin_is_enough_and_a_little_less_is_not(bar):
    check = {"baselines": ["laplacian"], "mae_margin": 0.005}
    beats_baselines(summaries(laplacian=bar, manet=round(bar - 0.005, 4)), OWN, check)
    with pytest.raises(MaganError, match="1 of 1 comparisons"):
        beats_baselines(summaries(laplacian=bar, manet=round(bar - 0.0049, 4)), OWN, check)


def test_a_margin_of_0_is_not_met_by_the_same_error():
    with pytest.raises(MaganError, match="1 of 2 comparisons"):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=0.1), OWN, CHECK | {"mae_margin": 0.0})


@pytest.mark.parametrize("mae", [0.0901, 0.1, 0.3])
def test_a_run_within_the_margin_or_worse(mae):
    with pytest.raises(
        MaganError, match=r"1 of 2 comparisons miss the margin of 0\.01.*manet on dut.*laplacian"
    ):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=mae), OWN, CHECK)


def test_a_score_that_is_no_number_beats_nothing():
    with pytest.raises(MaganError, match="2 of 2 comparisons"):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=float("nan")), OWN, CHECK)


def test_each_run_is_judged_on_its_own_set_and_all_failures_are_named():
    found = {
        "constant": {"dut": {"mae": 0.4}, "shi": {"mae": 0.4}},
        "laplacian": {"dut": {"mae": 0.1}, "shi": {"mae": 0.1}},
        "good": {"dut": {"mae": 0.01}, "shi": {"mae": 0.5}},
        "bad": {"dut": {"mae": 0.01}, "shi": {"mae": 0.5}},
    }
    with pytest.raises(MaganError) as caught:
        beats_baselines(found, {"good": "dut", "bad": "shi"}, CHECK)
    message = str(caught.value)
    assert "2 of 4 comparisons" in message
    assert message.count("bad on shi") == 2
    assert "good" not in message


def test_no_margin_checks_nothing():
    found = summaries(constant=0.1, laplacian=0.1, manet=0.9)
    assert beats_baselines(found, OWN, CHECK | {"mae_margin": None}) == [
        "not checked: this profile is too short to learn"
    ]


def test_a_run_without_a_score_is_named():
    """The metrics are older than the run, or than its set."""
    with pytest.raises(MaganError, match="new has no score on dut; `make repro`"):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=0.01), OWN | {"new": "dut"}, CHECK)
    with pytest.raises(MaganError, match="laplacian has no score on dut"):
        beats_baselines(summaries(constant=0.4, manet=0.01), OWN, CHECK)


@pytest.mark.parametrize("score", [None, "much", [], {}], ids=str)
def test_a_score_that_is_no_number_is_named(score):
    found = summaries(constant=0.4, laplacian=0.1, manet=0.01)
    found["manet"]["dut"]["mae"] = score
    with pytest.raises(MaganError, match="manet has no score on dut"):
        beats_baselines(found, OWN, CHECK)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The folder of results of a demo whose runs are good on the test set of their own data set; what the
    runs of DUT make of CTCUG is not judged."""
    profile = params.load(ROOT / "params.yaml")["profiles"]["demo"]
    sets = ("shi", "zhao", "dut", "ctcug")
    found = {name: {s: {"mae": 0.4} for s in sets} for name in profile["check"]["baselines"]}
    for run, definition in profile["runs"].items():
        found[run] = {definition["set"]: {"mae": 0.1}, "ctcug": {"mae": 0.9}}
    folder = tmp_path / "results/demo"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(found))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("margin", ["0.005", "0.0"])
def test_magan_check(demo, capsys, margin):
    settings = Path("params.yaml")
    settings.write_text(settings.read_text().replace("mae_margin: 0.005", f"mae_margin: {margin}"))
    cli.main(["check", "demo"])
    assert capsys.readouterr().out == "48 comparisons: results/demo/check.txt\n"
    assert len((demo / "check.txt").read_text().splitlines()) == 48


def test_magan_check_that_fails_leaves_no_file_that_says_otherwise(demo, capsys):
    """As under DVC, which removes what a stage writes before it runs."""
    cli.main(["check", "demo"])
    found = json.loads((demo / "metrics.json").read_text())
    found["magan-s-zhao"]["zhao"]["mae"] = 0.9
    (demo / "metrics.json").write_text(json.dumps(found))
    with pytest.raises(SystemExit):
        cli.main(["check", "demo"])
    assert "2 of 48 comparisons miss" in capsys.readouterr().err
    assert not (demo / "check.txt").exists()


def test_magan_check_of_half_the_scores_leaves_what_was_checked(demo, capsys):
    """As of `cuhk`, of whose runs not all are trained."""
    cli.main(["check", "demo"])
    found = json.loads((demo / "metrics.json").read_text())
    del found["magan-s-zhao"]
    (demo / "metrics.json").write_text(json.dumps(found))
    with pytest.raises(SystemExit):
        cli.main(["check", "demo"])
    assert "magan-s-zhao has no score on zhao" in capsys.readouterr().err
    assert (demo / "check.txt").exists()
