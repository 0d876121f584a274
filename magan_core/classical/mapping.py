"""Maps of many photographs by one method: in parallel, with progress, and going on where a kill left off."""

import inspect
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from tqdm import tqdm

from magan_core.classical import get_method
from magan_core.data import images
from magan_core.errors import MaganError
from magan_core.files import atomic, fingerprint, read_json, sha256, write_json


def map_photographs(
    name: str,
    photos: Sequence[Path],
    out: Path,
    *,
    resume: Path,
    workers: int = 1,
    progress: bool = True,
) -> float:
    """Write OUT/STEM.png, white = in focus, for every photograph; returns the median seconds a photograph.

    name: of METHODS. workers: processes; the maps do not depend on their number. resume: folder that keeps
    the maps until its owner empties it, under a hash of the methods' code and the photograph, so that nothing
    of a changed method is taken up again.
    MaganError without photographs, for two that would have the same map, and, naming the photograph, for one
    that the method cannot take.
    """
    if not photos:
        raise MaganError(f"no photographs to map by {name}; expected one at least")
    twice = [stem for stem, count in Counter(photo.stem for photo in photos).items() if count > 1]
    if twice:
        raise MaganError(f"several photographs would have the map {out / twice[0]}.png; rename all but one")
    kept = resume / f"{name}-{fingerprint([], _code(name))}"
    jobs = [(name, photo, kept / f"{sha256(photo)[:16]}-{photo.stem}.png") for photo in photos]
    with ProcessPoolExecutor(max(1, workers), get_context("spawn"), initializer=_end_with_parent) as pool:
        label = f"{name} {out.name}"
        found = pool.map(_map_one, jobs)
        seconds = list(
            tqdm(found, total=len(jobs), desc=label, unit="image", mininterval=5, disable=not progress)
        )
    for _, photo, done in jobs:
        with atomic(out / f"{photo.stem}.png") as temporary:
            shutil.copyfile(done, temporary)
    return float(np.median(seconds))


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: a kill leaves it no time to say so."""

    def wait() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _code(name: str) -> list[Path]:
    """What a map is made by: this package, the method's own module, and what reads and writes pictures."""
    own = inspect.getfile(get_method(name).function)
    package = Path(__file__).parent
    return sorted({Path(own), Path(images.__file__), *package.glob("*.py"), *package.glob("*.safetensors")})


def _map_one(job: tuple[str, Path, Path]) -> float:
    """Map one photograph unless that was done before; returns the seconds it took, reading and writing
    apart."""
    name, photo, path = job
    record = path.with_suffix(".json")  # written last: where it lies, the map is whole
    if record.exists() and path.exists():
        return read_json(record)["seconds"]
    picture = images.read_photo(photo)
    start = time.perf_counter()
    try:
        values = get_method(name)(picture)
    except MaganError as error:
        raise MaganError(f"{photo}: {error}") from error
    seconds = time.perf_counter() - start
    images.write_map(path, values)
    write_json(record, {"seconds": seconds})
    return seconds
