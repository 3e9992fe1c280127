"""The rules of the house, read from the source: who imports whom, and what is spelled where."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

import mmlfast
import mmlfast.testing

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmlfast"
SOURCES = sorted(PACKAGE.rglob("*.py"))
KERNELS = sorted((PACKAGE / "kernels").glob("*.py"))
EVERYTHING = [
    *SOURCES,
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "tests").rglob("*.py")),
]
PUBLIC = [name for name in mmlfast.__all__ if not name.startswith("__")]

JIT = PACKAGE / "kernels" / "_jit.py"
COMPILERS = {
    "njit",
    "jit",
    "vectorize",
    "guvectorize",
    "generated_jit",
    "cfunc",
    "stencil",
    "prange",
}
HEAVY = ["numba", "llvmlite", "scipy", "sklearn", "joblib", "pandas", "polars", "pyarrow"]
HEAVY += ["matplotlib", "PIL", "tqdm", "typer", "rich"]
LONGEST = 450


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=relative)


@lru_cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path, nodes: ast.AST | None = None) -> Iterator[str]:
    """Dotted names of everything imported, late imports and `import_module("…")` included."""
    for node in ast.walk(nodes or tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = (
                relative(path).removesuffix(".py").split("/")[: -node.level] if node.level else []
            )
            base = ".".join([*package, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            yield from (str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant))


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    f = node.func
    return f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else ""


def within(name: str, *prefixes: str) -> bool:
    return any(name == p or name.startswith(p + ".") for p in prefixes)


@each(KERNELS)
def test_kernels_import_numpy_numba_and_kernels_alone(path):
    allowed = ("numpy", "numba", "llvmlite", "mmlfast.kernels", *sys.stdlib_module_names)
    assert [name for name in imports(path) if not within(name, *allowed)] == []


@each(sorted((PACKAGE / "runtime").rglob("*.py")))
def test_runtime_imports_neither_api_nor_scikit_learn(path):
    forbidden = ("sklearn", "scipy", "mmlfast.api", "mmlfast.cli")
    assert [name for name in imports(path) if within(name, *forbidden)] == []


@each(sorted((PACKAGE / "api").rglob("*.py")))
def test_api_does_not_import_the_command(path):
    assert [name for name in imports(path) if within(name, "mmlfast.cli", "typer")] == []


@each(sorted((PACKAGE / "testing").rglob("*.py")))
def test_testing_stands_alone(path):
    """It times whatever it is given, other commits of mmlfast too."""
    allowed = ("numpy", "scipy", "pytest", "mmlfast.testing", *sys.stdlib_module_names)
    assert [name for name in imports(path) if not within(name, *allowed)] == []


def test_the_package_itself_imports_only_the_standard_library():
    statements = [node for node in tree(PACKAGE / "__init__.py").body if not is_type_checking(node)]
    names = [name for node in statements for name in imports(PACKAGE / "__init__.py", node)]
    assert [name for name in names if not within(name, "numpy", *sys.stdlib_module_names)] == []


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, mmlfast; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_plugin_that_every_pytest_loads_brings_nothing_along():
    code = """import sys, mmlfast.testing.pytest_plugin
foreign = {name.split(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(foreign & {"numpy", "scipy", "numba", "sklearn"}, "mmlfast.testing.ratios" in sys.modules)"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()", "True"]


@each([path for path in SOURCES if path != JIT])
def test_compilers_are_spelled_in_one_file(path):
    spelled = [
        name for name in imports(path) if within(name, "numba") and name.split(".")[-1] in COMPILERS
    ]
    spelled += [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in COMPILERS
        and ast.unparse(node.value) in {"numba", "nb"}
    ]
    assert spelled == []


@each(SOURCES)
def test_fast_math_and_parallel_are_never_simply_on(path):
    """`fastmath=True` assumes that no NaN exists; `parallel=True` brings a layer that aborts."""
    on = [
        f"line {node.value.lineno}: {node.arg}=True"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword)
        and node.arg in {"fastmath", "parallel"}
        and is_true(node.value)
    ]
    on += [
        f"line {value.lineno}: {key.value!r}: True"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
        and key.value in {"fastmath", "parallel"}
        and is_true(value)
    ]
    assert on == []


def is_true(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


@each([path for path in SOURCES if not relative(path).startswith("mmlfast/cli")])
def test_print_is_left_to_the_command(path):
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    printing = [
        node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


@each(EVERYTHING)
def test_a_file_is_one_idea(path):
    assert not path.stem.strip("_").startswith(("util", "helper", "misc"))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@each([path for path in KERNELS if path.name not in {"__init__.py", "_jit.py"}])
def test_a_kernel_file_opens_with_its_equation(path):
    docstring = ast.get_docstring(tree(path))
    assert docstring, f"{relative(path)} has no docstring"
    assert any(sign in docstring for sign in "=←≈≤"), f"{relative(path)} states no equation"


def test_something_is_public():
    assert "PCA" in PUBLIC
    assert len(set(PUBLIC)) == len(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_and_shows_how_it_is_used(name):
    docstring = getattr(mmlfast, name).__doc__
    assert docstring
    assert "Examples\n" in docstring, f"mmlfast.{name} has no Examples section"
    assert ">>>" in docstring


@pytest.mark.parametrize("name", PUBLIC)
def test_the_readme_knows_every_public_name(name):
    assert name in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", mmlfast.testing.__all__)
def test_a_name_for_tests_shows_how_it_is_used(name):
    docstring = getattr(mmlfast.testing, name).__doc__
    assert "Examples\n" in docstring, f"mmlfast.testing.{name} has no Examples section"
    assert ">>>" in docstring


@pytest.mark.parametrize("name", ["assert_not_slower", "paired_benchmark"])
def test_readers_learn_how_to_guard_speed(name):
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(name in page.read_text(encoding="utf-8") for page in pages)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mmlfast.no_such_name


def test_public_names_are_listed():
    assert set(PUBLIC) <= set(dir(mmlfast))
