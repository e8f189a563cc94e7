"""The sessions of a model, which calls borrow."""

from __future__ import annotations

import os
import threading
import weakref
from ctypes import byref, c_void_p

from headlane import _abi, _one
from headlane._library import Handle, check, lib
from headlane._model import Model, threads_asked_for


class Session(Handle):
    """A session. idle: the list that has it while nobody uses it."""

    def __init__(self, address: int, pool: Sessions, wide: bool) -> None:
        super().__init__(address, lib.headlane_session_destroy, keep=pool.model)
        self.wide = wide
        self.idle: list[Session] = [] if wide else pool._narrow
        self._pool = weakref.ref(pool)

    def __del__(self) -> None:
        """Of one that is not in its pool, since Ctrl-C came between the pool and the call."""
        pool = self._pool()
        if self.address and pool is not None:
            pool.lost(self.wide)
        super().__del__()


class Lease:
    """A session that one call uses. It goes back however the call ends, also if Ctrl-C keeps give() from being
    called."""

    __slots__ = ("_pool", "session")

    def __init__(self, pool: Sessions, session: Session) -> None:
        self.session = session
        self._pool: Sessions | None = pool

    def give(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.take_back(self.session)

    def __del__(self) -> None:
        self.give()

    @property
    def address(self) -> int:
        return self.session.address

    def cancel(self) -> None:
        lib.headlane_session_set_cancelled(self.session.address, 1)

    def uncancel(self) -> None:
        lib.headlane_session_set_cancelled(self.session.address, 0)


_pools: weakref.WeakSet[Sessions] = weakref.WeakSet()


class Sessions:
    """The sessions of a model, which calls borrow. A call that is alone gets the one session that has all threads. If
    more calls come meanwhile, each gets a session of one thread, so that the threads of the machine are enough; once
    there are as many of these as the wide session has threads, calls wait. Results have the same bits in each."""

    def __init__(self, model: Model, *, max_tokens: int, n_threads: int | None) -> None:
        self.model = model
        self._max_tokens = max_tokens
        self._n_threads = threads_asked_for(n_threads)
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        # Sessions that nobody uses. Taking from a list and adding to it need no lock.
        self._wide: list[Session] = []
        self._narrow: list[Session] = []
        # Of the wide session. Who has called it calls tell() if there is somebody to be told.
        self.one_text = _one.no_session
        self._n_wide = self._n_narrow = 0  # that there are, or are being made
        self._most_narrow = 1  # known once the wide session is there
        self._n_waiting = 0
        self._closed = False
        self._reopen_first = False

    def borrow(self) -> Lease:
        """A session; a ValueError if the model has been closed."""
        return Lease(self, self.take())

    def take(self) -> Session:
        """A session, which take_back() must get."""
        try:
            return self._wide.pop()
        except IndexError:
            return self._take_another()

    def _take_another(self) -> Session:
        with self._changed:
            self._n_waiting += 1  # before the lists are looked at: who gives back looks at it afterwards
            try:
                while True:
                    if self._closed:
                        raise ValueError("the model has been closed")
                    if self._reopen_first:
                        self.model.reopen()
                        self._reopen_first = False
                    for idle in (self._wide, self._narrow):
                        if idle:
                            return idle.pop()
                    if self._n_wide == 0:
                        self._n_wide, wide = 1, True
                        break
                    if self._n_narrow < self._most_narrow:
                        self._n_narrow, wide = self._n_narrow + 1, False
                        break
                    self._changed.wait()
            finally:
                self._n_waiting -= 1
        try:
            return self._create(wide)
        except BaseException:
            self.lost(wide)
            raise

    def lost(self, wide: bool) -> None:
        """There is one session less."""
        with self._changed:
            self._n_wide, self._n_narrow = self._n_wide - wide, self._n_narrow - (not wide)
            self._changed.notify()

    def take_back(self, session: Session) -> None:
        session.idle.append(session)
        if self._n_waiting or self._closed:
            self.tell()

    def tell(self) -> None:
        """That a session is idle again."""
        with self._changed:
            if self._closed:
                self._free()
            self._changed.notify()

    def _create(self, wide: bool) -> Session:
        options = _abi.headlane_session_options()
        options.max_tokens = self._max_tokens
        options.n_threads = self._n_threads if wide else 1
        out = c_void_p()
        check(lib.headlane_session_create(self.model.handle.address, byref(options), byref(out)))
        session = Session(out.value or 0, self, wide)
        if wide:
            facts = _abi.headlane_pass_facts()
            check(lib.headlane_session_get_pass(session.address, 0, byref(facts)))
            self._most_narrow = int(facts.n_threads)
            self._wide = session.idle
            self.one_text = _one.of_session(session.address, int(self.model.facts.d_vector), session.idle)
        return session

    def close(self) -> None:
        """Ends the sessions and the model: now, or when the calls that run have ended."""
        with self._changed:
            self._closed = True
            self._free()
            self._changed.notify_all()

    def _free(self) -> None:
        while self._wide:
            self._wide.pop().close()
            self._n_wide -= 1
        while self._narrow:
            self._narrow.pop().close()
            self._n_narrow -= 1
        if self._n_wide == 0 and self._n_narrow == 0:
            self.model.close()

    def after_fork(self) -> None:
        """In a child: the parent's threads are not here, and a call of theirs will never end here."""
        idle = self._wide + self._narrow
        closed, in_a_call = self._closed, len(idle) < self._n_wide + self._n_narrow
        for session in idle:
            session.address = 0  # its block goes with the process; ending it would wait for threads
        self._reset()
        self._closed = closed
        self._reopen_first = in_a_call and not closed


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork)
