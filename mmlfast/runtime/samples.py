"""Two small data sets that scikit-learn carries along: `sample:digits` and `sample:patches`.

Their files are found beside scikit-learn's modules, none of which is imported.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mmlfast.runtime.arrays import open_array
from mmlfast.runtime.sources import Source, batch_rows

__all__ = ["open_sample"]

PATCH_SHAPE = (8, 8, 3)


def open_sample(name: str) -> Source:
    """The sample of that name.

    ``sample:digits`` : 1797 × 64 uint8
        Handwritten digits of 8 × 8 pixels, with values 0 … 16.
    ``sample:patches`` : 265860 × 192 uint8
        All 8 × 8 RGB patches of a photograph, cut out batch by batch: the whole never exists.
    """
    samples = {"sample:digits": _digits, "sample:patches": _patches}
    if name not in samples:
        raise ValueError(f"{name!r} is not a sample; there are {', '.join(samples)}.")
    return samples[name](name)


def _digits(name: str) -> Source:
    with gzip.open(_dataset_file("data", "digits.csv.gz"), "rt") as file:
        X = np.loadtxt(file, delimiter=",", dtype=np.uint8, usecols=range(64))
    return open_array(X, name=name)


def _patches(name: str) -> Source:
    image = _photograph(name)
    windows = np.lib.stride_tricks.sliding_window_view(image, PATCH_SHAPE)[:, :, 0]
    height, width = windows.shape[:2]
    n_features = int(np.prod(PATCH_SHAPE))
    step = max(1, batch_rows(n_features, image.dtype) // width)

    def read() -> Iterator[np.ndarray]:
        for top in range(0, height, step):
            yield windows[top : top + step].reshape(-1, n_features)

    return Source(
        read,
        name=name,
        n_rows=height * width,
        n_features=n_features,
        dtype=image.dtype,
        image_shape=PATCH_SHAPE,
    )


def _photograph(name: str) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f'{name} needs Pillow to read a photograph: pip install "mmlfast[plot]"'
        ) from error
    with Image.open(_dataset_file("images", "china.jpg")) as image:
        return np.asarray(image)


def _dataset_file(*parts: str) -> Path:
    spec = find_spec("sklearn")
    for place in (spec and spec.submodule_search_locations) or ():
        file = Path(place, "datasets", *parts)
        if file.exists():
            return file
    raise FileNotFoundError(
        f"{'/'.join(parts)} is not among the data sets of scikit-learn here. Install it whole: "
        "pip install scikit-learn"
    )
