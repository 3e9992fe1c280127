"""`mmlfast rotate`: every kind of file, nothing half-written, every failure one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from mmlfast import rotate_image
from mmlfast.cli_rotate import rotate

COLOURS = np.random.default_rng(0).integers(0, 256, (30, 41, 4)).astype("uint8")
SMOOTH = np.add.outer(3 * np.arange(30), 2 * np.arange(41)).astype("uint8")
PIXELS = {
    "L": COLOURS[..., 0],
    "LA": COLOURS[..., :2],
    "RGB": COLOURS[..., :3],
    "RGBA": COLOURS,
    "I;16": COLOURS[..., 0] * np.uint16(200),
    "F": COLOURS[..., 0].astype("float32"),
}
HELD = [(mode, ending) for ending, modes in {
    "png": ["L", "LA", "RGB", "RGBA", "I;16"], "tiff": list(PIXELS), "bmp": ["L", "RGB"],
}.items() for mode in modes]  # fmt: skip

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(rotate)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMLFAST_DEBUG", raising=False)

    def run(*arguments, status=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result

    return run


def picture(path, mode="RGB", **options):
    image = Image.fromarray(PIXELS[mode])
    assert image.mode == mode
    image.save(path, **options)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize(("mode", "ending"), HELD)
def test_every_mode_stays_what_it_is(run, mode, ending):
    name = picture(f"a.{ending}", mode)
    run(name, "-a", 90, "-o", f"b.{ending}", "--expand")
    with Image.open(f"b.{ending}") as image:
        assert image.mode == mode
    np.testing.assert_array_equal(pixels(f"b.{ending}"), np.rot90(PIXELS[mode]))


def test_big_endian_files(run):
    deep = PIXELS["I;16"]
    Image.frombytes("I;16B", deep.shape[::-1], deep.astype(">u2").tobytes()).save("a.tiff")
    run("a.tiff", "-a", 90, "-o", "b.png", "--expand")
    np.testing.assert_array_equal(pixels("b.png"), np.rot90(deep))


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "webp"])
def test_files_that_lose_a_little(run, ending):
    smooth = np.dstack([SMOOTH] * 3)
    Image.fromarray(smooth).save("a.png")
    run("a.png", "-a", "-90", "-o", f"b.{ending}", "--expand")
    difference = np.abs(pixels(f"b.{ending}").astype(int) - np.rot90(smooth, -1))
    assert difference.mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F"])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"order": 0}, {"order": 3, "mode": "reflect"}, {"expand": True},
        {"mode": "grid-constant", "cval": 100},
    ],
)  # fmt: skip
def test_options_are_those_of_rotate_image(run, mode, options):
    words = [f"--{key}" if value is True else f"--{key}={value}" for key, value in options.items()]
    run(picture("a.tiff", mode), "-a", "-30.5", "--out", "b.tiff", *words)
    np.testing.assert_array_equal(pixels("b.tiff"), rotate_image(PIXELS[mode], -30.5, **options))


def test_arrays_go_in_and_out(run):
    images = np.random.default_rng(0).random((3, 20, 30, 5))
    np.save("a.npy", images)
    run("a.npy", "-a", 30, "-o", "b.npy", "--cval=1,2,3,4,5")
    want = rotate_image(images, 30, cval=[1, 2, 3, 4, 5])
    np.testing.assert_array_equal(np.load("b.npy"), want)
    np.save("grey.npy", COLOURS[..., 0])
    run("grey.npy", "-a", 90, "--expand", "-o", "b.png")
    np.testing.assert_array_equal(pixels("b.png"), np.rot90(COLOURS[..., 0]))
    run(picture("a.png"), "-a", 180, "-o", "c.npy")
    np.testing.assert_array_equal(np.load("c.npy"), COLOURS[::-1, ::-1, :3])


def test_what_is_outside_is_transparent_where_it_can_be(run):
    opaque = np.full((30, 30, 4), 255, "uint8")
    Image.fromarray(opaque).save("a.png")
    run("a.png", "-a", 45, "-o", "b.png")
    assert pixels("b.png")[0, 0].tolist() == [0, 0, 0, 0]
    run("a.png", "-a", 45, "-o", "b.png", "--cval", "9,8,7")
    assert pixels("b.png")[0, 0].tolist() == [9, 8, 7, 255]
    run("a.png", "-a", 45, "-o", "b.png", "--cval", "9")
    assert pixels("b.png")[0, 0].tolist() == [9, 9, 9, 255]
    run("a.png", "-a", 45, "-o", "b.png", "--cval", "9,8,7,6")
    assert pixels("b.png")[0, 0].tolist() == [9, 8, 7, 6]


def test_what_is_said(run):
    picture("a.png")
    told = run("a.png", "-a", 30, "-o", "b.png", "--expand").stdout.splitlines()
    assert told[0].startswith("a.png: 30 × 41 × 3 uint8 → 47 × 51 × 3 in ")
    assert told[1:] == ["image: b.png"]
    assert run("a.png", "-a", 30, "-o", "b.png", "--quiet").output == ""
    result = run("a.png", "-a", 30, "-o", "b.png", "--json", "--threads", 1)
    facts = json.loads(result.stdout)
    assert facts.pop("seconds") > 0
    assert facts == {
        "source": "a.png", "shape": [30, 41, 3], "dtype": "uint8", "colours": "RGB",
        "degrees": 30, "order": 1, "mode": "constant", "result_shape": [30, 41, 3],
        "warnings": [], "outputs": {"image": "b.png"},
    }  # fmt: skip
    assert result.stderr == ""


def test_an_orientation_is_carried_out(run):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.fromarray(np.dstack([SMOOTH] * 3)).save("a.jpg", exif=exif, quality=95)
    run("a.jpg", "-a", 0, "-o", "b.jpg")
    with Image.open("b.jpg") as image:
        assert image.size == (30, 41)
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getexif()[0x010F] == "a camera"


def test_the_profile_and_the_resolution_stay(run):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ("a.png", "a.tiff", "a.jpg"):
        picture(name, icc_profile=profile, dpi=(300, 300))
        out = name.replace("a", "b", 1)
        run(name, "-a", 10, "-o", out)
        with Image.open(out) as image:
            assert image.info["icc_profile"] == profile
            assert round(float(image.info["dpi"][0])) == 300


def gif_like(path, mode):
    Image.fromarray(PIXELS["RGB"]).convert(mode).save(path)


@pytest.mark.parametrize(
    ("make", "name", "mode", "said"),
    [
        (lambda f: gif_like(f, "P"), "a.png", "RGB", "has a palette; it is converted to RGB"),
        (lambda f: gif_like(f, "1"), "a.png", "L", "has one bit a pixel"),
        (lambda f: gif_like(f, "CMYK"), "a.jpg", "RGB", "has mode CMYK"),
        (lambda f: Image.fromarray(PIXELS["RGB"]).convert("P").save(f, transparency=3), "a.png",
         "RGBA", "has a palette; it is converted to RGBA"),
        (lambda f: picture(f, transparency=(1, 2, 3)), "a.png", "RGBA", "transparent colour"),
        (lambda f: picture(f, "L", save_all=True, append_images=[Image.new("L", (9, 9))]),
         "a.tiff", "L", "has 2 frames; only the first"),
    ],
)  # fmt: skip
def test_what_is_converted_is_said(run, make, name, mode, said):
    make(name)
    result = run(name, "-a", 90, "-o", "b.png", "--expand")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    with Image.open("b.png") as image:
        assert image.mode == mode
        assert image.size == (30, 41)


def files():
    return sorted(os.listdir())


def test_the_same_file_is_refused(run):
    picture("a.png")
    before = Path("a.png").read_bytes()
    result = run("a.png", "-a", 30, "-o", "./a.png", status=2)
    assert "--out and SOURCE are the same file" in result.stderr
    assert Path("a.png").read_bytes() == before


def broken(name):
    picture(name)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("make", "arguments", "status", "error"),
    [
        (None, ["a.png", "-a", "30", "-o", "b.png"], 1, "a.png: No such file"),
        (lambda: Path("a.png").write_text("text"), ["a.png", "-a", "30", "-o", "b.png"], 1,
         "a.png is not a readable image"),
        (lambda: broken("a.png"), ["a.png", "-a", "30", "-o", "b.png"], 1, "truncated"),
        (lambda: broken("a.jpg"), ["a.jpg", "-a", "30", "-o", "b.png"], 1, "truncated"),
        (lambda: broken("a.tiff"), ["a.tiff", "-a", "30", "-o", "b.png"], 1, "readable image"),
        (lambda: Path("a.npy").write_text("text"), ["a.npy", "-a", "30", "-o", "b.npy"], 1,
         "a.npy is not a .npy file of numbers"),
        (lambda: np.save("a.npy", np.array([{}])), ["a.npy", "-a", "3", "-o", "b.npy"], 1, "a.npy"),
        (lambda: np.save("a.npy", np.ones(5)), ["a.npy", "-a", "3", "-o", "b.npy"], 1, "H, W"),
        (lambda: np.save("a.npy", np.ones((5, 5))), ["a.npy", "-a", "3", "-o", "b.png"], 1,
         r".png files cannot hold float64 arrays of shape \(5, 5\); write .npy"),
        (lambda: picture("a.png", "RGBA"), ["a.png", "-a", "30", "-o", "b.jpg"], 1,
         ".jpg files cannot hold RGBA images; write .png or .tiff or .webp or .npy"),
        (lambda: picture("a.png"), ["a.png", "-a", "30", "-o", "no/b.png"], 1, "does not exist"),
        (lambda: picture("a.png"), ["a.png", "-a", "30", "-o", "b.gif"], 2, "must end in .png"),
        (lambda: picture("a.png"), ["a.gif", "-a", "30", "-o", "b.png"], 2, "must end in .png"),
        (lambda: picture("a.png"), ["a.png", "-a", "nan", "-o", "b.png"], 1, "must be finite"),
        (lambda: picture("a.png"), ["a.png", "-a", "x", "-o", "b.png"], 2, "Invalid value for"),
        (lambda: picture("a.png"), ["a.png", "-o", "b.png"], 2, "Missing option"),
        (lambda: picture("a.png"), ["a.png", "-a", "30"], 2, "Missing option"),
        (lambda: picture("a.png"), ["a.png", "-a", "3", "-o", "b.png", "--order", "2"], 2,
         "must be 0"),
        (lambda: picture("a.png"), ["a.png", "-a", "3", "-o", "b.png", "--mode", "x"], 2,
         "must be one of constant"),
        (lambda: picture("a.png"), ["a.png", "-a", "3", "-o", "b.png", "--cval", "red"], 2,
         "must be a number"),
        (lambda: picture("a.png"), ["a.png", "-a", "3", "-o", "b.png", "--cval", "999"], 1,
         "cval must be a whole number from 0 to 255"),
        (lambda: picture("a.png"), ["a.png", "-a", "3", "-o", "b.png", "--cval", "1,2"], 1,
         "3 numbers"),
    ],
)  # fmt: skip
def test_failures_are_told_and_leave_nothing(run, make, arguments, status, error):
    if make is not None:
        make()
    before = files()
    result = run(*arguments, status=status)
    assert re.search(error, result.stderr)
    if status == 1:
        assert len(result.stderr.splitlines()) == 1
    assert files() == before


def test_a_bomb_is_refused(run, monkeypatch):
    picture("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    result = run("a.png", "-a", 30, "-o", "b.png", status=1)
    assert "decompression bomb" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert files() == ["a.png"]


def test_a_failing_writer_leaves_what_was_there(run, monkeypatch):
    picture("a.png")
    picture("b.png", "L")
    before = Path("b.png").read_bytes()

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert "no space left" in run("a.png", "-a", 30, "-o", "b.png", status=1).stderr
    assert Path("b.png").read_bytes() == before
    assert files() == ["a.png", "b.png"]
