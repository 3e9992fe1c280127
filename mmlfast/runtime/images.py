"""Image files: pixels in, pixels out, and what a picture carries besides them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.atomic import atomic_open, atomic_path

__all__ = ["IMAGE_ENDINGS", "Picture", "mode_of", "read_picture", "require_holds", "write_picture"]

# What a file of each ending can hold, in Pillow's names of modes.
_HOLDS = {
    ".png": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".jpg": ("L", "RGB"),
    ".jpeg": ("L", "RGB"),
    ".tif": ("L", "LA", "RGB", "RGBA", "I;16", "F"),
    ".tiff": ("L", "LA", "RGB", "RGBA", "I;16", "F"),
    ".bmp": ("L", "RGB"),
    ".webp": ("L", "LA", "RGB", "RGBA"),
}
IMAGE_ENDINGS = (*_HOLDS, ".npy")
_QUALITY = 95  # of JPEG and WebP, which lose a little
_CARRIED = ("icc_profile", "dpi", "exif")


class Picture(NamedTuple):
    """Pixels (H, W) or (H, W, C), Pillow's mode, None for an array, and what else to keep."""

    pixels: NDArray[Any]
    mode: str | None
    carried: dict[str, Any]


def mode_of(pixels: NDArray[Any]) -> str | None:
    """Pillow's mode for an array of this shape and dtype; None where there is none."""
    if pixels.dtype == np.uint8 and pixels.ndim == 3:
        return {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(pixels.shape[2])
    if pixels.ndim == 2:
        return {"uint8": "L", "uint16": "I;16", "float32": "F"}.get(pixels.dtype.name)
    return None


def require_holds(path: str | os.PathLike[str], picture: Picture) -> None:
    """ValueError if a file of this name cannot hold such a picture.

    Parameters
    ----------
    path : path-like
        The file to be written.
    picture : Picture
    """
    ending, mode = Path(path).suffix.lower(), picture.mode or mode_of(picture.pixels)
    if ending == ".npy" or mode in _HOLDS[ending]:
        return
    pixels = picture.pixels
    what = f"{mode} images" if mode else f"{pixels.dtype} arrays of shape {pixels.shape}"
    others = [e for e, modes in _HOLDS.items() if mode in modes and e not in (".jpeg", ".tif")]
    raise ValueError(f"{ending} files cannot hold {what}; write {' or '.join([*others, '.npy'])}.")


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """The picture in a file, upright, or the array in a `.npy` file.

    L, LA, RGB, RGBA, I;16 and F come as they are.  What Pillow keeps otherwise (palettes, one bit,
    CMYK, a transparent colour) is converted to the nearest of these, with a warning.  An EXIF
    orientation is carried out and removed.  Of several frames the first is read, with a warning.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Picture

    Raises
    ------
    OSError
        The file is missing, not an image, or truncated.
    ValueError
        It holds what has no counterpart among the modes above, or far too many pixels.
    ImportError
        An image, without Pillow.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast.runtime.images import read_picture
    >>> np.save("dark.npy", np.zeros((3, 4), "uint8"))
    >>> read_picture("dark.npy").pixels.shape
    (3, 4)
    """
    if Path(path).suffix.lower() == ".npy":
        try:
            return Picture(np.load(path, allow_pickle=False), None, {})
        except (ValueError, EOFError) as error:
            raise ValueError(f"{os.fspath(path)} is not a .npy file of numbers: {error}") from error
    pillow = _pillow(path)
    try:
        with pillow.Image.open(path) as opened:
            frames, deep = getattr(opened, "n_frames", 1), _is_deep(opened)
            image = pillow.ImageOps.exif_transpose(opened)
            image.load()
    except pillow.Image.DecompressionBombError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error
    except (SyntaxError, EOFError, OSError) as error:
        # Pillow says little: "broken PNG file", "image file is truncated (0 bytes not processed)".
        if isinstance(error, OSError) and (error.filename or isinstance(error, FileNotFoundError)):
            raise
        raise OSError(f"{os.fspath(path)} is not a readable image: {error}") from error
    if frames > 1:
        _warn(f"{os.fspath(path)} has {frames} frames; only the first is read.")
    image = _in_known_mode(image, path)
    if deep and image.mode in ("RGB", "RGBA", "LA"):
        _warn(f"{os.fspath(path)} has 16 bits a channel; Pillow reads 8 of them.")
    carried = {key: image.info[key] for key in _CARRIED if image.info.get(key)}
    pixels = np.asarray(image)
    mode = "I;16" if pixels.dtype.kind == "u" and pixels.itemsize == 2 else image.mode
    return Picture(pixels.astype(pixels.dtype.newbyteorder("="), copy=False), mode, carried)


def write_picture(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture in the format of the path's ending; the file is whole or absent.

    Parameters
    ----------
    path : path-like
        Ends in one of ``IMAGE_ENDINGS``; the folder must exist.
    picture : Picture
        For other endings than ``.npy`` such as `require_holds` lets pass.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending == ".npy":
        with atomic_open(path) as file:
            np.save(file, picture.pixels)
        return
    pixels = picture.pixels
    image = _pillow(path).Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    options = dict(picture.carried)
    if ending in (".tif", ".tiff"):
        options.pop("exif", None)
    if ending in (".jpg", ".jpeg", ".webp"):
        options["quality"] = _QUALITY
    with atomic_path(path) as temporary:
        image.save(temporary, **options)


def _pillow(path: str | os.PathLike[str]) -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError(
            f'{os.fspath(path)} needs Pillow: pip install "mmlfast[images]", or use .npy'
        ) from error
    return PIL


def _is_deep(opened: Any) -> bool:
    """Whether the file keeps 16 bits a channel: Pillow has no mode for that but grey."""
    return any("16" in str(part) for tile in opened.tile for part in tile[3:])


def _in_known_mode(image: Any, path: str | os.PathLike[str]) -> Any:
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" in image.info:
        known, had = mode + "A", f"{mode} with a transparent colour"
    elif mode in ("L", "LA", "RGB", "RGBA", "F") or mode.startswith("I;16"):
        return image
    elif mode == "1":
        known, had = "L", "one bit a pixel"
    elif mode in ("P", "PA", "La", "RGBa"):
        known = "LA" if mode == "La" else "RGBA" if image.has_transparency_data else "RGB"
        had = "a palette" if mode in ("P", "PA") else f"mode {mode}"
    elif mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        known, had = "RGB", f"mode {mode}"
    else:
        raise ValueError(
            f"{os.fspath(path)} has mode {mode}; grey (8 or 16 bits, or float32), RGB and RGBA "
            "images are read. Convert it first."
        )
    _warn(f"{os.fspath(path)} has {had}; it is converted to {known}.")
    return image.convert(known)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
