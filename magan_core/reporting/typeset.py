"""A comparison with the paper as Markdown and as LaTeX."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from magan_core.wording import listed

DIGITS = 3  # of an own number

# metric: name, LaTeX name, which end is better
METRICS = {
    "f_beta": ("Fβ", r"$F_\beta$", max),
    "mae": ("MAE", "MAE", min),
    "iou": ("IoU", "IoU", max),
    "auc": ("AUC", "AUC", max),
    "auf_beta": ("AUFβ", r"AUF$_\beta$", max),
    "seconds": ("seconds", "seconds", min),
}
TITLES = {
    "I": "Comparison with other methods",
    "II": "Seconds an image",
    "III": "Comparison on Zhao's split of Shi's data set",
    "IV": "Ablation of the components",
    "V": "Ablation of the loss weights",
    "VI": "Receptive field of the discriminator",
}
SCORED = (
    "Bold and underlined: best and second best of a column (the paper colours them in Table I). Own scores "
    "follow protocol `paper`: blurred is positive, beta squared 0.3, 101 thresholds, mean over images; "
    "small: 95 % interval over the test images, or the standard deviation over seeds."
)
NOTES = {
    "I": (
        SCORED,
        "The paper's MANet on DUT has the scores of the CE-only row of Table V, though the text says CE + "
        "IoU for all: its step to MA-GANet may add both losses. The own MANet is CE + IoU.",
        "The paper's AUFβ is above its Fβ in four rows (SS, DefuNet and DefuNetV2 on Shi's, BTBNet on "
        "CTCUG), as no area under a curve is above its maximum: their Fβ cannot be that of protocol `paper`.",
        "The paper's IoU, AUC and AUFβ of DBDF and SS on DUT are identical, probably a slip of copying. "
        "The gaps that its text quotes for MAE (0.628) and IoU (0.882) are not "
        "the differences of its table (0.552, 0.846).",
    ),
    "II": (
        "The paper gives averages on an Intel 3.4 GHz CPU and an Nvidia GTX Titan Xp. Own seconds are "
        "medians over the photographs, reading and writing apart, and hold for the pictures (128×128 in "
        "`demo`, about 640×430 in CUHK) and the network of this profile, and for the hardware named beside "
        "them: they do not tell how fast a detector is beside the paper's of the same.",
    ),
    "III": (
        SCORED,
        "The paper's text says CE + IoU for MANet; on DUT (Table I) its row equals the CE-only row of Table "
        "V, so it may be CE only here, too. The own MANet is CE + IoU.",
    ),
    "IV": (
        SCORED,
        "The paper's text says CE + IoU for all ablations, yet its MANet row equals the CE-only row of Table "
        "V, and the CE + IoU row differs. The own MANet row is CE + IoU; CE only stands below it.",
    ),
    "V": (
        SCORED,
        "The paper's CE-only row (1, 0, 0) equals MANet of Table IV; own MANet of Table IV is (1, 1, 0).",
    ),
    "VI": (SCORED,),
}
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "β": r"$_\beta$",
    "×": r"$\times$",
    "`": "",
} | {letter: f"\\{letter}" for letter in "&%_#${}"}


def headed(metric: str) -> str:
    """The name of a metric with an arrow to its better end."""
    name, _, best = METRICS[metric]
    return f"{name} {'↑' if best is max else '↓'}"


def markdown(number: str, comparison: pd.DataFrame) -> str:
    """The table of `tables.compare` as Markdown, one part a data set."""
    metrics = list(comparison["metric"].unique())
    timed = metrics == ["seconds"]
    head = ["Method", *(["device (paper)"] if timed else [])]
    for metric in metrics:
        head += [f"{headed(metric)} paper", "own"]
    head += ["own hardware"] if timed else []
    aligned = [":--" if name in ("Method", "device (paper)", "own hardware") else "--:" for name in head]
    lines = [f"# Table {number}. {TITLES[number]}", ""]
    for dataset, part in comparison.groupby("dataset", sort=False):
        lines += [f"**{dataset}** ({_own_data(part)})", "", _md_row(head), _md_row(aligned)]
        for cells in _rows(part, {1: "**{}**", 2: "<u>{}</u>"}, "{}<br><sub>{}</sub>", timed):
            lines.append(_md_row([cell.replace("|", r"\|") for cell in cells]))
        lines.append("")
    return "\n".join([*lines, *(line for note in NOTES[number] for line in (note, ""))]).rstrip() + "\n"


def latex(number: str, comparison: pd.DataFrame) -> str:
    """The table of `tables.compare` as a LaTeX table* environment (needs the package booktabs)."""
    metrics = list(comparison["metric"].unique())
    timed = metrics == ["seconds"]
    left = 2 if timed else 1
    columns = "l" * left + "rr" * len(metrics) + "l" * timed
    groups, rules = [""] * left, []
    for index, metric in enumerate(metrics):
        arrow = r"$\downarrow$" if METRICS[metric][2] is min else r"$\uparrow$"
        groups.append(rf"\multicolumn{{2}}{{c}}{{{METRICS[metric][1]}~{arrow}}}")
        first = left + 1 + 2 * index
        rules.append(rf"\cmidrule(lr){{{first}-{first + 1}}}")
    head = [
        "Method",
        *(["Device (paper)"] * timed),
        *(["paper", "own"] * len(metrics)),
        *(["own hardware"] * timed),
    ]
    notes = " ".join(NOTES[number])
    caption = _tex(f"{TITLES[number]} (Table {number} of the paper). {notes}")
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(groups + [""] * timed) + r" \\",
        " ".join(rules),
        " & ".join(head) + r" \\",
    ]
    for dataset, part in comparison.groupby("dataset", sort=False):
        title = f"{_tex(dataset)} ({_tex(_own_data(part))})"
        lines += [r"\midrule", rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{title}}}}} \\"]
        marks = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
        for cells in _rows(part, marks, r"{} {{\tiny {}}}", timed, _tex):
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""])


def spread(cell: Mapping[str, Any]) -> str:
    """How sure an own number of `tables.compare` is, as text: its interval, or the deviation over seeds."""
    if cell["seeds"] > 1:
        digits = 3 if cell["deviation"] >= 0.0005 else 4
        return f"± {cell['deviation']:.{digits}f}, {cell['seeds']} seeds"
    return "" if np.isnan(cell["low"]) else f"{cell['low']:.3f}–{cell['high']:.3f}"


def _rows(
    part: pd.DataFrame, marks: dict[int, str], small: str, timed: bool, escape: Callable[[str], str] = str
) -> list[list[str]]:
    """Cells of one data set: method, (device,) claimed and own numbers, (hardware)."""
    scored = part[[not timed and not published(data) for data in part["data"]]]
    columns = dict(list(scored.groupby("metric")[["claimed", "own"]]))

    def mark(text: str, cell: Mapping[str, Any], kind: str) -> str:
        metric = cell["metric"]
        if metric not in columns or published(cell["data"]):
            return text
        place = rank(cell[kind], columns[metric][kind], metric)
        return marks[place].format(text) if place else text

    rows = []
    for method, cells in part.groupby("method", sort=False):
        elsewhere = next(filter(published, cells["data"]), "")
        name = method + elsewhere.removeprefix("published maps")
        row = [escape(name), *([cells["device"].iloc[0]] if timed else [])]
        for cell in cells.to_dict("records"):
            row.append(mark(cell["printed"], cell, "claimed"))
            own = "" if np.isnan(cell["own"]) else f"{cell['own']:.{DIGITS}f}"
            own = mark(own, cell, "own")
            row.append(small.format(own, spread(cell)) if spread(cell) else own)
        rows.append(row + ([escape(cells["hardware"].iloc[0])] if timed else []))
    return rows


def published(data: str) -> bool:
    """Whether a number stands on maps that a method's authors published, by its `data`."""
    return data.startswith("published")


def rank(value: float, among: Iterable[float], metric: str) -> int:
    """1 for the best, 2 for the second best of a column, else 0; what is printed as equal shares a rank."""
    digits = {round(one, DIGITS) for one in among if not np.isnan(one)}
    best = sorted(digits, reverse=METRICS[metric][2] is max)[:2]
    value = round(value, DIGITS)
    return best.index(value) + 1 if value in best else 0


def _own_data(part: pd.DataFrame) -> str:
    told = stood(zip(part["method"], part["data"], strict=True))
    return f"own numbers: {told}" if told else "no own numbers"


def stood(found: Iterable[tuple[str, str]]) -> str:
    """What the own numbers of a data set stand on, from methods and their `data`: what they share, then what
    some have beside it; "" where none has any."""
    methods: dict[str, list[str]] = {}
    for method, data in found:
        if data and not published(data) and method not in methods.setdefault(data, []):
            methods[data].append(method)
    if not methods:
        return ""
    shared, *further = methods
    parts = [shared, *(f"{listed(methods[data])}: {data.removeprefix(f'{shared}, ')}" for data in further)]
    return "; ".join(parts)


def _md_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
