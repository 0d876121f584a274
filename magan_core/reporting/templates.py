"""Pages from templates: values are escaped, and a name that a template needs and does not get is an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def fill(template: str, **words: Any) -> str:
    """The text of a template of this folder with these words."""
    environment = Environment(
        loader=PackageLoader("magan_core", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**words)
