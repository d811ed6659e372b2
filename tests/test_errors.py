"""lakegate/errors.py: one tree, caught by meaning."""

import inspect

import pytest

from lakegate import errors
from lakegate.errors import (
    BadInput,
    ChecksumMismatch,
    LakegateError,
    ServerBusy,
    ServiceUnavailable,
    UnknownName,
    VersionNotFound,
    WandbUnavailable,
    nearest,
)

ALL_ERRORS = [item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__]


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_every_error_belongs_to_the_tree_and_says_what_it_means(error):
    assert issubclass(error, LakegateError)
    assert error.__doc__


def test_only_what_can_heal_is_transient():
    heals = {ServiceUnavailable, ChecksumMismatch, ServerBusy, WandbUnavailable}
    assert {error for error in ALL_ERRORS if error.is_transient} == heals


def test_a_missing_version_is_caught_as_an_unknown_name():
    assert issubclass(VersionNotFound, UnknownName)
    assert issubclass(UnknownName, BadInput)


def test_the_nearest_word_is_offered():
    assert nearest("lables", ["labels", "task"]) == "; did you mean 'labels'?"


def test_all_words_are_listed_where_none_is_near():
    assert nearest("xyz", ["task", "labels"]) == "; known: labels, task"


def test_it_is_said_where_nothing_is_known():
    assert nearest("v1", []) == "; known: none"
    assert nearest("xyz", [f"word-{number:02d}" for number in range(50)]).endswith("word-18, word-19 and 30 more")
