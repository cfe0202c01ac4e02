"""What a report of many runs averages over, and what it compares with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Role = Literal["source", "target", "size", "strategy"]


class Rules(BaseModel):
    """What a report averages over, what it compares with, and what its figures show."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    over: tuple[str, ...] = ()
    """Axes of repetitions (trials, seeds): means are over them, and their values make pairs."""
    baseline: dict[str, Any] = Field(default_factory=dict)
    """Axis -> value of the runs that the others are compared with; nothing is compared without."""
    metric: str = "mae"
    """Column that is reported."""
    roles: dict[Role, str] = Field(default_factory=dict)
    """Role in the figures -> axis; what is left out is guessed from the names of the axes."""

    @field_validator("over", mode="before")
    @classmethod
    def _several(cls, over: Any) -> Any:
        return [over] if isinstance(over, str) else over

    @property
    def higher_is_better(self) -> bool:
        """Whether the metric is a score and not an error."""
        return self.metric == "r2"
