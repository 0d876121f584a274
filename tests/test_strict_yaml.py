"""params.yaml is read as DVC reads it."""

import pytest
import yaml
from ruamel.yaml import YAML

from magan_core import strict_yaml

ALIKE = [
    *("0", "12", "-3", "+12", "0x1F"),
    *("1.", ".5", "-.5", "+.5", "1.5", "1e-05", "1E5", "5e+16", "-1e-4", "1.e-3", ".inf", "-.inf"),
    *("true", "False", "TRUE", "yes", "no", "on", "off", "y", "n", "~", "null"),
    *("a", "1e", "e5", "1-2", "'1e-4'", "'12'", "2020-01-01"),
]


@pytest.mark.parametrize("text", ALIKE)
def test_a_value_is_what_dvc_takes_it_for(text):
    ours, theirs = strict_yaml.load(text), YAML(typ="safe").load(text)
    assert (type(ours), ours) == (type(theirs), theirs)


@pytest.mark.parametrize("text", ["012", "08", "0o12", "0b11", "1_000", "12:30"])
def test_what_one_reader_or_another_takes_for_a_number_is_text(text):
    """Which is refused where a number is expected."""
    assert strict_yaml.load(text) == text


def test_a_key_that_stands_twice_is_an_error():
    assert strict_yaml.load("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n")["d"] == {"b": 3, "c": 2}
    with pytest.raises(yaml.YAMLError, match="'a' stands twice, in lines 1 and 3"):
        strict_yaml.load("a: 1\nb: {a: 2}\na: 3\n")
