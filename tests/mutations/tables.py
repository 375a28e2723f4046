"""All mutations, by what they are about."""

from typing import Final

from tests.mutations.access import ACCESS
from tests.mutations.answers import ANSWERS
from tests.mutations.auditing import AUDITING
from tests.mutations.handing_on import HANDING_ON
from tests.mutations.journal import JOURNAL
from tests.mutations.limits import LIMITS
from tests.mutations.moving import MOVING
from tests.mutations.mutation import Table
from tests.mutations.noticing import NOTICING
from tests.mutations.pages import PAGES
from tests.mutations.pulling import PULLING
from tests.mutations.refreshing import REFRESHING
from tests.mutations.running import RUNNING
from tests.mutations.scheduling import SCHEDULING
from tests.mutations.sealing import SEALING
from tests.mutations.seals import SEALS
from tests.mutations.serving import SERVING
from tests.mutations.sharing import SHARING
from tests.mutations.storing import STORING
from tests.mutations.tracing import TRACING
from tests.mutations.vault import VAULT
from tests.mutations.walking import WALKING

TABLES: Final[tuple[Table, ...]] = (
    REFRESHING,
    ANSWERS,
    SERVING,
    STORING,
    SHARING,
    JOURNAL,
    ACCESS,
    LIMITS,
    VAULT,
    SEALING,
    AUDITING,
    MOVING,
    SEALS,
    HANDING_ON,
    PAGES,
    RUNNING,
    SCHEDULING,
    PULLING,
    WALKING,
    NOTICING,
    TRACING,
)
