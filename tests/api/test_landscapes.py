"""Landscapes: analytic f, J and H, true minima, games that can be won and lost; data sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import Landscape, gradient, hessian, make_heart_curve, make_heights
from tests import reference_derivatives as reference

FAMILIES = ["bowl", "random", "minima", "rocks", "well"]
SEEDS = range(4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_slopes_and_curvatures_are_those_of_the_depths(family, seed):
    land = Landscape(family, random_state=seed)
    for x in np.random.default_rng(seed).uniform(-3, 3, (4, 2)):
        g, H = gradient(land, x), hessian(land, x, grad=land.gradient)
        assert (g.method, H.method) == ("complex-step", "complex-step")
        np.testing.assert_allclose(land.gradient(x), g.value, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(land.hessian(x), H.value, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(land.gradient(x), reference.gradient(land, x), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_many_points_are_each_of_them(family):
    land = Landscape(family, random_state=1)
    x = np.random.default_rng(0).uniform(-3, 3, (2, 3, 2))
    assert land(x).shape == (2, 3)
    assert land.gradient(x).shape == (2, 3, 2)
    assert land.hessian(x).shape == (2, 3, 2, 2)
    np.testing.assert_array_equal(land.hessian(x), np.swapaxes(land.hessian(x), -1, -2))
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(land(x)[i], land(x[i]), rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(land.gradient(x)[i], land.gradient(x[i]), atol=1e-13)
        np.testing.assert_allclose(land.hessian(x)[i], land.hessian(x[i]), atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_minima_are_minima_and_the_first_is_the_deepest(family, seed):
    land = Landscape(family, random_state=seed)
    np.testing.assert_allclose(land.gradient(land.minima), 0, atol=1e-12)
    assert (np.linalg.eigvalsh(land.hessian(land.minima)) > 0).all()
    assert (np.diff(land(land.minima)) >= 0).all()
    side = np.linspace(-3, 3, 301)
    assert land(np.stack(np.meshgrid(side, side), axis=-1)).min() >= land(land.minima[0]) - 1e-12


def test_families_are_what_they_are_called():
    x = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    assert np.ptp(Landscape("bowl").hessian(x), axis=0).max() <= 1e-12
    assert len(Landscape("bowl").minima) == 1
    assert len(Landscape("minima").minima) >= 4
    assert len(Landscape("rocks").minima) >= 4
    well = Landscape("well")
    depth = well(well.minima[0] + 0.3 * x) < -1
    assert 0.02 < depth.mean() < 0.9
    assert np.median(np.abs(well(x))) < 1 < abs(well(well.minima[0]))
    assert [Landscape(family).tells for family in FAMILIES] == ["f"] + 4 * ["f, J, H"]
    assert repr(well) == "Landscape('well')"


def test_the_seed_decides():
    x = np.random.default_rng(0).uniform(-3, 3, (5, 2))
    first, second = (Landscape("random", random_state=7)(x) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - Landscape("random", random_state=8)(x)).min() > 1e-6
    np.testing.assert_array_equal(
        first, Landscape("random", random_state=np.random.RandomState(7))(x)
    )


def test_newtons_step_finds_what_is_quadratic_about_in_one():
    land = Landscape("rocks", random_state=2)
    start = land.minima[0] + [0.02, -0.02]
    play = land.play(lambda f, J, H: -np.linalg.solve(H, J), start=start)
    assert (play.status, play.n_probes, play.found) == ("found", 1, True)
    play = land.play(lambda f, J, H: -np.linalg.solve(H, J), start=start, radius=1e-6)
    assert play.found
    assert play.n_probes <= 8
    np.testing.assert_allclose(play.path[-1], land.minima[0], atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_descent_ends_in_a_minimum(seed):
    land = Landscape("minima", random_state=seed)
    play = land.play(lambda f, J, H: -0.1 * J, start=land.minima[-1] + [0.1, 0.1], radius=0.01)
    assert play.status != "found"
    assert not play.found
    assert play.n_probes <= 100
    assert play.hits[-1] == len(land.minima) - 1
    assert play.hits[0] == -1
    np.testing.assert_array_equal(play.depths, land(play.path))
    assert (np.diff(play.depths) <= 1e-12).all()
    assert land.play(lambda f, J, H: -0.1 * J, start=land.minima[0] + [0.3, 0.2]).found


def test_the_depth_alone_is_told_in_a_bowl():
    told = []

    def strategy(f, J, H):
        told.append((f, J, H))
        return [0.5, 0.0]

    play = Landscape("bowl").play(strategy, n_probes=4, start=[-3, 3])
    assert len(told) == 3
    assert all(J is None and H is None for _, J, H in told)
    np.testing.assert_array_equal([f for f, _, _ in told], play.depths[:3])
    np.testing.assert_array_equal(play.path[:, 0], [-3, -2.5, -2, -1.5])


def test_a_step_over_the_edge_ends_there_and_standing_still_ends_the_game():
    play = Landscape("well").play(lambda f, J, H: [100, 0], start=[0, 2.9])
    assert play.status == "stopped"
    np.testing.assert_array_equal(play.path, [[0, 2.9], [3, 2.9]])
    assert Landscape("well").play(lambda f, J, H: [0, 0]).n_probes == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Landscape("hill"), ValueError, "family must be one of 'bowl', .*got 'hill'"),
        (lambda: Landscape()([1.0, 2, 3]), ValueError, r"x must have shape \(2,\).*got \(3,\)"),
        (lambda: Landscape().gradient(1.0), ValueError, r"got \(\)"),
        (lambda: Landscape().play(0.5), TypeError, "strategy must be callable; got float"),
        (lambda: Landscape().play(len, n_probes=0), ValueError, "n_probes must be a positive"),
        (lambda: Landscape().play(len, radius=0), ValueError, "radius must be a positive number"),
        (lambda: Landscape().play(len, start=[4, 0]), ValueError, r"start must be a point.*\[4, 0"),
        (lambda: Landscape().play(len, start=[0.0]), ValueError, "start must be a point"),
        (lambda: Landscape().play(len, start=[np.nan, 0]), ValueError, "start must be finite"),
        (lambda: Landscape("well").play(lambda f, J, H: J * np.nan), ValueError,
         r"strategy must return a finite step of shape \(2,\).*after probe 1"),
        (lambda: Landscape("well").play(lambda f, J, H: f), ValueError, "finite step of shape"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_pictures(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    land = Landscape("minima")
    shown = land.plot()
    assert shown.ax_.get_title() == "minima"
    play = land.play(lambda f, J, H: -0.5 * J, n_probes=5)
    own = pyplot.figure().add_subplot()
    drawn = play.plot(ax=own)
    assert drawn.ax_ is own
    assert drawn.figure_ is own.figure
    np.testing.assert_array_equal(own.lines[1].get_xydata(), play.path)
    assert play.status in own.get_title()
    drawn.figure_.canvas.draw()
    pyplot.close("all")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install \"mmlfast\[plot\]\""):
        land.plot()


def test_heights_are_a_histogram_of_a_normal_distribution():
    x, y = make_heights(200_000, random_state=0)
    assert x.shape == y.shape
    assert y.sum() * 2 == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.diff(x), 2)
    exact = np.exp(-((x - 178) ** 2) / 128) / (8 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(y, exact, atol=5 * np.sqrt(0.05 / 2 / 200_000) + 3e-4)
    assert 2 * (x * y).sum() == pytest.approx(178, abs=0.1)


@given(
    n=st.integers(1, 300), mean=st.floats(-1e3, 1e3), std=st.floats(0.1, 100),
    width=st.floats(0.5, 50), seed=st.integers(0, 99),
)  # fmt: skip
def test_everyone_is_counted_where_they_belong(n, mean, std, width, seed):
    options = {"mean": mean, "std": std, "bin_width": width, "random_state": seed}
    x, counts = make_heights(n, density=False, **options)
    heights = np.random.RandomState(seed).normal(mean, std, n)
    assert counts.sum() == n
    assert counts[0] > 0 < counts[-1]
    expected = [((heights >= c - width / 2) & (heights < c + width / 2)).sum() for c in x]
    assert np.abs(counts - expected).sum() <= 2  # one may lie on an edge
    np.testing.assert_allclose(make_heights(n, **options)[1] * n * width, counts)


def test_the_heart_is_a_closed_curve_inside_the_square():
    x, y = make_heart_curve(1000)
    assert x.shape == (1000, 1)
    assert y.shape == (1000, 2)
    assert x.min() == 0
    assert x.max() < 1
    assert y.min() > 0.05
    assert y.max() < 0.95
    np.testing.assert_allclose(y[1:, 0], 1 - y[:0:-1, 0], atol=1e-12)  # symmetric
    closed = np.concatenate([y, y[:1]])
    assert np.linalg.norm(np.diff(closed, axis=0), axis=1).max() < 0.01
    noisy = make_heart_curve(1000, noise=0.02, random_state=0)[1]
    assert 0.015 < (noisy - y).std() < 0.025
    np.testing.assert_array_equal(noisy, make_heart_curve(1000, noise=0.02, random_state=0)[1])
    wild = make_heart_curve(100, noise=10, random_state=0)[1]
    assert 0 < wild.min() < wild.max() < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_heights(0), "n_samples must be a positive integer; got 0"),
        (lambda: make_heights(2.5), "n_samples must be"),
        (lambda: make_heights(std=0), "std must be a positive number; got 0"),
        (lambda: make_heights(mean=np.nan), "mean must be a finite number; got nan"),
        (lambda: make_heights(bin_width=-1), "bin_width must be a positive number; got -1"),
        (lambda: make_heights(bin_width=1e-9), "at most a million bins; got 1e-09"),
        (lambda: make_heart_curve(True), "n_samples must be a positive integer; got True"),
        (lambda: make_heart_curve(noise=-1), "noise must be a number, 0 or larger; got -1"),
    ],
)
def test_data_sets_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
