"""Mean teacher: pictures without a label teach a network to agree with the average of its own past weights.

Source: Tarvainen and Valpola, NeurIPS 2017; noise on the pictures and ramp-up as in its use for segmentation (Yu et
al., MICCAI 2019).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from segjax.training.augment import flip_and_turn
from segjax.training.steps import StepConfig, Steps, compiled, loss_of, make_steps, optimizer_of
from segjax.types import InputError, Network

TEACHER = "teacher"  # the collection of the model state that holds the teacher's weights


def make_mean_teacher_steps(
    network: Network, config: StepConfig, *, ramp_up: int, weight: float = 1.0, decay: float = 0.99, noise: float = 0.1
) -> Steps:
    """Compiled steps as `make_steps` gives them, for targets that are -1 wherever the label is unknown.

    Student and teacher see the same pictures, each with Gaussian noise of its own. The loss is the configuration's on
    the known pixels plus w(t) times the mean squared difference of the two softmax outputs over all pixels, where
    w(t) = weight exp(-5 (1 - min(t / ramp_up, 1))^2) in step t. After it the teacher's weights become
    d teacher + (1 - d) student with d = min(decay, 1 - 1 / (t + 1)). Validation and prediction are the teacher's.

    Args:
        network: one of any norm but "running".
        ramp_up: steps until the teacher counts fully, 1 or more.
        weight: of the agreement with the teacher.
        decay: share of the teacher that stays, 0 to 1.
        noise: standard deviation, in units of the picture's range, cut at twice its size.

    Raises:
        InputError: a network that keeps running averages, which student and teacher would share.
    """
    if getattr(network, "norm", "none") == "running":
        raise InputError('norm: a mean teacher does not work with norm="running"; choose "batch", "group" or "none"')
    plain, loss, optimizer = make_steps(network, config), loss_of(config), optimizer_of(config)

    def init(key, images, learning_rate=config.learning_rate):
        state = plain.init(key, images, learning_rate)
        # a copy: the step gives its state away, and no buffer twice
        return replace(state, model_state={**state.model_state, TEACHER: jax.tree.map(jnp.copy, state.params)})

    def noisy(key, images):
        return images + noise * jnp.clip(jax.random.normal(key, images.shape), -2, 2)

    def train(state, images, targets):
        for_turn, for_student, for_teacher = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        if config.augment:
            images, targets = flip_and_turn(for_turn, images, targets)
        teacher = state.model_state[TEACHER]
        aim = jax.nn.softmax(network.apply({"params": teacher}, noisy(for_teacher, images)))
        agreement = weight * jnp.exp(-5 * (1 - jnp.minimum(state.step / ramp_up, 1.0)) ** 2)

        def objective(params):
            logits = network.apply({"params": params}, noisy(for_student, images), train=True)
            return loss(logits, targets) + agreement * jnp.mean((jax.nn.softmax(logits) - aim) ** 2)

        value, gradient = jax.value_and_grad(objective)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state)
        params = jax.tree.map(lambda old, update: old - state.learning_rate * update, state.params, updates)
        kept = jnp.minimum(decay, 1 - 1 / (state.step + 1.0))
        teacher = jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, teacher, params)
        moved = replace(state, step=state.step + 1, params=params, model_state={TEACHER: teacher}, opt_state=opt_state)
        return moved, value

    return Steps(
        init,
        compiled(network, train, donate_argnums=0),
        lambda variables, images, targets: plain.validate(_teacher(variables), images, targets),
        lambda variables, images: plain.predict(_teacher(variables), images),
    )


def _teacher(variables):
    return {"params": variables[TEACHER]}
