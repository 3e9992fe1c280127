"""NIST's certified nonlinear regressions: parameters and standard errors to 6 digits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmlfast import fit_curve
from tests.strd import FOLDER, MODELS, load

DIGITS = 1e-6
# Certified to 11 digits from data of 14: residuals are 7e-14 where rounding y alone is 2e-16, so
# that double precision leaves two or three digits of them, and of the standard errors.
ROUNDED = {"Lanczos1": 0.1}


def test_every_set_is_here():
    assert len(MODELS) == 27
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_data_and_certified_values_belong_together(name):
    """χ² at the certified parameters is the certified one, as far as doubles tell."""
    data = load(name)
    residuals = data.y - MODELS[name](data.x, *data.certified)
    rss = math.fsum(residual**2 for residual in residuals)
    if name == "Lanczos1":
        # Its parameters are certified to 11 digits, which leaves an error of 1e-11 in y.
        assert rss < data.y.size * 1e-21
    else:
        assert abs(rss / data.rss - 1) < 1e-9


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", MODELS)
def test_certified_values_are_met_from_both_starts(name, start):
    data = load(name)
    fit = fit_curve(MODELS[name], data.x, data.y, data.starts[start])
    assert fit.success
    np.testing.assert_allclose(fit.p, data.certified, rtol=DIGITS, atol=0)
    loose = ROUNDED.get(name, DIGITS)
    np.testing.assert_allclose(fit.std_errors, data.std_errors, rtol=loose, atol=0)
    np.testing.assert_allclose(fit.chi2, data.rss, rtol=2 * loose, atol=0)
    assert fit.dof == data.y.size - data.certified.size
    assert (np.diff(fit.chi2_path) <= 1e-6 * np.array(fit.chi2_path[:-1])).all()


@pytest.mark.parametrize("name", ["Misra1a", "Thurber", "Gauss2", "MGH10"])
def test_differences_are_good_for_the_parameters_too(name):
    """A model that takes no complex numbers has its Jacobian by central differences."""
    data = load(name)

    def real(x, *p):
        return MODELS[name](x, *(float(one) for one in p))

    fit = fit_curve(real, data.x, data.y, data.starts[1])
    np.testing.assert_allclose(fit.p, data.certified, rtol=DIGITS, atol=0)
    np.testing.assert_allclose(fit.std_errors, data.std_errors, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["Misra1b", "DanWood", "Gauss1", "Gauss2", "Misra1d"])
def test_gauss_newton_meets_them_from_the_nearer_start(name):
    data = load(name)
    fit = fit_curve(MODELS[name], data.x, data.y, data.starts[1], method="gauss-newton")
    assert fit.success
    np.testing.assert_allclose(fit.p, data.certified, rtol=DIGITS, atol=0)
    np.testing.assert_allclose(fit.std_errors, data.std_errors, rtol=DIGITS, atol=0)
