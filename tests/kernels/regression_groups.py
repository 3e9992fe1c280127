"""A stack of small regressions through a kernel's groups, nothing written where it must not be."""

from __future__ import annotations

import numpy as np

from mmlfast.api.batches import base, lanes_of
from mmlfast.runtime.validate import aligned

LANES = lanes_of(np.dtype(np.float64))


def fit_stack(kernel, layout, X, y, w, ones, options):
    """Coefficients (B, p), errors (B, p) and the rest of the report of X (B, n, d)."""
    count, n, d = X.shape
    p, groups = d + ones, -(-count // LANES)
    places, size = layout
    workspace = aligned((size + 2) * LANES, np.float64)
    workspace[:] = np.nan
    report = np.full((2 * p + kernel.REPORT + 2, groups * LANES), np.nan)
    data = (
        base(X), base(y), base(y if w is None else w),
        n * d, n, -1 if w is None else n,
    )  # fmt: skip
    kernel.fit_groups(
        data, (n, d, ones, count), options, places, (0, groups, 0), workspace, report
    )
    assert np.isnan(workspace[size * LANES :]).all()
    assert np.isnan(report[-2:]).all()
    report = report[:, :count]
    return report[:p].T, report[p : 2 * p].T, report[2 * p : -2]
