"""Whose process is at the other end of a unix-domain socket, as the kernel says, and how it is sent a signal."""

import contextlib
import os
import socket
import struct
import sys


def peer_pid(connection: socket.socket) -> int:
    """The process id of whoever connected, or listens, at the other end.

    0 when it lives in another container, where our numbers mean nobody. Raises OSError where the system cannot say.
    """
    if sys.platform == "darwin":
        # LOCAL_PEERPID (2) at level SOL_LOCAL (0).
        return int.from_bytes(connection.getsockopt(0, 2, 4), sys.byteorder)
    pid, _, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def send_signal(pid: int, number: int) -> None:
    """Signal a process that :func:`peer_pid` named, if it can be named and is still there."""
    # To kill(2), 0 is every process of our own group.
    if pid > 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end. Raises OSError where the system cannot say."""
    if sys.platform == "darwin":
        # struct xucred of <sys/ucred.h>, asked for with LOCAL_PEERCRED (1) at level SOL_LOCAL (0).
        _, uid = struct.unpack_from("=II", connection.getsockopt(0, 1, 76))
        return int(uid)
    _, uid, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
