"""Counts in words."""

import pytest

from magan_core.wording import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 maps"), (1, "1 map"), (2, "2 maps"), (1000, "1,000 maps")]
)
def test_a_count_and_its_noun_agree(count, text):
    assert counted(count, "map") == text
