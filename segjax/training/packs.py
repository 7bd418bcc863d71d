"""Many trainings of one network at once: one after the other, in one vmapped step, spread over devices, or both."""

import contextlib
import queue
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from segjax.interruption import Stopped, check, later
from segjax.training.fit import Call, Fit, LoopConfig, Member, Pictures, rows_of, stop_where_asked, training
from segjax.training.memory import is_out_of_memory, without_memory
from segjax.training.parallel import cores
from segjax.training.steps import Steps
from segjax.types import InputError

STRATEGIES = ("sequential", "vmap", "spread", "both")
PROBE_STEPS = 4

Work = Generator[Call, Any, Any]  # a training, or a few steps of one


@dataclass(frozen=True)
class Layout:
    """How a pack is laid out.

    Attributes:
        workers: threads; each trains its share of the members, on a device of its own as far as there are any.
        together: members that share one vmapped step.
    """

    workers: int = 1
    together: int = 1


def layout_of(strategy: str, members: int) -> Layout:
    """The layout of a named strategy on the devices at hand.

    Args:
        strategy: "sequential": one after the other; "vmap": all in one step; "spread": over the devices, or where there
            is but one CPU device, over the cores; "both": spread, and each share in one step.
        members: size of the pack.

    Raises:
        InputError: another name.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"strategy: unknown {strategy!r}; choose one of auto, {', '.join(STRATEGIES)}")
    one_cpu = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    places = cores() if one_cpu else jax.local_device_count()
    workers = min(members, places) if strategy in ("spread", "both") else 1
    return Layout(workers, -(-members // workers) if strategy in ("vmap", "both") else 1)


def fit_pack(
    members: Sequence[Member],
    steps: Steps,
    config: LoopConfig,
    layout: Layout,
    on_smaller: Callable[[Layout], None] = lambda layout: None,
) -> Iterator[tuple[int, Fit | Exception]]:
    """Train every member; yields its index and its result, or the error that ended it alone, as it ends.

    A member gives the numbers it gives alone: the same bits where each has a step of its own; a vmapped step rounds
    differently. A member that diverges ends, or starts again, by itself. Where the memory does not suffice, those that
    it did not suffice for go on half as many at a time, with a warning.

    Args:
        on_smaller: called with every layout that takes the place of one that the memory did not suffice for.

    Raises:
        InputError: what is wrong with a member's pictures or the disk is wrong for all.
        Stopped: as `segjax.interruption` says, after each member has saved a checkpoint.

    >>> from segjax.models import create
    >>> from segjax.training import StepConfig, make_steps
    >>> from segjax.training.packs import Layout
    >>> pictures = Pictures(jnp.zeros((2, 8, 8, 1)), jnp.ones((2, 8, 8), jnp.int32))
    >>> members = [Member(jax.random.key(seed), pictures, pictures) for seed in (0, 1)]
    >>> steps = make_steps(create("msd", depth=1), StepConfig(learning_rate=0.1))
    >>> results = fit_pack(members, steps, LoopConfig(epochs=2), Layout())  # one after the other
    >>> [(index, result.status, len(result.losses)) for index, result in results]
    [(0, 'ok', 2), (1, 'ok', 2)]
    """
    left = list(range(len(members)))
    while left:
        smaller, again = _smaller(layout), []
        with contextlib.closing(drive([training(members[index], config) for index in left], steps, layout)) as results:
            while (found := _next(results)) is not None:
                index, result = left[found[0]], found[1]
                if isinstance(result, Exception):
                    check()  # libraries make errors of their own of a stop
                if smaller and isinstance(result, Exception) and is_out_of_memory(result):
                    again.append(index)
                else:
                    yield index, result
        if again and smaller:
            at_once, fewer = (one.workers * one.together for one in (layout, smaller))
            said = f"not enough memory for {at_once} trainings at once; continuing with {fewer}"
            warnings.warn(f"{said} (to start that way: --pack {fewer})", stacklevel=2)
            layout = smaller
            on_smaller(layout)
        left = again
    check()


def _smaller(layout: Layout) -> Layout | None:
    """Half as many members at a time; None where each has a memory to itself already."""
    if layout.together > 1:
        return Layout(layout.workers, layout.together // 2)
    is_shared = jax.default_backend() == "cpu" or layout.workers > jax.local_device_count()
    return Layout(layout.workers // 2, 1) if layout.workers > 1 and is_shared else None


def _next(results: Iterator[tuple[int, Any]]) -> tuple[int, Any] | None:
    found = None
    try:
        with later():
            found = next(results, None)
    except Stopped:
        if found is None:
            raise
    return found  # a stop waits until what has ended is kept


def candidate_layouts(members: int) -> dict[str, Layout]:
    """The layouts worth timing here, those that differ, by the name of their strategy.

    Sharing a step is no candidate on CPU: at every size measured it is slower than one after the other
    (`experiments/benchmarks/results/packs.csv`) and takes long to compile.
    """
    names = ("sequential", "spread") if jax.default_backend() == "cpu" else STRATEGIES
    layouts: dict[Layout, str] = {}
    for name in names:
        layouts.setdefault(layout_of(name, members), name)
    return {name: layout for layout, name in layouts.items()}


def time_layouts(
    members: Sequence[Member],
    steps: Steps,
    config: LoopConfig,
    layouts: Mapping[str, Layout],
    probe_steps: int = PROBE_STEPS,
) -> dict[str, float]:
    """Seconds per member and training step of each layout, from a few steps after as many that compile.

    A layout that the memory does not suffice for is left out.

    Raises:
        Exception: what ended a step of another one, or of all.
    """
    found, errors = {}, []
    for name, layout in layouts.items():
        try:
            found[name] = _seconds_per_step(members, steps, config, layout, probe_steps)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            errors.append(without_memory(error))
    if errors and not found:
        raise errors[0]
    return found


def _seconds_per_step(members, steps, config, layout, probe_steps) -> float:
    filling = members[: layout.workers * layout.together]
    for _ in range(2):  # the first round compiles
        states = [steps.init(member.key, jnp.asarray(first_batch(member.train, config)[0]), 0.0) for member in filling]
        jax.block_until_ready(states)
        began = time.monotonic()
        work = [_some_steps(*pair, config, probe_steps) for pair in zip(states, filling, strict=True)]
        for _, result in drive(work, steps, layout):
            if isinstance(result, Exception):
                raise result
        took = time.monotonic() - began
    return took / len(filling) / probe_steps


def _some_steps(state, member: Member, config: LoopConfig, count: int) -> Work:
    for _ in range(count):
        state, loss = yield Call("train", (state, *first_batch(member.train, config)))
    return loss.block_until_ready()


def first_batch(pictures: Any, config: LoopConfig) -> tuple[Any, Any]:
    """A batch of a member's pictures, and its targets; few pictures are repeated."""
    if not isinstance(pictures, Pictures):
        return pictures.first()
    rows = [row % len(pictures.images) for row in range(config.batch_size)]
    return tuple(rows_of(pictures, rows))


def drive(work: Sequence[Work], steps: Steps, layout: Layout) -> Generator[tuple[int, Any], None, None]:
    """Answer the calls of all pieces of work in a layout; yields index and result, or error, as each ends."""
    width = layout.together
    chunks = [dict(list(enumerate(work))[start : start + width]) for start in range(0, len(work), width)]
    stop = threading.Event()
    if layout.workers == 1:
        for chunk in chunks:
            yield from _in_step(chunk, steps, width, stop)
        return
    devices: queue.SimpleQueue[jax.Device] = queue.SimpleQueue()
    for worker in range(layout.workers):
        devices.put(jax.local_devices()[worker % jax.local_device_count()])
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    alone = jax.local_device_count() == 1  # naming the device would trace and compile everything once more

    def run(chunk: dict[int, Work]) -> None:
        device = devices.get()
        try:
            with contextlib.nullcontext() if alone else jax.default_device(device):
                for result in _in_step(chunk, steps, width, stop):
                    results.put(result)
        except BaseException as error:  # handed to the thread that waits for results
            results.put(error)
        finally:
            devices.put(device)

    with ThreadPoolExecutor(layout.workers) as pool:
        try:
            for chunk in chunks:
                pool.submit(run, chunk)
            for _ in work:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        except Stopped:
            pool.shutdown(cancel_futures=True)  # all save
            while not results.empty():
                if not isinstance(result := results.get(), BaseException):
                    yield result
            raise
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _in_step(work: dict[int, Work], steps: Steps, width: int, stop: threading.Event) -> Iterator[tuple[int, Any]]:
    """Answer the calls of all pieces of work, those alike in one go, until each has ended."""
    answers: dict[int, Any] = dict.fromkeys(work)
    waiting: dict[int, Call] = {}
    while answers or waiting:
        for index, answer in answers.items():
            try:
                waiting[index] = work[index].send(answer)
            except StopIteration as ended:
                yield index, ended.value
            except InputError:
                raise
            except Exception as error:
                yield index, without_memory(error)
        answers = {}
        stop_where_asked(work[index] for index in waiting)  # first, so that these save also where others have stopped
        if stop.is_set():
            return
        if waiting:
            # what most are waiting for goes first, so that those out of step fall in again
            kinds = {index: _kind(call) for index, call in waiting.items()}
            common = Counter(kinds.values()).most_common(1)[0][0]
            chosen = [index for index, kind in kinds.items() if kind == common]
            calls = [waiting.pop(index) for index in chosen]
            try:
                answers = dict(zip(chosen, _answer(calls, steps, width), strict=True))
            except InputError:
                raise
            except Exception as error:
                calls.clear()
                for index in chosen:
                    work[index].close()
                    yield index, without_memory(error)


def _kind(call: Call) -> tuple[Any, ...]:
    """Calls of one kind can be stacked."""
    return call.name, *(jnp.shape(leaf) for leaf in jax.tree.leaves(call.arguments[1:]))


def _answer(calls: Sequence[Call], steps: Steps, width: int) -> list[Any]:
    function = getattr(steps, calls[0].name)
    if width == 1 or calls[0].name == "init":  # initial weights cost too little to be compiled once more
        return [function(*call.arguments) for call in calls]
    # an ended member's place is filled by a copy of the last one, so that one compilation serves to the end
    filled = [*calls, *[calls[-1]] * (width - len(calls))]
    return _stacked(function)([call.arguments for call in filled])[: len(calls)]


@lru_cache(maxsize=16)
def _stacked(function):
    """Compiled function over a list of argument tuples: stacked, vmapped, and taken apart again."""

    @jax.jit
    def run(arguments):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *arguments)
        # unwrapped, because options of a compiled function may not be nested
        results = jax.vmap(getattr(function, "__wrapped__", function))(*stacked)
        return [jax.tree.map(lambda leaf, place=place: leaf[place], results) for place in range(len(arguments))]

    return run
