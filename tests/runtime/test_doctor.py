"""The doctor always answers, also about an installation that is broken."""

from __future__ import annotations

import json

import numpy as np

from mmlfast.runtime import doctor


def test_the_report_is_complete_and_fit_for_json():
    found = json.loads(json.dumps(doctor.examine()))
    assert found["versions"]["numpy"] == np.__version__
    assert found["threads"]["used"] >= 1
    assert found["cpu"]["lanes_float32"] == 2 * found["cpu"]["lanes_float64"]
    assert found["cache"]["key"]
    assert not [name for name, part in found.items() if "error" in part]


def test_what_is_broken_is_told_and_the_rest_still_examined(monkeypatch):
    monkeypatch.setenv("MMLFAST_NUM_THREADS", "many")
    found = doctor.examine()
    assert "MMLFAST_NUM_THREADS must be a positive integer" in found["threads"]["error"]
    assert found["environment"]["MMLFAST_NUM_THREADS"] == "many"
    assert found["cpu"]["lane_bytes"] in (16, 32, 64)


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(doctor, "_OPTIONAL", ("no-such-package",))
    assert doctor.examine()["versions"]["no-such-package"] is None
