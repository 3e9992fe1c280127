"""The registry for workers that measure the installed mmlfast, not the one of this checkout.

asv installs the commit it measures, and imports only `benchmarks` from the checkout.  A worker has
the whole checkout on its path, before the installed packages: importing this module takes it off.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from benchmarks.cases import CASES, get, select

__all__ = ["CASES", "get", "select"]

ROOT = Path(__file__).resolve().parent.parent


class Checkout:
    """A finder of what the benchmarks need of the checkout."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The packages `benchmarks` and `tests` (naive versions of algorithms are rivals)."""
        if name in {"benchmarks", "tests"}:
            return PathFinder.find_spec(name, [str(ROOT)], target)
        return None


def prefer_installed() -> None:
    """Take the checkout off the path where mmlfast is installed elsewhere."""
    others = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    if PathFinder.find_spec("mmlfast", others):
        sys.path[:] = others
        sys.meta_path.insert(0, Checkout)


prefer_installed()
