"""asv: the cases of the group pca."""

from benchmarks import suites


class PCA(suites.Timing, group="pca"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class PCARatio(suites.Ratio, group="pca"):
    """How many times faster than each rival."""
