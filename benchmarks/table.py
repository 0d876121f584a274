"""The tables of docs/performance.md, from the JSON in results/. `--write` puts them into the page."""

import argparse
import json
import re
import sys
from pathlib import Path

from magan_core.wording import counted

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs/performance.md"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def told(spread: dict[str, float], digits: int = 2) -> str:
    """Median (least to most)."""
    median, least, most = (f"{spread[name]:.{digits}f}" for name in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def machine(result: dict) -> str:
    hardware = result["hardware"]
    name = hardware.get("gpu", hardware["processor"])
    return f"{name}, {hardware['cores']} cores, load {hardware['load']}, {version(result['versions'])}"


def version(versions: dict) -> str:
    """Of torch where it was at work, else of numpy; the JSON has the others."""
    versions = versions.get("ours", versions)
    name = "torch" if "torch" in versions else "numpy"
    return f"{name} {versions[name]}"


def training(results: list[dict]) -> str:
    """A row a comparison."""
    head = [
        "step of",
        "ours, ms",
        "plain, ms",
        "plain / ours",
        "of the processor's seconds",
        "images/s",
        "MiB",
        "trials x steps",
    ]
    gpu = any("ceiling, multiply-adds a second" in result for result in results)
    rows = []
    for result in results:
        ours, plain = result["ours"], result["plain"]
        ways = [name for name in ("precision", "compile") if result[name] not in ("float32", False)]
        notes = [
            f"`{result['profile']}` ({result['backbone']}), batch {result['batch']}, {result['crop']} px",
            *beside(result),
            *(result[name] if name == "precision" else name for name in ways),
            *["from pretrained weights"] * bool(result.get("begins with")),
            *["beside a busy process"] * result["busy neighbour"],
            machine(result),
        ]
        row = ["; ".join(notes)]
        for side in (ours, plain):
            clock = side["seconds a step"]["clock"]
            row.append(told({name: 1e3 * value for name, value in clock.items()}, 1))
        row += [f"**{told(result['plain / ours']['clock'])}**", told(result["plain / ours"]["processor"])]
        row.append(" / ".join(f"{side['images a second']['median']:.1f}" for side in (ours, plain)))
        row.append(" / ".join(str(side["memory, MiB"]) for side in (ours, plain)))
        row.append(f"{result['trials']} x {result['steps']}")
        if gpu:
            share = ours.get("share of the bfloat16 ceiling")
            row.append("" if share is None else f"{100 * share:.1f} %")
        rows.append(row)
    return markdown(head + ["share of the bf16 ceiling"] * gpu, rows)


def beside(result: dict) -> list[str]:
    """How many trainings at once, where it is more than one, and on how many threads, spinning or not."""
    threads, at_once = counted(result["threads"], "thread"), result.get("trainings of ours at once", 1)
    stock = result["the plain loop's threads spin"]
    if result.get("our threads spin"):
        return [f"{threads} each, spinning on both sides"]
    if at_once == 1 and not stock:
        return [threads]
    ours = f"{at_once} trainings at once, {threads} each" if at_once > 1 else threads
    plain = counted(result["threads of the plain loop"], "thread")
    return [f"ours: {ours}; plain loop{' as torch comes' * stock}: {plain}{', spinning' * stock}"]


def inference(results: list[dict]) -> str:
    """A row a model and batch: as it was and as it is."""
    head = ["map", "batch", "before, images/s", "now, images/s", "gain"]
    return "\n\n".join(
        f"{machine(result)}; {counted(result['threads'], 'thread')}, {result['trials']} trials:\n\n"
        + markdown(
            head,
            [
                [
                    f"`{row['profile']}` ({row['backbone']}), {row['size']} px",
                    str(row["batch"]),
                    told(row["images a second"]["before"], 1),
                    told(row["images a second"]["now"], 1),
                    f"**{told(row['gain'])}**",
                ]
                for row in result["models"]
            ],
        )
        for result in results
    )


def preparation(results: list[dict]) -> str:
    """A row a kind of data."""
    head = ["data", "one thread, images/s", "two threads, images/s", "gain"]
    return "\n\n".join(
        f"{machine(result)}; {result['trials']} trials:\n\n"
        + markdown(
            head,
            [
                [row["what"], *(told(row["images a second"][n], 1) for n in ("1", "2")), told(row["gain"])]
                for row in result["data"]
            ],
        )
        for result in results
    )


def growth(results: list[dict]) -> str:
    """A row a number of photographs, a crop, a batch."""
    head = ["photographs", "of px", "held", "crop, px", "batch", "step, ms", "ms a photograph", "peak MiB"]
    return "\n\n".join(
        f"`{result['profile']}` ({result['backbone']}), {result['run']}; {machine(result)}; "
        f"{counted(result['threads'], 'thread')}, {result['precision']}, "
        f"{result['trials']} trials of {result['steps']} steps:\n\n"
        + markdown(
            head,
            [
                [
                    str(row["photographs"]),
                    str(row["side"]),
                    "in the file" * row["streamed"] + ", read anew" * row.get("read anew", False)
                    or "in memory",
                    str(row["crop"]),
                    str(row["batch"]),
                    told({name: 1e3 * value for name, value in row["seconds a step"].items()}, 0),
                    f"{1e3 * row['seconds a step']['median'] / row['batch']:.1f}",
                    str(row["memory, MiB"]),
                ]
                for row in result["rows"]
            ],
        )
        + "\n\n"
        + markdown(
            ["synthetic scenes of 128 px, made and prepared once", "s", "ms a scene", "peak MiB"],
            [
                [
                    str(row["scenes"]),
                    f"{row['seconds']:.1f}",
                    f"{1e3 * row['seconds'] / row['scenes']:.1f}",
                    str(row["memory, MiB"]),
                ]
                for row in result["preparation"]
            ],
        )
        for result in results
    )


def predict(results: list[dict]) -> str:
    """A row a way to map and a number of photographs."""
    head = ["`magan predict`", "photographs", "s a photograph", "s the whole command"]
    return "\n\n".join(
        f"{machine(result)}; {result['size'][0]} x {result['size'][1]} px, {result['trials']} trials:\n\n"
        + markdown(
            head,
            [
                [row["way"], str(row["photographs"]), told(row["photograph"]), told(row["command"], 1)]
                for row in result["rows"]
            ],
        )
        for result in results
    )


def scaling(results: list[dict]) -> str:
    """A row a number of processes."""
    ways = list(dict.fromkeys(way for result in results for way in result["milliseconds"]))

    def about(result: dict) -> str:
        compiled = "".join(
            f"{way}; " * result.get(way, False) for way in ("compile", "graph", "deterministic")
        )
        return (
            f"`{result['profile']}`, batch {result['batch']}; {result['precision']}; {compiled}"
            f"{result['hardware']}, load {result['load']}, {version(result['versions'])}"
        )

    return markdown(
        ["step of", "processes", *(f"{way}, ms" for way in ways), "trials x steps"],
        [
            [
                about(result),
                str(result["processes"]),
                *(
                    f"{result['milliseconds'][way]['median']:.1f}" if way in result["milliseconds"] else ""
                    for way in ways
                ),
                f"{result['trials']} x {result['steps']}",
            ]
            for result in results
        ],
    )


def evaluation(results: list[dict]) -> str:
    """A row a way to score, and the ratios."""
    return "\n\n".join(
        f"{machine(result)}; {result['data']['images']} maps and masks, {result['data']['megapixels']:.0f} "
        f"megapixels ({result['data']['masks']}), {result['trials']} trials:\n\n"
        + markdown(
            ["processor seconds of one thread", "s"],
            [[name, told(seconds)] for name, seconds in result["seconds"].items()],
        )
        + "\n\n"
        + markdown(
            ["ratio of the medians", "times"],
            [[name, f"**{ratio:.1f}**"] for name, ratio in result["ratio"].items()],
        )
        for result in results
    )


KINDS = {
    "training": training,
    "growth": growth,
    "inference": inference,
    "predict": predict,
    "scaling": scaling,
    "preparation": preparation,
    "evaluation": evaluation,
}


def tables() -> dict[str, str]:
    """Of every kind that has results."""
    found = {}
    for kind, make in KINDS.items():
        files = sorted(RESULTS.glob(f"{kind}*.json"))
        if files:
            found[kind] = make([json.loads(path.read_text(encoding="utf-8")) for path in files])
    return found


def filled(page: str) -> str:
    """The page with the tables between their marks."""
    for kind, text in tables().items():
        begin, end = f"<!-- {kind} -->", f"<!-- end of {kind} -->"
        page, count = re.subn(
            f"(?s){begin}.*?{end}", lambda _, b=begin, t=text, e=end: f"{b}\n{t}\n{e}", page
        )
        if count != 1:
            raise SystemExit(f"{PAGE} has {count} places for `{kind}`; it must have one: {begin} ... {end}")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put them into docs/performance.md")
    if parser.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write("\n\n".join(tables().values()) + "\n")


if __name__ == "__main__":
    main()
