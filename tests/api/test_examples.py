"""Every example in a public docstring prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import mmlfast

STOREYS = ("mmlfast.api", "mmlfast.runtime", "mmlfast.testing")
MODULES = [
    module.name
    for storey in STOREYS
    for module in pkgutil.iter_modules(importlib.import_module(storey).__path__, storey + ".")
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    for test in examples(name):
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", [name for name in mmlfast.__all__ if name != "__version__"])
def test_everything_public_has_an_example(name):
    thing = getattr(mmlfast, name)
    assert ">>> " in inspect.getdoc(thing)
    assert inspect.getdoc(thing).split("\n")[0].strip()


def test_the_public_list_is_what_it_gives():
    assert set(mmlfast.__all__) == set(dir(mmlfast))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mmlfast.nothing  # noqa: B018
