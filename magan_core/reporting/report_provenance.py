"""Where the report's numbers come from: commits, hardware, versions, and what the runs took."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from magan_core.files import read_json, require
from magan_core.reporting.sources import Results
from magan_core.wording import counted


def read_records(file: Path, detectors: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Provenance of the runs, and of the detectors without a network, by name. MaganError for a file that is
    damaged or lacks what the report shows."""
    found = read_json(file)
    require(found, (), file)
    for name, record in found.items():
        run, where = name not in detectors, f"{file}: '{name}'"
        require(record, ("seconds", "parameters", "gmacs") if run else ("seconds",), where)
        require(record["seconds"], ("predict_per_image", "train") if run else ("predict_per_image",), where)
    return (
        {name: record for name, record in found.items() if name not in detectors},
        {name: record for name, record in found.items() if name in detectors},
    )


def provenance(
    records: Mapping[str, Mapping[str, Any]], detectors: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Name and value of what all runs share, every value that occurs once, and of the detectors without a
    network where theirs differ."""
    if not records:
        return [("Runs", "none in this profile")]
    shown = []
    for title, said in (
        ("Commit", lambda each: _distinct(record.get("commit") for record in each)),
        ("Hardware", lambda each: _distinct(map(machine, each))),
        ("Versions", _versions),
    ):
        runs, others = (said(each.values()) for each in (records, detectors))
        shown.append((title, runs))
        if others not in ("", runs):
            shown.append((f"{title}, other detectors", others))
    weights = _distinct(record.get("backbone_weights") for record in records.values())
    return [*shown, ("Backbone weights", weights)]


def _distinct(values: Iterable[object]) -> str:
    return "; ".join(sorted(set(map(_plain, values))))


def _versions(records: Iterable[Mapping[str, Any]]) -> str:
    """Of every package the versions that the records name, once each."""
    records = list(records)
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in (record.get("versions") or {}).items():
            found.setdefault(name, {})[_plain(version)] = None
    told = ", ".join(f"{name} {' or '.join(sorted(found[name]))}" for name in sorted(found))
    return told or ("not known" if records else "")


def machine(record: Mapping[str, Any]) -> str:
    """Hardware and threads; the name of a CPU has its threads already, that of a GPU has not."""
    name, threads = _plain(record.get("hardware")), record.get("threads")
    return name if "thread" in name or not threads else f"{name}, {counted(threads, 'thread')}"


def cost(
    sources: Results, records: Mapping[str, Mapping[str, Any]], detectors: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """What the runs took: training, mapping the test photographs, and last the total, as names and values."""
    timed = [*records.values(), *detectors.values()]
    names = {name for record in timed for name in record["seconds"]["predict_per_image"]}
    require(sources.sets, names, sources.prepared / "sets.json")

    def mapping(each: Mapping[str, Mapping[str, Any]]) -> float:
        return sum(
            seconds * sources.sets[name]["test"]
            for record in each.values()
            for name, seconds in record["seconds"]["predict_per_image"].items()
        )

    training = sum(record["seconds"]["train"] for record in records.values())
    networks, others = mapping(records), mapping(detectors)
    total = training + networks + others
    minutes = f" ({counted(round(total / 60), 'minute')})" if total >= 60 else ""
    machines = {machine(record) for each in (records, detectors) for record in each.values()}
    beside = f"other detectors {others:,.0f} s" if detectors else ""
    return [
        ("Training, all runs", f"{training:,.0f} s"),
        ("Maps of the test photographs", ", ".join(filter(None, [f"networks {networks:,.0f} s", beside]))),
        (
            "Total cost",
            f"{total:,.0f} s{minutes}{', on different hardware' if len(machines) > 1 else ''}: "
            f"{counted(len(records), 'training')} {training:,.0f} s, maps of networks {networks:,.0f} s"
            f"{beside and f', of {beside}'}; not preparation, scoring and drawing, and one by one what ran "
            "side by side",
        ),
    ]


def run_line(name: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Parameters, operations and seconds of a run, as text."""
    seconds = record["seconds"]
    per_image = [f"{role} {value:.3f}" for role, value in sorted(seconds["predict_per_image"].items())]
    return {
        "name": name,
        "parameters": f"{record['parameters']:,}",
        "gmacs": f"{record['gmacs']:.2f}",
        "train": f"{seconds['train']:,.1f}",
        "predict": ", ".join(per_image) or "–",
    }


def _plain(value: object) -> str:
    """A value of a provenance file as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(own)}" for key, own in value.items())
    return "not known" if value is None else str(value)
