"""The cache of compiled kernels saves time, never runs stale code and never makes a call fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmlfast.kernels import _jit
from tests.conftest import ROOT

# Three kernels, quick to compile, and how many compilations it took to call them.
WORK = """
import numpy as np
from numba.core.event import install_recorder
from mmlfast.kernels.covariance import all_finite
from mmlfast.kernels.krylov import add_squares
from mmlfast.kernels.pack import pack_rows
from mmlfast.kernels._jit import cache_state
{before}
A, packed = np.arange(32.0), np.empty(8 * 8)
with install_recorder("numba:compile") as compilations:
    pack_rows(A, 0, (8, 1), 4, 8, packed)
    squares = np.zeros(8)
    add_squares(A.reshape(1, 4, 8), 4, squares)
    right = squares.sum() == A @ A and bool(all_finite(A)) and packed[1] == 8
# numba's own functions are compiled as parts of ours: they are not counted.
compiled = {{
    event.data["dispatcher"].py_func.__name__ for _, event in compilations.buffer
    if event.data["dispatcher"].py_func.__module__.startswith("mmlfast.")
}}
print(right, len(compiled), cache_state()["files"], cache_state()["path"])
"""


def result(printed):
    right, compilations, files, path = printed.split(maxsplit=3)
    assert right == "True"
    return int(compilations), int(files), path.strip()


@pytest.fixture
def work(run_python, tmp_path):
    """Run WORK in a fresh process with a cache of its own; keywords go to the environment."""

    def run(before="", cwd=ROOT, **environment):
        environment = {"MMLFAST_CACHE_DIR": tmp_path / "cache", **environment}
        return result(run_python(WORK.format(before=before), cwd, **environment))

    return run


@pytest.fixture
def copy_of_package(tmp_path):
    site = tmp_path / "site"
    shutil.copytree(
        ROOT / "mmlfast", site / "mmlfast", ignore=shutil.ignore_patterns("__pycache__")
    )
    return site


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.bin"))


def test_the_second_process_compiles_nothing(work, tmp_path):
    compiled, files, path = work()
    assert compiled == files == 3
    written = {entry: entry.stat().st_mtime_ns for entry in entries(tmp_path / "cache")}
    assert work() == (0, 3, path)
    assert {entry: entry.stat().st_mtime_ns for entry in entries(tmp_path / "cache")} == written
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


def test_editing_a_called_file_never_runs_stale_code(run_python, tmp_path, copy_of_package):
    """The edit is in pack.py, the function that is called in matmul.py."""
    code = (
        "import numpy as np\n"
        "from mmlfast.kernels.matmul import matmul\n"
        "C = np.empty((80, 80)); matmul(np.ones((80, 80)), np.ones((80, 80)), C); print(C.max())"
    )
    cache = {"MMLFAST_CACHE_DIR": tmp_path / "cache"}
    assert run_python(code, copy_of_package, **cache).strip() == "80.0"
    pack = copy_of_package / "mmlfast" / "kernels" / "pack.py"
    source = pack.read_text(encoding="utf-8")
    called = "store(packed, out + r, load(A, at + r * row_stride))"
    assert source.count(called) == 1
    pack.write_text(source.replace(called, called.replace("load", "2 * load")), encoding="utf-8")
    assert run_python(code, copy_of_package, **cache).strip() == "160.0"
    # Back again, the first build is still there.
    pack.write_text(source, encoding="utf-8")
    assert run_python(code, copy_of_package, **cache).strip() == "80.0"
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_nothing_is_written_where_the_package_is_installed(work, copy_of_package):
    def tree():
        return sorted(str(path) for path in copy_of_package.rglob("*"))

    before = tree()
    for path in copy_of_package.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert work(cwd=copy_of_package, PYTHONDONTWRITEBYTECODE=1)[0] == 3
    assert work(cwd=copy_of_package, PYTHONDONTWRITEBYTECODE=1)[0] == 0
    assert tree() == before
    for path in [copy_of_package, *copy_of_package.rglob("*")]:
        path.chmod(0o755)


@pytest.mark.parametrize("place", ["below a file", "/proc/mmlfast", "a file"])
def test_without_a_writable_place_everything_still_works(place, work, tmp_path):
    (tmp_path / "file").touch()
    places = {"below a file": tmp_path / "file" / "cache", "a file": tmp_path / "file"}
    if place.startswith("/proc") and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    assert work(MMLFAST_CACHE_DIR=places.get(place, place)) == (3, 0, "None")


def test_a_place_that_vanishes_costs_the_cache_and_nothing_else(work):
    before = "import shutil; shutil.rmtree(cache_state()['path'])"
    assert work(before)[:2] == (3, 0)


def test_without_a_home_there_is_no_cache(work):
    """HOME is unset and the user database does not know this user."""
    before = (
        "import pwd\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown"
    )  # fmt: skip
    homeless = {"HOME": None, "XDG_CACHE_HOME": None}
    assert work(before, MMLFAST_CACHE_DIR="", **homeless) == (3, 0, "None")
    assert not (ROOT / "~").exists()


def test_the_place_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLFAST_CACHE_DIR", str(tmp_path / "chosen"))
    assert _jit._cache_root() == tmp_path / "chosen"
    monkeypatch.delenv("MMLFAST_CACHE_DIR")
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert _jit._cache_root() == tmp_path / "xdg" / "mmlfast"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert _jit._cache_root() == tmp_path / ".cache" / "mmlfast"
        monkeypatch.delenv("HOME")
        root = _jit._cache_root()
        assert root is None or root.is_absolute()


def truncate(entry):
    entry.write_bytes(entry.read_bytes()[:-100])


def flip_a_bit(entry):
    stored = bytearray(entry.read_bytes())
    stored[len(stored) // 2] ^= 4
    entry.write_bytes(stored)


DAMAGE = {
    "truncated": truncate,
    "one bit": flip_a_bit,
    "empty": lambda entry: entry.write_bytes(b""),
    "garbage": lambda entry: entry.write_bytes(os.urandom(5000)),
    "text": lambda entry: entry.write_text("not compiled code"),
    "a folder": lambda entry: (entry.unlink(), entry.mkdir()),
}


def test_damaged_entries_are_compiled_again(work, tmp_path):
    assert work()[0] == 3
    for kind, damage in DAMAGE.items():
        for entry in entries(tmp_path / "cache"):
            damage(entry)
        assert work()[0] == 3, kind


def test_a_mended_cache_serves_again(work, tmp_path):
    assert work()[0] == 3
    truncate(entries(tmp_path / "cache")[0])
    assert work()[0] == 1
    assert work()[0] == 0


def test_four_processes_race_on_an_empty_cache(work, tmp_path):
    environment = {**os.environ, "MMLFAST_CACHE_DIR": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = str(ROOT)
    # All wait for one moment, so that they look into the empty cache together.
    wait = f"import time\nwhile time.time() < {time.time() + 2}: pass"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK.format(before=wait)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for racer in racers:
        printed, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0
        result(printed)
    assert work()[:2] == (0, 3)
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


def make_cache(directory, days_unused, names=("a.bin",)):
    directory.mkdir(parents=True)
    then = time.time() - days_unused * 86400
    for name in names:
        (directory / name).touch()
        os.utime(directory / name, (then, then))
    os.utime(directory, (then, then))
    return directory


def test_only_caches_that_nobody_uses_are_removed(monkeypatch, tmp_path):
    own = make_cache(tmp_path / ("f" * 16), 100)
    monkeypatch.setattr(_jit, "cache_directory", lambda: own)
    unused = make_cache(tmp_path / "0123456789abcdef", 31)
    empty = make_cache(tmp_path / "abcdefabcdefabcd", 31, names=())
    kept = [
        own,
        make_cache(tmp_path / "fedcba9876543210", 29),
        make_cache(tmp_path / "fedcba9876543211", 0, names=()),
        make_cache(tmp_path / "sixteen-letters!", 100),
        make_cache(tmp_path / "0000000000000000", 100, names=("a.bin", "thesis.tex")),
    ]
    (tmp_path / "1111111111111111").touch()
    assert sorted(_jit.remove_unused_caches()) == sorted([unused, empty])
    assert not unused.exists()
    assert not empty.exists()
    assert all(directory.exists() for directory in kept)
    assert (tmp_path / "1111111111111111").exists()
    monkeypatch.setattr(_jit, "cache_directory", lambda: None)
    assert _jit.remove_unused_caches() == []


def test_the_state_says_what_the_cache_holds():
    state = _jit.cache_state()
    assert set(state) == {"path", "writable", "files", "bytes", "key"}
    assert len(state["key"]) == 16
    assert state["writable"] == (state["path"] is not None)
    assert state["path"] is None or Path(state["path"]).name == state["key"]


FUNCTION_AS_ARGUMENT = """
import numba, numpy as np
from mmlfast.kernels._jit import cache_state
from mmlfast.kernels.newton import evaluate

f, out = numba.njit({function}), np.empty(3)
for _ in range(2):
    evaluate(f, (), np.arange(3.0), out)
print(out.tolist(), len(evaluate.signatures), cache_state()["files"])
"""


def test_code_for_a_function_given_as_argument_is_kept_for_the_process_alone(run_python, tmp_path):
    """Its type goes by its address, where the next process may have any other function."""
    for function, wanted in (("lambda x: x + 1", [1, 2, 3]), ("lambda x: 2 * x", [0, 2, 4])):
        code = FUNCTION_AS_ARGUMENT.format(function=function)
        printed = run_python(code, MMLFAST_CACHE_DIR=tmp_path / "cache")
        assert printed.split("]") == [str(list(map(float, wanted)))[:-1], " 1 0\n"]
    assert entries(tmp_path / "cache") == []


def test_addresses_are_found_within_tuples():
    import numba

    typed = numba.typeof(((1.0, numba.njit(lambda x: x)), None))
    assert _jit._names_an_address((typed,))
    assert not _jit._names_an_address((numba.typeof(((1.0, 2), "text")), numba.typeof([1.0])))
