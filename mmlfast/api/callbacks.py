"""What a fit tells scikit-learn's callbacks (progress bars, monitors): a task and its subtasks.

    fit                     on_fit_task_begin(fit)
      epoch 0                 begin(epoch 0)  …  end(epoch 0) → stop?
      epoch 1                 begin(epoch 1)  …  end(epoch 1) → stop?
                            on_fit_task_end(fit)

An estimator that iterates adopts it in five lines::

    class Model(CallbackSupport, …, BaseEstimator):
        def fit(self, X, y, sample_weight=None):
            …
            with FitTask(self, steps=self.max_iter, X=X, y=y, sample_weight=sample_weight) as task:
                for epoch in range(self.max_iter):
                    task.begin("epoch")
                    …
                    if task.end(lambda: {"coefs_": copies_of(coefs)}):
                        break
                …                       # the learned attributes are set before the block is left

`end` returns whether a callback asked to stop.  What it is given is called only if a callback wants
the estimator as if fit had stopped there: attributes, to be copied where training goes on in place.
Where a loop runs many epochs in one compiled call, it asks `task.listening` and calls epoch by
epoch only for somebody who listens.  Without callbacks an epoch pays 0.15 µs, a fit 10 µs.

`partial_fit` is a step of somebody else's loop and calls nobody.  Before scikit-learn 1.9 there are
no callbacks: `CallbackSupport` is empty then, and a task silent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Self

from mmlfast.runtime.sources import Source, batch_rows

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupport:
        """Nothing: this scikit-learn has no callbacks."""

    _tear_down: Any = None
else:

    class CallbackSupport(CallbackSupportMixin):  # type: ignore[no-redef]
        """Mixin that gives an estimator `set_callbacks`."""

    # Running nothing under scikit-learn's decorator is the one public way to what it does last.
    _tear_down = with_callbacks(lambda estimator: None)


Fitted = dict[str, Any] | Callable[[], dict[str, Any]] | None


class FitTask:
    """The task that a call of `fit` is, as a context manager; ended if it is left without an error.

    Parameters
    ----------
    estimator : CallbackSupport or None
        The task is silent unless callbacks were set on it, or on a pipeline or search around it.
    steps : int or None
        The most subtasks there can be; None if that is not known.
    X, y, sample_weight : array-like or None
        For the callbacks, as the user gave them.  What is no array (a path, an iterator) they do
        not get: reading it could use it up.

    Attributes
    ----------
    listening : bool
        Whether there is anybody to tell.
    stopped : bool
        Whether a callback has asked to stop, whichever subtask it answered to.
    """

    __slots__ = ("_contexts", "_data", "_estimator", "_silent", "_steps", "listening", "stopped")

    def __init__(
        self,
        estimator: Any,
        steps: int | None,
        *,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
    ) -> None:
        self._estimator, self._steps = estimator, steps
        self._silent = estimator is None or _tear_down is None
        self._data = {
            "X": _array_like(X),
            "y": _array_like(y),
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        self._contexts: list[Any] = []
        self.listening = self.stopped = False

    def __enter__(self) -> Self:
        if self._silent:
            return self
        try:
            context = self._estimator._init_callback_context(max_subtasks=self._steps)
            # Not part of the protocol: should it be called otherwise one day, all are told.
            self.listening = bool(getattr(context, "_callbacks", True))
            if self.listening:
                self._open(context)
        except BaseException:
            _tear_down(self._estimator)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._silent:
            return
        try:
            if self.listening and kind is None:
                self._close({})
        finally:
            _tear_down(self._estimator)

    def begin(self, name: str, steps: int | None = 0) -> None:
        """A subtask begins, of at most `steps` subtasks itself; None if that is not known."""
        if self.listening:
            self._open(self._contexts[-1].subcontext(task_name=name, max_subtasks=steps))

    def end(self, fitted: Fitted = None) -> bool:
        """The subtask begun last has ended; returns whether a callback asks to stop.

        `fitted`, or what it returns, are the attributes of the estimator as if fit stopped here.
        """
        return self.listening and self._close(fitted)

    def _open(self, context: Any) -> None:
        self._contexts.append(context)
        context.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def _close(self, fitted: Fitted) -> bool:
        stop: bool = self._contexts.pop().call_on_fit_task_end(
            estimator=self._estimator, reconstruction_attributes=fitted, **self._data
        )
        self.stopped |= stop
        return stop


def one_task(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `fit(self, X, y, sample_weight, …)` without steps: a task without subtasks."""

    @wraps(fit)
    def told(
        estimator: Any, X: Any, y: Any = None, sample_weight: Any = None, **rest: Any
    ) -> Any:
        with FitTask(estimator, 0, X=X, y=y, sample_weight=sample_weight):
            return fit(estimator, X, y, sample_weight, **rest)

    return told


def _array_like(data: Any) -> Any:
    return data if hasattr(data, "shape") or isinstance(data, list | tuple) else None


class Reads:
    """The reads of a source as subtasks, each of them cut into blocks of 16 MiB of rows.

    A read that fits one block has no subtasks of its own.
    """

    def __init__(self, task: FitTask, source: Source, advance: Callable[[int], None]) -> None:
        self._task, self._advance = task, advance
        self._block_rows = batch_rows(source.n_features, source.dtype)
        n = source.n_rows
        self._blocks = None if n is None else -(-n // self._block_rows)
        self._rows = 0  # in the open block
        self._open = False

    @property
    def stopped(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._task.stopped

    def begin(self) -> None:
        """A read begins."""
        self._task.begin("read", 0 if self._blocks == 1 else self._blocks)
        if self._blocks != 1:
            self._begin_block()

    def end(self) -> None:
        """All rows have been read."""
        self._end_block()
        self._task.end()

    def advance(self, rows: int) -> None:
        """`rows` more have been read."""
        self._advance(rows)
        if self._blocks == 1 or not self._task.listening:
            return
        self._rows += rows
        while self._rows:
            self._begin_block()
            if self._rows < self._block_rows:
                break
            left = self._rows - self._block_rows
            self._end_block()
            self._rows = left

    def _begin_block(self) -> None:
        if not self._open:
            self._task.begin("rows")
            self._open = True

    def _end_block(self) -> None:
        if self._open:
            self._task.end()
            self._open, self._rows = False, 0
