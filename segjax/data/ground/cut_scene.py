"""Tiles of georeferenced scenes written as a folder that `folder:` opens; needs the extra `geo`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Shaped

from segjax.data.formats.annotation import Picture
from segjax.data.formats.layers import in_pixels, moved, on_ground
from segjax.data.formats.vectors import Options, annotated, sites_of
from segjax.data.ground.geofiles import crs_of
from segjax.data.ground.georeference import pixel_edges
from segjax.data.ground.scene import Scene, open_scene
from segjax.data.ground.site_tiles import Cutting, Ground, Plan, Tile, plan_tiles
from segjax.files import replacing, write_table
from segjax.types import InputError

SITE, NONE = "site", "none"  # image-level labels
CUT, NO_PIXEL, BEYOND = "cut", "too small for a pixel, hidden by another site, or without an area", "beyond the scene"


@dataclass(frozen=True)
class CutScene:
    """One scene and what was cut from it.

    Attributes:
        scene: it.
        plan: its tiles.
        notes: what reading the sites lost.
        fates: by the name of a feature: `CUT`, or why it has no tile; none of those that an earlier scene's tiles show.
        shown: names of the features that any of its tiles shows.
    """

    scene: Scene
    plan: Plan
    notes: tuple[str, ...]
    fates: Mapping[str, str]
    shown: frozenset[str]

    @property
    def groups(self) -> set[str]:
        """Names of the blocks that tiles come from."""
        return {group_of(self.scene, tile) for tile in self.plan.tiles}

    @property
    def groups_with_site(self) -> set[str]:
        """Names of those with a tile around a site."""
        return {group_of(self.scene, tile) for tile in self.plan.tiles if tile.site is not None}


class _Taken(NamedTuple):
    """Squares that an earlier scene's tiles cover, in its coordinate system."""

    crs: str
    squares: Shaped[np.ndarray, " T"]


def cut_scenes(
    scenes: Sequence[Path], sites: Path, options: Options, cutting: Cutting, out: Path
) -> Iterator[CutScene]:
    """Cut scenes one after the other, and write the tables when all are cut.

    Writes images/ (GeoTIFF of the scene's own bands and type), labels/ (GeoTIFF whose ids are those of the sites in
    their scene), groups.csv, image_labels.csv and sites.csv. A site that several scenes show is cut from the first.

    Raises:
        InputError: a scene or the sites cannot be used, two scenes have one name, or the folder is not empty.
    """
    names = Counter(path.stem for path in scenes)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(f"scenes: two have the name {twice[0]}; rename one, as tiles are named after their scene")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out: {out} is not an empty folder; give another")
    done: list[CutScene] = []
    taken: list[_Taken] = []
    for number, path in enumerate(scenes):
        seen = frozenset(name for earlier in done for name in earlier.shown)
        try:
            one, labels = _planned(open_scene(path), sites, options, cutting, number, taken, seen)
        except InputError as error:
            said = str(error)
            raise InputError(said if said.startswith((str(path), str(sites))) else f"{path}: {said}") from None
        _write_tiles(out, one, labels, cutting.tile)
        done.append(one)
        taken.append(
            _Taken(
                one.scene.georeference.crs, on_ground(_squares(one.plan.tiles, cutting.tile), one.scene.georeference)
            )
        )
        yield one
    _write_tables(out, done)


def _planned(
    scene: Scene,
    sites: Path,
    options: Options,
    cutting: Cutting,
    number: int,
    taken: Sequence[_Taken],
    seen: frozenset[str],
) -> tuple[CutScene, Int32[np.ndarray, "H W"]]:
    """What is cut from a scene, and its label image."""
    picture = Picture(scene.path.stem, scene.path.name, scene.known.shape, scene.georeference)
    edges = pixel_edges(scene.georeference, picture.shape)
    if edges is None:
        raise InputError(f"the ground size of its pixels is unknown in {scene.georeference.crs}; reproject it")
    found = sites_of(sites, picture, options)
    # the class carries the feature's name, to tell which are left
    named = found._replace(inside=[one._replace(class_name=one.name) for one in found.inside])
    annotation = annotated(sites, named, picture, options)
    features = annotation.classes
    ground = Ground(
        annotation.labels,
        scene.known,
        edges,
        found.shapes,
        frozenset(index for index, name in enumerate(features, 1) if name in seen),
        np.concatenate([np.empty(0, object), *(_seen_from(scene, one) for one in taken)]),
    )
    plan = plan_tiles(np.random.default_rng([cutting.seed, number]), ground, cutting)
    fates = dict.fromkeys(found.beyond, BEYOND)
    fates |= dict.fromkeys([*found.shapeless, *(one.name for one in found.inside)], NO_PIXEL)
    fates |= {name: plan.lost.get(index, CUT) for index, name in enumerate(features, 1) if name not in seen}
    fates = {name: fate for name, fate in fates.items() if name not in seen}
    size, visible = cutting.tile, set[int]()
    for tile in plan.tiles:
        visible |= set(np.unique(annotation.labels[tile.y : tile.y + size, tile.x : tile.x + size]).tolist()) - {0}
    shown = frozenset(features[index - 1] for index in visible)
    return CutScene(scene, plan, annotation.loss.notes, fates, shown), annotation.labels


def _squares(tiles: Sequence[Tile], size: int) -> Shaped[np.ndarray, " T"]:
    import shapely

    corners = np.array([(tile.x, tile.y) for tile in tiles], float).reshape(-1, 2)
    return shapely.box(corners[:, 0], corners[:, 1], corners[:, 0] + size, corners[:, 1] + size)


def _seen_from(scene: Scene, taken: _Taken) -> Shaped[np.ndarray, " T"]:
    shapes, _ = moved(taken.squares, taken.crs, scene.georeference.crs)
    return in_pixels(shapes, scene.georeference)


def name_of(scene: Scene, tile: Tile) -> str:
    """Name of a tile: that of its scene, its first row, its first column."""
    return f"{scene.path.stem}_{tile.y:05d}_{tile.x:05d}"


def group_of(scene: Scene, tile: Tile) -> str:
    """Name of a tile's block."""
    return f"{scene.path.stem}_block_{tile.block[0]:02d}_{tile.block[1]:02d}"


def _write_tiles(out: Path, cut: CutScene, labels: Int32[np.ndarray, "H W"], size: int) -> None:
    import rasterio
    from rasterio.enums import ColorInterp
    from rasterio.windows import Window

    scene, dtype = cut.scene, "uint16" if labels.max(initial=0) < 2**16 else "int32"
    with rasterio.open(scene.path) as file:
        is_inverted = file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        is_rgb = [file.colorinterp[band - 1] for band in scene.bands] == [
            ColorInterp.red, ColorInterp.green, ColorInterp.blue,
        ]  # fmt: skip
        kind = "RGB" if is_rgb else "MINISWHITE" if is_inverted else "MINISBLACK"
        for tile in cut.plan.tiles:
            pixels = file.read(list(scene.bands), window=Window(tile.x, tile.y, size, size))
            place, ids = scene.georeference.at(tile.y, tile.x), labels[tile.y : tile.y + size, tile.x : tile.x + size]
            profile = {
                "driver": "GTiff", "height": size, "width": size, "compress": "deflate", "crs": crs_of(place),
                "transform": rasterio.Affine(*place.transform),
            }  # fmt: skip
            name = f"{name_of(scene, tile)}.tif"
            for folder, values, more in (
                ("images", pixels, {"photometric": kind}),
                ("labels", ids[None].astype(dtype), {}),
            ):
                extent = {"count": len(values), "dtype": values.dtype.name}
                with (
                    replacing(out / folder / name) as unfinished,
                    rasterio.open(unfinished, "w", **profile, **extent, **more) as written,
                ):
                    written.write(values)


def _write_tables(out: Path, done: Sequence[CutScene]) -> None:
    """The folder opens by its tables only, so a stopped command leaves none that looks whole."""
    tiles = [(one.scene, tile) for one in done for tile in one.plan.tiles]
    if not tiles:
        raise InputError(f"{out}: no tile could be cut; the reasons are above")
    groups = [(name_of(scene, tile), group_of(scene, tile)) for scene, tile in tiles]
    write_table(out / "groups.csv", [("picture", "group"), *groups])
    labels = [(name_of(scene, tile), NONE if tile.site is None else SITE) for scene, tile in tiles]
    write_table(out / "image_labels.csv", [("picture", "label"), *labels])
    fates = [(one.scene.path.stem, name, fate) for one in done for name, fate in one.fates.items()]
    write_table(out / "sites.csv", [("scene", "feature", "fate"), *fates], is_for_people=True)


def fates_of(done: Sequence[CutScene]) -> dict[str, str]:
    """By the name of a feature: `CUT` where it is cut from any scene, else why not; `BEYOND` where it is of all."""
    found: dict[str, str] = {}
    for one in done:
        for name, fate in one.fates.items():
            if fate == CUT or found.get(name, BEYOND) == BEYOND:
                found[name] = fate
    return found
