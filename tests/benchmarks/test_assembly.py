"""Multiply-adds and spills are counted where they cost, in the assembly of either architecture."""

from __future__ import annotations

import json
import subprocess
import sys

import llvmlite.binding as llvm
import pytest

from benchmarks.assembly import Counts, count, read
from benchmarks.tiles import KERNELS, Kernel
from mmlfast.kernels._simd import HAS_FMA, LANE_BYTES
from tests.conftest import ROOT

# A function that saves registers, and two loops within one that puts a register down.
X86 = """
kernel:
	pushq	%rbp
	subq	$192, %rsp
	vmovups	%ymm6, 160(%rsp)
.LBB0_1:                                # outer
	vmovups	%ymm0, 64(%rsp)         # 32-byte Spill
	vfmadd231ps	%ymm1, %ymm2, %ymm0
.LBB0_2:                                # => inner
	vmovups	(%rsi,%rax,4), %ymm3
	vfmadd231ps	%ymm3, %ymm4, %ymm5
	vfnmadd213ps	96(%rsp), %ymm4, %ymm6  # 32-byte Folded Reload
	vfmadd231ss	%xmm3, %xmm4, %xmm7
	vmovups	%ymm5, 32(%rsp)
	vmovups	%ymm5, 32(%rsp,%rax,4)
	vmovups	(%rbp), %ymm8
	movq	8(%rsp), %rdx
	decq	%rax
	jne	.LBB0_2
	decq	%rcx
	jne	.LBB0_1
.LBB0_3:
	vaddps	(%rsp), %ymm0, %ymm0
	decq	%rax
	jne	.LBB0_3
	jmp	*%rdx
	retq
"""

GNU = """
kernel:
	sub	sp, sp, #64
	stp	d9, d8, [sp, #32]
.LBB0_1:
	str	q0, [sp, #16]                   // 16-byte Folded Spill
.LBB0_2:
	ldr	q1, [x0, x8, lsl #4]
	ldr	q2, [sp, #16]                   // 16-byte Folded Reload
	stp	q2, q3, [sp]
	str	q2, [x29, #-16]
	ldr	x9, [sp, #8]
	ldr	q4, [sp, x8]
	fmla	v0.4s, v1.4s, v2.4s
	fmls	v3.4s, v1.4s, v2.s[1]
	fmla	s5, s6, v2.s[1]
	cbz	x1, .LBB0_3
	subs	x8, x8, #1
	b.ne	.LBB0_2
.LBB0_3:
	tbnz	w9, #0, .LBB0_1
	ret
"""

APPLE = """
_kernel:
	stp	d9, d8, [sp, #-32]!
LBB0_1:
	fmla.2d	v0, v1, v2
	fmla.d	d5, d6, v2[1]
	ldr	q2, [sp, #16]                   ; 16-byte Folded Reload
	cbnz	x8, LBB0_1
	ret
"""


def test_x86_counts_the_innermost_loop():
    # Two packed multiply-adds; one operand and one store on the stack.
    assert count(X86) == Counts(fma=2, spills=2, vector_bits=256)


def test_a_frame_pointer_is_the_stack_where_it_was_made_one():
    framed = X86.replace("subq	$192, %rsp", "movq	%rsp, %rbp\n	andq	$-64, %rsp")
    assert count(framed) == Counts(fma=2, spills=3, vector_bits=256)
    # In its function alone.
    other = X86.replace("kernel:", "another:").replace(".LBB0", ".LBB1")
    assert count(framed + other) == Counts(fma=4, spills=5, vector_bits=256)


def test_aarch64_counts_the_innermost_loop():
    assert count(GNU) == Counts(fma=2, spills=2, vector_bits=128)
    framed = GNU.replace("stp	d9", "add	x29, sp, #16\n	stp	d9")
    assert count(framed) == Counts(fma=2, spills=3, vector_bits=128)


def test_apple_writes_the_arrangement_after_the_name():
    assert count(APPLE) == Counts(fma=1, spills=1, vector_bits=128)


def test_a_way_out_between_label_and_jump_is_no_part_of_the_loop():
    """Blocks lie as the compiler sees fit: here the return, and the rest of the loop behind it."""
    scattered = """
kernel:
.LBB0_1:
	vfmadd231pd	%ymm1, %ymm2, %ymm3
	testq	%rax, %rax
	jne	.LBB0_2
	vmovups	(%rsp), %ymm6
	retq
.LBB0_2:
	vfmadd231pd	%ymm4, %ymm2, %ymm3
	jmp	.LBB0_1
.LBB0_3:
	vmovups	%ymm6, (%rsp)
	vfmadd231pd	%ymm4, %ymm2, %ymm3
	jmp	.LBB0_2
"""
    assert count(scattered) == Counts(fma=2, spills=0, vector_bits=256)


def test_the_last_jump_back_ends_a_loop():
    two_ways = """
kernel:
.LBB0_1:
	vfmadd231pd	%zmm1, %zmm2, %zmm3
	testq	%rax, %rax
	je	.LBB0_1
	vfmadd231pd	8(%rsp){1to8}, %zmm2, %zmm3
	jne	.LBB0_1
	retq
"""
    assert count(two_ways) == Counts(fma=2, spills=1, vector_bits=512)


def test_without_a_multiply_add_nothing_counts():
    assert count(X86.replace("vf", "vx")) == Counts(0, 0, 0)
    assert count("") == Counts(0, 0, 0)


def tile(sums, vector):
    """LLVM's IR of a loop that adds a·b to so many sums."""
    lines = [f"%v = load {vector}, ptr %at, align 4"]
    phis, results = [], []
    for i in range(sums):
        phis.append(f"%s{i} = phi {vector} [zeroinitializer, %entry], [%t{i}, %loop]")
        call = f"call {vector} @fma({vector} %v, {vector} %w{i}, {vector} %s{i})"
        lines += [
            f"%p{i} = getelementptr {vector}, ptr %at, i64 {i + 1}",
            f"%w{i} = load {vector}, ptr %p{i}, align 4",
            f"%t{i} = {call}",
        ]
        results += [
            f"%o{i} = getelementptr {vector}, ptr %out, i64 {i}",
            f"store {vector} %t{i}, ptr %o{i}, align 4",
        ]
    name = "@llvm.fma." + vector.strip("<>").replace(" x float", "f32").join(["v", ""])
    text = "\n".join([
        f"declare {vector} @fma({vector}, {vector}, {vector})",
        "define void @kernel(ptr %start, ptr %out, i64 %n) {",
        "entry: br label %loop",
        "loop: %i = phi i64 [0, %entry], [%next, %loop]",
        *phis,
        f"%at = getelementptr {vector}, ptr %start, i64 %i",
        *lines,
        "%next = add i64 %i, 1",
        "%more = icmp slt i64 %next, %n",
        "br i1 %more, label %loop, label %end",
        "end:",
        *results,
        "ret void }",
    ])  # fmt: skip
    return text.replace("@fma", name)


TARGETS = {
    "x86_64-linux-gnu": ("haswell", "<8 x float>", 256),
    "x86_64-pc-windows-msvc": ("haswell", "<8 x float>", 256),
    "x86_64-apple-darwin": ("skylake-avx512", "<8 x float>", 256),
    "aarch64-linux-gnu": ("", "<4 x float>", 128),
    "arm64-apple-darwin": ("", "<4 x float>", 128),
}


@pytest.mark.parametrize("triple", TARGETS)
def test_what_a_compiler_writes_is_read(triple):
    cpu, vector, bits = TARGETS[triple]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu)
    except RuntimeError as reason:
        pytest.skip(str(reason))

    def counts(sums):
        module = llvm.parse_assembly(tile(sums, vector))
        module.triple = triple
        return count(machine.emit_assembly(module))

    assert counts(12) == Counts(fma=12, spills=0, vector_bits=bits)
    # More sums than there are registers.
    too_many = counts(48)
    assert too_many.fma == 48
    assert too_many.spills > 16


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.assembly", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def figures():
    """Of every kernel, in one dtype: each takes up to two seconds to compile."""
    done = run("float64", "warp")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not HAS_FMA, reason="needs fused multiply-add")
def test_every_kernel_is_read(figures):
    assert {name.split()[0] for name in figures} == set(KERNELS)
    for name, found in figures.items():
        assert "missing" not in found, name
        assert found["fma"] > 0, name
        assert found["vector_bits"] <= 8 * LANE_BYTES, name


@pytest.mark.skipif(not HAS_FMA, reason="needs fused multiply-add")
@pytest.mark.parametrize(
    "name",
    [
        "matmul._tiles", "covariance.rank_update", "krylov.project", "krylov.project_back",
        "symmetric.times_block", "layers.forward", "layers.weight_gradient",
    ],
)  # fmt: skip
def test_tiles_stay_in_registers(figures, name):
    found = figures[f"{name} float64"]
    assert (found["spills"], found["vector_bits"]) == (0, 8 * LANE_BYTES)


def test_what_a_commit_lacks_is_missing_with_a_reason():
    any_arguments = Kernel(lambda x: (x.flat,))
    gone = read("matmul.multiply_by_magic", any_arguments, "float64")
    assert gone["missing"].startswith("AttributeError: ")
    assert "multiply_by_magic" in gone["missing"]
    file_gone = read("magic.multiply", any_arguments, "float64")
    assert file_gone["missing"].startswith("ModuleNotFoundError: ")
    changed = read("matmul._tiles", any_arguments, "float64")
    assert "missing" in changed
    assert "\n" not in changed["missing"]


def test_an_unknown_name_is_answered_with_the_known_ones():
    done = run("matmull")
    assert done.returncode == 2
    assert "krylov.project_back float32" in done.stderr
    assert done.stdout == ""
