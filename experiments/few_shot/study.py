"""Measuring the cells of the study: fits of one type and method at once, draw by draw."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int

from experiments.few_shot.config import StudyConfig
from experiments.few_shot.extractors import Extractors, all_labels
from experiments.few_shot.grid import ALL, ALL_LABELS, extractors_of, prediction_path
from experiments.few_shot.pictures import Sides, TypedPictures, shot_targets, sides_of
from experiments.pictures import split_of, stable_number
from experiments.running import plan_of
from experiments.training import blank_pictures, keep_arrays, keep_split, seconds_of, shown_of
from segjax.evaluation import OverlapCounts, counts, dice, f1, iou, overlaps
from segjax.fewshot import (
    CHOICES,
    Draws,
    Grid,
    create_head,
    draw_support,
    fit_grid,
    instances,
    shot_steps,
)
from segjax.fewshot import Pictures as Cached
from segjax.sweeps import Cell, Outcome
from segjax.training import LoopConfig, Pictures, Steps, fit, predict
from segjax.types import IGNORED

STUDY = "few_shot"
# options that say which cells there are; what each cell depends on is among its factors
GRID = ("banks", "shots", "features", "choices", "heads", "compare_shots", "ways")
Rows = list[dict[str, object]]


def make_plan(config: StudyConfig, pictures: TypedPictures, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `plan.json` holds."""
    # draws that are not nested depend on all numbers of shots
    grid = GRID if config.nested else tuple(name for name in GRID if name != "shots")
    return plan_of(STUDY, config, cells, {"digest": pictures.source.digest}, grid=grid)


class Trainer:
    """Runs the cells of one study, all of one kind at once."""

    def __init__(self, config: StudyConfig, pictures: TypedPictures, types: Mapping[int, str]) -> None:
        self._config, self._pictures, self._types = config, pictures, types
        self._classes = {name: new for new, name in types.items()}
        self.extractors = Extractors(config, pictures, types)
        self._cached = lru_cache(maxsize=1)(self._make_cached)
        self._way_steps = lru_cache(maxsize=1)(self._make_way_steps)
        self._compiled = cache(lambda name: (jax.jit(create_head(name).fit), jax.jit(create_head(name).predict)))

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train what the cells need, fit, and measure each: rows of results.csv and a line for people."""
        network, seed, method = (cells[0][name] for name in ("network", "seed", "method"))
        new = self._classes[cells[0]["type"]]
        split = split_of(self._pictures, self._config, seed)
        keep_split(self._config.out / "splits" / f"seed-{seed}.json", split, self._pictures)
        sides = sides_of(self._config, self._pictures, seed, new)
        if method == ALL_LABELS:
            self.extractors.ensure([all_labels(network, seed, new)], on_share)
            yield 0, self._reference(cells[0], sides, new)
            return
        draws = self._draws(seed, new, len(sides.support), self._shots(method))
        bank = self._config.banks[0] if cells[0]["bank"] == "none" else cells[0]["bank"]
        self.extractors.ensure(extractors_of(bank, network, seed, new, self._types), on_share)
        if method in self._config.ways:
            yield from self._trained(cells, sides, draws, new, on_share)
        else:
            yield from self._fitted(cells, sides, draws, new)

    def _shots(self, method: str) -> tuple[int, ...]:
        """Numbers of shots that a method is tried with."""
        config = self._config
        return tuple(sorted(config.shots if method == config.head else config.compare_shots))

    def _draws(self, seed: int, new: int, candidates: int, shots: tuple[int, ...]) -> Draws:
        """The draws of the study, for some of its numbers of shots; every method has the same ones."""
        key = jax.random.key(stable_number(f"draws {seed} {new}"))
        config = self._config
        whole = draw_support(key, np.ones(candidates, bool), config.shots, config.draws, config.nested)
        places = [whole.shots.index(count) for count in shots]
        return dataclasses.replace(whole, shots=shots, weights=whole.weights[:, places])

    def _make_cached(self, bank: str, network: str, seed: int, new: int) -> tuple[Any, Cached, Cached]:
        """The bank, and features and targets of the candidates and of the query pictures."""
        found = self.extractors.bank(bank, network, seed, new)
        sides = sides_of(self._config, self._pictures, seed, new)
        images = self._pictures.images
        targets = shot_targets(self._config, self._pictures, sides.support, new)
        support = Cached(found.stack([*images[sides.support]]), targets)
        return found, support, Cached(found.stack([*images[sides.query]]), self._pictures.masks(sides.query, new))

    def _fitted(self, cells: Sequence[Cell], sides: Sides, draws: Draws, new: int) -> Iterator[tuple[int, Outcome]]:
        """Heads: every draw, number of shots and number of features of the cells in one program."""
        first = cells[0]
        bank, support, query = self._cached(first["bank"], first["network"], first["seed"], new)
        # all numbers of shots and features whenever any is missing, so that a resumed study has the same bits
        features = sorted({cell["features"] for cell in cells} | set(self._features(first, len(bank))))
        choice = CHOICES[1] if first["choice"] == ALL else first["choice"]
        head = create_head(first["method"])
        key = jax.random.key(stable_number(f"features {first['seed']} {new}"))
        grid = fit_grid(key, head, support, query, draws, features, choice, bank.variance)
        for index, cell in enumerate(cells):
            place = draws.shots.index(cell["shots"]), features.index(cell["features"])
            rows = grid_rows(grid, *place)
            if cell["choice"] == ALL and cell["shots"] in self._config.compare_shots:
                rows += self._object_rows(cell, support, query, draws, grid.thresholds[:, *place], sides, new)
            yield index, Outcome(rows, "ok", 0, _summary(rows))

    def _features(self, cell: Cell, count: int) -> list[int]:
        if cell["choice"] == ALL:
            return [count]
        return [number for number in self._config.features if number < count]

    def _object_rows(
        self, cell: Cell, support: Cached, query: Cached, draws: Draws, limits: np.ndarray, sides: Sides, new: int
    ) -> Rows:
        """Objects that the first few draws predict with all features."""
        learn, answer = self._compiled(cell["method"])
        place, rows = draws.shots.index(cell["shots"]), []
        for draw in range(self._config.few_draws):
            own = draws.pictures[draw]
            params = learn(support.features[own], support.targets[own], draws.weights[draw, place])
            masks = np.stack([np.asarray(answer(params, one[None]))[0] > limits[draw] for one in query.features])
            rows.append(_row(draw, "f1", self._objects_found(masks, sides.query, new)))
            if draw == 0:
                self._show(cell, sides, masks, sides.support[draws.support(0, cell["shots"])])
        return rows

    def _trained(
        self, cells: Sequence[Cell], sides: Sides, draws: Draws, new: int, on_share: Callable[[float], None]
    ) -> Iterator[tuple[int, Outcome]]:
        """Rivals: a network trained on the shots of each of the first few draws."""
        few = self._config.few_draws
        for index, cell in enumerate(cells):
            rows: Rows = []
            statuses, restarts = [], 0
            for draw in range(few):
                chosen = sides.support[draws.support(draw, cell["shots"])]
                masks, status, again = self._on_shots(cell, chosen, sides, new, draw)
                rows += self._mask_rows(masks, sides, new, draw)
                statuses.append(status)
                restarts += again
                on_share((index + (draw + 1) / few) / len(cells))
                if draw == 0:
                    self._show(cell, sides, masks, chosen)
            status = next((each for each in statuses if each != "ok"), "ok")
            yield index, Outcome(rows, status, restarts, _summary(rows))

    def _on_shots(
        self, cell: Cell, chosen: Int[np.ndarray, " K"], sides: Sides, new: int, draw: int
    ) -> tuple[Bool[np.ndarray, "Q H W"], str, int]:
        shots = Pictures(self._pictures.images[chosen], shot_targets(self._config, self._pictures, chosen, new))
        steps = self._way_steps(cell["method"], cell["network"], cell["seed"], new)
        loop = self._way_loop(len(chosen))
        key = jax.random.fold_in(jax.random.key(stable_number(f"{cell['seed']} {new}")), draw)
        found = fit(key, steps, shots, shots, loop)
        return predict(steps, found.variables, self._pictures.images[sides.query]) > 0, found.status, found.restarts

    def _way_loop(self, shots: int) -> LoopConfig:
        """As extractors are trained, but for equally many steps whatever the number of shots, and to the end."""
        loop = self._config.train.loop
        steps = -(-shots // loop.batch_size)
        return dataclasses.replace(loop, epochs=-(-self._config.way_steps // steps), stop="fixed")

    def _make_way_steps(self, way: str, network: str, seed: int, new: int) -> Steps:
        extractor = self.extractors.bank(self._config.banks[0], network, seed, new).extractors[0]
        return shot_steps(extractor, self._config.train.step, way)

    def _reference(self, cell: Cell, sides: Sides, new: int) -> Outcome:
        """The network with all labels of the type."""
        masks, status, restarts = self.extractors.predicted(cell["network"], cell["seed"], new, sides.query)
        rows = self._mask_rows(masks, sides, new, None)
        self._show(cell, sides, masks, sides.support[:0])
        return Outcome(rows, status, restarts, _summary(rows))

    def _mask_rows(self, masks: Bool[np.ndarray, "Q H W"], sides: Sides, new: int, draw: int | None) -> Rows:
        truth = self._pictures.masks(sides.query, new)
        rows = count_rows(counts(masks, truth), draw)
        return [*rows, _row(draw, "f1", self._objects_found(masks, sides.query, new))]

    def _objects_found(self, masks: Bool[np.ndarray, "Q H W"], query: Int[np.ndarray, " Q"], new: int) -> float:
        """Mean over pictures of the F1 of objects; pictures without any in either are left out."""
        scores = []
        for mask, index in zip(masks, query, strict=True):
            judged = mask & (self._pictures.classes[index] != IGNORED)
            predicted = instances(judged, self._config.grouping)
            scores.append(f1(overlaps(predicted, self._pictures.objects(index, new))))
        known = [score for score in scores if score == score]
        return float(np.mean(known)) if known else float("nan")

    def _show(self, cell: Cell, sides: Sides, masks: Bool[np.ndarray, "Q H W"], shots: Int[np.ndarray, " K"]) -> None:
        """Keep a few masks of the first seed and draw, and which shots they come from, for the report's gallery."""
        if cell["seed"] == 0:
            new = self._classes[cell["type"]]
            shown = np.argsort(-self._pictures.areas[sides.query, new], kind="stable")[: len(shown_of(sides.query))]
            keep_arrays(
                prediction_path(self._config.out, cell), indices=sides.query[shown], masks=masks[shown], shots=shots
            )


def grid_rows(grid: Grid, shots: int, features: int) -> Rows:
    """Rows of every draw, for one place among the numbers of shots and one among those of features.

    Predicted is what scores above the threshold of the highest Dice on the shots; "_zero" is what scores above 0.
    """
    rows = []
    for draw in range(len(grid.thresholds)):
        at_zero, at_best = (
            OverlapCounts(*(np.asarray(part[draw, shots, features], np.int64) for part in (way.tp, way.fp, way.fn)))
            for way in (grid.at_zero, grid.at_best)
        )
        rows += count_rows(at_best, draw)
        rows.append(_row(draw, "dice_pooled_zero", float(dice(at_zero.pooled()))))
    return rows


def count_rows(each: OverlapCounts, draw: int | None) -> Rows:
    """Pooled Dice and IoU and the mean Dice of pictures (those without the type in either left out)."""
    per_picture = np.asarray(dice(each), float)
    mean = float(np.nanmean(per_picture)) if np.isfinite(per_picture).any() else float("nan")
    pooled = each.pooled()
    found = {"dice_pooled": float(dice(pooled)), "iou_pooled": float(iou(pooled)), "dice": mean}
    return [_row(draw, metric, value) for metric, value in found.items()]


def estimate(
    config: StudyConfig, pictures: TypedPictures, types: Mapping[int, str], cells: Sequence[Cell]
) -> tuple[float, float]:
    """Seconds and megabytes that the trainings of some cells will take, from a few timed steps of every kind.

    Fits of heads are not counted: they take less than the trainings.
    """
    extractors = Extractors(config, pictures, types)
    classes = {name: new for new, name in types.items()}
    trainings: dict[Cell, None] = {}
    for cell in cells:
        place = cell["network"], cell["seed"], classes[cell["type"]]
        needed = [all_labels(*place)]
        if cell["method"] != ALL_LABELS:
            needed = extractors_of(config.banks[0] if cell["bank"] == "none" else cell["bank"], *place, types)
        trainings |= dict.fromkeys(needed)
    split = split_of(pictures, config, 0)
    seconds = 0.0
    for kind in {extractors.kind_of(each): None for each in trainings}:
        count = sum(extractors.kind_of(each) == kind for each in trainings)
        blank = blank_pictures(pictures, config.train.loop)
        seconds += seconds_of(config, count, extractors.steps(kind), blank, len(split.train), len(split.validation))
    return seconds, len(cells) * config.draws * 4 * 120 / 1e6


def _row(draw: int | None, metric: str, value: float) -> dict[str, object]:
    picture = {} if draw is None else {"picture": f"draw-{draw:03d}"}
    return {**picture, "metric": metric, "value": f"{value:.6g}"}


def _summary(rows: Rows) -> str:
    pooled = [float(str(row["value"])) for row in rows if row["metric"] == "dice_pooled"]
    over = f", median of {len(pooled)} draws" if len(pooled) > 1 else ""
    return f"Dice {np.median(pooled):.3f}{over}"
