"""Names of one's own: backbones and losses that are a file and a line."""

import pytest
import torch
from torch import nn

from magan_core.errors import MaganError
from magan_core.models import backbone
from magan_core.registry import find
from magan_core.training.further import FURTHER, further


class FourLevels(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.channels, self.strides, self.mean, self.std = [4] * 4, [1] * 5, [0.5] * 3, [0.5] * 3


class NoLevels(nn.Module):
    def __init__(self, width):
        super().__init__()


def each(maps, masks):
    return (maps - masks).abs().mean(dim=(1, 2, 3))


def number(maps, masks):
    return 1.0


def told(maps, masks, images, logits):
    return images.mean() + 10 * logits.mean()


def confident(maps, masks, *, logits):
    return logits.abs().mean()


def test_a_name_is_found():
    assert find("magan_core.errors:MaganError", "loss 'x'") is MaganError


@pytest.mark.parametrize("where", ["no_such_module:f", "magan_core.errors:no_such", "magan_core.errors", ""])
def test_a_name_that_leads_nowhere_says_what_is_expected(where):
    with pytest.raises(MaganError, match=r"loss 'edge' is to be .*expected module:name"):
        find(where, "loss 'edge'")


@pytest.mark.parametrize(
    ("name", "message"),
    [("FourLevels", r"channels \[4, 4, 4, 4\]; expected 5"), ("NoLevels", "channels missing; expected 5")],
)
def test_a_backbone_that_does_not_say_what_it_gives_is_refused(name, message, monkeypatch):
    monkeypatch.setitem(backbone.OWN, "mine", f"{__name__}:{name}")
    with pytest.raises(MaganError, match=f"backbone 'mine' has {message} numbers.*{name}"):
        backbone.build_backbone("mine")


def test_an_unknown_loss_is_refused(monkeypatch):
    monkeypatch.setitem(FURTHER, "edge", f"{__name__}:each")
    with pytest.raises(MaganError, match="did you mean 'edge'"):
        further("edges")


@pytest.mark.parametrize(("function", "found"), [("each", r"Tensor \(2,\)"), ("number", r"float \(\)")])
def test_a_loss_that_is_no_scalar_is_refused(function, found, monkeypatch):
    monkeypatch.setitem(FURTHER, "mine", f"{__name__}:{function}")
    with pytest.raises(MaganError, match=f"loss 'mine' returned {found}; expected a tensor without dim"):
        further("mine")(torch.rand(2, 1, 4, 4), torch.ones(2, 1, 4, 4))


def test_a_loss_gets_logits_and_images_where_it_asks_for_them(monkeypatch):
    maps, masks, images, logits = torch.rand(4, 2, 1, 4, 4)
    for function, expected in (
        ("told", images.mean() + 10 * logits.mean()),
        ("confident", logits.abs().mean()),
    ):
        monkeypatch.setitem(FURTHER, "mine", f"{__name__}:{function}")
        assert further("mine")(maps, masks, images=images, logits=logits) == expected
