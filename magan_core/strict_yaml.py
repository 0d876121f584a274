"""YAML as DVC reads and writes params.yaml, and no key twice."""

import re
from typing import Any

import yaml


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML 1.1 without its silent last-one-wins, and with the numbers of YAML 1.2: 1e-4 is one. By libyaml
    where PyYAML was built with it, eight times as fast."""


def load(text: str) -> Any:
    """What a YAML text says. yaml.YAMLError for what is no YAML, and for a key that stands twice."""
    return yaml.load(text, Loader)


def _unique(loader: Loader, node: yaml.MappingNode) -> dict[str, Any]:
    lines: dict[str, int] = {}
    for key in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            raise yaml.YAMLError(f"'{name}' stands twice, in lines {lines[name]} and {line}")
        lines[name] = line
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
