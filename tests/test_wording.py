"""Counts, lists, sizes and signs in words."""

import numpy as np
import pytest

from magan_core.wording import counted, listed, more, signed, size_of


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 maps"), (1, "1 map"), (2, "2 maps"), (1000, "1,000 maps")]
)
def test_a_count_and_its_noun_agree(count, text):
    assert counted(count, "map") == text


@pytest.mark.parametrize(
    ("names", "text", "rest"),
    [
        (["a"], "a", ""),
        (["a", "b"], "a and b", " (and 1 more)"),
        (["a", "b", "c"], "a, b and c", " (and 2 more)"),
    ],
)
def test_a_list_and_what_stands_behind_its_first(names, text, rest):
    assert listed(names) == text
    assert more(names) == rest


def test_a_size_has_the_width_first():
    assert size_of(np.zeros((480, 640, 3))) == size_of(np.zeros((480, 640))) == "640 x 480"


def test_a_sign_is_no_hyphen():
    assert signed(f"{-0.5:+.2f} to {0.5:+.2f}") == "−0.50 to +0.50"
