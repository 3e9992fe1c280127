"""What the batched regressions share: input, shapes, flags, results by label, scores of rows."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from mmlfast.api.callbacks import CallbackSupport
from mmlfast.api.regression_problems import (
    Problems,
    checked_weights,
    factorised,
    grouped_problems,
    hashable,
    is_ragged,
    listed_problems,
    shape_of,
    shared_problems,
    side_of,
    stacked_problems,
)
from mmlfast.runtime.validate import as_real

FLOATS = [np.float64, np.float32]


class Results(Mapping[Hashable, Any]):
    """The fitted problems by label, or by number where they have none."""

    def __init__(self, labels: list[Hashable], kind: Any, found: dict[str, NDArray[Any]]) -> None:
        self._places = {label: i for i, label in enumerate(labels)}
        self._kind, self._found = kind, found

    def __getitem__(self, label: Hashable) -> Any:
        place = self._places[label]
        return self._kind(*(self._found[name][place] for name in self._kind._fields))

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class BatchedRegression(CallbackSupport, BaseEstimator):  # type: ignore[misc]
    """B regressions whose scores are linear: X b + b₀."""

    _result: Any
    _numeric_targets: bool

    def _read(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Problems:
        """The problems; what the estimator notes of X and of labels is noted."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        if groups is None and is_ragged(X):
            problems = self._noted(listed_problems(X, y, sample_weight))
        elif groups is None and len(shape_of(X)) == 3:
            problems = self._noted(stacked_problems(X, np.asarray(y), sample_weight))
        elif groups is None and self._holds_many(shape_of(y)):
            X, y = validate_data(self, X, dtype=FLOATS), np.asarray(y)
            problems = shared_problems(X, y, sample_weight, side_of(y.shape, len(X)))
        else:
            problems = self._read_table(X, y, sample_weight, groups)
        problems.y = self._encoded(problems.y)
        self._kind = problems.kind
        self._found: dict[str, NDArray[Any]] = {}
        self.__dict__.pop("groups_", None)
        self._labels: list[Hashable] = list(range(problems.count))
        if problems.labels is not None:
            self.groups_ = problems.labels
            self._labels = hashable(problems.labels)
        return problems

    def _holds_many(self, shape: tuple[int, ...]) -> bool:
        """Whether y beside one table is of several problems; a classifier flattens one column."""
        return len(shape) == 2 and (self._numeric_targets or shape[1] != 1)

    def _noted(self, problems: Problems) -> Problems:
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = problems.n_features
        return problems

    def _read_table(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Problems:
        alone = groups is None
        if alone:
            X, y = validate_data(self, X, y, dtype=FLOATS, y_numeric=self._numeric_targets)
            y = self._checked_targets(y)
        else:
            # A group that is not finite is flagged; the others are fitted.
            X = validate_data(self, X, dtype=FLOATS, ensure_all_finite=False)
            y = column_or_1d(y, warn=True)
            check_consistent_length(X, y)
        w = None
        if sample_weight is not None:
            w = _check_sample_weight(sample_weight, X, dtype=np.float64)
            w = checked_weights(w)
        if not alone:
            return grouped_problems(X, y, w, groups)
        return shared_problems(X, y, w, "single")

    def _checked_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """y of one ordinary problem, or scikit-learn's error."""
        return y

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """y as the numbers a kernel takes."""
        return as_real(y, "y")

    def _keep(self, **arrays: NDArray[Any]) -> None:
        """Keep what was found of each problem, and show it as an attribute."""
        self._found.update(arrays)
        for name, values in arrays.items():
            setattr(self, name + "_", self._shown(name, values))

    def _shown(self, name: str, values: NDArray[Any]) -> Any:
        """Of one ordinary problem its value itself."""
        return values[0] if self._kind == "single" else values

    def _flag(self, count: int, **failed: NDArray[np.bool_]) -> None:
        """Keep the status of each problem, the last that is true, and warn of those that failed."""
        status = np.full(count, "converged", dtype="<U15")
        for name, where in failed.items():
            if where.any():
                status[where] = name
        self._keep(status=status)
        wrong = status[np.any(list(failed.values()), axis=0)]
        if len(wrong):
            names, counts = np.unique(wrong, return_counts=True)
            listed = ", ".join(f"{k} {name}" for name, k in zip(names, counts, strict=True))
            warnings.warn(
                f"{len(wrong)} of {count} problems have no answer, or not the one asked for: "
                f"{listed}. status_ says which.",
                ConvergenceWarning,
                stacklevel=4,
            )

    @property
    def results_(self) -> Results:
        """The problems by label of their group, or by number: ``results_["a"].coef``."""
        check_is_fitted(self)
        return Results(self._labels, self._result, self._found)

    def _quotients(self, name: str) -> Any:
        """Estimates over their standard errors; 0/0 says nothing: NaN."""
        check_is_fitted(self)
        with np.errstate(invalid="ignore", divide="ignore"):
            return getattr(self, name + "_") / getattr(self, name + "_standard_error_")

    def _scored(self, metric: Any, X: Any, y: Any, sample_weight: Any, groups: Any) -> Any:
        """The metric of all rows, of each column on average, or of each problem."""
        predicted = self.predict(X, groups)
        if self._kind == "single" or groups is not None:
            return metric(y, predicted, sample_weight=sample_weight)
        y, w = y, sample_weight
        if self._kind == "columns":
            predicted, y = predicted.T, np.asarray(y).T
            w = w if w is None or np.ndim(w) == 1 else np.asarray(w).T
        ys = [y] * len(predicted) if np.ndim(y) == 1 and self._kind != "list" else y
        ws = [w] * len(predicted) if w is None or np.ndim(w) == 1 else w
        scores = np.array([
            metric(*pair, sample_weight=weight)
            for *pair, weight in zip(ys, predicted, ws, strict=True)
        ])  # fmt: skip
        return scores.mean() if self._kind == "columns" else scores

    def _scores(self, X: Any, groups: Any) -> Any:
        """X b + b₀: (m,), (m, B), (B, m) or a list, as the problems were given."""
        check_is_fitted(self)
        W, b = np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)
        if self._kind != "single" and groups is None:
            if self._kind == "list" and isinstance(X, (list, tuple)):
                return self._scores_of_list(X, W, b)
            if len(shape_of(X)) == 3:
                return self._scores_of_stack(as_real(X, "X"), W, b)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        if groups is not None:
            which = self._places(groups, len(X))
            return np.einsum("ij,ij->i", X, W[which]) + b[which]
        if self._kind == "single":
            return X @ W[0] + b[0]
        scores = X @ W.T + b
        return scores if self._kind == "columns" else scores.T

    def _scores_of_stack(self, X: NDArray[Any], W: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        if len(X) not in (1, len(W)) or X.shape[2] != self.n_features_in_:
            raise ValueError(
                f"X must have shape ({len(W)}, n_samples, {self.n_features_in_}), a table for each "
                f"problem, or ({{1,}} n_samples, {self.n_features_in_}); got {X.shape}."
            )
        scores: NDArray[Any] = np.matmul(X, W[:, :, None])[..., 0] + b[:, None]
        return scores

    def _scores_of_list(self, X: Any, W: NDArray[Any], b: NDArray[Any]) -> list[NDArray[Any]]:
        if len(X) != len(W):
            raise ValueError(f"X must list {len(W)} tables, one for each problem; got {len(X)}.")
        return [
            self._scores_of_stack(as_real(x, f"X[{i}]")[None], W[i : i + 1], b[i : i + 1])[0]
            for i, x in enumerate(X)
        ]

    def _places(self, groups: Any, n: int) -> NDArray[np.intp]:
        """Which problem each of n rows belongs to."""
        if self._kind != "groups":
            raise ValueError(
                "groups may be given for rows of X only where the fit was given groups; leave it "
                "out."
            )
        found, codes = factorised(groups, n)
        labels = hashable(found)
        known = {label: i for i, label in enumerate(self._labels)}
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise ValueError(
                f"groups has labels that the fit did not see: {unknown[:5]}. There are "
                f"{len(known)}, the first of them {self._labels[:5]}."
            )
        return np.array([known[label] for label in labels], dtype=np.intp)[codes]
