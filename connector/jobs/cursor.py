"""The cursor of a job: any JSON value, None included."""

from enum import Enum
from typing import Final


class Unmoved(Enum):
    """Stands for a cursor that was not moved: None is a place to begin, and can be gone back to."""

    UNMOVED = "unmoved"


UNMOVED: Final = Unmoved.UNMOVED
