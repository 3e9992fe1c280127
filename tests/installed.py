"""Show that the wheel works by itself: the examples of the public names, far from the source tree.

``python -I tests/installed.py PCA`` runs in the environment that the wheel was installed in.
"""

from __future__ import annotations

import doctest
import inspect
import sys
from pathlib import Path

import mmlfast

SOURCE = Path(__file__).resolve().parent.parent


def main(names: list[str]) -> int:
    """Run the examples of those public names; the exit status."""
    package = Path(mmlfast.__file__).resolve().parent
    if package == SOURCE / "mmlfast":
        sys.exit(f"mmlfast was imported from the source, {package}: install the wheel")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for name in names:
        thing = getattr(mmlfast, name)
        for test in doctest.DocTestFinder().find(thing, name, module=inspect.getmodule(thing)):
            runner.run(test)
    failed, tried = runner.summarize()
    held = f"{tried - failed} of {tried} examples hold"
    sys.stdout.write(f"mmlfast {mmlfast.__version__} in {package}: {held}\n")
    return int(failed > 0 or tried == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
