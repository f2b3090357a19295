"""The lock of a run on an object store: claims, and no two of them that do not see each other.

A store as plain as S3 can put, get, list and delete, one object at a time; it cannot put an object only where
there is none. What it gives is order: once a PUT has returned, every later LIST shows the object until it is
deleted. That is enough. Every driver puts a claim under a name of its own and lists the claims afterwards,
and it has the run if it sees no other. Of two drivers, the one whose PUT came later cannot miss the other's
claim, however long any request took (the idea of Lamport's bakery: announce yourself first, then look). A
name's objects, below the run's ``lock/``:

``<nonce>.json``     the claim, with its owner. It is written once and never again.
``<nonce>.beat``     says that the claim has won, and is written again with every heartbeat.
``<nonce>.deposed``  the claim counts no more, even where it is listed. Put by whoever finds its owner dead.

No part of this depends on how long anything takes but the verdict that an owner is dead, which is for the
caller to give. An owner that was not finds its tombstone, or misses its claim, and knows that it has lost
the run.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace

from linreg_dist.errors import LinregDistError, RunFailedError
from linreg_dist.run.lock.owner import Owner, Sighting, read_owner
from linreg_dist.storage import ObjectPath, no_patience

FOLDER = "lock"
_CLAIM, _BEAT, _DEPOSED = ".json", ".beat", ".deposed"
_LOOKS, _BETWEEN_LOOKS_S = 50, 0.1
_TOMBSTONE_KEPT_S = 24 * 3600.0


@dataclass(frozen=True)
class _Listing:
    """What one LIST showed: by nonce, when each kind of object was written, in ns of the store's clock."""

    claims: dict[str, int]
    beats: dict[str, int]
    tombstones: dict[str, int]

    @classmethod
    def of(cls, folder: ObjectPath) -> _Listing:
        written_ns = folder.files_written_ns()
        return cls(
            *(
                {name.removesuffix(kind): ns for name, ns in written_ns.items() if name.endswith(kind)}
                for kind in (_CLAIM, _BEAT, _DEPOSED)
            )
        )

    @property
    def living(self) -> set[str]:
        """The claims that count."""
        return self.claims.keys() - self.tombstones.keys()


class LockObject:
    """The lock as objects in a folder of a store.

    Args:
        path: the folder.
        owner: this driver. Every attempt to `take` the lock gives it a nonce of its own.

    """

    def __init__(self, path: ObjectPath, owner: Owner) -> None:
        self.path = path
        self.owner = owner

    def take(self) -> Sighting | None:
        """Take the lock if it is free; return who has it or is before us otherwise.

        Of drivers that try at the same moment the one with the smallest nonce gets it: the others withdraw at
        once, and it waits for that.

        Raises:
            RunFailedError: the claim was deposed before this driver came to look.

        """
        # A new name, because a request of an earlier attempt may be on its way still: that of a name which
        # is put once and deleted once can do no harm.
        self.owner = replace(self.owner, nonce=uuid.uuid4().hex)
        try:
            self._object(self.owner.nonce, _CLAIM).write_bytes(self.owner.to_json())
            found = self._first_in_the_way()
            if found is None:
                self.beat()
                self._clear_remains()
        except BaseException:
            self._try_to_withdraw()
            raise
        if found is not None:
            self.give_back()
        return found

    def depose(self, dead: Owner) -> None:
        """Let a dead owner's claim count no more."""
        self._object(dead.nonce, _DEPOSED).write_bytes(self.owner.to_json())  # first: from here on it is dead
        self._remove(dead.nonce, _CLAIM, _BEAT)

    def holder(self) -> Owner | None:
        """Return who has the lock, None if nobody is known to."""
        seen = _Listing.of(self.path)
        if self.owner.nonce in seen.living:
            return self.owner
        holders = seen.living & seen.beats.keys()
        return read_owner(self._object(min(holders), _CLAIM)) if holders else None

    def beat(self) -> None:
        """Give a heartbeat. It is no claim, so one that comes late brings no lost lock back."""
        self._object(self.owner.nonce, _BEAT).write_bytes(b"")

    def give_back(self) -> None:
        """Remove all objects of this driver's name, which nobody else has a use for."""
        # The claim first: without its heartbeats it would look as old as it is.
        self._remove(self.owner.nonce, _CLAIM, _BEAT, _DEPOSED)

    def _first_in_the_way(self) -> Sighting | None:
        """Return a driver that has the lock or precedes us, None once our claim is the only one.

        One that follows us withdraws when it looks, so that is waited for; but not for ever, it may be dead.
        """
        ours, looks = self.owner.nonce, 0
        while True:
            seen, looks = _Listing.of(self.path), looks + 1
            if ours not in seen.living:
                raise RunFailedError(
                    f"the claim {self._object(ours, _CLAIM)} is gone: another driver took this one for dead "
                    "before it began (a paused machine, or storage that did not answer), or the store does "
                    "not list what was just written, as it must. Start the job again"
                )
            others = seen.living - {ours}
            if not others:
                return None
            other = min(others & seen.beats.keys() or others)
            if other in seen.beats or other < ours or looks == _LOOKS:
                owner = read_owner(self._object(other, _CLAIM))
                if owner is not None:
                    # Our claim was written just now: that is the store's clock.
                    beat_ns = seen.beats.get(other, seen.claims[other])
                    return Sighting(owner, (seen.claims[ours] - beat_ns) / 1e9)
                looks = 0  # it withdrew just now
            time.sleep(_BETWEEN_LOOKS_S)

    def _clear_remains(self) -> None:
        """Remove what dead drivers left, as the holder.

        The claim of a deposed driver goes at once, and its tombstone after a day. The driver may still be
        there then, paused: it never writes its claim again, so it misses it whenever it wakes. A claim can
        only come back by a request that was sent when the driver began and is on its way still, and stores
        refuse requests whose signature is older than minutes. Until then the tombstone is needed.

        A heartbeat without a claim is that of a deposed driver that did not know yet; it means nothing.
        """
        seen = _Listing.of(self.path)
        now_ns = seen.beats.get(self.owner.nonce, 0)
        for nonce in (seen.beats.keys() | seen.tombstones.keys()) - seen.living:
            self._remove(
                nonce, *(kind for kind, of in ((_CLAIM, seen.claims), (_BEAT, seen.beats)) if nonce in of)
            )
            if now_ns - seen.tombstones.get(nonce, now_ns) > _TOMBSTONE_KEPT_S * 1e9:
                self._remove(nonce, _DEPOSED)

    def _try_to_withdraw(self) -> None:
        """Remove our claim, which may have been written even if the store said no; else it goes stale."""
        with suppress(OSError, LinregDistError), no_patience():  # the caller has an error to tell already
            self.give_back()

    def _object(self, nonce: str, kind: str) -> ObjectPath:
        return self.path / f"{nonce}{kind}"

    def _remove(self, nonce: str, *kinds: str) -> None:
        for kind in kinds:
            self._object(nonce, kind).unlink(missing_ok=True)
