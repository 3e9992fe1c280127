"""The arguments and options of the command: their names, their help, what they accept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmlfast.runtime.memory import parse_bytes
from mmlfast.runtime.sinks import SINK_ENDINGS


def _components(text: str) -> int | float | str:
    if text == "mle":
        return text
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number >= 1 and number.is_integer() and "." not in text:
        return int(number)
    if 0 < number < 1:
        return number
    raise typer.BadParameter(
        f"must be a number of components such as 50, a share of the variance such as 0.95, "
        f"or mle; got {text!r}."
    )


def _memory(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _scores_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in SINK_ENDINGS:
        raise typer.BadParameter(f"must end in {' or '.join(SINK_ENDINGS)}; got {path.name!r}.")
    return path


def _model_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".npz":
        raise typer.BadParameter(f"must end in .npz; got {path.name!r}.")
    return path


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A .npy, .npz, .csv or .parquet file, a folder of .parquet files, "
        "sample:digits or sample:patches.",
        show_default=False,
    ),
]
SavedModel = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A model saved by `mmlfast pca --model`.", show_default=False
    ),
]
Components = Annotated[
    Any,
    typer.Option(
        "-k",
        "--components",
        metavar="N|FRACTION|mle",
        parser=_components,
        help="How many components: a number such as 50, a share of the variance such as 0.95, "
        "or mle.",
        show_default=False,
    ),
]
_scores = typer.Option(
    "--out", metavar="FILE", callback=_scores_file, help="Write the scores: .npy or .parquet."
)
Scores = Annotated[Path, _scores]
OptionalScores = Annotated[Path | None, _scores]
Model = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=_model_file, help="Save the fitted model: .npz."),
]
Report = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write a web page, DIR/index.html.")
]
Standardize = Annotated[
    bool, typer.Option("--standardize", help="Divide each column by its standard deviation.")
]
Whiten = Annotated[bool, typer.Option("--whiten", help="Scale the scores to unit variance.")]
Memory = Annotated[
    Any,
    typer.Option(
        metavar="SIZE", parser=_memory, help="Keep to this much memory: 2GB, 512MiB, 1.5e9."
    ),
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Threads to use; all CPUs by default.")
]
Compare = Annotated[
    bool, typer.Option("--compare", help="Run scikit-learn on the same data as well.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the facts as one JSON object instead of text.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on success.")]
