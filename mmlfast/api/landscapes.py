"""Seeded landscapes to search for their deepest point, with analytic slopes and curvatures.

    f(x) = ½ (x − c)ᵀA(x − c) + Σ aₖ cos(wₖ·x + φₖ) − Σ Dⱼ exp(−½ |x − pⱼ|²/sⱼ²)

A bowl, waves and wells: each family is a choice of these three.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from mmlfast.api.evaluations import as_finite
from mmlfast.api.landscape_display import LandscapeDisplay

Array = NDArray[Any]

FAMILIES = ("bowl", "random", "minima", "rocks", "well")
HALF_WIDTH = 3.0
HIT_RADIUS = 0.15
_GRID = 121
# Curvatures of the bowl: enough to keep the deepest point away from the edges.
_CURVATURES = {
    "bowl": (0.5, 2.0), "random": (0.35, 0.7), "minima": (0.03, 0.06), "rocks": (0.5, 2.0),
    "well": (0.05, 0.1),
}  # fmt: skip
# Number, shortest and longest wave vector, height.
_WAVES = {"random": (8, 1.0, 2.0, 0.3), "rocks": (40, 6.0, 14.0, 0.02)}


@dataclass(frozen=True, eq=False)
class Play:
    """The result of :meth:`Landscape.play`.

    Attributes
    ----------
    path : ndarray of shape (n_probes, 2)
        Where was probed, in order; the start first.
    depths : ndarray of shape (n_probes,)
        f there.
    hits : ndarray of shape (n_probes,)
        Which of the landscape's minima a probe hit, -1 for none; 0 is the deepest.
    status : {"found", "stopped", "out of probes"}
        Whether the deepest point was hit, the strategy no longer moved, or neither.
    """

    path: Array
    depths: Array
    hits: NDArray[np.intp]
    status: str
    landscape: Landscape

    @property
    def found(self) -> bool:
        """Whether the deepest point was hit."""
        return self.status == "found"

    @property
    def n_probes(self) -> int:
        """Probes taken, the start included."""
        return len(self.path)

    def plot(self, *, ax: Any = None) -> LandscapeDisplay:
        """The path over the contours of its landscape; needs matplotlib."""
        return LandscapeDisplay(self.landscape, self).plot(ax=ax)


class Landscape:
    """A function of two variables on the square [-3, 3]² with one deepest point to be found.

    Parameters
    ----------
    family : {"bowl", "random", "minima", "rocks", "well"}, default="bowl"
        "bowl": a quadratic function, of which :meth:`play` tells the depth only.  "random": a few
        long waves.  "minima": several wells of different depth.  "rocks": a bowl under short waves,
        whose slopes mislead.  "well": a flat bowl with one deep and narrow well.
    random_state : int, RandomState instance or None, default=0
        Which landscape of the family.

    Attributes
    ----------
    minima : ndarray of shape (n_minima, 2)
        Where f is smallest within the square, the deepest first; computed at first use.
    tells : {"f", "f, J, H"}
        What a strategy is told.

    Raises
    ------
    ValueError
        If there is no such family.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import Landscape, gradient
    >>> land = Landscape("minima", random_state=3)
    >>> land([0.5, -1.0]).shape, land(np.zeros((7, 2))).shape, land.hessian([0.5, -1.0]).shape
    ((), (7,), (2, 2))
    >>> x = np.array([0.5, -1.0])
    >>> bool(np.allclose(gradient(land, x).value, land.gradient(x), rtol=1e-12))
    True

    A step of gradient descent is a strategy, and finds a minimum, though not always the deepest:

    >>> play = Landscape("random").play(lambda f, J, H: -0.2 * J, start=[1.0, 1.0])
    >>> play.path.shape[1], play.status in ("found", "stopped", "out of probes")
    (2, True)
    """

    def __init__(
        self, family: str = "bowl", *, random_state: int | np.random.RandomState | None = 0
    ) -> None:
        if family not in FAMILIES:
            raise ValueError(
                f"family must be one of {', '.join(map(repr, FAMILIES))}; got {family!r}."
            )
        self.family = family
        self.tells = "f" if family == "bowl" else "f, J, H"
        rng = check_random_state(random_state)
        place = rng.uniform(-1.5, 1.5, 2)
        self._bowl = (place, _curvature(rng, _CURVATURES[family]))
        self._waves = _waves(rng, *_WAVES.get(family, (0, 1.0, 1.0, 0.0)))
        self._wells = _wells(rng, family)
        self._start = rng.uniform(-HALF_WIDTH, HALF_WIDTH, 2)

    def __repr__(self) -> str:
        return f"Landscape({self.family!r})"

    def __call__(self, x: ArrayLike) -> Any:
        """f at a point of shape (2,), or at many, (…, 2)."""
        x = _points(x)
        c, A = self._bowl
        a, w, phase = self._waves
        u = x - c
        bowl = np.einsum("...i,ij,...j->...", u, A, u) / 2
        return (bowl + np.cos(x @ w.T + phase) @ a - self._depths(x)[0].sum(axis=-1))[()]

    def gradient(self, x: ArrayLike) -> Array:
        """∇f, (2,) for a point, or (…, 2)."""
        x = _points(x)
        c, A = self._bowl
        a, w, phase = self._waves
        depth, v = self._depths(x)
        waves = (np.sin(x @ w.T + phase) * a) @ w
        total: Array = (x - c) @ A - waves + (depth[..., None] * v).sum(axis=-2)
        return total

    def hessian(self, x: ArrayLike) -> Array:
        """∂²f/∂x∂xᵀ, (2, 2) for a point, or (…, 2, 2)."""
        x = _points(x)
        a, w, phase = self._waves
        depth, v = self._depths(x)
        waves = np.einsum("...k,ki,kj->...ij", np.cos(x @ w.T + phase) * a, w, w)
        s = self._wells[2]
        round_ = (depth / s**2).sum(axis=-1)[..., None, None] * np.eye(2)
        H = self._bowl[1] - waves + round_ - np.einsum("...k,...ki,...kj->...ij", depth, v, v)
        total: Array = (H + np.swapaxes(H, -1, -2)) / 2
        return total

    def _depths(self, x: Array) -> tuple[Array, Array]:
        """Dⱼ exp(−½|x − pⱼ|²/sⱼ²) and (x − pⱼ)/sⱼ²."""
        D, p, s = self._wells
        u = x[..., None, :] - p
        return D * np.exp(-(u**2).sum(axis=-1) / (2 * s**2)), u / s[:, None] ** 2

    @cached_property
    def minima(self) -> Array:
        """Local minima within the square, the deepest first."""
        side = np.linspace(-HALF_WIDTH, HALF_WIDTH, _GRID)
        grid = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
        f = self(grid)
        inner = f[1:-1, 1:-1]
        lowest = np.ones(inner.shape, bool)
        for i in range(3):
            for j in range(3):
                lowest &= inner <= f[i : _GRID - 2 + i, j : _GRID - 2 + j]
        found: list[Array] = []
        for x in grid[1:-1, 1:-1][lowest]:
            polished = self._polished(x)
            if all(np.linalg.norm(polished - other) > 1e-6 for other in found):
                found.append(polished)
        return np.array(sorted(found, key=self))

    def _polished(self, x: Array) -> Array:
        """The minimum near a grid point, by Newton's method; steps no longer than the grid's."""
        longest: float = 2 * HALF_WIDTH / (_GRID - 1)
        for _ in range(50):
            values, vectors = np.linalg.eigh(self.hessian(x))
            step = -vectors @ ((vectors.T @ self.gradient(x)) / np.maximum(np.abs(values), 1e-3))
            size = float(np.linalg.norm(step))
            x = x + step * min(1.0, longest / max(size, 1e-300))
            if size < 1e-14:
                break
        return x

    def play(
        self,
        strategy: Callable[[Any, Any, Any], ArrayLike],
        *,
        start: ArrayLike | None = None,
        n_probes: int = 100,
        radius: float = HIT_RADIUS,
    ) -> Play:
        """Search for the deepest point: probe, ask for a step, probe there, until it is hit.

        Parameters
        ----------
        strategy : callable
            Called as ``strategy(f, J, H)`` with the depth, slope and curvature where it stands, J
            and H None in a landscape that tells the depth only; returns the step to take, of shape
            (2,).  A step beyond the square ends at its edge.
        start : array-like of shape (2,), default=None
            Where to begin; a place that comes with the landscape if left out.
        n_probes : int, default=100
            How many probes there are, the start included.
        radius : float, default=0.15
            How near to a minimum a probe hits it.

        Returns
        -------
        Play
            ``path, depths, hits, status``, and ``plot()``.

        Raises
        ------
        ValueError
            If the start does not lie within the square, the strategy does not return a finite step
            of shape (2,), or an argument is out of range.
        TypeError
            If the strategy is not callable.
        """
        x, radius = self._checked(strategy, start, n_probes, radius)
        path, hits, status = [x], [self._hit(x, radius)], "out of probes"
        while len(path) < n_probes and hits[-1] != 0:
            told = (self(x), None, None)
            if self.tells != "f":
                told = (told[0], self.gradient(x), self.hessian(x))  # type: ignore[assignment]
            moved = np.clip(x + _step(strategy(*told), len(path)), -HALF_WIDTH, HALF_WIDTH)
            if (moved == x).all():
                status = "stopped"
                break
            x = moved
            path.append(x)
            hits.append(self._hit(x, radius))
        where = np.array(path)
        return Play(
            where, self(where), np.array(hits), "found" if hits[-1] == 0 else status, self
        )

    def plot(self, *, ax: Any = None) -> LandscapeDisplay:
        """Contours of f and its minima; needs matplotlib."""
        return LandscapeDisplay(self).plot(ax=ax)

    def _hit(self, x: Array, radius: float) -> int:
        away = np.linalg.norm(self.minima - x, axis=1)
        return int(away.argmin()) if away.min() <= radius else -1

    def _checked(
        self, strategy: Any, start: ArrayLike | None, n_probes: int, radius: float
    ) -> tuple[Array, float]:
        if not callable(strategy):
            raise TypeError(f"strategy must be callable; got {type(strategy).__name__}.")
        if not isinstance(n_probes, numbers.Integral) or n_probes < 1:
            raise ValueError(f"n_probes must be a positive integer; got {n_probes!r}.")
        if not isinstance(radius, numbers.Real) or not 0 < float(radius) < np.inf:
            raise ValueError(f"radius must be a positive number; got {radius!r}.")
        x = self._start if start is None else as_finite(start, "start")
        if x.shape != (2,) or (np.abs(x) > HALF_WIDTH).any():
            raise ValueError(f"start must be a point of the square [-3, 3]²; got {start!r}.")
        return x.copy(), float(radius)


def _step(step: Any, probe: int) -> Array:
    array = np.asarray(step)
    if array.shape != (2,) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(
            f"strategy must return a finite step of shape (2,); got {step!r} after probe {probe}."
        )
    return array.astype(np.float64)


def _points(x: ArrayLike) -> Array:
    # Complex numbers pass: f is analytic, and the complex step may be shown on it.
    points = np.asarray(x)
    if points.ndim == 0 or points.shape[-1] != 2:
        raise ValueError(f"x must have shape (2,) or (…, 2); got {points.shape}.")
    return points


def _curvature(rng: np.random.RandomState, span: tuple[float, float]) -> Array:
    """A symmetric positive definite matrix with eigenvalues at the ends of `span`."""
    t = rng.uniform(0, np.pi)
    Q = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    return Q @ np.diag(span) @ Q.T


def _waves(
    rng: np.random.RandomState, n: int, shortest: float, longest: float, height: float
) -> tuple[Array, Array, Array]:
    """Heights (n,), wave vectors (n, 2) with lengths in a range, phases (n,)."""
    t, size = rng.uniform(0, 2 * np.pi, n), rng.uniform(shortest, longest, n)
    w = size[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    return height * rng.uniform(0.5, 1.0, n), w, rng.uniform(0, 2 * np.pi, n)


def _wells(rng: np.random.RandomState, family: str) -> tuple[Array, Array, Array]:
    """Depths (n,), places (n, 2), widths (n,)."""
    if family == "well":
        return np.array([4.0]), rng.uniform(-2.2, 2.2, (1, 2)), np.array([0.35])
    if family != "minima":
        return np.zeros(0), np.zeros((0, 2)), np.ones(0)
    # One in each of five cells around the middle, too far apart to merge, and wide enough for
    # steps of half the slope.
    angles = rng.uniform(0, 2 * np.pi) + np.arange(5) * 2 * np.pi / 5 + rng.uniform(-0.2, 0.2, 5)
    places = rng.uniform(1.5, 2.1, 5)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return rng.permutation(np.linspace(0.35, 0.95, 5)), places, rng.uniform(0.55, 0.65, 5)
