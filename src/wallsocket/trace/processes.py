"""What is asked of a process before it is looked into, whether it is attached to or inspected."""

from __future__ import annotations

import pwd

__all__ = ["is_32_bit", "user_name"]


def is_32_bit(pid: int) -> bool:
    """Whether the program is a 32-bit one, whose calls have other numbers; false when that cannot be read."""
    try:
        with open(f"/proc/{pid}/exe", "rb") as file:
            head = file.read(5)
    except OSError:
        return False
    return head == b"\x7fELF\x01"  # the last byte is EI_CLASS: ELFCLASS32 (elf(5))


def user_name(uid: int) -> str:
    """A user in words."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"
