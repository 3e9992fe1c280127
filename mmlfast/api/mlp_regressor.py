"""A multi-layer perceptron that regresses."""

from __future__ import annotations

from typing import Any, Self

from sklearn.utils.metaestimators import available_if

from mmlfast.api.mlp import MultilayerPerceptron
from mmlfast.api.network_estimator import has_epochs
from mmlfast.api.network_targets import NetworkRegressor


class MLPRegressor(NetworkRegressor, MultilayerPerceptron):
    """ŷ = A_{L−1} W_L + b_L, A_l = f_l(A_{l−1} W_l + b_l): a neural network.

    A drop-in for :class:`sklearn.neural_network.MLPRegressor` that runs each epoch as one compiled
    call: the same random_state gives the same start, batches and, in float64, the same weights to
    rounding.  Beyond it there are more activations, solvers and schedules, dropout, weight decay, a
    validation set of one's own, and a look inside.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        ½‖y − ŷ‖², or half the Poisson deviance of ŷ = eᶻ for y ≥ 0.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    activation : str or sequence of str, default="relu"
        Of all hidden layers, or one for each: "identity", "logistic", "tanh", "relu",
        "leaky_relu" (slope 0.01), "gelu", "gelu_tanh" or "softplus".
    solver : {"adam", "sgd", "lbfgs", "gd", "momentum", "nesterov", "adagrad", "rmsprop"}, \
default="adam"
        "sgd" is "nesterov" or, with nesterovs_momentum=False, "momentum"; "gd" has neither.
        "lbfgs" uses all samples at once.
    alpha : float, default=0.0001
        Penalty alpha/2 Σ W² beside the summed loss of each batch, as in scikit-learn.
    batch_size : int or "auto", default="auto"
        "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive", "cosine", "exponential"} or callable, \
default="constant"
        "invscaling" is learning_rate_init/(t + 1)^power_t after t samples; "adaptive" divides by 5
        where training would stop; "cosine" falls to 0 and "exponential" to a hundredth over
        max_iter epochs; a callable gives the rate of epoch 0, 1, ….  As in scikit-learn, "adam"
        takes no notice of "invscaling" and "adaptive".
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
    max_iter : int, default=200
        Epochs; iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    random_state : int, RandomState or None, default=None
        Of the weights, the validation set, the orders and the dropout.
    tol : float, default=1e-4
        Improvement below which an epoch counts as none; largest gradient entry for "lbfgs".
    verbose : bool, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights that are there.
    momentum : float, default=0.9
    nesterovs_momentum : bool, default=True
    early_stopping : bool, default=False
        Stop, and keep the best weights, by the score on a validation set instead of the loss.
    validation_fraction : float, default=0.1
        Share of the samples set aside by `early_stopping`.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of "adam"; beta_2 is the decay of "rmsprop", epsilon is added to the root in all three.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Evaluations of "lbfgs".
    dropout : float or sequence of float, default=0.0
        Share of the units of all hidden layers, or of each, left out at random in each step.
    out_activation : {"identity", "logistic"}, default="identity"
        Of the output, under squared error: "logistic" for targets between 0 and 1.
    weight_decay : float, default=0.0
        Decoupled: each step also shrinks the weights by learning rate × weight_decay.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        W_l of shape (n_l, n_{l+1}) and b_l; writing to them changes the model.
    loss_, best_loss_ : float
        Of the last epoch, and the least (None with early stopping).
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
    n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has column names.
    out_activation_ : str

    See Also
    --------
    sklearn.neural_network.MLPRegressor : The same interface.
    GDRegressor : Without hidden layers.

    Notes
    -----
    The loss of several targets is the sum over them, whose gradient training follows.  scikit-learn
    follows the same gradient but reports the mean over the targets, so that its loss_ is smaller by
    their number, and its tol larger.  Sources of the methods stand at :class:`MLPClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import MLPRegressor
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> y = X[:, 0] ** 2
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes=(10,), activation="softplus", solver="lbfgs", random_state=0
    ... ).fit(X, y)
    >>> bool(model.score(X, y) > 0.99)
    True
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        out_activation: str = "identity",
        weight_decay: float = 0.0,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
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
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.out_activation = out_activation
        self.weight_decay = weight_decay
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
            A setting out of range, shapes that do not fit, NaN, infinity or negative weights; y < 0
            for the Poisson loss; `early_stopping` of a stream without `eval_set`.

        Warns
        -----
        ConvergenceWarning
            max_iter was reached, or the loss became infinite: the message then names the step and
            the learning rate, and the weights are those of the last finished epoch.
        UserWarning
            Interrupted from the keyboard: the weights are those of the last finished epoch.
        """
        return self._fit(X, y, sample_weight, eval_set)

    @available_if(has_epochs)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on these samples, from where training stands.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be
            Also an iterator of batches, for one pass is enough.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; and if early_stopping is True, which needs all samples.
        """
        return self._fit(X, y, sample_weight, incremental=True)
