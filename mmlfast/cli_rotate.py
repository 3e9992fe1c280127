"""`mmlfast rotate`: an image file turned about its centre."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmlfast import cli_options
from mmlfast.api.borders import EXTENSIONS
from mmlfast.api.warping import TAPS
from mmlfast.cli_manners import named, require_apart, tells_failures, warnings_told
from mmlfast.cli_text import json_text, outputs_text
from mmlfast.runtime.images import IMAGE_ENDINGS

if TYPE_CHECKING:
    import numpy as np

    from mmlfast.runtime.images import Picture


def _image_file(path: Path) -> Path:
    if path.suffix.lower() not in IMAGE_ENDINGS:
        raise typer.BadParameter(
            f"must end in {', '.join(IMAGE_ENDINGS[:-1])} or {IMAGE_ENDINGS[-1]}; "
            f"got {path.name!r}."
        )
    return path


def _order(number: int) -> int:
    if number not in TAPS:
        raise typer.BadParameter(f"must be 0 (nearest), 1 (linear) or 3 (cubic); got {number}.")
    return number


def _mode(name: str) -> str:
    if name not in EXTENSIONS:
        raise typer.BadParameter(f"must be one of {_NAMES}; got {name!r}.")
    return name


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"must be a number such as 255, or one for each channel such as 255,255,255; "
            f"got {text!r}."
        ) from None


_NAMES = ", ".join(EXTENSIONS)
_Source = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGE",
        callback=_image_file,
        help="A PNG, JPEG, TIFF, BMP or WebP file, or an array in a .npy file.",
        show_default=False,
    ),
]
_Angle = Annotated[
    float,
    typer.Option("-a", "--angle", metavar="DEGREES", help="Counter-clockwise.", show_default=False),
]
_Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="FILE", callback=_image_file,
        help="Write the turned image; the ending tells the format.", show_default=False,
    ),
]  # fmt: skip
_Order = Annotated[
    int,
    typer.Option(metavar="0|1|3", callback=_order, help="0 nearest pixel, 1 linear, 3 cubic."),
]
_Mode = Annotated[
    str,
    typer.Option(metavar="NAME", callback=_mode, help=f"What lies outside: {_NAMES}."),
]
_Cval = Annotated[
    Any,
    typer.Option(
        metavar="N[,N…]",
        parser=_numbers,
        help="The colour outside, with --mode constant or grid-constant; 0 by default, and "
        "transparent where the image can be.",
        show_default=False,
    ),
]
_Expand = Annotated[
    bool, typer.Option("--expand", help="Make the output large enough for the whole image.")
]


@tells_failures
def rotate(
    source: _Source,
    angle: _Angle,
    out: _Out,
    order: _Order = 1,
    mode: _Mode = "constant",
    cval: _Cval = None,
    expand: _Expand = False,
    threads: cli_options.Threads = None,
    json: cli_options.Json = False,
    quiet: cli_options.Quiet = False,
) -> None:
    """Turn IMAGE about its centre, keeping its depth, its channels and its colour profile."""
    from mmlfast import config_context
    from mmlfast.runtime.atomic import require_writable
    from mmlfast.runtime.images import mode_of, read_picture, require_holds, write_picture

    require_apart(str(source), {"--out": out})
    require_writable(out)
    with warnings_told(quiet) as notes, config_context(n_threads=threads):
        picture = read_picture(source)
        require_holds(out, picture)
        start = perf_counter()
        pixels = _turned(picture, angle, order=order, mode=mode, cval=cval, expand=expand)
        seconds = perf_counter() - start
        write_picture(out, picture._replace(pixels=pixels))
    facts = {
        "source": str(source),
        "shape": list(picture.pixels.shape),
        "dtype": str(picture.pixels.dtype),
        "colours": picture.mode or mode_of(picture.pixels),
        "degrees": angle,
        "order": order,
        "mode": mode,
        "result_shape": list(pixels.shape),
        "seconds": seconds,
        "warnings": notes,
        "outputs": named(image=out),
    }
    if json:
        print(json_text(facts))
    elif not quiet:
        before, after = (" × ".join(map(str, a.shape)) for a in (picture.pixels, pixels))
        print(f"{source}: {before} {pixels.dtype} → {after} in {seconds:.3g} s")
        print(outputs_text(facts["outputs"]))


def _turned(
    picture: Picture, degrees: float, *, cval: list[float] | None, **options: Any
) -> np.ndarray:
    from mmlfast.api.images import rotate_image, rotate_transparent

    transparent = picture.mode in ("LA", "RGBA")
    if cval is None:
        fill: Any = 0
    else:
        channels = picture.pixels.shape[2] if picture.pixels.ndim > 2 else 1
        colours = channels - transparent
        fill = cval * colours if len(cval) == 1 else cval
        if transparent and len(fill) == colours:
            fill = [*fill, 255]
    turn = rotate_transparent if transparent else rotate_image
    return turn(picture.pixels, degrees, cval=fill, **options)
