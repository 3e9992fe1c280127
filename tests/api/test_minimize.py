"""minimize: the path of the books, and a reason for every end."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning

from mmlfast import config_context, minimize
from mmlfast.api import descent
from mmlfast.api.minimize import METHODS
from tests.reference_descent import descent_path

RATES = dict.fromkeys(METHODS, 1e-3) | {"adagrad": 0.2, "rmsprop": 0.02, "adam": 0.05}
RATES["hybrid"] = 0.01


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def slope(x):
    across = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 400 * x[0] * across, 200 * across])


def curvature(x):
    first = 2 - 400 * (x[1] - 3 * x[0] ** 2)
    return np.array([[first, -400 * x[0]], [-400 * x[0], 200.0]])


def both(x):
    return rosenbrock(x), slope(x)


def gentle(f, J, H):
    return -0.5 * J / (1 + np.sqrt((J * J).sum()) + abs(H[0, 0]))


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def beale(x):
    return sum((a - x[0] * (1 - x[1] ** k)) ** 2 for k, a in enumerate((1.5, 2.25, 2.625), 1))


def bowl(x):
    return (x * x).sum()


njit = numba.njit
fast_rosenbrock, fast_slope, fast_curvature = njit(rosenbrock), njit(slope), njit(curvature)
fast_both = njit(lambda x: (fast_rosenbrock(x), fast_slope(x)))
fast_gentle, fast_bowl = njit(gentle), njit(bowl)
fast_himmelblau = njit(himmelblau)
START = np.array([-1.2, 1.0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("compiled", [False, True], ids=["python", "njit"])
def test_the_path_is_that_of_the_books(method, compiled):
    functions = (rosenbrock, slope, curvature)
    fun, jac, hess = (
        (fast_rosenbrock, fast_slope, fast_curvature) if compiled else functions
    )
    run = minimize(
        fun, START, jac=jac, hess=hess, method=method, learning_rate=RATES[method], max_iter=60,
        tol=0,
    )  # fmt: skip
    wanted = descent_path(*functions, START, method, RATES[method], run.nit)
    assert run.compiled is compiled
    # Second-order methods arrive before that.
    assert run.nit == 60 or method in ("newton", "hybrid")
    # Rounding is multiplied by the curvature of the valley on the way.
    np.testing.assert_allclose(run.path, wanted, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(run.fun_path, [rosenbrock(x) for x in run.path], rtol=1e-12, atol=0)


@pytest.mark.parametrize("compiled", [False, True], ids=["python", "njit"])
def test_a_rule_of_ones_own_gets_f_J_and_H(compiled):
    seen = []

    def next_step(f, J, H):
        seen.append((f, J.shape, H.shape))
        return list(gentle(f, J, H))

    functions = (rosenbrock, slope, curvature)
    wanted = descent_path(*functions, START, None, 0, 30, step_rule=gentle)
    if compiled:
        run = minimize(
            fast_rosenbrock, START, jac=fast_slope, hess=fast_curvature, step_rule=fast_gentle,
            max_iter=30, tol=0,
        )  # fmt: skip
    else:
        run = minimize(
            rosenbrock, START, jac=slope, hess=curvature, step_rule=next_step, max_iter=30, tol=0
        )
        assert seen[-1][1:] == ((2,), (2, 2))
        assert isinstance(seen[-1][0], float)
    np.testing.assert_allclose(run.path, wanted, rtol=1e-11)
    assert run.method == "step_rule"


@pytest.mark.parametrize("jac", [None, "central", "complex-step", True, slope])
@pytest.mark.parametrize("method", ["gd", "newton"])
def test_every_way_to_the_gradient_leads_along_the_same_path(jac, method):
    options = {"method": method, "max_iter": 20 if method == "gd" else 4, "tol": 0}
    options["learning_rate"] = 1e-3
    run = minimize(both if jac is True else rosenbrock, START, jac=jac, **options)
    exact = minimize(rosenbrock, START, jac=slope, hess=curvature, **options)
    # Of differences of differences 4 of 16 digits are left, and each step has their error.
    np.testing.assert_allclose(run.path, exact.path, rtol=1e-4 if method == "newton" else 1e-8)
    assert (run.njev > 0) == (jac is True or callable(jac))


# Each pair of functions costs a compilation, so not every combination is here.
@pytest.mark.parametrize(
    ("method", "jac"), [("adam", None), ("hybrid", None), ("hybrid", True)]
)
def test_compiled_and_interpreted_loops_agree(method, jac):
    options = {"method": method, "max_iter": 25, "tol": 0}
    fun = (fast_both, both) if jac is True else (fast_rosenbrock, rosenbrock)
    run = minimize(fun[0], START, jac=jac, **options)
    slow = minimize(fun[1], START, jac=jac or "central", **options)
    assert run.compiled
    assert not slow.compiled
    assert (run.nit, run.nfev, run.njev, run.nhev) == (slow.nit, slow.nfev, slow.njev, slow.nhev)
    np.testing.assert_allclose(run.path, slow.path, rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "start", "least"),
    [(rosenbrock, [-1.2, 1], [1, 1]), (beale, [2, 0.3], [3, 0.5]), (himmelblau, [4, 3], [3, 2])],
)
@pytest.mark.parametrize("method", ["hybrid", "adam"])
def test_known_minima(function, start, least, method):
    run = minimize(function, start, method=method, learning_rate=0.02, tol=1e-7)
    assert isinstance(run, OptimizeResult)
    assert run.success
    assert run.reason == "converged"
    np.testing.assert_allclose(run.x, least, atol=1e-5)
    np.testing.assert_array_equal(run.path[-1], run.x)
    assert np.linalg.norm(run.jac) <= 1e-7
    assert run.path.shape == (run.nit + 1, 2)
    assert run.fun_path.shape == (run.nit + 1,)


def test_basins_of_himmelblau():
    grid = np.linspace(-5, 5, 12)
    starts = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    runs = minimize(fast_himmelblau, starts, method="gd", learning_rate=0.005)
    assert runs.success.all()
    assert set(runs.reason) == {"converged"}
    minima = {tuple(x) for x in runs.x.round(3)}
    assert minima == {(3.0, 2.0), (-2.805, 3.131), (-3.779, -3.283), (3.584, -1.848)}
    assert [len(path) for path in runs.path] == (runs.nit + 1).tolist()
    np.testing.assert_array_equal([path[0] for path in runs.path], starts)


def test_each_start_goes_its_own_way_on_any_number_of_threads(monkeypatch):
    starts = np.random.default_rng(0).uniform(-2, 2, (70, 2))
    options = {"method": "adam", "max_iter": 700}
    one = minimize(fast_rosenbrock, starts, n_jobs=1, **options)
    with config_context(n_threads=4):
        four = minimize(fast_rosenbrock, starts, **options)
    monkeypatch.setattr(descent, "BUFFER_BYTES", 1)
    monkeypatch.setattr(descent, "FIRST_VISITS", 3)
    small = minimize(fast_rosenbrock, starts, n_jobs=2, **options)
    for runs in (four, small):
        for name in ("x", "fun", "jac", "nit", "nfev", "status"):
            np.testing.assert_array_equal(one[name], runs[name])
        for a, b in zip(one.path, runs.path, strict=True):
            np.testing.assert_array_equal(a, b)
    alone = minimize(fast_rosenbrock, starts[7:8], **options)
    np.testing.assert_array_equal(alone.path[0], one.path[7])
    assert minimize(fast_rosenbrock, starts, history=False, **options).path is None


@pytest.mark.parametrize("function", [bowl, fast_bowl], ids=["python", "njit"])
def test_why_it_stopped(function):
    starts = [[1.0, 2.0], [1e200, 0.0], [0.0, 0.0]]
    runs = minimize(function, starts, learning_rate=1.5, jac=None)
    assert runs.reason == ["diverged", "diverged", "converged"]
    assert runs.status.tolist() == [2, 2, 0]
    np.testing.assert_array_equal(runs.x, starts)  # the best finite points
    assert np.isinf(runs.fun[1])
    assert all("learning_rate=1.5" in message for message in runs.message[:2])
    assert minimize(function, [starts[0]], learning_rate=1e-30).reason == ["stalled"]
    short = minimize(function, [starts[0]], max_iter=3)
    assert (short.reason, short.nit.tolist()) == (["max_iter"], [3])


@pytest.mark.parametrize("function", [bowl, fast_bowl], ids=["python", "njit"])
def test_one_start_that_does_not_converge_warns(function):
    with pytest.warns(ConvergenceWarning, match=r"minimize: max_iter: after 3 steps .*tol=1e-06"):
        assert not minimize(function, [1.0, 2.0], max_iter=3).success
    minimize(function, [1.0, 2.0], max_iter=3, tol=0)


def test_a_singular_hessian_ends_newton_and_not_the_hybrid():
    flat = njit(lambda x: x[0] ** 2 + x[1])
    H = njit(lambda x: np.array([[2.0, 0.0], [0.0, 0.0]]))
    for fun, hess in ((flat, H), (flat.py_func, H.py_func)):
        run = minimize(fun, [[1.0, 1.0]], hess=hess, method="newton")
        assert run.reason == ["singular"]
        assert run.nit.tolist() == [0]
        assert minimize(fun, [[1.0, 1.0]], hess=hess, method="hybrid", max_iter=5).nit == [5]


def test_a_pair_of_functions_is_compiled_once():
    from mmlfast.kernels.descent import descend

    minimize(fast_bowl, [[1.0, 2.0]])
    signatures = len(descend.signatures)
    for method in ("gd", "adam", "rmsprop"):
        minimize(fast_bowl, [1.0, 2.0, 3.0], method=method, max_iter=2, tol=0, beta_1=0.5)
    assert len(descend.signatures) == signatures


def test_badly_scaled_units_are_not_singular():
    run = minimize(lambda x: 1e18 * x[0] ** 2 + x[1] ** 2, [1.0, 1.0], method="newton",
                   jac=lambda x: np.array([2e18 * x[0], 2 * x[1]]),
                   hess=lambda x: np.diag([2e18, 2.0]))  # fmt: skip
    assert run.nit == 1
    np.testing.assert_array_equal(run.x, [0, 0])


def test_the_point_of_least_f_is_kept():
    """Steps of 2 over |x| that jump to and fro; the best point was the second."""
    steps = iter([np.array([-2.9]), np.array([4.0]), np.array([5.0])])
    run = minimize(lambda x: abs(x[0]), [[3.0]], step_rule=_first_after_a_try(steps), max_iter=3)
    np.testing.assert_allclose(run.path[0].ravel(), [3, 0.1, 4.1, 9.1])
    np.testing.assert_allclose(run.x, [[0.1]])
    np.testing.assert_allclose(run.fun, [0.1])


def _first_after_a_try(steps):
    calls = []

    def rule(f, J, H):
        calls.append(f)
        return np.zeros(1) if len(calls) == 1 else next(steps)

    return rule


@pytest.mark.parametrize("function", [bowl, fast_bowl], ids=["python", "njit"])
def test_float32_stays(function):
    run = minimize(function, np.float32([1, 2]), learning_rate=0.1, tol=1e-3, jac=None)
    assert run.x.dtype == run.path.dtype == run.jac.dtype == np.float32
    assert run.success


@pytest.mark.parametrize("compiled", [False, True], ids=["python", "njit"])
def test_further_arguments_reach_every_function(compiled):
    def fun(x, a, b):
        return a * ((x - b) ** 2).sum()

    def jac(x, a, b):
        return 2 * a * (x - b)

    def hess(x, a, b):
        return 2 * a * np.eye(2)

    if compiled:
        fun, jac, hess = njit(fun), njit(jac), njit(hess)
    run = minimize(fun, [4.0, 5.0], jac=jac, hess=hess, method="newton", args=(2.0, 3))
    np.testing.assert_array_equal(run.x, [3, 3])
    assert (run.nit, run.nhev, run.compiled) == (1, 1, compiled)


def test_a_function_that_writes_to_its_argument_spoils_nothing():
    def greedy(x):
        value = (x * x).sum()
        x[:] = 99
        return value

    for fun in (greedy, njit(greedy)):
        run = minimize(fun, [[1.0, 2.0]], jac=njit(lambda x: 2 * x), learning_rate=0.25, max_iter=2)
        np.testing.assert_array_equal(run.path[0], [[1, 2], [0.5, 1], [0.25, 0.5]])


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4), st.floats(0.01, 0.4))
def test_a_bowl_shrinks_by_one_factor(x0, rate):
    run = minimize(bowl, [x0], jac=lambda x: 2 * x, learning_rate=rate, max_iter=10, tol=0)
    powers = (1 - 2 * rate) ** np.arange(len(run.path[0]))
    np.testing.assert_allclose(run.path[0], np.outer(powers, x0), rtol=1e-12, atol=0)


def test_what_fun_raises_reaches_the_caller():
    class Own(Exception):
        pass

    def late(x):
        if x[0] < 0.5:
            raise Own("as it was")
        return bowl(x)

    with pytest.raises(Own, match="as it was"):
        minimize(late, [1.0], learning_rate=0.1)

    @njit
    def refuses(x):
        if x[0] < 0.5:
            raise ValueError("too small")
        return x[0] ** 2

    with pytest.raises(ValueError, match="too small"):
        minimize(refuses, [1.0], learning_rate=0.1)


def test_ctrl_c_ends_it_at_once():
    calls = []

    def interrupted(x):
        calls.append(x)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return bowl(x)

    with pytest.raises(KeyboardInterrupt):
        minimize(interrupted, [1.0])
    assert len(calls) == 20


def test_overflow_of_the_module_math_is_a_divergence():
    import math

    run = minimize(lambda x: math.exp(x[0] ** 2), [[1.0], [30.0]], learning_rate=10.0)
    assert run.reason == ["diverged", "diverged"]


SIGNATURE = r"must have the signature fun\(x\) with x an array of shape \(2,\); got"


@pytest.mark.parametrize(
    ("fun", "error", "match"),
    [
        (njit(lambda x, y: x + y), TypeError, SIGNATURE + r" <lambda>\(x, y\)"),
        (lambda x, y: 0.0, TypeError, SIGNATURE),
        (njit("float64(float64, float64)")(lambda x, y: x), TypeError, SIGNATURE),
        (njit("float64(float64)")(lambda x: x), TypeError, r"cannot be compiled as fun\(x\) with"),
        (njit(lambda x: x.no_such), TypeError, "Unknown attribute 'no_such'"),
        (njit(lambda x: 2 * x), TypeError, "must give one real number; it gave an array"),
        (lambda x: "text", TypeError, "must give one real number; it gave str 'text'"),
        (lambda x: 1j, TypeError, "must give one real number; it gave complex"),
        (both, TypeError, r"gave a tuple. For a pair \(f, gradient\) pass jac=True"),
        ("text", TypeError, "fun must be a function"),
    ],
)
def test_a_function_that_does_not_fit_is_told_what_is_expected(fun, error, match):
    with pytest.raises(error, match=match):
        minimize(fun, [1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "bfgs"}, ValueError, "method must be one of gd, momentum"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number larger than 0"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate"),
        ({"beta_1": 1}, ValueError, r"beta_1 must be a number in \[0, 1\)"),
        ({"max_step": -1}, ValueError, "max_step"),
        ({"max_iter": 0}, ValueError, "max_iter must be an integer, at least 1"),
        ({"tol": -1}, ValueError, "tol"),
        ({"args": 3}, TypeError, "args must be a tuple"),
        ({"jac": "forward"}, ValueError, "jac must be a function, True"),
        ({"jac": False}, ValueError, "jac must be a function, True"),
        ({"jac": True}, TypeError, r"must give a pair \(f, gradient\)"),
        ({"jac": "complex-step"}, ValueError, "needs a function that follows complex arguments"),
        ({"jac": lambda x: x[:1]}, ValueError, r"What jac gives must have shape \(2,\)"),
        ({"jac": njit(lambda x, y: x)}, TypeError, r"jac must have the signature jac\(x\)"),
        ({"hess": lambda x: x, "method": "newton"}, ValueError, r"must have shape \(2, 2\)"),
        ({"step_rule": lambda f, J: J}, TypeError, r"the signature step_rule\(f, J, H\)"),
        ({"step_rule": lambda f, J, H: H}, ValueError, "step that step_rule gives must have shape"),
        ({"step_rule": gentle, "method": "adam"}, ValueError, "either step_rule or method"),
    ],
)
def test_bad_options_name_themselves(options, error, match):
    with pytest.raises(error, match=match):
        minimize(lambda x: (abs(x) ** 2).sum(), [1.0, 2.0], **options)


@pytest.mark.parametrize(
    ("x0", "error", "match"),
    [
        ([], ValueError, "not empty"),
        (1.0, ValueError, r"got shape \(\)"),
        (np.zeros((2, 2, 2)), ValueError, "x0 must be a start"),
        ([np.nan, 1], ValueError, "x0 must be finite"),
        (["a"], TypeError, "x0 must hold real numbers"),
        ([1j], TypeError, "x0 must hold real numbers"),
    ],
)
def test_bad_starts(x0, error, match):
    with pytest.raises(error, match=match):
        minimize(bowl, x0)


def test_overflow_at_the_start_is_told_once():
    with pytest.warns(ConvergenceWarning, match="diverged") as told:
        minimize(lambda x: x @ x, [1e200, 1.0])
    assert len(told) == 1


@pytest.mark.parametrize("given", ["jac", "hess", "step_rule"])
def test_a_compiled_function_that_gives_another_shape_later(given):
    square = numba.njit(lambda x: x @ x)
    functions = {
        "jac": numba.njit(lambda x: 2 * x if x[0] > 0.5 else 2 * x[:1]),
        "hess": numba.njit(lambda x: np.diag(2 * np.ones(2 if x[0] > 0.5 else 1))),
        "step_rule": numba.njit(lambda f, J, H: -0.1 * J if f > 0.5 else -0.1 * J[:1]),
    }
    options = {"method": "hybrid", "learning_rate": 0.1, "max_step": 0.1}
    with pytest.raises(ValueError, match="must always"):
        minimize(
            square, [1.0, 0.5], **{given: functions[given]},
            **(options if given == "hess" else {"learning_rate": 0.1}),
        )  # fmt: skip
