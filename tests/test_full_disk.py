"""A real file system that fills up, or becomes read-only, while a network trains: a small one in memory, in a
mount namespace of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_resume import environment, go, outcome
from tiny import prepared

from magan_core.errors import MaganError
from magan_core.training.state import Resume

ALONE = ["unshare", "--user", "--map-root-user", "--mount"]
pytestmark = pytest.mark.slow


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def within(data: Path, folder: Path, before: str, fifth: str, message: str) -> None:
    """Called in the namespace. Train with the states on a small disk of options `before`, that has those of
    `fifth` from the fifth save on; then with room again. Prints the steps that failed and were kept."""
    states = folder / "resume"
    states.mkdir()
    mount(states, before)
    save, saves = Resume.save, []

    def counted(self, tensors, progress) -> None:
        saves.append(progress["step"])
        if len(saves) == 5 and fifth:
            mount(states, f"remount,{fifth}")
        save(self, tensors, progress)

    Resume.save = counted
    with pytest.raises(MaganError, match=message):
        go(data, folder / "out", states)
    assert not (folder / "out").exists()
    kept = [Resume(states, *path.stem.rsplit("-", 1), 0.0).load()[1]["step"] for path in states.iterdir()]
    print(f"at {saves[-1]}, kept {kept}")
    mount(states, "remount,rw,size=64m")
    go(data, folder / "out", states)
    assert list(states.iterdir()) == []


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    if not shutil.which(ALONE[0]):
        pytest.skip("no mount namespaces on this system")
    probe = tmp_path_factory.mktemp("probe")
    tried = subprocess.run([*ALONE, "mount", "-t", "tmpfs", "none", probe], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.strip()}")
    return prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> tuple[tuple[bytes, ...], int]:
    """What an undisturbed run writes, and the KiB of one state."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    sizes, save = [], Resume.save

    def measured(self, tensors, progress) -> None:
        save(self, tensors, progress)
        sizes.append(self.path.stat().st_size)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Resume, "save", measured)
        go(data, folder / "out", folder / "resume")
    return outcome(folder / "out"), max(sizes) // 1024


@pytest.mark.parametrize(
    ("before", "fifth", "message", "told"),
    [
        (0.4, "", "cannot write .*No space left on device.*free disk space", "at 0, kept []"),
        (1.2, "", "cannot write .*No space left on device.*free disk space", "at 1, kept [0]"),
        (9.0, "ro", "cannot write .*Read-only file system.*make the folder writable", "at 4, kept [3]"),
    ],
    ids=["no state fits", "a second one does not fit beside the first", "read-only from the fifth on"],
)
def test_the_state_before_is_kept_and_gone_on_from(
    data, uninterrupted, tmp_path, before, fifth, message, told
):
    expected, size = uninterrupted
    code = "import sys; from pathlib import Path; from test_full_disk import within; "
    code += "within(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])"
    arguments = [str(data), str(tmp_path), f"size={before * size:.0f}k", fifth, message]
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", code, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == told
    assert outcome(tmp_path / "out") == expected
