"""Which way to the principal components is cheapest: flops, reads, bytes and seconds of each.

    covariance   n d² + c d³                        one read
    krylov       4 p n d b + d (p b)²               p reads
    dual         n² d + c n³                        two reads, all of X in memory
    full         2 n d² (QR) + c d³, or an SVD      one read

The rates are those of one core of a machine with AVX-512; they only weigh the routes against each
other and tell the order of the time to come.
"""

from __future__ import annotations

from dataclasses import dataclass

GRAM_RATE = {4: 1.4e11, 8: 6.5e10}  # flops a second and core, counting n d² for a symmetric Gram
PRODUCT_RATE = {4: 1.6e11, 8: 7.5e10}
LAPACK_RATE = 2.5e10
EIGH_SECONDS = 1.1e-10  # times d³, all eigenpairs; measured 0.054 s at 784
EIGH_TOP_SECONDS = 0.7e-10  # a tenth of them
SMALL = 500  # up to this size the most accurate route costs nothing
KRYLOV_LEAST_FEATURES = 1000
KRYLOV_READS = 5


@dataclass(frozen=True)
class Plan:
    """A route with what it costs.

    Attributes
    ----------
    route : str
        "covariance_eigh", "krylov", "dual" or "full".
    passes : int
        Reads of the data; for "krylov" the number expected.
    peak_bytes : int
        Memory beside the data.
    seconds : float
        Estimate, of the order only.
    reason : str
        Why this route.
    """

    route: str
    passes: int
    peak_bytes: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class Problem:
    """What decides the route; n_components is None where all eigenvalues are wanted."""

    n_samples: int | None
    n_features: int
    itemsize: int  # of the dtype in which products are formed
    n_components: int | None
    threads: int
    rewindable: bool = True

    @property
    def rows(self) -> int:
        """Rows, or a guess: a stream of unknown length is taken to be long."""
        return self.n_samples if self.n_samples is not None else 100 * self.n_features


def krylov_block(n_components: int, n_features: int) -> int:
    """Vectors applied at a time: about as many as wanted, in whole registers.

    At k = 50 on 40 000 × 2000, blocks of 48 reach an error of 4e-4 in 0.40 s, of 64 in 0.45 s.
    """
    return min(n_features, max(16, round(n_components / 16) * 16))


def _covariance(p: Problem) -> Plan:
    n, d = p.rows, p.n_features
    eigen = EIGH_TOP_SECONDS if p.n_components and p.n_components <= d // 5 else EIGH_SECONDS
    seconds = n * d**2 / (GRAM_RATE[p.itemsize] * p.threads) + eigen * d**3
    size = 8 * d**2 * 4 + p.itemsize * d**2 * (p.threads + 1)
    return Plan("covariance_eigh", 1, size + (8 << 20), seconds, "")


def _krylov(p: Problem) -> Plan:
    n, d, k = p.rows, p.n_features, p.n_components or 1
    b = krylov_block(k, d)
    basis = KRYLOV_READS * b
    seconds = KRYLOV_READS * 4 * n * d * b / (PRODUCT_RATE[p.itemsize] * p.threads)
    seconds += 6 * d * basis**2 / LAPACK_RATE
    size = 8 * d * basis * 4 + p.threads * d * (p.itemsize * (b + 96) + 8)
    return Plan("krylov", KRYLOV_READS, size + (8 << 20), seconds, "")


def _dual(p: Problem) -> Plan:
    n, d = p.rows, p.n_features
    seconds = n**2 * d / (GRAM_RATE[p.itemsize] * p.threads) + EIGH_SECONDS * n**3
    seconds += 2 * n * d * (p.n_components or n) / (PRODUCT_RATE[8] * p.threads)
    size = 8 * n**2 * 4 + 8 * d * (p.n_components or n) * 2 + n * 4096 * 8
    return Plan("dual", 3, size, seconds, "")


def _full(p: Problem) -> Plan:
    n, d = p.rows, p.n_features
    short, long = min(n, d), max(n, d)
    seconds = 2 * long * short**2 / LAPACK_RATE + 22 * short**3 / LAPACK_RATE
    size = 8 * d**2 * 6 + 8 * d * max(4 * d, 1024) if n >= d else 8 * n * d * 4
    return Plan("full", 1, size, seconds, "")


def plan_route(problem: Problem, memory_budget: int | None = None) -> Plan:
    """The cheapest route that fits the budget and the source.

    Raises MemoryError, naming the least memory that would do, if none fits.
    """
    n, d, k = problem.rows, problem.n_features, problem.n_components
    full = _full(problem)
    small = problem.n_samples is not None and max(n, d) <= SMALL
    if small and (memory_budget is None or full.peak_bytes <= memory_budget):
        return _because(full, f"max(n_samples, n_features) <= {SMALL}: exact and quick")
    routes = [_covariance(problem)]
    if problem.rewindable and n < d:
        routes.append(_dual(problem))
    few = k is not None and k <= min(n, d) // 4
    if problem.rewindable and few and d >= KRYLOV_LEAST_FEATURES:
        routes.append(_krylov(problem))
    fitting = [r for r in routes if memory_budget is None or r.peak_bytes <= memory_budget]
    if not fitting:
        least = min(r.peak_bytes for r in routes)
        way_out = " An integer n_components of at most a quarter of n_features, on data that can be"
        way_out = "" if few and problem.rewindable else way_out + " read again, needs less."
        raise MemoryError(
            f"memory_budget={memory_budget} bytes is too small for {n} × {d}: at least {least} "
            f"bytes are needed beside the data.{way_out}"
        )
    best = min(fitting, key=lambda r: r.seconds)
    others = ", ".join(
        f"{r.route} {r.seconds:.3g} s, {r.peak_bytes / 2**20:.0f} MiB"
        for r in routes
        if r != best
    )
    kind = "of this shape" if problem.rewindable else "that can be read only once"
    only = f"the one route for data {kind}"
    reason = f"cheapest: {best.seconds:.3g} s estimated, against {others}" if others else only
    if len(fitting) < len(routes):
        reason += f"; within memory_budget={memory_budget}"
    return _because(best, reason)


def forced_route(problem: Problem, route: str) -> Plan:
    """The costs of a route that was asked for."""
    make = {"covariance_eigh": _covariance, "krylov": _krylov, "dual": _dual, "full": _full}[route]
    return _because(make(problem), "asked for")


def _because(plan: Plan, reason: str) -> Plan:
    return Plan(plan.route, plan.passes, int(plan.peak_bytes), float(plan.seconds), reason)
