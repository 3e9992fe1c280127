"""What a case is: inputs, mmlfast, its rivals, the check that precedes the clock, and the bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Size = Literal["tiny", "normal", "full"]
Call = Callable[[Any], Any]
Contestant = Callable[[], Call]

OURS = "mmlfast"


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes
    ----------
    name, group : str
        `group` is the suite the case belongs to: matmul, covariance, pca, startup.
    inputs : callable, size -> inputs
        Seeded and remembered. "tiny" is for tests and warm-up, "normal" is measured, "full" is
        what `--full` asks for.
    ours : callable, () -> call
        Imports late and returns the function of the inputs that is timed.
    rivals : mapping of name to such a callable
        One that raises ImportError is absent and left out.
    check : callable, (result, inputs) -> float
        The error of a result.  It is measured before any clock runs.
    tolerance : float
        The largest error that is not called broken.
    no_worse_than : str, optional
        A rival whose own error, measured in the same run, replaces `tolerance` when it takes part.
    flops, bytes : float
        Work of one call at normal size.
    bar : mapping of rival to the least ratio of medians, rival / mmlfast
    excess : mapping of rival to the most seconds mmlfast may take more
    memory_limit : float, optional
        The most bytes of anonymous memory a call may add to the process.
    counts : callable, result -> mapping of name to number, optional
        What mmlfast says it counted on the way: {"passes": 2.0, "iterations": 21.0}.  Of results
        of `ours` alone; the same inputs give the same numbers, however long they took.
    quick : bool
        Whether `--quick` and a plain asv run include it.
    threads : int, optional
        Threads of every contestant; None leaves the choice to each.
    """

    name: str
    group: str
    inputs: Callable[[Size], Any]
    ours: Contestant
    rivals: Mapping[str, Contestant]
    check: Callable[[Any, Any], float]
    tolerance: float
    no_worse_than: str | None = None
    flops: float = 0.0
    bytes: float = 0.0
    bar: Mapping[str, float] = field(default_factory=dict)
    excess: Mapping[str, float] = field(default_factory=dict)
    memory_limit: float | None = None
    counts: Callable[[Any], Mapping[str, float]] | None = None
    quick: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse a bar for a rival that is not there."""
        named = {*self.bar, *self.excess, *filter(None, [self.no_worse_than])}
        if unknown := named - set(self.rivals):
            raise ValueError(
                f"case {self.name}: bars name {sorted(unknown)}, "
                f"the rivals are {sorted(self.rivals)}"
            )

    def contestant(self, name: str) -> Call:
        """The function of the inputs that `name` is timed on; ImportError when it is absent."""
        return self.ours() if name == OURS else self.rivals[name]()
