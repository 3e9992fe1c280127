"""A few evenly spaced rows of a stream of blocks."""

from __future__ import annotations

import numpy as np

__all__ = ["RowSample"]


class RowSample:
    """Rows 0, s, 2s, … of consecutive blocks, with s the smallest step that keeps to `limit` rows.

    Parameters
    ----------
    n_rows : int
        Rows in all blocks together.
    limit : int
        Most rows to keep.
    n_columns : int
        How many of the first columns to keep.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast.runtime.sampling import RowSample
    >>> sample = RowSample(n_rows=10, limit=4, n_columns=1)
    >>> for block in np.split(np.arange(20).reshape(10, 2), 5):
    ...     sample.take(block)
    >>> sample.rows().ravel()
    array([ 0,  6, 12, 18])
    """

    def __init__(self, n_rows: int, limit: int, n_columns: int) -> None:
        self.step = max(1, -(-n_rows // limit))
        self._n_columns = n_columns
        self._seen = 0
        self._kept: list[np.ndarray] = []

    def take(self, block: np.ndarray) -> None:
        """Keep what falls on the step of the next rows, an array of shape (n, n_features)."""
        first = -self._seen % self.step
        # Copied, for the block may be a buffer that its maker fills again.
        self._kept.append(block[first :: self.step, : self._n_columns].copy())
        self._seen += len(block)

    def rows(self) -> np.ndarray:
        """What was kept so far, in order."""
        return np.concatenate(self._kept) if self._kept else np.empty((0, self._n_columns))
