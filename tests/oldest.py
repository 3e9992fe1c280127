"""Print pip constraints that hold every dependency at its lower bound in pyproject.toml.

``python tests/oldest.py test >build/oldest.txt`` covers the dependencies and the extra `test`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

# A name, perhaps extras and, as the first of its bounds, the lower one.
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*>=\s*(?P<bound>\d+(\.\d+)*)")


def constraint(requirement: str) -> str:
    """`numpy>=2.0` → `numpy==2.0.*`: the last patch of the oldest release allowed.

    A bound of one number is that of its first release, `polars>=1` → `polars==1.0.*`: `1.*` would
    be the newest one.  Of a bound with a patch the later patches are allowed as well.
    """
    found = REQUIREMENT.match(requirement)
    if not found:
        raise ValueError(f"pyproject.toml: {requirement!r} has no lower bound; write name>=version")
    numbers = [*found["bound"].split("."), "0"]
    if len(numbers) > 3:
        return f"{found['name']}~={found['bound']}"
    return f"{found['name']}=={'.'.join(numbers[:2])}.*"


def constraints(project: dict[str, Any], *extras: str) -> list[str]:
    """The constraints of the dependencies of a `[project]` table and of those extras."""
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    return list(dict.fromkeys(map(constraint, requirements)))


if __name__ == "__main__":
    table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(constraints(table, *sys.argv[1:])) + "\n")
