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


def text_of(study: str, scale: str) -> str:
    """Every option of a scale as the command line names it, in their order."""
    known = study_of(study)
    config = resolved(known, overlaid(defaults_of(known, scale), {"run": {"out": Path("OUT")}}))
    return "".join(f"{flag} {_shown(value)}".rstrip() + "\n" for flag, value in flags(config))


def _shown(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("study", study_names())
def test_a_scale_means_what_it_meant(study, scale):
    golden = GOLDENS / f"{study}_{scale}.txt"
    assert golden.exists(), "a new study or scale: run `python -m tests.experiments.test_configurations`"
    assert text_of(study, scale) == golden.read_text()


def test_there_is_no_text_of_a_scale_that_is_gone():
    expected = {f"{study}_{scale}.txt" for study in study_names() for scale in SCALES}
    assert {path.name for path in GOLDENS.iterdir()} == expected
    assert all(set(study_of(study).scales) == set(SCALES) for study in study_names())


if __name__ == "__main__":
    GOLDENS.mkdir(exist_ok=True)
    for path in GOLDENS.iterdir():
        path.unlink()
    for study in study_names():
        for scale in SCALES:
            (GOLDENS / f"{study}_{scale}.txt").write_text(text_of(study, scale))
