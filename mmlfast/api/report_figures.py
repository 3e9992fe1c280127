"""What the figures of a PCA report show: charts, pictures and loadings, each as a section."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.report_charts import Chart
from mmlfast.api.report_pictures import component_picture, mean_picture
from mmlfast.api.report_words import (
    count,
    format_number,
    percent,
    section,
    variance_kept,
    variance_ratios,
)

_DOTS = 40
_PICTURES = 30
_SCORES = 5000
_LOADINGS = 5
# A scree whose variances span more than this is read better on a logarithmic axis.
_LOG_SPAN = 50


def scree_section(pca: Any) -> str:
    """Explained variance by component."""
    variances, k = np.asarray(pca.explained_variance_, np.float64), pca.n_components_
    rest = float(pca.noise_variance_) if k < min(pca.n_features_in_, pca.n_samples_) else 0.0
    largest = variances.max(initial=0.0)
    # What lies under the rounding error of the largest says nothing, and would stretch the axis.
    floor = largest * 1e-12
    lowest = min(v for v in (*variances, rest, largest) if v > floor) if largest > 0 else 0.0
    log = largest > _LOG_SPAN * lowest > 0
    chart = Chart(
        f"Scree plot: explained variance of components 1 to {k}, "
        f"from {format_number(largest)} down to {format_number(variances.min(initial=largest))}.",
        x_label="component",
        y_label="explained variance (logarithmic)" if log else "explained variance",
        x_range=(0.5, k + 0.5),
        y_range=(lowest / 1.5, largest * 1.5) if log else (0, largest * 1.06),
        log_y=log,
        whole_x=True,
    )
    if rest > floor:
        chart.mark_y(rest, f"mean of the rest: {format_number(rest)}")
    number = np.arange(1, k + 1)
    chart.line(number, variances)
    if k <= _DOTS:
        ratios = variance_ratios(pca)
        told = [
            f"component {i}: {format_number(v)}, {percent(r)}"
            for i, v, r in zip(number, variances, ratios, strict=True)
        ]
        chart.dots(number, variances, told)
    return section("Scree plot", "Variance along each component.", chart.svg())


def _by_number(
    pca: Any, name: str, y_label: str, y_range: tuple[float, float], *, percent_y: bool = False
) -> Chart:
    """Axes from no component to a little beyond the last."""
    return Chart(
        name,
        x_label=f"number of components (of {pca.n_features_in_})",
        y_label=y_label,
        x_range=(0, 1.04 * pca.n_components_),
        y_range=y_range,
        whole_x=True,
        percent_y=percent_y,
    )


def _draw_by_number(chart: Chart, values: NDArray[np.float64], told: list[str]) -> None:
    number = np.arange(len(values))
    chart.line(number, values)
    if len(number) <= _DOTS:
        chart.dots(number, values, [f"{i}: {text}" for i, text in enumerate(told)])


def cumulative_section(pca: Any) -> str:
    """Variance kept by number of components."""
    k, kept = pca.n_components_, variance_kept(pca)
    shares = np.concatenate([[0.0], np.cumsum(variance_ratios(pca))])
    chart = _by_number(
        pca,
        f"Cumulative variance: {count(k, 'component')} of {pca.n_features_in_}: {percent(kept)}.",
        "variance kept",
        (0, 1.04),
        percent_y=True,
    )
    _draw_by_number(chart, shares, [percent(share) for share in shares])
    chart.mark_x(k, f"{count(k, 'component')}: {percent(kept)}", at_top=False)
    return section(
        "Cumulative variance",
        "Share of the variance that the first components keep.",
        chart.svg(),
    )


def error_section(pca: Any) -> str:
    """Mean squared error of the reconstruction by number of components."""
    errors, k = np.asarray(pca.reconstruction_error_curve(), np.float64), pca.n_components_
    chart = _by_number(
        pca,
        f"Reconstruction error: {format_number(errors[k])} with {count(k, 'component')}, "
        f"{format_number(errors[0])} with the mean alone.",
        "mean squared error",
        (0, errors[0] * 1.06),
    )
    _draw_by_number(chart, errors, [format_number(error) for error in errors])
    chart.mark_x(k, f"{count(k, 'component')}: {format_number(errors[k])}")
    return section(
        "Reconstruction error",
        "Mean squared difference of an entry from its reconstruction"
        f"{', in standard deviations' if pca.standardize else ''}.",
        chart.svg(),
    )


def scatter_section(pca: Any, scores: NDArray[Any] | None) -> str:
    """First scores against second, or the only ones by row; empty without scores."""
    if scores is None or not len(scores):
        return ""
    drawn = np.asarray(scores[:: -(-len(scores) // _SCORES)], np.float64)
    share = [f"{percent(r)} of the variance" for r in variance_ratios(pca)[:2]]
    if drawn.shape[1] > 1:
        x, y, labels = drawn[:, 0], drawn[:, 1], (f"PC1 ({share[0]})", f"PC2 ({share[1]})")
    else:
        x, y, labels = np.arange(float(len(drawn))), drawn[:, 0], ("row drawn", f"PC1 ({share[0]})")
    chart = Chart(
        f"Scatter of {len(drawn)} scores: {labels[0]} across, {labels[1]} upwards.",
        x_label=labels[0],
        y_label=labels[1],
        x_range=_with_margin(x),
        y_range=_with_margin(y),
    )
    chart.zero_lines()
    chart.cloud(x, y)
    of = f" of {pca.n_samples_:,}, evenly spaced" if len(drawn) < pca.n_samples_ else ""
    return section(
        "First scores",
        f"{len(drawn):,} rows{of}, on the first {'two components' if drawn.shape[1] > 1 else ''}"
        f"{'component' if drawn.shape[1] == 1 else ''}{', whitened' if pca.whiten else ''}.",
        chart.svg(),
    )


def _with_margin(values: NDArray[Any]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def pictures_section(pca: Any, image_shape: tuple[int, ...]) -> str:
    """The mean and the components as pictures of that shape."""
    figures = [_figure(mean_picture(pca.mean_, image_shape), "Mean of all rows", "mean")]
    for i, row in enumerate(pca.components_[:_PICTURES]):
        share = percent(variance_ratios(pca)[i])
        figures.append(
            _figure(
                component_picture(row, image_shape),
                f"Component {i + 1}, {share} of the variance",
                f"{i + 1} · {share}",
            )
        )
    colours = (
        "Grey is zero: each component shows the colours that it adds; where they turn to their "
        "opposites it takes away."
        if len(image_shape) == 3 and image_shape[2] == 3
        else "Red is positive, blue negative, white zero; each component to its own largest entry."
    )
    more = pca.n_components_ - _PICTURES
    told = colours + (f" The first {_PICTURES} of {pca.n_components_}." if more > 0 else "")
    return section(
        "Components as pictures", told, f'<div class="pictures">{"".join(figures)}</div>', "long"
    )


def _figure(address: str, alternative: str, caption: str) -> str:
    return (
        f'<figure><img src="{address}" alt="{escape(alternative)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def loadings_section(pca: Any) -> str:
    """The columns that weigh most in each of the first components."""
    names = getattr(pca, "feature_names_in_", None)
    if names is None:
        names = [f"column {j}" for j in range(pca.n_features_in_)]
    rows = []
    for i, component in enumerate(pca.components_[:10]):
        largest = np.argsort(-np.abs(component), kind="stable")[:_LOADINGS]
        words = ", ".join(
            f"{escape(str(names[j]))}&nbsp;{format_number(float(component[j]), 2)}" for j in largest
        )
        rows.append(f"<tr><td>{i + 1}</td><td>{words}</td></tr>")
    return section(
        "Largest loadings",
        "The columns that weigh most in each component; the sign tells which way.",
        '<div class="scroll"><table class="words"><tr><th>Component</th><th>Columns</th></tr>'
        f"{''.join(rows)}</table></div>",
        "long",
    )
