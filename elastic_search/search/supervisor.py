"""Several workers on one machine: a process each, started, heard, and started again where one dies.

The workers share the run's folder and find their trials there (``claims``). The supervisor keeps the run's time and
shows what the workers say; it never touches a trial, but for one that kills its worker again and again.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.search.claims import Claims
from elastic_search.search.evaluator import Epoch
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import Result
from elastic_search.search.trials.clock import SAVED_EVERY, Clock
from elastic_search.search.trials.loop import Observer
from elastic_search.search.trials.signals import StopSignal

HUNG = 75
"""Exit code of a worker whose training hung: its trial is recorded, and the worker may start again."""

DEATHS = 3
"""Workers that one trial may kill without an epoch between; then it is recorded as failed."""

IDLE_DEATHS = 5
"""Deaths in a row without an epoch of any worker; then something else is wrong."""

OVERRUN = 60.0
"""Seconds after the deadline in which a worker may still end by itself."""


@dataclass
class _Worker:
    """A process, and what is known of it.

    Attributes:
        process: the process.
        pending: the trial at hand, which has no result yet; None between trials, and of what is not recorded as failed.
        ended: why it says that it ended.
        error: an error that it reported.
    """

    process: subprocess.Popen[str]
    pending: Result | None = None
    ended: str = ""
    error: dict[str, Any] | None = None


class Reporter:
    """The worker's side: an observer that writes every event as a line of JSON."""

    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None:
        tell("started", pending=pending.to_dict(), depths=depths, again=again)

    def epoch(self, epoch: Epoch) -> None:
        tell("epoch", **vars(epoch))

    def finished(self, result: Result, why: str) -> None:
        tell("finished", result=result.to_dict(), why=why)


def tell(event: str, **about: Any) -> None:
    """Write one event to the supervisor, on a line of its own whatever a library printed before."""
    sys.stdout.write(f"\n{json.dumps({'event': event, **about})}\n")
    sys.stdout.flush()


def _event(line: str) -> dict[str, Any] | None:
    """The event that a worker's line tells, or None if it is not one."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and "event" in said else None


def end_with_parent() -> None:
    """End this process as soon as the supervisor is gone, which closes its end of our stdin."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


class Supervisor:
    """Runs workers until all of them have ended.

    Args:
        command: of worker k.
        environment: of all workers.
        workers: how many.
        observer: of worker k.
        folder: of the run.
        clock: of the run.
        stop: tells that the search is to end.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        environment: Mapping[str, str],
        workers: int,
        observer: Callable[[int], Observer],
        folder: RunFolder,
        clock: Clock,
        stop: StopSignal,
    ) -> None:
        self._command, self._environment = command, dict(environment)
        self._observers = [observer(k) for k in range(workers)]
        self._folder, self._clock, self._stop = folder, clock, stop
        self._workers: list[_Worker] = []
        self._latest: dict[int, _Worker] = {}
        self._claims = Claims(folder.path / "claims")
        self._events: queue.Queue[tuple[_Worker, int, dict[str, Any] | None]] = queue.Queue()
        self._deaths: dict[int | None, int] = {}
        self._idle_deaths = 0
        self._open = 0

    def run(self) -> str:
        """Run the workers.

        Returns:
            Why the search ended: "trials", "time", "exhausted" or "signal".

        Raises:
            EnvironmentFault: if a worker cannot go on, or workers die one after the other.
        """
        told = False
        try:
            with self._stop.listening():
                for k in range(len(self._observers)):
                    self._start(k)
                while self._open:
                    self._hear()
                    self._clock.save(SAVED_EVERY)
                    if self._stop.received is not None and not told:
                        told = True
                        for worker in self._workers:
                            worker.process.send_signal(signal.SIGTERM)
                    left = self._clock.left
                    if left is not None and left < -OVERRUN:
                        self._kill()
        finally:
            self._kill()
            self._close()
            self._clock.save()
        if self._stop.received is not None:
            return "signal"
        endings = [worker.ended for worker in self._latest.values()]
        if "" in endings and self._clock.is_over:
            return "time"
        return next((why for why in ("time", "exhausted") if why in endings), "trials")

    def _start(self, k: int) -> None:
        process = subprocess.Popen(
            self._command(k),
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which passes it on once
        )
        worker = _Worker(process)
        self._workers.append(worker)
        self._latest[k] = worker
        self._open += 1

        def read() -> None:
            try:
                for line in process.stdout or ():
                    if (said := _event(line)) is not None:
                        self._events.put((worker, k, said))
                    elif line.strip():
                        # Of a library that prints, or the beginning of a line whose worker was killed.
                        print(line.rstrip("\n"), file=sys.stderr, flush=True)
            finally:
                process.wait()
                self._events.put((worker, k, None))

        threading.Thread(target=read, daemon=True).start()

    def _hear(self) -> None:
        try:
            worker, k, said = self._events.get(timeout=0.5)
        except queue.Empty:
            return
        observer = self._observers[k]
        if said is None:
            self._open -= 1
            self._ended(worker, k)
            return
        event = said.pop("event")
        if event == "started":
            pending, again = Result.of(said["pending"]), said["again"]
            worker.pending = None if again or pending.number is None else pending
            observer.started(pending, tuple(said["depths"]), again)
        elif event == "epoch":
            self._idle_deaths = 0
            if worker.pending is not None:
                self._deaths.pop(worker.pending.number, None)
            observer.epoch(Epoch(**said))
        elif event == "finished":
            worker.pending = None
            observer.finished(Result.of(said["result"]), said["why"])
        elif event == "ended":
            worker.ended = said["why"]
        else:
            worker.error = said

    def _ended(self, worker: _Worker, k: int) -> None:
        """A worker's process is gone: all is well, it reported an error, or another takes its place."""
        code = worker.process.returncode
        if worker.error is not None:
            error = ElasticError(worker.error["message"], worker.error["hint"])
            error.exit_code = worker.error["code"]
            raise error
        if worker.ended or self._stop.received is not None or self._clock.is_over:
            return
        if code != HUNG or worker.pending is None:
            # What hung was no trial that could be recorded: the base, say, would hang for ever.
            self._died(worker, k, code)
        self._start(k)

    def _died(self, worker: _Worker, k: int, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._idle_deaths += 1
        if self._idle_deaths >= IDLE_DEATHS:
            raise EnvironmentFault(f"workers die one after the other ({how})", "see the messages above")
        print(f"worker {k} died ({how}); another takes its place", file=sys.stderr, flush=True)
        if worker.pending is None:
            return
        number = worker.pending.number
        self._deaths[number] = self._deaths.get(number, 0) + 1
        # Another worker may have taken the trial over already: then it is that one's to record.
        if self._deaths[number] >= DEATHS and self._claims.take(str(number)):
            try:
                if self._folder.result(number) is None:
                    reason = f"killed its worker {DEATHS} times ({how}): out of memory?"
                    failed = replace(worker.pending, reason=reason)
                    self._folder.record(failed)
                    self._observers[k].finished(failed, reason)
                    self._idle_deaths = 0
            finally:
                self._claims.release(str(number))

    def _kill(self) -> None:
        """End what still runs; its trials go on from their last epochs at the next start."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()

    def _close(self) -> None:
        """Wait for the killed, and let go of their pipes."""
        deadline = time.monotonic() + 10
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.1, deadline - time.monotonic()))
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    pipe.close()
