"""NIST's reference datasets: nine digits of every certified value, where doubles hold them."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast import BatchedLinearRegression
from tests import reference_regression as reference
from tests.strd_linear import DATASETS

DIGITS = 1e-9
# The powers of x up to the tenth, rounded to doubles, are another problem than NIST's: its exact
# solution differs from the certified one by 2.5e-8, which no solver of these columns can mend.
ROUNDED_COLUMNS = {"Filip": 3e-8}


def fitted(data, **options):
    return BatchedLinearRegression(fit_intercept=data.intercept, **options).fit(data.X, data.y)


def estimates(model, data):
    if not data.intercept:
        return model.coef_, model.coef_standard_error_
    return (
        np.append(model.intercept_, model.coef_),
        np.append(model.intercept_standard_error_, model.coef_standard_error_),
    )


@pytest.mark.parametrize("data", DATASETS, ids=lambda data: data.name)
def test_certified_values(data):
    model = fitted(data)
    rtol = ROUNDED_COLUMNS.get(data.name, DIGITS)
    coefficients, errors = data.certified
    found, found_errors = estimates(model, data)
    np.testing.assert_allclose(found, coefficients, rtol=rtol)
    # Wampler1 and 2 are exact polynomials: their certified deviations are 0.
    np.testing.assert_allclose(found_errors, errors, rtol=rtol, atol=1e-14)
    deviation = model.residual_standard_deviation_
    np.testing.assert_allclose(deviation, data.residual_deviation, rtol=rtol, atol=1e-14)
    np.testing.assert_allclose(model.r2_, data.r2, rtol=DIGITS)
    assert model.status_ == "converged"


@pytest.mark.parametrize("data", DATASETS, ids=lambda data: data.name)
def test_the_numbers_given_are_solved_to_the_last_digits(data):
    found, found_errors = estimates(fitted(data), data)
    exact, errors, _ = reference.least_squares(data.X, data.y, ones=int(data.intercept))
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    np.testing.assert_allclose(found_errors, errors, rtol=1e-12, atol=1e-14)


def test_all_at_once_and_beside_each_other():
    """As ragged problems each is the same as alone, whatever its neighbours are."""
    polynomials = [data for data in DATASETS if data.name.startswith(("Wampler", "Norris"))]
    narrow = [data.X[:, :1] for data in polynomials]
    together = BatchedLinearRegression().fit(narrow, [data.y for data in polynomials])
    for b, data in enumerate(polynomials):
        alone = BatchedLinearRegression().fit(narrow[b], data.y)
        np.testing.assert_allclose(together.coef_[b], alone.coef_, rtol=1e-12)
        np.testing.assert_allclose(together.r2_[b], alone.r2_, rtol=1e-12)


@pytest.mark.parametrize("data", DATASETS, ids=lambda data: data.name)
def test_normal_equations_are_right_to_the_square_of_the_condition(data):
    if data.name == "Filip":
        with pytest.warns(match="1 rank_deficient"):
            model = fitted(data, solver="cholesky")
        assert model.status_ == "rank_deficient"
        return
    found, _ = estimates(fitted(data, solver="cholesky"), data)
    np.testing.assert_allclose(found, data.certified[0], rtol=1e-6)
