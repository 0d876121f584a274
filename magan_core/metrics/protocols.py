"""The conventions under which maps are scored, by name.

Papers of this field rarely say which one they follow, and the same maps score an F between 0.2 and 0.9 across
them (docs/paper-notes.md): a number without its protocol says nothing.

Where `pysodmetrics` and PySODMetrics 1.6.2 part (tests/test_golden.py shows that nothing else does):
they work in floats, we in whole numbers.

* They cut stretched scores down to 0..255 after floats have rounded. Where the exact score is a whole number
  theirs may fall one short, never above: 39 853 of all 2 828 800 pairs of a score and a range, in 8 726 of
  the 32 640 ranges; none where the map reaches both 0 and 255, or is constant. A pixel of such a score misses
  the one threshold of the curves that it should just reach.
* A pixel that meets the adaptive threshold exactly may miss it there.
* Their IoU at 0.5 wants a score above one half, ours at least one half.
* Masks of one class: they give 0 or a number, we NaN.
"""

from dataclasses import dataclass
from numbers import Integral, Real

from magan_core.errors import MaganError, nearest

SCORES = ("f_beta", "mae", "iou", "auc", "auf_beta")
POSITIVES = ("blurred", "focus")
F_RULES = ("best", "best_each", "of_means", "fixed", "adaptive")
SCALINGS = ("none", "max", "minmax")


@dataclass(frozen=True)
class Protocol:
    """The choices that turn statistics into scores.

    A pixel's *score*, 0..255, is its map value counted from the class that is not positive; it reaches a
    threshold t in 0..1 where score / 255 >= t. (Here and below, of 16 bits 65535 instead of 255.)

    positive: "blurred" or "focus", the class whose pixels are to be found. beta2: beta squared. steps: the
    curves have the thresholds 0, 1/steps, ..., 1. f_rule: which F is `f_beta`:
        best       the maximum of the F curve, F of each image averaged over images at each threshold
        best_each  the mean of each image's own maximum
        of_means   the maximum of F of mean precision and mean recall (`auf_beta` is the area of that curve)
        fixed      F at the threshold `level` / 4
        adaptive   F at the threshold min(`level` / 4 x mean score of the image, 1)
    iou_at: the threshold of the IoU is `iou_at` / 4. pooled: the scores that are taken over the pixels of
    all images together, not as a mean over images; `auf_beta`, the area of the curve that `f_beta` comes
    from, goes with it. scaling: "max" divides the scores of each map by their maximum first (scores of 0
    only stay), "minmax" stretches them to 0..255 (a constant map stays). source: who uses it. Thresholds are
    whole numbers, and scaling rounds nothing: every count is exact.

    MaganError for a value that is not allowed, and for pooling that has no meaning: of scaled maps, or of F
    by the rules best_each and of_means.
    """

    name: str
    source: str
    positive: str = "blurred"
    beta2: float = 0.3
    steps: int = 100
    f_rule: str = "best"
    level: int = 2
    iou_at: int = 2
    pooled: tuple[str, ...] = ()
    scaling: str = "none"

    def __post_init__(self) -> None:
        nearest(self.positive, POSITIVES, "positive class")
        nearest(self.f_rule, F_RULES, "F rule")
        nearest(self.scaling, SCALINGS, "scaling")
        fixed = self.iou_at, self.level if self.f_rule == "fixed" else 0
        whole = all(_is(Integral, value) for value in (self.steps, self.level, self.iou_at))
        if (
            not (whole and _is(Real, self.beta2))
            or not 0 < self.beta2 < float("inf")
            or self.steps < 1
            or self.level < 0
            or not 0 <= min(fixed) <= max(fixed) <= 4
        ):
            raise MaganError(
                f"protocol '{self.name}' has beta2 {self.beta2!r}, steps {self.steps!r}, level "
                f"{self.level!r}, iou_at {self.iou_at!r}; expected beta2 above 0, 1 step or more, and level "
                "and iou_at as whole quarters: 2 for a threshold of 0.5, at most 4"
            )
        for name in self.pooled:
            nearest(name, SCORES, "pooled score")
        if ("f_beta" in self.pooled) != ("auf_beta" in self.pooled):
            raise MaganError(f"protocol '{self.name}' pools f_beta or auf_beta alone; pool both or neither")
        if "f_beta" in self.pooled and self.f_rule in ("best_each", "of_means"):
            raise MaganError(
                f"protocol '{self.name}' pools F by the rule {self.f_rule}, which is about single images; "
                "expected the rule best, fixed or adaptive"
            )
        if self.pooled and self.scaling != "none":
            raise MaganError(
                f"protocol '{self.name}' pools maps scaled by {self.scaling}, whose levels differ from image "
                "to image; expected scaling none"
            )

    def __str__(self) -> str:
        f = {
            "best": f"F at the best of {self.steps + 1} thresholds",
            "best_each": f"F at each image's best of {self.steps + 1} thresholds",
            "of_means": f"F of mean precision and recall at the best of {self.steps + 1} thresholds",
            "fixed": f"F at {self.level / 4:g}",
            "adaptive": f"F at {self.level / 4:g} x mean",
        }[self.f_rule]
        parts = [f"{self.positive} positive", f"beta2 {self.beta2:g}", f, f"IoU at {self.iou_at / 4:g}"]
        parts.append(f"pooled over pixels: {', '.join(self.pooled)}" if self.pooled else "means over images")
        return "; ".join(parts + [f"maps scaled by {self.scaling}"] * (self.scaling != "none"))


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


_OWN = "a variation of `paper`, to show what this choice alone does"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("paper", "MA-GANet, section IV-B, as read in docs/paper-notes.md"),
        Protocol("d-dffnet", "D-DFFNet (2023), its test code", f_rule="fixed", pooled=("iou",)),
        Protocol(
            "dd",
            "DD (2020) and EVP (2023), their test code",
            "focus",
            f_rule="adaptive",
            level=6,
            pooled=("f_beta", "auf_beta"),
        ),
        Protocol("sg", "SG (2021), its test code", "focus", f_rule="adaptive", level=6),
        Protocol(
            "focus-2x",
            "FOCUS (2025), its helper; min(2 x mean, 1) is Achanta et al. (2009)",
            "focus",
            f_rule="adaptive",
            level=8,
        ),
        Protocol("br2net", "BR2Net (2020), its test code", steps=255, f_rule="of_means"),
        Protocol(
            "mldbd",
            "MLDBD (2022) and APL, their test code",
            "focus",
            steps=255,
            f_rule="best_each",
            scaling="max",
        ),
        Protocol(
            "pysodmetrics",
            "PySODMetrics 1.6: maximum of the mean F curve",
            "focus",
            steps=255,
            scaling="minmax",
        ),
        Protocol(
            "pysodmetrics-adaptive",
            "PySODMetrics 1.6: adaptive F",
            "focus",
            steps=255,
            f_rule="adaptive",
            level=8,
            scaling="minmax",
        ),
        Protocol("pooled", "scikit-learn on the pixels of all images", steps=255, pooled=SCORES),
        Protocol("paper-focus", _OWN, "focus"),
        Protocol("paper-256", _OWN, steps=255),
        Protocol("paper-fixed", _OWN, f_rule="fixed"),
        Protocol("paper-adaptive", _OWN, f_rule="adaptive", level=6),
        Protocol("paper-each", _OWN, f_rule="best_each"),
        Protocol("paper-of-means", _OWN, f_rule="of_means"),
        Protocol("paper-pooled", _OWN, pooled=SCORES),
        Protocol("paper-stretched", _OWN, scaling="minmax"),
    )
}


def get_protocol(name: str | Protocol) -> Protocol:
    """The protocol of this name, or itself. MaganError with the nearest valid name if there is none, and for
    another protocol under the name of one."""
    if isinstance(name, Protocol):
        if PROTOCOLS.get(name.name, name) != name:
            raise MaganError(
                f"'{name.name}' is the name of another protocol ({PROTOCOLS[name.name]}); rename this one"
            )
        return name
    nearest(name, PROTOCOLS, "protocol")
    return PROTOCOLS[name]
