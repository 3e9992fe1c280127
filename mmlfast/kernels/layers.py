"""The products of a dense layer and their parts, over padded rows of vectors.

    Z = A W,      ∂W = Aᵀ Δ,      ∂A = Δ Wᵀ        A (m, n), W (n, k), Z and Δ (m, k)

A layer of n units is stored with its rows `stride` numbers apart: whole vectors and whole tiles of
them, filled up with zeros, so that no tile has an edge.  The strides of wide layers are an odd
number of vectors: rows a multiple of 4 KiB apart would meet in one set of the cache.

A part is a block of columns (or of rows, for ∂W).  Parts depend on the shapes alone and write to
places of their own, so they may be done by any thread, with the same bits.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import ADD, TILE_ROWS, TILE_VECTORS, ZERO, lanes, tile_fma
from mmlfast.kernels._vectors import read, splat, transpose, write

# What a layer is: columns of the table of layers.  INPUT, OUTPUT, … are places in the workspace;
# W and B places in the flat parameters, where W has IN_ROWS rows of OUT_STRIDE numbers.
(
    N_IN, N_OUT, IN_STRIDE, OUT_STRIDE, IN_ROWS, W, B, ACTIVATION, INPUT, OUTPUT,
    IN_DELTA, OUT_DELTA, SLOPE, PANELS, DROPOUT, PART_ROWS, FIELDS,
) = range(17)  # fmt: skip

# Rows of B that stay in L1 and L2 while all rows of A pass by.
DEPTH = 256


@ordered_kernel
def blocks(n, size):
    """How many blocks of `size` cover n."""
    return (n + size - 1) // size


@ordered_kernel
def _vectors_of(n, column, like):
    """Vectors of the block of columns that begins at `column`."""
    return min(TILE_VECTORS, blocks(n - column, lanes(like)))


@ordered_kernel
def _first_by_rows(vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, depth):
    for i in range(0, rows, TILE_ROWS):
        at, to = a + i * a_stride, c + i * c_stride
        tile_fma(ZERO, True, vectors, A, at, a_stride, B, b, b_stride, C, to, c_stride, depth)


@ordered_kernel
def _more_by_rows(vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, depth):
    for i in range(0, rows, TILE_ROWS):
        at, to = a + i * a_stride, c + i * c_stride
        tile_fma(ADD, True, vectors, A, at, a_stride, B, b, b_stride, C, to, c_stride, depth)


@ordered_kernel
def _by_rows(vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, depth):
    """C = A·B for `vectors` vectors of columns; rows of A lie a_stride apart."""
    _first_by_rows(
        vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, min(DEPTH, depth)
    )
    for k in range(DEPTH, depth, DEPTH):
        _more_by_rows(
            vectors, A, a + k, a_stride, B, b + k * b_stride, b_stride, C, c, c_stride, rows,
            min(DEPTH, depth - k),
        )  # fmt: skip


@ordered_kernel
def _first_by_columns(vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, depth):
    for i in range(0, rows, TILE_ROWS):
        to = c + i * c_stride
        tile_fma(ZERO, False, vectors, A, a + i, a_stride, B, b, b_stride, C, to, c_stride, depth)


@ordered_kernel
def _more_by_columns(vectors, A, a, a_stride, B, b, b_stride, C, c, c_stride, rows, depth):
    for i in range(0, rows, TILE_ROWS):
        to = c + i * c_stride
        tile_fma(ADD, False, vectors, A, a + i, a_stride, B, b, b_stride, C, to, c_stride, depth)


@ordered_kernel
def column_parts(n, like):
    """Parts that the columns of a layer of n units make."""
    return blocks(n, TILE_VECTORS * lanes(like))


@ordered_kernel
def forward(layer, p, parameters, work, first, rows):
    """Z = A W, the columns of part p, of `rows` rows from `first` on, in whole tiles.

    Returns (column, vectors).
    """
    column = p * TILE_VECTORS * lanes(work)
    vectors = _vectors_of(layer[N_OUT], column, work)
    stride = layer[OUT_STRIDE]
    _by_rows(
        vectors, work, layer[INPUT] + first * layer[IN_STRIDE], layer[IN_STRIDE],
        parameters, layer[W] + column, stride,
        work, layer[OUTPUT] + first * stride + column, stride, rows, layer[N_IN],
    )  # fmt: skip
    return column, vectors


@ordered_kernel
def weight_gradient(layer, p, work, gradient, rows):
    """∂W = Aᵀ Δ, rows p·PART_ROWS … of it; part 0 also writes ∂b, the sums of Δ's columns."""
    first = p * layer[PART_ROWS]
    height = min(layer[PART_ROWS], blocks(layer[N_IN], TILE_ROWS) * TILE_ROWS - first)
    stride = layer[OUT_STRIDE]
    for column in range(0, layer[N_OUT], TILE_VECTORS * lanes(work)):
        vectors = _vectors_of(layer[N_OUT], column, work)
        a, b = layer[INPUT] + first, layer[OUT_DELTA] + column
        c = layer[W] + first * stride + column
        _first_by_columns(
            vectors, work, a, layer[IN_STRIDE], work, b, stride, gradient, c, stride, height,
            min(DEPTH, rows),
        )  # fmt: skip
        for k in range(DEPTH, rows, DEPTH):
            _more_by_columns(
                vectors, work, a + k * layer[IN_STRIDE], layer[IN_STRIDE],
                work, b + k * stride, stride, gradient, c, stride, height, min(DEPTH, rows - k),
            )  # fmt: skip
    if p == 0:
        for column in range(0, layer[N_OUT], lanes(work)):
            # Two chains: each addition waits for the one before it.  Tiles have an even height.
            even, odd = splat(work, 0), splat(work, 0)
            for i in range(0, rows, 2):
                at = layer[OUT_DELTA] + i * stride + column
                even = even + read(work, at)
                odd = odd + read(work, at + stride)
            write(gradient, layer[B] + column, even + odd)


@ordered_kernel
def _panel(layer, column, like):
    """Where the columns of Wᵀ from `column` on lie."""
    return layer[PANELS] + column * blocks(layer[N_OUT], lanes(like)) * lanes(like)


@ordered_kernel
def transpose_weights(layer, p, parameters, work):
    """Wᵀ, the columns of part p, for `back`."""
    width = lanes(work)
    column = p * TILE_VECTORS * width
    vectors = _vectors_of(layer[N_IN], column, work)
    stride, panel = layer[OUT_STRIDE], _panel(layer, column, work)
    for k in range(0, layer[N_OUT], width):
        for v in range(vectors):
            source = layer[W] + (column + v * width) * stride + k
            target = panel + k * vectors * width + v * width
            transpose(parameters, source, stride, work, target, vectors * width)


@ordered_kernel
def back(layer, p, work, first, rows):
    """∂A = Δ Wᵀ, the columns of part p, as `forward`; after `transpose_weights`.

    Returns (column, vectors).
    """
    width = lanes(work)
    column = p * TILE_VECTORS * width
    vectors = _vectors_of(layer[N_IN], column, work)
    stride = layer[OUT_STRIDE]
    _by_rows(
        vectors, work, layer[OUT_DELTA] + first * stride, stride,
        work, _panel(layer, column, work), vectors * width,
        work, layer[IN_DELTA] + first * layer[IN_STRIDE] + column, layer[IN_STRIDE],
        rows, layer[N_OUT],
    )  # fmt: skip
    return column, vectors
