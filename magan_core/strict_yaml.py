"""YAML 1.2, as DVC reads and writes params.yaml, and no key twice."""

import re
from typing import Any, ClassVar

import yaml

# Of YAML 1.2, but that numbers in octal or with zeros before them are text. PyYAML has those of YAML 1.1, to
# which 1e-05, as DVC writes it, is text, 012 is 10, 1:30 is 90, and `on` is true.
SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """By libyaml where PyYAML was built with it, eight times as fast."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in SCALARS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


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
for _kind, (_pattern, _first) in SCALARS.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), list(_first))
