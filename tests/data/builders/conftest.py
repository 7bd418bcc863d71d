"""A set from its owners' files to a source."""

import pytest

from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, prepare_files
from tests.data.builders.owners import OWNERS


@pytest.fixture
def prepared(tmp_path):
    """Write a set, change it, prepare it, and open it as users do."""

    def prepared(name, change=None, options=""):
        OWNERS[name](tmp_path / "files")
        if change is not None:
            change(tmp_path / "files")
        prepare_files(PUBLIC_SETS[name], tmp_path / "files", tmp_path / "sets")
        return open_source(f"tfds:{name}?dir={tmp_path}/sets{options}")

    return prepared
