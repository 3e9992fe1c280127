"""In-edges of every node: the edges of a graph sorted by target, in linear time.

    indices[indptr[t] : indptr[t + 1]] = the sources s of all edges s → t, in the order they came

A counting sort over all nodes would write to as many places as there are nodes.  Edges therefore
go first to buckets of neighbouring targets (a few hundred streams of writes), then a counting sort
whose counts stay in L1 orders each bucket.  Both steps keep the order of what came, so that the
result is one and the same however edges and buckets are shared among threads.

Sources, targets and indices are int32, pointers int64, weights float64; weights of size 0 stand
for a graph without weights.
"""

from __future__ import annotations

from mmlfast.kernels._jit import kernel

# Streams of writes in the first step.  16 M edges on 1 M nodes, one thread: 128 to 4096 are alike,
# 260 ms; without buckets 320 to 360, and only one thread can sort.
BUCKETS = 256


@kernel
def count_buckets(targets, lo, hi, shift, counts):
    """counts[b] += number of edges lo … hi − 1 whose target lies in bucket b = target >> shift."""
    for k in range(lo, hi):
        counts[targets[k] >> shift] += 1


@kernel
def fill_buckets(edges, lo, hi, shift, cursor, filled):
    """Copy edges lo … hi − 1 to their buckets, from cursor[b] on; `cursor` moves along.

    edges and filled: (sources, targets, weights).
    """
    sources, targets, weights = edges
    bucket_sources, bucket_targets, bucket_weights = filled
    for k in range(lo, hi):
        b = targets[k] >> shift
        at = cursor[b]
        cursor[b] = at + 1
        bucket_sources[at] = sources[k]
        bucket_targets[at] = targets[k]
        if weights.size:
            bucket_weights[at] = weights[k]


@kernel
def sort_bucket(filled, span, nodes, indptr, indices, values):
    """Order the edges span = (lo, hi) of a bucket by target: a counting sort of nodes = (lo, hi).

    Writes indptr[lo + 1 … hi] and, between span's ends, indices and values.
    """
    sources, targets, weights = filled
    first, last = nodes
    # indptr[t + 1] counts t's edges, then is where they begin, and at last where they end.
    indptr[first + 1 : last + 1] = 0
    for k in range(span[0], span[1]):
        indptr[targets[k] + 1] += 1
    begin = span[0]
    for t in range(first, last):
        count = indptr[t + 1]
        indptr[t + 1] = begin
        begin += count
    for k in range(span[0], span[1]):
        at = indptr[targets[k] + 1]
        indptr[targets[k] + 1] = at + 1
        indices[at] = sources[k]
        if weights.size:
            values[at] = weights[k]


@kernel
def fill_sources(indptr, lo, hi, sources):
    """sources[k] = the row r in lo … hi − 1 with indptr[r] ≤ k < indptr[r + 1]."""
    for r in range(lo, hi):
        for k in range(indptr[r], indptr[r + 1]):
            sources[k] = r


@kernel
def relabel(given, order, rank, rows, moved):
    """Rows rows[0] … rows[1] − 1 of moved = the rows `order` of given, sources s as rank[s].

    given and moved: (indptr, indices, values); indptr of moved is there already.
    """
    indptr, indices, values = given
    new_indptr, new_indices, new_values = moved
    for p in range(rows[0], rows[1]):
        at = new_indptr[p]
        for k in range(indptr[order[p]], indptr[order[p] + 1]):
            new_indices[at] = rank[indices[k]]
            if values.size:
                new_values[at] = values[k]
            at += 1


@kernel
def add_weights(nodes, weights, out):
    """out[nodes[k]] += weights[k], in order of k; without weights, 1."""
    if weights.size:
        for k in range(nodes.size):
            out[nodes[k]] += weights[k]
    else:
        for k in range(nodes.size):
            out[nodes[k]] += 1.0


@kernel
def merge_duplicates(indptr, indices, values):
    """Add up the values of equal neighbouring indices of a row, in place; returns how many remain.

    `indptr` is overwritten with the pointers to what remains, at the front of indices and values.
    """
    at = 0
    begin = indptr[0]
    for r in range(indptr.size - 1):
        end = indptr[r + 1]
        row = at
        for k in range(begin, end):
            if at > row and indices[at - 1] == indices[k]:
                values[at - 1] += values[k]
            else:
                indices[at] = indices[k]
                values[at] = values[k]
                at += 1
        begin = end
        indptr[r + 1] = at
    return at
