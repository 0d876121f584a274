"""The nearest valid name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magan_core.errors import MaganError, nearest


@given(st.lists(st.text(min_size=1), min_size=1), st.data())
def test_an_allowed_name_comes_back(names, data):
    name = data.draw(st.sampled_from(names))
    assert nearest(name, names, "name") == name


def test_a_mistyped_name_gets_the_nearest_and_all_allowed_ones():
    with pytest.raises(MaganError) as caught:
        nearest("dmeo", ["demo", "smoke"], "profile")
    assert str(caught.value) == "unknown profile 'dmeo'; did you mean 'demo'? Allowed: demo, smoke"


def test_nothing_close_nothing_allowed_and_names_that_are_no_text():
    with pytest.raises(MaganError, match=r"unknown run 'xyz'\. Allowed: manet-dut"):
        nearest("xyz", ["manet-dut"], "run")
    with pytest.raises(MaganError, match=r"Allowed: \(none\)"):
        nearest("a", [], "run")
    with pytest.raises(MaganError, match="unknown key '1'"):
        nearest(1, ["one"], "key")


def test_a_long_list_is_cut():
    with pytest.raises(MaganError, match=r"did you mean 'n77'.*\(1000 in all\)") as caught:
        nearest("n_77", [f"n{k}" for k in range(1000)], "backbone")
    assert len(str(caught.value)) < 400
