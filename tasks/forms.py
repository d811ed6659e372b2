"""The forms that a person fills in the Prefect UI."""

from typing import Literal

from prefect.input import RunInput
from pydantic import BaseModel, Field


class TrainingOverrides(BaseModel):
    """Values other than those of model.toml, for one run; 0 keeps what is declared. They go into the run record."""

    epochs: int = Field(default=0, ge=0, description="Passes over the training samples. 0: as declared in model.toml.")
    batch_size: int = Field(default=0, ge=0, description="Images per step. 0: as declared in model.toml.")
    learning_rate: float = Field(default=0, ge=0, description="Highest learning rate. 0: as declared in model.toml.")

    def given(self) -> dict[str, float | int]:
        """Return what differs from 0."""
        return {name: value for name, value in self.model_dump().items() if value}


class ApprovalForm(RunInput):
    """The decision on a release; it is bound to the evidence that the run's release page shows."""

    decision: Literal["approve", "reject"] = Field(description="Approve puts the candidate into production.")
    approver: str = Field(description="Your name. Author and approver must differ. Shown as unauthenticated.")
    reason: str = Field(description="Why, in a sentence; kept with the release.")
