"""`--dry-run` and `--max-cost`: what a run would do, before it does anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asrcli.cli.session import Session
from asrcli.core.batch import exit_status, run
from asrcli.core.inputs import Input
from asrcli.core.outputs import Destination
from asrcli.core.plan import Plan
from asrcli.core.recognize import Recognizer
from asrcli.errors import AsrError, UsageError
from asrcli.output.plans import PlanRow

__all__ = ["check_cost", "show_plan"]


@dataclass(slots=True)
class _Budget:
    """What is to be spent, beside what may be."""

    most: float | None
    total: float = 0.0
    unknown: str = ""
    """What has no price, if anything has none."""

    def add(self, found: Input, plan: Plan) -> None:
        """Count one input in; what was answered before costs nothing."""
        if plan.known:
            return
        if plan.cost is None:
            self.unknown = self.unknown or f"{plan.choice.model.id} for {found.name}"
        else:
            self.total += plan.cost

    @property
    def refusal(self) -> UsageError | None:
        """Why it is too much, if it is."""
        if self.most is None:
            return None
        if self.unknown:
            return UsageError(
                f"the price of {self.unknown} is unknown, so --max-cost cannot be kept",
                hint="Leave it out, or choose a model with a price: `asrcli models`.",
            )
        if self.total > self.most:
            return UsageError(
                f"this would cost more than {self.most:g} USD: {self.total:.4f} USD or more, by "
                "list prices",
                hint="--dry-run shows the cost of each input.",
            )
        return None


def show_plan(
    session: Session,
    recognizer: Recognizer,
    inputs: Sequence[Input],
    destination: Destination,
    *,
    most: float | None = None,
) -> int:
    """Print the plan of every input; nothing is sent. Gives the exit status.

    Raises UsageError after that, if it costs more than `most` US dollars: so would the run.
    """
    statuses: list[int] = []
    budget = _Budget(most)

    def rows() -> Iterator[PlanRow]:
        for found, plan, error in _plans(session, recognizer, inputs):
            if plan is None:
                statuses.append(error.exit_status if error else 3)
                if error is not None:
                    session.console.error(error, name=found.name if len(inputs) > 1 else None)
                continue
            statuses.append(0)
            budget.add(found, plan)
            yield _row(found, plan)

    as_json = bool({"json", "jsonl"}.intersection(destination.formats))
    session.console.plan(rows(), rpm=session.network.rpm, as_json=as_json)
    if (refusal := budget.refusal) is not None:
        raise UsageError(f"without --dry-run this run would be refused: {refusal}")
    return exit_status(statuses, several=len(inputs) > 1)


def check_cost(
    session: Session, recognizer: Recognizer, inputs: Sequence[Input], most: float
) -> None:
    """Raise UsageError if all inputs together would cost more than `most` US dollars."""
    budget = _Budget(most)
    for found, plan, _ in _plans(session, recognizer, inputs):
        if plan is None:
            continue  # it fails by itself, and costs nothing
        budget.add(found, plan)
        if (refusal := budget.refusal) is not None:
            raise refusal


def _plans(
    session: Session, recognizer: Recognizer, inputs: Sequence[Input]
) -> Iterator[tuple[Input, Plan | None, AsrError | None]]:
    workers = session.network.calls
    for done in run(inputs, recognizer.plan, workers=workers, stop=session.stop):
        yield done.item, done.result, done.error


def _row(found: Input, plan: Plan) -> PlanRow:
    return PlanRow(
        name=found.name,
        duration=plan.duration,
        speech=plan.speech,
        model=plan.choice.model.id,
        provider=plan.choice.model.provider,
        route=str(plan.route),
        why=plan.why,
        pieces=plan.pieces,
        requests=0 if plan.known else plan.requests,
        bytes=0 if plan.known else plan.bytes,
        cost=0.0 if plan.known else plan.cost,
        known=plan.known,
    )
