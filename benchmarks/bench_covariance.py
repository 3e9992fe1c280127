"""asv: the cases of the group covariance."""

from benchmarks import suites


class Covariance(suites.Timing, group="covariance"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class CovarianceRatio(suites.Ratio, group="covariance"):
    """How many times faster than each rival."""
