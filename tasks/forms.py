"""The forms that a person fills in the Prefect UI."""

from typing import Literal

from prefect.input import RunInput
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lakegate.registry.decisions import DecisionWords


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

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # an error must not show the code

    decision: Literal["approve", "reject"] = Field(
        description="approve: the candidate goes into production. reject: production stays as it is."
    )
    approver: str = Field(
        description="Your name as deployments/roles.toml has it. Who asked for the release cannot decide on it."
    )
    code: SecretStr = Field(
        description="The 6 digits that your authenticator app shows now. Each code counts once. "
        "No app yet? Who runs the stack enrols you with `lakegate approver add NAME`."
    )
    reason: str = Field(description="Why, in a sentence; kept with the release.")

    def words(self, given_at_s: float) -> DecisionWords:
        """Return what was given, with the UNIX time at which it was sent."""
        return DecisionWords(self.decision, self.approver, self.reason, self.code.get_secret_value(), given_at_s)
