"""A proposed declaration can be published unedited."""

import pytest

from lakegate.catalog import parse_dataset
from lakegate.errors import BadExport
from lakegate.formats.importing import import_export
from lakegate.formats.proposing import propose_dataset_toml
from lakegate.settings import Settings

from .exports import LABELS, SCENES, voc_xml, write_coco, write_image, write_voc, write_yolo


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo])
def test_a_proposal_is_accepted_as_it_is_and_imports_its_own_export_without_a_problem(tmp_path, write):
    scenes = {name: SCENES[name] for name in ("north/0001", "north/0002")}
    folder = write(tmp_path, scenes)
    declaration = parse_dataset("traffic", propose_dataset_toml(folder, None))
    assert declaration.on_bad_sample == "refuse"
    result = import_export(folder, None, declaration)
    assert (result.problems, len(result.samples)) == ([], 2)


def test_pascal_voc_labels_are_proposed_by_frequency_and_others_in_their_own_order(tmp_path):
    assert parse_dataset("abc", propose_dataset_toml(write_voc(tmp_path / "voc"), None)).labels[0] == "car"
    for name, write in {"coco": write_coco, "yolo": write_yolo}.items():
        declaration = parse_dataset("abc", propose_dataset_toml(write(tmp_path / name), None))
        assert declaration.labels == LABELS


def test_labels_with_quotes_and_other_signs_survive(tmp_path):
    label = 'say "hi" \\ # ü: [x]'
    write_image(tmp_path / "a.jpg", (80, 60))
    (tmp_path / "a.xml").write_text(voc_xml("a.jpg", (80, 60), [(label, (1, 1, 5, 5))]), encoding="utf-8")
    text = propose_dataset_toml(tmp_path, None)
    declaration = parse_dataset("abc", text)
    assert declaration.labels == (label,)
    assert sum(line.startswith("labels = ") for line in text.splitlines()) == 1
    assert len(import_export(tmp_path, None, declaration).samples[0].sample.annotations) == 1


def test_an_export_with_bad_samples_proposes_to_quarantine_them_and_counts_them(tmp_path):
    text = propose_dataset_toml(write_voc(tmp_path), None)  # one box of SCENES has no width
    assert "1 sample cannot be published as they are (the first is south/ä 0001)" in text
    assert parse_dataset("abc", text).on_bad_sample == "quarantine"


def test_augmented_copies_of_one_photograph_are_proposed_as_a_group(tmp_path):
    scenes = {
        f"photo{number}_jpg.rf.{copy}{number:03d}": ((40, 40), [("car", (1, 1, 9, 9))]) for number in range(12) for copy in "ab"
    }
    declaration = parse_dataset("abc", propose_dataset_toml(write_voc(tmp_path, scenes), None))
    result = import_export(tmp_path, None, declaration)
    assert len({item.sample.group for item in result.samples}) == 12
    assert all(item.sample.id.startswith(item.sample.group) for item in result.samples)


def test_few_folders_are_mentioned_and_not_drawn_from(tmp_path):
    text = propose_dataset_toml(write_voc(tmp_path, {**SCENES, "south/2": SCENES["north/0002"]}), None)
    assert "would make 2 groups, by the folder: too few to draw from" in text
    assert parse_dataset("abc", text).split.group == "name"


def test_splits_that_an_export_gives_are_kept(tmp_path):
    scenes = {f"{split}/{number}": ((30, 30), [("car", (1, 1, 9, 9))]) for split in ("train", "test") for number in range(3)}
    declaration = parse_dataset("abc", propose_dataset_toml(write_yolo(tmp_path, scenes), None))
    assert declaration.split.source == "given"
    assert {item.sample.split for item in import_export(tmp_path, None, declaration).samples} == {"train", "test"}


def test_an_export_without_an_object_is_refused(tmp_path):
    with pytest.raises(BadExport, match="holds no labelled object or image"):
        propose_dataset_toml(write_voc(tmp_path, {"a": ((20, 20), [])}), None)


def test_the_proposed_limits_hold_for_the_real_images_that_they_were_made_from(samples_dir):
    from lakegate.quality.images import measure_many

    bccd = samples_dir / "bccd"
    text = propose_dataset_toml(bccd / "v3_shenggan_2019_voc", bccd / "images")
    declaration = parse_dataset("blood", text)
    assert declaration.labels == ("RBC", "WBC", "Platelets")
    images = {path.stem: path for path in sorted((bccd / "images").iterdir())[:40]}
    measured = measure_many(images.items(), Settings().threads).metrics.values()
    limits = declaration.quality
    assert limits.brightness and limits.contrast and limits.min_side_px and limits.blur_min
    for one in measured:
        assert limits.brightness[0] < one.brightness < limits.brightness[1]
        assert limits.contrast[0] < one.contrast < limits.contrast[1]
        assert limits.min_side_px < min(one.width_px, one.height_px)
        assert limits.blur_min < one.blur


@pytest.mark.parametrize(
    ("folder", "images", "task", "labels"),
    [
        ("nuclei/v1_instance16", "nuclei/images", "segmentation", ("object",)),
        ("sign_digits/Dataset", None, "classification", tuple("0123456789")),
        ("annotation_exports/datumaro/tests/assets/coco_dataset/coco_instances", None, "detection", ("a", "b", "c")),
    ],
)
def test_the_proposed_task_is_the_one_that_all_labels_serve(samples_dir, folder, images, task, labels):
    source, images_dir = samples_dir / folder, samples_dir / images if images else None
    text = propose_dataset_toml(source, images_dir)
    declaration = parse_dataset("abc", text)
    assert (declaration.task, declaration.labels) == (task, labels)
    assert import_export(source, images_dir, declaration).problems == []


def test_labels_that_the_proposed_task_does_not_keep_are_counted_in_it(samples_dir):
    root = samples_dir / "annotation_exports" / "datumaro" / "tests" / "assets" / "coco_dataset" / "coco_instances"
    words = "# 2 of 3 objects have a polygon or mask, which a dataset for detection does not keep"
    assert words in propose_dataset_toml(root, None)


def test_keypoints_on_every_object_propose_a_dataset_for_keypoints(tmp_path):
    write_yolo(tmp_path, {"a": ((40, 40), [])})
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 1\n")
    (tmp_path / "data.yaml").write_text("names: [car]\nkpt_shape: [2, 3]\n")
    assert parse_dataset("abc", propose_dataset_toml(tmp_path, None)).task == "keypoints"


def test_folders_that_are_classes_are_not_proposed_as_groups(tmp_path):
    for label in range(12):
        for number in range(3):
            write_image(tmp_path / str(label) / f"{label}-{number}.jpg", (40, 40))
    assert "by the folder" not in propose_dataset_toml(tmp_path, None)


def test_classes_are_not_taken_for_groups_of_near_copies(samples_dir):
    """Their images are numbered by class: a draw by that would leave whole classes out of a split."""
    for source in ("grocery/dataset/train", "sign_digits/Dataset"):
        text = propose_dataset_toml(samples_dir / source, None)
        declaration = parse_dataset("abc", text)
        assert declaration.split.group == "name"
        assert "in labels" in text and "objects >=" not in text
        found = import_export(samples_dir / source, None, declaration).samples
        assert {item.sample.annotations[0].label for item in found if item.sample.split == "test"} == set(declaration.labels)


def test_images_of_two_splits_that_look_alike_are_counted_and_the_proposal_can_be_published(samples_dir, tmp_path):
    from lakegate.quality.validation import screen

    folder = samples_dir / "grocery" / "dataset" / "train"
    text = propose_dataset_toml(folder, None)
    assert "# 1 of them: looks like an image of a split that models are judged on" in text
    declaration = parse_dataset("abc", text)
    screening = screen(import_export(folder, None, declaration).samples, declaration, (), Settings(home=tmp_path))
    assert [item.rule for item in screening.quarantined] == ["no_near_leak_between_splits"]


def test_three_label_sets_at_once_are_no_proposal(samples_dir):
    with pytest.raises(BadExport, match="3 sets of labels belong to this image"):
        propose_dataset_toml(samples_dir / "bccd", None)


def test_images_that_cannot_be_decoded_are_counted_among_the_bad_samples(tmp_path):
    for name in ("a", "b", "c"):
        write_image(tmp_path / "JPEGImages" / f"{name}.jpg", (60, 40))
        (tmp_path / f"{name}.xml").write_text(voc_xml(f"{name}.jpg", (60, 40), [("car", (1, 1, 5, 5))]))
    image = tmp_path / "JPEGImages" / "b.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    text = propose_dataset_toml(tmp_path, None)
    assert "1 images cannot be decoded" in text and parse_dataset("abc", text).on_bad_sample == "quarantine"
