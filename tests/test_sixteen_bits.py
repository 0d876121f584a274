"""Maps of 16 bits drawn, written, read, counted and scored, against those of 8 bits and scikit-learn."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from map_pairs import sets, statistics
from PIL import Image
from sklearn.metrics import fbeta_score, jaccard_score, mean_absolute_error, roc_auc_score
from test_images import save_deep_colour
from tiny import MODEL, decided, scenes

from magan_core import cli, metrics
from magan_core.data.images import bits_of_map, read_map, read_origin, read_photo, resize, write_map
from magan_core.errors import MaganError
from magan_core.evaluation import compare, evaluate
from magan_core.metrics.scores import features
from magan_core.models import PARTS
from magan_core.models.weights import save_model
from magan_core.prediction import predict
from magan_core.score_files import read_statistics

TOP = 65535
PAPER = metrics.PROTOCOLS["paper"]


def deep_pair(seed: int, shape: tuple[int, int] = (19, 23)) -> tuple[np.ndarray, np.ndarray]:
    """A map, half of whose values are at most 255 from either end, and a mask of both classes."""
    random = np.random.default_rng(seed)
    mask = np.where(random.random(shape) < 0.4, 255, 0).astype(np.uint8)
    mask[0, :2] = 0, 255
    score = 1 / (1 + np.exp(-random.normal(0, 6, shape) - mask / 64))
    return (score * TOP).round().astype(np.uint16), mask


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_every_value_is_read_as_it_was_stored(tmp_path, suffix):
    values = np.arange(0, 65536, 11).astype(np.uint16)[:5950].reshape(70, 85)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(values).save(path)
    found = read_map(path, 16)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(read_map(path), np.rint(values / 257))
    assert bits_of_map(path) == 16


def test_eight_bits_are_sixteen_with_the_same_white(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = read_map(tmp_path / "a.png", 16)
    assert (found.dtype, bits_of_map(tmp_path / "a.png")) == (np.uint16, 8)
    np.testing.assert_array_equal(found / TOP, values / 255)


@pytest.mark.parametrize("name", ["colour.png", "colour.tif", "colour alpha.png"])
def test_sixteen_bits_that_would_be_read_as_eight_are_refused(tmp_path, name):
    grey = np.arange(1000, 65000, 4000).astype(np.uint16).reshape(4, 4)
    opaque = [np.full_like(grey, TOP)] if "alpha" in name else []
    save_deep_colour(tmp_path / name, np.stack([grey] * 3 + opaque, 2))
    np.testing.assert_array_equal(read_map(tmp_path / name), grey >> 8)
    assert bits_of_map(tmp_path / name) == 16
    with pytest.raises(MaganError, match=r"colour.*16-bit samples in colour.*expected plain grey"):
        read_map(tmp_path / name, 16)


def test_a_map_is_written_with_its_origin(tmp_path):
    values, _ = deep_pair(0)
    write_map(tmp_path / "a.png", values, "of this")
    np.testing.assert_array_equal(read_map(tmp_path / "a.png", 16), values)
    assert read_origin(tmp_path / "a.png") == "of this"
    with pytest.raises(MaganError, match=r"int32.*expected uint8 or uint16"):
        write_map(tmp_path / "b.png", values.astype(np.int32))
    assert not (tmp_path / "b.png").exists()


def test_resized_as_eight_bits_are():
    values = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    for shape in ((57, 33), (21, 90)):
        deep = resize(values.astype(np.uint16) * 257, *shape)
        assert deep.dtype == np.uint16
        assert abs(deep / 257 - resize(values, *shape)).max() < 1.1
    edge = np.repeat(np.uint16([0, TOP]), 30)[None].repeat(40, 0)
    for width in (45, 90, 150):
        wide = resize(edge, 40, width)[20].astype(int)
        assert (np.diff(wide) >= 0).all()  # no value runs over
        assert set(wide[: width // 2 - 5]) == {0}
        assert set(wide[width // 2 + 5 :]) == {TOP}


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_counts_are_those_of_a_loop(data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(2, 6)))
    values = st.one_of(st.sampled_from([0, 1, 255, 256, 32767, 32768, TOP]), st.integers(0, TOP))
    focus_map = data.draw(hnp.arrays(np.uint16, shape, elements=values))
    mask = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 255])))
    expected = np.zeros((2, 65536), np.int64)
    for value, white in zip(focus_map.ravel(), mask.ravel(), strict=True):
        expected[int(white == 255), value] += 1
    np.testing.assert_array_equal(metrics.histograms(focus_map, mask), expected)


@given(sets, st.sampled_from(list(metrics.PROTOCOLS.values())))
@settings(max_examples=60, deadline=None)
def test_maps_of_eight_bits_have_the_same_scores_in_sixteen(drawn, protocol):
    """Every protocol: every count at every threshold, so every curve too, and the shares behind intervals."""
    shallow = statistics(*drawn)
    deep = statistics(*((focus_map.astype(np.uint16) * 257, mask) for focus_map, mask in drawn))
    assert deep.shape == (*shallow.shape[:2], 65536)
    for of in (metrics.summary, metrics.curves, metrics.per_image):
        one, other = of(shallow, protocol), of(deep, protocol)
        for name in one:
            np.testing.assert_allclose(other[name], one[name], rtol=0, atol=1e-12, err_msg=name)
    one, other = features(shallow, protocol), features(deep, protocol)
    for name in one.keys() - {"histograms"}:
        np.testing.assert_allclose(other[name], one[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", metrics.PROTOCOLS)
def test_intervals_are_the_same_too(name):
    protocol = metrics.PROTOCOLS[name]
    pairs = [deep_pair(seed) for seed in range(4)]
    shallow = statistics(*(((values >> 8).astype(np.uint8), mask) for values, mask in pairs))
    deep = statistics(*(((values >> 8) * 257, mask) for values, mask in pairs))
    one, other = (metrics.intervals(stats, protocol, resamples=20) for stats in (shallow, deep))
    assert {name: pytest.approx(ends, abs=1e-12) for name, ends in one.items()} == other


@pytest.mark.parametrize("positive", ["blurred", "focus"])
def test_scores_agree_with_scikit_learn(positive):
    focus_map, mask = deep_pair(3)
    stats = statistics((focus_map, mask))
    truth = (mask == (255 if positive == "focus" else 0)).ravel()
    score = (focus_map if positive == "focus" else ~focus_map).ravel().astype(int)
    for quarters in range(5):
        protocol = metrics.Protocol("own", "", positive, f_rule="fixed", level=quarters, iou_at=quarters)
        predicted = 4 * score >= TOP * quarters
        expected = {
            "f_beta": fbeta_score(truth, predicted, beta=0.3**0.5, zero_division=0.0),
            "iou": jaccard_score(truth, predicted),
            "mae": mean_absolute_error(truth, score / TOP),
            "auc": roc_auc_score(truth, score),
        }
        found = metrics.summary(stats, protocol)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def folders(tmp_path):
    """maps/ of 16 bits, rounded/ to 8, inverted/, and masks/ of four images."""
    for number in range(4):
        values, mask = deep_pair(number)
        pictures = {
            "maps": values,
            "rounded": np.rint(values / 257).astype(np.uint8),
            "inverted": ~values,
            "masks": mask,
        }
        for name, picture in pictures.items():
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_evaluate_scores_all_sixteen_where_it_is_told_to(folders, capsys):
    masks = folders / "masks"
    rounded = evaluate(folders / "rounded", masks)
    told = {name: rounded[name] for name in metrics.SCORES}
    plain = evaluate(folders / "maps", masks)
    assert {name: plain[name] for name in metrics.SCORES} == told
    assert plain["notes"] == ["4 of 4 maps have 16 bits and were scored with 8"]

    cli.main([
        "evaluate", "--maps", str(folders / "maps"), "--masks", str(masks), "--bits", "16",
        "--out", str(folders / "deep"),
    ])  # fmt: skip
    summary = json.loads((folders / "deep/summary.json").read_text())
    pairs = [deep_pair(number) for number in range(4)]
    expected = {name: round(value, 8) for name, value in metrics.summary(statistics(*pairs), PAPER).items()}
    assert {name: summary[name] for name in metrics.SCORES} == expected
    assert summary["auc"] == pytest.approx(
        np.mean([roc_auc_score((mask == 0).ravel(), -focus.ravel().astype(int)) for focus, mask in pairs]),
        abs=1e-8,
    )
    assert summary["auc"] > told["auc"]  # ties of 8 bits are none any more
    assert "notes" not in summary
    assert summary["scored"]["bits"] == 16
    assert f"auc      {summary['auc']:.4f}" in capsys.readouterr().out
    np.testing.assert_array_equal(read_statistics(folders / "deep/statistics.npy"), statistics(*pairs))

    inverted = evaluate(folders / "inverted", masks, maps_white="blur", bits=16)
    assert {name: inverted[name] for name in metrics.SCORES} == expected


def test_maps_of_eight_bits_may_be_scored_with_sixteen(folders):
    """With the scores of their 8, which is told."""
    one, other = (evaluate(folders / "rounded", folders / "masks", bits=bits) for bits in (8, 16))
    (note,) = other["notes"]
    assert note == "4 of 4 maps have 8 bits: their AUC and AUF_beta are not like those of 16"
    assert {name: other[name] for name in metrics.SCORES} == {name: one[name] for name in metrics.SCORES}


def test_maps_of_another_size_are_resized(folders):
    for number in range(4):
        values = read_map(folders / f"maps/{number}.png", 16)
        write_map(folders / f"maps/{number}.png", resize(values, 40, 50))
    summary = evaluate(folders / "maps", folders / "masks", bits=16, resample=True)
    expected = statistics(
        *((resize(resize(values, 40, 50), 19, 23), mask) for values, mask in map(deep_pair, range(4)))
    )
    assert summary["mae"] == round(metrics.summary(expected, PAPER)["mae"], 8)
    assert summary["notes"] == ["4 of 4 maps had another size than their mask and were resized (bicubic)"]


def test_dark_maps_are_told_as_those_of_eight_bits(folders):
    for number in range(4):
        write_map(folders / f"maps/{number}.png", read_map(folders / f"maps/{number}.png", 16) >> 4)
    notes = evaluate(folders / "maps", folders / "masks", bits=16)["notes"]
    assert notes[0] == "no map value is above 16 of 255: are they of fewer bits than their files?"


def test_scores_of_eight_and_sixteen_bits_are_not_compared(folders):
    for bits in (8, 16):
        evaluate(folders / "maps", folders / "masks", bits=bits, out=folders / f"of {bits}")
    assert compare(folders / "of 16", folders / "of 16")["auc"].difference == 0
    for pair in (("of 8", "of 16"), ("of 16", "of 8")):
        with pytest.raises(MaganError, match=r"of 16 was scored with 16 bits and .*of 8 with 8.*same --bits"):
            compare(*(folders / name for name in pair))


class Ramp(torch.nn.Module):
    """Logits from -12 to 12 along the columns, whatever the photograph."""

    def forward(self, images):
        return torch.linspace(-12, 12, images.shape[3]).expand(1, 1, *images.shape[2:])


def test_predict_tells_apart_what_eight_bits_do_not():
    photo = np.zeros((48, 64, 3), np.uint8)
    shallow, deep = (predict(Ramp(), photo, 64, bits=bits) for bits in (8, 16))
    assert (shallow.dtype, deep.dtype) == (np.uint8, np.uint16)
    assert abs(deep[0] / TOP - 1 / (1 + np.exp(-np.linspace(-12, 12, 64)))).max() < 1 / TOP
    assert abs(deep / 257 - shallow).max() <= 0.51
    assert len(np.unique(deep)) > 1.3 * len(np.unique(shallow))
    np.testing.assert_array_equal(deep >> 8 >= 128, shallow >= 128)


def test_a_panorama_has_them_too():
    photo = np.zeros((32, 128, 3), np.uint8)
    shallow, deep = (predict(Ramp(), photo, 64, bits=bits) for bits in (8, 16))
    assert deep.dtype == np.uint16
    assert abs(deep / 257 - shallow).max() <= 0.51


@pytest.mark.parametrize("bits", [7, 12, 32])
def test_no_map_of_another_number_of_bits(folders, bits):
    message = f"{bits} bits a sample of a map; expected 8 or 16"
    with pytest.raises(MaganError, match=message):
        predict(Ramp(), np.zeros((48, 64, 3), np.uint8), 64, bits=bits)
    with pytest.raises(MaganError, match=message):
        evaluate(folders / "maps", folders / "masks", bits=bits)


def test_a_map_of_our_own_may_be_nearly_black(folders):
    """Where nothing is in focus for sure; of others such values are taken for those of 8 bits."""
    dark = read_map(folders / "maps/0.png", 16) // 300
    Image.fromarray(dark).save(folders / "maps/0.png")
    for bits in (8, 16):
        with pytest.raises(MaganError, match="none of them above 255 of 65535"):
            read_map(folders / "maps/0.png", bits)
    write_map(folders / "maps/0.png", dark)
    np.testing.assert_array_equal(read_map(folders / "maps/0.png", 16), dark)
    np.testing.assert_array_equal(read_map(folders / "maps/0.png"), np.rint(dark / 257))
    assert evaluate(folders / "maps", folders / "masks", bits=16)["images"] == 4
    for number in range(4):
        write_map(folders / f"maps/{number}.png", read_map(folders / f"maps/{number}.png", 16) // 200)
    notes = evaluate(folders / "maps", folders / "masks", bits=16)["notes"]
    assert any(note.startswith("no map value is above 1 of 255") for note in notes)


def test_predict_writes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_model(decided(), MODEL, list(PARTS), 32, tmp_path / "model.safetensors")
    (tmp_path / "photos").mkdir()
    Image.fromarray(scenes(1)[0][0]).save("photos/a.png")

    def call(*words, out):
        cli.main(
            ["predict", "photos", "--out", out, "--model", "model.safetensors", "--overlay", "--json", *words]
        )
        return json.loads(capsys.readouterr().out)

    plain, deep = call(out="plain"), call("--bits", "16", out="deep")
    assert (plain["bits"], deep["bits"]) == (8, 16)
    assert (bits_of_map("plain/a.png"), bits_of_map("deep/a.png")) == (8, 16)
    one, other = read_map("plain/a.png"), read_map("deep/a.png", 16)
    assert len(np.unique(other)) > 256
    assert abs(other / 257 - one).max() <= 0.51
    assert plain["photographs"][0]["in_focus"] == deep["photographs"][0]["in_focus"]
    assert abs(read_photo("plain/a.overlay.jpg").astype(int) - read_photo("deep/a.overlay.jpg")).max() <= 3

    again = call("--bits", "16", "--resume", out="deep")["photographs"][0]
    assert again["kept"]
    assert again["in_focus"] == deep["photographs"][0]["in_focus"]
    assert not call("--resume", out="deep")["photographs"][0]["kept"]  # 8 bits are another map
    assert bits_of_map("deep/a.png") == 8


def test_no_other_number_of_bits(capsys):
    for words in (["predict", "photos"], ["evaluate", "--maps", "maps", "--masks", "masks"]):
        with pytest.raises(SystemExit) as stop:
            cli.main([*words, "--out", "out", "--bits", "12"])
        assert stop.value.code == 2
        assert "invalid choice: 12" in capsys.readouterr().err
