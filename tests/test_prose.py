"""The scores that the pages print are those of the results in Git."""

import json
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCORES = json.loads((ROOT / "results/released/mean.json").read_text(encoding="utf-8"))["scores"]
METRICS = ("f_beta", "mae", "iou", "auc", "auf_beta")
README_ORDER = ("mae", "f_beta", "iou", "auc", "auf_beta")


def cells(page, start, place=0, of=1):
    """The cells behind the first of a row of a page's tables, by default of the only one that starts so."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith(start)]
    assert len(rows) == of, rows
    return [cell.strip() for cell in rows[place].strip("|").split("|")][1:]


def told(summary, metric):
    low, high = summary["intervals"][metric]
    return f"{summary[metric]:.3f} ({low:.3f}–{high:.3f})"


@pytest.mark.parametrize(
    ("start", "scored"),
    [
        ("| CUHK, Zhao's test split |", "CUHK, zhao_test.txt"),
        ("| the same, 16-bit maps |", "CUHK, zhao_test.txt, 16 bits"),
        ("| SZU-BD, other photographs and annotators |", "SZU-BD, test.txt"),
    ],
)
def test_the_model_card_has_the_scores_of_the_released_model(start, scored):
    images, *scores = cells("docs/model-card.md", start)
    assert int(images) == SCORES[scored]["images"]
    assert scores == [told(SCORES[scored], metric) for metric in METRICS]


def test_the_readme_has_the_scores_of_the_released_model():
    expected = [told(SCORES["CUHK, zhao_test.txt"], metric) for metric in README_ORDER]
    assert cells("README.md", "| **released model**") == expected
    theirs = SCORES["CUHK, zhao_test.txt, protocol d-dffnet"]
    assert cells("README.md", "| released model, by that protocol") == [
        f"{theirs[metric]:.3f}" for metric in README_ORDER
    ]


@pytest.mark.parametrize("method", ["MANet", "MA-GANet", "MA-GANet-s"])
def test_the_readme_and_the_model_card_have_the_papers_scores(method):
    claims = pd.read_csv(ROOT / "data/paper_tables/table_III.csv", dtype=str)
    claimed = claims[claims["method"] == method].set_index("metric")["value"]
    paper = f"| the paper's {method}"
    assert cells("README.md", paper + (" (" if method == "MANet" else " |")) == [
        claimed[metric] for metric in README_ORDER
    ]
    start = paper + (", Zhao's test split |" if method == "MANet" else " |")
    assert cells("docs/model-card.md", start)[1:] == [claimed[metric] for metric in METRICS]


@pytest.mark.parametrize(
    ("place", "profile", "number", "dataset"),
    [
        (0, "cuhk", "III", "Shi's (Zhao's split)"),
        (1, "cuhk", "I", "Shi's"),
        (2, "cuhk-cpu", "III", "Shi's (Zhao's split)"),
    ],
)
@pytest.mark.parametrize("method", ["MANet", "MA-GANet", "MA-GANet-s"])
def test_the_readme_has_tables_i_and_iii(method, place, profile, number, dataset):
    table = pd.read_csv(ROOT / f"results/{profile}/tables/table_{number}.csv")
    table = table[table["dataset"] == dataset].set_index("method").loc[method]
    found = cells("README.md", f"| {method} |", place, of=3)
    numbers = [re.match(r"[\d.]+", cell)[0] for cell in found]
    expected = [f"{table[f'{metric}_{side}']:.3f}" for metric in METRICS for side in ("claimed", "own")]
    assert numbers == expected
    if profile == "cuhk":  # one training each
        for metric, cell in zip(METRICS, found[1::2], strict=True):
            low, high = (table[f"{metric}_{end}"] for end in ("low", "high"))
            assert cell.endswith(f" ({low:.3f}–{high:.3f})")


NOTES_ORDER = ("mae", "auf_beta", "auc", "f_beta", "iou")


def test_the_paper_notes_have_the_released_models_scores_on_the_validation_photographs():
    scored = SCORES["CUHK, zhao_validation.txt"]
    assert cells("docs/paper-notes.md", "| 1: as it is |") == [f"{scored[name]:.4f}" for name in NOTES_ORDER]


@pytest.mark.parametrize(("place", "split"), [(0, "zhao_validation"), (1, "zhao_test")])
def test_the_paper_notes_have_the_released_models_scores_with_either_number_of_bits(place, split):
    start = ("| the 60 | 8 |", "| Zhao's test split | 8 |")[place]
    found = cells("docs/paper-notes.md", start), cells("docs/paper-notes.md", "| | 16 |", place, of=2)
    for row, bits in zip(found, ("", ", 16 bits"), strict=True):
        scored = SCORES[f"CUHK, {split}.txt{bits}"]
        assert row[1:] == [f"{scored[name]:.4f}" for name in NOTES_ORDER]


def test_which_of_the_papers_numbers_are_here():
    """Each by the first profile that judges it, or else by the one that has most to say of it."""
    verdicts = ("reproduced", "better", "not reproduced", "not judged", "not run")
    found: dict[tuple[str, ...], list[str]] = {}
    for profile in ("cuhk", "cuhk-cpu", "cuhk-cpu-shi"):
        rows = pd.read_csv(ROOT / f"results/{profile}/tables/claims.csv").dropna(subset="verdict")
        for *key, verdict in rows[["table", "dataset", "method", "metric", "verdict"]].to_numpy():
            found.setdefault(tuple(key), []).append(verdict)
    counts: dict[str, Counter] = {}
    for (table, dataset, *_), said in found.items():
        judged = [one for one in said if one in verdicts[:3]]
        one = judged[0] if judged else min(said, key=verdicts.index)
        for line in (f"{table}, {dataset}", "all"):
            counts.setdefault(line, Counter())[one] += 1
    for line, count in counts.items():
        expected = [count.total(), *(count[one] or "–" for one in verdicts)]
        assert cells("results/README.md", f"| {line} |") == list(map(str, expected))
    assert counts["all"].total() == 347
    told = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    reproduced, better, missed, rest, absent = (counts["all"][one] for one in verdicts)
    assert (
        f"of the 347 numbers in the paper's tables {reproduced} are reproduced, {better} come out better and "
        f"{missed} do not come out; {rest} are measured here but cannot be judged" in told
    )
    assert f"and {absent} belong to methods that are not run" in told
