"""What cannot be read or asked for is refused by name, with a way out, and without a trace."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from mmlfast import PCA, CovarianceState, covariance
from tests.api.models import spread

SOLVERS = ["auto", "full", "covariance_eigh", "krylov", "dual", "arpack", "randomized"]


def refused(error: str, *arguments, kind=ValueError, **settings) -> None:
    model = PCA(*arguments[1:], random_state=0, **settings)
    with pytest.raises(kind, match=error):
        model.fit(arguments[0])
    assert not hasattr(model, "components_")


# Numbers


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (20, 5), (599, 7)])
def test_the_first_bad_number_is_named(solver, value, word, row, column):
    X = spread(600, 8)
    X[row, column] = value
    X[row:, -1][1:] = np.nan
    refused(f"contains {word}: .* row {row}, column {column} ", X, 2, svd_solver=solver)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("row", [3, 2047, 2048, 4999])
def test_a_bad_number_of_every_precision_and_far_down(dtype, row):
    X = spread(5000, 6, dtype)
    X[row, 4] = np.nan
    refused(f"NaN: .* row {row}, column 4 ", X, 2)
    with pytest.raises(ValueError, match=f"row {row}, column 4 "):
        PCA(2).partial_fit(X)
    with pytest.raises(ValueError, match=f"row {row}, column 4 "):
        covariance(X)


@pytest.mark.parametrize("row", [0, 2500])
def test_a_bad_number_among_new_rows(row):
    model = PCA(2).fit(spread(100, 6))
    new = spread(3000, 6)
    new[row, 2] = np.inf
    for method in (model.transform, model.score_samples, model.score):
        with pytest.raises(ValueError, match=f"infinity: .* row {row}, column 2 "):
            method(new)
    with pytest.raises(ValueError, match=f"row {row}, column 2 "):
        list(model.iter_transform(iter([new[:1000], new[1000:]])))
    with pytest.raises(ValueError, match="NaN"):
        model.inverse_transform([[0.0, np.nan]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_whose_squares_overflow(dtype):
    X = spread(100, 4, dtype) * np.finfo(dtype).max ** 0.6
    refused("too large to square and sum", X, 2, svd_solver="covariance_eigh")
    with pytest.raises(ValueError, match="too large to square and sum"):
        covariance(X)


# Shapes


@pytest.mark.parametrize("solver", SOLVERS)
def test_too_little(solver):
    refused("0 sample", np.empty((0, 3)), 1, svd_solver=solver)
    refused(r"0 feature\(s\)", np.empty((5, 0)), 1, svd_solver=solver)
    refused("1 sample", np.ones((1, 3)), 1, svd_solver=solver)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "arpack"])
def test_one_column(solver):
    X = np.arange(10.0)[:, None]
    model = PCA(1, svd_solver=solver, random_state=0).fit(X)
    np.testing.assert_allclose(model.explained_variance_, [np.var(X, ddof=1)])
    np.testing.assert_allclose(model.components_, [[1.0]])
    np.testing.assert_allclose(model.transform(X), X - 4.5)


def test_two_rows():
    model = PCA().fit([[1.0, 2.0, 2.0], [3.0, 4.0, 3.0]])
    np.testing.assert_allclose(model.explained_variance_, [4.5, 0], atol=1e-15)
    np.testing.assert_allclose(model.components_[0], np.array([2, 2, 1]) / 3)


@pytest.mark.parametrize(
    ("X", "error", "kind"),
    [
        (np.arange(5.0), "Expected 2D array, got 1D array", ValueError),
        (3.5, "must be an array, a path", TypeError),
        (None, "must be an array, a path", TypeError),
        (np.zeros((3, 3, 3)), "Found array with dim 3, expected 2", ValueError),
        (np.ones((4, 2)) * 1j, "Complex data not supported", ValueError),
        ([[1.0, 2.0], [3.0]], "same length", ValueError),
        ([["a", 1.0], ["b", 2.0]], "real numbers", ValueError),
        (np.array([[1.0, "x"], [2.0, 3.0]], object), "row 0, column 1", ValueError),
        (np.array([["2020"], ["2021"]], "M8[Y]"), "real numbers; got dtype", ValueError),
        ({"a": [1, 2]}, "must be an array, a path", TypeError),
    ],
)
def test_what_is_no_matrix(X, error, kind):
    refused(error, X, kind=kind)


def test_sparse_matrices_are_refused_with_a_way_out():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    refused("sparse input is not supported. Pass X.toarray()", scipy_sparse.eye(5).tocsr(),
            kind=TypeError)  # fmt: skip


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_text_column_is_named(kind):
    library = pytest.importorskip(kind)
    frame = library.DataFrame({"height": [1.0, 2.0], "city": ["Rome", "Oslo"]})
    with pytest.raises((ValueError, TypeError), match="city"):
        PCA(1).fit(frame)


def test_another_number_of_columns():
    model = PCA(2).fit(spread(50, 6))
    for method in (model.transform, model.score):
        with pytest.raises(ValueError, match="X has 5 features, but PCA is expecting 6 features"):
            method(spread(10, 5))
    with pytest.raises(ValueError, match="has 5 features"):
        next(model.iter_transform(spread(10, 5)))
    with pytest.raises(ValueError, match=r"n_components_=2; got \(4, 3\)"):
        model.inverse_transform(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="0 sample"):
        model.transform(np.empty((0, 6)))


# Settings


@pytest.mark.parametrize(
    "k", [0, -1, True, "many", np.nan, 0.0, 1.0, 1.5, -0.5, np.inf, [2], 2 + 0j]
)
def test_n_components_that_no_data_could_satisfy(k):
    refused("n_components", spread(50, 6), k)


@pytest.mark.parametrize("shape", [(50, 6), (6, 50)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_more_components_than_there_are(solver, shape):
    refused(r"between 1 and min\(n_samples, n_features\) = 6 .*got n_components=7. Pass a fraction",
            spread(*shape), 7, svd_solver=solver)  # fmt: skip


def test_settings_that_contradict_each_other():
    X = spread(50, 6)
    refused("must be strictly less than", X, 6, svd_solver="arpack")
    for solver in ("krylov", "arpack", "randomized"):
        refused("finds a given number of components", X, 0.5, svd_solver=solver)
        refused("finds a given number of components", X, "mle", svd_solver=solver)
    refused("n_samples >= n_features; got 6 x 50", X.T[:, :50], "mle")


@pytest.mark.parametrize(
    "settings",
    [
        {"svd_solver": "lapack"}, {"tol": -1.0}, {"tol": "small"}, {"tol": np.nan},
        {"iterated_power": -1}, {"iterated_power": "often"}, {"n_oversamples": 0},
        {"n_oversamples": 1.5}, {"power_iteration_normalizer": "SVD"}, {"memory_budget": 0},
        {"memory_budget": "2GB"},
    ],
)  # fmt: skip
def test_settings_out_of_range(settings):
    ((name, value),) = settings.items()
    refused(f"{name} must be .*got {value!r}", spread(50, 6), **settings)
    with pytest.raises(ValueError, match=name):
        PCA(**settings).partial_fit(spread(50, 6))
    with pytest.raises(ValueError, match=name):
        PCA(**settings).plan((50, 6))


def test_progress_must_be_callable():
    refused("progress must be True, False, None or a callable", spread(50, 6), progress=3,
            kind=TypeError)  # fmt: skip


def test_n_jobs_must_be_a_number_of_threads():
    refused("n_jobs", spread(50, 6), n_jobs=0)


@pytest.mark.parametrize(
    "method",
    ["transform", "inverse_transform", "score", "score_samples", "get_covariance", "get_precision",
     "reconstruction_error_curve", "get_feature_names_out"],
)  # fmt: skip
def test_before_fit(method):
    arguments = (
        [np.ones((2, 2))] if "s" in method[:7] and not method.startswith(("get", "rec")) else []
    )
    with pytest.raises(NotFittedError):
        getattr(PCA(), method)(*arguments)


def test_a_failed_fit_leaves_nothing_of_the_one_before():
    model = PCA(2).fit(spread(50, 6))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((5, 5), np.nan))
    assert not hasattr(model, "components_")
    with pytest.raises(NotFittedError):
        model.transform(spread(50, 6))


# Files


def test_files_that_are_not_there_or_not_what_they_say(tmp_path):
    refused("nothing.npy", tmp_path / "nothing.npy", kind=FileNotFoundError)
    (tmp_path / "x.txt").write_text("1,2\n3,4\n")
    refused(r"the ending must be .npy", tmp_path / "x.txt")
    (tmp_path / "x.npy").write_text("1,2\n3,4\n")
    refused("not a .npy file", tmp_path / "x.npy")
    (tmp_path / "x.npz").write_text("PK but not really")
    refused(".npz", tmp_path / "x.npz")
    np.save(tmp_path / "short.npy", spread(100, 6))
    whole = (tmp_path / "short.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-8])
    refused("cut short", tmp_path / "short.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]], object))
    refused("never unpickled", tmp_path / "objects.npy")
    refused("sample", "sample:nothing")


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_tables_that_are_not_what_they_say(tmp_path, ending):
    pytest.importorskip("pyarrow")
    (tmp_path / f"x.{ending}").write_bytes(b"\x00\x01\x02 nothing of the kind")
    with pytest.raises(ValueError, match=f"x.{ending}"):
        PCA(1).fit(tmp_path / f"x.{ending}")


def test_a_csv_with_a_text_column_names_it(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.csv").write_text("height,city\n1.5,Rome\n2.5,Oslo\n")
    with pytest.raises((ValueError, TypeError), match="city"):
        PCA(1).fit(tmp_path / "x.csv")


# Batches


def test_batches_that_do_not_fit_together():
    X = spread(60, 6)
    with pytest.raises(ValueError, match="batch 1 of X has 5 features, the first one has 6"):
        PCA(2).fit(iter([X[:30], X[30:, :5]]))
    with pytest.raises(ValueError, match="batch 1 of X has dtype float64"):
        PCA(2).fit(iter([X[:30].astype("float32"), X[30:]]))
    with pytest.raises(TypeError, match="must return an iterator"):
        PCA(2).fit(lambda: 3)


def test_an_iterator_that_fails_is_not_hidden():
    def failing():
        yield spread(30, 4)
        raise RuntimeError("disk on fire")

    refused("disk on fire", failing(), kind=RuntimeError)
    model = PCA(2)
    with pytest.raises(RuntimeError, match="disk on fire"):
        model.partial_fit(failing())
    assert model.n_samples_ == 30


# Weights


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([1.0, -1.0, 1.0], r"weights\[1\] is -1"),
        ([1.0, 1.0, np.nan], r"weights\[2\] is nan"),
        ([np.inf, 1.0, 1.0], r"weights\[0\] is inf"),
        ([1.0, 1.0], r"shape \(3,\), one for each row; got \(2,\)"),
        ([[1.0], [1.0], [1.0]], r"got \(3, 1\)"),
        (2.0, r"got \(\)"),
    ],
)
def test_weights_that_do_not_fit(weights, error):
    X = spread(3, 2)
    with pytest.raises(ValueError, match=error):
        covariance(X, weights=weights)
    state = CovarianceState(2).update(X)
    with pytest.raises(ValueError, match=error):
        state.update(X, weights)
    assert state.n_samples == 3
