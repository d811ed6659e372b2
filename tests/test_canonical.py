"""lakegate/canonical.py: one byte sequence per value."""

import hashlib

import pytest

from lakegate.canonical import canonical_json, exact_json, sha256_bytes, sha256_file


def test_the_order_of_keys_does_not_change_the_bytes():
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == canonical_json({"a": {"c": 3, "d": 2}, "b": 1})


def test_floats_are_rounded_to_three_decimals_and_never_negative_zero():
    assert canonical_json([0.12349, -0.0001, 2.0]) == b"[\n 0.123,\n 0.0,\n 2.0\n]\n"


def test_integers_and_booleans_stay_what_they_are():
    assert canonical_json([1, True, None]) == b"[\n 1,\n true,\n null\n]\n"


def test_letters_beyond_ascii_are_readable_in_the_file():
    assert "Blutplättchen".encode() in canonical_json({"label": "Blutplättchen"})


def test_exact_json_keeps_every_digit():
    assert exact_json({"loss": 0.12345678901}) == b'{\n "loss": 0.12345678901\n}\n'


@pytest.mark.parametrize("write", [canonical_json, exact_json])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_json_does_not_have_are_refused(write, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write({"loss": value})


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 5000
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    assert sha256_file(path) == sha256_bytes(data) == hashlib.sha256(data).hexdigest()
