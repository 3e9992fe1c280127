"""Edges from arrays, frames and files: the same numbers and labels, read by Arrow or by line."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.runtime import imports
from mmlfast.runtime.edge_files import read_edges
from mmlfast.runtime.edges import (
    Edges,
    edges_of_arrays,
    edges_of_columns,
    edges_of_table,
)


def listed(edges: Edges) -> list[tuple]:
    """(source label, target label, weight) of each edge."""
    labels = range(edges.n_nodes) if edges.labels is None else edges.labels
    weights = [None] * len(edges.sources) if edges.weights is None else edges.weights.tolist()
    ends = zip(edges.sources.tolist(), edges.targets.tolist(), weights, strict=True)
    return [(labels[s], labels[t], w) for s, t, w in ends]


@pytest.fixture(params=["arrow", "by line"])
def reader(request, monkeypatch):
    """Whether Arrow is there to read text."""
    if request.param == "arrow":
        pytest.importorskip("pyarrow")
    else:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return request.param


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", ">i4"])
def test_node_numbers(dtype):
    edges = edges_of_arrays(np.array([0, 5], dtype), np.array([2, 0], dtype), [1, 2])
    assert edges.n_nodes == 6
    assert edges.labels is None
    assert edges.sources.dtype == edges.targets.dtype == np.int32
    assert listed(edges) == [(0, 2, 1), (5, 0, 2)]


@pytest.mark.parametrize(
    ("source", "target", "labels"),
    [
        (["b", "a"], ["a", "c"], ["b", "a", "c"]),
        (np.array(["b", "a"]), np.array(["a", "c"]), ["b", "a", "c"]),
        ([1, "1"], ["1", 2.5], [1, "1", 2.5]),
        ([(0, 1), (0, 2)], [(0, 2), (5,)], [(0, 1), (0, 2), (5,)]),
        ([True, False], [False, False], [True, False]),
    ],
)
def test_labels_are_numbered_as_they_appear(source, target, labels):
    edges = edges_of_arrays(source, target)
    assert edges.labels == labels
    assert [row[:2] for row in listed(edges)] == list(zip(source, target, strict=True))


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=30),
    st.sampled_from([1, 10**6, 2**55]),
    st.sampled_from([0, -(2**40), 10**9]),
)
def test_integer_columns_are_compacted_in_rising_order(pairs, factor, offset):
    ends = np.array(pairs, np.int64).reshape(-1, 2) * factor + offset
    edges = edges_of_columns(ends[:, 0], ends[:, 1], None)
    assert [row[:2] for row in listed(edges)] == [tuple(row) for row in ends.tolist()]
    labels = range(edges.n_nodes) if edges.labels is None else list(edges.labels)
    assert list(labels) == sorted(set(ends.ravel().tolist()))


def test_integers_that_no_common_dtype_holds():
    source, target = np.array([2**64 - 1], np.uint64), np.array([-1], np.int64)
    assert listed(edges_of_columns(source, target, None)) == [(2**64 - 1, -1, None)]
    small = np.array([-128, 127], np.int8)
    assert listed(edges_of_columns(small, small[::-1], None)) == [
        (-128, 127, None),
        (127, -128, None),
    ]
    large = np.array([2**63, 2**63 + 1], np.uint64)
    assert listed(edges_of_columns(large, large, None))[0][0] == 2**63


def test_both_ways_keeps_loops_single():
    edges = edges_of_arrays([0, 1, 1], [1, 1, 0], [1.0, 2.0, 3.0]).both_ways()
    assert sorted(listed(edges)) == [(0, 1, 1), (0, 1, 3), (1, 0, 1), (1, 0, 3), (1, 1, 2)]


def frames(columns):
    yield pytest.importorskip("pandas").DataFrame(columns)
    yield pytest.importorskip("polars").DataFrame(columns)
    yield pytest.importorskip("pyarrow").table(columns)


def test_columns_by_name_or_place():
    for frame in frames({"w": [5, 6], "dst": [3, 1], "src": [1, 2]}):
        assert listed(edges_of_table(frame)) == [(1, 3, None), (2, 1, None)]
        assert listed(edges_of_table(frame, weight="w")) == [(1, 3, 5), (2, 1, 6)]
    for frame in frames({"follower": ["x"], "followed": ["y"], "year": [1999]}):
        assert listed(edges_of_table(frame)) == [("x", "y", None)]
    for frame in frames({"A": [1.0], "B": [7.0], "Weight": [0.5]}):
        assert listed(edges_of_table(frame)) == [(1, 7, 0.5)]
        assert listed(edges_of_table(frame, weight=None)) == [(1, 7, None)]


def test_frames_that_are_refused():
    for frame in frames({"source": ["a", None], "target": ["b", "c"]}):
        with pytest.raises(ValueError, match=r"row 1 \(from 0\) has no value in column 'source'"):
            edges_of_table(frame)
    for wrong in (0.5, np.inf, 1e300):
        for frame in frames({"source": [wrong], "target": [1.0]}):
            with pytest.raises(TypeError, match="column 'source' holds fractions"):
                edges_of_table(frame)
    for frame in frames({"source": ["a"], "target": ["b"], "weight": ["heavy"]}):
        with pytest.raises(TypeError, match="weights in column 'weight' must be numbers"):
            edges_of_table(frame)
    for frame in frames({"source": ["a"]}):
        with pytest.raises(ValueError, match=r"must have a column of sources.*\['source'\]"):
            edges_of_table(frame)
    for frame in frames({"source": ["a"], "target": ["b"]}):
        with pytest.raises(ValueError, match=r"weight must name a column.*got 'cost'"):
            edges_of_table(frame, weight="cost")


TEXTS = {
    "commas": ("a.csv", "source,target,weight\n1,2,0.5\n3,1,2\n"),
    "no names": ("a.csv", "1,2,0.5\n3,1,2\n"),
    "other order": ("a.csv", "weight,target,source\n0.5,2,1\n2,1,3\n"),
    "quoted": ("a.csv", '"source","target","weight"\n"1","2","0.5"\n"3","1","2"\n'),
    "semicolons": ("a.csv", "from;to;weight\r\n1;2;0.5\r\n3;1;2\r\n"),
    "tabs": ("a.tsv", "# a graph\n# FromNodeId\tToNodeId\n1\t2\t0.5\n3\t1\t2"),
    "spaces": ("a.txt", "%% comment\n\n1 2 0.5\n3 1 2\n"),
    "many spaces": ("a.txt", "  1   2  0.5\n 3 1\t 2  \n"),
    "comments between": ("a.edges", "1 2 0.5\n# more 1 2\n\n3 1 2\n"),
    "byte order mark": ("a.csv", "\ufeffsource,target,weight\n1,2,.5\n3,1,2e0\n"),
    "padded": ("a.csv", "source, target, weight\n1, 2, 0.5\n3, 1, 2\n"),
    "named by numbers": ("a.csv", "who,whom,weight\n1,2,0.5\n3,1,2\n"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_integers(reader, kind, tmp_path):
    name, text = TEXTS[kind]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8", newline="")
    expected = [(1, 2, 0.5), (3, 1, 2)]
    edges = read_edges(file)
    assert listed(edges) == expected
    assert list(edges.labels) == [1, 2, 3]
    assert listed(read_edges(file, weight=None)) == [(1, 2, None), (3, 1, None)]
    with gzip.open(f"{file}.gz", "wt", encoding="utf-8", newline="") as packed:
        packed.write(text)
    assert listed(read_edges(f"{file}.gz")) == expected


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("source,target\nb,a\na,NA\n", [("b", "a"), ("a", "NA")]),
        ("b,a\na,c\n", [("b", "a"), ("a", "c")]),
        ("src,dst\n1,2\n2,x\n", [("1", "2"), ("2", "x")]),
        ("1,a\n2,b\n", [("1", "a"), ("2", "b")]),
        ("#one,#two\n#two,#one\n", [("#one", "#two"), ("#two", "#one")]),
        ('"x, y",z\n z ,"x, y"\n', [("x, y", "z"), ("z", "x, y")]),
        ("1_0,2\n10,2\n", [("1_0", "2"), ("10", "2")]),
        ("2020-01-01,true\nfalse,1.5\n", [("2020-01-01", "true"), ("false", "1.5")]),
        ("99999999999999999999,1\n", [("99999999999999999999", "1")]),
        ("ä,ß\n", [("ä", "ß")]),
    ],
)
def test_text_of_labels(reader, text, edges, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(text, encoding="utf-8")
    assert [row[:2] for row in listed(read_edges(file))] == edges


def test_a_file_without_edges(reader, tmp_path):
    for text in ("", "# nothing\n", "source,target\n"):
        (tmp_path / "a.csv").write_text(text)
        assert read_edges(tmp_path / "a.csv").n_nodes == 0


def test_numbers_without_gaps_need_no_labels(reader, tmp_path):
    (tmp_path / "a.txt").write_text("0 1\n2 0\n")
    assert read_edges(tmp_path / "a.txt").labels is None


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.csv", b"a,b\nc\n", "line 2 lacks a source, target or weight: 'c'"),
        ("a.csv", b"1,2\n3,\n", "line 2 lacks"),
        ("a.csv", b"1,2,3\n1,2,\n", "line 2 lacks"),
        ("a.txt", b"# x\nalone\n", "line 2 must have a source and a target.*'alone'"),
        ("a.csv", b"\xff\xfe\x00\x01\n", "cannot be read as text.*starts with"),
        ("a.csv.gz", b"not packed", "cannot be read as text"),
        ("a.xyz", b"1,2\n", r"the ending must be .csv.*got '.xyz'"),
        ("a.parquet", b"nothing of the sort", "cannot be read as Parquet"),
    ],
)
def test_files_that_are_refused(name, content, error, tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=error):
        read_edges(tmp_path / name)


def test_weights_in_text_that_are_no_numbers(reader, tmp_path):
    (tmp_path / "a.csv").write_text("source,target,weight\n1,2,heavy\n")
    with pytest.raises(TypeError, match="weights in column 'weight' must be numbers"):
        read_edges(tmp_path / "a.csv")


def test_parquet_file_and_folder(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    for i in range(2):
        table = pa.table({"x": [1], "source": [f"a{i}"], "target": ["b"], "weight": [i + 1.5]})
        write_table(table, tmp_path / f"{i}.parquet")
    assert listed(read_edges(tmp_path / "1.parquet")) == [("a1", "b", 2.5)]
    assert listed(read_edges(tmp_path)) == [("a0", "b", 1.5), ("a1", "b", 2.5)]


SOURCE = '''
"""import not_this"""
import os, sys  # import nor_this
from . import sibling
from .sibling import (
    name,  # a comment
    other as renamed,
)
text = 'import neither' + "\\" import nor this" + r"""from x import y"""
if text: import json.decoder as decoder; from xml import dom
def f():
    yield from g()
    raise ValueError from None
    import importlib, \\
        abc
self_import = important = reimport = None
'''


def test_imports_of_a_module(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    known = {"os", "sys", "pkg", "pkg.sibling", "json", "json.decoder", "xml", "xml.dom", "abc"}
    known |= {"importlib", "not_this", "nor_this", "neither", "nor", "x", "x.y"}
    found = set(imports._imported(file, "pkg.module", known))
    assert found == {
        "os", "sys", "pkg.sibling", "json.decoder", "xml.dom", "importlib", "abc",
    }  # fmt: skip


def test_imports_are_those_that_the_parser_finds():
    import ast
    import tokenize

    files = dict(imports._files())
    known = files.keys() | sys.stdlib_module_names
    for module in ("argparse", "asyncio", "collections", "os", "typing", "unittest.mock", "re"):
        file = files.get(module) or files[f"{module}.__init__"]
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        with tokenize.open(file) as opened:
            tree = ast.parse(opened.read())
        wanted = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imports._names(ast.unparse(node), package):
                    while name and name not in known:
                        name = name.rpartition(".")[0]
                    wanted |= {name} - {""}
        assert set(imports._imported(file, module, known)) == wanted, module


def test_the_sample_is_the_same_each_time_and_imports_nothing():
    before = set(sys.modules)
    one, other = imports.sample_edges("sample:imports"), imports.sample_edges("sample:imports")
    assert listed(one) == listed(other)
    assert one.labels == sorted(one.labels)
    assert len(set(listed(one))) == len(one.sources)
    assert set(sys.modules) == before
