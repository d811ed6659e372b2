"""A JSON file is read piece by piece, and what is no JSON is refused as the standard library refuses it."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.formats import json_stream
from lakegate.formats.json_stream import ListBegins, iterate_members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def gathered(path) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in iterate_members(path):
        if value is ListBegins:
            found[key] = []
        elif isinstance(found.get(key), list):
            found[key].append(value)
        else:
            found[key] = value
    return found


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=6), st.sampled_from([1, 2, 7, 1000]), st.sampled_from([None, 1]))
@settings(max_examples=80, deadline=None)
def test_pieces_of_any_length_give_what_the_whole_file_holds(tmp_path_factory, content, piece, indent):
    path = tmp_path_factory.getbasetemp() / "content.json"
    path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    before, json_stream.PIECE_CHARS = json_stream.PIECE_CHARS, piece
    try:
        assert gathered(path) == content
    finally:
        json_stream.PIECE_CHARS = before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_usual_encodings_are_read(tmp_path, encoding):
    (tmp_path / "a.json").write_text('{"ä": [1, 2]}', encoding=encoding)
    assert gathered(tmp_path / "a.json") == {"ä": [1, 2]}


def test_an_outermost_list_has_the_empty_name(tmp_path):
    (tmp_path / "a.json").write_text(" [1, {}] ")
    assert gathered(tmp_path / "a.json") == {"": [1, {}]}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[", "[1,]", "{,}", '{"a" 1}', '{"a": }', '{"a": 1,}', '{"a": 1} x', "{1: 2}", '{"a": [1 2]}', '{"a": [1', "1"],
)
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="at character"):
        gathered(tmp_path / "a.json")


def test_bytes_that_are_no_text_and_lists_nested_without_end_are_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff\xfe"}')
    (tmp_path / "b.json").write_text('{"a": ' + "[" * 200_000)
    for name in ("a.json", "b.json"):
        with pytest.raises(ValueError, match=r"decode|nested too deeply"):
            gathered(tmp_path / name)


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for number in (20_000, 80_000):
        path = tmp_path / f"{number}.json"
        path.write_text('{"items": [' + ", ".join('{"id": 1, "text": "%s"}' % ("x" * 100) for _ in range(number)) + "]}")
        tracemalloc.start()
        assert sum(1 for _ in iterate_members(path)) == number + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], peaks
