from pathlib import Path

import numpy as np
import pytest

from segjax.data.formats import cellpose, coco, object_masks
from segjax.data.formats.annotation import Annotation, Picture
from segjax.data.pictures.images import read_labels

NUCLEI = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "cells_instances" / "labels"
pytestmark = [
    pytest.mark.skipif(
        not NUCLEI.is_dir(), reason="the real pictures (../shared/data beside the repository) are missing"
    ),
]


def test_real_nuclei_come_back_without_a_changed_pixel(tmp_path):
    items = []
    for file in sorted(NUCLEI.iterdir())[::12]:
        labels = np.unique(np.append(0, read_labels(file)), return_inverse=True)[1][1:].astype(np.int32)
        shape = read_labels(file).shape
        items.append((Picture(file.stem, file.name, shape), Annotation(labels.reshape(shape))))
    losses = [
        *coco.write_set(tmp_path / "rle.json", items),
        *coco.write_set(tmp_path / "polygons.json", items, polygons=True),
        *(object_masks.write(tmp_path / "dsb", annotation, picture) for picture, annotation in items),
        *(cellpose.write(tmp_path / "cellpose", annotation, picture) for picture, annotation in items),
    ]
    objects = [int(annotation.labels.max()) for _, annotation in items] * 4
    assert [loss.objects_out for loss in losses] == [loss.objects_in for loss in losses] == objects
    assert sum(objects) > 500
    assert [loss.pixels_changed for loss in losses] == [0] * len(losses)
