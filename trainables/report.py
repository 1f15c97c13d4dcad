"""Defines the reports of a trial, and summarizes the numbers of its lanes."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypedDict

from trainables.diagnostics import Measured
from trainables.external import why
from trainables.space import is_name
from trainables.tasks import Task, finite_number
from trainables.training import Scores


class Summary(TypedDict):
    """A summary holds the losses and metrics of one report.

    A number of the trial summarizes its lanes (:func:`summarize`); it is nan if every lane is
    infeasible. ``lane_*`` lists have one entry for each lane, nan for an infeasible one.
    """

    training_loss: float
    validation_loss: float
    evaluation_loss: float
    validation_metric: float
    evaluation_metric: float
    lane_validation_losses: list[float]
    lane_evaluation_losses: list[float]
    lane_validation_metrics: list[float]
    lane_evaluation_metrics: list[float]


class Diagnosis(Measured):
    """A diagnosis is one quantity of a network, measured after ``step`` training steps."""

    step: int


class Report(Summary):
    """A trial makes a report at each of its report steps.

    ``objective`` is what search and early stopping see; less is better. If the trial is judged by
    its best report, it is the lowest one so far. ``diagnostics`` are those since the report before.
    ``step`` counts training
    steps. ``further`` is a JSON object of measures that follow from the evaluation metric.
    ``lane_infeasible_at`` has the training step at which each lane became infeasible, None while it
    is feasible. ``seconds`` of training and evaluation passed since the report before. ``done``
    tells Tune that the trial has ended. ``warnings`` are sentences for the user.
    """

    objective: float
    step: int
    further: str | None
    diagnostics: list[Diagnosis]
    infeasible: bool
    lane_infeasible_at: list[int | None]
    seconds: float
    done: bool
    warnings: list[str]


class Failure(TypedDict):
    """An errored trial ends with a failure: ``error`` is the traceback, ``objective`` is nan."""

    error: str
    objective: float
    done: bool


def summarize(
    training_losses: list[float], validation: Scores, evaluation: Scores, threshold: float
) -> Summary:
    """Return each lane's losses and metrics, and those of the trial.

    A loss of the trial is the mean over its lanes, an infeasible lane counting as the divergence
    threshold: a configuration that diverges in one replicate of five must not win by the other
    four. Metrics are means over the feasible lanes.

    Args:
        training_losses: training loss of each lane, nan for an infeasible one.
        validation: losses and metrics of the lanes on the validation set.
        evaluation: losses and metrics of the lanes on the evaluation set.
        threshold: the divergence threshold, a loss.
    """

    def loss(lanes: list[float]) -> float:
        if all(math.isnan(lane) for lane in lanes):
            return math.nan
        return mean([threshold if math.isnan(lane) else lane for lane in lanes])

    def metric(lanes: list[float]) -> float:
        feasible = [lane for lane in lanes if not math.isnan(lane)]
        return mean(feasible) if feasible else math.nan

    return Summary(
        training_loss=loss([lane if lane < threshold else math.nan for lane in training_losses]),
        validation_loss=loss(validation.losses),
        evaluation_loss=loss(evaluation.losses),
        validation_metric=metric(validation.metrics),
        evaluation_metric=metric(evaluation.metrics),
        lane_validation_losses=validation.losses,
        lane_evaluation_losses=evaluation.losses,
        lane_validation_metrics=validation.metrics,
        lane_evaluation_metrics=evaluation.metrics,
    )


def mean(numbers: Sequence[float]) -> float:
    """Return the mean of finite numbers, which is finite even where their sum is not."""
    total = sum(numbers)
    if math.isfinite(total):
        return total / len(numbers)
    return sum(number / len(numbers) for number in numbers)


def further_figures(task: Task, metric: float, parameters: int) -> tuple[dict[str, float], str]:
    """Return the further figures of a task that are finite numbers, and what was wrong with others.

    A derived figure says nothing that the metric does not say, so one that cannot be had is left
    out: it decides no outcome.

    Args:
        task: task of the trial.
        metric: value of the metric on the evaluation set; nan if there is none.
        parameters: parameter count of the network.

    Returns:
        Figures by name, and a sentence on what the task's code raised or returned instead of a
        number; the sentence is empty if all is well or a figure is only not finite.
    """
    if not math.isfinite(metric):
        return {}, ""
    try:
        returned = task.further(metric, parameters)
        if not isinstance(returned, Mapping):
            return {}, f"'further' returned a {type(returned).__name__}, but must return a dict"
        numbers = {name: finite_number(value) for name, value in returned.items()}
        odd = [
            name
            for name, value in returned.items()
            if not is_name(name) or (numbers[name] is None and not isinstance(value, Real))
        ]
    except ArithmeticError:  # no number for this metric
        return {}, ""
    except BaseException as error:  # the user's code may raise anything
        return {}, f"further figures are left out: {why(error)}"
    figures = {n: v for n, v in numbers.items() if v is not None and n not in odd}
    return figures, f"a further figure is left out: {odd[0]!r}"[:200] if odd else ""
