"""Every run beats the baselines by the margin, or the pipeline stops."""

import pytest

from magan_core.checks import beats_baselines
from magan_core.errors import MaganError


def summaries(**mae):
    return {name: {"dut": {"mae": value}} for name, value in mae.items()}


CHECK = {"baselines": ["constant", "laplacian"], "mae_margin": 0.01}


def test_a_run_that_beats_both():
    lines = beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=0.08), CHECK)
    assert lines == [
        "manet on dut: MAE 0.080, constant 0.400",
        "manet on dut: MAE 0.080, laplacian 0.100",
    ]


@pytest.mark.parametrize("mae", [0.0901, 0.1, 0.3])
def test_a_run_within_the_margin_or_worse(mae):
    with pytest.raises(
        MaganError, match=r"1 of 2 comparisons miss the margin of 0\.01.*manet on dut.*laplacian"
    ):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=mae), CHECK)


def test_a_score_that_is_no_number_beats_nothing():
    with pytest.raises(MaganError, match="2 of 2 comparisons"):
        beats_baselines(summaries(constant=0.4, laplacian=0.1, manet=float("nan")), CHECK)


def test_all_failures_are_named_on_every_set():
    found = {
        "constant": {"dut": {"mae": 0.4}, "ctcug": {"mae": 0.4}},
        "laplacian": {"dut": {"mae": 0.1}, "ctcug": {"mae": 0.1}},
        "good": {"dut": {"mae": 0.01}, "ctcug": {"mae": 0.01}},
        "bad": {"dut": {"mae": 0.01}, "ctcug": {"mae": 0.5}},
    }
    with pytest.raises(MaganError) as caught:
        beats_baselines(found, CHECK)
    message = str(caught.value)
    assert "2 of 8 comparisons" in message
    assert message.count("bad on ctcug") == 2
    assert "good" not in message


def test_no_margin_checks_nothing():
    found = summaries(constant=0.1, laplacian=0.1, manet=0.9)
    assert beats_baselines(found, CHECK | {"mae_margin": None}) == [
        "not checked: this profile is too short to learn"
    ]
