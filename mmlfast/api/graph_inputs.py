"""What holds a graph: matrices, arrays, tables, files, networkx graphs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from mmlfast.api.in_edges import real_numbers
from mmlfast.api.networkx_graphs import edges_of_networkx, is_networkx
from mmlfast.runtime.edges import Edges, Labels, edges_of_arrays, edges_of_table


def read_graph(A: Any, weight: str | None) -> Any:
    """`A`, whatever `mmlfast.Graph` takes, as edges or as a square sparse matrix."""
    if isinstance(A, Edges):
        return A
    if isinstance(A, str) and A.startswith("sample:"):
        from mmlfast.runtime.imports import sample_edges

        return sample_edges(A)
    if isinstance(A, str | os.PathLike):
        return _read_file(Path(A), weight)
    if isinstance(A, tuple):
        if len(A) not in (2, 3):
            raise ValueError(
                f"a tuple must hold source and target, and perhaps weight; got {len(A)} entries. "
                "Pass a matrix as an array or a list."
            )
        return edges_of_arrays(*(A[:2] if weight is None else A))
    if is_networkx(A):
        return edges_of_networkx(A, weight)
    if hasattr(type(A), "columns") or hasattr(A, "__arrow_c_stream__"):
        return edges_of_table(A, weight=weight)
    return _as_square(A, weight)


def _read_file(path: Path, weight: str | None) -> Any:
    from mmlfast.runtime.edge_files import read_edges

    name = path.name.lower()
    if path.is_file() and name.endswith(".npz"):
        return _as_square(scipy.sparse.load_npz(path), weight, str(path))
    if path.is_file() and name.endswith((".mtx", ".mtx.gz")):
        from scipy.io import mmread

        return _as_square(mmread(path, spmatrix=False), weight, str(path))
    return read_edges(path, weight=weight)


def checked_labels(labels: Any, own: Labels | None, n_nodes: int) -> Labels | None:
    """The labels given or, without such, those that the graph brought."""
    if labels is None:
        return own
    if own is not None:
        raise ValueError("labels are given, but the nodes of A have labels of their own.")
    labels = labels if isinstance(labels, np.ndarray) else list(labels)
    if len(labels) != n_nodes or getattr(labels, "ndim", 1) != 1:
        raise ValueError(f"labels must be {n_nodes}, one for each node; got {len(labels)}.")
    try:
        different = len(set(labels if isinstance(labels, list) else labels.tolist()))
    except TypeError as error:
        raise TypeError(f"labels must be hashable: {error}.") from error
    if different < n_nodes:
        raise ValueError(f"labels must differ; only {different} of {n_nodes} do.")
    return labels


def _as_square(A: Any, weight: str | None, name: str = "A") -> Any:
    """A square sparse matrix of real numbers, from a sparse or dense one."""
    if not scipy.sparse.issparse(A):
        if np.ma.is_masked(A):
            raise ValueError(f"{name} has masked entries. Fill them first, with {name}.filled(0).")
        A = np.asarray(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(
            f"{name} must be a square matrix, with a row and a column for each node; got shape "
            f"{A.shape}. Pass (source, target) for a list of edges."
        )
    real_numbers(np.empty(0, A.dtype), name)
    if not scipy.sparse.issparse(A):
        # scipy has no sparse matrices of halves, nor of swapped bytes.
        A = scipy.sparse.csr_array(A.astype(np.float64 if A.dtype.kind == "f" else A.dtype))
    return A if weight is not None else A.astype(bool)
