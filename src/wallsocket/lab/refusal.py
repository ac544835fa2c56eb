"""From the kernel's refusal of a namespace to :class:`NotPermitted`, whose text says which setting it was."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from ..errors import NotAvailable, NotPermitted
from .program import helper

__all__ = ["explain"]


@contextlib.contextmanager
def explain() -> Iterator[None]:
    """Turn a refusal of namespaces into :class:`NotPermitted` with its reason, a missing helper into :class:`NotAvailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC) and not os.access(helper(), os.X_OK):
            raise NotAvailable(f"the lab's helper program is missing: {helper()}; install the package again") from error
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.ENOSYS):
            from ..kernel import refusal

            tried = (error.strerror or "").removeprefix("cannot ")
            found = refusal.namespace(error.errno, tried)
            way_out = "; run as root, or see docs/lab.md, 'Refused'" if found.by == refusal.UNKNOWN else ""
            raise NotPermitted(
                f"a lab needs a user and network namespace: {error.strerror}; {found}{way_out}"
            ) from error
        raise
