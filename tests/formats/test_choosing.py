"""What of an export is published: filters count what they leave out, a licence is kept with each sample."""

from dataclasses import replace

import pytest

from lakegate.errors import BadDeclaration, BadInput, UnknownLabel
from lakegate.formats.choosing import check_where, choose_samples
from lakegate.formats.importing import import_export
from tests.formats.exports import declare, write_voc


def test_a_filter_keeps_the_samples_that_it_says_and_counts_the_rest(tmp_path):
    imported = import_export(write_voc(tmp_path), None, declare())
    people = choose_samples(imported, '"person" in labels')
    nobody = choose_samples(imported, 'count("person") == 0')
    assert [item.sample.id for item in people.samples] == ["north/0001", "south/ä 0001"]
    assert [item.sample.id for item in nobody.samples] == ["north/0002"]
    assert nobody.notes == ["where 'count(\"person\") == 0' keeps 1 of 3 samples"]
    assert len({imported.source_digest, people.source_digest, nobody.source_digest}) == 3


def test_problems_of_samples_that_are_left_out_are_counted_and_those_of_others_stay(tmp_path):
    folder = write_voc(tmp_path)
    path = folder / "Annotations" / "north" / "0002.xml"
    path.write_text(path.read_text().replace("<width>64", "<width>65"))
    (folder / "Annotations" / "lost.xml").write_text("<annotation>")
    imported = import_export(folder, None, declare())
    assert sorted(item.rule for item in imported.problems) == ["label_file_is_whole", "size_matches"]
    chosen = choose_samples(imported, "objects > 0")
    assert [item.rule for item in chosen.problems] == ["label_file_is_whole"]
    assert chosen.notes[-1] == "where 'objects > 0' keeps 2 of 3 samples, and 1 problems of samples that are left out"


def test_a_licence_is_written_into_the_source_of_each_sample_that_states_none(tmp_path):
    imported = import_export(write_voc(tmp_path), None, declare())
    stated = replace(imported.samples[0].sample, source={"format": "voc", "licence": "CC0-1.0"})
    imported = replace(imported, samples=[replace(imported.samples[0], sample=stated), *imported.samples[1:]])
    chosen = choose_samples(imported, "", "CC-BY-4.0")
    assert [item.sample.source["licence"] for item in chosen.samples] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-4.0"]
    assert chosen.source_digest != imported.source_digest
    assert choose_samples(imported, "") is imported


def test_a_filter_that_is_none_names_no_label_or_keeps_nothing_is_refused(tmp_path):
    with pytest.raises(BadDeclaration, match="no field is called"):
        check_where("object > 3", declare())
    with pytest.raises(UnknownLabel, match="did you mean 'person'"):
        check_where('"persons" in labels', declare())
    check_where(" ", declare())
    with pytest.raises(BadInput, match="keeps none of the 3 samples"):
        choose_samples(import_export(write_voc(tmp_path), None, declare()), "objects > 100")


def test_a_filter_leaves_out_samples_with_a_label_that_the_dataset_does_not_declare(tmp_path):
    declaration = declare()
    narrow = declaration.model_copy(update={"labels": tuple(label for label in declaration.labels if label != "person")})
    imported = import_export(write_voc(tmp_path), None, narrow)
    assert {item.rule for item in imported.problems} == {"label_is_declared"}
    nobody = choose_samples(imported, 'count("person") == 0', declared=narrow.labels)
    assert ([item.sample.id for item in nobody.samples], nobody.problems) == (["north/0002"], [])
    assert "and 2 problems of samples that are left out" in nobody.notes[-1]
    with pytest.raises(UnknownLabel, match="nor one of this export; did you mean 'person'"):
        choose_samples(imported, 'count("persons") == 0', declared=narrow.labels)
