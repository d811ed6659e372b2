"""The base of every declared table."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every table: unknown keys are refused, values cannot be changed after loading, nan is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)
