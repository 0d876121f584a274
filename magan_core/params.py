"""params.yaml: read, checked, and switched from one profile to another."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from magan_core import limits, paths, roles, strict_yaml
from magan_core.classical import METHODS
from magan_core.errors import MaganError, nearest
from magan_core.files import write_text
from magan_core.training.further import FURTHER

RUN = {"set": str, "variant": str, "parts": list, "loss": dict}
OPTIONAL = {"receptive_field": int, "unlabelled": str, "seed": int, "model": dict}
LOSS = {"ce": float, "iou": float, "adv": float} | dict.fromkeys(FURTHER, float)
ROW = dict.fromkeys(("table", "row", "variant"), str)
MORE_OF_A_ROW = {"against": str}
BASELINES = ("constant", "laplacian")  # notebook 01 makes their maps
PROFILE = {
    "name": str, "about": str, "supervised": list, "semi_supervised": list, "seed": int, "threads": int,
    "training_size": int, "sets": dict, "model": dict, "weights": dict, "discriminator": dict,
    "training": dict, "test_size": int, "test_scales": list, "test_flip": bool, "check": dict,
    "published": dict, "classical": list,
}  # fmt: skip
SECTIONS = {
    "model": {
        "backbone": str, "width": float, "pooling": bool, "head_channels": int, "head_norm": bool,
        "dilation": int, "dropout": float, "energy": str, "axis": str,
    },
    "weights": {"pretrained": bool, "file": str | None},
    "discriminator": {"channels": int},
    "training": {
        "steps": int, "warmup_steps": int, "batch": int, "crop": int, "rotation": float, "window": float,
        "jitter": float, "cutmix": float, "defocus": float, "noise": float,
        "lr": float, "backbone_lr": float, "discriminator_lr": float, "schedule": str, "betas": list,
        "weight_decay": float, "adversarial": str, "supervised_share": float, "log_every": int,
        "precision": str, "graph": bool, "compile": bool, "average": float, "save_seconds": float,
        "maps_every": int, "memory_share": float, "deterministic": bool,
    },
    "check": {"baselines": list, "mae_margin": float | None},
}  # fmt: skip
PUBLISHED = dict.fromkeys(("method", "folder", "white", "suffix", "set", "masks", "masks_white"), str)
FOLDERS = dict.fromkeys(("data", "weights", "published"), str)
PROFILES = re.compile(r"(?m)^  - &([\w-]+)")
SWITCH = re.compile(r"(?m)^profile:\s*\*([\w-]+)")
NAME = re.compile(r"[a-z0-9][\w.-]*", re.ASCII | re.IGNORECASE)
COMPARISON = {"resamples": int, "seed": int, "tolerance": dict}
TOLERANCE = dict.fromkeys(("f_beta", "mae", "iou", "auc", "auf_beta", "seconds"), float | None)


def load(path: Path = paths.PARAMS) -> dict[str, Any]:
    """Read and check params.yaml. Returns a dictionary with `folders`, `comparison`, `runs`, `rows`,
    `profiles` (by name, each with its `runs`, all `rows`, and `bootstrap`: resamples and seed), `profile`.
    Where `profile` is written out with other values than the profile of that name, as `dvc exp run -S
    profile.KEY=VALUE` writes it, these values count.

    Errors: MaganError for a missing or broken file, an unknown key, run, set or profile (with the nearest
    valid name), a missing key, or a value of the wrong type.
    """
    try:
        raw = strict_yaml.load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MaganError(
            f"cannot read {path} ({error.strerror}). Run from the folder that holds params.yaml."
        ) from error
    except UnicodeDecodeError as error:
        raise MaganError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        text = Path(path).read_text(encoding="utf-8")
        if gone := _gone(text):
            nearest(gone, PROFILES.findall(text), "profile at the end of params.yaml (`magan profile NAME`)")
        undefined = re.search(r"found undefined alias '?([\w-]+)'?", str(error))
        if undefined:
            nearest(undefined[1], re.findall(r"&([\w-]+)", text), "name in params.yaml")
        raise MaganError(f"{path} is not valid YAML: {error}. Mend it there.") from error
    keys(raw, ("folders", "comparison", "runs", "rows", "profiles", "profile"), "section of params.yaml")
    keys(raw["folders"], FOLDERS, "key of folders")
    types(raw["folders"], FOLDERS, "folders")
    types(raw, {"runs": dict}, str(path))
    keys(raw["comparison"], COMPARISON, "key of comparison")
    types(raw["comparison"], COMPARISON, "comparison")
    limits.check(raw["comparison"], "comparison")
    keys(raw["comparison"]["tolerance"], TOLERANCE, "metric of comparison.tolerance")
    types(raw["comparison"]["tolerance"], TOLERANCE, "comparison.tolerance")
    if not isinstance(raw["profiles"], list):
        raise MaganError(f"`profiles` of {path} must be a list, each entry beginning with `- &NAME`.")
    for profile in raw["profiles"]:
        told = f" {profile['name']}" if isinstance(profile, dict) and "name" in profile else ""
        keys(profile, PROFILE, f"key of profile{told}")
        types(profile, {"name": str}, "a profile")
        named(profile["name"], "profile")
        if "." in profile["name"]:
            raise MaganError(
                f"profile '{profile['name']}': YAML knows no dots in the names of anchors, by which "
                "params.yaml ends. Rename it."
            )
    names = [profile["name"] for profile in raw["profiles"]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise MaganError(f"{path} has two profiles named '{twice.pop()}'. Rename one.")
    raw["profiles"] = dict(zip(names, raw["profiles"], strict=True))
    for name, run in raw["runs"].items():
        keys(run, RUN | OPTIONAL, f"key of run {name}", optional=OPTIONAL)
        types(run, RUN, f"run {name}")
        named(run["variant"], "variant")
        keys(run["loss"], LOSS, f"loss of run {name}", optional=FURTHER)
        types(run["loss"], {key: LOSS[key] for key in run["loss"]}, f"loss of run {name}")
        types(run, {key: kind for key, kind in OPTIONAL.items() if key in run}, f"run {name}")
        for key, value in run.get("model", {}).items():
            nearest(key, SECTIONS["model"], f"key of model of run {name}")
            types({key: value}, {key: SECTIONS["model"][key]}, f"model of run {name}")
            limits.check({key: value}, f"model of run {name}")
        limits.check(run, f"run {name}")
        limits.check_loss(run["loss"], f"run {name}")
        limits.check_parts(run["parts"], f"run {name}")
        if "receptive_field" in run:
            limits.check_receptive_field(run["receptive_field"], f"run {name}")
        expected = f"{run['variant']}-{run['set']}" + (f"-s{run['seed']}" if "seed" in run else "")
        if name != expected:
            raise MaganError(
                f"run '{name}' must be named VARIANT-SET or VARIANT-SET-sSEED, here '{expected}'."
            )
        if (run["loss"]["adv"] > 0) != ("receptive_field" in run):
            raise MaganError(f"run '{name}': a receptive_field goes with loss.adv > 0, and only with it.")
    for profile in raw["profiles"].values():
        check_profile(profile, raw["runs"])
    rows = _rows(raw["rows"], raw)
    bootstrap = {key: raw["comparison"][key] for key in ("resamples", "seed")}
    shared = {"rows": rows, "bootstrap": bootstrap}
    for profile in raw["profiles"].values():
        profile |= shared
    name = raw["profile"].get("name") if isinstance(raw["profile"], dict) else None
    if name not in raw["profiles"]:
        raise MaganError(
            f"`profile` of {path} must be one of: *{', *'.join(raw['profiles'])}. The star belongs to it."
        )
    if raw["profile"] is not raw["profiles"][name]:  # written out by `dvc exp run -S profile.KEY=VALUE`
        keys(raw["profile"], PROFILE, "key of `profile`")
        check_profile(raw["profile"], raw["runs"])
        raw["profile"] |= shared
        raw["profiles"][name] = raw["profile"]
    return raw


def check_profile(profile: dict[str, Any], runs: dict[str, Any]) -> None:
    """Raise a MaganError at the first key, type, run or set of a profile that is not right; else add `runs`,
    the definitions of all its runs by name."""
    where = f"profile {profile['name']}"
    types(profile, PROFILE, where)
    for section, allowed in SECTIONS.items():
        keys(profile[section], allowed, f"key of {section} of {where}")
        types(profile[section], allowed, f"{section} of {where}")
        limits.check(profile[section], where)
    limits.check(profile, where)
    training = profile["training"]
    limits.check_crops(training["crop"], training["window"], profile["training_size"], where)
    if training["warmup_steps"] >= training["steps"]:
        raise MaganError(
            f"{where}: warmup_steps is {training['warmup_steps']} of {training['steps']} steps, so that the "
            "rate never gets to what it says. Take fewer."
        )
    limits.check_scales(profile["test_size"], profile["test_scales"], where)
    types(profile["sets"], dict.fromkeys(profile["sets"], dict), f"sets of {where}")
    for role in profile["sets"]:
        if role not in roles.PAPER_NAMES:
            raise MaganError(
                f"{where} has a set '{role}', but a set takes the place of one of the paper's: "
                f"{', '.join(roles.PAPER_NAMES)}. For data of your own write `dut: {{source: {role}, ...}}`."
            )
    limits.check_same_as(profile["sets"], where)
    for baseline in profile["check"]["baselines"]:
        nearest(baseline, BASELINES, f"baseline in {where}")
    for name, entry in profile["published"].items():
        named(name, "published maps")
        keys(entry, PUBLISHED, f"key of published maps {name} of {where}")
        types(entry, PUBLISHED, f"published maps {name} of {where}")
        nearest(entry["set"], profile["sets"], f"set of published maps {name} in {where}")
        for key in ("white", "masks_white"):
            nearest(entry[key], ("blur", "focus"), f"{key} of published maps {name} in {where}")
    shown = [
        (entry["method"], roles.source_set(profile, entry["set"])) for entry in profile["published"].values()
    ]
    if twice := {one for one in shown if shown.count(one) > 1}:
        method, name = min(twice)
        raise MaganError(
            f"{where} has published maps of {method} on {name} twice, and the tables one row for them. Keep "
            "one, or name the other method otherwise."
        )
    for method in profile["classical"]:
        nearest(method, METHODS, f"classical method in {where}")
    listed = [*profile["supervised"], *profile["semi_supervised"]]
    for entries in (listed, profile["classical"]):
        if twice := {one for one in entries if entries.count(one) > 1}:
            raise MaganError(f"{where} lists '{min(twice)}' twice. Remove one.")
    for run in listed:
        nearest(run, runs, f"run in {where}")
        if ("unlabelled" in runs[run]) != (run in profile["semi_supervised"]):
            raise MaganError(
                f"run '{run}' is in the wrong list of {where}: `semi_supervised` takes the runs with "
                "`unlabelled`."
            )
        nearest(runs[run]["set"], profile["sets"], f"set of run {run} in {where}")
        twin = f"{runs[run]['variant']}-{runs[run]['set']}"
        if runs[run].get("seed") == profile["seed"] and twin in listed:
            raise MaganError(
                f"run '{run}' of {where} has the profile's own seed: it is '{twin}' again. Take another."
            )
        if "receptive_field" in runs[run]:
            limits.check_judged(training["crop"], runs[run]["receptive_field"], f"run {run} in {where}")
        if "unlabelled" in runs[run]:
            if training["batch"] < 2:
                raise MaganError(f"{where}: batch is 1; run {run} needs 2 or more, half of them unlabelled.")
            limits.check_share(training["supervised_share"], training["steps"], f"run {run} in {where}")
            pool = runs[run]["unlabelled"]
            nearest(pool, profile["sets"], f"unlabelled set of run {run} in {where}")
            entry = profile["sets"][roles.filled_by(profile["sets"], pool)]
            if not entry.keys() & {"unlabelled", "unlabelled_split"} and entry.get("use") != "unlabelled":
                raise MaganError(
                    f"run '{run}' of {where} takes unlabelled photographs from the set '{pool}', which has "
                    "none: give it `unlabelled`, `unlabelled_split` or `use: unlabelled`, or name another."
                )
    profile["runs"] = {run: runs[run] for run in listed}


def _rows(rows: Any, raw: dict[str, Any]) -> list[dict[str, str]]:
    """The rows that the tables show beside the paper's, checked."""
    if not isinstance(rows, list):
        raise MaganError(f"`rows` of params.yaml is {rows!r}; it must be a list, or [] for none.")
    known = {run["variant"] for run in raw["runs"].values()}
    published = {name for profile in raw["profiles"].values() for name in profile["published"]}
    taken = set()
    for row in rows:
        keys(row, ROW | MORE_OF_A_ROW, "key of rows", MORE_OF_A_ROW)
        types(row, {key: kind for key, kind in (ROW | MORE_OF_A_ROW).items() if key in row}, "rows")
        nearest(row["table"], limits.TABLES, f"table of row '{row['row']}'")
        nearest(row["variant"], sorted(known | published), f"variant of row '{row['row']}'")
        if "against" in row:
            for key in ("variant", "against"):
                nearest(
                    row[key], sorted(known), f"{key} of row '{row['row']}', which is held against another"
                )
        if row["table"] == "II" and row["variant"] in published:
            raise MaganError(
                f"row '{row['row']}' of Table II: published maps have no seconds. Take another table."
            )
        if (row["table"], row["row"]) in taken:
            raise MaganError(f"`rows` has '{row['row']}' of Table {row['table']} twice. Rename one.")
        taken.add((row["table"], row["row"]))
    return rows


def named(name: str, what: str) -> None:
    """Raise a MaganError for a name that cannot be a folder's and a DVC stage's everywhere."""
    if not NAME.fullmatch(name):
        raise MaganError(
            f"{what} '{name}': folders and stages bear its name, so it must begin with a letter or a digit "
            "and have nothing but letters from A to Z, digits, '-', '_' and '.'. Rename it."
        )


def keys(found: dict, allowed: Any, what: str, optional: Iterable[str] = ()) -> None:
    """Raise a MaganError for a key that is unknown (nearest name given) or missing."""
    if not isinstance(found, dict):
        raise MaganError(f"{what}: found {found!r}, not keys with values ({', '.join(allowed)}).")
    for key in found:
        nearest(key, allowed, what)
    for key in allowed:
        if key not in found and key not in optional:
            raise MaganError(f"{what}: '{key}' is missing. Add it.")


def types(found: dict, expected: dict, where: str) -> None:
    """Raise a MaganError for a value of another type. A whole number serves as a float; true and false are
    no numbers."""
    for key, kind in expected.items():
        value = found[key]
        number = type(value) is int and isinstance(1.0, kind)
        if number or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            continue
        raise MaganError(f"{where}: {key} is {value!r}, not {getattr(kind, '__name__', kind)}.")


def get_profile(params: dict[str, Any], name: str) -> dict[str, Any]:
    """A profile by name."""
    return params["profiles"][nearest(name, params["profiles"], "profile")]


def get_run(profile: dict[str, Any], name: str) -> dict[str, Any]:
    """A run by name, which the profile must list."""
    return profile["runs"][nearest(name, profile["runs"], f"run of profile {profile['name']}")]


def grid(profile: dict[str, Any]) -> list[str]:
    """Names of the stages of dvc.yaml that need each other's results in no way, in the profile's order."""
    kinds = {"train": "supervised", "train-semi": "semi_supervised", "classical": "classical"}
    return [f"{stage}@{profile['name']}-{entry}" for stage, key in kinds.items() for entry in profile[key]]


def switch(name: str, path: Path = paths.PARAMS) -> None:
    """Write another profile into the last line of params.yaml, also where that names one that has gone."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    nearest(name, PROFILES.findall(text) if _gone(text) else load(path)["profiles"], "profile")
    text, found = SWITCH.subn(f"profile: *{name}", text)
    if not found:
        raise MaganError(
            f"`profile` of {path} is written out, as `dvc exp apply` leaves it, and cannot be switched. Take "
            f"`git checkout {path}` and edit the values by hand, or end it with `profile: *{name}`."
        )
    if _gone(text):
        raise MaganError(
            f"the profile {name} of {path} has no anchor of its name. Let it begin with `- &{name}`."
        )
    write_text(path, text)


def _gone(text: str) -> str | None:
    """The profile that the last line of params.yaml names, if there is none of that name."""
    current = SWITCH.search(text)
    if current and not re.search(rf"&{re.escape(current[1])}(?![\w-])", text):
        return current[1]
    return None
