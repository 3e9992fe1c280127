"""The page is whole, self-contained, well-formed and says what the PCA found."""

from __future__ import annotations

import base64
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import mmlfast
from mmlfast.api.comparison import Comparison
from mmlfast.api.report import report_file, write_report
from mmlfast.api.report_charts import Chart
from mmlfast.api.report_pictures import can_be_pictures, component_picture, mean_picture
from mmlfast.api.report_words import duration, format_number, percent

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page and fails on a tag that is not closed in its place."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def find(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def page_of(folder, pca, **facts):
    return Page(write_report(folder, pca, **facts).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def X():
    return load_digits().data


@pytest.fixture(scope="module")
def pca(X):
    return mmlfast.PCA(10).fit(X)


def test_it_tells_what_was_found(tmp_path, pca, X):
    page = page_of(
        tmp_path, pca, source="digits.npy", dtype=X.dtype, seconds=1.25, scores=pca.transform(X)
    )
    kept = percent(pca.explained_variance_ratio_.sum())
    for said in (
        "Principal components of digits.npy",
        f"10 components of 64 keep {kept} of the variance",
        "1,797",
        "float64",
        "1.25 s",
        "Scree plot",
        "Cumulative variance",
        "Reconstruction error",
        "First scores",
        "Largest loadings",
        format_number(pca.explained_variance_[0], zeros=True),
        pca.solver_,
        " ".join(pca.why_solver_.split()),
        f"mmlfast {mmlfast.__version__}",
    ):
        assert said in page.text
    assert len(page.find("svg")) == 4
    assert all(chart["aria-label"] for chart in page.find("svg"))


def test_it_needs_nothing_from_outside(tmp_path, pca, X):
    file = write_report(tmp_path, pca, scores=pca.transform(X), image_shape=(8, 8))
    html = file.read_text(encoding="utf-8")
    embedded = re.compile(r"data:image/png;base64,[\w+/=]+")
    assert all(embedded.fullmatch(picture["src"]) for picture in Page(html).find("img"))
    outside = re.findall(r"https?:|//|@import|url\(|<script|<link", embedded.sub("", html))
    assert outside == []


def test_a_folder_gets_an_index_and_a_file_its_name(tmp_path, pca):
    assert write_report(tmp_path / "a" / "b", pca) == tmp_path / "a" / "b" / "index.html"
    assert write_report(tmp_path / "page.html", pca) == tmp_path / "page.html"
    assert report_file("x/page.HTML").name == "page.HTML"
    assert os.listdir(tmp_path / "a" / "b") == ["index.html"]


def test_names_are_escaped(tmp_path, X):
    columns = [f"<script>{j}&</script>" for j in range(3)]
    frame = pytest.importorskip("pandas").DataFrame(X[:, 20:23], columns=columns)
    pca = mmlfast.PCA(2).fit(frame)
    page = page_of(tmp_path, pca, source="<b>&", notes=["<i>low</i>"])
    assert not page.find("script") + page.find("b") + page.find("i")
    for said in ("<b>&", "<i>low</i>", "<script>1&</script>"):
        assert said in page.text


@pytest.mark.parametrize(("shape", "n_pictures"), [((8, 8), 11), ((8, 8, 1), 11), ((4, 4), 0)])
def test_pictures_where_rows_are_pictures(tmp_path, pca, shape, n_pictures):
    pictures = page_of(tmp_path, pca, image_shape=shape).find("img")
    assert len(pictures) == n_pictures
    assert all(picture["alt"] for picture in pictures)


def test_colour_pictures(tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (50, 4 * 4 * 3), dtype=np.uint8)
    page = page_of(tmp_path, mmlfast.PCA(40).fit(X), image_shape=(4, 4, 3))
    assert len(page.find("img")) == 31
    assert "The first 30 of 40." in page.text
    assert "Components 21 to 40" in page.text


@pytest.mark.parametrize("n_components", [1, 2, 64])
def test_few_and_all_components(tmp_path, X, n_components):
    pca = mmlfast.PCA(n_components).fit(X)
    page = page_of(tmp_path, pca, scores=pca.transform(X))
    assert len(page.find("svg")) == 4
    assert ("PC2" in page.text) == (n_components > 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_data_without_variance(tmp_path):
    pca = mmlfast.PCA(2).fit(np.ones((5, 3)))
    page = page_of(tmp_path, pca, scores=pca.transform(np.ones((5, 3))))
    assert "nan" not in "".join(str(attributes) for _, attributes in page.tags)


def test_many_scores_are_thinned(tmp_path, X):
    pca = mmlfast.PCA(2).fit(np.tile(X, (4, 1)))
    page = page_of(tmp_path, pca, scores=pca.transform(np.tile(X, (4, 1))))
    assert "3,594 rows of 7,188, evenly spaced" in page.text


def test_standardized_and_whitened_are_said(tmp_path, X):
    pca = mmlfast.PCA(3, standardize=True, whiten=True).fit(X[:, 20:30])
    page = page_of(tmp_path, pca, scores=pca.transform(X[:, 20:30]))
    assert "of the standardised columns" in page.text
    assert "whitened" in page.text


def test_a_comparison_is_shown(tmp_path, pca):
    rival = Comparison("9.9", "full", 10, 10, 0.5, 1.5, 1e-9, 2e-8, 3e-7)
    page = page_of(tmp_path, pca, seconds=0.5, comparison=rival)
    assert "scikit-learn 9.9, solver full" in page.text
    assert "10⁻⁹" in page.text


def test_what_is_not_fitted_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(NotFittedError):
        write_report(tmp_path / "report", mmlfast.PCA(2))
    assert os.listdir(tmp_path) == []


def test_signs_are_told_apart_in_grey_and_colour():
    component = np.array([1.0, 0.0, -1.0, 0.5])
    grey = pixels_of(component_picture(component, (2, 2)))
    np.testing.assert_array_equal(grey[0, 0], (178, 24, 43))
    np.testing.assert_array_equal(grey[0, 1], (247, 247, 247))
    np.testing.assert_array_equal(grey[1, 0], (33, 102, 172))
    colour = pixels_of(component_picture(np.repeat(component, 3), (2, 2, 3)))
    np.testing.assert_array_equal(colour[:, :, 0], [[255, 128], [0, 191]])


def test_a_mean_of_bytes_keeps_its_brightness():
    mean = np.array([10.0, 20, 30] * 4)
    assert pixels_of(mean_picture(mean, (2, 2, 3)))[1, 1].tolist() == [10, 20, 30]
    assert pixels_of(mean_picture(mean / 255, (2, 2, 3)))[1, 1].tolist() == [10, 20, 30]
    assert np.ptp(pixels_of(mean_picture(np.array([3.0, 4, 5, 16]), (2, 2)))) == 255
    assert np.ptp(pixels_of(mean_picture(np.ones(4), (2, 2)))) == 0


def test_large_pictures_are_thinned():
    assert max(pixels_of(component_picture(np.ones(400 * 300), (400, 300))).shape) <= 160


@pytest.mark.parametrize(
    ("shape", "n_features", "possible"),
    [
        ((8, 8), 64, True),
        ((8, 8, 3), 192, True),
        ((8, 8, 2), 128, False),
        ((8, 8), 65, False),
        ((64,), 64, False),
        (None, 64, False),
    ],
)
def test_which_shapes_are_pictures(shape, n_features, possible):
    assert can_be_pictures(shape, n_features) == possible


def pixels_of(address):
    image = pytest.importorskip("PIL.Image")
    import io

    png = base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(image.open(io.BytesIO(png)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.3456, "12.35"),
        (-0.5, "−0.5"),
        (123456.0, "123456"),
        (1e6, "10⁶"),
        (-2.5e-7, "−2.5 × 10⁻⁷"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.5, "50.0%"),
        (0.9999, "99.99%"),
        (0.003, "0.30%"),
        (1e-9, "1.0 × 10⁻⁷%"),
    ],
)
def test_percentages_never_round_up_to_all(fraction, text):
    assert percent(fraction) == text


def test_durations():
    assert [duration(s) for s in (0.0123, 1.5, 250.4)] == ["12.3 ms", "1.5 s", "250 s"]


@pytest.mark.parametrize("log", [False, True])
def test_a_chart_keeps_everything_inside_the_picture(log):
    chart = Chart("all", x_label="x", y_label="y", x_range=(0, 10), y_range=(1e-3, 1e4), log_y=log)
    chart.line(np.arange(11), np.logspace(-9, 4, 11))
    chart.mark_x(9.9, "far")
    chart.mark_y(1e-9, "low")
    page = Page(chart.svg())
    x, y = np.array([p.split(",") for p in page.find("polyline")[0]["points"].split()], float).T
    assert x.min() >= 0
    assert x.max() <= 560
    assert y.min() >= 0
    assert y.max() <= 340


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e300])
def test_a_chart_of_one_value_has_axes(value):
    chart = Chart("one", x_label="x", y_label="y", x_range=(value, value), y_range=(value, value))
    chart.line(np.array([value]), np.array([value]))
    assert "nan" not in chart.svg()
