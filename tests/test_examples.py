"""Every public function has an example in its docstring, which runs as it stands there."""

import doctest
import importlib
import inspect

import pytest

from experiments.benchmarks.api_pages import rooms

PUBLIC = [(room, name, getattr(module, name)) for room, module in rooms().items() for name in module.__all__]
FUNCTIONS = [(room, name) for room, name, thing in PUBLIC if inspect.isroutine(thing) or ">>>" in (thing.__doc__ or "")]
NEED_FILES = ("load_torchvision", "load_smp")  # of PyTorch; tests/models/test_torchvision.py reads such files


@pytest.mark.parametrize(("room", "name"), FUNCTIONS)
def test_the_example_of_a_function_runs(room, name):
    function = getattr(importlib.import_module(room), name)
    known = vars(importlib.import_module(function.__module__))
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, module=False, globs=dict(known))
    assert any(f"{name}(" in example.source for example in test.examples), "no example calls it"
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    said: list[str] = []
    found = runner.run(test, out=said.append)
    assert found.failed == 0, "".join(said)
    assert found.attempted > 0 or name in NEED_FILES
