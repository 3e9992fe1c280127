"""`sample:imports`: which modules of Python's own standard library import which.

A real, directed graph with dangling nodes that lies on every machine.  Nothing is imported to find
out: the sources are searched for import statements.  To parse every file takes seconds; strings and
comments are skipped by one regular expression instead, and outside those the word `import` always
stands in an import statement, which alone is parsed.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmlfast.runtime.edges import Edges

__all__ = ["sample_edges"]

# Folders that are no part of the library proper, or not installed everywhere.
LEFT_OUT = {"test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "dist-packages"}
LEFT_OUT |= {"__pycache__", "turtledemo", "ensurepip"}

_FROM_IMPORT = r"(?: \bfrom\b (?:[.\w \t]|\\\n)+? (?<=[ \t.]) )? \bimport\b"
# All up to the next import statement, and that.  Possessive: nothing is ever tried twice.
_next_statement = re.compile(
    rf"""
    (?:
        [^"'\#fi]++
      | (?! {_FROM_IMPORT} ) [fi]
      | \#[^\n]*+
      | \"\"\" [^"\\]*+ (?: (?: \\. | "(?!"") ) [^"\\]*+ )*+ \"\"\"
      | ''' [^'\\]*+ (?: (?: \\. | '(?!'') ) [^'\\]*+ )*+ '''
      | " [^"\\\n]*+ (?: \\. [^"\\\n]*+ )*+ "
      | ' [^'\\\n]*+ (?: \\. [^'\\\n]*+ )*+ '
      | ["']
    )*+
    ( {_FROM_IMPORT} (?: [ \t]*+\([^)]*\) | (?: \\\n | [^\n;\#] )* ) )
    """,
    re.VERBOSE | re.DOTALL,
).match


def sample_edges(name: str) -> Edges:
    """The edges importer → imported among the modules of the standard library.

    A module is a node if its source is there (test suites, idlelib and lib2to3 are left out) or if
    one of those imports it: `sys` and other built-in modules have no imports themselves, and are
    the dangling nodes.  Importing a name from a module is an edge to that module, importing a
    submodule one to the submodule.  Each edge counts once.
    """
    if name != "sample:imports":
        raise ValueError(f"{name!r} is not a sample of a graph; there is sample:imports.")
    files = dict(sorted(_files()))
    known = files.keys() | sys.stdlib_module_names
    pairs = sorted(
        {
            (module, imported)
            for module, file in files.items()
            for imported in _imported(file, module, known)
            if imported != module
        }
    )
    labels = sorted(files.keys() | {imported for _, imported in pairs})
    number = {label: i for i, label in enumerate(labels)}
    ends = np.array([[number[end] for end in pair] for pair in pairs], np.int32).reshape(-1, 2)
    return Edges(ends[:, 0], ends[:, 1], None, len(labels), labels)


def _files() -> Iterator[tuple[str, Path]]:
    """Dotted names of the modules that have a source, and where it is."""
    root = Path(sysconfig.get_path("stdlib"))
    found = False
    for file in root.rglob("*.py"):
        *packages, last = file.relative_to(root).with_suffix("").parts
        parts = packages if last == "__init__" else [*packages, last]
        if parts and parts[0] in sys.stdlib_module_names and LEFT_OUT.isdisjoint(parts):
            found = True
            yield ".".join(parts), file
    if not found:
        raise FileNotFoundError(
            f"sample:imports needs the sources of the standard library; there are none in {root}."
        )


def _imported(file: Path, module: str, known: set[str]) -> Iterator[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    with tokenize.open(file) as opened:
        source = opened.read()
    at = 0
    while match := _next_statement(source, at):
        at = match.end()
        for name in _names(match[1], package):
            # What is no module is a name inside one.
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                yield name


def _names(statement: str, package: str) -> Iterator[str]:
    """Dotted names that an import statement may mean, of modules or of what is in them."""
    (node,) = ast.parse(statement.strip()).body
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [base])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
