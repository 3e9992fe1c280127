"""Trees become environments: a small package that builds without a network, one that fails to."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks import environments
from benchmarks.environments import (
    TEMPORARY,
    CannotCompare,
    build,
    files_of,
    remove_left_over,
    remove_old,
    resolve,
)
from benchmarks.process import Installation

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "mmlfast"
version = "0.0.1"
"""
BACKEND = """
import zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "mmlfast-0.0.1-py3-none-any.whl"
    info = "mmlfast-0.0.1.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.write("mmlfast/__init__.py")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: mmlfast\\nVersion: 0.0.1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""  # noqa: E501
IDENTITY = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-C", str(folder), *IDENTITY, *arguments], check=True, capture_output=True
    )
    return done.stdout.decode().strip()


@pytest.fixture
def tree(tmp_path):
    """A repository with one commit."""
    folder = tmp_path / "tree"
    (folder / "mmlfast").mkdir(parents=True)
    (folder / "benchmarks").mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "mmlfast" / "__init__.py").write_text("answer = 42\n")
    (folder / "benchmarks" / "__init__.py").write_text("")
    (folder / "benchmarks" / "cases.py").write_text("CASES = {'a': 1, 'b': 2}\n")
    (folder / ".gitignore").write_text("build/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return folder


def test_a_tree_becomes_an_environment_once(tree, tmp_path, monkeypatch):
    source = resolve("HEAD", str(tree))
    built = build(source, tmp_path / "store")
    code = "import mmlfast; print(mmlfast.answer, mmlfast.__file__)"
    done = subprocess.run(
        [built.python, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    answer, home = done.stdout.split()
    assert answer == "42"
    assert home.startswith(str(built.folder))
    assert built.packages == []
    assert environments.case_names(built) == {"a": False, "b": False}

    steps = []
    monkeypatch.setattr(environments, "_packages", lambda environment: [])
    monkeypatch.setattr(environments, "_run", lambda source, log, command: steps.append(command))
    assert build(source, tmp_path / "store") == built
    assert steps == []
    again = build(source, tmp_path / "store", again="-again")
    assert again.folder != built.folder
    assert len(steps) == 2
    (again.folder / "built.json").unlink()
    build(source, tmp_path / "store", again="-again")
    assert len(steps) == 4


def test_a_tree_that_does_not_build_says_why(tree, tmp_path):
    (tree / "backend.py").write_text("raise SystemError('the compiler is on strike')\n")
    with pytest.raises(CannotCompare, match=r"HEAD .* does not build: exit status 1: .*strike"):
        build(resolve("HEAD", str(tree)), tmp_path / "store")


def test_a_tree_without_a_registry_has_no_names(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("")
    installation = Installation(variables={"PYTHONPATH": str(tmp_path)})
    environment = SimpleNamespace(
        python=sys.executable, tree=tmp_path, installation=lambda root: installation
    )
    assert environments.case_names(environment) is None


def test_a_folder_is_known_by_its_content(tree):
    first = resolve("HEAD", str(tree))
    (tree / "build").mkdir()
    (tree / "build" / "ignored").write_text("x")
    assert resolve("HEAD", str(tree)).key == first.key
    (tree / "mmlfast" / "new.py").write_text("x = 1\n")
    assert resolve("HEAD", str(tree)).key != first.key


def test_a_commit_is_known_by_its_name_in_any_spelling(tree):
    name = git(tree, "rev-parse", "HEAD")
    by_name, by_branch = (resolve("BASE", given, tree) for given in (name, "HEAD"))
    assert by_name.commit == by_branch.commit == name
    assert by_name.key == by_branch.key
    assert str(by_branch) == f"BASE HEAD ({name[:10]})"


@pytest.mark.parametrize("given", ["no-such-branch", "--upload-pack=x", "", "HEAD:mmlfast"])
def test_what_is_no_commit_is_refused(tree, given):
    with pytest.raises(CannotCompare, match=r"is neither a commit of .* nor a folder"):
        resolve("BASE", given, tree)


def test_without_git_a_folder_is_what_it_holds(tree):
    subprocess.run(["rm", "-rf", str(tree / ".git")], check=True)
    (tree / "build").mkdir()
    (tree / "build" / "ignored").write_text("x")
    names = {path.relative_to(tree).as_posix() for path in files_of(tree)}
    assert names == {
        "backend.py",
        "benchmarks/__init__.py",
        "benchmarks/cases.py",
        "mmlfast/__init__.py",
        "pyproject.toml",
    }


def test_a_folder_that_a_repository_ignores_is_what_it_holds(tree):
    inner = tree / "build" / "copy"
    (inner / "mmlfast").mkdir(parents=True)
    (tree / ".gitignore").write_text("build/\n")
    for name in ("pyproject.toml", "mmlfast/__init__.py"):
        (inner / name).write_text((tree / name).read_text())
    names = {path.relative_to(inner).as_posix() for path in files_of(inner)}
    assert names == {"pyproject.toml", "mmlfast/__init__.py"}


def test_too_little_space_is_said_before_anything_is_built(tree, tmp_path, monkeypatch):
    space = SimpleNamespace(free=2e8)
    monkeypatch.setattr(environments.shutil, "disk_usage", lambda path: space)
    with pytest.raises(CannotCompare, match=r"needs 1.5 GB, .* has 0.2 GB free"):
        build(resolve("HEAD", str(tree)), tmp_path / "store")


def test_a_disk_that_fills_up_is_one_line_and_nothing_is_taken_for_built(
    tree, tmp_path, monkeypatch
):
    def full(source, tree):
        raise OSError(28, "No space left on device", str(tree))

    monkeypatch.setattr(environments, "write_tree", full)
    with pytest.raises(CannotCompare, match=r"cannot be built: .*No space left on device"):
        build(resolve("HEAD", str(tree)), tmp_path / "store")
    assert not list((tmp_path / "store").glob("*/built.json"))


def test_old_environments_go_and_used_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "KEPT", 3)
    folders = [tmp_path / str(i) for i in range(5)]
    for i, folder in enumerate(folders):
        folder.mkdir()
        environments.os.utime(folder, (i, i))
    remove_old(tmp_path, {folders[0]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3", "4"]


def test_what_a_killed_comparison_left_goes_and_the_rest_stays(tmp_path):
    for path in (f"{TEMPORARY}a/tree", f"key/{TEMPORARY}b/cache", "key/env"):
        (tmp_path / path).mkdir(parents=True)
    remove_left_over(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["env", "key"]


def test_the_cases_are_copied_without_the_package(tmp_path):
    stick = environments.copy_cases(tmp_path / "stick")
    assert (stick / "benchmarks" / "cases.py").exists()
    assert (stick / "tests" / "reference.py").exists()
    assert not (stick / "mmlfast").exists()
