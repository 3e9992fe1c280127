"""asv: every group of cases but start-up.  `MMLFAST_BENCH_SLOW=1` adds the slow cases."""

from benchmarks import cases, suites

globals().update(
    suites.make(case for case in cases.select(quick=not suites.SLOW) if case.group != "startup")
)
