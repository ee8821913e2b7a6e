"""A calibration written into a saved router's folder: its threshold, and where that comes from."""

from __future__ import annotations

import re
from pathlib import Path

from confroute.calibration.result import Calibration
from confroute.errors import ConfigurationError
from confroute.heads.storage import read_folder, write_folder

CALIBRATION = "calibration.json"

_SECTION = re.compile(r"\n*## Calibration\n.*?(?=\n## |\Z)", re.DOTALL)


def write_into(folder: str | Path, calibration: Calibration) -> None:
    """Give a saved router a calibrated threshold; its card tells it, ``calibration.json`` holds it all.

    Args:
        folder: What `TrainedRouter.save` wrote.
        calibration: A calibration of that router's scores whose target can be met.

    Raises:
        ConfigurationError: If the target cannot be met, or the folder is no saved router.
    """
    if calibration.threshold is None:
        raise ConfigurationError(
            f"there is no threshold to write: the target cannot be met ({calibration.reason})"
        )
    config, arrays, card = read_folder(folder)
    rest = _SECTION.sub("", card).rstrip()
    write_folder(
        folder,
        config.model_copy(update={"threshold": calibration.threshold}),
        arrays,
        f"{rest}\n\n{calibration.to_markdown()}".lstrip(),
    )
    calibration.save(Path(folder) / CALIBRATION)
