"""Data that do not fit are read row by row, and nothing else changes."""

import json

import numpy as np
import pytest
import torch
from tiny import PROFILE, RUN, TRAINING, prepared

from magan_core.data.prepared import load_train
from magan_core.errors import MaganError
from magan_core.training import stream
from magan_core.training.run import train_run
from magan_core.training.stream import Streamed, place

CPU = torch.device("cpu")


@pytest.fixture
def arrays(tmp_path):
    """Of 6 photographs of 40 px: 28 800 bytes of images and 9 600 of masks, memory-mapped."""
    return load_train(prepared(tmp_path / "data") / "shi")


def test_rows_of_a_file_are_those_of_the_tensor(arrays):
    streamed, tensor = Streamed(arrays.images, CPU), torch.from_numpy(np.array(arrays.images))
    assert (len(streamed), streamed.shape) == (len(tensor), tensor.shape)
    for rows in ([4], [5, 0, 0, 2], []):
        rows = torch.tensor(rows, dtype=torch.long)
        assert torch.equal(streamed[rows], tensor[rows])
    streamed[torch.tensor([1])].zero_()
    assert torch.equal(streamed[torch.arange(6)], tensor), "a batch is a copy"


@pytest.mark.parametrize(
    ("free", "share", "neighbours", "streamed"),
    [
        (38_400, 1.0, 1, False),
        (38_399, 1.0, 1, True),
        (76_800, 0.5, 1, False),
        (76_799, 0.5, 1, True),
        (76_800, 1.0, 2, False),  # each process on a machine has its own copy
        (76_799, 1.0, 2, True),
        (10**12, 0.0, 1, True),
    ],
)
def test_the_bytes_of_all_arrays_decide(arrays, monkeypatch, free, share, neighbours, streamed):
    monkeypatch.setattr(stream, "free_bytes", lambda device: free)
    images, masks, none = place([arrays.images, arrays.masks, None], CPU, share, neighbours)
    assert isinstance(images, Streamed) == isinstance(masks, Streamed) == streamed
    assert none is None
    if streamed:
        assert isinstance(images.array, np.memmap), "not read into memory"


def test_processes_on_one_machine_do_not_share_the_memory_of_a_gpu(arrays, monkeypatch):
    monkeypatch.setattr(stream, "free_bytes", lambda device: 38_400)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)  # there may be no GPU
    images, masks = place([arrays.images, arrays.masks], torch.device("cuda"), 1.0, neighbours=2)
    assert not isinstance(images, Streamed)
    assert not isinstance(masks, Streamed)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none(arrays, share):
    with pytest.raises(MaganError, match=f"memory_share is {share}"):
        place([arrays.images], CPU, share)


def test_free_main_memory_is_a_plausible_number():
    assert 2**20 < stream.free_bytes(CPU) < 2**50


def go(root, share, device=CPU):
    out = root / str(share)
    changed = {"memory_share": share, "deterministic": device.type == "cuda", "steps": 20}
    train_run(
        RUN,
        PROFILE | {"training": TRAINING | changed},
        labelled=root / "data/shi",
        unlabelled=root / "data/frd",
        weights_folder=root,
        out=out,
        device=device,
        progress=False,
    )
    streamed = json.loads((out / "provenance.json").read_text())["streamed"]
    return streamed, [(out / name).read_bytes() for name in ("model.safetensors", "history.csv")]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_streamed_run_gives_the_same_bytes(tmp_path, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    prepared(tmp_path / "data")
    (in_memory, expected), (streamed, found) = (
        go(tmp_path, share, torch.device(device)) for share in (0.5, 0.0)
    )
    assert (in_memory, streamed) == (False, True)
    assert found == expected
