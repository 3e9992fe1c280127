"""Lower bounds as constraints, and the check of an installed wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT
from tests.oldest import PYPROJECT, constraint, constraints

PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("numpy>=2.0", "numpy==2.0.*"),
        ("polars>=1", "polars==1.0.*"),
        ("asv >= 0.6.4", "asv~=0.6.4"),
        ("dask[array]>=2024.1,<2026", "dask==2024.1.*"),
        ("pywin32>=306; sys_platform == 'win32'", "pywin32==306.0.*"),
    ],
)
def test_a_bound_is_held_at_its_first_release(requirement, expected):
    assert constraint(requirement) == expected


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy==2.0"])
def test_a_requirement_without_a_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match=f"'{requirement}' has no lower bound; write name>="):
        constraint(requirement)


def test_the_constraints_are_of_the_dependencies_and_of_the_extra():
    project = {
        "dependencies": ["numpy>=2.0"],
        "optional-dependencies": {"test": ["pytest>=8.2", "numpy>=2.0"], "dev": ["ruff"]},
    }
    assert constraints(project) == ["numpy==2.0.*"]
    assert constraints(project, "test") == ["numpy==2.0.*", "pytest==8.2.*"]
    with pytest.raises(ValueError, match="'ruff' has no lower bound"):
        constraints(project, "dev")


def test_the_command_prints_a_line_for_each_requirement():
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "tests" / "oldest.py"), "test"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert len(lines) == len(set(wanted))
    assert all(re.fullmatch(r"[\w.-]+(==[\d.]+\.\*|~=[\d.]+)", line) for line in lines)


def test_a_package_has_one_lower_bound_everywhere():
    """Two bounds of one package would be two truths, and only one of them is tried."""
    listed = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounds: dict[str, set[str]] = {}
    for requirement in {line for lines in listed for line in lines if ">=" in line}:
        name, _, bound = constraint(requirement).partition("=")
        bounds.setdefault(name, set()).add(bound)
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_check_of_the_wheel_refuses_the_source_tree(run_python):
    code = "import runpy; runpy.run_path('tests/installed.py', run_name='__main__')"
    with pytest.raises(AssertionError, match=r"was imported from the source, .*install the wheel"):
        run_python(code)
