"""A study that several machines share, in PostgreSQL.

Each machine has a run folder of its own. Results travel with the study, as an attribute of their trial, and are copied
into every folder, so that all that reads a folder works on each machine. On one machine a trial belongs to whoever
holds its lock (``claims``); across machines, to whoever has beaten for it within ``GRACE`` seconds, by the server's
clock. Proposals are made one at a time, under a lock of the server that ends with its connection.
"""

from __future__ import annotations

import platform
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from elastic_search.atomic import sealed, unsealed
from elastic_search.errors import EnvironmentFault, UsageError, missing_extra
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import Result

BEAT = 30.0
"""Seconds between two signs of life of a trial."""

GRACE = 180.0
"""Seconds without one after which another machine may go on with a trial."""

LOCK_TIMEOUT = 60
"""Seconds to wait for another machine's proposal before looking for a signal; then the wait goes on, as in an
outage."""

OUTAGE = 900.0
"""Seconds that a database may be away before the search gives up; what was trained meanwhile is on disk."""

ENGINE: dict[str, Any] = {"pool_pre_ping": True, "pool_recycle": 1800}
"""A connection is tried before it is used: the server may have been started anew."""

T = TypeVar("T")


def checked_url(url: str) -> str:
    """The address of a shared study for SQLAlchemy.

    Raises:
        UsageError: if it is not of PostgreSQL, or holds a password, which would be seen in the list of processes.
    """
    hint = "as in postgresql://user@host/database, with the password in PGPASSWORD or ~/.pgpass"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError("--storage is not an address", hint) from None
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(f"--storage: {parsed.get_backend_name()} cannot be shared; PostgreSQL can", hint)
    if parsed.password is not None or "password" in parsed.query:
        raise UsageError("--storage holds a password", hint)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class SharedStudy:
    """The study of a run that other machines work on too.

    Args:
        url: of the database, as ``checked_url`` gives it.
        folder: this machine's part of the run.
    """

    def __init__(self, url: str, folder: RunFolder) -> None:
        self.folder = folder
        self._owner = f"{platform.node()}:{folder.path}"
        self._beaten = 0.0
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._engine = create_engine(url, **ENGINE)
            # Machines that make the tables at the same time would trip over one another.
            with self.alone():
                # Braces mean something to Optuna, which formats the address.
                self._storage = optuna.storages.RDBStorage(
                    url.replace("{", "{{").replace("}", "}}"),
                    engine_kwargs=ENGINE,
                )
        except ImportError:
            raise missing_extra("psycopg", "cluster") from None
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise self.unreachable(error) from None

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()
        self._storage.remove_session()
        self._storage.engine.dispose()

    def unreachable(self, error: Exception) -> EnvironmentFault:
        """What is told when the database cannot be used."""
        where = str(self._engine.url).replace("+psycopg", "", 1)
        said = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        return EnvironmentFault(f"{where}: {said[0]}", "check the server and ~/.pgpass, then run again to resume")

    def open(self) -> optuna.Study:
        """The study, made if need be; for one process at a time."""
        return optuna.create_study(
            storage=self._storage, study_name=self.folder.name, direction="maximize", load_if_exists=True
        )

    def agree(self, study: optuna.Study, description: dict[str, Any]) -> None:
        """Record what the run is, or check that the other machines' run is the same.

        Raises:
            UsageError: naming what differs.
        """
        before = study.user_attrs.get("run")
        if before is None:
            study.set_user_attr("run", description)
        elif differing := [key for key in description if before.get(key) != description[key]]:
            raise UsageError(
                f"the shared study {self.folder.name!r} was started with another {' and '.join(differing)}",
                "choose another --name, or repeat the first machine's command",
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other machines from proposing; the server frees the lock if our connection ends."""
        key = {"key": zlib.crc32(f"elastic-search {self.folder.name}".encode())}
        with self._engine.connect() as connection:
            # A machine that went to sleep with the lock must not keep the others from hearing a signal.
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)

    def pull(self, study: optuna.Study) -> None:
        """Copy into our folder the results that it lacks."""
        known = set(self.folder.trials())
        for trial in study.get_trials(deepcopy=False):
            if trial.number not in known and (found := trial.user_attrs.get("result")):
                self._take_over(found, trial.number)
        if self.folder.result(None) is None and (found := study.user_attrs.get("base")):
            self._take_over(found, None)

    def publish(self, study: optuna.Study, number: int | None) -> None:
        """Put a result of our folder into the study, where it is not yet."""
        result = self.folder.result(number)
        if result is None:
            return
        found = sealed(result.to_dict())
        if number is None:
            published = study.user_attrs.get("base")
            if published is None:
                study.set_user_attr("base", found)
        else:
            trial = study.get_trials(deepcopy=False)[number]
            published = trial.user_attrs.get("result")
            if published is None and not trial.state.is_finished():
                self._storage.set_trial_user_attr(trial._trial_id, "result", found)
        if published is not None and published != found:
            # Another machine was first, while this one slept: all go by its result.
            self._take_over(published, number)

    def _take_over(self, published: str, number: int | None) -> None:
        where = f"{'the base' if number is None else f'trial {number}'} of the shared study"
        hint = "choose another --name"
        self.folder.record(Result.read(unsealed(published, where, hint), number, where, hint))

    def is_free(self, trial: FrozenTrial) -> bool:
        """Whether a trial whose lock on this machine we hold has no owner on another."""
        if trial.user_attrs.get("owner") == self._owner:
            return True
        with self._engine.connect() as connection:
            age = connection.execute(
                text(
                    "SELECT EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP::timestamp - heartbeat)) FROM trial_heartbeats "
                    "WHERE trial_id = :trial"
                ),
                {"trial": trial._trial_id},
            ).scalar()
        # An asker beats before it lets others propose: without a beat it is dead.
        return age is None or float(age) > GRACE

    def own(self, trial_id: int) -> None:
        """Become a trial's owner."""
        self._storage.set_trial_user_attr(trial_id, "owner", self._owner)
        self._storage.record_heartbeat(trial_id)
        self._beaten = time.monotonic()

    def owns(self, trial_id: int) -> bool:
        """Whether the trial is still ours: a machine that slept may have lost it."""
        trial = self._storage.get_trial(trial_id)
        return not trial.state.is_finished() and trial.user_attrs.get("owner") == self._owner

    def beat(self, trial_id: int) -> None:
        """Give a sign of life if one is due. A server that is away for a while does no harm."""
        if time.monotonic() - self._beaten < BEAT:
            return
        self._beaten = time.monotonic()
        try:
            self._storage.record_heartbeat(trial_id)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
            return

    def patiently(self, do: Callable[[], T], ended: Callable[[], bool]) -> T:
        """Do something with the database, again after 1, 2, 4, … seconds while it is away.

        Raises:
            EnvironmentFault: if it stays away, or ``ended`` says that there is no time to wait.
        """
        pause, until = 1.0, time.monotonic() + OUTAGE
        while True:
            try:
                return do()
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError, AssertionError) as error:
                # Optuna asserts where its session could not be committed.
                if ended() or time.monotonic() > until:
                    raise self.unreachable(error) from None
                time.sleep(pause)
                pause = min(60.0, 2 * pause)
