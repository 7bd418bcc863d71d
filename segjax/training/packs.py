"""Many trainings of one network at once: one after the other, in one vmapped step, spread over devices, or both."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from segjax.training.fit import Call, Fit, LoopConfig, Member, Pictures, rows_of, training
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


def fit_pack(members: Sequence[Member], steps: Steps, config: LoopConfig, layout: Layout) -> Iterator[tuple[int, Fit]]:
    """Train every member; yields its index and its result as it ends.

    A member gives the numbers it gives alone: the same bits where each has a step of its own; a vmapped step rounds
    differently. A member that diverges ends, or starts again, by itself.
    """
    yield from drive([training(member, config) for member in members], steps, layout)


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
    members: Sequence[Member], steps: Steps, config: LoopConfig, layouts: Mapping[str, Layout]
) -> dict[str, float]:
    """Seconds per member and training step of each layout, from a few steps after those that compile."""
    return {name: _seconds_per_step(members, steps, config, layout) for name, layout in layouts.items()}


def _seconds_per_step(members, steps, config, layout) -> float:
    filling = members[: layout.workers * layout.together]
    for _ in range(2):  # the first round compiles
        states = [steps.init(member.key, jnp.asarray(_batch(member, config)[0]), 0.0) for member in filling]
        jax.block_until_ready(states)
        began = time.monotonic()
        for _ in drive([_some_steps(*pair, config) for pair in zip(states, filling, strict=True)], steps, layout):
            pass
        took = time.monotonic() - began
    return took / len(filling) / PROBE_STEPS


def _some_steps(state, member: Member, config: LoopConfig) -> Work:
    for _ in range(PROBE_STEPS):
        state, loss = yield Call("train", (state, *_batch(member, config)))
    return loss.block_until_ready()


def _batch(member: Member, config: LoopConfig) -> tuple[Any, Any]:
    if not isinstance(member.train, Pictures):
        return member.train.first()
    rows = [row % len(member.train.images) for row in range(config.batch_size)]
    return tuple(rows_of(member.train, rows))


def drive(work: Sequence[Work], steps: Steps, layout: Layout) -> Iterator[tuple[int, Any]]:
    """Answer the calls of all pieces of work in a layout; yields index and result as each ends."""
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
            with nullcontext() if alone else jax.default_device(device):
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
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _in_step(work: dict[int, Work], steps: Steps, width: int, stop: threading.Event) -> Iterator[tuple[int, Any]]:
    """Answer the calls of all pieces of work, those alike in one go, until each has ended."""
    answers: dict[int, Any] = dict.fromkeys(work)
    waiting: dict[int, Call] = {}
    while (answers or waiting) and not stop.is_set():
        for index, answer in answers.items():
            try:
                waiting[index] = work[index].send(answer)
            except StopIteration as ended:
                yield index, ended.value
        answers = {}
        if waiting:
            # what most are waiting for goes first, so that those out of step fall in again
            kinds = {index: _kind(call) for index, call in waiting.items()}
            common = Counter(kinds.values()).most_common(1)[0][0]
            chosen = [index for index, kind in kinds.items() if kind == common]
            calls = [waiting.pop(index) for index in chosen]
            answers = dict(zip(chosen, _answer(calls, steps, width), strict=True))


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
