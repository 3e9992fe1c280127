"""Multinomial logistic regression by gradient descent in mini-batches."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import NDArray

from mmlfast.api.linear_network import LinearNetwork
from mmlfast.api.network_targets import NetworkClassifier


class GDClassifier(NetworkClassifier, LinearNetwork):
    """P(class | x) = softmax(coef_ x + intercept_): logistic regression by gradient descent.

    The least of (1/n) Σ −log P(y_i | x_i) + alpha/2 ‖w‖², by mini-batches of one big problem; two
    classes share one row of weights.  Each epoch is one compiled call.

    Parameters
    ----------
    loss : {"log_loss"}, default="log_loss"
    solver : {"nesterov", "gd", "momentum", "adagrad", "rmsprop", "adam"}, default="nesterov"
    alpha : float, default=0.0001
        Penalty alpha/2 ‖w‖² beside the mean loss: 1/(n C) for scikit-learn's C.
    fit_intercept : bool, default=True
    batch_size : int or "auto", default="auto"
        "auto" is min(200, n_samples); n_samples or more is gradient descent proper.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine", "exponential"} or callable, \
default="constant"
        As for :class:`MLPClassifier`.
    learning_rate_init : float, default=0.01
        For features of unit variance; steps on larger ones diverge, with a warning.
    power_t : float, default=0.5
    max_iter : int, default=1000
        Epochs.
    shuffle : bool, default=True
    random_state : int, RandomState or None, default=None
        Of the orders and the validation set; the weights start at 0.
    tol : float, default=1e-4
        Improvement below which an epoch counts as none.
    verbose : bool, default=False
    warm_start : bool, default=False
    momentum : float, default=0.9
        Of "momentum" and "nesterov".
    early_stopping : bool, default=False
        Stop, and keep the best weights, by the score on a validation set instead of the loss.
    validation_fraction : float, default=0.1
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of "adam"; beta_2 is the decay of "rmsprop", epsilon is added to the root in all three.
    n_iter_no_change : int, default=10
    weight_decay : float, default=0.0
        Decoupled: each step also shrinks the weights by learning rate × weight_decay.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; "balanced" makes them count alike.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1 or n_classes, n_features)
    intercept_ : ndarray of shape (1 or n_classes,)
    loss_, best_loss_ : float
    loss_curve_ : list of float
    validation_scores_, best_validation_score_ : list of float, float
        With early stopping, else None.
    history_ : dict of ndarray
        For each epoch "loss", "validation_loss", "validation_score", "learning_rate",
        "gradient_norm" (root mean square over its batches) and "seconds".
    n_iter_ : int
        Epochs of the last fit.
    t_ : int
        Samples seen in training.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    sklearn.linear_model.SGDClassifier : One sample at a time.
    BatchedLogisticRegression : Thousands of small problems, by Newton's method.
    MLPClassifier : With hidden layers.

    Notes
    -----
    Only the differences between the classes' weights are determined by the probabilities; the
    penalty, and a start at 0, make their sum 0.  The solvers are those of :func:`minimize`.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import GDClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> model = GDClassifier(learning_rate_init=0.1).fit(X, ["low", "low", "high", "high"])
    >>> model.predict([[-3.0], [0.5]])
    array(['low', 'high'], dtype='<U4')
    >>> model.predict_proba([[0.0]]).round(2)
    array([[0.5, 0.5]])
    """

    _multilabel = False

    def __init__(
        self,
        loss: str = "log_loss",
        *,
        solver: str = "nesterov",
        alpha: float = 0.0001,
        fit_intercept: bool = True,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.01,
        power_t: float = 0.5,
        max_iter: int = 1000,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        weight_decay: float = 0.0,
        class_weight: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.n_jobs = n_jobs

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None
    ) -> Self:  # fmt: skip
        """Train on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be
            float32 is trained in float32, everything else in float64; float16 and integers of up
            to 32 bits are read as they are, without a converted copy.  A path (.npy, .npz, .csv,
            .parquet, a folder of Parquet files) or a callable that returns an iterator of batches
            is read in chunks of 16 MiB every epoch; rows are then shuffled within each chunk only.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or str
            A str names a column of a .parquet or .csv file or a frame: the others are the features.
        sample_weight : array-like of shape (n_samples,), default=None
        eval_set : (X, y), default=None
            A validation set: measured after each epoch, and used by `early_stopping` instead of a
            share of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            A setting out of range, shapes that do not fit, NaN, infinity or negative weights; fewer
            than two classes; `early_stopping` of a stream without `eval_set`.

        Warns
        -----
        ConvergenceWarning
            max_iter was reached, or the loss became infinite: the message then names the step and
            the learning rate, and the weights are those of the last finished epoch.
        UserWarning
            Interrupted from the keyboard: the weights are those of the last finished epoch.
        """
        return self._fit(X, y, sample_weight, eval_set)

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> Self:  # fmt: skip
        """Train for one epoch on these samples, from where training stands.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be
            Also an iterator of batches, for one pass is enough.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes that will come; needed at the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; and if `classes` are missing at the first call or change, y holds others, or
            early_stopping is True or class_weight "balanced", which need all samples.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """coef_ x + intercept_: the log odds of the second class, or a score for each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    @property
    def coef_(self) -> NDArray[Any]:
        """The weights, of shape (1, n_features) for two classes, else (n_classes, n_features)."""
        return self._known_network("coef_").coefs[0].T
