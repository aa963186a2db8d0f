"""A study that several machines share, in PostgreSQL.

Each machine has its own run folder. Results are stored in the study as attributes of their trials and are copied into
every folder, so every command that reads a folder works on each machine. On one machine a trial belongs to the process
that holds its lock (``claims``); across machines, to the one whose last sign of life is at most ``GRACE`` seconds old
by the server's clock. Proposals are made one at a time, under a server lock that ends with its connection.
"""

from __future__ import annotations

import platform
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from elastic_search.atomic import sealed, unsealed
from elastic_search.errors import EnvironmentFault, UsageError, missing_extra
from elastic_search.search.store.folder import RunFolder, differences
from elastic_search.search.store.result import OF_BASE, Result
from elastic_search.search.store.study import close_storage, load_study, open_storage

BEAT = 30.0  # seconds between two signs of life of a trial
GRACE = 180.0  # seconds without a sign of life after which another machine may take a trial over
LOCK_TIMEOUT = 60  # seconds to wait for another machine's proposal before checking for a signal and waiting again
OUTAGE = 900.0  # seconds that a database may be away before the search gives up; finished trainings are on disk
AGREED = ("space", "text", "target", "seed", "strategy", "halving", "data")  # must be the same on all machines
ENGINE: dict[str, Any] = {"pool_pre_ping": True, "pool_recycle": 1800}  # the server may have restarted

AGE = "SELECT EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP::timestamp - heartbeat)) FROM trial_heartbeats WHERE trial_id = :id"

T = TypeVar("T")


def checked_url(url: str) -> str:
    """The address of a shared study, as SQLAlchemy wants it.

    Raises:
        UsageError: if it is not for PostgreSQL, or holds a password, which the list of processes would show.
    """
    hint = "write postgresql://user@host/database, and put the password into PGPASSWORD or ~/.pgpass"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError("--storage is not a database address", hint) from None
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(f"--storage: {parsed.get_backend_name()} cannot be shared; use PostgreSQL", hint)
    if parsed.password is not None or "password" in parsed.query:
        raise UsageError("--storage contains a password", hint)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class SharedStudy:
    """The study of a run that several machines work on.

    Args:
        url: address of the database, from ``checked_url``.
        folder: this machine's folder of the run.
    """

    def __init__(self, url: str, folder: RunFolder) -> None:
        self.folder = folder
        self._owner = f"{platform.node()}:{folder.path}"
        self._beaten = 0.0
        try:
            self._engine = create_engine(url, **ENGINE)
            with self.alone():  # machines that create the tables at the same time would trip over one another
                self._storage = open_storage(url, **ENGINE)
        except ImportError:
            raise missing_extra("psycopg", "cluster") from None
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise self.unreachable(error) from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        close_storage(self._storage)

    def unreachable(self, error: Exception) -> EnvironmentFault:
        """The error for a database that cannot be used."""
        where = str(self._engine.url).replace("+psycopg", "", 1)
        said = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        return EnvironmentFault(f"{where}: {said[0]}", "check the server and ~/.pgpass, then run again to resume")

    def open(self) -> optuna.Study:
        """The study, created if need be; for one process at a time."""
        return load_study(self._storage, self.folder.name)

    def agree(self, study: optuna.Study) -> None:
        """Record what the run is, or check that it is the same on the other machines.

        Raises:
            UsageError: naming what differs.
        """
        about, before = self.folder.description(), study.user_attrs.get("run")
        description = {key: about.get(key) for key in AGREED}
        if before is None:
            study.set_user_attr("run", description)
        elif differing := differences(before, description, f"the shared study {self.folder.name!r}"):
            lines = "\n  ".join([f"the shared study {self.folder.name!r} was started with other settings", *differing])
            raise UsageError(lines, "choose another --name, or repeat the first machine's command")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other machines from proposing; the server releases the lock if our connection ends."""
        key = {"key": zlib.crc32(f"elastic-search {self.folder.name}".encode())}
        with self._engine.connect() as connection:
            # Others must still react to signals while a machine that fell asleep holds the lock.
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)

    def pull(self, study: optuna.Study) -> None:
        """Copy the results that our folder lacks into it."""
        known = set(self.folder.trials())
        for trial in study.get_trials(deepcopy=False):
            if trial.number not in known and (found := trial.user_attrs.get("result")):
                self._take_over(found, trial.number)
        for number, name in OF_BASE.items():
            if self.folder.result(number) is None and (found := study.user_attrs.get(name)):
                self._take_over(found, number)

    def publish(self, study: optuna.Study, number: int | None) -> None:
        """Put a result of our folder into the study, unless it holds one already."""
        result = self.folder.result(number)
        if result is None:
            return
        found = sealed(result.to_dict())
        if number is None or number in OF_BASE:
            published = study.user_attrs.get(OF_BASE[number])
            if published is None:
                study.set_user_attr(OF_BASE[number], found)
        else:
            trial = study.get_trials(deepcopy=False)[number]
            published = trial.user_attrs.get("result")
            if published is None and not trial.state.is_finished():
                self._storage.set_trial_user_attr(trial._trial_id, "result", found)
        if published is not None and published != found:
            # Another machine was first while this one slept: its result counts.
            self._take_over(published, number)

    def _take_over(self, published: str, number: int | None) -> None:
        where = f"{OF_BASE.get(number, f'trial {number}')} of the shared study"
        hint = "choose another --name"
        self.folder.record(Result.read(unsealed(published, where, hint), number, where, hint))

    def is_free(self, trial: FrozenTrial) -> bool:
        """Whether no other machine owns a trial that we have locked on this one."""
        if trial.user_attrs.get("owner") == self._owner:
            return True
        with self._engine.connect() as connection:
            age = connection.execute(text(AGE), {"id": trial._trial_id}).scalar()
        # An owner gives a sign of life before it lets others propose; without one it is dead.
        return age is None or float(age) > GRACE

    def own(self, trial_id: int) -> None:
        """Become the owner of a trial."""
        self._storage.set_trial_user_attr(trial_id, "owner", self._owner)
        self._storage.record_heartbeat(trial_id)
        self._beaten = time.monotonic()

    def owns(self, trial_id: int) -> bool:
        """Whether a trial is still ours; a machine that slept may have lost it."""
        trial = self._storage.get_trial(trial_id)
        return not trial.state.is_finished() and trial.user_attrs.get("owner") == self._owner

    def beat(self, trial_id: int) -> None:
        """Give a sign of life if one is due; a server that is away for a while does no harm."""
        if time.monotonic() - self._beaten >= BEAT:
            self._beaten = time.monotonic()
            with suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError):
                self._storage.record_heartbeat(trial_id)

    def patiently(self, do: Callable[[], T], ended: Callable[[], bool]) -> T:
        """Do something with the database, retried after 1, 2, 4, … seconds while it is away.

        Raises:
            EnvironmentFault: if it stays away, or the search has ``ended`` meanwhile.
        """
        pause, until = 1.0, time.monotonic() + OUTAGE
        while True:
            try:
                return do()
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError, AssertionError) as error:
                # Optuna fails an assertion when its session cannot be committed.
                if ended() or time.monotonic() > until:
                    raise self.unreachable(error) from None
                time.sleep(pause)
                pause = min(60.0, 2 * pause)
