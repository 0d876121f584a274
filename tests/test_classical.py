"""The table of classical methods: what it promises of each, and a method of one's own."""

import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from textures import half_sharp, noise
from threadpoolctl import threadpool_limits

from magan_core.classical import METHODS, Method, get_method
from magan_core.errors import MaganError

ROOT = Path(__file__).parent.parent
PHOTO = noise(48, 52)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_maps_a_photograph(name):
    found = get_method(name)(PHOTO)
    assert found.dtype == np.uint8
    assert found.shape == (48, 52)
    assert METHODS[name].name == name
    assert METHODS[name].exact == METHODS[name].about.startswith("exact port")
    assert METHODS[name].about.startswith(("exact port", "re-trained port", "reconstruction"))


SHAPES = {  # the smallest, and odd ones
    "ASVB": [(1, 1), (1, 40), (33, 2), (40, 31)],
    "DBDF": [(28, 28), (28, 45), (50, 29)],
    "SS": [(16, 16), (16, 45), (50, 17)],
    "LBP": [(21, 21), (21, 40), (50, 23)],
    "HiFST": [(1, 1), (2, 40), (40, 3)],
}


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in METHODS for shape in SHAPES[name]])
def test_a_map_has_the_size_of_the_photograph_and_comes_out_again(name, shape):
    photo = noise(*shape)
    found = METHODS[name](photo)
    assert found.dtype == np.uint8
    assert found.shape == shape
    if name in ("DBDF", "SS"):
        assert (found.min(), found.max()) == (0, 255)
    assert np.array_equal(found, METHODS[name](photo.copy()))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_flat_photograph_is_out_of_focus(name, level):
    assert not METHODS[name](np.full((40, 44, 3), level, np.uint8)).any()


@pytest.mark.parametrize(
    ("name", "height", "width", "seed", "margin", "least"),
    [
        ("ASVB", 64, 80, 5, 10, 50),
        ("DBDF", 64, 80, 5, 10, 100),
        ("SS", 64, 80, 5, 10, 100),
        ("LBP", 60, 64, 4, 6, 100),
        ("HiFST", 80, 90, 8, 25, 100),
    ],
)
def test_two_levels(name, height, width, seed, margin, least):
    """Noise of two levels on the left is in focus, the flat right is not; `margin` pixels are open."""
    photo, half = np.full((height, width, 3), 255, np.uint8), width // 2
    photo[:, :half] *= np.random.default_rng(seed).integers(0, 2, (height, half, 1), np.uint8)
    found = METHODS[name](photo)
    assert found[:, : half - margin].mean() > found[:, half + margin :].mean() + least


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("name", "height", "width", "seed", "least"),
    [
        ("ASVB", 160, 224, 1, 0.9),
        ("DBDF", 96, 128, 0, 0.9),
        ("SS", 96, 128, 0, 0.95),
        ("LBP", 96, 128, 0, 0.95),
        ("HiFST", 96, 128, 1, 0.95),
    ],
)
def test_the_sharp_half_is_in_focus(name, height, width, seed, least, turned):
    photo = half_sharp(height, width, seed)
    found = METHODS[name](photo.transpose(1, 0, 2)).T if turned else METHODS[name](photo)
    truth = np.broadcast_to(np.arange(width) < width // 2, found.shape)
    assert roc_auc_score(truth.ravel(), found.ravel()) > least


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (PHOTO[..., 0], r"uint8 \(48, 52\); expected uint8 \(H, W, 3\)"),
        (PHOTO.astype(float), r"float64 \(48, 52, 3\); expected uint8"),
    ],
    ids=["grey", "floats"],
)
def test_every_method_refuses_what_is_no_photograph(name, photo, message):
    with pytest.raises(MaganError, match=message):
        METHODS[name](photo)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_refuses_a_photograph_that_is_too_small(name):
    (side, _), *_ = SHAPES[name]
    with pytest.raises(MaganError, match=f"at least {side} on each side"):
        METHODS[name](noise(side - 1, 50))


def test_importing_the_table_imports_no_method():
    code = "import sys, magan_core.classical; print([n for n in ('numpy', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_notebook_of_a_detector_does_not_wait_for_torch():
    cells = nbformat.read(ROOT / "notebooks/10_classical.ipynb", as_version=4).cells
    imports = next(cell.source for cell in cells if cell.cell_type == "code")
    code = f"import sys\n{imports}\nprovenance(threads=1)\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_method():
    with pytest.raises(MaganError, match="unknown method 'HIFST'; did you mean 'HiFST'"):
        get_method("HIFST")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a module of one's own; return its method."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "brightness", raising=False)

    def write(code: str) -> Method:
        (tmp_path / "brightness.py").write_text(code, encoding="utf-8")
        return Method("Mine", "brightness:bright", "an example")

    return write


def test_a_method_of_ones_own_is_a_file_and_a_line(own):
    method = own("def bright(photo):\n    return photo.max(axis=2)\n")
    assert np.array_equal(method(PHOTO), PHOTO.max(axis=2))


def test_a_method_runs_in_one_thread(own):
    """A second BLAS thread makes the small products of HiFST many times slower."""
    method = own(
        "import numpy as np, threadpoolctl\n"
        "def bright(photo):\n"
        "    most = max(pool['num_threads'] for pool in threadpoolctl.threadpool_info())\n"
        "    return np.full(photo.shape[:2], most, np.uint8)\n"
    )
    with threadpool_limits(2):
        assert (method(PHOTO) == 1).all()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def other(photo):\n    return photo\n", "has no attribute 'bright'"),
        ("import nothing_like_this\n", "No module named 'nothing_like_this'"),
        (
            "def bright(photo):\n    return photo\n",
            r"returned uint8 \(48, 52, 3\); expected uint8 \(48, 52\)",
        ),
        (
            "def bright(photo):\n    return photo.mean(axis=2)\n",
            r"returned float64 \(48, 52\); expected uint8",
        ),
        ("def bright(photo):\n    pass\n", "returned NoneType"),
    ],
    ids=["no such function", "broken import", "wrong shape", "wrong type", "nothing"],
)
def test_a_wrong_method_of_ones_own(own, code, message):
    with pytest.raises(MaganError, match=message):
        own(code)(PHOTO)


def test_a_line_without_a_function():
    with pytest.raises(MaganError, match=r"method .Mine. is to be .*expected module:name"):
        Method("Mine", "magan_core.classical.lbp", "an example")(PHOTO)
