"""Second moments about a shift, in float64: what merges, and what a covariance is read from.

    n = Σ w        t = Σ w (x − s)        G = Σ w (x − s)(x − s)ᵀ
    mean = s + t/n        cov = (G − t tᵀ/n) / (n − ddof)

Two sets of moments add once they have the same shift: with δ = s − s′,
G′ = G + t δᵀ + δ tᵀ + n δ δᵀ and t′ = t + n δ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmlfast.kernels.covariance import centred_products
from mmlfast.runtime.validate import aligned

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of `n_rows` rows of total weight `weight` about `shift`; G holds both triangles."""

    n_rows: int
    weight: float
    shift: Vector
    sums: Vector
    G: Matrix

    @classmethod
    def empty(cls, n_features: int) -> Moments:
        """The moments of no rows."""
        """The moments of no rows: what merging does not change by."""
        zeros = np.zeros(n_features)
        return cls(0, 0.0, zeros, zeros.copy(), np.zeros((n_features, n_features)))

    def mean(self) -> Vector:
        """The mean of the rows, s + t/n."""
        """s + t/n, of shape (n_features,)."""
        return self.shift + self.sums / self.weight

    def about(self, shift: Vector) -> Moments:
        """The same rows, their moments taken about another shift."""
        delta = self.shift - shift
        if not delta.any():
            return self
        cross = np.outer(self.sums, delta)
        G = self.G + cross + cross.T + self.weight * np.outer(delta, delta)
        return Moments(self.n_rows, self.weight, shift, self.sums + self.weight * delta, G)

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of rows; an empty one changes nothing."""
        if other.n_rows == 0:
            return self
        if self.n_rows == 0:
            return other
        moved = other.about(self.shift)
        return Moments(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.shift,
            self.sums + moved.sums,
            self.G + moved.G,
        )

    def covariance(self, ddof: float, *, overwrite: bool = False) -> Matrix:
        """(G − t tᵀ/n) / (n − ddof), exactly symmetric, its diagonal never below zero.

        With `overwrite` it takes the place of G, and these moments are of no more use.
        """
        C = self.G if overwrite else aligned(self.G.shape, np.float64)
        centred_products(self.G, self.sums, self.weight, self.weight - ddof, C)
        return C

    def affine(self, A: Matrix, b: Vector) -> Moments:
        """The moments of the rows A x + b: the shift becomes A s + b, G becomes A G Aᵀ."""
        G = A @ self.G @ A.T
        return Moments(self.n_rows, self.weight, A @ self.shift + b, A @ self.sums, (G + G.T) / 2)
