"""Every error a layer may tell the one above. Each message is one line a person can act on.

Adapters translate: FUSE to an errno, the CLI to a line and an exit code. Pure.
"""

from __future__ import annotations


class DamfsError(Exception):
    """Base of all errors that damfs raises on purpose; its text is fit for a user."""


class NotFound(DamfsError):
    """No such asset, place, term or store (ENOENT)."""


class Refused(DamfsError):
    """The operation has no meaning there (EPERM)."""


class ReadOnly(DamfsError):
    """The place belongs to a read-only store (EROFS)."""


class Conflict(DamfsError):
    """The name is taken (EEXIST)."""


class NotEmpty(DamfsError):
    """The directory still holds something (ENOTEMPTY)."""


class NoSpace(DamfsError):
    """The disk below is full, or a quota is used up (ENOSPC)."""


class TooBig(DamfsError):
    """No file of the disk below can be so long (EFBIG)."""


class Unavailable(DamfsError):
    """Bytes or a service cannot be reached now: a store is offline, a copy damaged (EIO)."""


class BadQuery(DamfsError):
    """A query cannot be understood; the line says at which character, and what was expected there (EINVAL)."""

    at = 0
    """The character, from 1; 0: all of it is at fault."""


class BadSettings(DamfsError):
    """damfs.toml cannot be used as it is."""


class BadLibrary(DamfsError):
    """The directory is no library, is in use, or belongs to a newer damfs."""


class BadMountpoint(DamfsError):
    """The mountpoint cannot be mounted on."""


class BadMedia(DamfsError):
    """The media file itself is at fault: trying again would fail again."""


class ModelUnavailable(DamfsError):
    """A model cannot be loaded or run here; the built-in descriptor is used instead."""


class BadVocabulary(DamfsError):
    """A file of terms cannot be read as it is; the text names the file and the line."""
