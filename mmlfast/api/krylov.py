"""Leading eigenpairs of a symmetric positive semidefinite operator, by block Krylov iteration.

    V = [Q, C Q, C² Q, …] orthonormalised,     C ≈ Z (Vᵀ Z)⁻¹ Zᵀ with Z = C V

Each read of the data adds one block to the basis V.  The closing Nyström step uses Z, which is
there anyway, and is worth half a read more than Rayleigh–Ritz on V.

Musco and Musco, Randomized block Krylov methods for stronger and faster approximate singular value
decomposition, NeurIPS 2015; Tropp, Yurtsever, Udell and Cevher, Fixed-rank approximation of a
positive-semidefinite matrix from streaming data, NeurIPS 2017 (the Nyström step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mmlfast.api.linalg import matmul
from mmlfast.runtime.threads import one_blas_thread

Matrix = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)

# With residuals below this, Rayleigh–Ritz values are right to its square, and better than
# Nyström's, which lose the digits of what they divide by.
RITZ_RESIDUAL = 1e-5
NYSTROM_SHARE = 1e-7


class LeadingPairs(NamedTuple):
    """The k largest eigenvalues, falling, their vectors (d, k), and how they were reached."""

    values: NDArray[np.float64]
    vectors: Matrix
    residual: float
    n_applications: int
    converged: bool


class _Basis:
    """V (d, m) orthonormal, Z = C V and T = Vᵀ Z, which grow by a block at a time.

    V and Z are kept as rows: pages of memory that no block has reached yet are never touched.
    """

    def __init__(self, n_features: int, block: int, blocks: int) -> None:
        size = min(n_features, block * blocks)
        self._V, self._Z = np.empty((size, n_features)), np.empty((size, n_features))
        self._T = np.zeros((size, size))
        self.size = 0

    @property
    def V(self) -> Matrix:
        return self._V[: self.size].T

    @property
    def Z(self) -> Matrix:
        return self._Z[: self.size].T

    @property
    def T(self) -> Matrix:
        return self._T[: self.size, : self.size]

    @property
    def capacity(self) -> int:
        return len(self._V) - self.size

    def extend(self, Q: Matrix, CQ: Matrix) -> None:
        new = slice(self.size, self.size + Q.shape[1])
        self._V[new], self._Z[new] = Q.T, CQ.T
        self.size = new.stop
        self._T[: self.size, new] = matmul(self.V.T, CQ)
        self._T[new, : new.start] = self._T[: new.start, new].T
        corner = self._T[new, new]
        self._T[new, new] = (corner + corner.T) / 2

    def next_block(self, W: Matrix) -> Matrix:
        """An orthonormal basis of what W adds to V; projecting twice is enough (Kahan)."""
        scale = float(np.abs(W).max(initial=0.0))
        W = W[:, : self.capacity]
        for _ in range(2):
            W = W - matmul(self.V, matmul(self.V.T, W))
            W = _orthonormalised(W, scale)
            scale = 1.0
        return W

    def ritz_pairs(self, k: int) -> tuple[NDArray[np.float64], Matrix]:
        """The k leading eigenvalues of T, falling, and their vectors in the basis V."""
        m = self.size
        values, S = scipy.linalg.eigh(self.T, subset_by_index=[max(0, m - k), m - 1])
        return values[::-1], S[:, ::-1]

    def residual(self, k: int) -> float:
        """max over the k leading Ritz pairs of ‖C v − λ v‖ / λ; infinite while m < k."""
        if self.size < k:
            return np.inf
        values, S = self.ritz_pairs(k)
        R = matmul(self.Z, S) - matmul(self.V, S * values)
        floor = EPS * max(float(values[0]), float(np.finfo(np.float64).tiny))
        return float((np.linalg.norm(R, axis=0) / np.maximum(values, floor)).max())


def leading_pairs(
    apply: Callable[[Matrix], Matrix],
    n_features: int,
    k: int,
    *,
    block: int,
    tol: float,
    min_applications: int,
    max_applications: int,
    random_state: np.random.RandomState,
    stopped: Callable[[], bool] = lambda: False,
) -> LeadingPairs:
    """The k leading eigenpairs of C = `apply`, to residuals ‖Cv − λv‖ ≤ tol·λ for each of the k.

    `block` vectors are applied at a time.  The residuals are those of Rayleigh–Ritz on the basis:
    an eigenvalue's error is at most its residual, and with a gap of the order of its square.
    `stopped` is asked after each application whether to make do with what is there.
    """
    basis = _Basis(n_features, block, max_applications)
    # Uniform numbers span as well as normal ones, in a third of the time.
    start = random_state.random_sample((n_features, min(block, n_features))) - 0.5
    with one_blas_thread:
        Q = _orthonormalised(start, 1.0)
    n, residual = 0, np.inf
    while Q.shape[1]:
        CQ = apply(Q)
        n += 1
        with one_blas_thread:
            basis.extend(Q, CQ)
            enough = stopped() and basis.size >= k
            if n >= min_applications or enough:
                residual = basis.residual(k)
            if residual <= tol or n >= max_applications or enough:
                break
            Q = basis.next_block(CQ)
    with one_blas_thread:
        exhausted = Q.shape[1] == 0
        if exhausted:
            residual = basis.residual(k)
        if residual < RITZ_RESIDUAL or exhausted:
            values, S = basis.ritz_pairs(k)
            vectors = matmul(basis.V, S)
        else:
            values, vectors = _nystrom(basis, k)
    return LeadingPairs(np.maximum(values, 0.0), vectors, residual, n, residual <= tol or exhausted)


def _orthonormalised(W: Matrix, scale: float) -> Matrix:
    """An orthonormal basis of the columns of W, leaving out what is noise against `scale`."""
    for _ in range(2 if W.shape[1] else 0):
        G = matmul(W.T, W)
        try:
            R = scipy.linalg.cholesky(G)
        except np.linalg.LinAlgError:
            return _rank_revealing(W, scale)
        diagonal = np.diagonal(R)
        if diagonal.min() <= 1e-6 * diagonal.max() or diagonal.min() <= 1e-12 * scale:
            return _rank_revealing(W, scale)
        W = matmul(W, scipy.linalg.solve_triangular(R, np.eye(len(R))))
        scale = 1.0
    return W


def _rank_revealing(W: Matrix, scale: float) -> Matrix:
    """As above, by QR with pivoting: for columns so dependent that their Gram matrix is useless."""
    Q, R, _ = scipy.linalg.qr(W, mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > 1e-12 * scale * np.sqrt(len(W))))
    orthonormal: Matrix = np.ascontiguousarray(Q[:, :rank])
    return orthonormal


def _nystrom(basis: _Basis, k: int) -> tuple[NDArray[np.float64], Matrix]:
    """Eigenpairs of Z T⁻¹ Zᵀ, T = VᵀZ = S Θ Sᵀ, from the small matrix Θ^-½ Sᵀ (ZᵀZ) S Θ^-½.

    Directions with θ below NYSTROM_SHARE of the largest are left out: their rounding error would
    be divided by θ, and they cannot matter to eigenvalues above it.
    """
    theta, S = scipy.linalg.eigh(basis.T)
    clear = theta > NYSTROM_SHARE * theta[-1]
    if np.count_nonzero(clear) < k:
        values, S = basis.ritz_pairs(k)
        return values, matmul(basis.V, S)
    scaled = S[:, clear] / np.sqrt(theta[clear])
    M = matmul(scaled.T, matmul(matmul(basis.Z.T, basis.Z), scaled))
    m = len(M)
    values, W = scipy.linalg.eigh((M + M.T) / 2, subset_by_index=[m - k, m - 1])
    values, W = values[::-1], W[:, ::-1]
    return values, matmul(basis.Z, matmul(scaled, W / np.sqrt(values)))
