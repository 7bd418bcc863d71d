"""The switch for published protocols, the page that explains it, and the labels that are drawn."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.annotation_errors.pictures import drawn_targets, read
from experiments.harness.options import flags, overlaid
from experiments.harness.parsing import defaults_of, grid_of, parse, resolved
from experiments.harness.protocols import published
from experiments.publish import study_of
from segjax.types import InputError
from segjax.upgrade.estimate import change_outline

STUDIES, PROTOCOLS = ("annotation_errors", "annotation_upgrade"), ("miccai2022", "jimaging2024")
PAGE = Path(__file__).parents[2] / "experiments" / "PROTOCOLS.md"
SMALL = "microscope:hl60?size=quarter&volumes=6&slices=4&crop=104"


def leaves(settings):
    """The options of nested settings by their names alone; not those that came later and are not used."""
    for name, value in settings.items():
        nested = value
        if dataclasses.is_dataclass(value):
            later = {one.name for one in dataclasses.fields(value) if one.metadata.get("added")}
            nested = {one: own for one, own in vars(value).items() if one not in later}
        yield from leaves(nested) if isinstance(nested, dict) else [(name, value)]


def settings_as_written(study, protocol, data):
    """Every setting of the switch as the command line takes it."""
    by_name = {flag.lstrip("-").rpartition(".")[2]: flag for flag, _ in flags(study_of(study).base)}
    for name, value in leaves(study_of(study).published("paper", protocol, data)):
        flag = by_name[name.replace("_", "-")]
        if isinstance(value, bool):
            yield flag if value else re.sub(r"([a-z-]+)$", r"no-\1", flag.removeprefix("--")).join(("--", ""))
        elif isinstance(value, float):
            yield f"{flag} {value:f}".rstrip("0")
        elif name != "protocol":
            yield f"{flag} {value}"


@pytest.mark.parametrize(("protocol", "heading"), [("miccai2022", "First paper"), ("jimaging2024", "Second paper")])
def test_the_page_names_every_setting_of_the_switch_and_no_other(protocol, heading):
    section = re.search(rf"^## {heading}\n(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]
    named = set()
    for row in re.findall(r"^\|(.*)\|$", section, re.MULTILINE):
        what, _, sets, differs = row.split("|")
        assert what.strip() and differs.strip(), f"a row says nothing of what differs: {row}"
        named |= set(re.findall(r"`(--[^`]*)`", sets))
    of_study_2 = set(re.findall(r"`(--[^`]*)`", section.rpartition("|\n")[2]))
    made = {
        setting
        for study in STUDIES
        for data in ("microscope:hl60", "folder:x")
        for setting in settings_as_written(study, protocol, data)
    }
    assert made == named | of_study_2


def test_the_page_cites_both_papers():
    text = " ".join(PAGE.read_text().split())
    for citation in ("MIDL 2022, PMLR 172:1251-1267", "10(7), 172"):
        assert citation in text


@pytest.mark.parametrize("study", STUDIES)
def test_help_cites_both_papers_and_shows_what_the_protocol_sets(study, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        parse(study_of(study), ["--help", "--protocol", "jimaging2024"])
    text = capsys.readouterr().out
    assert "MIDL 2022, PMLR 172:1251-1267" in text and "J. Imaging 2024, 10(7), 172" in text
    assert "rounded up, but never all. (default: up)" in text


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_switch_sets_defaults_at_every_scale_and_refuses_what_contradicts_it(study, protocol):
    def parsed(*options):
        return parse(grid_of(study), ["--out", "x", "--protocol", protocol, *options])

    for scale in study_of(study).scales:
        config, plain = parsed("--scale", scale), parse(grid_of(study), ["--out", "x", "--scale", scale])
        assert config.annotations.scope == "dataset" and config.source.validation == "slice"
        assert not config.train.loop.shuffle and not config.train.loop.first_epoch_counts
        assert scale == "paper" or config.train.step == plain.train.step
    for options, message in (
        (("--scope", "volume"), rf"scope: volume contradicts --protocol {protocol}, which sets dataset; leave --scope"),
        (("--train.shuffle",), "train.shuffle: True contradicts"),
        (("--scale", "paper", "--train.learning-rate", "0.5"), "train.learning-rate: 0.5 contradicts"),
        (("--scale", "paper", "--sizes.norm", "running"), "sizes.norm: running contradicts"),
    ):
        with pytest.raises(InputError, match=message):
            parsed(*options)
    assert parsed("--scope", "dataset", "--seeds", "3").run.seeds == 3
    folder = parsed("--data", "folder:x?tile=64", "--errors", "bias=6" if study.endswith("upgrade") else "bias")
    assert folder.annotations.omission_rounding == "at_least_one" and folder.annotations.scope != "dataset"


def test_a_configuration_made_in_code_is_held_to_its_protocol_too(tmp_path):
    study = study_of("annotation_errors")
    config = overlaid(
        defaults_of(study, "smoke"), {"run": {"out": tmp_path}, "annotations": {"protocol": "miccai2022"}}
    )
    with pytest.raises(InputError, match="validation: group contradicts --protocol miccai2022"):
        resolved(study, config)


def test_without_the_switch_nothing_is_set():
    assert published("paper", "ours", "microscope:hl60") == {}


@pytest.fixture(scope="module")
def drawn():
    """Study 1 under a protocol: its pictures, and targets of training and validation pictures by error and strength."""

    def of(protocol, error, level, data=SMALL):
        study = study_of("annotation_errors")
        changes = {"run": {"out": Path("x")}, "source": {"data": data}}
        options = {"errors": ("omission", "inclusion", "bias"), "levels": (0.7, 12.0)}
        config = resolved(study, overlaid(defaults_of(study, "smoke", protocol, data), {**changes, **options}))
        if (protocol, data) not in opened:
            opened[protocol, data] = read(config)
        domain, split = opened[protocol, data].domain(error), opened[protocol, data].split(0)
        recipe = config.recipe(error, level, domain.source.coarsening)
        return domain, np.asarray((*split.train, *split.validation)), drawn_targets(domain, split, recipe, 0) > 0

    opened = {}
    return of


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_ids_are_omitted_in_all_volumes(drawn, protocol):
    domain, indices, masks = drawn(protocol, "omission", 0.7)
    labels = domain.labels[indices]
    kept, dropped = (set(np.unique(labels[masks == is_kept])) - {0} for is_kept in (True, False))
    assert len({domain.source.groups[index] for index in indices}) == 5
    assert not kept & dropped and len(dropped) == int(0.7 * 20) and len(kept) == 6


@pytest.mark.parametrize(("protocol", "expected"), [("miccai2022", 10), ("jimaging2024", 11)])
def test_included_ids_are_the_same_everywhere_and_rounded_as_published(drawn, protocol, expected):
    domain, indices, masks = drawn(protocol, "inclusion", 0.7)
    foreign = domain.foreign[indices]
    added = set(np.unique(foreign[masks])) - {0}
    assert len(set(np.unique(foreign)) - {0}) == 15  # 10.5 of them
    assert len(added) == expected and not added & set(np.unique(foreign[~masks]))


@pytest.mark.parametrize(("protocol", "is_per_slice"), [("miccai2022", False), ("jimaging2024", True)])
def test_outlines_differ_between_volumes_or_between_slices(drawn, protocol, is_per_slice):
    domain, indices, masks = drawn(protocol, "bias", 12.0)
    truth = domain.labels[indices] > 0
    steps = [_steps(mask, own) for mask, own in zip(masks, truth, strict=True)]
    by_volume = [{steps[place] for place in places} for places in domain.members(tuple(indices))]
    assert {abs(step) for step in steps} <= {1, 2, 3} and len(set(steps)) > 2
    assert any(len(some) > 1 for some in by_volume) == is_per_slice


def _steps(mask, truth):
    """By how many 3 x 3 squares a mask is wider (or, below 0, narrower) than the truth."""
    return next(q for q in (1, 2, 3, -1, -2, -3) if np.array_equal(change_outline(truth, q), mask))
