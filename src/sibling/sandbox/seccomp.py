"""A filter of system calls, assembled here as classic BPF for x86-64 and 64-bit ARM.

Default allow with a deny list, and "no such call" for every call newer than the list. Denied with EPERM, whatever the
arguments: sockets but pairs, addresses (connect, bind, sending to an address), passing descriptors, exec, tracing and
reading other processes, mounts and namespaces, BPF, io_uring, userfaultfd, keys, System V and POSIX message passing
and shared memory, kernel modules, clocks, scheduling of others, file handles, fanotify and inotify. A call made
through another calling convention (32-bit, x32) kills the process. `clone3` is "no such call", because its flags
cannot be looked at; the C library then uses `clone`, whose flags are. For programs without a process namespace of
their own also: signals to other processes, leaving the process group, and changes of modes, owners, times and
attributes of files by path (which Landlock does not govern).
Not covered: what the allowed calls do with what is open already; bugs of the kernel in the calls that are left.
"""

from __future__ import annotations

import ctypes
import os
import struct

from sibling.sandbox import calls

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _DENY, _ABSENT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # EPERM, ENOSYS
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in the record the kernel shows to a filter
_ME = 0x7FFF1234  # stands for the process id until the filter is put on
_NEWEST = 456  # futex_requeue; what came later is not known here
_X32 = 0x40000000

_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (number on x86-64, number on 64-bit ARM); None where the machine does not have it
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # network and passing of descriptors
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269), "recvmsg": (47, 212),
    "recvmmsg": (299, 243), "setsockopt": (54, 208),
    # other programs and other processes
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "setpriority": (141, 140),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "ioprio_set": (251, 30), "uselib": (134, None),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "inotify_init": (253, None), "inotify_init1": (294, 26), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "lookup_dcookie": (212, 18), "mknod": (133, None), "mknodat": (259, 33),
    # wide parts of the kernel that a program under test does not need
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_setup": (206, 0), "io_submit": (209, 2), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "seccomp": (317, 277), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "mq_notify": (244, 184), "personality": (135, 92), "modify_ldt": (154, None),
    "iopl": (172, None), "ioperm": (173, None), "ustat": (136, None), "sysfs": (139, None), "vhangup": (153, 58),
    "acct": (163, 89), "syslog": (103, 116), "nfsservctl": (180, 42), "remap_file_pages": (216, 234),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "set_mempolicy_home_node": (450, 450),
    # flushing all disks of the machine; pages of files handed to pipes, where kernels have had bugs
    "sync": (162, 81), "splice": (275, 76), "tee": (276, 77), "vmsplice": (278, 75),
    # memory that no limit of a process counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "create_module": (174, None), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip

# without namespaces of its own: what would reach other processes and files of the same user
_DENIED_OUTSIDE: dict[str, tuple[int | None, int | None]] = {
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setsid": (112, 157),
    "setpgid": (109, 154), "truncate": (76, 45), "chmod": (90, None), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fchmod": (91, 52), "fchown": (93, 55), "fsetxattr": (190, 7), "fremovexattr": (199, 16),
}  # fmt: skip

_CLONE, _CLONE3 = (56, 220), (435, 435)
_SOCKETPAIR, _SENDTO, _PRLIMIT = (53, 199), (44, 206), (302, 261)
_GETSOCKOPT, _PEER = (55, 209), (77,)  # SO_PEERPIDFD: a handle of the process at the other end
_IOCTL, _FCNTL, _PRCTL, _KILL_CALL, _TGKILL = (16, 29), (72, 25), (157, 167), (62, 129), (234, 131)
_NAMESPACES = 0x7E020000 | 0x80  # user, pid, net, ipc, uts, cgroup, mount; time
# TIOCSTI, TIOCLINUX, TIOCSCTTY: typing into a terminal; FIOSETOWN, SIOCSPGRP: signals on our behalf; flags of a file
_COMMANDS = (0x5412, 0x541C, 0x540E, 0x8901, 0x8902, 0x40086602, 0x401C5820)
_OWNERS = (8, 10, 15, 1024, 1026)  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: signals on our behalf
_PROCESS = (4, 22, 35, 62, 0x59616D61)  # PR_SET_DUMPABLE, _SECCOMP, _MM, PR_SCHED_CORE, PR_SET_PTRACER

Step = tuple[int, int, int, int]  # code, steps to skip if true, if false, value


def build(*, alone: bool) -> bytes:
    """The filter for this machine. `alone`: the program has a process namespace and a root of its own."""
    which = list(_ARCHES).index(calls.MACHINE)
    steps: list[Step] = [
        (_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, _ARCHES[calls.MACHINE]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER),
    ]  # fmt: skip
    if calls.MACHINE == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    steps += [(_GREATER, 0, 1, _NEWEST), (_RETURN, 0, 0, _ABSENT)]
    steps += [(_EQUAL, 0, 1, _CLONE3[which]), (_RETURN, 0, 0, _ABSENT)]
    for numbers in (_DENIED | ({} if alone else _DENIED_OUTSIDE)).values():
        number = numbers[which]
        if number is not None:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]
    for pair, body in _conditions(alone):
        steps += [(_EQUAL, 0, len(body), pair[which]), *body]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def put_on(program: bytes) -> None:
    """Filter this process and all it starts, for good; needs `no_new_privs`. Raises `OSError`."""
    me = struct.pack("<I", os.getpid())
    steps = program.replace(struct.pack("<I", _ME), me)
    buffer = ctypes.create_string_buffer(steps, len(steps))
    head = struct.pack("@HxxxxxxQ", len(steps) // 8, ctypes.addressof(buffer))
    calls.call("seccomp", 1, 0, head)


def _conditions(alone: bool) -> list[tuple[tuple[int, int], list[Step]]]:
    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)
    conditions: list[tuple[tuple[int, int], list[Step]]] = [
        (_CLONE, [_low(0), (_ANY_BIT, 0, 1, _NAMESPACES), deny, allow]),
        (
            _SOCKETPAIR,
            [
                _low(0),
                (_EQUAL, 1, 0, 1),
                deny,
                _low(1),
                (_AND, 0, 0, 0xF),
                (_EQUAL, 1, 0, 1),
                (_EQUAL, 0, 1, 5),
                allow,
                deny,
            ],
        ),
        (_SENDTO, [_low(4), (_EQUAL, 1, 0, 0), deny, _high(4), (_EQUAL, 1, 0, 0), deny, allow]),
        (_PRLIMIT, [_low(0), (_EQUAL, 1, 0, 0), deny, allow]),
        (_IOCTL, _none_of(1, _COMMANDS)),
        (_FCNTL, _none_of(1, _OWNERS)),
        (_PRCTL, _none_of(0, _PROCESS)),
        (_GETSOCKOPT, _none_of(2, _PEER)),
    ]
    if not alone:
        only_me = [_low(0), (_EQUAL, 1, 0, _ME), deny, allow]
        conditions += [(_KILL_CALL, only_me), (_TGKILL, only_me)]
    return conditions


def _none_of(argument: int, values: tuple[int, ...]) -> list[Step]:
    steps: list[Step] = [_low(argument)]
    for value in values:
        steps += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _DENY)]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _low(argument: int) -> Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)


def _high(argument: int) -> Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument + 4)
