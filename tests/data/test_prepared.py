"""Sets written and read without TensorFlow: bit for bit what the microscope showed, and public sets of other shapes."""

import io
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from segjax.data.builders import (
    MicroscopeConfig,
    SegjaxGranulocytes,
    SegjaxHl60,
    SegjaxMixed,
    SegjaxTissue,
    prepare,
)
from segjax.data.prepared import open_tfds
from segjax.simulators.microscope import open_microscope
from segjax.types import InputError

tfds.disable_progress_bar()


@pytest.fixture(scope="module", autouse=True)
def no_tensorflow(tmp_path_factory):
    """An installed TensorFlow that cannot be imported: found by whoever looks for it, an error for whoever takes it."""
    assert "tensorflow" not in sys.modules
    folder = tmp_path_factory.mktemp("site")
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text("raise AssertionError('TensorFlow was imported')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    assert "tensorflow" not in sys.modules


@pytest.fixture(scope="module")
def source():
    return open_microscope("mixed", {"size": "sixth", "volumes": "3", "slices": "2", "crop": "90"})


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    prepare(source, folder, "nuclei")
    return folder


def same(one, other):
    for name in ("image", "labels", "classes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert (one.name, one.group) == (other.name, other.group)


def test_reading_gives_the_samples_of_the_source(source, folder):
    read = open_tfds("nuclei", {"dir": str(folder)})
    assert read.spec == f"tfds:nuclei?dir={folder}"
    assert len(read) == len(source) == 6
    for name in ("digest", "names", "groups", "class_names", "test_groups", "coarsening", "shapes"):
        assert getattr(read, name) == getattr(source, name), name
    for index in (5, 0, 3, 1, 4, 2):
        same(read[index], source[index])


def test_splits_are_the_protocol_of_the_source(source, folder):
    test = open_tfds("nuclei", {"dir": str(folder), "split": "test"})
    assert test.names == source.names[4:] and test.digest != source.digest
    same(test[1], source[5])
    train = open_tfds("nuclei", {"dir": str(folder), "split": "train"})
    assert train.names == source.names[:4] and train.test_groups == frozenset()


def test_preparing_again_keeps_the_set_but_not_another_source(source, folder):
    before = [file.stat().st_mtime_ns for file in sorted(prepare(source, folder, "nuclei").iterdir())]
    assert before == [file.stat().st_mtime_ns for file in sorted(prepare(source, folder, "nuclei").iterdir())]
    other = open_microscope("mixed", {"size": "sixth", "volumes": "3", "slices": "1", "crop": "90"})
    with pytest.raises(InputError, match=r"already holds microscope:mixed.*give another name or folder"):
        prepare(other, folder, "nuclei")
    with pytest.raises(InputError, match="lower-case letters"):
        prepare(source, folder, "My-Set")


@pytest.mark.parametrize("builder", [SegjaxHl60, SegjaxGranulocytes, SegjaxMixed, SegjaxTissue])
def test_builders_write_what_their_config_names(builder, tmp_path):
    options = {"size": "sixth", "volumes": "2", "slices": "1"}
    made = builder(data_dir=str(tmp_path), config=MicroscopeConfig(name="tiny", options=options))
    made.download_and_prepare(file_format="array_record")
    read, source = open_tfds(builder.name, {"dir": str(tmp_path)}), open_microscope(builder.KIND, options)
    assert made.info.splits["test"].num_examples == 1
    same(read[1], source[1])


def test_builders_are_known_by_name_and_size():
    assert set(SegjaxHl60.builder_configs) == {"paper", "half", "quarter", "sixth"}
    assert {"segjax_hl60", "segjax_granulocytes", "segjax_mixed", "segjax_tissue"} <= set(
        tfds.list_builders(with_community_datasets=False)
    )


def test_a_set_of_an_earlier_version_is_refused(source, tmp_path):
    path = prepare(source, tmp_path, "nuclei") / "metadata.json"
    told = json.loads(path.read_text())
    described = json.loads(told["segjax"])
    del described["pictures"]
    path.write_text(json.dumps(told | {"segjax": json.dumps(described)}))
    with pytest.raises(InputError, match=r"prepared by an earlier version.*prepare it again"):
        open_tfds("nuclei", {"dir": str(tmp_path)})


class PublicTissue(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set as others publish them: 8-bit RGB, class mask, shuffled."""

    VERSION = tfds.core.Version("2.0.1")
    MASK = np.array([[0, 1, 1, 0, 1], [2, 0, 0, 0, 1], [0, 2, 0, 0, 0]], np.uint8)

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(None, None, 3)),
            "mask": tfds.features.Image(shape=(None, None, 1)),
            "patient": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples("ca"), "train": self._generate_examples("aab")}

    def _generate_examples(self, patients):
        for index, patient in enumerate(patients):
            picture = np.full((3, 5, 3), 51 * index, np.uint8)
            yield index, {"picture": png(picture), "mask": png(self.MASK), "patient": patient}


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    PublicTissue(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    return str(folder)


def test_public_sets_are_read_by_the_names_of_their_features(public):
    options = {"dir": public, "image": "picture", "labels": "mask", "mask": "classes", "class_names": "a,b"}
    read = open_tfds("public_tissue", {**options, "group": "patient"})
    assert read.names == ("train-000000", "train-000001", "train-000002", "test-000000", "test-000001")
    assert sorted(read.groups[:3]) == ["a", "a", "b"] and sorted(read.groups[3:]) == ["a", "c"]
    assert read.test_groups == {"c"}  # a is on both sides
    assert read.class_names == ("a", "b") and read.coarsening == 1.0
    values = sorted(float(read[index].image.max()) for index in range(3))
    np.testing.assert_array_equal(values, np.float32([0, 51, 102]) / np.float32(255))
    sample = read[0]
    assert sample.image.shape == (3, 5, 3)
    np.testing.assert_array_equal(sample.labels, [[0, 1, 1, 0, 2], [3, 0, 0, 0, 2], [0, 3, 0, 0, 0]])
    np.testing.assert_array_equal(sample.classes, [1, 1, 2])


def test_public_instance_masks_keep_their_ids(public):
    read = open_tfds("public_tissue", {"dir": public, "image": "picture", "labels": "mask", "split": "train"})
    np.testing.assert_array_equal(read[0].labels, PublicTissue.MASK)
    np.testing.assert_array_equal(read[0].classes, [1, 1])
    assert read.groups == read.names and read.class_names == ("object",)
    whole = open_tfds("public_tissue/2.0.1", {"dir": public, "image": "picture", "labels": "mask"})
    assert whole.digest != read.digest


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("nuclei", {"size": "half"}, "no option 'size'; its options are dir, split, image, labels"),
        ("nuclei", {"mask": "polygons"}, "mask=polygons is unknown; choose one of instances, classes"),
        ("nuclei", {"class_names": "a,b"}, "several class_names need mask=classes"),
        ("nuclei", {"split": "val"}, "no split 'val'; take one of train, test"),
        ("nuclei", {"group": "name"}, "knows its group; leave the option out"),
        ("nuclei", {"image": "photo"}, "no feature 'photo' for image; name one of classes, group, image, labels, name"),
        ("absent", {}, "no prepared set under"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(folder, name, options, message):
    with pytest.raises(InputError) as refused:
        open_tfds(name, {"dir": str(folder), **options})
    assert message in str(refused.value)


def test_a_mask_value_without_class_is_refused(public):
    read = open_tfds("public_tissue", {"dir": public, "image": "picture", "labels": "mask", "mask": "classes"})
    with pytest.raises(InputError, match="mask value 2 is above the 1 classes"):
        read[0]


def test_one_of_several_sets_must_be_named(tmp_path):
    for config in ("one", "two"):
        options = {"size": "sixth", "volumes": "1", "slices": "1"}
        builder = SegjaxHl60(data_dir=str(tmp_path), config=MicroscopeConfig(name=config, options=options))
        builder.download_and_prepare(file_format="array_record")
    with pytest.raises(InputError, match="name one of segjax_hl60/one, segjax_hl60/two"):
        open_tfds("segjax_hl60", {"dir": str(tmp_path)})
    assert len(open_tfds("segjax_hl60/two", {"dir": str(tmp_path)})) == 1


class Pets(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Features as those of oxford_iiit_pet."""

    VERSION = tfds.core.Version("4.0.0")
    TRIMAP = np.array([[2, 3, 3, 3, 2], [2, 3, 1, 3, 2], [2, 3, 3, 3, 1]], np.uint8)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["Bengal", "beagle"]),
            "species": tfds.features.ClassLabel(names=["Cat", "Dog"]),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1), use_colormap=True),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        parts = {"train": (0, 0, self.TRIMAP), "test": (1, 1, 0 * self.TRIMAP)}
        return {split: self._generate_examples([part]) for split, part in parts.items()}

    def _generate_examples(self, kinds):
        for index, (label, species, trimap) in enumerate(kinds):
            file = io.BytesIO()
            Image.fromarray(np.full((3, 5, 3), 51, np.uint8)).save(file, "JPEG")
            file.seek(0)
            yield index, {"image": file, "label": label, "species": species, "segmentation_mask": png(trimap)}


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pets")
    Pets(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    return {"dir": str(folder), "labels": "segmentation_mask", "mask": "trimap", "class_names": "pet"}


def test_trimaps_have_a_border_that_is_not_judged_and_pictures_a_label(pets):
    read = open_tfds("pets", {**pets, "label": "species"})
    assert read.label_names == ("Cat", "Dog") and read.class_names == ("pet",)
    cat = read[0]
    assert cat.label == 0
    np.testing.assert_array_equal(cat.labels, [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 2]])
    np.testing.assert_array_equal(cat.ignored, Pets.TRIMAP == 3)
    np.testing.assert_array_equal(cat.classes, [1, 1])
    with pytest.raises(InputError, match=r"mask values from 0 to 0; a trimap has 1 \(object\)"):
        read[1]
    assert open_tfds("pets", pets).label_names == () and open_tfds("pets", pets)[0].label is None
    assert open_tfds("pets", {**pets, "label": "label"}).label_names == ("Bengal", "beagle")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "breed"}, "no feature 'breed' for label"),
        ({"label": "image"}, "feature 'image' names no classes"),
        ({"class_names": "cat,dog"}, "mask=trimap holds one class"),
        ({"least_objects": "1"}, "only sets prepared by segjax tell"),
    ],
)
def test_options_that_do_not_fit_a_set_of_others_are_refused(pets, options, message):
    with pytest.raises(InputError, match=message):
        open_tfds("pets", {**pets, **options})
