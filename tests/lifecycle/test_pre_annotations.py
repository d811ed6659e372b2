"""Pre-annotations: what is labelled already is not proposed a second time."""

from lakegate.detections import FoundObject
from lakegate.lifecycle.pre_annotations import not_labelled
from lakegate.samples import Annotation


def test_a_found_object_is_new_unless_it_overlaps_a_labelled_one_of_its_label_by_half():
    labelled = (Annotation("car", (10.0, 10.0, 20.0, 20.0)), Annotation("night"))
    same = FoundObject("car", 0.9, (12.0, 10.0, 32.0, 30.0))
    other_label = FoundObject("person", 0.9, (10.0, 10.0, 30.0, 30.0))
    elsewhere = FoundObject("car", 0.4, (25.0, 25.0, 45.0, 45.0))
    assert not_labelled([same, other_label, elsewhere], labelled) == [other_label, elsewhere]
    assert not_labelled([same], ()) == [same]
