"""What several test files of the api share."""

from __future__ import annotations

import pytest

from mmlfast.api import layout
from mmlfast.api import pagerank_walk as walk


@pytest.fixture(params=["one part", "many parts"])
def cut(request, monkeypatch):
    """Small graphs swept as a whole, or cut like large ones."""
    if request.param == "many parts":
        monkeypatch.setattr(layout, "SERIAL_WORK", 1)
        monkeypatch.setattr(walk, "PART_WORK", 8)
