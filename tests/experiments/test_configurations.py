"""Every scale of every study is built, and its resolved form is held as text, so that it changes on purpose only.

Where a study or scale is new, or one is changed on purpose, write the texts anew and commit them:

    python -m tests.experiments.test_configurations
"""

from pathlib import Path

import pytest

from experiments.harness.options import flags, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.publish import study_names, study_of

GOLDENS = Path(__file__).parent / "goldens"
SCALES = ("smoke", "demo", "reduced", "paper")


PUBLISHED = tuple(
    (study, protocol, data)
    for study in ("annotation_errors", "annotation_upgrade")
    for protocol in ("miccai2022", "jimaging2024")
    for data in ("microscope:hl60", "folder:PICTURES")
)


def text_of(study: str, scale: str, protocol: str = "ours", data: str | None = None) -> str:
    """Every option of a scale and protocol as the command line names it, in their order."""
    known = study_of(study)
    changes = {"run": {"out": Path("OUT")}, "source": {"data": data} if data else {}}
    config = resolved(known, overlaid(defaults_of(known, scale, protocol, data), changes))
    return "".join(f"{flag} {_shown(value)}".rstrip() + "\n" for flag, value in flags(config))


def _shown(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("study", study_names())
def test_a_scale_means_what_it_meant(study, scale):
    golden = GOLDENS / f"{study}_{scale}.txt"
    assert golden.exists(), "a new study or scale: run `python -m tests.experiments.test_configurations`"
    assert text_of(study, scale) == golden.read_text()


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: _named(*published))
def test_a_protocol_means_what_it_meant(published):
    study, protocol, data = published
    assert text_of(study, "paper", protocol, data) == (GOLDENS / _named(*published)).read_text()


def _named(study, protocol, data):
    return f"{study}_paper_{protocol}_{data.partition(':')[0]}.txt"


def test_there_is_no_text_of_a_scale_that_is_gone():
    expected = {f"{study}_{scale}.txt" for study in study_names() for scale in SCALES}
    assert {path.name for path in GOLDENS.iterdir()} == expected | {_named(*published) for published in PUBLISHED}
    assert all(set(study_of(study).scales) == set(SCALES) for study in study_names())


if __name__ == "__main__":
    GOLDENS.mkdir(exist_ok=True)
    for path in GOLDENS.iterdir():
        path.unlink()
    for study in study_names():
        for scale in SCALES:
            (GOLDENS / f"{study}_{scale}.txt").write_text(text_of(study, scale))
    for study, protocol, data in PUBLISHED:
        (GOLDENS / _named(study, protocol, data)).write_text(text_of(study, "paper", protocol, data))
