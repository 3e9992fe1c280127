"""The eigenpairs at the end of the spectrum of a symmetric operator, by block Lanczos iteration.

    V = [Q, A Q, A² Q, …] orthonormalised,     T = Vᵀ A V,     T S = S Θ,     A (V S) ≈ (V S) Θ

When V is full it is replaced by its best Ritz vectors and the iteration goes on (thick restart):
54 products with a block of 8 then reach what an unlimited basis reaches in 52 (10 pairs of a
Wishart matrix of 2000 columns, residual 1e-8).  What the last block adds to A V and V does not
span, W, certifies every Ritz pair without another product:  ‖A v − θ v‖ = ‖W s‖, with s the last
rows of its column of S.

Wu and Simon, Thick-restart Lanczos method for large symmetric eigenvalue problems, SIAM J. Matrix
Anal. Appl. 22(2), 2000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mmlfast.api.linalg import matmul
from mmlfast.kernels._simd import TILE_ROWS
from mmlfast.kernels.lanczos import (
    LANES,
    add_back,
    append,
    coordinates,
    orthonormalise,
    padded,
    project_out,
    turn_sign,
)
from mmlfast.runtime.threads import one_blas_thread, parallel_for
from mmlfast.runtime.validate import aligned

Matrix = NDArray[np.float64]
Order = Callable[[NDArray[np.float64]], NDArray[np.intp]]
EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)

# Below this many flops a second thread, which takes 25–100 µs to wake, costs more than it saves.
PARALLEL_FLOPS = 1 << 25
# Blocks between two restarts, and spare Ritz vectors kept at one, in blocks.  Products to 1e-8 for
# 10 pairs: 54 keeping 4 blocks of 16, 62 keeping 3; 53 keeping 6 of 32.
BLOCKS = 14
SPARE_BLOCKS = 4
# A block with a smaller part than this outside V, against ‖A‖, is projected once more.
CANCELLATION = 0.01
# Ritz values closer than this share of the largest count as one eigenvalue.
SAME = 1e-8
# How well, as a share of ‖A‖, the pair behind the wanted ones must be known to be behind them.
ROUGH = 1e-4
# Residuals are forgotten when pairs are locked, and add up: these must be below their limits.
LOCKED = 0.1
# Residuals below this many eps·‖A‖ are rounding error.
NOISE = 16


class RitzPairs(NamedTuple):
    """k Ritz pairs in the order asked for: values (k,), vectors (n, k), estimated residuals (k,).

    `n_iter` counts blocks that the operator was applied to, `n_applications` their vectors.
    """

    values: NDArray[np.float64]
    vectors: Matrix
    residuals: NDArray[np.float64]
    n_iter: int
    n_applications: int


class _Basis:
    """V (m, n) with orthonormal rows, T = V A Vᵀ, and W, the part of A V that V does not span."""

    def __init__(
        self,
        n: int,
        capacity: int,
        block: int,
        random_state: np.random.RandomState,
        threads: int,
    ) -> None:
        self._n, self._block, self._random_state = n, block, random_state
        self._threads = threads
        rows, width = padded(n) + TILE_ROWS, padded(block, LANES)
        # Tiles may begin at any row of V, and read on to their end.
        self._V = aligned((capacity + TILE_ROWS, padded(n)), np.float64)
        self._W, self._Q = (aligned((rows, width), np.float64, zero=True) for _ in range(2))
        self._H, self._scratch = (
            aligned((capacity + TILE_ROWS, width), np.float64, zero=True) for _ in range(2)
        )
        self._G = np.zeros((padded(width), width))
        self._T = np.zeros((capacity, capacity))
        self.size = 0
        self._last = slice(0, 0)  # rows of the newest block
        self._coupled = 0  # first row that A times the next block has a part along
        self._scale = 0.0  # of A, about

    @property
    def V(self) -> Matrix:
        return self._V[: self.size, : self._n]

    @property
    def W(self) -> Matrix:
        """The columns that belong to the newest block."""
        return self._W[: self._n, : self._last.stop - self._last.start]

    @property
    def T(self) -> Matrix:
        return self._T[: self.size, : self.size]

    @property
    def full(self) -> bool:
        room = len(self._T) - self.size
        return room == 0 or room < min(self._block, self._n - self.size)

    @property
    def complete(self) -> bool:
        return self.size == self._n

    def extend(self, apply: Callable[[Matrix, Matrix], None]) -> int:
        """Take in one more block, orthonormalised from W, and make W what A adds to it."""
        width = self._next_block()
        new = slice(self.size, self.size + width)
        append(self._Q[: self._n], width, self._V, new.start)
        self.size, self._last = new.stop, new
        apply(self._Q[: self._n, :width], self.W)
        self._W[:, width:] = 0
        self._project_out()
        H = self._H[: self.size, :width]
        self._scale = max(self._scale, float(np.abs(H).max()))
        self._T[: self.size, new] = H
        self._T[new, : new.start] = H[: new.start].T
        corner = self._T[new, new]
        self._T[new, new] = (corner + corner.T) / 2
        self._coupled = new.start
        return width

    def _project_out(self) -> None:
        """W ← W − Vᵀ V W and H = V W.

        A Q has parts along its own block and the one before.  Along older ones they are rounding
        error, but would grow tenfold a step: they are taken off in a second projection.
        """
        m, n = self.size, self._n
        if self._threads_for(m) == 1:
            project_out(self._V, self._coupled, m, n, self._W, self._scratch, self._H)
            return
        self._H[:m] = 0
        for start in (self._coupled, 0):
            self._project_out_in_parts(start)

    def _project_out_in_parts(self, start: int) -> None:
        V, H, W, m = self._V[start:], self._scratch, self._W, self.size - start
        threads = self._threads_for(m)
        _spread(lambda rows: coordinates(V, rows, self._n, W, H), m, threads)
        turn_sign(H, m, self._H[start:])
        _spread(lambda columns: add_back(V, m, columns, H, W), self._n, threads)

    def _threads_for(self, m: int) -> int:
        return self._threads if 4 * m * self._W.size > PARALLEL_FLOPS else 1

    def _next_block(self) -> int:
        """Q = an orthonormal basis of W, filled up to a whole block with random directions.

        Columns of W that are rounding error say that V holds an invariant subspace: random ones in
        their place find what the start did not contain, such as further copies of an eigenvalue.
        """
        width = min(self._block, self._n - self.size)
        if self.W.shape[1] == width:
            least, most = orthonormalise(self._W, self._n, width, self._G, self._Q)
            if least > CANCELLATION * self._scale:
                if most > 10 * least:
                    self._W, self._Q = self._Q, self._W
                    orthonormalise(self._W, self._n, width, self._G, self._Q)
                return width
        with one_blas_thread:
            self._Q[: self._n, :width] = self._new_directions(width)
        return width

    def _new_directions(self, width: int) -> Matrix:
        Q, R, _ = scipy.linalg.qr(self.W[:, :width], mode="economic", pivoting=True)
        rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > NOISE * EPS * self._scale))
        fresh = self._random_state.standard_normal((self._n, width - rank))
        Q = np.hstack([Q[:, :rank], fresh])
        for _ in range(2):
            Q -= self._product(self.V.T, self._product(self.V, Q))
            Q = np.linalg.qr(Q)[0]
        return Q

    def ritz_pairs(self, order: Order) -> tuple[NDArray[np.float64], Matrix]:
        """All eigenvalues of T, the wanted ones first, and their vectors in the basis V."""
        values, S = scipy.linalg.eigh(self.T, driver="evd", check_finite=False)
        wanted = order(values)
        return values[wanted], S[:, wanted]

    def residuals(self, S: Matrix) -> NDArray[np.float64]:
        """‖A v − θ v‖ of Ritz pairs, given their vectors in the basis V."""
        return np.linalg.norm(self.W @ S[self._last], axis=0)

    def vectors(self, S: Matrix) -> Matrix:
        """Ritz vectors, given their vectors in the basis V."""
        return self._product(self.V.T, S)

    def forget(self) -> None:
        """Go on from a random block instead of W."""
        self._W[:] = 0

    def restart(self, S: Matrix, values: NDArray[np.float64]) -> None:
        """V ← Sᵀ V, the Ritz vectors of `values`."""
        keep = len(values)
        self._V[:keep, : self._n] = self._product(S.T, self.V)
        self._T[:] = 0
        np.fill_diagonal(self._T[:keep, :keep], values)
        self.size, self._coupled = keep, 0

    def _product(self, A: Matrix, B: Matrix) -> Matrix:
        """A B: by BLAS, which is on one thread here, where that is too little work for two."""
        if 2 * A.shape[0] * A.shape[1] * B.shape[1] < PARALLEL_FLOPS:
            return A @ B
        return matmul(A, B, n_jobs=self._threads)


def capacity(k: int, block: int) -> int:
    """Vectors of the basis for k pairs."""
    return k + SPARE_BLOCKS * block + max(BLOCKS * block, k)


class _Schedule:
    """When to solve the projected problem: it costs as much as a few products.

    Residuals fall by a growing factor a step, so that the step by which they should have reached
    their limits is foretold from the last two, a little early.
    """

    def __init__(self, first: int) -> None:
        self.next = first
        self._seen: tuple[int, float] | None = None

    def note(self, n_iter: int, excess: float) -> None:
        """At `n_iter` the largest residual was `excess` times its limit."""
        wait = 4.0
        if self._seen is not None and 1 < excess < self._seen[1]:
            rate = math.log(self._seen[1] / excess) / (n_iter - self._seen[0])
            wait = min(0.8 * math.log(excess) / rate, BLOCKS)
        self._seen = (n_iter, excess)
        self.next = n_iter + max(2, int(wait))


def end_of_spectrum(
    apply: Callable[[Matrix, Matrix], None],
    n: int,
    k: int,
    *,
    block: int,
    order: Order,
    tol: float,
    eps: float,
    max_iter: int,
    random_state: np.random.RandomState,
    threads: int = 1,
) -> RitzPairs:
    """The k eigenpairs that come first in `order`, with ‖Av − λv‖ ≤ max(tol·|λ|, 16 eps·‖A‖).

    apply(V, out) does out = A V for (n, b) arrays; `order` puts eigenvalues into the order in which
    they are wanted, from one end of the spectrum or from both.  `eps` is that of the products.
    """
    basis = _Basis(n, min(n, capacity(k, block)), block, random_state, threads)
    schedule = _Schedule(first=-(-k // block) + 2)
    n_iter = n_applications = 0
    locked: NDArray[np.float64] | None = None
    while True:
        n_applications += basis.extend(apply)
        n_iter += 1
        ended = basis.size >= k and n_iter >= max_iter
        if not (basis.full or ended or n_iter >= schedule.next):
            continue
        with one_blas_thread:
            values, S = basis.ritz_pairs(order)
            asked = k if locked is None else k + 1
            residuals = basis.residuals(S[:, :asked])
            excess = _excess(values[:asked], residuals, k, tol, eps)
            schedule.note(n_iter, excess)
            if basis.complete or ended:
                break
            same = max(SAME, 2 * NOISE * eps) * float(np.abs(values).max())
            known = locked is not None and (np.abs(values[:k] - locked) <= same).all()
            hides = not known and _may_hide_copies(values[:k], block, same)
            if basis.size >= k and excess <= 1 and not hides:
                break
            if basis.size >= k and excess <= LOCKED:
                locked = values[:k]
                basis.restart(S[:, :k], locked)
                basis.forget()
            elif basis.full:
                keep = k + SPARE_BLOCKS * block
                basis.restart(S[:, :keep], values[:keep])
    with one_blas_thread:
        vectors = basis.vectors(S[:, :k])
    return RitzPairs(values[:k], vectors, residuals[:k], n_iter, n_applications)


def _excess(
    values: NDArray[np.float64],
    residuals: NDArray[np.float64],
    k: int,
    tol: float,
    eps: float,
) -> float:
    """The largest residual in units of its limit, which is rough for what comes after the first k.

    With the first k locked, the next one is looked at: is what is left really behind them?
    """
    scale = max(float(np.abs(values).max()), TINY)
    limits = np.maximum(tol * np.abs(values), NOISE * eps * scale)
    limits[k:] = ROUGH * scale
    return float((residuals / limits).max())


def _may_hide_copies(values: NDArray[np.float64], block: int, same: float) -> bool:
    """Whether an eigenvalue before the last of `values` was found `block` times, or more often.

    From `block` random vectors a Krylov space reaches `block` copies of an eigenvalue and no more.
    """
    ahead = np.sort(values[np.abs(values - values[-1]) > same])
    beyond = ahead[block - 1 :]
    return bool((beyond - ahead[: len(beyond)] <= same).any())


def _spread(task: Callable[[tuple[int, int]], None], count: int, threads: int) -> None:
    """task((lo, hi)) over 0 … count, a range for each thread, cut where tiles end."""
    step = padded(-(-count // threads))
    starts = range(0, count, step)
    parallel_for(lambda i: task((starts[i], min(starts[i] + step, count))), len(starts), threads)
