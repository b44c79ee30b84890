"""What goes wrong through no fault of ours: each error names the thing and the next step."""

from collections.abc import Mapping

from core.words import say


class CoreError(Exception):
    """A mistake the user can mend.

    ``key`` names an entry of the catalogue with a ``message`` (what is wrong, naming the file, class or value) and
    a ``hint`` (what to do next). Key and values, not the finished sentence, are what is stored, so that a run that
    failed in one language can be read in another.
    """

    def __init__(self, key: str, /, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(key, values)

    @property
    def message(self) -> str:
        return say(f"{self.key}.message", **self.values)

    @property
    def hint(self) -> str:
        return say(f"{self.key}.hint", **self.values)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"

    def to_json(self) -> dict[str, object]:
        return {"key": self.key, "values": {name: _plain(value) for name, value in self.values.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "CoreError":
        values = data.get("values")
        return cls(str(data["key"]), **(values if isinstance(values, dict) else {}))


class DataError(CoreError):
    """The photos, the folder or the archive."""


class ModelError(CoreError):
    """The backbone or its weights."""


class ConfigError(CoreError):
    """A setting with a value it can't have."""


class RunError(CoreError):
    """A run that isn't there, isn't finished, or isn't yours."""


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
