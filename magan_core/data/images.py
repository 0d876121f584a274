"""Reading and writing of single pictures: photographs, masks and maps, all as uint8 arrays, maps as uint16
where 16 bits are asked for."""

import io
import itertools
import os
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

from magan_core.errors import MaganError
from magan_core.files import write_bytes

SUFFIXES = {  # in lower case
    ".avif", ".bmp", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff",
    ".webp",
}  # fmt: skip
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # ISO/IEC 23008-12
MAKER = "magan-core"  # named in every map
OVERLAY = ".overlay.jpg"  # what the overlay beside a map ends in, where the map has .png
TINT = 16  # how far apart red, green and blue of a grey picture may be; colour scales go further
DARK = 16  # the highest grey value that 12 bits can have where 16 are expected
CUT = 128  # grey values from here on are the white class of a mask
SAMPLE = 258  # TIFF 6.0, section 8: BitsPerSample
PLANES = 284  # TIFF 6.0, section 8: PlanarConfiguration, 2 = a plane a colour
PHOTOMETRIC = 262  # TIFF 6.0, section 3: PhotometricInterpretation, 0 = WhiteIsZero
KIND = 254  # TIFF 6.0, section 8: NewSubfileType, bit 0 = a smaller version of another picture of the file
DNG_VERSION = 50706  # DNG 1.4, chapter 4, in every DNG
CR2 = b"II*\0\x10\0\0\0CR\x02"  # how Canon's files begin, whose first picture is a JPEG of any size
ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4: where the first row and column of the pixels belong
TURNS = dict(
    zip(
        range(2, 9),
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)
# Of damage beside the pixels, as in EXIF, Pillow warns without naming the file, and 89 megapixels are no
# attack. Once for all: a filter around each reading would not be safe where several threads read.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}


def read_photo(path: str | Path) -> np.ndarray:
    """Return the photograph at `path` as uint8 (H, W, 3) RGB, 0..255, upright.

    Anything Pillow reads, and HEIC, which pillow-heif reads: the EXIF orientation is applied; grey,
    palette and CMYK become RGB; 16-bit samples keep their high byte; transparent pixels are composited over
    white, as a viewer shows them; of several frames the first one counts.

    Raises MaganError, naming the file, for a missing, unreadable, truncated or absurdly large one (Pillow's
    limit of about 179 million pixels), for a RAW file, of which Pillow would read a preview, for float or
    32-bit samples, whose white level nobody has stated, and for 16-bit samples that all fit into 12 bits, as
    a camera's may, which would come out all but black: white is at 65535. And for 16-bit colours, one
    of which is transparent, where a pixel may have it.
    """
    with _decoded(Path(path), lit=True) as picture:
        if _has_alpha(picture):
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def colour_profile(path: str | Path) -> bytes | None:
    """Return the embedded ICC profile of the photograph at `path` if it describes RGB, otherwise None."""
    with _opened(Path(path)) as picture:
        profile = picture.info.get("icc_profile") or b""
    return profile if profile[16:20] == b"RGB " else None  # ICC.1, 7.2.6: the data colour space


def read_origin(path: str | Path) -> str | None:
    """The origin that `write_map` or `overlay.encode_overlay` put into the file at `path`, perhaps "".

    None for any other file, a mask for one. Nothing that Pillow cannot open, or thinks too large, is ours.
    """
    try:
        if not os.path.isfile(path):
            return None
        with Image.open(path) as picture:
            words = picture.info
            if picture.format == "JPEG":
                maker, _, origin = words["comment"].decode().partition("\n")
            else:
                maker, origin = words["Software"], words.get("Comment", "")
    except Exception:  # decoders of damaged files raise nearly anything
        return None
    return origin if maker == MAKER else None


def read_mask(path: str | Path, white: str) -> np.ndarray:
    """Return the mask at `path` as uint8 (H, W) of 0 and 255, 255 = in focus.

    `white` is the class stored as white: "focus" or "blur". Grey levels are cut at 128 (128 and above are
    white), transparency is ignored.

    Raises MaganError as `read_map` does, and for a mask that is not black and has no value from 128 on,
    such as one of 0 and 1, which would come out black.
    """
    return cut(read_map(path), white, path)


def other_class(white: str) -> str:
    """`blur` of `focus`, `focus` of `blur`."""
    return "blur" if white == "focus" else "focus"


def cut(grey: np.ndarray, white: str, path: str | Path) -> np.ndarray:
    """The mask of the grey values uint8 (H, W) that `read_map` found at `path`: see `read_mask`."""
    if white not in ("focus", "blur"):
        raise MaganError(f"mask polarity is {white!r}; expected 'focus' or 'blur': the class stored as white")
    if grey.max() == 1 and bits_of_map(path) == 8:
        raise MaganError(f"{path}: mask values are 0 and 1; expected 0 and 255: multiply the mask by 255")
    if 0 < grey.max() < CUT:
        raise MaganError(
            f"{path}: no mask value is above {grey.max()} of 255; expected 0 and 255: white is from {CUT} "
            "on, so scale the mask"
        )
    is_white = grey >= CUT
    return np.where(is_white == (white == "focus"), np.uint8(255), np.uint8(0))


def read_map(path: str | Path, bits: int = 8) -> np.ndarray:
    """Return the grey values stored at `path`, polarity as stored: uint8 (H, W), 0..255, or with `bits` 16
    uint16 (H, W), 0..65535. 16-bit grey is rounded to 8 bits (of a 257th part), 8 bits are 16 of 257 times as
    much.

    Transparency is ignored. Raises MaganError as `read_photo` does (but 16-bit samples may fit into 12 bits,
    and those of a map of our own into 8), for a coloured picture (the grey of a colour scale's colours is not
    the value that they stand for), and with `bits` 16 for a PNG or TIFF of 16-bit samples that are not plain
    grey, of which Pillow keeps 8 bits.
    """
    with _decoded(Path(path), whole=True) as picture:
        if picture.mode in SIXTEEN_BIT:
            values = np.array(picture)
            return values if bits == 16 else of_eight_bits(values)
        if bits == 16 and bits_of_map(path) == 16:
            raise MaganError(
                f"{path}: 16-bit samples in colour or with transparency, of which 8 bits would be left; "
                "expected plain grey: save it so"
            )
        if picture.mode not in ("1", "L", "LA"):
            picture = picture.convert("RGB")
            pairs = itertools.combinations(picture.split(), 2)
            spread = max(ImageChops.difference(*pair).getextrema()[1] for pair in pairs)
            if spread > TINT:
                raise MaganError(
                    f"{path}: coloured (red, green and blue up to {spread} of 255 apart); expected grey "
                    "values, as of a map or mask: save it without its colour scale"
                )
        grey = np.array(picture.convert("L"))
    return grey if bits == 8 else grey.astype(np.uint16) * 257


def of_eight_bits(values: np.ndarray) -> np.ndarray:
    """A map of 16 bits, uint16 (H, W), rounded to uint8 (H, W); one of 8 as it is."""
    return values if values.dtype == np.uint8 else ((values + np.uint32(128)) // 257).astype(np.uint8)


def check_bits(bits: int) -> None:
    """MaganError for a map of neither 8 nor 16 bits."""
    if bits not in (8, 16):
        raise MaganError(f"{bits} bits a sample of a map; expected 8 or 16")


def bits_of_map(path: str | Path) -> int:
    """The bits a sample of the picture at `path`, 8 or 16; fewer count as 8. Raises MaganError as `read_map`
    does for what is no picture."""
    with _opened(Path(path)) as picture:
        return 16 if _is_deep(picture) or _is_sixteen_bit_grey(picture) else 8


def read_thumbnail(path: str | Path, side: int) -> np.ndarray:
    """Return the photograph at `path`, upright, as grey values uint8 (side, side): means over areas.

    A JPEG file is decoded at a fraction of its size. Raises MaganError as `read_photo` does.
    """
    with _decoded(Path(path), fraction=2 * side) as picture:
        return np.array(picture.convert("L").resize((side, side), Image.Resampling.BOX))


def write_map(path: str | Path, values: np.ndarray, origin: str = "") -> None:
    """Write uint8 or uint16 (H, W) `values` as a grey PNG of 8 or 16 bits that says who made it, and what of
    if an `origin` is given, whole or not at all; the folder is made if need be.

    Raises MaganError for another shape or type and when the file cannot be written.
    """
    path = Path(path)
    if values.dtype not in (np.uint8, np.uint16) or values.ndim != 2 or not values.size:
        raise MaganError(
            f"{path}: cannot store {values.dtype} {values.shape} as a map; expected uint8 or uint16 (H, W)"
        )
    words = PngInfo()
    words.add_text("Software", MAKER)  # keywords of the PNG specification, 11.3.3.2
    if origin:
        words.add_text("Comment", origin)
    content = io.BytesIO()
    # Runs of equal values alone: half the time or less, in large maps a sixth more bytes; of 16 bits half as
    # many more, so not of these.
    way = zlib.Z_RLE if values.dtype == np.uint8 else zlib.Z_DEFAULT_STRATEGY
    Image.fromarray(values).save(content, format="PNG", pnginfo=words, compress_type=way)
    write_bytes(path, content.getbuffer())


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `picture`, uint8 (H, W, 3) or (H, W) or uint16 (H, W), at (height, width): bicubic, antialiased
    when it shrinks."""
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the 0/255 uint8 (H, W) `mask` at (height, width): white where white covers half or more."""
    share = np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.BOX))
    return np.where(share >= CUT, np.uint8(255), np.uint8(0))


@contextmanager
def _decoded(path: Path, fraction: int | None = None, lit: bool = False, whole: bool = False):
    """Open, decode and turn upright; every failure, also of a conversion, becomes a MaganError. `fraction`:
    the side in pixels that is enough of a JPEG file. `lit`: refuse 16-bit samples that fill 12 bits only,
    not only those that fill 8. `whole`: 16-bit grey stays that, in one of the modes SIXTEEN_BIT."""
    with _opened(path) as picture:
        if fraction:
            picture.draft("RGB", (fraction, fraction))
        deep = _is_deep(picture)
        picture.load()
        inverted = picture.format == "TIFF" and picture.tag_v2.get(PHOTOMETRIC) == 0
        if inverted and picture.mode in SIXTEEN_BIT:  # of other samples Pillow makes white the highest value
            raise MaganError(
                f"{path}: 16-bit grey with white at 0 (WhiteIsZero); save it with white at 65535, or it "
                "would come out inverted"
            )
        if deep and lit and picture.mode == "RGB" and "transparency" in picture.info:
            _drop_key(picture, path)
        shallow = _known(_upright(picture), path, whole)
        # Of colours Pillow keeps the high byte alone, so that values of 8 bits and black look alike.
        if deep and (lit or picture.mode not in SIXTEEN_BIT):
            colours = [band for band in shallow.getbands() if band != "A"]
            least = 1 << 4 if lit else 1
            if max(shallow.getchannel(band).getextrema()[1] for band in colours) < least:
                raise MaganError(
                    f"{path}: 16-bit samples, none of them above {256 * least - 1} of 65535, so all but "
                    "black; save it with 8 bits, or with white at 65535"
                )
        yield shallow


def _upright(picture: Image.Image) -> Image.Image:
    """Turned and mirrored as the orientation in its EXIF says; other entries may say what they like."""
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION))
    except Exception:  # a damaged block raises nearly anything
        return picture
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def _opened(path: Path):
    """Open without decoding; every failure, also in the body, becomes a MaganError."""
    try:
        with _open(path) as picture:
            _refuse_raw(picture, path)
            _read_planes_whole(picture, path)
            yield picture
    except MaganError:
        raise
    except FileNotFoundError as error:
        raise MaganError(f"{path}: no such file; check the name") from error
    except Image.UnidentifiedImageError as error:
        raise MaganError(
            f"{path}: not an image that can be read; expected JPEG, PNG, TIFF, WebP, AVIF, HEIC or BMP with "
            "8 or 16 bits a sample: convert it or fetch it again"
        ) from error
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        raise MaganError(
            f"{path}: more than {most:.0f} megapixels, the most that is read; make it smaller"
        ) from error
    except MemoryError as error:
        raise MaganError(f"{path}: does not fit into memory; make it smaller") from error
    except PermissionError as error:
        raise MaganError(f"{path}: may not be read ({error.strerror}); make it readable") from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise MaganError(f"{path}: damaged or unreadable ({error}); fetch or copy the file again") from error


def _open(path: Path) -> Image.Image:
    """Image.open; HEIC is told by its first bytes, since telephones also save it as .jpg."""
    try:
        return Image.open(path)
    except Image.UnidentifiedImageError:
        if not _is_heic(path):
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise MaganError(
            f"{path}: a HEIC photograph, which needs one more package: pip install pillow-heif "
            "(or convert it to JPEG)"
        ) from error
    register_heif_opener()
    return Image.open(path)


def _refuse_raw(picture: Image.Image, path: Path) -> None:
    """MaganError for RAW files that are TIFFs: DNG, CR2, and the many that begin with a preview, as NEF."""
    if picture.format != "TIFF":
        return
    kind = picture.tag_v2.get(KIND)
    small = isinstance(kind, int) and kind & 1
    place = picture.fp.tell()
    picture.fp.seek(0)
    canon = picture.fp.read(11) == CR2
    picture.fp.seek(place)
    if small or canon or DNG_VERSION in picture.tag_v2:
        size = f"{picture.width} x {picture.height}"
        raise MaganError(
            f"{path}: a RAW file, or a TIFF that begins with a preview, of which {size} pixels would be "
            "read; expected a photograph that is developed: export it as TIFF or JPEG"
        )


def _read_planes_whole(picture: Image.Image, path: Path) -> None:
    """Let Pillow read both bytes of 16-bit samples that a TIFF holds uncompressed, a plane a colour; else it
    (12.3 to 13.0) takes each byte for one. MaganError for others of more than 8 bits, as of CMYK."""
    if picture.format != "TIFF" or picture.tag_v2.get(PLANES) != 2:
        return
    bits, raw = max(picture.tag_v2.get(SAMPLE, (1,))), all(tile.codec_name == "raw" for tile in picture.tile)
    if bits <= 8 or not raw or len(picture.getbands()) == 1:
        return
    if bits != 16 or not {tile.args[0] for tile in picture.tile} <= set("RGBA"):
        raise MaganError(
            f"{path}: a TIFF of {bits}-bit {picture.mode} in planes, uncompressed, which would be read "
            "wrongly; save it interleaved, or compressed"
        )
    order = "B" if picture.tag_v2.prefix == b"MM" else "L"
    picture.tile = [
        tile._replace(args=(f"{tile.args[0]};16{order}", *tile.args[1:])) for tile in picture.tile
    ]


def _is_heic(path: Path) -> bool:
    """By the brands in the file's first box (ISO/IEC 14496-12, 4.3); AVIF, which shares some, is Pillow's."""
    with open(path, "rb") as file:
        start = file.read(128)
    box = start[8 : int.from_bytes(start[:4], "big")]
    brands = {box[place : place + 4] for place in (0, *range(8, len(box), 4))}
    return start[4:8] == b"ftyp" and not brands & {b"avif", b"avis"} and bool(brands & HEIF_BRANDS)


def _is_deep(picture: Image.Image) -> bool:
    """Whether a PNG or TIFF that is not decoded yet has 16 bits a sample, in grey or in colour, or 12."""
    return picture.format in ("PNG", "TIFF") and any(mode in str(picture.tile[:1]) for mode in (";16", ";12"))


def _is_sixteen_bit_grey(picture: Image.Image) -> bool:
    return picture.mode in SIXTEEN_BIT or (picture.mode, picture.format) == ("I", "PPM")


def _known(picture: Image.Image, path: Path, whole: bool) -> Image.Image:
    """With 8 bits a sample; of 16-bit grey the higher 8, with alpha where one value is transparent, or all
    where the whole is asked for."""
    if _is_sixteen_bit_grey(picture):
        values = np.asarray(picture)
        if 0 < values.max() <= 255 and picture.info.get("Software") != MAKER:
            raise MaganError(
                f"{path}: 16-bit samples, none of them above 255 of 65535, so black; save it with 8 bits"
            )
        if whole:
            return Image.fromarray(values.astype(np.uint16))
        high = Image.fromarray((values >> 8).astype(np.uint8))
        if (key := picture.info.get("transparency")) is not None:
            opaque = np.where(values == key, np.uint8(0), np.uint8(255))
            return Image.merge("LA", [high, Image.fromarray(opaque)])
        return high
    if picture.mode in ("F", "I"):
        raise MaganError(
            f"{path}: {'float' if picture.mode == 'F' else '32-bit'} samples, whose white level is "
            "not known; save it with 8 or 16 bits a sample"
        )
    return picture


def _drop_key(picture: Image.Image, path: Path) -> None:
    """Forget which 16-bit colour of a PNG is transparent, if no pixel has it. Of the pixels Pillow keeps the
    high bytes alone, so that one of these may be of that colour or of another: MaganError."""
    key = [value >> 8 for value in picture.info.pop("transparency")]
    if (np.asarray(picture) == key).all(2).any():
        raise MaganError(
            f"{path}: 16-bit colours, one of them transparent (tRNS), which cannot be told from colours near "
            "it; save it with 8 bits, or with an alpha channel"
        )


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
