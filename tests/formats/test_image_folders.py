"""Folders of images, made here: the class is the folder, and an image outside of one is named."""

from lakegate.formats.importing import import_export, recognise

from .exports import declare, write_image, write_voc


def test_class_and_split_come_from_the_folders(tmp_path):
    for name in ("train/images/cat/1.jpg", "train/images/dog/2.png", "test/images/cat/3.jpg"):
        write_image(tmp_path / name, (20, 20))
    declaration = declare(labels=["cat", "dog"], task="classification", split='{ from = "given" }')
    result = import_export(tmp_path, None, declaration)
    found = {item.sample.id: (item.sample.annotations[0].label, item.sample.split) for item in result.samples}
    assert result.problems == []
    assert found == {"train/cat/1": ("cat", "train"), "train/dog/2": ("dog", "train"), "test/cat/3": ("cat", "test")}


def test_a_declared_path_is_the_class_where_two_folders_have_one_name(tmp_path):
    for name in ("fruit/other/1.jpg", "fruit/apple/2.jpg", "bread/other/3.jpg"):
        write_image(tmp_path / name, (20, 20))
    labels = ["fruit/other", "apple", "other"]
    result = import_export(tmp_path, None, declare(labels=labels, task="classification"))
    assert sorted(item.sample.annotations[0].label for item in result.samples) == ["apple", "fruit/other", "other"]
    merged = import_export(tmp_path, None, declare(labels=["other", "apple"], task="classification"))
    assert merged.notes == ["class 'other' is made of 2 folders: bread/other, fruit/other"]


def test_an_image_in_no_folder_and_a_file_that_is_no_image_are_named(tmp_path):
    for name in ("cat/1.jpg", "dog/2.jpg", "3.jpg"):
        write_image(tmp_path / name, (20, 20))
    (tmp_path / "dog" / "4.jpg").write_text("not an image")
    declaration = declare(labels=["cat", "dog"], task="classification")
    result = import_export(tmp_path, None, declaration, source_format="image-folders")
    assert {item.sample_id: item.rule for item in result.problems} == {"3": "class_is_named", "dog/4": "image_is_whole"}
    assert [item.sample.id for item in result.samples] == ["cat/1", "dog/2"]


def test_objects_in_a_classification_dataset_are_counted_and_not_read(tmp_path):
    result = import_export(write_voc(tmp_path), None, declare(task="classification"))
    assert result.notes == ["5 objects with a shape were not read: classification keeps labels of whole images"]


def test_labels_of_whole_images_become_tags_where_objects_are_labelled(tmp_path):
    for name in ("night/1.jpg", "day/2.jpg"):
        write_image(tmp_path / name, (20, 20))
    assert recognise(tmp_path) == "image-folders"
    result = import_export(tmp_path, None, declare(), source_format="image-folders")
    assert {item.sample.id: item.sample.tags for item in result.samples} == {"night/1": ("night",), "day/2": ("day",)}
    assert result.notes == ["2 labels of whole images became tags: detection labels objects"]
