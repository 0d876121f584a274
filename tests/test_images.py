"""Pictures of every kind that users have: read alike, or refused with a reason."""

import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin, features
from PIL.PngImagePlugin import PngInfo

from magan_core.data import images
from magan_core.data.images import (
    bits_of_map,
    colour_profile,
    read_map,
    read_mask,
    read_origin,
    read_photo,
    resize,
    resize_mask,
    write_map,
)
from magan_core.errors import MaganError
from magan_core.overlay import encode_overlay

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], 2)


def saved(path: Path, picture: Image.Image, **options) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_lossless_colour_comes_back(tmp_path, suffix):
    assert np.array_equal(read_photo(saved(tmp_path / f"ä b.{suffix}", Image.fromarray(COLOUR))), COLOUR)


def test_lossless_webp_and_nearly_lossless_jpeg(tmp_path):
    path = saved(tmp_path / "a.webp", Image.fromarray(COLOUR), lossless=True)
    assert np.array_equal(read_photo(path), COLOUR)
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    photo = read_photo(saved(tmp_path / "a.JPG", Image.fromarray(flat), format="JPEG", quality=95))
    assert photo.dtype == np.uint8
    assert np.abs(photo.astype(int) - flat).max() <= 3


def test_an_odd_entry_beside_the_orientation_does_no_harm(tmp_path):
    """Some cameras and editors write a number as text; only the orientation is asked for."""
    entries = [(0x0112, 3, 1, struct.pack("<HH", 6, 0)), (0x011A, 2, 3, b"72\0\0")]  # a ratio by the standard
    block = b"II*\0" + struct.pack("<IH", 8, len(entries))
    block += b"".join(struct.pack("<HHI", *head) + value for *head, value in entries) + bytes(4)
    photo = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    path = saved(tmp_path / "a.png", Image.fromarray(photo), exif=b"Exif\0\0" + block)
    assert np.array_equal(read_photo(path), np.rot90(photo, -1))


def test_a_damaged_exif_block_says_nothing(tmp_path):
    photo = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    path = saved(tmp_path / "a.png", Image.fromarray(photo), exif=b"Exif\0\0II*\0garbage that is none")
    assert np.array_equal(read_photo(path), photo)


def test_a_jpeg_with_a_damaged_exif_block_says_nothing(tmp_path):
    flat = np.full((8, 8, 3), 200, np.uint8)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 9) + b"\x12\1\3\0"  # nine entries, not one of them whole
    path = saved(tmp_path / "a.jpg", Image.fromarray(flat), exif=block, quality=95)
    with pytest.warns(UserWarning, match="EXIF data"), Image.open(path) as picture:
        picture.getexif()
    program = (
        "import sys; from magan_core.data.images import colour_profile, read_map, read_origin, read_photo; "
        "path = sys.argv[1]; print(abs(read_photo(path).astype(int) - 200).max() <= 3, read_map(path).shape, "
        "colour_profile(path), read_origin(path))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, path], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True (8, 8) None None\n", "")


def test_reading_in_threads_leaves_the_filters_of_warnings(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(np.full((64, 64, 3), 200, np.uint8)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_photo, [path] * 40))
    assert warnings.filters == before


def directory(shape, place):
    """A TIFF's, of RGB pixels that lie at `place`."""
    entries = {256: shape[1], 257: shape[0], 258: 8, 259: 1, 262: 2, 273: place, 277: 3, 278: shape[0]}
    entries |= {279: 3 * shape[0] * shape[1]}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return struct.pack("<H", len(entries)) + listed + bytes(4)


def test_a_tiff_whose_pixels_look_like_a_raw_file_is_read(tmp_path):
    """The pixels come first in the file, from byte 8 on, where those of Canon say CR."""
    photo = np.full((10, 12, 3), (67, 82, 2), np.uint8)
    header = b"II*\0" + struct.pack("<I", 8 + photo.size)
    path = tmp_path / "a.tif"
    path.write_bytes(header + photo.tobytes() + directory(photo.shape, 8))
    assert np.array_equal(read_photo(path), photo)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_upright_whatever_the_camera_wrote(tmp_path, orientation):
    # What to do to the upright picture to get what such a camera stores (EXIF 2.3, tag 274).
    stored = {
        1: COLOUR, 2: COLOUR[:, ::-1], 3: COLOUR[::-1, ::-1], 4: COLOUR[::-1], 5: COLOUR.swapaxes(0, 1),
        6: np.rot90(COLOUR, 1), 7: COLOUR[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(COLOUR, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(read_photo(path), COLOUR)


def test_sixteen_bit_grey_keeps_the_high_byte(tmp_path):
    deep = GREY.astype(np.uint16) * 256 + 200
    for suffix in ("png", "tif"):
        photo = read_photo(saved(tmp_path / f"a.{suffix}", Image.fromarray(deep)))
        assert np.array_equal(photo, np.repeat(GREY[..., None], 3, 2))


def test_sixteen_bit_colour_keeps_the_high_byte(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (COLOUR.astype(">u2") * 256 + 17).reshape(4, -1)
    body = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    assert np.array_equal(read_photo(tmp_path / "a.png"), COLOUR)


def keyed(path: Path, values: np.ndarray, key: list[int]) -> Path:
    """A PNG of uint16 (H, W, 3) or (H, W), `key` of which is transparent."""
    if values.ndim == 2:
        saved(path, Image.fromarray(values))
    else:
        save_deep_colour(path, values)
    content, data = path.read_bytes(), b"tRNS" + np.array(key, ">u2").tobytes()
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    place = content.index(b"IDAT") - 4
    path.write_bytes(content[:place] + chunk + content[place:])
    return path


def test_a_transparent_value_of_sixteen_bit_grey_is_white(tmp_path):
    values = np.uint16([[0, 1, 0x1200, 0x12FF], [0x8000, 0x8001, 0xFF00, 0xFFFF]])
    for key in (0, 0x12FF, 0x8000, 0x00FF):
        path = keyed(tmp_path / "a.png", values, [key])
        assert np.array_equal(read_photo(path)[..., 0], np.where(values == key, 255, values >> 8))
        assert np.array_equal(read_map(path, 16), values)


def test_a_transparent_colour_of_sixteen_bits_is_refused_where_a_pixel_may_have_it(tmp_path):
    values = np.uint16([[[0, 0, 0], [0x12FF, 0x12FF, 0x12FF], [0xFFFF, 0xFFFF, 0xFFFF]]])
    for key in (0x12FF, 0x1200, 0):
        path = keyed(tmp_path / "a.png", values, [key] * 3)
        with pytest.raises(MaganError, match=r"a\.png: 16-bit colours, one of them transparent.*alpha"):
            read_photo(path)
        assert np.array_equal(read_map(path)[0], [0, 0x12, 0xFF])
    for key in ([0xFF00, 0xFF00, 0], [0x3400] * 3):
        assert np.array_equal(read_photo(keyed(tmp_path / "a.png", values, key)), values >> 8)


def test_palette_and_one_bit_become_colours(tmp_path):
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode=None).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    photo = read_photo(saved(tmp_path / "p.png", palette))
    assert photo.tolist() == [[[10, 20, 30], [200, 100, 50]], [[200, 100, 50], [10, 20, 30]]]
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert read_photo(saved(tmp_path / "b.png", bits)).tolist() == [[[0] * 3, [255] * 3]]


def test_transparency_is_composited_over_white(tmp_path):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    photo = read_photo(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert photo[0, :2].tolist() == [[10, 20, 30], [255, 255, 255]]
    assert abs(int(photo[0, 2, 0]) - 127) <= 1


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_float_is_refused(tmp_path, value):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((3, 3), value, np.float32)))
    for read in (read_photo, read_map):
        with pytest.raises(MaganError, match=r"a\.tif: float samples.*8 or 16 bits"):
            read(path)


@pytest.mark.parametrize("value", [255, 70000])
def test_32_bit_is_refused(tmp_path, value):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((3, 3), value, np.int32)))
    for read in (read_photo, read_map):
        with pytest.raises(MaganError, match="32-bit samples"):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_eight_bit_values_in_sixteen_bits_are_refused(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(GREY.astype(np.uint16)))
    for read in (read_photo, read_map):
        with pytest.raises(MaganError, match=r"none of them above 255 of 65535.*with 8 bits"):
            read(path)


def save_deep_colour(path: Path, values: np.ndarray) -> None:
    """uint16 (H, W, 3 or, with alpha, 4) as PNG or TIFF, which Pillow cannot write."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="rgb")
        return
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)  # no filter
    kind = {3: 2, 4: 6}[values.shape[2]]
    header = struct.pack(">2I5B", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks.items():
            file.write(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            )


@pytest.mark.parametrize("kind", ["a.png", "a.tif", "colour.png", "colour.tif", "colour alpha.png"])
@pytest.mark.parametrize("highest", [4095, 4096])
def test_twelve_bits_in_sixteen_are_no_photograph_and_a_dark_map(tmp_path, kind, highest):
    """Whose white is somewhere else; a map has its white where it should."""
    values = np.uint16([[300, highest], [highest, highest // 2]])
    path = tmp_path / kind
    if kind.startswith("colour"):
        opaque = [np.full_like(values, 65535)] if "alpha" in kind else []
        save_deep_colour(path, np.stack([values] * 3 + opaque, 2))
    else:
        saved(path, Image.fromarray(values))
    assert read_map(path).max() == (highest >> 8 if kind.startswith("colour") else round(highest / 257))
    if highest == 4096:
        assert read_photo(path).max() == 16
    else:
        with pytest.raises(MaganError, match=r"none of them above 4095 of 65535.*white at 65535"):
            read_photo(path)


def test_black_in_sixteen_bits_is_black(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.zeros((3, 3), np.uint16)))
    assert not read_map(path).any()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_eight_bit_values_in_sixteen_bits_of_colour_are_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_deep_colour(path, np.stack([GREY.astype(np.uint16)] * 3, 2))
    for read in (read_photo, read_map):
        with pytest.raises(MaganError, match=r"16-bit samples, none of them above (255|4095) of 65535"):
            read(path)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("how", [{}, {"tile": (16, 16)}, {"compression": "zlib"}], ids=str)
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_planes_is_that_which_is_interleaved(tmp_path, dtype, bands, how, byteorder):
    """tifffile's reading is the reference."""
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (40, 48, bands), dtype, endpoint=True)
    values[..., 3:] = np.iinfo(dtype).max
    path = tmp_path / "a.tif"
    extra = {"extrasamples": ["unassalpha"]} if bands == 4 else {}
    options = {"photometric": "rgb", "planarconfig": "separate", "byteorder": byteorder} | extra | how
    tifffile.imwrite(path, values.transpose(2, 0, 1), **options)
    stored = tifffile.imread(path).transpose(1, 2, 0)
    assert np.array_equal(read_photo(path), (stored >> 8 * (dtype == np.uint16))[..., :3])
    assert bits_of_map(path) == np.iinfo(dtype).bits


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"photometric": "separated"}, "a TIFF of 16-bit CMYK in planes.*save it interleaved"),
        (
            {"photometric": "rgb", "extrasamples": ["assocalpha"]},
            "a TIFF of 16-bit RGBA in planes.*interleaved",
        ),
    ],
)
def test_other_deep_tiffs_in_planes_are_refused(tmp_path, how, message):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 6, 8), np.uint16), planarconfig="separate", **how)
    with pytest.raises(MaganError, match=rf"a\.tif: .*({message})"):
        read_photo(tmp_path / "a.tif")


def test_a_tiff_of_twelve_bits_is_no_photograph(tmp_path):
    """Pillow reads its values, up to 4095, as they are; tifffile does not write such."""
    values = [0, 1000, 2000, 4095]
    packed = int("".join(f"{value:012b}" for value in values), 2).to_bytes(6, "big")
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 6}  # TIFF 6.0, section 3
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "a.tif").write_bytes(
        b"II*\0" + struct.pack("<I", 14) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)
    )
    assert read_map(tmp_path / "a.tif", 16).tolist() == [values]
    with pytest.raises(MaganError, match=r"none of them above 4095 of 65535.*white at 65535"):
        read_photo(tmp_path / "a.tif")


def test_white_at_zero_is_white_or_refused(tmp_path):
    """A fax has it so, in few bits; Pillow leaves 16 bits as they are."""
    tifffile.imwrite(tmp_path / "a.tif", 255 - GREY, photometric="miniswhite")
    assert np.array_equal(read_map(tmp_path / "a.tif"), GREY)
    tifffile.imwrite(tmp_path / "b.tif", 65535 - GREY.astype(np.uint16) * 257, photometric="miniswhite")
    for read in (read_photo, read_map, lambda path: read_map(path, 16)):
        with pytest.raises(MaganError, match=r"b\.tif: 16-bit grey with white at 0.*white at 65535"):
            read(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("a.NEF", {254: 1}),
        ("a.tif", {254: 1}),
        ("a.dng", {50706: b"\1\4\0\0"}),
        ("a.CR2", {}),
    ],
)
def test_a_raw_file_is_not_read_from_its_preview(tmp_path, name, tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
        info.tagtype[tag] = 1 if tag == 50706 else 4
    Image.fromarray(COLOUR).save(tmp_path / name, format="TIFF", tiffinfo=info)
    if name == "a.CR2":
        header = b"II*\0\x10\0\0\0CR\2\0" + bytes(4)
        place = len(header) + len(directory(COLOUR.shape, 0))
        (tmp_path / name).write_bytes(header + directory(COLOUR.shape, place) + COLOUR.tobytes())
    for read in (read_photo, read_map, colour_profile):
        with pytest.raises(MaganError, match=rf"{name}: a RAW file.*6 x 4 pixels.*as TIFF or JPEG"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", [0, 2, 4])
def test_a_page_of_a_tiff_is_no_preview(tmp_path, kind):
    path = saved(tmp_path / "a.tif", Image.fromarray(COLOUR), tiffinfo={254: kind})
    assert np.array_equal(read_photo(path), COLOUR)


def test_sixteen_bit_pgm_is_read(tmp_path):
    values = GREY.astype(">u2") * 256 + 200
    head = f"P5 {GREY.shape[1]} {GREY.shape[0]} 65535\n".encode()
    (tmp_path / "a.pgm").write_bytes(head + values.astype(">u2").tobytes())
    assert np.array_equal(read_photo(tmp_path / "a.pgm")[..., 0], GREY)
    assert np.array_equal(read_map(tmp_path / "a.pgm"), np.rint(values / 257))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_file_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MaganError, match=rf"a\.{suffix}: damaged or unreadable.*again"):
        read_photo(path)


def test_missing_foreign_and_empty_files_are_named(tmp_path):
    with pytest.raises(MaganError, match=r"none\.jpg: no such file"):
        read_photo(tmp_path / "none.jpg")
    for content in (b"", b"hello, this is text"):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(MaganError, match=r"a\.jpg: not an image"):
            read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "does not fit into memory; make it smaller"),
        (PermissionError(13, "Permission denied"), r"may not be read \(Permission denied\); make it"),
    ],
    ids=["memory", "permission"],
)
def test_what_keeps_a_picture_from_being_read_is_told(tmp_path, monkeypatch, error, message):
    def fails(*_, **__):
        raise error

    path = saved(tmp_path / "a.png", Image.fromarray(GREY))
    monkeypatch.setattr(Image, "open", fails)
    for read in (read_photo, read_map, colour_profile):
        with pytest.raises(MaganError, match=rf"a\.png: {message}"):
            read(path)


def test_fifty_megapixels_are_fine_and_a_bomb_is_not(tmp_path, monkeypatch):
    assert read_photo(saved(tmp_path / "big.png", Image.new("1", (8660, 5774)))).shape == (5774, 8660, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(MaganError, match=r"a\.png: more than \d+ megapixels"):
        read_photo(saved(tmp_path / "a.png", Image.fromarray(GREY)))


@pytest.mark.parametrize(("white", "expected"), [("focus", [0, 0, 255, 255]), ("blur", [255, 255, 0, 0])])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_mask_is_cut_at_128_in_every_mode(tmp_path, white, expected, mode):
    grey = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).convert(mode)
    if mode == "RGBA":
        grey.putalpha(0)
    mask = read_mask(saved(tmp_path / "m.png", grey), white)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [expected]


def test_mask_of_zeros_and_ones_and_unknown_polarity_are_refused(tmp_path):
    path = saved(tmp_path / "m.png", Image.fromarray(np.eye(4, dtype=np.uint8)))
    with pytest.raises(MaganError, match=r"m\.png: mask values are 0 and 1.*255"):
        read_mask(path, "focus")
    with pytest.raises(MaganError, match="'blurred'; expected 'focus' or 'blur'"):
        read_mask(path, "blurred")


@pytest.mark.parametrize("highest", [100, 127])
def test_a_mask_without_white_is_refused_for_its_values(tmp_path, highest):
    values = np.eye(4, dtype=np.uint8)
    path = saved(tmp_path / "m.png", Image.fromarray(values * np.uint8(highest)))
    for white in ("focus", "blur"):
        with pytest.raises(MaganError, match=rf"m\.png: no mask value is above {highest} of 255; expected 0"):
            read_mask(path, white)
    assert not read_mask(saved(tmp_path / "m.png", Image.fromarray(values * 0)), "focus").any()
    assert read_mask(saved(tmp_path / "m.png", Image.fromarray(values * 128)), "focus").any()


def test_map_round_trip(tmp_path):
    path = tmp_path / "neu er" / "ü.png"
    write_map(path, GREY)
    assert np.array_equal(read_map(path), GREY)
    assert [file.name for file in path.parent.iterdir()] == ["ü.png"]


@pytest.mark.parametrize("values", [GREY.astype(float), COLOUR, GREY > 3, np.zeros((0, 3), np.uint8)])
def test_map_of_another_kind_is_refused(tmp_path, values):
    with pytest.raises(MaganError, match=r"expected uint8 or uint16 \(H, W\)"):
        write_map(tmp_path / "a.png", values)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_map(tmp_path, monkeypatch):
    write_map(tmp_path / "a.png", GREY)

    def full(path, content):
        with open(path, "wb") as file:
            file.write(content[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MaganError, match=r"cannot write .*a\.png: No space left on device"):
        write_map(tmp_path / "a.png", 255 - GREY)
    assert np.array_equal(read_map(tmp_path / "a.png"), GREY)
    assert len(list(tmp_path.iterdir())) == 1


def test_shrinking_is_antialiased():
    checks = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    small = resize(checks.astype(np.uint8), 16, 16)
    assert small.shape == (16, 16)
    assert np.abs(small.astype(int) - 127).max() <= 4
    assert resize(COLOUR, 8, 3).shape == (8, 3, 3)


def test_mask_stays_a_mask_and_keeps_its_share():
    y, x = np.mgrid[:90, :120]
    disk = np.where(np.hypot(y - 45, x - 60) < 30, np.uint8(255), np.uint8(0))
    small = resize_mask(disk, 32, 40)
    assert set(np.unique(small)) == {0, 255}
    assert abs(small.mean() - disk.mean()) < 4
    halves = np.uint8([[0, 255, 0, 0], [255, 0, 0, 255]])
    assert resize_mask(halves, 1, 2).tolist() == [[255, 0]], "half of it is enough"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_map_survives_storage(tmp_path_factory, height, width, seed):
    values = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    path = tmp_path_factory.mktemp("maps") / "a.png"
    write_map(path, values)
    assert np.array_equal(read_map(path), values)


def test_suffixes_are_lower_case():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in images.SUFFIXES)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
)
def test_resizing_to_the_same_size_changes_nothing(picture):
    assert np.array_equal(resize(picture, *picture.shape), picture)
    mask = np.where(picture > 127, np.uint8(255), np.uint8(0))
    assert np.array_equal(resize_mask(mask, *mask.shape), mask)


# ---- what cameras, telephones and editors leave behind ----


def test_cmyk_and_grey_with_alpha(tmp_path):
    flat = Image.new("CMYK", (5, 4), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    assert read_photo(saved(tmp_path / "a.tif", flat)).tolist() == [[[255, 0, 0]] * 5] * 4
    photo = read_photo(saved(tmp_path / "a.jpg", flat, quality=95)).astype(int)
    assert np.abs(photo - (255, 0, 0)).max() <= 4
    pixels = Image.merge(
        "LA", [Image.fromarray(GREY), Image.fromarray(np.where(GREY > 99, 255, 0).astype("u1"))]
    )
    expected = np.where(GREY > 99, GREY, 255)
    assert np.array_equal(read_photo(saved(tmp_path / "a.png", pixels)), np.repeat(expected[..., None], 3, 2))


def test_a_transparent_palette_entry_is_white(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    path = saved(tmp_path / "a.png", palette, transparency=0)
    assert read_photo(path).tolist() == [[[255] * 3, [200, 100, 50]]]


@pytest.mark.parametrize("mode", ["L", "I;16", "CMYK", "RGBA", "1"])
def test_every_kind_is_turned_upright(tmp_path, mode):
    values = np.zeros((4, 6), np.uint8)
    values[0, :3] = 255
    deep = values.astype(np.uint16) * 257
    upright = (
        Image.fromarray(deep) if mode == "I;16" else Image.fromarray(values).convert("RGB").convert(mode)
    )
    exif = Image.Exif()
    exif[274] = 3  # stored upside down
    plain = read_photo(saved(tmp_path / "plain.tif", upright))
    stored = upright.transpose(Image.Transpose.ROTATE_180)
    turned = read_photo(saved(tmp_path / "turned.tif", stored, exif=exif))
    assert np.array_equal(turned, plain)
    assert len(np.unique(plain)) == 2


def test_ninety_megapixels_and_more_are_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size - 1)  # a warning up to twice that, then an error
    assert read_photo(saved(tmp_path / "a.png", Image.fromarray(GREY))).shape == (4, 6, 3)


def test_avif(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    photo = read_photo(saved(tmp_path / "a.avif", Image.fromarray(flat), quality=95))
    assert np.abs(photo.astype(int) - flat).max() <= 4


def first_box(*brands):
    """The start of a file of the ISO family: size, `ftyp`, brand, version, compatible brands."""
    major, *others = brands
    return (16 + 4 * len(others)).to_bytes(4, "big") + b"ftyp" + major + bytes(4) + b"".join(others)


HEIC = first_box(b"heic", b"mif1") + bytes(8)


@pytest.fixture
def no_heic(monkeypatch):
    """Pillow as it is before pillow-heif has been asked for."""
    Image.init()  # else the formats that the test makes Pillow load would be gone after it
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch, no_heic, name):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(MaganError, match=rf"{name}: a HEIC photograph.*pip install pillow-heif"):
        read_photo(tmp_path / name)


@pytest.mark.parametrize(
    ("brands", "heic"),
    [
        ([b"msf1", b"heix"], True),
        ([b"MiHB", b"mif1"], True),
        ([b"avif", b"mif1"], False),
        ([b"isom", b"mp42"], False),
        ([b"crx ", b"isom"], False),
    ],
)
def test_films_raw_and_avif_are_not_taken_for_heic(tmp_path, monkeypatch, no_heic, brands, heic):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.hif").write_bytes(first_box(*brands) + b"heic")
    with pytest.raises(MaganError, match="a HEIC photograph" if heic else "not an image|damaged"):
        read_photo(tmp_path / "a.hif")


def test_heic_is_read_by_the_package_that_is_there(tmp_path, monkeypatch, no_heic):
    """A stand-in for pillow-heif: it registers a reader that takes every such file for one red pixel."""

    class Reader(ImageFile.ImageFile):
        format = "STAND-IN"

        def _open(self):
            if not self.fp.read(12).endswith(b"ftypheic"):
                raise SyntaxError
            self._size, self._mode = (1, 1), "RGB"

        def load(self):
            self.im = Image.new("RGB", (1, 1), "red").im
            return Image.Image.load(self)

    package = SimpleNamespace(register_heif_opener=lambda: Image.register_open("STAND-IN", Reader))
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    (tmp_path / "a.heic").write_bytes(HEIC)
    assert read_photo(tmp_path / "a.heic").tolist() == [[[255, 0, 0]]]


def test_heic_upright(tmp_path, no_heic):
    pillow_heif.register_heif_opener()
    flat = np.repeat(np.repeat(COLOUR, 16, 0), 16, 1)  # 64 x 96
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(flat, 1)))
    exif = Image.Exif()
    exif[274] = 6
    stored.info["exif"] = exif.tobytes()
    photo = read_photo(saved(tmp_path / "a.heic", stored, quality=95))
    assert photo.shape == flat.shape
    assert np.abs(photo.astype(int) - flat).mean() < 6


KINDS = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
    "BMP": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_gives_a_photograph_or_a_reason(tmp_path, kind):
    exif = Image.Exif()
    exif[274] = 6
    options = KINDS[kind] | ({} if kind == "BMP" else {"exif": exif})
    Image.fromarray(np.repeat(np.repeat(COLOUR, 5, 0), 5, 1)).save(tmp_path / "a", format=kind, **options)
    whole = (tmp_path / "a").read_bytes()
    rng = np.random.default_rng(0)
    reasons = []
    for number in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 300), 1 + number % 20):
            damaged[place] = rng.integers(256)
        (tmp_path / "a").write_bytes(damaged if number % 4 else damaged[: rng.integers(len(whole))])
        try:
            photo = read_photo(tmp_path / "a")
            assert (photo.dtype, photo.ndim, photo.shape[2]) == (np.uint8, 3, 3)
        except MaganError as error:
            reasons.append(str(error))
    assert reasons
    assert all(reason.startswith(f"{tmp_path / 'a'}: ") for reason in reasons)


def test_the_colour_profile_of_rgb_only(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Image.fromarray(COLOUR)
    assert colour_profile(saved(tmp_path / "a.png", picture, icc_profile=srgb)) == srgb
    assert colour_profile(saved(tmp_path / "b.png", picture, icc_profile=lab)) is None
    assert colour_profile(saved(tmp_path / "c.png", picture)) is None


def test_what_is_ours_says_what_it_is_of(tmp_path):
    write_map(tmp_path / "map.png", GREY)
    write_map(tmp_path / "told.png", GREY, "abc")
    (tmp_path / "map.overlay.jpg").write_bytes(encode_overlay(COLOUR))
    (tmp_path / "told.overlay.jpg").write_bytes(encode_overlay(COLOUR, origin="abc"))
    ours = ("map.png", "map.overlay.jpg", "told.png", "told.overlay.jpg")
    assert [read_origin(tmp_path / name) for name in ours] == ["", "", "abc", "abc"]
    assert (read_map(tmp_path / "told.png") == GREY).all()


def test_what_is_not_ours(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.png")
    foreign = PngInfo()
    foreign.add_text("Comment", "abc")
    others = [
        saved(tmp_path / "colour.png", Image.fromarray(COLOUR)),
        saved(tmp_path / "grey.tif", Image.fromarray(GREY)),
        saved(tmp_path / "mask.png", Image.fromarray(GREY), pnginfo=foreign),
        saved(tmp_path / "photo.jpg", Image.fromarray(COLOUR), comment="magan-core is fine"),
        saved(tmp_path / "plain.jpg", Image.fromarray(COLOUR)),
        tmp_path / "text.png",
        tmp_path / "pipe.png",
        tmp_path / "missing.png",
        tmp_path,
    ]
    assert [read_origin(path) for path in others] == [None] * len(others)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "CMYK"])
def test_a_map_in_colours_has_no_values(tmp_path, mode):
    """Red in a colour scale is a high value, and dark as grey."""
    suffix = "tif" if mode == "CMYK" else "png"
    path = saved(tmp_path / f"map.{suffix}", Image.fromarray(COLOUR).convert(mode))
    for read in (read_map, lambda path: read_mask(path, "focus")):
        with pytest.raises(MaganError, match=r"coloured .* of 255 apart.*without its colour scale"):
            read(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_grey_values_in_the_channels_of_colours(tmp_path, mode):
    assert (read_map(saved(tmp_path / "map.png", Image.fromarray(GREY).convert(mode))) == GREY).all()


@pytest.mark.parametrize("tint", [16, 17])
def test_a_slight_tint_is_no_colour(tmp_path, tint):
    grey = np.minimum(GREY, 255 - tint)
    path = saved(tmp_path / "map.png", Image.fromarray(np.stack([grey, grey + np.uint8(tint), grey], axis=2)))
    if tint == 16:
        assert np.abs(read_map(path).astype(int) - grey).max() <= tint
    else:
        with pytest.raises(MaganError, match="up to 17 of 255 apart"):
            read_map(path)
