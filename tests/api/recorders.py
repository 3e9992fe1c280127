"""Callbacks of scikit-learn's that write down what they are told."""

from __future__ import annotations


class Recorder:
    """Writes down which hook was called for which task; stops or fails where it is told to."""

    def __init__(self, stop_at=None, fail_at=None):
        self.events, self.seen, self.fitted = [], [], []
        self.stop_at, self.fail_at = stop_at, fail_at

    def _note(self, hook, context):
        event = (hook, context.task_name, context.task_id)
        self.events.append(event)
        if event == self.fail_at:
            raise RuntimeError(f"failing at {hook}")

    def setup(self, estimator, context):
        self._note("setup", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self._note("begin", context)
        self.seen.append((X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self._note("end", context)
        if fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
        return self.stop_at == (context.task_name, context.task_id)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def count(self, hook, task):
        return sum(event[:2] == (hook, task) for event in self.events)


class Propagated(Recorder):
    """Handed on by pipelines and searches to what they fit."""

    max_propagation_depth = None


def assert_nested(events):
    """Every task ends once, after all that began inside it, and the whole is one fit."""
    assert events[0][0] == "setup"
    assert events[-1][0] == "teardown"
    open_tasks = []
    for hook, *task in events[1:-1]:
        if hook == "begin":
            open_tasks.append(task)
        else:
            assert open_tasks.pop() == task
    assert open_tasks == []
