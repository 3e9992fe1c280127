"""`mmlfast pagerank`: which nodes of a graph matter most."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmlfast import cli_options
from mmlfast.cli_manners import named, require_apart, tells_failures, warnings_told
from mmlfast.cli_text import json_text, outputs_text

if TYPE_CHECKING:
    from mmlfast.api.graph import Graph
    from mmlfast.api.pagerank import PageRank

ENDINGS = (".csv", ".parquet", ".npy")
METHODS = ("auto", "power", "gauss_seidel", "anderson", "cg")


def _ranks_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"must end in {', '.join(ENDINGS)}; got {path.name!r}.")
    return path


def _method(text: str) -> str:
    if text not in METHODS:
        raise typer.BadParameter(f"must be one of {', '.join(METHODS)}; got {text!r}.")
    return text


GraphSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A list of edges in a .csv, .tsv, .txt (also .gz) or .parquet file: source, target "
        "and perhaps weight; a sparse matrix in .npz or .mtx; or sample:imports.",
        show_default=False,
    ),
]
Top = Annotated[int, typer.Option(metavar="N", min=0, help="How many nodes to print.")]
Damping = Annotated[float, typer.Option(metavar="ALPHA", help="The share of steps along edges.")]
Tol = Annotated[float, typer.Option(metavar="TOL", help="Bound on the total error of the scores.")]
MaxIter = Annotated[int, typer.Option(metavar="N", min=1, help="Most sweeps over all edges.")]
Method = Annotated[
    str, typer.Option(metavar="METHOD", callback=_method, help=f"One of {', '.join(METHODS)}.")
]
Undirected = Annotated[
    bool, typer.Option("--undirected", help="Each edge goes in both directions.")
]
Unweighted = Annotated[bool, typer.Option("--unweighted", help="Ignore weights.")]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=_ranks_file, help="Write all scores: .csv, .parquet or .npy."
    ),
]


@tells_failures
def pagerank(
    source: GraphSource,
    top: Top = 20,
    damping: Damping = 0.85,
    tol: Tol = 1e-10,
    max_iter: MaxIter = 1000,
    method: Method = "auto",
    undirected: Undirected = False,
    unweighted: Unweighted = False,
    out: Out = None,
    threads: cli_options.Threads = None,
    json: cli_options.Json = False,
    quiet: cli_options.Quiet = False,
) -> None:
    """Rank the nodes of a graph by PageRank, to a known error."""
    from mmlfast.runtime.atomic import require_writable

    require_apart(source, {"--out": out})
    if out is not None:
        require_writable(out)

    from mmlfast.api.graph import Graph
    from mmlfast.api.pagerank import pagerank as rank
    from mmlfast.runtime.threads import config_context

    with warnings_told(quiet) as notes, config_context(n_threads=threads):
        start = perf_counter()
        graph = Graph(source, weight=None if unweighted else "weight", directed=not undirected)
        reading = perf_counter() - start
        if graph.n_nodes == 0:
            raise ValueError(f"{source} has no edges.")
        found = rank(graph, damping=damping, tol=tol, max_iter=max_iter, method=method)  # type: ignore[arg-type]
        seconds = perf_counter() - start - reading
        if out is not None:
            _write(out, found)
    facts = _facts(source, graph, found, top)
    facts |= {
        "reading_seconds": reading,
        "seconds": seconds,
        "warnings": notes,
        "outputs": named(scores=out),
    }
    if json:
        print(json_text(facts))
    elif not quiet:
        print(_text(facts))


def _facts(source: str, graph: Graph, found: PageRank, top: int) -> dict[str, Any]:
    return {
        "source": source,
        "nodes": graph.n_nodes,
        "edges": graph.n_edges,
        "dangling": graph.n_dangling,
        "weighted": graph.is_weighted,
        "damping": found.damping,
        "method": found.method,
        "why": found.why,
        "sweeps": found.n_iter,
        "error_bound": found.error_bound,
        "converged": found.converged,
        "top": [{"node": node, "score": score} for node, score in found.top(top)],
    }


def _text(facts: dict[str, Any]) -> str:
    rows = [(str(row["node"]), row["score"]) for row in facts["top"]]
    width = max([4, *(len(node) for node, _ in rows)])
    table = [f"{'rank':>6}  {'node':<{width}}  {'score':>12}"]
    table += [f"{i:>6}  {node:<{width}}  {score:>12.6g}" for i, (node, score) in enumerate(rows, 1)]
    sweeps = f"{facts['sweeps']} sweep{'' if facts['sweeps'] == 1 else 's'}"
    parts = [
        "\n".join(table) if rows else "",
        f"{facts['source']}: {facts['nodes']:,} nodes, {facts['edges']:,} "
        f"{'weighted ' if facts['weighted'] else ''}edges, {facts['dangling']:,} dangling\n"
        f"{facts['method']}: {facts['why']}; {sweeps}, total error at most "
        f"{facts['error_bound']:.2g}\n"
        f"{facts['reading_seconds']:.3g} s to read, {facts['seconds']:.3g} s to rank",
        outputs_text(facts["outputs"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _write(path: Path, found: PageRank) -> None:
    """All scores, in order of the nodes; `.npy` holds the scores alone."""
    import numpy as np

    from mmlfast.runtime.atomic import atomic_open, atomic_path

    nodes = list(found.to_dict())
    ending = path.suffix.lower()
    if ending == ".npy":
        with atomic_open(path) as file:
            np.save(file, found.scores)
    elif ending == ".csv":
        import csv

        with atomic_open(path, "w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["node", "score"])
            writer.writerows(zip(nodes, found.scores.tolist(), strict=True))
    else:
        from mmlfast.runtime.arrow import require_pyarrow

        pa = require_pyarrow(str(path))
        from pyarrow.parquet import write_table

        with atomic_path(path) as temporary:
            write_table(pa.table({"node": nodes, "score": found.scores}), temporary)
