"""The same sources for other processors, and what the compiler makes of the innermost loops."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from mmlfast.kernels import covariance, elementary, krylov, matmul
from mmlfast.kernels._jit import ORDERED, _compile_lazily
from mmlfast.kernels._simd import _ARM, HAS_FMA, LANE_BYTES, TILE_ROWS, cpu_features
from mmlfast.runtime.validate import base_of
from tests.conftest import ROOT
from tests.reference_elementary import DOUBLE

AVX2 = "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+popcnt,+sse4.2,+ssse3"
NEEDED_FOR_AVX2 = {feature.removeprefix("+") for feature in AVX2.split(",")}

# Integers of every dtype, every size of tile, every bit pattern of a half.
CHOSEN = (
    "all_small_sizes or sizes_around or layouts_of_the_product or test_columns or columns_are_cut "
    "or (exact_on_integers and not covariance_rows) or every_bit_pattern or project_and_back "
    "or exact_where_nothing_is_rounded or there_and_back_are_exact "
    "or exact_on_small_images or spline or exact_at_every_width "
    "or exact_systems or every_place or random_matrices or touches_nothing "
    "or one_triangle_are_exact or gives_its_share or way_back_are_exact or basis_of_the_block "
    "or ill_conditioned_lanes or edge_of_tiles or share_the_parts or whole_numbers_are_exact "
    "or few_ulp or ends_of_the_range or same_bits_inside or polynomials_are_exact or rounds_once "
    "or nearest_integer or first_lanes or takes_out_the_power or the_exact_product"
)


def run_kernel_tests(name, features):
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    for variable in [v for v in environment if v.startswith("PYTEST_")]:
        del environment[variable]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN,
         *(f"tests/kernels/test_{file}.py"
           for file in ("matmul", "small", "pack", "covariance", "half", "krylov",
                        "orthogonal", "warp", "gather", "vectors",
                        "elimination", "jacobi", "symmetric", "lanczos", "crew",
                        "least_squares", "logistic",
                        "vector_bits", "elementary", "optimizers", "backprop"))],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_right_answers_on_a_generic_processor():
    """SSE2 or NEON alone: no fused multiply-add on x86, tiles of 16 registers."""
    run_kernel_tests("generic", "")


@pytest.mark.skipif(
    not set(cpu_features()) >= NEEDED_FOR_AVX2 or LANE_BYTES == 32,
    reason="needs a processor with more than AVX2",
)
def test_right_answers_with_avx2():
    run_kernel_tests("haswell", AVX2)


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [("generic", "", (16, False, 6)), ("haswell", AVX2, (32, True, 6))],
)
@pytest.mark.skipif(_ARM, reason="names of x86 processors")
def test_lanes_follow_the_target(name, features, expected, run_python):
    code = "from mmlfast.kernels._simd import *; print((LANE_BYTES, HAS_FMA, TILE_ROWS))"
    printed = run_python(code, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert printed.strip() == str(expected)


def assembly(dispatcher, *arguments):
    """Assembly of one kernel, compiled for these arguments; loaded ones have none to show."""
    fresh = _compile_lazily(dispatcher.py_func, ORDERED)
    fresh._cache.disable()
    fresh(*arguments)
    (text,) = fresh.inspect_asm().values()
    return text


def rank_update(work):
    panel = np.zeros(covariance.panel_shape(100, work), work)
    G = np.zeros(covariance.gram_shape(100, work), work)
    return assembly(covariance.rank_update, panel, panel, 5, 0, 1, G)


def project(work):
    panel, Y, _, Q = krylov_arguments(work)
    return assembly(krylov.project, panel, 5, 300, Q, Y)


def project_back(work):
    panel, Y, Z, _ = krylov_arguments(work)
    return assembly(krylov.project_back, panel, 5, 300, Y, Z)


def krylov_arguments(work):
    shapes = (
        krylov.block_panel_shape(300, work), krylov.projection_shape(50, work),
        krylov.product_shape(300, 50, work), (300, krylov.projection_shape(50, work)[1]),
    )  # fmt: skip
    return [np.zeros(shape, work) for shape in shapes]


def tile_of_matmul(work):
    A = np.zeros((30, 30), work)
    base, strides = base_of(A)
    return assembly(
        matmul.multiply, base, strides, base, strides, *base_of(A.copy()), (9, 9, 9),
        np.zeros(matmul.workspace_size(9, 9, 9), work),
    )  # fmt: skip


@pytest.mark.skipif(not HAS_FMA or _ARM, reason="reads x86 assembly with fused multiply-add")
@pytest.mark.parametrize("work", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [rank_update, project, project_back, tile_of_matmul])
def test_innermost_loops_stay_in_registers(kernel, work):
    text = kernel(np.dtype(work))
    packed = "vfm(add|sub)[0-9]+p" + ("s" if work == "float32" else "d")
    blocks = re.split(r"\n(?=\.LBB|# %bb)", text)
    # The loops that hold a whole tile, its depth unrolled or not.
    innermost = [b for b in blocks if len(re.findall(packed, b)) >= 2 * TILE_ROWS]
    assert innermost
    # Without a frame pointer rbp may hold any address.
    stack = "%r[sb]p" if re.search(r"movq\s+%rsp, %rbp", text) else "%rsp"
    for block in innermost:
        lines = block.splitlines()
        spilled = [x for x in lines if re.search(r"%?[xyz]mm", x) and re.search(rf"\({stack}", x)]
        assert spilled == []
        assert not re.search(r"\bcall", block)


@pytest.mark.skipif(_ARM, reason="reads x86 assembly")
@pytest.mark.parametrize("work", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(DOUBLE))
def test_elementary_functions_are_compiled_into_their_loops(name, work):
    """Beside packed numbers no call, of the scalar library or of what was not inlined."""
    text = assembly(getattr(elementary, name), np.ones(100, work), np.ones(100, work))
    packed = "(mul|add)p" + ("s" if work == "float32" else "d")
    loops = [b for b in re.split(r"\n(?=\.LBB|# %bb)", text) if len(re.findall(packed, b)) >= 5]
    assert loops
    for block in loops:
        assert not re.search(r"\bcall", block)
