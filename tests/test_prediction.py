"""Maps of photographs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import MODEL, decided, scenes

from magan_core import prediction
from magan_core.data.prepare import prepare
from magan_core.data.prepared import load_train
from magan_core.errors import MaganError
from magan_core.models import build_generator
from magan_core.prediction import predict, predict_files, windows


class Brightness(torch.nn.Module):
    """Logit of the mean of the colours: the map should be the photograph in grey."""

    def forward(self, images):
        self.seen = images
        return torch.logit(images.mean(1, keepdim=True), eps=1e-6)


def test_a_map_shows_what_the_network_says_where_it_says_it():
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, 30:] = 255
    network = Brightness()
    values = predict(network, photo, 40)
    assert network.seen.shape == (1, 3, 40, 40)
    assert values.dtype == np.uint8
    assert values.shape == (40, 60)
    assert values[:, :28].max() <= 2
    assert values[:, 32:].min() >= 253


@pytest.mark.parametrize("grey", [0, 1, 77, 254, 255])
def test_a_flat_photograph_keeps_its_value(grey):
    photo = np.full((31, 45, 3), grey, np.uint8)
    assert (predict(Brightness(), photo, 64) == grey).all()


@given(st.integers(1, 60), st.integers(1, 4000), st.booleans())
def test_windows_cover_a_photograph_with_shares_that_sum_to_one(short, long, upright):
    height, width = (long, short) if upright else (short, long)
    found = windows(height, width)
    shape = (height, width)
    shares, sides = np.zeros(shape, np.float32), []
    for part, share in found:
        shares[part] += share
        sides.append(shares[part].shape)
        assert (share > 0).all()
    np.testing.assert_allclose(shares, 1, rtol=1e-5)
    assert len(found) <= 24
    assert len(set(sides)) == 1
    assert (len(found) == 1) == (max(shape) <= 2.5 * min(shape))
    if 2.5 * min(shape) < max(shape) <= 10 * min(shape):
        assert max(sides[0]) / min(sides[0]) == pytest.approx(1.5, abs=0.5 / min(shape) + 1e-9)


@pytest.mark.parametrize("upright", [False, True])
def test_a_long_photograph_is_mapped_in_windows_whose_logits_are_blended(upright):
    """Written out for three windows, 36 long at 0, 13 and 26, of each of which the network sees the mean."""
    ramp = np.linspace(20, 235, 62).astype(np.uint8)  # of noise all windows would have one mean
    photo = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (24, 62, 3)))

    class Mean(torch.nn.Module):
        def forward(self, images):
            return torch.logit(images.mean((1, 2, 3), keepdim=True)).expand(-1, 1, *images.shape[2:])

    starts = [start for part, _ in windows(24, 62) for start in [part[1].start]]
    assert starts == [0, 13, 26]
    logits = np.zeros(62)
    weights = np.zeros(62)
    for start in starts:
        small = np.array(
            Image.fromarray(photo[:, start : start + 36].copy()).resize((8, 8), Image.Resampling.BICUBIC)
        )
        share = small.mean() / 255
        for place in range(36):
            weight = min(place + 1, 36 - place)
            logits[start + place] += weight * np.log(share / (1 - share))
            weights[start + place] += weight
    expected = 255 / (1 + np.exp(-logits / weights))
    turned = photo.transpose(1, 0, 2) if upright else photo
    found = predict(Mean(), np.ascontiguousarray(turned), 8)
    found = found.T if upright else found
    assert found.shape == (24, 62)
    assert np.abs(found - expected).max() <= 1.01


def test_two_and_a_half_to_one_is_seen_whole():
    network = Brightness()
    for length, calls in ((50, 1), (51, 3)):
        seen = []
        network.register_forward_hook(lambda *words, seen=seen: seen.append(words))
        predict(network, np.zeros((20, length, 3), np.uint8), 16)
        assert len(seen) == calls


@pytest.mark.parametrize("shape", [(50, 90), (20, 24)], ids=["shrunk", "enlarged"])
def test_the_network_sees_a_photograph_as_training_prepared_it(tmp_path, shape):
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask[:, : shape[1] // 2] = 255
    for kind, picture in (("images", photo), ("masks", mask)):
        (tmp_path / "raw/own" / kind).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "raw/own" / kind / "a.png")
    own = {"source": "own", "white": "focus", "train_share": 1}
    profile = {"training_size": 32, "seed": 1, "sets": {"shi": own}}
    prepare(profile, tmp_path / "raw", tmp_path / "out", progress=False, manifests=tmp_path)
    (prepared,) = load_train(tmp_path / "out/shi").images
    network = Brightness()
    predict(network, photo, 32)
    torch.testing.assert_close(network.seen[0], torch.tensor(np.array(prepared)).permute(2, 0, 1) / 255)


def test_shrinking_does_not_alias():
    """Stripes of one pixel become grey, not other stripes."""
    photo = np.zeros((200, 200, 3), np.uint8)
    photo[:, ::2] = 255
    network = Brightness()
    predict(network, photo, 60)
    assert network.seen.std() < 0.05


class Ramp(torch.nn.Module):
    """A network that looks away: the map grows from left to right whatever the photograph."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        values = torch.linspace(0.1, 0.9, images.shape[3]).expand(len(images), 1, images.shape[2], -1)
        return torch.logit(values)


def test_flip_is_the_mean_with_the_mirrored_map_of_the_mirrored_photograph():
    photo = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)
    network = Ramp()
    assert np.ptp(predict(network, photo, 32).astype(int)) > 150
    assert (np.abs(predict(network, photo, 32, flip=True) - 127.5) <= 1).all()
    image, mirrored = network.seen[1:]
    torch.testing.assert_close(image, mirrored.flip(3))


def test_flip_of_a_network_against_two_calls():
    generator = decided()
    photo = scenes(1)[0][0][:, :30]
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    calls = [predict(generator, picture, 32).astype(float) / 255 for picture in (photo, mirrored)]
    one, other = np.log(calls[0] / (1 - calls[0])), np.log(calls[1] / (1 - calls[1]))[:, ::-1]
    found = predict(generator, photo, 32, flip=True)
    sure = (np.abs(one) < 3) & (np.abs(other) < 3)  # elsewhere 8 bits say too little of the logit
    assert sure.mean() > 0.3
    assert np.abs(found - 255 / (1 + np.exp(-(one + other) / 2)))[sure].max() <= 2.5
    assert np.abs(found - 255 * calls[0]).max() > 2, "else the test shows nothing"


@pytest.mark.parametrize("flip", [False, True])
def test_scales_are_the_mean_of_the_logits_of_single_ones(flip):
    generator, photo = decided(), scenes(1)[0][0][:, :30]
    single = [predict(generator, photo, side, flip=flip).astype(float) / 255 for side in (24, 48)]
    logits = [np.log(values / (1 - values)) for values in single]
    sure = (np.abs(logits) < 3).all(0)  # elsewhere 8 bits say too little of the logit
    assert sure.mean() > 0.3
    found = predict(generator, photo, 32, scales=(0.75, 1.5), flip=flip)
    assert np.abs(found - 255 / (1 + np.exp(-np.mean(logits, 0))))[sure].max() <= 2.5
    assert np.abs(found - 255 * single[0]).max() > 10, "else the test shows nothing"


def test_a_scale_gives_the_nearest_side():
    network = Ramp()
    predict(network, np.zeros((20, 30, 3), np.uint8), 33, scales=(0.75, 1.0, 1.25))
    assert [tuple(images.shape[2:]) for images in network.seen] == [(25, 25), (33, 33), (41, 41)]


class Step(torch.nn.Module):
    """Logit -6 in the left half, 6 in the right one."""

    def forward(self, images):
        columns = torch.where(torch.arange(images.shape[3]) < images.shape[3] // 2, -6.0, 6.0)
        return columns.expand(len(images), 1, images.shape[2], -1)


@pytest.fixture
def threads():
    """Sets torch's threads, and sets them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Watched(torch.nn.Module):
    """A network that as many threads have to call at once, and notes how many of torch's each has."""

    def __init__(self, network, callers):
        super().__init__()
        self.network, self.calls, self.meeting = network, [], threading.Barrier(callers)

    def forward(self, images):
        assert torch.is_inference_mode_enabled()
        self.meeting.wait(30)
        self.calls.append(torch.get_num_threads())
        return self.network(images)


@pytest.mark.parametrize(
    ("count", "workers", "share"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (5, 4, 1), (8, 4, 2)]
)
def test_passes_share_the_threads_and_give_the_same_bytes(threads, count, workers, share):
    photo = scenes(1, 96)[0][0]
    passes = {"scales": [0.75, 1.25], "flip": True}
    threads(1)
    alone = predict(decided(), photo, 64, **passes)
    threads(count)
    network = Watched(decided(), workers)
    shared = predict(network, photo, 64, **passes)
    assert network.calls == [share] * 4
    assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == count, "those to come have all"
    assert len(np.unique(alone)) > 20
    if share == 1:
        assert np.array_equal(shared, alone)
    assert np.abs(shared.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("count", [1, 2])
def test_numbers_too_small_to_be_normal_are_zero_in_the_network_alone(threads, count):
    """In every thread that a pass runs in."""

    def smallest():
        return (torch.tensor([1e-39]) * torch.ones(1)).item()

    found = []

    def looks(images):
        found.append((smallest(), ThreadPoolExecutor(1).submit(smallest).result()))
        return images[:, :1]

    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    threads(count)
    photo = scenes(1)[0][0]
    predict(looks, photo, 32, flip=True)
    assert found == [(0.0, 0.0)] * 2
    assert smallest() > 0
    torch.set_flush_denormal(True)
    try:
        predict(looks, photo, 32)
        assert smallest() == 0, "as whoever calls it has it"
    finally:
        torch.set_flush_denormal(False)


def test_a_pass_that_fails_in_a_thread_is_an_error(threads):
    def fails(images):
        raise RuntimeError(f"not enough memory for {images.shape[2]}")

    threads(2)
    with pytest.raises(RuntimeError, match="not enough memory for 48"):
        predict(fails, scenes(1, 96)[0][0], 64, scales=[0.75, 1.25])
    assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 2


def test_an_edge_that_is_enlarged_stays_narrow():
    """Over the 16 pixels between two of the network's, the logit climbs evenly; in between, the map is
    undecided only while the logit is small."""
    values = predict(Step(), np.zeros((64, 64, 3), np.uint8), 4)
    expected = [255 / (1 + np.exp(-max(-6, min(6, (x + 0.5 - 32) * 12 / 16)))) for x in range(64)]
    assert (np.abs(values - np.array(expected)) <= 0.51).all()
    assert ((values > 25) & (values < 230)).sum(axis=1).max() == 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (333, 20)])
def test_extreme_shapes(shape):
    generator = build_generator(MODEL).eval()
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert predict(generator, photo, 32).shape == shape


def test_files(tmp_path, capsys):
    photos = [tmp_path / "photos" / name for name in ("a b.png", "grün.jpg", "one.two.png")]
    photos[0].parent.mkdir()
    for path, photo in zip(photos, scenes(3)[0], strict=True):
        Image.fromarray(photo[:, :30]).save(path)
    seconds = predict_files(Brightness(), photos, tmp_path / "maps", size=32, progress=False)
    assert seconds > 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "a b.png",
        "grün.png",
        "one.two.png",
    ]
    with Image.open(tmp_path / "maps" / "grün.png") as found:
        assert (found.mode, found.size) == ("L", (30, 40))
    assert capsys.readouterr() == ("", "")


def test_files_with_flip(tmp_path):
    Image.fromarray(scenes(1)[0][0]).save(tmp_path / "a.png")
    predict_files(Ramp(), [tmp_path / "a.png"], tmp_path / "maps", size=32, flip=True, progress=False)
    with Image.open(tmp_path / "maps/a.png") as found:
        assert set(np.unique(found)) <= {127, 128}


def test_files_at_two_scales(tmp_path):
    generator, photo = decided(), scenes(1)[0][0]
    Image.fromarray(photo).save(tmp_path / "a.png")
    predict_files(generator, [tmp_path / "a.png"], tmp_path, size=32, scales=(0.75, 1.5), progress=False)
    with Image.open(tmp_path / "a.png") as found:
        assert np.array_equal(found, predict(generator, photo, 32, scales=(0.75, 1.5)))
        assert not np.array_equal(found, predict(generator, photo, 32))


@pytest.mark.parametrize("bits", [8, 16])
def test_files_of_as_many_bits_as_are_asked_for(tmp_path, bits):
    generator, photo = decided(), scenes(1)[0][0]
    Image.fromarray(photo).save(tmp_path / "a.png")
    predict_files(generator, [tmp_path / "a.png"], tmp_path / "maps", size=32, bits=bits, progress=False)
    with Image.open(tmp_path / "maps/a.png") as found:
        assert found.mode == ("L" if bits == 8 else "I;16")
        assert np.array_equal(found, predict(generator, photo, 32, bits=bits))


def test_a_broken_photograph_is_named_and_leaves_no_map(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    with pytest.raises(MaganError, match=r"bad\.jpg"):
        predict_files(Brightness(), [tmp_path / "bad.jpg"], tmp_path / "maps", size=32, progress=False)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("photo", "told"),
    [
        (np.zeros((30, 45, 3), np.float32), r"float32 \(30, 45, 3\)"),
        (np.zeros((30, 45, 3), np.uint16), r"uint16 \(30, 45, 3\)"),
        (np.zeros((30, 45), np.uint8), r"uint8 \(30, 45\)"),
        (np.zeros((30, 45, 4), np.uint8), r"uint8 \(30, 45, 4\)"),
        (np.zeros((2, 30, 45, 3), np.uint8), r"uint8 \(2, 30, 45, 3\)"),
        (np.zeros((0, 45, 3), np.uint8), r"uint8 \(0, 45, 3\)"),
        ([np.zeros((30, 45, 3), np.uint8)], r"list \(\)"),
    ],
)
def test_what_is_no_photograph_says_what_is(photo, told):
    with pytest.raises(MaganError, match=rf"{told}; expected uint8 \(height, width, 3\)"):
        predict(build_generator(MODEL), photo, 16)


def test_the_seconds_a_photograph_are_the_median_without_reading(tmp_path, monkeypatch):
    clock, costs = [0.0], iter([1.0, 2.0, 9.0])

    def read(path):
        clock[0] += 100
        return np.zeros((8, 8, 3), np.uint8)

    def drawn(*_, **__):
        clock[0] += next(costs)
        return np.zeros((8, 8), np.uint8)

    monkeypatch.setattr(prediction.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(prediction, "read_photo", read)
    monkeypatch.setattr(prediction, "predict", drawn)
    photos = [tmp_path / f"{index}.png" for index in range(3)]
    assert predict_files(None, photos, tmp_path / "maps", size=8, progress=False) == 2.0
