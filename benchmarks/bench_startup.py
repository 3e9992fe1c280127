"""asv: import, first calls with a filled cache, and compiling into an empty one."""

from benchmarks import cases, suites


class NewProcess(suites.Seconds):
    """Seconds of a new process that imports, computes once and ends."""

    method = "time_process"
    number = 1
    repeat = (3, 7, 10.0)
    warmup_time = 0.0
    rounds = 1


globals().update(
    suites.make(cases.select(group="startup"), [NewProcess])
    | suites.make(cases.select(group="startup", quick=not suites.SLOW), [suites.Ratio])
)
