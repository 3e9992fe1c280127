"""The command: `mmlfast pca | transform | pagerank | rotate | warmup | doctor`.

Results go to stdout, warnings and errors to stderr, one line each.  The exit status is 0; 1 for a
failure with its reason; 2 for wrong usage; 130 when interrupted.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from mmap import mmap
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from mmlfast import cli_options
from mmlfast.cli_manners import (
    named,
    require_apart,
    require_outputs,
    tells_failures,
    wants_progress,
    warnings_told,
)
from mmlfast.cli_pagerank import pagerank
from mmlfast.cli_rotate import rotate
from mmlfast.cli_text import facts_text, json_text, mapping_text, outputs_text

app = typer.Typer(
    name="mmlfast",
    help="The mathematics of machine learning, compiled.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SCATTER_ROWS = 5000


def main() -> None:
    """Run the command; the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show "×" gets "?" instead of a failure.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # Ends like an interrupt: what is half-written is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    app()


def _print_version(asked: bool) -> None:
    if asked:
        from mmlfast import __version__

        print(f"mmlfast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@app.command(no_args_is_help=True)
@tells_failures
def pca(
    source: cli_options.Source,
    components: cli_options.Components,
    out: cli_options.OptionalScores = None,
    model: cli_options.Model = None,
    report: cli_options.Report = None,
    standardize: cli_options.Standardize = False,
    whiten: cli_options.Whiten = False,
    memory: cli_options.Memory = None,
    threads: cli_options.Threads = None,
    compare: cli_options.Compare = False,
    json: cli_options.Json = False,
    quiet: cli_options.Quiet = False,
) -> None:
    """Find the principal components of SOURCE, read block by block."""
    from mmlfast.api.report import report_file, write_report

    page = None if report is None else report_file(report)
    require_apart(source, {"--out": out, "--model": model, "--report": page})
    require_outputs(out, model, page)

    from mmlfast import PCA, config_context
    from mmlfast.runtime.memory import peak_bytes
    from mmlfast.runtime.sources import open_source

    with ExitStack() as stack:
        notes = stack.enter_context(warnings_told(quiet))
        stack.enter_context(config_context(n_threads=threads))
        start = perf_counter()
        data = stack.enter_context(open_source(source))
        fitted = PCA(
            components,
            whiten=whiten,
            standardize=standardize,
            memory_budget=memory,
            progress=wants_progress(quiet or json),
        ).fit(data)
        seconds = perf_counter() - start
        _warn_of_low_rank(fitted)
        if model is not None:
            fitted.save(model)
        sample = _stream_scores(fitted, data, out, wants_sample=page is not None)
        peak, mapped = peak_bytes(), _mapped_bytes(data.array)
        comparison = _compare(fitted, data, threads) if compare else None

    if page is not None:
        write_report(
            page,
            fitted,
            source=data.name,
            dtype=data.dtype,
            seconds=seconds,
            scores=sample,
            image_shape=data.image_shape,
            notes=notes,
            comparison=comparison,
        )
    facts = {
        "source": data.name,
        "shape": [fitted.n_samples_, fitted.n_features_in_],
        "dtype": str(data.dtype),
        "n_components": fitted.n_components_,
        "rank": fitted.rank_,
        "solver": fitted.solver_,
        "why": fitted.why_solver_,
        "passes": fitted.n_passes_,
        "seconds": seconds,
        "peak_memory_bytes": peak,
        "mapped_file_bytes": mapped,
        "explained_variance": fitted.explained_variance_.tolist(),
        "explained_variance_ratio": fitted.explained_variance_ratio_.tolist(),
        "comparison": None if comparison is None else comparison._asdict(),
        "warnings": notes,
        "outputs": named(scores=out, model=model, report=page),
    }
    if json:
        print(json_text(facts))
    elif not quiet:
        print(facts_text(facts))


@app.command(no_args_is_help=True)
@tells_failures
def transform(
    model: cli_options.SavedModel,
    source: cli_options.Source,
    out: cli_options.Scores,
    threads: cli_options.Threads = None,
    json: cli_options.Json = False,
    quiet: cli_options.Quiet = False,
) -> None:
    """Project SOURCE on the components of a saved model, block by block."""
    require_apart(source, {"MODEL": model, "--out": out})
    require_outputs(out)

    from mmlfast import PCA, config_context
    from mmlfast.runtime.sources import open_source

    with warnings_told(quiet) as notes, config_context(n_threads=threads):
        start = perf_counter()
        fitted = PCA.load(model)
        with open_source(source) as data:
            n_rows = _write_scores(fitted, data, out, wants_progress(quiet or json))
        seconds = perf_counter() - start
    facts = {
        "source": data.name,
        "shape": [n_rows, fitted.n_components_],
        "seconds": seconds,
        "warnings": notes,
        "outputs": named(scores=out),
    }
    if json:
        print(json_text(facts))
    elif not quiet:
        print(f"{data.name}: {n_rows:,} × {fitted.n_components_} scores in {seconds:.3g} s")
        print(outputs_text(facts["outputs"]))


app.command(no_args_is_help=True)(pagerank)
app.command(no_args_is_help=True)(rotate)


@app.command()
@tells_failures
def warmup(quiet: cli_options.Quiet = False) -> None:
    """Compile the kernels now, so that later first calls are quick."""
    from mmlfast.api.warmup import warm_up

    start = perf_counter()
    cache = warm_up(progress=wants_progress(quiet))
    if not quiet:
        compiled = {"compiled for": cache.pop("dtypes"), "seconds": perf_counter() - start}
        print(mapping_text({**compiled, "cache": cache}))


@app.command()
@tells_failures
def doctor(json: cli_options.Json = False) -> None:
    """Tell versions, CPU, threads and their limits, memory, and the cache of compiled kernels."""
    from mmlfast.runtime.doctor import examine

    found = examine()
    print(json_text(found) if json else mapping_text(found))


def _warn_of_low_rank(fitted: Any) -> None:
    k, rank = fitted.n_components_, fitted.rank_
    # With whiten the estimator itself warns: there it changes the scores.
    if rank < k and not fitted.whiten:
        warnings.warn(
            f"{k - rank} of {k} components lie below the numerical rank ({rank}): their variance "
            f"is rounding error. Give -k {rank} to leave them out.",
            stacklevel=2,
        )


def _stream_scores(fitted: Any, data: Any, out: Path | None, *, wants_sample: bool) -> Any:
    """Write the scores to `out`; return a few of them for a picture where wanted."""
    from mmlfast.runtime.sampling import RowSample

    if not wants_sample:
        if out is not None:
            _write_scores(fitted, data, out, fitted.progress)
        return None
    sample = RowSample(fitted.n_samples_, _SCATTER_ROWS, n_columns=2)
    if out is None and data.array is not None:
        return fitted.transform(data.array[:: sample.step])
    if out is not None:
        _write_scores(fitted, data, out, fitted.progress, sample.take)
    else:
        for block in fitted.iter_transform(data):
            sample.take(block)
    return sample.rows()


def _write_scores(
    fitted: Any, data: Any, out: Path, progress: bool, also: Callable[[Any], None] | None = None
) -> int:
    """Write the scores block by block, hand each block to `also`, return the number of rows."""
    from mmlfast.runtime.progress import Progress
    from mmlfast.runtime.sinks import open_sink

    with (
        open_sink(out, fitted.get_feature_names_out()) as sink,
        Progress(progress, data.n_rows, "scores") as shown,
    ):
        for block in fitted.iter_transform(data):
            sink.write(block)
            if also is not None:
                also(block)
            shown.advance(len(block))
    return sink.n_rows


def _mapped_bytes(array: Any) -> int:
    """Bytes of a mapped file: its pages count as memory of the process but can be given up."""
    while array is not None and not isinstance(array, mmap):
        array = getattr(array, "base", None)
    return 0 if array is None else len(array)


def _compare(fitted: Any, data: Any, threads: int | None) -> Any:
    from threadpoolctl import threadpool_limits

    from mmlfast.api.comparison import compare_with_sklearn

    with threadpool_limits(threads):
        return compare_with_sklearn(fitted, data)
