"""The examples in the docstrings of what people call most, run as they stand there."""

import doctest
import importlib
import inspect

import pytest

ROOMS = ("segjax.annotations", "segjax.evaluation", "segjax.models")
CALLED = [
    *((room, name) for room in ROOMS for name in importlib.import_module(room).__all__),
    ("segjax.maps", "overlay"),
    ("segjax.fewshot", "create_head"),
    ("segjax.training", "predict_tiled"),
]
FUNCTIONS = [(room, name) for room, name in CALLED if inspect.isfunction(getattr(importlib.import_module(room), name))]
NEED_FILES = ("load_torchvision", "load_smp")  # of PyTorch; tests/models/test_torchvision.py reads such files


@pytest.mark.parametrize(("room", "name"), FUNCTIONS)
def test_the_example_of_a_function_runs(room, name):
    function = getattr(importlib.import_module(room), name)
    known = vars(importlib.import_module(function.__module__))
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, module=False, globs=dict(known))
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    said: list[str] = []
    found = runner.run(test, out=said.append)
    assert found.failed == 0, "".join(said)
    assert test.examples and (found.attempted > 0 or name in NEED_FILES)
