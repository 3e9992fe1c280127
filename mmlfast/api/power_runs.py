"""Runs of the power method, one for each eigenpair.

    v ← B v / ‖B v‖        B = P (A − σ I) P,   P = I − Q Qᵀ

Q holds what earlier runs found, orthonormal.  For symmetric A what is left are its other
eigenpairs.  For any A what is left are its other eigenvalues: the runs find Schur vectors,
A Q = Q T with T triangular, and eigenvectors follow from those of T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.eigenpairs import turn_signs
from mmlfast.api.square import LEAST_SQUARES, Square
from mmlfast.runtime.threads import one_blas_thread
from mmlfast.runtime.validate import overflow

Array = NDArray[Any]
Vector = NDArray[np.float64]

# Residuals below this many eps·‖A‖ are rounding error.
ROUNDING = 16
# The ratio |λ₂/λ₁| is taken from as many residuals, the last ones that are not yet rounding error.
RATIO_STEPS = 10
# Steps from a random start that look for a larger eigenvalue than v0 led to, and how much larger
# it must seem: without symmetry, vectors may grow faster than any eigenvalue for a while.
CHECK_STEPS = 32
CLEARLY, CLEARLY_IF_SYMMETRIC = 1.1, 1 + 1e-6


class PowerHistory(NamedTuple):
    """What each step of a run saw: its estimate of λ and ``‖A v - λ v‖``, arrays (n_iter,)."""

    values: Vector
    residuals: Vector


@dataclass
class Run:
    """One run: the last vector looked at, B times it normalised, and what was seen at each step."""

    vector: Array
    next: Array
    growth: float = 0.0  # ‖B v‖ of the last step
    converged: bool = False
    values: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)

    def history(self) -> PowerHistory:
        """Values and residuals as arrays."""
        return PowerHistory(np.array(self.values), np.array(self.residuals))

    def ratio(self) -> float:
        """The factor by which the last steps reduced the residual; NaN if they were too few."""
        eps = float(np.finfo(self.vector.dtype).eps)
        clear = [r for r in self.residuals if r > ROUNDING * eps * abs(self.values[-1])]
        last = clear[-RATIO_STEPS:]
        return (last[-1] / last[0]) ** (1 / (len(last) - 1)) if len(last) > 1 else math.nan


class Solver:
    """Finds pair after pair.  `problems` are what a user should be warned of."""

    def __init__(
        self,
        matrix: Square,
        tol: float,
        max_iter: int,
        shift: float,
        random_state: np.random.RandomState,
    ) -> None:
        self._matrix, self._tol, self._max_iter, self._shift = matrix, tol, max_iter, shift
        self._random_state = random_state
        self._rounding = ROUNDING * float(np.finfo(matrix.dtype).eps)
        self._norm = 0.0  # of A and A − σ I, at least
        self._found = np.empty((matrix.n, 0), matrix.dtype)
        self.runs: list[Run] = []
        self.problems: list[str] = []

    def find(self, k: int, start: Array | None) -> tuple[Array, Array, Vector]:
        """Eigenvalues (k,), eigenvectors (n, k) and residuals (k,), from k runs."""
        for index in range(k):
            given = start is not None and index == 0
            run = self._run(start if given and start is not None else self._random_direction())
            self.runs.append(run)
            if not run.converged and self._tol > 0:
                which = "" if k == 1 else f" for pair {index + 1} of {k}"
                self.problems.append(self._why_not(run, which))
            elif given and run.converged:
                self._look_elsewhere(run)
            self._found = np.column_stack([self._found, run.vector])
        if k == 1:
            vectors = run.vector[:, None].copy()
            turn_signs(vectors)
            return np.array(run.values[-1:]), vectors, np.array(run.residuals[-1:])
        return self._eigenpairs()

    def _run(self, v: Array) -> Run:
        from mmlfast.kernels.power import advance, rayleigh

        w = np.empty_like(v)
        run = Run(v, w)
        for _ in range(self._max_iter):
            if run.values:
                v, w = w, v
            self._times(v, w)
            along, squares = rayleigh(v, w, self._shift)
            self._check_scale(squares, w)
            run.growth = math.sqrt(squares)
            rest = math.sqrt(advance(v, w, along, 1 / run.growth if run.growth else 0.0))
            run.values.append(along + self._shift)
            run.residuals.append(rest)
            self._norm = max(self._norm, abs(along), abs(run.values[-1]))
            run.converged = rest <= self._limit(run)
            if rest == 0 or (run.converged and self._tol > 0):
                break
        run.vector, run.next = v, w
        return run

    def _limit(self, run: Run) -> float:
        """What the residual of the last step must not exceed."""
        value = run.values[-1]
        size = max(abs(value), abs(value - self._shift))
        return max(self._tol * size, self._rounding * self._norm)

    def _times(self, v: Array, w: Array) -> None:
        """w = P A v: projected twice, since a remainder would grow."""
        self._matrix.times(v, w)
        if self._found.size:
            with one_blas_thread:
                for _ in range(2):
                    w -= self._found @ (self._found.T @ w)

    def _check_scale(self, squares: float, w: Array) -> None:
        if not math.isfinite(squares):
            raise overflow(w.dtype, "A")
        if squares < LEAST_SQUARES and w.any():
            raise ValueError(
                "Input A maps a vector of length 1 to one too short to measure: the largest entry "
                f"is {np.abs(w).max():.3g}. Scale A up."
            )

    def _random_direction(self) -> Array:
        v = self._random_state.standard_normal(self._matrix.n).astype(self._matrix.dtype)
        for _ in range(2):
            v -= self._found @ (self._found.T @ v)
            v /= np.linalg.norm(v)
        return v

    def _look_elsewhere(self, run: Run) -> None:
        """Note a problem if vectors grow faster from a random start than along the one found."""
        from mmlfast.kernels.power import advance, rayleigh

        v, w, late = self._random_direction(), np.empty_like(run.vector), []
        for step in range(CHECK_STEPS):
            self._times(v, w)
            along, squares = rayleigh(v, w, self._shift)
            if squares == 0:
                return
            advance(v, w, along, 1 / math.sqrt(squares))
            if step >= CHECK_STEPS // 2:
                late.append(math.log(squares) / 2)
            v, w = w, v
        growth = math.exp(sum(late) / len(late))
        clearly = CLEARLY_IF_SYMMETRIC if self._matrix.symmetric else CLEARLY
        if growth > clearly * abs(run.values[-1] - self._shift):
            matrix = "A" if self._shift == 0 else f"A - {self._shift:g}·I"
            self.problems.append(
                f"v0 led to the eigenvalue {run.values[-1]:.6g}, which is not the dominant one: "
                f"from a random start {matrix} stretches vectors by {growth:.6g} at each step. v0 "
                "has no component, or hardly any, along the dominant eigenvector; leave v0 out to "
                "start at random."
            )

    def _why_not(self, run: Run, which: str) -> str:
        """What to say of a run that did not converge."""
        said = (
            f"power_iteration did not converge{which} in {len(run.values)} steps: ‖Av − λv‖ is "
            f"{run.residuals[-1]:.2g} at λ = {run.values[-1]:.6g}, and tol={self._tol:g} asks for "
            f"{self._limit(run):.2g}. "
        )
        z1, z2 = self._dominant_two(run)
        if abs(z1.imag) > 0.01 * abs(z1):
            z = z1 + self._shift
            return said + (
                f"The dominant eigenvalues seem to be a complex pair, {z.real:.4g} ± "
                f"{abs(z.imag):.4g}i, which real vectors turn round for ever: see numpy.linalg.eig."
            )
        if abs(z1 + z2) < 0.02 * abs(z1):
            above, below = self._shift + abs(z1), self._shift - abs(z1)
            between = self._shift - abs(z1.real) / 2
            return said + (
                f"{above:.4g} and {below:.4g} seem to be eigenvalues, equally far from shift="
                f"{self._shift:g}: pass shift={between:.4g} to find the first."
            )
        return said + (
            f"A step reduces the residual by a factor of {run.ratio():.6g}: raise max_iter or tol, "
            "or pass a shift that brings another eigenvalue farther ahead. A defective matrix, "
            "which lacks eigenvectors, converges no faster than 1/step."
        )

    def _dominant_two(self, run: Run) -> tuple[complex, complex]:
        """Eigenvalues of B in the plane of its last three iterates.

        With B u = s v and B v ≈ a v + b u they solve z² = a z + b s.  Where the iterates do not
        settle, all but two dominant eigenvalues have died out of them.
        """
        u, v, w = run.vector, run.next, np.empty_like(run.next)
        self._times(v, w)
        plane = np.column_stack([v, u]).astype(np.float64)
        image = w.astype(np.float64) - self._shift * plane[:, 0]
        a, b = np.linalg.lstsq(plane, image, rcond=None)[0]
        product = -b * run.growth
        root = complex(a * a / 4 - product) ** 0.5
        return a / 2 + root, a / 2 - root

    def _eigenpairs(self) -> tuple[Array, Array, Vector]:
        """Eigenpairs of A from Q and T = Qᵀ A Q: those of its leading triangles."""
        Q = self._found.astype(np.float64)
        AQ = np.empty_like(Q)
        self._matrix.times_block(Q, AQ)
        T = Q.T @ AQ
        Y = np.eye(len(T))
        if not self._matrix.symmetric:
            for j in range(1, len(T)):
                leading = T[:j, :j] - T[j, j] * np.eye(j)
                # The least solution, since `leading` is singular where eigenvalues repeat.
                Y[:j, j] = np.linalg.lstsq(leading, -T[:j, j], rcond=math.sqrt(self._rounding))[0]
                Y[:, j] /= np.linalg.norm(Y[:, j])
        X, AX = Q @ Y, AQ @ Y
        values = np.einsum("ij,ij->j", X, AX) / np.einsum("ij,ij->j", X, X)
        residuals = np.linalg.norm(AX - X * values, axis=0)
        vectors = X.astype(self._matrix.dtype)
        turn_signs(vectors)
        return values.astype(self._matrix.dtype), vectors, residuals
