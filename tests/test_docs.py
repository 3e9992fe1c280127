"""The examples of the course map run, in order and in one namespace, so that it cannot go stale."""

from __future__ import annotations

import re

from tests.conftest import ROOT

COURSE = ROOT / "docs" / "course.md"


def blocks() -> list[tuple[int, str]]:
    """(line, code) of each block of Python."""
    text = COURSE.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, block.start(1)) + 1, block.group(1)) for block in found]


def test_the_examples_of_the_course_map_run():
    namespace: dict[str, object] = {}
    assert len(blocks()) > 5
    for line, code in blocks():
        # Blank lines in front make a traceback name the line of the document.
        exec(compile("\n" * (line - 1) + code, str(COURSE), "exec"), namespace)
