"""The scores of all that a profile maps, and of the maps that others published."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magan_core import paths, roles
from magan_core.data.prepared import load_test
from magan_core.evaluation import evaluate, published_test_list
from magan_core.files import read_json, write_json
from magan_core.metrics import SCORES

Summaries = dict[str, dict[str, dict[str, Any]]]


def score_profile(profile: Mapping[str, Any]) -> Summaries:
    """Score every method on each of its test sets, into paths.scores; returns {method: {set: summary}}.

    A run is tested on roles.test_sets; the baselines and the detectors without a network on every set with
    test photographs. profile: of params.load. MaganError as in `evaluate`.
    """
    name = profile["name"]
    tested = {run: roles.test_sets(profile, definition) for run, definition in profile["runs"].items()}
    prepared = read_json(paths.prepared(name) / "sets.json")
    with_photographs = [key for key, entry in prepared.items() if entry["test"]]
    tested |= {other: with_photographs for other in (*profile["check"]["baselines"], *profile["classical"])}
    return {
        method: {
            key: evaluate(
                paths.maps(name) / method / key,
                load_test(paths.prepared(name) / key),
                out=paths.scores(name) / method / key,
                **profile["bootstrap"],
            )
            for key in keys
        }
        for method, keys in tested.items()
    }


def score_published(profile: Mapping[str, Any], folder: Path, masks: Path) -> dict[str, dict[str, Any]]:
    """Likewise the maps that others published, as they are, as far as they lie in `folder`; {name: summary}.

    masks: the folder of the raw data sets. Each map is held against the mask of its name.
    """
    found = {}
    for name, entry in profile["published"].items():
        maps = folder / entry["folder"]
        if maps.is_dir():
            found[name] = evaluate(
                maps,
                published_test_list(maps, masks / entry["masks"], entry["masks_white"], entry["suffix"]),
                maps_white=entry["white"],
                suffix=entry["suffix"],
                out=paths.scores(profile["name"]) / name / roles.source_set(profile, entry["set"]),
                **profile["bootstrap"],
            )
    return found


def write_metrics(scored: Summaries, path: Path) -> None:
    """The scores of `score_profile` with four digits as one JSON file, for `dvc metrics show`."""
    write_json(
        path,
        {
            method: {
                key: {score: round(summary[score], 4) for score in SCORES} for key, summary in sets.items()
            }
            for method, sets in scored.items()
        },
    )
