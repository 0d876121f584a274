"""params.yaml as shipped, and everything that can be mistyped in it."""

import re
from pathlib import Path

import pandas as pd
import pytest

from magan_core import limits, params, paths, roles
from magan_core.errors import MaganError
from magan_core.models.discriminator import DEPTHS, build_discriminator
from magan_core.reporting import claims
from magan_core.reporting.sources import Results
from magan_core.reporting.tables import ROLES, VARIANTS

SHIPPED = Path(__file__).parent.parent / "params.yaml"


@pytest.fixture
def edited(tmp_path):
    """A function: write params.yaml with `old` replaced by `new` (once, and it must be there); return the
    path."""

    def edit(old, new):
        text = SHIPPED.read_text(encoding="utf-8")
        assert old in text
        (tmp_path / "params.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path / "params.yaml"

    return edit


def test_shipped_file_loads():
    settings = params.load(SHIPPED)
    assert list(settings["profiles"]) == [
        "demo",
        "smoke",
        "cuhk",
        "cuhk-seeds",
        "cuhk-cpu",
        "cuhk-cpu-shi",
        "released",
        "released-same",
        "released-wide",
        "released-further",
        "released-mixed",
        "released-pseudo",
        "released-defocus",
        "paper",
    ]
    assert settings["profile"] is settings["profiles"][settings["profile"]["name"]]
    demo = params.get_profile(settings, "demo")
    assert demo["runs"] == {name: run for name, run in settings["runs"].items() if "seed" not in run}
    run = params.get_run(demo, "magan-s-shi")
    assert (run["set"], run["unlabelled"], run["loss"]["adv"]) == ("shi", "frd", 0.001)
    assert params.get_run(demo, "manet-raw-dut")["model"] == {"energy": "raw"}


def test_the_paper_profile_is_as_printed():
    """Section IV-C, and raw energies as in Eq. 1."""
    paper = params.load(SHIPPED)["profiles"]["paper"]
    training = paper["training"]
    assert paper["model"]["backbone"] == "vgg16"
    assert paper["model"]["energy"] == "raw"
    assert (paper["training_size"], training["crop"], training["batch"]) == (384, 320, 8)
    assert training["lr"] == training["backbone_lr"] == 4e-4
    assert (training["betas"][0], training["weight_decay"], training["rotation"]) == (0.9, 5e-4, 0.15)
    assert training["schedule"] == "constant"
    assert training["steps"] == 1000 * 600 / 8  # 1000 epochs of DUT's 600 photographs
    assert training["supervised_share"] == 200 / 1000
    assert len(paper["runs"]) == 23
    assert "manet-raw-dut" not in paper["runs"], "there every run attends as printed"


RUNS_OF_TABLES = {
    "IV": "baseline hl-ll hl-ll-hca hl-ll-hca-sa hl-ll-hca-lca hl-ll-sa manet magan magan-s",
    "V": "manet-ce manet magan magan-adv1e-2 magan-adv1e-1 magan-noiou magan-iou5",
    "VI": "magan-rf1 magan-rf16 magan magan-rf256",
}


@pytest.mark.parametrize("table", RUNS_OF_TABLES)
def test_every_row_of_an_ablation_has_its_run_in_demo(table):
    demo = params.load(SHIPPED)["profiles"]["demo"]
    runs = [params.get_run(demo, f"{variant}-dut") for variant in RUNS_OF_TABLES[table].split()]
    rows = pd.read_csv(SHIPPED.parent / paths.PAPER_TABLES / f"table_{table}.csv")
    assert rows["method"].nunique() == len(runs)
    if table == "V":
        printed = [
            (1, 0, 0),
            (1, 1, 0),
            (1, 1, 0.001),
            (1, 1, 0.01),
            (1, 1, 0.1),
            (1, 0, 0.001),
            (1, 5, 0.001),
        ]
        assert [tuple(run["loss"][key] for key in ("ce", "iou", "adv")) for run in runs] == printed
    if table == "VI":
        assert [run["receptive_field"] for run in runs] == [1, 16, 70, 256]
    if table == "IV":
        assert ["+".join(run["parts"]) for run in runs] == [
            "HL",
            "HL+LL",
            "HL+LL+HCA",
            "HL+LL+HCA+SA",
            "HL+LL+HCA+LCA",
            "HL+LL+SA",
            *["HL+LL+HCA+SA+LCA"] * 3,
        ]


def cells(profile):
    """(table, variant, role, runs) of every cell that a run or another method of the profile could fill."""
    results = Results.of(profile["name"], profile)
    for number in limits.TABLES:
        for role in (ROLES[dataset] for dataset in claims.load(number)["dataset"].unique()):
            for variant in VARIANTS[number].values():
                yield number, variant, role, results.seeds(variant, role)


def test_every_variant_of_the_tables_has_a_run_in_demo():
    """Not so once: Table V asked for magan-adv0.01, the run was called magan-adv1e-2, its row was empty."""
    demo = params.load(SHIPPED)["profiles"]["demo"]
    empty = [(number, variant, role) for number, variant, role, runs in cells(demo) if not runs]
    others = {*demo["check"]["baselines"], *demo["classical"]}
    assert {variant for _, variant, _ in empty} == others
    assert {number for number, _, _ in empty} == {"I", "II", "III"}


@pytest.mark.parametrize("name", list(params.load(SHIPPED)["profiles"]))
def test_every_run_of_a_profile_is_shown_in_a_table(name):
    profile = params.load(SHIPPED)["profiles"][name]
    assert {run for *_, runs in cells(profile) for run in runs} == set(profile["runs"])


def test_ctcug_is_scored_with_the_models_of_dut():
    settings = params.load(SHIPPED)
    for name, role in (("demo", "dut"), ("cuhk", "zhao")):
        profile = settings["profiles"][name]
        assert roles.test_sets(profile, {"set": "dut"}) == [role, "ctcug"]
        assert roles.test_sets(profile, {"set": "shi"}) == ["shi"]
    assert roles.source_set(settings["profiles"]["cuhk"], "dut") == "zhao"
    cuhk = settings["profiles"]["cuhk"]
    for role, tested in (("shi", ["zhao", "shi"]), ("zhao", ["zhao"])):
        other = cuhk | {"sets": cuhk["sets"] | {"ctcug": {"same_as": role}}}
        assert roles.test_sets(other, {"set": "dut"}) == tested
    own = {"name": "own", "sets": {"mine": {"source": "photos"}}}
    assert roles.test_sets(own, {"set": "mine"}) == ["mine"]


def test_the_set_that_methods_are_shown_on():
    profiles = params.load(SHIPPED)["profiles"]
    assert {name: roles.judging_set(profile) for name, profile in profiles.items()} == {
        "demo": "dut",
        "smoke": "dut",
        "cuhk": "zhao",
        "cuhk-seeds": "zhao",
        "cuhk-cpu": "zhao",
        "cuhk-cpu-shi": "shi",
        "released": "zhao",
        "released-same": "zhao",
        "released-wide": "zhao",
        "released-further": "zhao",
        "released-mixed": "zhao",
        "released-pseudo": "zhao",
        "released-defocus": "zhao",
        "paper": "dut",
    }
    runs = {"manet-b": {"set": "b"}, "manet-a": {"set": "a"}}
    without_dut = {"name": "own", "sets": {"a": {"source": "photos"}, "b": {"same_as": "a"}}, "runs": runs}
    assert roles.judging_set(without_dut) == "a"


def test_a_run_may_have_a_seed_and_a_model_of_its_own(edited):
    path = edited(
        "  manet-ce-dut:", "  manet-dut-s7: {<<: *manet, seed: 7, model: {dropout: 0}}\n  manet-ce-dut:"
    )
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("      - manet-dut\n", "      - manet-dut\n      - manet-dut-s7\n", 1))
    demo = params.load(path)["profiles"]["demo"]
    run = params.get_run(demo, "manet-dut-s7")
    assert (run["seed"], run["model"]) == (7, {"dropout": 0})
    assert {key: run[key] for key in ("set", "variant", "parts", "loss")} == params.get_run(demo, "manet-dut")
    assert Results.of("demo", demo).seeds("manet", "dut") == ["manet-dut", "manet-dut-s7"]


MISTAKES = {
    "profile": ("profile: *demo", "profile: *dmo", "did you mean 'demo'"),
    "profile without its star": ("profile: *demo", "profile: demo", "must be one of: *demo"),
    "profile that is none": ("profile: *demo", "profile: *slim", "must be one of: *demo"),
    "section": ("folders:", "folder:", "did you mean 'folders'"),
    "unlabelled photographs from a set with masks": (
        "variant: magan-s, unlabelled: frd,",
        "variant: magan-s, unlabelled: zhao,",
        "the set 'zhao', which has none",
    ),
    "run": ("- hl-ll-hca-dut", "- hl-ll-hcb-dut", "did you mean 'hl-ll-hca-dut'"),
    "key of a run": ("parts: [HL],", "part: [HL],", "did you mean 'parts'"),
    "loss": ("iou: 1.0, adv: 0.0}", "iuo: 1.0, adv: 0.0}", "did you mean 'iou'"),
    "no size to test at": ("test_scales: [1.0] ", "test_scales: [] ", "multiples of it, such as 320 and"),
    "a size below one pixel": ("test_scales: [1.0] ", "test_scales: [-1.0] ", "test_scales [-1.0]; expected"),
    "a size as text": ("test_scales: [1.0] ", "test_scales: [1e] ", "test_scales ['1e']; expected"),
    "loss as text": ("adv: 0.001}", "adv: 0.001x}", "adv is '0.001x', not float"),
    "name of a run": (
        "manet-shi:               {", "manet-sh: {", "'manet-shi'",
    ),
    "variant that is a path": ("variant: magan-rf1,", "variant: ../x,", "variant '../x': folders"),
    "variant beyond ASCII": ("variant: magan-rf1,", "variant: magan-ø1,", "variant 'magan-ø1': folders"),
    "profile with a dot in it": ("    name: smoke\n", "    name: smoke.v2\n", "profile 'smoke.v2': YAML"),
    "weights of no name": (
        "file: tf_efficientnet_lite0_fp16.safetensors}\n    discriminator: {channels: 16}",
        "file: ''}\n    discriminator: {channels: 16}",
        "file is ''; it must be null",
    ),
    "profile with a space in it": ("    name: demo\n", "    name: a demo\n", "profile 'a demo': folders"),
    "published maps that are hidden": ("LBP-published:  {", ".LBP: {", "published maps '.LBP': folders"),
    "key of a profile": ("    training_size: 128", "    trainin_size: 128", "did you mean 'training_size'"),
    "profile without a name": ("    name: demo\n", "", "'name' is missing"),
    "key of a model": ("      dilation: 2", "      dilatoin: 2", "did you mean 'dilation'"),
    "key of training": ("      batch: 4", "      bacth: 8", "did you mean 'batch'"),
    "missing key": ("      batch: 4\n", "", "'batch' is missing"),
    "rate as text": ("      lr: 3.0e-3", "      lr: '1e-4'", "demo: lr is '1e-4', not float"),
    "dropout as text": ("dropout: 0.1", "dropout: 1e", "dropout is '1e', not float"),
    "margin as text": ("mae_margin: 0.005}", "mae_margin: 1%}", "mae_margin is '1%'"),
    "seed that is not in the name": (
        "  manet-shi:               {<<: *manet,", "  manet-shi: {<<: *manet, seed: 3,",
        "here 'manet-shi-s3'",
    ),
    "seed in the name alone": ("  manet-zhao:", "  manet-zhao-s9:", "here 'manet-zhao'"),
    "model of a run": ("model: &raw {energy: raw}", "model: &raw {enrgy: raw}", "did you mean 'energy'"),
    "value of the model of a run": ("{energy: raw}", "{dropout: 1%}", "manet-raw-dut: dropout is '1%'"),
    "model of a run that is a value": ("model: {<<: *raw}", "model: raw", "model is 'raw', not dict"),
    "the same run under two names": ("      - manet-zhao\n", "      - manet-zhao\n      - manet-zhao-s2\n",
                                     "'manet-zhao-s2' of profile demo has the profile's own seed"),
    "seed of a run as text": ("variant: hl-ll-sa,", "variant: hl-ll-sa, seed: x,", "seed is 'x', not int"),
    "key of a run twice": ("{<<: *manet, set: shi,", "{<<: *manet, set: shi, set: zhao,", "'set' stands"),
    "run twice": ("  manet-zhao:", "  manet-shi:", "'manet-shi' stands twice, in lines"),
    "key of a profile twice": ("    threads: 1\n", "    threads: 1\n    threads: 4\n", "'threads' stands"),
    "name of a profile twice": ("    name: smoke", "    name: demo", "two profiles named 'demo'"),
    "key of published maps": ("suffix: \"\", set: shi", "sufix: \"\", set: shi", "did you mean 'suffix'"),
    "polarity of published maps": ("white: blur, suffix", "white: blurr, suffix", "did you mean 'blur'"),
    "polarity of their masks": ("masks_white: blur}", "masks_white: fokus}", "did you mean 'focus'"),
    "missing key of published maps": ("folder: cuhk/LBP, ", "", "'folder' is missing"),
    "classical method": ("[LBP, HiFST,", "[LPB, HiFST,", "did you mean 'LBP'"),
    "set of published maps": (
        "set: shi, masks: cuhk/masks", "set: shy, masks: cuhk/masks",
        "unknown set of published maps LBP-published in profile cuhk 'shy'; did you mean 'shi'",
    ),
    "metric of the tolerance": ("{f_beta: 0.01,", "{fbeta: 0.01,", "did you mean 'f_beta'"),
    "tolerance as text": ("{f_beta: 0.01,", "{f_beta: 1%,", "comparison.tolerance: f_beta is '1%'"),
    "number of resamples": ("resamples: 2000", "resamples: 2e3", "resamples is 2000.0, not int"),
    "missing key of the comparison": ("  resamples: 2000", "", "'resamples' is missing"),
    "steps that are no whole number": ("steps: 360", "steps: 360.5", "steps is 360.5, not int"),
    "batch that is true": ("      batch: 4", "      batch: true", "batch is True, not int"),
    "pooling that is a number": ("pooling: true", "pooling: 1", "pooling is 1, not bool"),
    "seed as text": ("    seed: 1", "    seed: one", "seed is 'one', not int"),
    "section that is a value": (
        "discriminator: {channels: 16}", "discriminator: 16", "discriminator is 16, not dict",
    ),
    "set of a run": (
        "      dut:   {source: synthetic, character: clutter, train: 160, test: 40, size: 128}\n", "",
        "unknown set of run baseline-dut in profile demo 'dut'",
    ),
    "list of a run": ("[magan-s-dut, magan-s-shi, magan-s-zhao]", "[manet-shi-s2]", "is in the wrong list"),
    "receptive field": (
        "&baseline      {set: dut,", "&baseline {receptive_field: 1, set: dut,", "goes with loss.adv",
    ),
    "rows that are no list": ("rows: []", "rows: {}", "it must be a list"),
    "key of a row": ("rows: []", "rows: [{tabel: IV, row: x, variant: manet}]", "did you mean 'table'"),
    "missing key of a row": ("rows: []", "rows: [{table: IV, row: x}]", "'variant' is missing"),
    "table of a row": ("rows: []", "rows: [{table: VII, row: x, variant: manet}]", "table of row 'x' 'VII'"),
    "variant of a row": ("rows: []", "rows: [{table: IV, row: x, variant: manets}]", "did you mean 'manet'"),
    "two rows of one name": (
        "rows: []", "rows: [{table: IV, row: x, variant: manet}, {table: IV, row: x, variant: magan}]",
        "'x' of Table IV twice",
    ),
    "variant that a row is held against": (
        "rows: []", "rows: [{table: IV, row: x, variant: manet, against: magn}]", "did you mean 'magan'",
    ),
    "row of published maps that is held against another": (
        "rows: []", "rows: [{table: I, row: x, variant: LBP-published, against: manet}]",
        "unknown variant of row",
    ),
    "set under a name of its own": (
        "dut:   {same_as: zhao}", "mine: {source: mine, white: focus}",
        "a set takes the place of one of the paper's: shi, zhao, dut, ctcug, frd",
    ),
    "row of published maps in the table of seconds": (
        "rows: []", "rows: [{table: II, row: x, variant: LBP-published}]", "published maps have no seconds",
    ),
    "run listed twice": ("      - manet-shi\n", "      - manet-dut\n", "demo lists 'manet-dut' twice"),
    "detector listed twice": ("[LBP, HiFST, DBDF, SS, ASVB]", "[LBP, SS, LBP]", "lists 'LBP' twice"),
    "set that is the same as none": ("dut:   {same_as: zhao}", "dut: {same_as: zaho}", "mean 'zhao'"),
    "set that is the same as one that is the same": (
        "dut:   {same_as: zhao}\n      ctcug: {source: szu-bd, white: blur, test_split: test.txt}",
        "dut:   {same_as: ctcug}\n      ctcug: {same_as: zhao}", "unknown set that 'dut'",
    ),
    "set that is the same and more": (
        "dut:   {same_as: zhao}", "dut: {same_as: zhao, white: blur}", "can say nothing else. Remove white",
    ),
    "published maps left empty": (
        "    published: *published\n", "    published:\n", "published is None, not dict",
    ),
    "maps published twice": (
        "{method: DBDF,", "{method: LBP,", "published maps of LBP on shi twice",
    ),
    "key of the folders": ("  weights: data/weights", "  wieghts: data/weights", "did you mean 'weights'"),
    "missing key of the folders": ("  weights: data/weights", "", "'weights' is missing"),
    "folder that is a number": ("  weights: data/weights", "  weights: 5", "folders: weights is 5, not str"),
    "not YAML": ("folders:", "folders: [", "is not valid YAML"),
}  # fmt: skip


BEYOND = {
    "    seed: 2": ("    seed: -5", "profile demo: seed is -5; it must be a whole number from 0"),
    "threads: 1": ("threads: 0", "profile demo: threads is 0"),
    "training_size: 128": ("training_size: 0", "profile demo: training_size is 0"),
    "      width: 0.125": ("      width: 0.0", "profile demo: width is 0.0"),
    "head_channels: 16": ("head_channels: 0", "profile demo: head_channels is 0"),
    "      dilation: 2": ("      dilation: 0", "profile demo: dilation is 0"),
    "dropout: 0.1": ("dropout: 1.0", "profile demo: dropout is 1.0"),
    "energy: mean": ("energy: means", "unknown energy of profile demo 'means'; did you mean 'mean'"),
    "axis: sources": ("axis: source", "unknown axis of profile demo 'source'"),
    "{channels: 16}": ("{channels: -1}", "profile demo: channels is -1"),
    "steps: 360": ("steps: 0", "profile demo: steps is 0; it must be a whole number from 1 on"),
    "warmup_steps: 10": ("warmup_steps: -1", "profile demo: warmup_steps is -1"),
    "      warmup_steps: 10": ("      warmup_steps: 360", "warmup_steps is 360 of 360 steps"),
    "batch: 4": ("batch: 0", "profile demo: batch is 0"),
    "      batch: 4": ("      batch: 1", "profile demo: batch is 1; run magan-s-dut needs 2"),
    "crop: 96": ("crop: 0", "profile demo: crop is 0"),
    "      crop: 96": ("      crop: 129", "profile demo: crop 129 is larger than the prepared 128 px"),
    "crop: 96\n": ("crop: 95\n", "run magan-rf256-dut in profile demo: crops of 95 px are too small"),
    "rotation: 0.15": ("rotation: 8.5", "profile demo: rotation is 8.5"),
    "window: 1.0": ("window: 0.5", "profile demo: window is 0.5; it must be 1 (off) or more"),
    "window: 1.0 ": ("window: 1.4 ", "crops of 96 px in a set of 128 px allow 1 (off) to 1.333"),
    "jitter: 0.0": ("jitter: 1.0", "profile demo: jitter is 1.0"),
    "noise: 0.0": ("noise: -0.1", "profile demo: noise is -0.1; it must be 0 (off) or a deviation"),
    "defocus: 0.0": ("defocus: 1.5", "profile demo: defocus is 1.5; it must be 0 (off) or a share"),
    "cutmix: 0.0": ("cutmix: 1.5", "profile demo: cutmix is 1.5; it must be 0 (off) or a share"),
    "      lr: 3.0e-3": ("      lr: -1.0", "profile demo: lr is -1.0"),
    "backbone_lr: 3.0e-3": ("backbone_lr: -1.0", "profile demo: backbone_lr is -1.0"),
    "discriminator_lr: 4.0e-4": ("discriminator_lr: .inf", "profile demo: discriminator_lr is inf"),
    "schedule: cosine": ("schedule: cosin", "unknown schedule of profile demo 'cosin'"),
    "betas: [0.9, 0.999]": ("betas: [0.9, 1]", "profile demo: betas is [0.9, 1]; it must be two numbers"),
    "betas: [0.9": ("betas: [a", "profile demo: betas is ['a', 0.999]; it must be two numbers"),
    "weight_decay: 5.0e-4": ("weight_decay: .nan", "profile demo: weight_decay is nan"),
    "adversarial: non_saturating": ("adversarial: minmax", "unknown adversarial of profile demo 'minmax'"),
    "supervised_share: 0.6": ("supervised_share: 60", "profile demo: supervised_share is 60"),
    "share: 0.6 ": ("share: 0.999 ", "run magan-s-dut in profile demo: supervised_share 0.999 of 360 steps"),
    "log_every: 10": ("log_every: 0", "profile demo: log_every is 0"),
    "precision: auto": ("precision: float16", "unknown precision of profile demo 'float16'"),
    "average: 0.0": ("average: 1.0", "profile demo: average is 1.0"),
    "save_seconds: 60": ("save_seconds: -1", "profile demo: save_seconds is -1"),
    "maps_every: 90": ("maps_every: -1", "profile demo: maps_every is -1"),
    "memory_share: 0.5": ("memory_share: 1.1", "profile demo: memory_share is 1.1"),
    "test_size: 128": ("test_size: -128", "profile demo: test_size is -128 and test_scales [1.0]"),
    "test_scales: [1.0]": ("test_scales: [1.0e+9]", "test_size is 128 and test_scales [1000000000.0]"),
    "mae_margin: 0.005": ("mae_margin: 1.5", "profile demo: mae_margin is 1.5"),
    "baselines: [constant, laplacian], mae_margin: 0.005": (
        "baselines: [constnat], mae_margin: 0.005", "unknown baseline in profile demo 'constnat'",
    ),
    "shi:   {source: synthetic, character: objects, train: 160, test: 40, size: 128}": (
        "shi: 5", "sets of profile demo: shi is 5, not dict",
    ),
    "    name: demo": ("    name: [demo]", "name is ['demo'], not str"),
    "resamples: 2000": ("resamples: 0", "comparison: resamples is 0"),
    "receptive_field: 16,": ("receptive_field: 17,", "run magan-rf16-dut: receptive field 17 is not one of"),
    "parts: [HL, LL, SA]": ("parts: [HL, SA]", "run hl-ll-sa-dut: parts ['HL', 'SA'] do not make a network"),
    "parts: [HL, LL, HCA]": ("parts: HL", "run hl-ll-hca-dut: parts is 'HL', not list"),
    "parts: [HL, LL, HCA],": ("parts: [HL, LL, CHA],", "part of the generator in run hl-ll-hca-dut 'CHA'"),
    "{ce: 1.0, iou: 1.0, adv: 0.01}": (
        "{ce: -1.0, iou: 1.0, adv: 0.01}", "run magan-adv1e-2-dut: the loss ce has the weight -1.0",
    ),
    "{ce: 1.0, iou: 0.0, adv: 0.0}": ("{ce: 0, iou: 0.0, adv: 0.0}", "run manet-ce-dut: all losses have"),
    "seed: 5,": ("seed: 100000000000000000000000,", "is 100000000000000000000000; it must be a whole number"),
    "model: &raw {energy: raw}": ("model: &raw {dropout: 2}", "model of run manet-raw-dut: dropout is 2"),
}  # fmt: skip


@pytest.mark.parametrize("setting", BEYOND)
def test_a_value_that_cannot_be_is_found_before_anything_runs(edited, setting):
    value, message = BEYOND[setting]
    with pytest.raises(MaganError, match=re.escape(message)):
        params.load(edited(setting, value))


def test_the_smallest_crops_are_those_of_the_discriminators():
    networks = {field: build_discriminator(field) for field in DEPTHS}
    assert {field: network.smallest for field, network in networks.items()} == limits.SMALLEST


def test_every_number_of_a_profile_has_its_limits():
    numbers = {
        key
        for section in params.SECTIONS.values()
        for key, kind in section.items()
        if kind in (int, float, list) and key != "baselines"
    }
    assert numbers <= set(limits.NUMBERS)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(edited, mistake):
    old, new, message = MISTAKES[mistake]
    with pytest.raises(MaganError, match=re.escape(message)):
        params.load(edited(old, new))


def test_a_whole_number_serves_as_a_float(edited):
    assert params.load(edited("rotation: 0.15 ", "rotation: 0 "))["profile"]["training"]["rotation"] == 0


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(MaganError, match="Run from the folder that holds"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(MaganError, match="found None, not keys"):
        params.load(tmp_path / "params.yaml")


def test_unknown_profile_and_run():
    settings = params.load(SHIPPED)
    with pytest.raises(MaganError, match="unknown profile 'cukh'; did you mean 'cuhk'"):
        params.get_profile(settings, "cukh")
    smoke = settings["profiles"]["smoke"]
    with pytest.raises(MaganError, match="unknown run of profile smoke 'magan-s-shi'"):
        params.get_run(smoke, "magan-s-shi")
    with pytest.raises(MaganError, match="unknown set of profile smoke 'szu'"):
        roles.source_set(smoke, "szu")


def test_crops_of_every_profile_fit_its_set():
    for profile in params.load(SHIPPED)["profiles"].values():
        training = profile["training"]
        assert training["window"] * training["crop"] <= profile["training_size"]


def test_the_released_model_is_trained_on_from_what_make_packs():
    commands = (SHIPPED.parent / "scripts/released_model.sh").read_text(encoding="utf-8")
    onward = {
        name: profile
        for name, profile in params.load(SHIPPED)["profiles"].items()
        if (profile["weights"]["file"] or "").startswith("build/")
    }
    assert len(onward) == 6
    assert f"--out {onward['released-pseudo']['sets']['zhao']['pseudo']['maps']} " in commands
    for name, profile in onward.items():
        assert f"--out {profile['weights']['file']}\n" in commands
        seeds = ",".join(run.rpartition("-s")[2] for run in profile["supervised"])
        assert f"results/{name}/runs/manet-zhao-s{{{seeds}}}/model.safetensors" in commands


def test_switch_changes_one_line_and_back(edited):
    path = edited("profile: *demo", "profile: *demo")
    before = path.read_text(encoding="utf-8")
    for name in params.load(path)["profiles"]:
        params.switch(name, path)
        assert params.load(path)["profile"]["name"] == name
        changed = [
            (old, new)
            for old, new in zip(
                before.splitlines(), path.read_text(encoding="utf-8").splitlines(), strict=True
            )
            if old != new
        ]
        assert len(changed) == (name != "demo")
    params.switch("demo", path)
    assert path.read_text(encoding="utf-8") == before
    with pytest.raises(MaganError, match="did you mean 'smoke'"):
        params.switch("smok", path)
    assert path.read_text(encoding="utf-8") == before


def test_the_grid_is_the_stages_of_dvc_yaml_that_train_or_detect():
    for name, profile in params.load(SHIPPED)["profiles"].items():
        stages = params.grid(profile)
        assert len(stages) == len(set(stages)) == len(profile["runs"]) + len(profile["classical"])
        assert any(stage.startswith(f"train@{name}-manet-") for stage in stages)
    assert params.grid(params.load(SHIPPED)["profiles"]["smoke"])[-2:] == [
        "train-semi@smoke-magan-s-dut",
        "classical@smoke-SS",
    ]


def overridden(path, *overrides):
    """params.yaml as `dvc exp run -S OVERRIDE...` writes it."""
    from dvc.utils.hydra import apply_overrides

    apply_overrides(path, list(overrides))
    return params.load(path)


def test_an_experiment_overrides_the_profile(edited):
    path = edited("profile: *demo", "profile: *smoke")
    settings = overridden(path, "profile.training.lr=0.01", "profile.supervised=[manet-dut]")
    assert settings["profile"] is settings["profiles"]["smoke"]
    assert settings["profile"]["training"]["lr"] == 0.01
    assert list(settings["profile"]["runs"]) == ["manet-dut", "magan-s-dut"]
    shipped = params.load(SHIPPED)["profiles"]
    assert settings["profiles"]["demo"] == shipped["demo"]
    assert shipped["smoke"]["training"]["lr"] == 0.003


@pytest.mark.parametrize("rate", ["1e-5", "0.00001", "2E-2", "+1.e-3"])
def test_numbers_are_what_dvc_takes_them_for(edited, rate):
    """DVC reads YAML 1.2 and writes 1e-05, which YAML 1.1 takes for text."""
    written = edited("      lr: 3.0e-3", f"      lr: {rate}")
    assert params.load(written)["profile"]["training"]["lr"] == float(rate)
    assert overridden(written, f"profile.training.lr={rate}")["profile"]["training"]["lr"] == float(rate)


def test_an_experiment_keeps_the_rows_beside_the_papers(edited):
    path = edited("rows: []\n", "rows:\n  - {table: IV, row: mine, variant: baseline}\n")
    rows = params.load(path)["profile"]["rows"]
    assert overridden(path, "profile.training.lr=0.01")["profile"]["rows"] == rows != []


def test_an_experiment_that_overrides_a_run_changes_that_one_alone(edited):
    """Runs that shared one loss would all get the last one's, and the override would be lost."""
    path = edited("profile: *demo", "profile: *demo")
    names = list(params.load(path)["runs"])
    wanted = {name: 2.0 + index for index, name in enumerate(names)}
    settings = overridden(path, *(f"runs.{name}.loss.iou={value}" for name, value in wanted.items()))
    assert {name: run["loss"]["iou"] for name, run in settings["runs"].items()} == wanted


def test_a_wrong_override_is_an_error(edited):
    path = edited("profile: *demo", "profile: *smoke")
    with pytest.raises(MaganError, match="seed is 'two', not int"):
        overridden(path, "profile.seed=two")


def test_from_a_profile_that_has_gone_one_can_switch_to_another(edited):
    path = edited("profile: *demo", "profile: *try")
    with pytest.raises(
        MaganError, match=r"end of params\.yaml \(`magan profile NAME`\) 'try'\. Allowed: demo"
    ):
        params.load(path)
    with pytest.raises(MaganError, match="did you mean 'smoke'"):
        params.switch("smok", path)
    params.switch("smoke", path)
    assert params.load(path)["profile"]["name"] == "smoke"


def test_a_profile_without_an_anchor_of_its_name_cannot_be_switched_to(edited):
    path = edited("name: smoke", "name: mine")
    before = path.read_text(encoding="utf-8")
    with pytest.raises(MaganError, match=r"the profile mine of .* has no anchor of its name"):
        params.switch("mine", path)
    assert path.read_text(encoding="utf-8") == before


def test_a_profile_that_is_written_out_cannot_be_switched(edited):
    path = edited("profile: *demo", "profile: *demo")
    overridden(path, "profile.seed=5")
    before = path.read_bytes()
    with pytest.raises(MaganError, match="is written out, as `dvc exp apply` leaves it"):
        params.switch("smoke", path)
    assert path.read_bytes() == before


def test_folders_of_raw_data_weights_and_published_maps(monkeypatch):
    for name in ("MAGAN_DATA", "MAGAN_WEIGHTS", "MAGAN_PUBLISHED"):
        monkeypatch.delenv(name, raising=False)
    assert paths.published() == Path("data/published_maps")
    assert paths.published("elsewhere") == Path("elsewhere")
    assert paths.raw() == Path("data/raw")
    assert paths.raw("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("HOME", "/somebody")
    assert paths.raw("~/sets") == Path("/somebody/sets")
    assert paths.weights_file("~/vgg.safetensors", Path("x")) == Path("/somebody/vgg.safetensors")
    assert paths.weights("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("MAGAN_DATA", "/photos")
    monkeypatch.setenv("MAGAN_WEIGHTS", "/weights")
    assert paths.raw("elsewhere") == Path("/photos")
    assert paths.weights("elsewhere") == Path("/weights")
    monkeypatch.setenv("MAGAN_PUBLISHED", "/maps")
    assert paths.published("elsewhere") == Path("/maps")


def test_profiles_share_no_folder():
    for folder in (
        paths.prepared,
        paths.runs,
        paths.maps,
        paths.scores,
        paths.tables,
        paths.figures,
        paths.report,
    ):
        one, other = folder("demo"), folder("smoke")
        assert one != other
        assert not one.is_absolute()
        assert "demo" in one.parts
