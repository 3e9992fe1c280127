"""The workflows keep to their schema and name only what exists; broken ones are noticed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.workflows import FOLDER, commands, complaints, load

WORKFLOWS = sorted(FOLDER.glob("*.yml"))
DEPENDABOT = ROOT / ".github" / "dependabot.yml"


def check_schema(schema, *files):
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        capture_output=True, text=True,
    )  # fmt: skip


def test_there_is_one_for_each_purpose():
    names = {path.stem for path in WORKFLOWS}
    assert {"tests", "performance", "history", "release"} <= names


def test_workflows_keep_to_the_schema():
    done = check_schema("vendor.github-workflows", *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_dependabot_keeps_to_its_schema():
    done = check_schema("vendor.dependabot", DEPENDABOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_names_exist_and_rights_are_least(path):
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_finds_nothing():
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def broken(name, old, new):
    """The text of a workflow with one thing changed."""
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    assert old in text, f"{name}.yml no longer says {old!r}"
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tests", "runs-on: ubuntu-latest", "run-on: ubuntu-latest", "prereleases"),
        ("tests", "timeout-minutes: 90", "timeout-minutes: soon", "timeout-minutes"),
        ("history", "cancel-in-progress", "cancel-inprogress", "cancel-inprogress"),
        ("release", "id-token: write", "id-token: all", "id-token"),
    ],
)
def test_the_schema_notices(tmp_path, name, old, new, said):
    (tmp_path / "broken.yml").write_text(broken(name, old, new), encoding="utf-8")
    done = check_schema("vendor.github-workflows", tmp_path / "broken.yml")
    assert done.returncode == 1
    assert said in done.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tests", "permissions:\n  contents: read\n", "", "no permissions at its top"),
        ("tests", "    timeout-minutes: 15\n", "", "lint: has no timeout-minutes"),
        ("tests", "pull_request:", "pull_request_target:", "rights of main on code of a fork"),
        ("tests", "make lint", "make lnit", "make has no target lnit"),
        ("tests", "'.[test]'", "'.[tests]'", "there is no extra tests"),
        ("tests", "matrix.python }}", "matrix.pythons }}", "the matrix has no pythons"),
        ("tests", "if: matrix.dependencies", "if: matrix.set", "the matrix has no set"),
        ("tests", "tests/oldest.py", "tests/older.py", "there is no tests/older.py"),
        ("tests", "actions/checkout@v7", "actions/checkout@main", "checkout@main is not pinned"),
        ("tests", "actions/checkout@v7", "actions/checkout", "actions/checkout is not pinned"),
        ("tests", "package.yml", "pack.yml", "there is no ./.github/workflows/pack.yml"),
        ("tests", "run: make lint", "run: if make lint", "unexpected end of file"),
        ("release", "@dc37677b2e1c63e2034f94d8a5b11f265b73ba33", "@v1.14.2", "is not pinned"),
        ("release", "needs: package", "needs: packages", "needs packages, which is no job"),
        ("release", "needs: package", "needs: publish", "reads needs.package without needing it"),
        ("release", "outputs.version", "outputs.versions", "which package does not set"),
        ("release", "needs.package.outputs.version", "secrets.VERSION", "uses a secret"),
        ("release", "env:\n          VERSION:", "env:\n          TAG:", "nothing sets $VERSION"),
        ("package", "id: installed", "id: install", "no step installed before it is read"),
        ("package", '"version=$version"', '"v=$version"', "step installed does not set version"),
        ("performance", "inputs.head ", "inputs.tip ", "there is no input tip"),
        ("performance", "id: commits", "id: names", "no step commits before it is read"),
        ("performance", 'echo "base=', 'echo "root=', "step commits does not set base"),
        ("performance", "HEAD_SHA: ", "TIP_SHA: ", "nothing sets $HEAD_SHA"),
        ("performance", ":+--quick", ":+--quickly", "unrecognized arguments: --quickly"),
        ("performance", "benchmarks compare", "benchmarks contrast", "invalid choice: 'contrast'"),
        ("performance", '"$BASE_SHA" "$HEAD_SHA"', "${{ github.event.number }}",
         "expression inside a script"),
        ("history", "make bench-history", "make history", "make has no target history"),
    ],
)  # fmt: skip
def test_a_broken_workflow_is_noticed(name, old, new, said):
    assert any(said in complaint for complaint in complaints(broken(name, old, new)))


def test_commands_are_taken_apart_as_a_shell_does():
    script = 'a=1\nmake x ${Q:+--y} \\\n  z || s=$?\ncase $s in 0) ;; esac\nmake "p q" | tee f'
    assert [c for c in commands(script) if c[:1] == ["make"]] == [
        ["make", "x", "--y", "z"],
        ["make", "p q"],
    ]


def test_the_newest_python_is_one_and_the_oldest_is_the_lowest_allowed():
    text = (FOLDER / "tests.yml").read_text(encoding="utf-8")
    oldest, newest = load(text)["jobs"]["tests"]["strategy"]["matrix"]["include"]
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={oldest["python"]}"' in pyproject
    assert set(re.findall(r'python(?:-version)?: "([\d.]+)"', text)) == {
        oldest["python"],
        newest["python"],
    }
