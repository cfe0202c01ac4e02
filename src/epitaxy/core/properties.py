"""What a column of numbers means: label, unit, and the scale on which it is learned."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class PropertySpec(BaseModel):
    """Description of one property that travels with a table, a model and every figure.

    >>> gap = PropertySpec(name="gap", label="Band gap", unit="eV")
    >>> gap.axis
    'Band gap (eV)'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Column name."""
    label: str = ""
    """Words for axes and tables; the name when empty."""
    unit: str = ""
    """Physical unit as text, empty for a pure number."""
    transform: str = "identity"
    """Scale on which the property is learned: identity, log, log1p (see batches.scalers)."""
    source: str = ""
    licence: str = ""
    citation: str = ""
    functional: str = ""
    """Level of theory of computed values: PBE, SCAN, TBmBJ, ...; empty where not known."""

    classes: tuple[str, ...] = ()
    """Words that the values 0, 1, ... stand for; empty for a quantity."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        # Runs from before these were recorded keep their hash.
        for name in ("functional", "classes"):
            if not getattr(self, name):
                fields.pop(name, None)
        return fields

    @property
    def axis(self) -> str:
        """Label with unit, for an axis or a table heading."""
        label = self.label or self.name
        return f"{label} ({self.unit})" if self.unit else label
