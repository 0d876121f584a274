"""The photograph that shows its own focus."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from magan_core.errors import MaganError
from magan_core.overlay import LINE, encode_overlay, overlay

RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, (300, 400, 3), np.uint8)  # taller than one block of rows
SQUARE = np.zeros((300, 400), np.uint8)
SQUARE[100:280, 50:150] = 255


def test_what_is_in_focus_is_the_photographs_and_the_rest_dim_and_grey():
    result = overlay(PHOTO, SQUARE)
    inside = SQUARE > 0
    assert np.array_equal(result[inside], PHOTO[inside])
    far = np.ones_like(inside)
    far[90:290, 40:160] = False
    expected = np.asarray(Image.fromarray(PHOTO).convert("L"))[far] / 2
    assert np.abs(result[far].astype(float) - expected[:, None]).max() <= 1
    amber = (result == LINE).all(2) & ~inside
    rows, columns = np.nonzero(amber)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (99, 280, 49, 150)
    assert amber.sum() == 2 * (180 + 100) + 4


def test_a_map_in_between_is_in_between():
    half = overlay(PHOTO, np.full(PHOTO.shape[:2], 127, np.uint8)).astype(float)
    ends = [overlay(PHOTO, np.full(PHOTO.shape[:2], v, np.uint8)).astype(float) for v in (0, 255)]
    assert np.abs(half - (ends[0] * 128 + ends[1] * 127) / 255).max() <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_draw_a_line_around(value):
    result = overlay(PHOTO, np.full(PHOTO.shape[:2], value, np.uint8))
    assert np.array_equal(result, PHOTO) if value else (result.max(2) == result.min(2)).all()


def test_the_line_grows_with_the_photograph():
    def width(scale):
        values = np.zeros((240 * scale, 320 * scale), np.uint8)
        values[:, : 160 * scale] = 255
        row = overlay(np.full((*values.shape, 3), 80, np.uint8), values)[0]
        return (row == LINE).all(1).sum()

    assert (width(1), width(4)) == (1, 4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (513, 2)])
def test_odd_shapes(shape):
    photo = RNG.integers(0, 256, (*shape, 3), np.uint8)
    values = RNG.integers(0, 256, shape, np.uint8)
    assert overlay(photo, values).shape == photo.shape


def test_the_file_is_a_jpeg_with_the_photographs_colour_profile(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = np.repeat(np.repeat(PHOTO[:10, :10], 30, 0), 40, 1)  # flat patches: JPEG keeps them
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.overlay.jpg").write_bytes(encode_overlay(picture, profile))
    with Image.open(tmp_path / "new" / "a.overlay.jpg") as found:
        assert (found.format, found.size) == ("JPEG", (400, 300))
        assert found.info["icc_profile"] == profile
        assert np.abs(np.asarray(found).astype(int) - picture).mean() < 6


def test_wider_than_a_jpeg_can_be(tmp_path):
    with pytest.raises(MaganError, match="65500 px a side"):
        encode_overlay(np.zeros((1, 65501, 3), np.uint8))
    assert not list(tmp_path.iterdir())
