"""The sortable table: everything in it, nothing from outside."""

import base64
import html.parser
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magan_core.errors import MaganError
from magan_core.reporting.gallery import THUMB, sortable


class Seen(html.parser.HTMLParser):
    """Tags with their attributes, and the text of the cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


TABLE = pd.DataFrame({"image": ['a "b" <c>', "d"], "mae": [0.12345, 2.0], "count": [3, 10]})


def pictures(*shapes):
    return [np.full(shape, 40 + k, np.uint8) for k, shape in enumerate(shapes)]


def test_text_is_text_numbers_have_three_decimals_and_sort_by_all_of_theirs():
    seen = Seen(sortable(TABLE, {}, "worst & best"))
    assert seen.texts == [
        "worst & best",
        "image",
        "mae",
        "count",
        'a "b" <c>',
        "0.123",
        "3",
        "d",
        "2.000",
        "10",
    ]
    assert [cell["data-value"] for cell in seen.attributes("td")] == [
        'a "b" <c>',
        "0.12345",
        "3",
        "d",
        "2.0",
        "10",
    ]
    assert not seen.open


def test_every_column_of_numbers_and_text_has_a_button_and_pictures_have_none():
    seen = Seen(sortable(TABLE, {"map": pictures((4, 4), (4, 4))}, ""))
    assert len(seen.attributes("th")) == 4
    buttons = seen.attributes("button")
    assert [button["type"] for button in buttons] == ["button"] * 3
    assert all("aria-sort" in button["onclick"] for button in buttons)


def test_pictures_travel_inside_and_are_small_and_described():
    column = pictures((300, 600, 3), (50, 20))
    seen = Seen(sortable(TABLE, {"map": column}, ""))
    images = seen.attributes("img")
    assert [image["alt"] for image in images] == ['map: a "b" <c>', "map: d"]
    sizes = []
    for image, source in zip(images, column, strict=True):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            sizes.append(picture.size)
            assert (np.array(picture) == source.flat[0]).all()
    assert sizes == [(THUMB, THUMB // 2), (20, 50)]


def test_the_numbers_of_pictures_and_rows_must_agree():
    with pytest.raises(MaganError, match="1 pictures 'map' for 2 rows"):
        sortable(TABLE, {"map": pictures((4, 4))}, "")
