"""The page of what was found: the scene and its sites, and how the networks did on held-out pictures."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy import ndimage

from experiments.harness.examples import Examples
from experiments.harness.page import cautions as run_cautions
from experiments.harness.provenance import opening, sources_of
from experiments.outline_sites.held_out import HeldOut
from experiments.outline_sites.networks import SiteRun
from experiments.outline_sites.options import OutlineOptions
from experiments.outline_sites.places import Found, Smallest, table_of
from experiments.outline_sites.shipped import ShippedSites
from experiments.site_segmentation.charts import STEPS, looks_of
from experiments.site_segmentation.findings import DICE, FALSE_ALARMS, FOUND, HALF, learnt_by, percent, title_of
from experiments.site_segmentation.operating import Point
from segjax.data.ground.scene import Scene
from segjax.evaluation import Interval
from segjax.evaluation.claims import format_interval, format_test_sets
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.reports import Chart, Gallery, Look, Page, Panel, chart, dot_chart, look, write_page
from segjax.reports.charts import means_said
from segjax.reports.gallery import PREDICTION_LEGEND, outline_layer, outline_legend
from segjax.reports.page import index_beside
from segjax.reports.scene import FOUND_LEGEND, scene_look

SHOWN, LOOKS = 100, 4  # sites in the table; in each row of the gallery
Box = tuple[slice, slice]
SITE, OTHER = 1, 2  # in pictures of a site: the site itself, others in view


def write_found_page(
    path: Path,
    options: OutlineOptions,
    scene: Scene,
    image: Float32[np.ndarray, "H W C"],
    run: SiteRun | ShippedSites,
    past: HeldOut,
    smallest: Smallest,
    found: Found,
) -> None:
    """One page about the sites of a scene.

    Raises:
        InputError: it cannot be written.
    """
    count = len(found.outlines)
    few = f"The {SHOWN} surest of {count} sites; all are in sites.csv beside this page"
    page = Page(
        title=f"Sites in {scene.path.name}",
        question=f"Where do networks trained on {run.title} find sites in the scene?",
        verdict=verdict(found, scene, past),
        notes=notes(options, scene, run, past),
        lead=Gallery(
            "The scene", "The slider takes the lines away.", ("scene", "sites"), FOUND_LEGEND,
            {"": [scene_look(f"{scene.path.name}: {amount(found)}", image, found.sites)]},
        ),
        table=table_of(found, scene).iloc[:SHOWN],
        table_title="Sites, the surest first" if count <= SHOWN else few,
        cautions=cautions(options, scene, run, past, smallest, found),
        charts={"held_out": held_out_chart(run, past)} if isinstance(run, SiteRun) else {},
        galleries=[
            *site_gallery(found, image, run.side),
            *(held_out_gallery(run) if isinstance(run, SiteRun) else []),
        ],
        glossary=(
            "A site's score is the mean probability over its pixels, from 0 to 1. Scores put the sites in order; they "
            "are not the probability that a site is real. Held-out pictures are those from which no network "
            "learnt. The Dice says how well the marked pixels cover the true sites: 1 is perfect, 0 is no overlap. "
            "A site counts as found where any of its pixels is marked. A false alarm is a picture without a site in "
            "which anything is marked."
        ),
        config={
            **dataclasses.asdict(options), "smallest_hectares": smallest.hectares,
            **({"learnt": run.learnt.learnt} if isinstance(run, SiteRun) else {}),
        },
        provenance=_origin(run),
        index=index_beside(path),
    )  # fmt: skip
    write_page(path, page)


def amount(found: Found) -> str:
    """Number and area of the sites, in words."""
    count = len(found.outlines)
    if not count:
        return "No site"
    return f"1 site of {found.hectares:.2g} ha" if count == 1 else f"{count} sites of {found.hectares:.1f} ha in all"


def verdict(found: Found, scene: Scene, past: HeldOut) -> str:
    """The answer in one sentence."""
    name, alarms = scene.path.name, past.false_positive_rate
    sites = f"{amount(found)} {'were' if len(found.outlines) > 1 else 'was'}"
    if past.has_failed:
        failed = f"the networks failed on held-out pictures (Dice {past.dice.mean:.3f})"
        return f"{sites} marked in {name}, but that means nothing: {failed}."
    if found.outlines and alarms.mean > HALF:
        return (
            f"{sites} marked in {name}, but most may be false alarms: the networks mark something in "
            f"{percent(alarms.mean)} of the held-out pictures that have no site."
        )
    return f"{sites} found in {name}; {past.rates}."


def notes(options: OutlineOptions, scene: Scene, run: SiteRun | ShippedSites, past: HeldOut) -> list[str]:
    """How many false alarms to expect, and how many test sets say so."""
    alarms, said = past.false_positive_rate, []
    parts = np.count_nonzero(scene.known) / run.side**2
    if alarms.n and parts >= 2 and options.threshold is None and not past.has_failed:
        said.append(
            f"The scene is as large as {parts:.0f} of the pictures that the networks learnt from. If it held no site "
            f"at all, about {alarms.mean * parts:.0f} of these {parts:.0f} parts would still show a false alarm."
        )
    if past.dice.n < REPLICATES_FOR_VERDICT:
        said.append(
            f"The values on held-out pictures come from {format_test_sets(past.dice.n)}; an interval needs "
            f"{REPLICATES_FOR_VERDICT}."
        )
    return said


def left_out(smallest: Smallest, point: Point, found: Found) -> str:
    """How many pieces were too small or not sure enough, and who says so."""
    limit = f"smaller than {smallest.hectares:.3g} ha ({smallest.reason})"
    said = f"{_pieces(found.dropped)} left out as {limit}. --smallest-hectares changes this limit."
    if found.unsure:
        said += (
            f" {_pieces(found.unsure)} left out with fewer than {point.pixels:.0f} pixels of a probability above "
            f"{point.level:.3g}. Both numbers were chosen on validation pictures; --threshold replaces them."
        )
    return said


def _pieces(count: int) -> str:
    return f"{count} pieces were" if count > 1 else "1 piece was" if count else "No piece was"


def cautions(
    options: OutlineOptions, scene: Scene, run: SiteRun | ShippedSites, past: HeldOut, smallest: Smallest, found: Found
) -> list[str]:
    """What to know before relying on the sites."""
    said = [*past.cautions, left_out(smallest, run.point(options.threshold), found)]
    if isinstance(run, SiteRun) and run.count < (wanted := run.config.run.seeds):
        said.append(f"{run.count} of the run's {wanted} networks ended well. Only these looked at the scene.")
    if options.threshold is not None:
        said.append(
            "The values on held-out pictures are for the level of the networks; here a threshold of "
            f"{options.threshold:g} takes its place."
        )
    if not scene.known.all():
        said.append(f"{percent(1 - float(scene.known.mean()))} of the scene has no data; nothing was looked for there.")
    if isinstance(run, ShippedSites):
        return [f"About the weights: {run.card.facts['about']['caution']}.", *said]
    about = run_cautions(run.config, run.domain.source, run.plan)
    return [*said, *(f"About the run: {caution}" for caution in about)]


def held_out_chart(run: SiteRun, past: HeldOut) -> Chart:
    """How the networks did beside the others of the run."""
    trials = [run.learnt, *(one for one in learnt_by(run.table, run.learnt.network) if one != run.learnt)]
    names = [title_of(run.config, one) for one in trials]
    dice, found, alarms = (
        {name: value for name, one in zip(names, trials, strict=True) if (value := run.table.interval(metric, one)).n}
        for metric in (DICE, FOUND, FALSE_ALARMS)
    )
    others = {name: value for name, value in dice.items() if name != names[0]}
    kinds = {"networks used here": {names[0]: dice[names[0]]}, "other networks of the run": others}
    trivial = {f"Dice of {past.trivial.name}": Interval(past.trivial.dice, np.nan, np.nan, past.dice.n)}
    rates = {"pictures with a site: found": found, "pictures without a site: false alarm": alarms}
    panels = [Panel("Dice", kinds, trivial), Panel("% of the held-out pictures", rates, is_share=True)]
    table = pd.DataFrame(
        {"trained on": name, "--learnt": one.learnt}
        | {metric: format_interval(run.table.interval(metric, one)) for metric in (DICE, FOUND, FALSE_ALARMS)}
        for name, one in zip(names, trials, strict=True)
    )
    return chart(
        f"T{past.rates[1:]}",
        "How did the networks of the run do on pictures from which they did not learn?",
        lambda narrow: dot_chart(panels, narrow=narrow),
        table,
        means_said(dice.values()),
    )


def site_gallery(found: Found, image: Float32[np.ndarray, "H W C"], tile: int) -> list[Gallery]:
    """Pictures of the surest sites, those in the middle, and the least sure ones."""
    count = len(found.outlines)
    numbers = np.arange(1, count + 1)
    middle = max(0, (count - LOOKS) // 2)
    groups = {"Surest": numbers[:LOOKS], "In the middle": numbers[middle:][:LOOKS], "Least sure": numbers[-LOOKS:]}
    if count <= len(groups) * LOOKS:
        groups = {"": numbers}
    boxes = ndimage.find_objects(found.sites)
    rows = {
        name: [_site_look(found, image, number, boxes[number - 1], tile) for number in some.tolist()]
        for name, some in groups.items()
    }
    legend = outline_legend({SITE: "the site", OTHER: "other sites"}, has_ignored=False)
    caption = "Each picture has the size of the networks' window, or that of the site where this is larger."
    return [Gallery("Sites in the scene", caption, ("picture", "site"), legend, rows)] if count else []


def _site_look(found: Found, image: Float32[np.ndarray, "H W C"], number: int, box: Box, tile: int) -> Look:
    outline = found.outlines[number - 1]
    cut = tuple(_around(part, tile, size) for part, size in zip(box, found.sites.shape, strict=True))
    sites = found.sites[cut]
    classes = np.where(np.arange(1, sites.max() + 1) == number, SITE, OTHER)
    caption = f"Site {number}: {outline.hectares:.2g} ha, score {outline.score:.2f}"
    return look(caption, image[cut], outline_layer(sites, classes))


def _around(part: slice, least: int, size: int) -> slice:
    """A slice around another, with a margin, of no less than a side where the size allows it."""
    side = max(least, round(1.3 * (part.stop - part.start)))
    start = min(max(0, (part.start + part.stop - side) // 2), max(0, size - side))
    return slice(start, min(start + side, size))


def held_out_gallery(run: SiteRun) -> list[Gallery]:
    """What the network of seed 0 found in a few test pictures, as the study kept it."""
    kept = Examples(run.config.run.out / "examples").load(run.learnt)
    if kept is None:
        return []
    caption = "What the network of seed 0 found in pictures from which it did not learn."
    return [Gallery("Held-out pictures", caption, STEPS, PREDICTION_LEGEND, {"": looks_of(run.domain, kept)})]


def _origin(run: SiteRun | ShippedSites) -> Mapping[str, object]:
    here = opening("outline_sites", sources_of("outline_sites"))
    own = {name: here[name] for name in ("command", "commit", "code", "machine")}
    if isinstance(run, ShippedSites):
        made = {f"weights: {name}": text for name, text in run.facts["made by"].items()}
        return {**own, **made, "weights: SHA-256": run.facts["sha256"], **here["versions"]}
    there = run.plan["openings"][-1]
    return {
        **own,
        "run": {name: there[name] for name in ("command", "commit", "code")},
        "run: configuration fingerprint": run.plan["fingerprint"],
        **here["versions"],
    }
