"""What figures show: which methods and data, and in which words captions say what is left out."""

from collections.abc import Iterable, Sequence
from itertools import product
from textwrap import fill

from magan_core.errors import MaganError
from magan_core.reporting import claims
from magan_core.reporting.sources import OURS, PAPER_NAMES, Results
from magan_core.reporting.style import look
from magan_core.wording import listed

ABLATION = ("baseline", "hl-ll-sa", "hl-ll-hca-lca", *OURS.values())
JUDGES = (*OURS.values(), "laplacian", "constant")  # the first that is there says which images are shown
COMPARED = ("shi", "dut", "ctcug")


class Absent(MaganError):
    """A figure for which the profile has no run or no data, and why."""


def methods_of(results: Results, role: str, wanted: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Of the wanted variants and other methods: (name, folder of its maps) where available, and the names
    that are not.
    """
    found = [(name, name if name in results.others else results.run(name, role)) for name in wanted]
    return [pair for pair in found if pair[1]], [name for name, run in found if not run]


def compared(results: Results) -> list[str]:
    """The roles that Figures 7 and 8 show: the paper's, or else the judging one."""
    return [role for role in COMPARED if results.tests(role)] or [tested(results)]


def tested(results: Results) -> str:
    """The judging role, if it has photographs to test on."""
    role = results.judging
    if not results.tests(role):
        raise Absent("this profile has no set to test on")
    return role


def left_out(missing: Sequence[str], on: str = "") -> str:
    if not missing:
        return ""
    names = listed([look(name).label for name in missing])
    return f" Left out, because no such run was trained here{f' for {on}' if on else ''}: {names}."


def first_seeds(results: Results, roles: Sequence[str], variants: Iterable[str]) -> str:
    if max(len(results.seeds(*each)) for each in product(variants, roles)) < 2:
        return ""
    return " Of networks that are trained with several seeds: the first."


def not_here(results: Results) -> str:
    """The methods of Table I that have no maps here."""
    names = dict.fromkeys(claims.load("I")["method"])
    names = [name for name in names if name not in results.others and name not in OURS]
    return f" Compared in the paper, and not run here: {listed(names)}." if names else ""


def judge(results: Results, role: str) -> tuple[str, str]:
    """The label and folder of the method whose errors choose the images: MANet, or what there is instead."""
    methods, _ = methods_of(results, role, JUDGES)
    if not methods:
        raise Absent(f"this profile has no run and no baseline on {PAPER_NAMES[role]} to choose images by")
    variant, method = methods[0]
    return look(variant).label, method


def two_lines(name: str) -> str:
    """The name of a data set, and what stands in for it below, in lines that fit beside a panel."""
    return "\n".join(fill(line, 31) for line in name.replace(" [", "\n[").split("\n"))
