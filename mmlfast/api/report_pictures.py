"""Rows of pixels as small PNG pictures inside a page."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

__all__ = ["can_be_pictures", "component_picture", "mean_picture"]

_LARGEST_SIDE = 160
# Blue, pale, red: evenly bright on both sides of zero, and apart for colour-blind eyes.
_STOPS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
_COLOURS = np.array(
    [(33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43)], float
)


def can_be_pictures(image_shape: tuple[int, ...] | None, n_features: int) -> bool:
    """Whether a row of `n_features` numbers is a grey or an RGB picture of that shape."""
    if image_shape is None or len(image_shape) not in (2, 3):
        return False
    channels = image_shape[2] if len(image_shape) == 3 else 1
    return channels in (1, 3) and int(np.prod(image_shape)) == n_features


def component_picture(component: np.ndarray, image_shape: tuple[int, ...]) -> str:
    """A direction as the address of a PNG: zero is the middle, the largest entry full colour.

    Parameters
    ----------
    component : array of shape (n_features,)
    image_shape : (height, width), (height, width, 1) or (height, width, 3)
        One channel is shown from blue (negative) over white to red; three as the colours that
        they are, around grey.

    Returns
    -------
    address : str
        ``data:image/png;base64,…``
    """
    pixels = _pixels(component, image_shape)
    largest = np.abs(pixels).max(initial=0.0)
    signed = pixels / largest if largest > 0 else pixels
    if pixels.shape[2] == 3:
        return _address(127.5 + 127.5 * signed)
    colours = [np.interp(signed[:, :, 0], _STOPS, channel) for channel in _COLOURS.T]
    return _address(np.stack(colours, axis=2))


def mean_picture(mean: np.ndarray, image_shape: tuple[int, ...]) -> str:
    """A mean row as the address of a PNG: bytes and fractions as they are, others from min to max.

    Parameters
    ----------
    mean : array of shape (n_features,)
    image_shape : (height, width), (height, width, 1) or (height, width, 3)

    Returns
    -------
    address : str
        ``data:image/png;base64,…``
    """
    pixels = _pixels(mean, image_shape)
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.shape[2] == 3 and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scaled = (pixels - low) * (255 / (high - low)) if high > low else np.full_like(pixels, 127.5)
    return _address(np.broadcast_to(scaled, (*pixels.shape[:2], 3)))


def _pixels(row: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    height, width = image_shape[:2]
    pixels = np.asarray(row, np.float64).reshape(height, width, -1)
    step = -(-max(height, width) // _LARGEST_SIDE)
    return pixels[::step, ::step]


def _address(colours: np.ndarray) -> str:
    png = _png(np.round(colours).astype(np.uint8))
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(pixels: np.ndarray) -> bytes:
    """The (height, width, 3) bytes as a PNG file: 8-bit RGB, no filter."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
