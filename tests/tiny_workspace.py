"""A folder like the repository's root, with one semi-supervised run of the smoke profile to train."""

from pathlib import Path

import yaml

from magan_core.data.prepare import prepare

ROOT = Path(__file__).resolve().parent.parent
RUN = "magan-s-dut"


def workspace(root: Path, **training) -> Path:
    """params.yaml with the smoke profile alone, with changed settings of training, and its prepared data."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (smoke,) = (profile for profile in settings["profiles"] if profile["name"] == "smoke")
    smoke |= {"supervised": [], "semi_supervised": [RUN], "threads": 1}
    smoke["sets"] = {name: smoke["sets"][name] for name in ("dut", "frd")}
    smoke["training"] |= training
    settings |= {"profiles": [smoke], "profile": smoke}
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    prepare(smoke, root, root / "data/prepared/smoke", progress=False)
    return root
