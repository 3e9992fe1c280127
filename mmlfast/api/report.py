"""A fitted PCA told in one self-contained web page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.report_figures import (
    cumulative_section,
    error_section,
    loadings_section,
    pictures_section,
    scatter_section,
    scree_section,
)
from mmlfast.api.report_pictures import can_be_pictures
from mmlfast.api.report_words import (
    count,
    duration,
    format_number,
    percent,
    section,
    times,
    variance_kept,
    variance_ratios,
)
from mmlfast.runtime.atomic import atomic_open

if TYPE_CHECKING:
    from mmlfast.api.comparison import Comparison

_TABLE_ROWS = 20
_TABLE_ROWS_FOLDED = 200


def write_report(
    path: str | os.PathLike[str],
    pca: Any,
    *,
    source: str = "X",
    dtype: Any = None,
    seconds: float | None = None,
    scores: NDArray[Any] | None = None,
    image_shape: tuple[int, ...] | None = None,
    notes: Sequence[str] = (),
    comparison: Comparison | None = None,
) -> Path:
    """One HTML page that shows what a fitted PCA found; it needs no other file and no network.

    The page has the facts of the fit, the scree plot, the variance kept and the reconstruction
    error by number of components, a scatter of the first scores, the components as pictures or
    their largest loadings, and a table of the explained variance.  It follows the reader's
    light or dark setting and prints well.

    Parameters
    ----------
    path : path-like
        A file that ends in ``.html``, or a folder that gets an ``index.html``.  Folders are made
        where they are missing.  The file appears only when it is whole.
    pca : PCA
        Fitted.
    source : str, default="X"
        Name of the data.
    dtype : dtype, default=None
        How the data are stored; left out where None.
    seconds : float, default=None
        Time that the fit took; left out where None.
    scores : array of shape (n, n_components), default=None
        Transformed rows for the scatter, all of them or a sample; of more than 5000 rows, evenly
        spaced ones are drawn.
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, 3)`` where a row is a picture: then the components
        are shown as pictures.
    notes : sequence of str, default=()
        Warnings that came with the fit.
    comparison : Comparison, default=None
        From :func:`mmlfast.api.comparison.compare_with_sklearn`.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        `pca` is not fitted.
    OSError
        The file cannot be written; nothing is left of it.

    Examples
    --------
    >>> import tempfile
    >>> import mmlfast
    >>> from sklearn.datasets import load_digits
    >>> from mmlfast.api.report import write_report
    >>> X = load_digits().data
    >>> pca = mmlfast.PCA(10).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(
    ...         folder, pca, source="digits", scores=pca.transform(X), image_shape=(8, 8)
    ...     )
    ...     page.name
    'index.html'
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(pca)
    pictures = image_shape if can_be_pictures(image_shape, pca.n_features_in_) else None
    named = hasattr(pca, "feature_names_in_")
    body = (
        _heading(pca, source),
        _facts(pca, dtype, seconds),
        _notes(notes),
        '<div class="pair">',
        scree_section(pca),
        cumulative_section(pca),
        scatter_section(pca, scores),
        error_section(pca),
        "</div>",
        pictures_section(pca, pictures) if pictures else "",
        loadings_section(pca) if named or not pictures else "",
        _comparison(comparison, seconds),
        _table(pca),
        _method(pca, seconds),
    )
    file = report_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_open(file, "w") as page:
        page.write(_page(f"Principal components of {source}", body))
    return file


def report_file(path: str | os.PathLike[str]) -> Path:
    """The file that `write_report` writes for `path`."""
    return Path(path) if Path(path).suffix.lower() == ".html" else Path(path) / "index.html"


def _page(title: str, body: Iterable[str]) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    parts = "\n".join(part for part in body if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{parts}\n</body>\n</html>\n"
    )


def _heading(pca: Any, source: str) -> str:
    k, d = pca.n_components_, pca.n_features_in_
    return (
        f"<header><h1>Principal components of {escape(source)}</h1>"
        f'<p class="lead">{count(k, "component")} of {d} '
        f"{'keeps' if k == 1 else 'keep'} {percent(variance_kept(pca))} of the variance"
        f"{' of the standardised columns' if pca.standardize else ''}.</p></header>"
    )


def _facts(pca: Any, dtype: Any, seconds: float | None) -> str:
    facts = [
        ("Rows", f"{pca.n_samples_:,}"),
        ("Columns", f"{pca.n_features_in_:,}"),
        ("Stored as", None if dtype is None else str(np.dtype(dtype))),
        ("Solver", str(pca.solver_)),
        ("Components", f"{pca.n_components_:,}"),
        ("Variance kept", percent(variance_kept(pca))),
        ("Passes", f"{pca.n_passes_}"),
        ("Time", None if seconds is None else duration(seconds)),
    ]
    cells = (f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts if v is not None)
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>'


def _comparison(comparison: Comparison | None, seconds: float | None) -> str:
    if comparison is None:
        return ""
    rows = [
        ("mmlfast, reading and fitting", None if seconds is None else duration(seconds)),
        ("scikit-learn, fitting", duration(comparison.seconds)),
        ("scikit-learn, reading the matrix into memory", duration(comparison.reading_seconds)),
        ("Largest relative difference of explained variances", comparison.variance_difference),
        ("Largest difference of component entries, up to sign", comparison.component_difference),
        ("Largest angle between the subspaces (radians)", comparison.largest_angle),
    ]
    cells = "".join(
        f"<tr><td>{name}</td><td>{v if isinstance(v, str) else format_number(v, 2)}</td></tr>"
        for name, v in rows
        if v is not None
    )
    told = (
        f"scikit-learn {comparison.version}, solver {comparison.solver}, on the same data; "
        f"{count(comparison.n_compared, 'component')} compared."
    )
    return section("Beside scikit-learn", escape(told), f"<table>{cells}</table>")


def _table(pca: Any) -> str:
    ratios = variance_ratios(pca)
    largest, sums = ratios.max(initial=0.0) or 1.0, np.cumsum(ratios)
    rows = [
        f"<tr><td>{i + 1}</td><td>{format_number(float(variance), zeros=True)}</td>"
        f"<td>{percent(ratio)}</td><td>{percent(sums[i])}</td>"
        f'<td><span class="bar" style="width:{100 * ratio / largest:.2f}%"></span></td></tr>'
        for i, (variance, ratio) in enumerate(
            zip(pca.explained_variance_[:_TABLE_ROWS_FOLDED], ratios, strict=False)
        )
    ]
    content = _variance_rows(rows[:_TABLE_ROWS])
    if len(rows) > _TABLE_ROWS:
        left = len(ratios) - len(rows)
        content += (
            f"<details><summary>Components {_TABLE_ROWS + 1} to {len(rows)}</summary>"
            f"{_variance_rows(rows[_TABLE_ROWS:])}</details>"
            + (f"<p>… and {left:,} more.</p>" if left > 0 else "")
        )
    return section("Explained variance", "", content, "long")


def _variance_rows(rows: list[str]) -> str:
    return (
        '<div class="scroll"><table class="variances"><thead><tr><th>Component</th>'
        "<th>Explained variance</th><th>Ratio</th><th>Cumulative</th><th>&nbsp;</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _method(pca: Any, seconds: float | None) -> str:
    from mmlfast import __version__

    today = date.today()
    took = "" if seconds is None else f" in {duration(seconds)}"
    why = escape(str(pca.why_solver_).rstrip("."))
    how = (
        f"Solver <code>{escape(str(pca.solver_))}</code>: {why}. "
        f"The data were read {times(pca.n_passes_)}{took}."
    )
    return (
        f"<footer><p>{how}</p><p>mmlfast {escape(__version__)}, "
        f'<time datetime="{today.isoformat()}">{today.day} {today:%B %Y}</time></p></footer>'
    )
