"""Learning the type, holding its shots out in turn, and segmenting every picture."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from experiments.segment_new_type.config import KEPT, NewTypeOptions, check_options, refuse_files_in_the_way
from experiments.segment_new_type.measures import Measured, amount, as_shot, cautions, measured, of_weights, summary
from experiments.segment_new_type.pictures import (
    Annotated,
    checked_query,
    open_bank,
    open_shots,
    query_paths,
    read_query,
    read_shots,
)
from segjax.data import write_labels
from segjax.fewshot import FeatureBank, NewType, create_head
from segjax.fewshot.held_out import folds_of, held_out
from segjax.fewshot.segment import Shot, Shots

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Example:
    """A held-out shot: its picture, its objects, and those that were found; pixels that nobody judged are 0 in both."""

    shot: Shot
    image: Float32[np.ndarray, "H W C"]
    truth: Int32[np.ndarray, "H W"]
    found: Int32[np.ndarray, "H W"]


@dataclass(frozen=True, eq=False)
class Segmented:
    """What the command made.

    Attributes:
        learnt: the type, with what is known of its shots.
        pictures: one entry for each picture, in order of their names.
        paths: of these pictures.
        labels: of the label images.
        examples: held-out shots; () with a type of an earlier run, which does not keep them.
        known: what trained weights say of shots and pictures; see `of_weights`.
    """

    learnt: NewType
    pictures: tuple[Measured, ...]
    paths: tuple[Path, ...]
    labels: tuple[Path, ...]
    examples: tuple[Example, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def cautions(self) -> list[str]:
        """What a user has to know before relying on the objects."""
        return [*self.known, *cautions(self.learnt, self.pictures)]


def segment_folder(options: NewTypeOptions, say: Say = lambda line: None) -> Segmented:
    """Write a label image for every picture to segment, and the type. Nothing is written before all can be read.

    Args:
        say: is told, line by line, what is going on.

    Raises:
        InputError: options that cannot be meant, pictures or extractors that cannot be used, or files in the way.
    """
    check_options(options)
    bank, paths = open_bank(options.extractors), query_paths(options.query)
    targets = [options.out / f"{path.stem}.tif" for path in paths]
    refuse_files_in_the_way(options, targets)
    examples: tuple[Example, ...] = ()
    if options.learnt is None:
        assert options.shots is not None  # `check_options` has refused
        source, reading = open_shots(options.shots, options.target)
        digests = checked_query(paths, bank, reading)
        learnt, examples = _learn(options, read_shots(source, options.target, bank), bank, say)
        learnt = replace(learnt, reading=reading)
        learnt.save(options.out / KEPT)
    else:
        learnt = NewType.load(options.learnt, bank)
        digests = checked_query(paths, bank, learnt.reading)
    known = of_weights(options.extractors, learnt.shots, digests)
    pictures = [_segment(learnt, bank, *places, say) for places in zip(paths, targets, strict=True)]
    return Segmented(learnt, tuple(pictures), tuple(paths), tuple(targets), examples, known)


def _segment(learnt: NewType, bank: FeatureBank, path: Path, target: Path, say: Say) -> Measured:
    image = read_query(path, learnt.reading)
    labels, confidence = learnt.find(bank, image)
    write_labels(target, labels)
    found = measured(path.stem, image, labels, confidence, learnt.shots)
    say(f"written: {target}, {amount(found.objects, 'object')}")
    return found


def _learn(
    options: NewTypeOptions, annotated: Annotated, bank: FeatureBank, say: Say
) -> tuple[NewType, tuple[Example, ...]]:
    shots = Shots(bank, annotated.images, annotated.masks, create_head(options.head), options.objects)
    began = time.monotonic()
    learnt = shots.learn()
    seconds = time.monotonic() - began
    say(f"learnt the type from {amount(len(shots), 'shot')} in {seconds:.0f} s")
    facts = [
        as_shot(measured(name, image, mask), group, image, mask)
        for name, group, image, mask in zip(
            annotated.names, annotated.groups, annotated.images, annotated.masks, strict=True
        )
    ]
    folds = folds_of(annotated.groups) if options.check else ()
    if not folds:
        return replace(learnt, shots=tuple(facts)), ()
    say(
        f"holding shots out: learning {len(folds)} more times takes up to {len(folds) * seconds:.0f} s (--no-check "
        "skips it)"
    )
    examples = tuple(_examples(shots, facts, folds))
    by_name = {one.shot.name: one.shot for one in examples}
    checked = tuple(by_name[one.name] for one in facts)
    dice, f1 = (summary(checked, metric) for metric in ("dice", "f1"))
    say(
        f"held-out shots: Dice {dice.mean:.3f} ({dice.lowest:.3f} to {dice.highest:.3f}), object F1 {f1.mean:.3f} "
        f"({f1.lowest:.3f} to {f1.highest:.3f})"
    )
    return replace(learnt, shots=checked), examples


def _examples(shots: Shots, facts: Sequence[Shot], folds: Sequence[Sequence[int]]) -> list[Example]:
    found = []
    for one in held_out(shots, folds):
        shot = facts[one.place]._replace(fold=one.fold, dice=one.dice, f1=one.f1, confidence=one.confidence)
        truth = shots.labels[one.place]
        found.append(Example(shot, shots.images[one.place], np.maximum(truth, 0), np.where(truth < 0, 0, one.labels)))
    return found
