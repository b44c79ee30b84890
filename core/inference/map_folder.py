"""Where a run's map lies, beside what is told of the process that draws it. Torch-free.

```
<run>/map/
  map.json          the finished map, of the model whose stamp it has
  rows/<space>/     features computed for it, kept until it is finished: one that was stopped goes on
  progress.json …   what is known of the process (``core.background``)
```
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.background import WorkFolder
from core.data.store import compact, read_or_nothing
from core.inference.batch_folder import model_stamp
from core.inference.feature_map import FORMAT, FeatureMap
from core.runs.store import RunDirectory
from core.workspace import default_root, write_atomically


@dataclass(frozen=True)
class MapFolder(WorkFolder):
    """The map of one run."""

    run: RunDirectory

    @property
    def path(self) -> Path:
        return self.run.map

    @property
    def map(self) -> Path:
        return self.path / "map.json"

    @property
    def rows(self) -> Path:
        return self.path / "rows"

    # Beside the run

    @property
    def kept(self) -> Path:
        """Where training keeps features: the owner's cache, or inside a run that was made in a terminal."""
        owner = self._owner()
        return owner / "cache" / "kept" if owner else self.run.kept

    @property
    def weights(self) -> Path:
        owner = self._owner()
        return (owner.parent if owner else default_root()) / "weights"

    def _owner(self) -> Path | None:
        """The owner's folder, of a run below a workspace."""
        above = self.run.path.absolute().parent
        return above.parent if above.name == "runs" else None

    # The map

    def stamp(self) -> str:
        """Changes when the run has another model, or maps are drawn otherwise; empty while there is no model."""
        model = model_stamp(self.run)
        return f"{FORMAT}-{model}" if model else ""

    def read(self) -> FeatureMap | None:
        """The map of the run's model; None while there is none."""
        told = read_or_nothing(self.map)
        return FeatureMap.from_json(told) if told and told.get("stamp") == self.stamp() else None

    def write(self, made: FeatureMap) -> None:
        write_atomically(self.map, compact(made.to_json()))

    def tell(self, told: Mapping[str, Any]) -> None:
        super().tell({**told, "stamp": self.stamp()})
