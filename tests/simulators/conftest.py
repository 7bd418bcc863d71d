"""Here the simulators draw whenever they are asked to."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def simulators_draw_once():
    """In place of that of all other tests."""
