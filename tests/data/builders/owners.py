"""Small sets written as their owners publish them; every picture is 48x64 pixels and shows discs of known place."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io
import tifffile
from PIL import Image

SHAPE = 48, 64
CENTRES = ((10, 10), (10, 32), (10, 54), (36, 12), (36, 34), (36, 54))
RADIUS = 6


def remarks(source, text: str) -> list[str]:
    """The remarks on a source that hold a text."""
    return [remark for remark in source.remarks if text in remark]


def of(source, name: str):
    """The sample of a name."""
    return source[source.names.index(name)]


def discs(count: int, ids: tuple[int, ...] = ()) -> np.ndarray:
    """The first few of six discs; their ids are 1, 2, ... unless others are given."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.int64)
    for (row, column), number in zip(CENTRES[:count], ids or range(1, count + 1), strict=False):
        labels[(y - row) ** 2 + (x - column) ** 2 <= RADIUS**2] = number
    return labels


def colour(labels: np.ndarray, seed: int) -> np.ndarray:
    """Dark nuclei on pink."""
    noise = np.random.default_rng(seed).integers(0, 20, (*labels.shape, 3))
    return (np.where(labels[..., None] > 0, [80, 60, 140], [220, 170, 200]) + noise).astype(np.uint8)


def grey(labels: np.ndarray, seed: int) -> np.ndarray:
    return colour(labels, seed)[..., 0]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".tiff", ".svs"):
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[-1] in (3, 4) else "minisblack")
    else:
        Image.fromarray(pixels).save(path)


def table(path: Path, columns: list[str], rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def transparent(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def lizard_mat(path: Path, values: np.ndarray, ids: list[int], classes: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    column = {"id": np.array(ids, float).reshape(-1, 1), "class": np.array(classes, float).reshape(-1, 1)}
    boxes = {"bbox": np.zeros((len(ids), 4)), "centroid": np.zeros((len(ids), 2))}
    scipy.io.savemat(path, {"inst_map": values.astype(float), **column, **boxes})


def lizard(root: Path) -> None:
    """Ids with gaps whose classes lie in another order, one nucleus, none at all, and three more."""
    labels = root / "lizard_labels" / "Lizard_Labels"
    kinds = {
        "consep_1": ((9, 1, 5), [5, 9, 1], [2, 3, 6]),
        "glas_2": ((7,), [7], [2]),
        "glas_10": ((), [], []),
        "crag_1": ((1, 2, 3), [1, 2, 3], [2, 2, 1]),
        "dpath_1": ((1, 2, 3, 4), [1, 2, 3, 4], [2, 1, 5, 2]),
        "pannuke_3": ((300, 70_000), [300, 70_000], [2, 2]),
    }
    for seed, (name, (placed, ids, classes)) in enumerate(kinds.items()):
        values = discs(len(placed), placed)
        folder = "1" if name.startswith("c") else "2"
        save(root / f"lizard_images{folder}" / f"Lizard_Images{folder}" / f"{name}.png", colour(values, seed))
        lizard_mat(labels / "Labels" / f"{name}.mat", values, ids, classes)
    rows = [[name, name.split("_")[0], number % 3 + 1] for number, name in enumerate(kinds)]
    table(labels / "info.csv", ["Filename", "Source", "Split"], rows)


def conic(root: Path) -> None:
    fields = [discs(3), discs(2, (2, 1)), discs(0), discs(6), discs(1), discs(4)]
    kinds = [np.where(values > 0, values % 2 + 1, 0) for values in fields]
    root.mkdir(parents=True, exist_ok=True)
    np.save(root / "images.npy", np.stack([colour(values, seed) for seed, values in enumerate(fields)]))
    labels = np.stack([np.stack([v, k], -1) for v, k in zip(fields, kinds, strict=True)]).astype(np.uint16)
    np.save(root / "labels.npy", labels)
    names = ["consep_1-0001", "consep_1-0002", "glas_2-0001", "glas_2-0002", "crag_1-0001", "pannuke_3-0001"]
    table(root / "patch_info.csv", ["patch_info"], [[name] for name in names])


def consep(root: Path) -> None:
    for seed, name in enumerate(("train_1", "train_2", "train_3", "test_1", "test_2")):
        values = discs(seed + 1)
        folder = root / "CoNSeP" / name.split("_")[0].capitalize()
        save(folder / "Images" / f"{name}.png", transparent(colour(values, seed)))
        types = np.where(values == 2, 7, np.where(values > 0, 1, 0))
        (folder / "Labels").mkdir(exist_ok=True)
        scipy.io.savemat(folder / "Labels" / f"{name}.mat", {"inst_map": values, "type_map": types})


def pannuke(root: Path) -> None:
    """Ids with gaps over five channels; of each fold the last patch is empty."""
    for fold in (1, 2, 3):
        masks = np.zeros((4, *SHAPE, 6))
        for patch, ids in enumerate([(2, 5, 9), (1,), (3, 4, 8, 12)]):
            values = discs(len(ids), ids)
            for channel, number in enumerate(ids):
                masks[patch, ..., channel] = np.where(values == number, number, 0)
        masks[..., 5] = ~masks[..., :5].any(-1)
        images = [colour(masks[patch, ..., :5].max(-1), 10 * fold + patch).astype(float) for patch in range(4)]
        for name, array in (("images", np.stack(images)), ("masks", masks)):
            path = root / f"Fold {fold}" / name / f"fold{fold}" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
        np.save(root / f"Fold {fold}" / "images" / f"fold{fold}" / "types.npy", np.array(["Breast"] * 4))


def circle(row: float, column: float) -> list[tuple[float, float]]:
    """Outline of a disc as x and y, coordinates being those of pixel centres; the next pixel is at sqrt(37) = 6.08."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    return [(column + (RADIUS + 0.04) * np.cos(angle), row + (RADIUS + 0.04) * np.sin(angle)) for angle in angles]


def aperio(path: Path, kinds: dict[str, list[list[tuple[float, float]]]]) -> None:
    text = "<Annotations>"
    for name, outlines in kinds.items():
        text += f'<Annotation><Attributes><Attribute Name="{name}" /></Attributes><Regions>'
        for outline in outlines:
            corners = "".join(f'<Vertex X="{x}" Y="{y}" Z="0" />' for x, y in outline)
            text += f"<Region><Attributes /><Vertices>{corners}</Vertices></Region>"
        text += "</Regions></Annotation>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0"?>{text}</Annotations>')


def monusac(root: Path) -> None:
    """Patient A2-A0ES is in both parts, as in the real set."""
    train, test = "MoNuSAC_images_and_annotations", "MoNuSAC Testing Data and Annotations"
    names = [
        (train, "TCGA-55-1594"),
        (train, "TCGA-69-7760"),
        (train, "TCGA-A2-A0ES"),
        (test, "TCGA-A2-A0ES"),
        (test, "TCGA-49-6743"),
    ]
    for seed, (part, patient) in enumerate(names):
        folder = root / part / f"{patient}-01Z-00-DX1"
        name = f"{patient}-01Z-00-DX1_1"
        save(folder / f"{name}.tif", transparent(colour(discs(4), seed)))
        outlines = [circle(*centre) for centre in CENTRES[:4]]
        aperio(
            folder / f"{name}.xml", {"Epithelial": outlines[:2], "Lymphocyte": outlines[2:3], "Ambiguous": outlines[3:]}
        )


def nuinsseg(root: Path) -> None:
    for seed, organ in enumerate(("human bladder", "mouse liver")):
        for number in (1, 2):
            name = f"{organ.replace(' ', '_')}_{number:02d}"
            values = discs(5, (1, 2, 300, 4, 500))
            save(root / organ / "tissue images" / f"{name}.png", colour(values, 10 * seed + number))
            save(root / organ / "label masks modify" / f"{name}.tif", values.astype(np.uint16))
            save(root / organ / "vague areas" / "mask binary" / f"{name}.png", np.uint8(255) * (values == 500))


def dsb2018(root: Path) -> None:
    for number in range(4):
        name = f"{number:064x}"
        values = discs(number + 1)
        save(root / "stage1_train" / name / "images" / f"{name}.png", transparent(colour(values, number)))
        for i in range(1, number + 2):
            save(root / "stage1_train" / name / "masks" / f"{i:064x}.png", np.uint8(255) * (values == i))
    rows = [[f"{number:064x}", "1 2"] for number in range(4) for _ in range(number + 1)]
    table(root / "stage1_train_labels.csv", ["ImageId", "EncodedPixels"], rows)


def livecell(root: Path) -> None:
    """Three splits; the crops 1 and 2 of a well are in the same one."""
    parts = {
        "train": [("A172", "A7", 1), ("A172", "A7", 2), ("BV2", "B1", 1)],
        "val": [("A172", "A8", 1)],
        "test": [("A172", "C1", 1), ("BV2", "C2", 1)],
    }
    identity = 0
    for split, places in parts.items():
        images, outlines = [], []
        folder = root / "images" / ("livecell_test_images" if split == "test" else "livecell_train_val_images")
        for line, well, crop in places:
            identity += 1
            name = f"{line}_Phase_{well}_1_00d00h00m_{crop}.tif"
            save(folder / line / name, grey(discs(3), identity))
            images.append({"id": identity, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]})
            for centre in CENTRES[:3]:
                flat = [coordinate + 0.5 for corner in circle(*centre) for coordinate in corner]
                outlines.append(
                    {"id": len(outlines), "image_id": identity, "category_id": 1, "segmentation": [flat], "iscrowd": 0}
                )
        path = root / "annotations" / "LIVECell" / f"livecell_coco_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"images": images, "annotations": outlines, "categories": [{"id": 1, "name": "cell"}]})
        )


def tnbc(root: Path) -> None:
    for seed, name in enumerate(("01_1", "01_2", "02_1", "03_1")):
        values = discs(3)
        folder = root / "TNBC_NucleiSegmentation"
        save(folder / f"Slide_{name[:2]}" / f"{name}.png", transparent(colour(values, seed)))
        save(folder / f"GT_{name[:2]}" / f"{name}.png", np.uint8(255) * (values > 0))


def cbia(root: Path) -> None:
    """Volumes 0, 1 and 25 of four slices; the first slice is empty, and ids have gaps."""
    for number in (0, 1, 25):
        values = np.stack([discs(0), discs(2, (4, 9)), discs(2, (4, 9)), discs(3, (4, 9, 20))])
        images = np.stack([grey(slice_, number * 10 + z).astype(np.uint16) * 200 for z, slice_ in enumerate(values)])
        save(root / f"image-final_{number:04d}.tif", images)
        save(root / f"image-labels_{number:04d}.tif", values.astype(np.uint16))


def epfl(root: Path) -> None:
    for seed, name in enumerate(("training", "testing")):
        values = np.stack([discs(2), discs(2), discs(3)])
        save(root / f"{name}.tif", np.stack([grey(slice_, 10 * seed + z) for z, slice_ in enumerate(values)]))
        save(root / f"{name}_groundtruth.tif", np.uint8(255) * (values > 0))


def lucchi(root: Path) -> None:
    for seed, name in enumerate(("Train", "Test")):
        for z in range(11):
            values = discs(2 if z < 9 else 3)
            save(root / "Lucchi++" / f"{name}_In" / f"mask{z:04d}.png", grey(values, 20 * seed + z))
            white = np.where((values > 0)[..., None], 255, [0, 0, 0, 255]).astype(np.uint8)
            save(root / "Lucchi++" / f"{name}_Out" / f"{z}.png", white)


PETS = {"trainval": ("Bengal_1", "beagle_1", "Bengal_2"), "test": ("beagle_2", "Bengal_3")}


def pets(root: Path, lists: Mapping[str, Sequence[str]] = PETS) -> None:
    """Names that begin with a capital are those of cats, as their owners have it."""
    for file, names in lists.items():
        lines = []
        for seed, name in enumerate(names):
            values = discs(1)
            species = 1 if name[0].isupper() else 2
            (root / "images").mkdir(parents=True, exist_ok=True)
            Image.fromarray(colour(values, seed + len(file))).save(root / "images" / f"{name}.jpg", quality=95)
            trimap = np.where(values > 0, 1, 2).astype(np.uint8)
            trimap[CENTRES[0][0]] = np.where(trimap[CENTRES[0][0]] == 1, 3, trimap[CENTRES[0][0]])
            save(root / "annotations" / "trimaps" / f"{name}.png", trimap)
            lines.append(f"{name} 1 {species} 1")
        (root / "annotations" / f"{file}.txt").write_text("\n".join(lines) + "\n")


OWNERS: dict[str, Callable[[Path], None]] = {
    "cbia_hl60": cbia,
    "cbia_granulocytes": cbia,
    "monusac": monusac,
    "lizard": lizard,
    "conic": conic,
    "epfl_mitochondria": epfl,
    "lucchi_plus_plus": lucchi,
    "pannuke": pannuke,
    "consep": consep,
    "nuinsseg": nuinsseg,
    "dsb2018": dsb2018,
    "livecell": livecell,
    "tnbc": tnbc,
    "oxford_pets": pets,
}
