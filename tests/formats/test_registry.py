"""Each row of the registry names functions that exist, and the words of the command line and of the form are its names."""

from typing import get_args

import pytest

from lakegate.errors import BadExport
from lakegate.formats import registry
from lakegate.formats.registry import FORMATS, Format, SourceFormat, check_format, datumaro_stage


@pytest.mark.parametrize("row", FORMATS.values(), ids=str)
def test_the_functions_of_a_row_exist(row):
    for words in filter(None, (row.reader, row.is_one, row.stage)):
        assert callable(registry._function(words))
    assert bool(row.is_one) == bool(row.suffix)
    assert (datumaro_stage(row.name) is None) == (row.datumaro_format == "")


def test_the_names_are_those_that_people_may_give():
    assert set(get_args(Format)) == set(FORMATS)
    assert set(get_args(SourceFormat)) == {"auto", *FORMATS}


def test_a_name_that_does_not_exist_is_answered_with_the_nearest_one():
    with pytest.raises(BadExport, match="did you mean 'instance-masks'"):
        check_format("instance_masks")
