"""Measuring the cells of the study: classifiers, maps, references and cues."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.activation_maps import cues
from experiments.activation_maps.config import StudyConfig
from experiments.activation_maps.grid import CLASSIFIER, CUES, FIXED_DISC, MATCHED_DISC, REFERENCE, training_of
from experiments.activation_maps.measure import (
    Chosen,
    Rows,
    blurred,
    choose,
    explainer,
    localisation_rows,
    mask_rows,
    median_radius,
    sanity,
)
from experiments.classifiers import Classifiers, LabelledDomain
from experiments.kept_trainings import name_of
from experiments.harness.map_options import OURS
from experiments.pictures import stable_number
from experiments.running import plan_of
from experiments.training import keep_arrays, keep_split, seconds_of
from segjax.data import Split
from segjax.evaluation import (
    accuracy,
    area_matched_discs,
    balanced_accuracy,
    coarse_map,
    fixed_discs,
    mean_roc_auc,
    shuffled,
)
from segjax.maps import Explainer, layer_shapes, refuse_unusable
from segjax.models import Probe
from segjax.sweeps import Cell, Outcome
from segjax.training import predict_logits
from segjax.training.fit import in_batches

STUDY = "activation_maps"
GRID = ("questions", "classifiers", "maps", "moments", "moment_maps")  # options that only say which cells there are
DISC_METRES = 75.0
SANITY_PICTURES = 4
SHOWN = 3  # pictures whose maps are kept for the report
ROWS_OF_A_PICTURE = 24


def make_plan(config: StudyConfig, domain: LabelledDomain, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `plan.json` holds."""
    return plan_of(STUDY, config, cells, {"digest": domain.source.digest}, grid=GRID)


def check_maps(config: StudyConfig, domain: LabelledDomain) -> None:
    """Refuse, before anything is written, classifiers that have nothing to make maps of on these pictures.

    Raises:
        InputError: names the layer, and those that there are.
    """
    explorer, image = Explorer(config, domain), jnp.asarray(domain.images[:1])
    for name in config.classifiers:
        network = explorer.classifiers.network(name)
        variables = jax.eval_shape(network.init, jax.random.key(0), image)
        layers = network.map_layers
        layer_shapes(Probe(network), variables, image, [layers.pooled, layers.deep, *layers.fused])


class Explorer:
    """Runs packs of cells of one study."""

    def __init__(self, config: StudyConfig, domain: LabelledDomain) -> None:
        """Nothing is computed before cells are run."""
        self._config, self._domain = config, domain
        self.classifiers = Classifiers(config, domain)
        self.map_of = functools.cache(self._create_map)
        self._explain = functools.cache(lambda name: explainer(self._probe(name), config.map_options.removal_steps))
        self._score = functools.cache(lambda name: cues.scorer(self._probe(name)))
        self.chosen: Callable[[int], Chosen] = functools.cache(self._choose)
        self._looked_at = functools.lru_cache(maxsize=1)(self._look_at)

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train what the cells need, and measure each: rows of results.csv and a line for people."""
        for seed in {cell["seed"] for cell in cells}:
            keep_split(self._config.out / "splits" / f"seed-{seed}.json", self._split(seed), self._domain)
        trained = [training_of(cell) for cell in cells if cell["network"] != REFERENCE]
        self.classifiers.ensure(trained, on_share)
        for index, cell in enumerate(cells):
            yield index, self._measure(cell)
            on_share((index + 1) / len(cells))

    def _create_map(self, network: str, kind: str) -> Explainer:
        return self._config.map_options.create(kind, self.classifiers.network(network))

    def _probe(self, network: str) -> Probe:
        return Probe(self.classifiers.network(network))

    def _split(self, seed: int) -> Split:
        return self.classifiers.split(seed)

    def _choose(self, seed: int) -> Chosen:
        return choose(self._domain, self._split(seed), self._config.budget, self._config.pictures)

    def _look_at(self, training: Cell) -> tuple[Any, np.ndarray]:
        """A trained classifier, and what a cell of the layers of our map sees in pixels."""
        trained, chosen = self.classifiers.load(training), self.chosen(training["seed"])
        ours = self.map_of(training["network"], OURS)
        return trained, ours.blurs(trained.variables, self._domain.images[chosen.all])

    def _measure(self, cell: Cell) -> Outcome:
        if cell["network"] == REFERENCE:
            rows = self._reference(cell["map"], cell["seed"])
            return Outcome(rows, "ok", 0, _said(rows))
        trained, blurs = self._looked_at(training_of(cell))
        if cell["map"] == CLASSIFIER:
            rows = [*self._classifier(cell, trained.variables), {"metric": "blur_px", "value": float(blurs[-1])}]
        elif cell["map"] == CUES:
            rows = self._cues(cell, trained.variables)
        else:
            rows = self._map(cell, trained.variables, blurs)
        return Outcome(rows, trained.status, trained.restarts, f"{_said(rows)} ({trained.status})")

    def _classifier(self, cell: Cell, variables: Any) -> Rows:
        test = list(self._split(cell["seed"]).test)
        logits = predict_logits(self.classifiers.network(cell["network"]), variables, self._domain.images[test])
        predicted, truth = logits.argmax(1).astype(np.int32), self._domain.presence[test]
        values = {
            "auc": mean_roc_auc(logits, truth),
            "accuracy": accuracy(predicted, truth),
            "balanced_accuracy": balanced_accuracy(predicted, truth),
        }
        return [{"metric": name, "value": value} for name, value in values.items()]

    def _map(self, cell: Cell, variables: Any, blurs: np.ndarray) -> Rows:
        kind, seed, chosen = cell["map"], cell["seed"], self.chosen(cell["seed"])
        explain = functools.partial(self.map_of(cell["network"], kind), key=jax.random.key(seed), blurs=blurs)
        images = self._domain.images[chosen.all]
        maps = explain(variables, images)
        refuse_unusable(maps, [self._domain.source.names[index] for index in chosen.all])
        rows = localisation_rows(maps, chosen, self._domain)
        first = len(chosen.budget)
        tested = slice(first, first + len(chosen.shown))
        rows += self._faithfulness(cell, variables, images[tested], maps[tested])
        few = slice(first, first + min(SANITY_PICTURES, len(chosen.shown)))
        params = variables["params"]
        other = {**variables, "params": shuffled(jax.random.key(seed), params, list(params))}
        similar = sanity(maps[few], explain(other, images[few]))
        rows.append({"metric": "sanity", "value": similar})
        if seed == 0 and cell["epochs"] == 0:
            self._show(cell, maps[tested], chosen)
        return rows

    def _faithfulness(self, cell: Cell, variables: Any, images: np.ndarray, maps: np.ndarray) -> Rows:
        explain, key = self._explain(cell["network"]), jax.random.key(cell["seed"])
        found = [explain(key, variables, *batch) for batch in in_batches((images, blurred(images), maps))]
        names = [self._domain.source.names[index] for index in self.chosen(cell["seed"]).shown]
        rows: Rows = []
        for metric in found[0]:
            values = np.concatenate([np.asarray(batch[metric]) for batch in found])
            named = zip(names, values, strict=False)  # the last batch is filled up
            rows += [{"picture": name, "metric": metric, "value": f"{value:.6g}"} for name, value in named]
        return rows

    def _cues(self, cell: Cell, variables: Any) -> Rows:
        chosen, domain = self.chosen(cell["seed"]), self._domain
        if not domain.outlined[list(chosen.shown)].all():
            return []
        score = self._score(cell["network"])

        def odds(indices: Sequence[int], removed: np.ndarray) -> np.ndarray:
            batches = in_batches((domain.images[list(indices)], removed))
            return np.concatenate([np.asarray(score(variables, *batch)) for batch in batches])[: len(indices)]

        nothing = np.zeros((len(chosen.shown), *domain.labels.shape[1:]), bool)
        parts = [cues.regions(domain.labels[index] > 0) for index in chosen.shown]
        masks = {region: np.stack([part[region] for part in parts]) for region in parts[0]}
        empty = odds(chosen.empty, np.zeros((len(chosen.empty), *nothing.shape[1:]), bool))
        removed = {region: odds(chosen.shown, mask) for region, mask in masks.items()}
        alone = {region: odds(chosen.shown, ~masks[region]) for region in cues.REGIONS}
        rows = cues.cue_rows(odds(chosen.shown, nothing), float(np.mean(empty)), removed, alone)
        return rows + [{"metric": f"cue_area_{region}", "value": float(m.mean())} for region, m in masks.items()]

    def _reference(self, kind: str, seed: int) -> Rows:
        """Discs with the true centre, and maps that only the stride of their layer limits."""
        chosen, domain = self.chosen(seed), self._domain
        if not (chosen.budget and domain.outlined[list(chosen.shown)].all()):
            return []
        truths = domain.labels[chosen.all] > 0
        shown = truths[len(chosen.budget) :][: len(chosen.shown)]
        if kind == FIXED_DISC:
            radius = DISC_METRES / domain.metres if domain.metres else median_radius(truths[: len(chosen.budget)])
            return mask_rows(np.stack([fixed_discs(truth, radius) for truth in shown]), chosen, domain)
        if kind == MATCHED_DISC:
            return mask_rows(np.stack([area_matched_discs(truth) for truth in shown]), chosen, domain)
        stride = int(kind.removeprefix("stride "))
        generator = np.random.default_rng([seed, stride, stable_number(kind)])
        offsets = generator.integers(0, stride, (len(truths), 2))
        maps = [coarse_map(truth, stride, (int(y), int(x))) for truth, (y, x) in zip(truths, offsets, strict=True)]
        return localisation_rows(np.stack(maps).astype(np.float32), chosen, domain)

    def _show(self, cell: Cell, maps: np.ndarray, chosen: Chosen) -> None:
        """Keep a few maps for the report's panel."""
        places = np.linspace(0, len(maps) - 1, min(SHOWN, len(maps))).astype(int)
        path = self._config.out / "maps" / f"{name_of(cell)}.npz"
        keep_arrays(path, indices=np.asarray(chosen.shown)[places], maps=maps[places])


def _said(rows: Rows) -> str:
    """The few numbers of a cell that people want to see first."""
    shown = []
    for metric in ("auc", "accuracy", "iou", "boundary_f_4px", "road", "cue_lost_without_inside"):
        values = [float(str(row["value"])) for row in rows if row["metric"] == metric]
        if values:
            shown.append(f"{metric} {np.mean(values):.3f}")
    return ", ".join(shown) or "nothing to measure"


def estimate(config: StudyConfig, domain: LabelledDomain, cells: Sequence[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed training steps of every classifier."""
    explorer = Explorer(config, domain)
    split, chosen = explorer.classifiers.split(0), explorer.chosen(0)
    seconds, rows = 0.0, 0
    for name in dict.fromkeys(cell["network"] for cell in cells if cell["network"] != REFERENCE):
        alike = [cell for cell in cells if cell["network"] == name]
        trained = len({training_of(cell) for cell in alike})
        steps, blank = (
            explorer.classifiers.steps_of(name),
            explorer.classifiers.pictures(range(config.train.batch_size)),
        )
        training = seconds_of(config, trained, steps, blank, len(split.train), len(split.validation))
        per_pass = training / max(trained, 1) / config.train.epochs / len(split.train) / 3  # a step is three passes
        image = jnp.asarray(domain.images[:1])
        shapes = jax.eval_shape(explorer.classifiers.network(name).init, jax.random.key(0), image)
        faithfulness = 2 * config.map_options.removal_steps + 14
        for cell in alike:
            if cell["map"] not in (CLASSIFIER, CUES):
                passes = explorer.map_of(name, cell["map"]).cost(shapes, image)
                seconds += per_pass * (len(chosen.all) * passes + len(chosen.shown) * faithfulness)
                rows += ROWS_OF_A_PICTURE * len(chosen.shown)
        seconds += training
    return seconds, rows * 100 / 1e6
