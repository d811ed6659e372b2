"""Perceptual hashes compared by faiss, against a comparison of every pair."""

import numpy as np
import pytest

from lakegate.quality import duplicates
from lakegate.quality.duplicates import hash_array, nearest_in, nearest_other


def clustered(n, seed, groups=30, flip=0.08):
    """Return hashes as real pictures give them: around a few middles, some of them equal."""
    random = np.random.default_rng(seed)
    middle_G64 = random.integers(0, 2, (groups, 64))
    bits_N64 = middle_G64[random.integers(0, groups, n)] ^ (random.random((n, 64)) < flip)
    return np.packbits(bits_N64.astype(np.uint8), axis=1)


def distances(queries, known):
    return np.unpackbits(queries[:, None, :] ^ known[None, :, :], axis=2).sum(axis=2).astype(int)


@pytest.mark.parametrize("max_bits", range(9))
@pytest.mark.parametrize("is_flat", [True, False])
def test_nothing_within_the_limit_is_missed_and_the_nearest_is_named(monkeypatch, max_bits, is_flat):
    monkeypatch.setattr(duplicates, "FLAT_UP_TO", 10_000 if is_flat else 10)
    queries, known = clustered(300, 1), clustered(400, 2)
    known[:200:20] = queries[:200:20]
    found, all_bits = nearest_in(queries, known, max_bits), distances(queries, known)
    assert ((found.index >= 0) == (all_bits.min(axis=1) <= max_bits)).all()
    near = found.index >= 0
    assert (all_bits[near, found.index[near]] == all_bits[near].min(axis=1)).all()
    assert (found.bits[near] == all_bits[near].min(axis=1)).all()


@pytest.mark.parametrize("is_flat", [True, False])
def test_the_nearest_other_is_never_the_row_itself_and_equal_hashes_find_each_other(monkeypatch, is_flat):
    monkeypatch.setattr(duplicates, "FLAT_UP_TO", 10_000 if is_flat else 10)
    hashes = clustered(300, 3)
    hashes[10], hashes[20] = hashes[5], hashes[5]
    found, all_bits = nearest_other(hashes, 4), distances(hashes, hashes)
    np.fill_diagonal(all_bits, 65)
    assert ((found.index >= 0) == (all_bits.min(axis=1) <= 4)).all()
    near = np.flatnonzero(found.index >= 0)
    assert (found.index[near] != near).all()
    assert (all_bits[near, found.index[near]] == found.bits[near]).all()
    assert found.bits[[5, 10, 20]].tolist() == [0, 0, 0]


def test_one_hash_has_no_other_and_none_is_no_error():
    assert nearest_other(hash_array(["00" * 8]), 4).index.tolist() == [-1]
    assert nearest_other(hash_array([]), 4).index.tolist() == []
    assert nearest_in(hash_array(["ff" * 8]), hash_array([]), 4).index.tolist() == [-1]


def test_many_equal_hashes_are_compared_once():
    hashes = np.repeat(hash_array(["0123456789abcdef"]), 50_000, axis=0)
    found = nearest_other(hashes, 4)
    assert (found.bits == 0).all() and (found.index >= 0).all()
