"""Networks that find sites, those of a run of study 4B among them, and what they say about a scene."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float32, Int32, Key
from skimage.segmentation import clear_border

from experiments.harness.classifiers import LabelledDomain
from experiments.harness.options import overlaid
from experiments.harness.publish import config_of, table_of_run
from experiments.harness.store import TrainingStore
from experiments.outline_sites.options import OutlineOptions
from experiments.site_segmentation.findings import best_maps, best_of, learnt_by, title_of
from experiments.site_segmentation.grid import Config, Trial
from experiments.site_segmentation.operating import POINT, Point
from experiments.site_segmentation.study import STUDY, SiteTrainer, gate_of
from segjax.data.ground.georeference import metres_per_pixel
from segjax.data.ground.scene import Scene, picture_of
from segjax.data.spec import parse_spec
from segjax.sweeps import ResultTable
from segjax.sweeps.pace import in_words
from segjax.sweeps.plan import read_plan
from segjax.sweeps.trials import factors_of
from segjax.training import predict_tiled
from segjax.types import InputError, Network

LARGEST_DIFFERENCE = 0.1  # of the scene's pixels from the run's, as a fraction of these
BETWEEN_LINES = 20.0  # seconds
WINDOWS = 8  # that are computed at once


class Looking(NamedTuple):
    """A network that looks at a scene, with its variables."""

    network: Any
    variables: Any


class Finder(Protocol):
    """Networks that find sites: of a run of study 4B, or a folder of trained weights."""

    @property
    def title(self) -> str:
        """What the networks were trained on, in words."""
        ...

    @property
    def side(self) -> int:
        """Of the pictures that they were trained on, in pixels; windows in a scene are as large."""
        ...

    @property
    def channels(self) -> int:
        """Of the pictures that they were trained on."""
        ...

    @property
    def is_converted(self) -> bool:
        """Whether pictures in colour became grey for them, or grey ones coloured."""
        ...

    @property
    def scale(self) -> Literal["max", "dtype"]:
        """How the values of their pictures came to be from 0 to 1, as `segjax.data.read_picture` names it."""
        ...

    @property
    def metres(self) -> float | None:
        """Usual side of the pictures' pixels on the ground; None where that is not known."""
        ...

    def point(self, threshold: float | None) -> Point:
        """When a piece counts as a site: by a threshold, or else by what was chosen for the networks."""
        ...

    def looking(self, threshold: float | None) -> Iterator[Looking]:
        """The networks; with a threshold none of them is gated."""
        ...

    @property
    def count(self) -> int:
        """How many networks there are."""
        ...

    @property
    def smallest(self) -> tuple[float, str]:
        """Pixels of the smallest piece that counts unless another limit is given, and where that comes from."""
        ...


@dataclass(frozen=True)
class SiteRun:
    """A run of study 4B and the networks of it that look at the scene.

    Attributes:
        plan: as its plan.json holds it.
        domain: its pictures.
        table: its results.
        learnt: what the networks learnt from, as the trial of seed 0.
        seeds: of the networks: those whose trial ended well.
    """

    plan: dict[str, Any]
    config: Config
    domain: LabelledDomain
    table: ResultTable[Trial]
    learnt: Trial
    seeds: tuple[int, ...]

    def point(self, threshold: float | None) -> Point:
        """When a piece counts as a site: by a threshold, or else by the means of what was chosen for the networks."""
        if threshold is not None:
            return Point(threshold, is_outline=True)
        level, pixels, gate = (self.table.interval(metric, self.learnt) for metric in POINT)
        return Point(level.mean, pixels.mean, gate.mean) if level.n else Point()

    def gate(self, seed: int) -> float:
        """Least probability of a site by the classifier in a window, as chosen for the network of a seed; 0: any."""
        values = _of_trial(self.table, self.learnt, seed)
        return float(values["site_gate"].fillna(0.0).iloc[0]) if "site_gate" in values else 0.0

    @property
    def title(self) -> str:
        """What the networks were trained on, in words."""
        return title_of(self.config, self.learnt)

    @property
    def side(self) -> int:
        """Of the run's pictures, in pixels."""
        return self.domain.images.shape[1]

    @property
    def channels(self) -> int:
        """Of the run's pictures."""
        return self.domain.images.shape[3]

    @property
    def is_converted(self) -> bool:
        """Whether the run's pictures were made grey, or coloured."""
        return "channels" in parse_spec(self.config.source.data).options

    @property
    def scale(self) -> Literal["max", "dtype"]:
        """How the values of the run's pictures came to be from 0 to 1."""
        spec = parse_spec(self.config.source.data)
        return "max" if spec.scheme == "folder" and spec.options.get("scale", "max") == "max" else "dtype"

    @property
    def count(self) -> int:
        """How many networks there are."""
        return len(self.seeds)

    @property
    def smallest(self) -> tuple[float, str]:
        """Half of the smallest site that is outlined in the run's pictures, and no less than the run itself keeps."""
        half, least = smallest_area(self.domain.labels) / 2, self.config.minimum_area
        if half < least:
            return least, f"{least} pixels, the limit of the run itself"
        return half, "half of the smallest outlined site of the run"

    def looking(self, threshold: float | None) -> Iterator[Looking]:
        """The networks of all seeds; without a threshold gated where the run gated them."""
        trainer = SiteTrainer(self.config, self.domain)
        store, network = TrainingStore(self.config.run, trainer), trainer.network(self.learnt.network)
        for seed in self.seeds:
            trial, gate = replace(self.learnt, seed=seed), self.gate(seed) if threshold is None else 0.0
            found = Looking(network, store.load(trial).variables)
            if gate and (classifier := gate_of(self.config, trial)) is not None:
                gated = Gated(network, trainer.classifiers.network(classifier.network))
                parts = {"network": found.variables, "classifier": store.load(classifier).variables, "gate": gate}
                found = Looking(gated, parts)
            yield found

    @property
    def metres(self) -> float | None:
        """Usual side of the pictures' pixels on the ground; None where that is not known."""
        sizes = [side for place in self.domain.places if place is not None and (side := metres_per_pixel(place))]
        return float(np.median(sizes)) if sizes else None


def open_run(folder: Path, learnt: str) -> SiteRun:
    """The run, its pictures and results, and the networks that learnt from what is asked for.

    Raises:
        InputError: it cannot be read, is of another study, or learnt from shrunk pictures; nothing learnt from it.
    """
    plan = read_plan(folder)
    if (study := plan["study"]) != STUDY.name:
        raise InputError(f"run: {folder} is of the study {study}; name the --out folder of a run of {STUDY.name}")
    config = overlaid(config_of(Config, plan["config"]), {"run": {"out": folder}})
    sizes = replace(config.segmentation.sizes, encoder_weights="")  # networks that are trained start from no file
    config = overlaid(config, {"segmentation": {"sizes": sizes}})
    if "shrink" in parse_spec(config.source.data).options:
        raise InputError(
            f"run: {folder} was trained on pictures with shrink=, but scenes are not shrunk; give another run"
        )
    table = table_of_run(STUDY, folder, plan)
    chosen = learnt_of(table, config.segmentation.networks[0], learnt)
    return SiteRun(plan, config, STUDY.read(config), table, chosen, seeds_of(table, chosen))


def learnt_of(table: ResultTable[Trial], network: str, learnt: str) -> Trial:
    """The trial of seed 0 that learnt from it, or from the maps with the highest mean Dice.

    Raises:
        InputError: nothing learnt from it, or no network from maps; the message lists what there is.
    """
    known = learnt_by(table, network)
    asked = [trial for trial in known if trial.learnt == learnt]
    chosen = best_of(table, asked) if learnt else best_maps(table, network)
    if chosen is None:
        names = ", ".join(dict.fromkeys(one.learnt for one in known))
        raise InputError(f"learnt: no network of the run was trained on {learnt or 'maps'}; choose one of {names}")
    return chosen


def seeds_of(table: ResultTable[Trial], trial: Trial) -> tuple[int, ...]:
    """The seeds for which a trial ended well."""
    return tuple(sorted(_of_trial(table, trial)["seed"].tolist()))


def _of_trial(table: ResultTable[Trial], trial: Trial, seed: int | None = None) -> pd.DataFrame:
    """The rows of a trial that ended well: of one seed or of all."""
    setting = {name: value for name, value in factors_of(trial).items() if name != "seed"} | {"status": "ok"}
    setting |= {} if seed is None else {"seed": seed}
    return table.frame[(table.frame[[*setting]] == [*setting.values()]).all(axis=1)]


def smallest_area(labels: Int32[np.ndarray, "P H W"]) -> float:
    """Pixels of the smallest object; those that a picture's border cuts do not count, unless all are cut."""
    for pictures in ([clear_border(picture) for picture in labels], labels):
        areas = np.concatenate([np.bincount(picture.ravel())[1:] for picture in pictures])
        if (areas > 0).any():
            return float(areas[areas > 0].min())
    return 0.0


def check_scene(scene: Scene, run: Finder) -> float:
    """Refuse a scene that is not like the networks' pictures; gives the side of its pixels on the ground in metres.

    Raises:
        InputError: another number of bands, or pixels of another size on the ground, or of one that is not known.
    """
    own, here = run.channels, len(scene.bands)
    if own != here and not (run.is_converted and {own, here} == {1, 3}):
        raise InputError(
            f"{scene.path}: has {here} band(s), but the networks were trained on pictures of {own}; "
            f"give a scene of {own}, chosen for example with gdal_translate -b 1"
        )
    usual, found = run.metres, metres_per_pixel(scene.georeference, scene.known.shape)
    if found is None:
        raise InputError(
            f"{scene.path}: the size of its pixels in {scene.georeference.crs} is not known; reproject it, for example "
            "with gdalwarp -t_srs"
        )
    if usual is not None and abs(found / usual - 1) > LARGEST_DIFFERENCE:
        a, b, _, d, e, _ = scene.georeference.transform
        wanted = f"{np.sqrt(abs(a * e - b * d)) * usual / found:.6g}"  # in units of the scene's coordinate system
        raise InputError(
            f"{scene.path}: has pixels of {found:.3g} m, but the networks' pictures have pixels of {usual:.3g} m; "
            f"resample the scene, for example with gdalwarp -tr {wanted} {wanted} -r average"
        )
    return found


def read_scene(scene: Scene, run: Finder) -> Float32[np.ndarray, "H W C"]:
    """The scene with the channels and the brightness that the networks know from their own pictures.

    Raises:
        InputError: it cannot be read, is a mask, or has intensities that no picture can have.
    """
    image = picture_of(scene, run.scale, run.channels)
    if len(np.unique(image[scene.known])) <= 2:
        raise InputError(f"{scene.path}: has only two values or fewer, as a mask has; give the picture itself")
    return image


@dataclass(frozen=True)
class Gated:
    """A network that segments, of which windows stay empty where a classifier is not sure enough of a site.

    Its variables are those of the two, and "gate": the least probability of a site in a window.
    """

    network: Any
    classifier: Any

    def init(self, key: Key[Array, ""], image: Float32[Array, "B H W C"]) -> dict[str, Any]:
        """Variables of both before any training, and a gate that all windows pass."""
        return {"network": self.network.init(key, image), "classifier": self.classifier.init(key, image), "gate": 0.0}

    def apply(self, variables: Any, image: Float32[Array, "B H W C"]) -> Float32[Array, "B H W 2"]:
        """Logits; those of an empty window say that nothing is a site."""
        logits = self.network.apply(variables["network"], image)
        presence = jax.nn.softmax(self.classifier.apply(variables["classifier"], image))[:, 1]
        passes = presence >= variables["gate"]
        return jnp.where(passes[:, None, None, None], logits, jnp.asarray([0.0, -1e9], logits.dtype))


def probability_of(
    run: Finder, image: Float32[np.ndarray, "H W C"], options: OutlineOptions, say: Callable[[str], None]
) -> Float32[np.ndarray, "H W"]:
    """Of a site at every pixel: the mean of all networks.

    Args:
        say: told how far it is and how long the rest will take, every 20 seconds.
    """
    side, total = run.side, np.zeros(image.shape[:2], np.float32)
    first: tuple[float, float] | None = None  # time and share of the first windows, whose time was that of compilation
    last = time.monotonic()
    for place, (network, variables) in enumerate(run.looking(options.threshold)):

        def reached(share: float, place: int = place) -> None:
            nonlocal first, last
            now, done = time.monotonic(), (place + share) / run.count
            if first is None:
                first = now, done
            elif done < 1 and now - last > BETWEEN_LINES:
                last = now
                left = (now - first[0]) / (done - first[1]) * (1 - done)
                say(f"{100 * done:.0f} % of the scene looked at; about {in_words(left)} left")

        total += blended_probability(network, variables, image, side, round(options.overlap * side), reached)
    return total / run.count


def blended_probability(
    network: Any,
    variables: Any,
    image: Float32[np.ndarray, "H W C"],
    side: int,
    overlap: int,
    on_share: Callable[[float], None] = lambda share: None,
) -> Float32[np.ndarray, "H W"]:
    """Of a site, from windows of the size that the networks were trained on, of which neighbours share `overlap` px."""
    return predict_tiled(
        partial(_probabilities(network), variables),
        image,
        tile=side - overlap,
        halo=(overlap // 2, overlap - overlap // 2),
        blend=True,
        batch=WINDOWS,
        on_share=on_share,
    )[..., 1]


@lru_cache(maxsize=16)
def _probabilities(network: Network) -> Callable[..., Any]:
    """(variables, images) -> softmax; each picture alone, so that batch statistics are those of the picture."""
    return jax.jit(
        jax.vmap(lambda variables, image: jax.nn.softmax(network.apply(variables, image[None])[0]), (None, 0))
    )
