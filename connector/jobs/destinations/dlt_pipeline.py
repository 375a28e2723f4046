"""A dlt pipeline of ours for each stream, and what it has left at the destination.

How far a stream has come goes into dlt's own state of its pipeline (``_dlt_pipeline_state``), in
the same load package as the records; dlt counts it once the package is loaded whole. Streams have
pipelines of their own, so that hosts that load at once do not write over each other's states; all
streams of a table have one schema, which is read anew for each package.
"""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connector.jobs.destinations.stream import Stream

#: Nothing is told to dlt's makers, nothing logged, and one thread does it all. Rows may come twice
#: (see `dlt_load`), so dlt's own identifier of them must not be unique.
_ENVIRONMENT: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "EXTRACT__WORKERS": "1",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "1",
    "DESTINATION__POSTGRES__CREATE_INDEXES": "false",
}
#: Where records of a package are merged from; see `_staging`.
_LAYOUT: Final = "DESTINATION__STAGING_DATASET_NAME_LAYOUT"
#: Of our part of a pipeline's state.
_OURS: Final = "connector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where is loaded to.

    Attributes:
        name: of dlt's destination.
        dataset: of it.
        table: in that.
        credentials: as dlt takes them; None: dlt finds them itself.
        file_format: of packages, and so of files that they become; None: what dlt prefers.
        project: the folder that has ``.dlt``.
        folder: of our own, for packages.
    """

    name: str
    dataset: str
    table: str
    credentials: str | None
    file_format: str | None
    project: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What the last package of a stream has left at the destination.

    Attributes:
        package: which one it was; "": there is none.
        state: that came with it, see `dlt_load`.
        schema: of the table, as dlt's JSON; None: the table is not there.
        is_kept: whether the destination can keep states at all.
    """

    package: str = ""
    state: Mapping[str, Any]
    schema: Mapping[str, Any] | None = None
    is_kept: bool = True


def pipeline_name(table: str, stream: Stream) -> str:
    """Give the name of the pipeline of a stream: a digest, for names of jobs may be anything."""
    identity = json.dumps([table, stream.name, stream.account_id])
    return f"connector_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"


class StreamPipeline:
    """The pipeline of one stream.

    Args:
        place: where it loads to.
        name: as `pipeline_name` gives it.
        folder: where its packages are kept; None: with those of the others.

    Attributes:
        name: of it.
    """

    def __init__(self, place: Place, name: str, folder: Path | None = None) -> None:
        self._place = place
        self.name = name
        self._folder = folder or place.folder / "pipelines"
        self._made: Any = None

    def clear(self) -> None:
        """Remove its packages."""
        self._made = None
        shutil.rmtree(self._folder / self.name, ignore_errors=True)

    def left(self) -> Left:
        """Ask the destination what the last package has left there.

        Raises:
            Exception: whatever dlt, and what it loads into, raise.
        """
        self._import()
        from dlt.common.destination.client import WithStateSync
        from dlt.common.destination.exceptions import DestinationUndefinedEntity
        from dlt.common.versioned_state import decompress_state

        found = schema = None
        try:
            with self._pipeline().destination_client() as client:
                if not isinstance(client, WithStateSync):
                    return Left(state={}, is_kept=False)
                schema = client.get_stored_schema(self.schema_name)
                found = client.get_stored_state(self.name)
        except DestinationUndefinedEntity:  # nothing was loaded there yet
            pass
        stored = None if schema is None else json.loads(schema.schema)
        sources = {} if found is None else decompress_state(found.state).get("sources", {})
        states = [json.loads(one[_OURS]) for one in sources.values() if _OURS in one]
        if not states:
            return Left(state={}, schema=stored)
        return Left(package=states[0]["package"], state=states[0], schema=stored)

    def prepare(
        self,
        rows: Iterable[Sequence[Mapping[str, object]]],
        state: Mapping[str, object],
        hints: Mapping[str, Any],
        schema: Mapping[str, Any] | None,
    ) -> str:
        """Make a package that is ready to be loaded, and give its identifier.

        No other package may be there, not even a part of one (see `clear`).

        Args:
            rows: records, page by page.
            state: how far the stream is with them; has ``package``.
            hints: of the resource, see `dlt.resource`.
            schema: what is at the destination.

        Raises:
            Exception: whatever dlt raises.
        """
        self._import()
        import dlt

        pipeline = self._pipeline()
        text = json.dumps(state)

        def made() -> Any:
            dlt.current.source_state()[_OURS] = text
            yield from rows

        named = {"name": self._place.table, "file_format": self._place.file_format, **hints}
        known = (
            dlt.Schema(self.schema_name) if schema is None else dlt.Schema.from_dict(dict(schema))
        )
        pipeline.extract(dlt.resource(made, **named), schema=known)
        pipeline.normalize()
        (load_id,) = pipeline.list_normalized_load_packages()
        return str(load_id)

    def has_prepared(self, load_id: str) -> bool:
        """Tell whether a package is there that is to be loaded."""
        self._import()
        return load_id in self._pipeline().list_normalized_load_packages()

    def load(self) -> None:
        """Load what was prepared.

        Raises:
            Exception: whatever dlt, and what it loads into, raise.
        """
        self._import()
        self._pipeline().load(raise_on_failed_jobs=True)

    def is_loaded(self, load_id: str) -> bool:
        """Tell whether a package was loaded, and not given up."""
        self._import()
        from dlt.common.storages.exceptions import LoadPackageNotFound

        try:
            package = self._pipeline().get_load_package_info(load_id)
        except LoadPackageNotFound:
            return False
        return package.state == "loaded" and not package.jobs["failed_jobs"]

    @property
    def schema_name(self) -> str:
        """Give the name of the schema, which dlt would fold otherwise where it reads it back."""
        from dlt.common.schema.utils import normalize_schema_name

        return str(normalize_schema_name(f"connector_{self._place.table}"))

    def _pipeline(self) -> Any:
        if self._made is None:
            import dlt
            from dlt.common.destination import Destination

            place = self._place
            given: dict[str, Any] = {}
            if place.credentials:
                given["credentials"] = _native(place.credentials)
            self._made = dlt.pipeline(
                pipeline_name=self.name,
                pipelines_dir=str(self._folder),
                destination=Destination.from_reference(place.name, **given),
                dataset_name=place.dataset,
            )
        return self._made

    def _import(self) -> None:
        """Have dlt read its configuration from beside ours, and keep what it notes with us."""
        place = self._place
        own = {"DLT_DATA_DIR": str(place.folder), "DLT_PROJECT_DIR": str(place.project)}
        os.environ.update(_ENVIRONMENT | own)
        os.environ.setdefault(_LAYOUT, f"%s_staging_{_machine(place.folder)}")


def _native(credentials: str) -> object:
    """Give credentials as dlt takes them: a JSON object as a mapping, else the text."""
    try:
        parsed = json.loads(credentials)
    except ValueError:
        return credentials
    return parsed if isinstance(parsed, dict) else credentials


def _machine(folder: Path) -> str:
    """Tell machines apart, for a staging dataset of its own for each.

    dlt empties the table there before each package, and merges whatever stands in it then: records
    of another machine's package that is under way would be lost. On one machine a lock keeps
    packages apart.
    """
    identity = f"{socket.gethostname()}\0{folder}"
    return hashlib.sha256(identity.encode()).hexdigest()[:8]
