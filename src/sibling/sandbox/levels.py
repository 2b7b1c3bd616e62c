"""How strongly a program that is not trusted is held, and what each strength does and does not cover.

Each level adds to the one before it. A level is used only if every means that it needs was tried on this machine and
worked (`sibling.sandbox.probe`); nothing is assumed from a version number. As root nothing has to be installed or
configured; as another user the system has to allow user namespaces for `isolated`.

`none`: a process of its own with output caught and a limit of wall time. Not a sandbox.

`limits`
    Covered: processor time, address space, size of a file, open files, core dumps (`limits`); wall time; output; the
    caller's environment and descriptors are not handed on; daemons are found and ended with the program (Linux).
    Not covered: it may do whatever the caller may: read and write files, use the network, signal, trace and read other
    processes of the same user (as root: all), fill the disk with many files, fork without limit as root.

`filtered`: + a filter of system calls (`seccomp`), Landlock (`landlock`), no capabilities, no way to gain any, and as
root a user id of its own.
    Covered: files outside its temp directory but the standard library and shared libraries, /proc, all sockets but the
    channels given, starting other programs, signals, tracing, mounts, namespaces, io_uring, userfaultfd, BPF, keys,
    passing descriptors.
    Takes away from honest programs: locks between processes (named semaphores), ending child processes, chmod.
    Not covered: whether a path exists and its attributes (stat) can be seen; the sum of files and of memory of all
    processes is not bounded; as a user other than root it keeps that user's id, and the limit of processes counts the
    user's others.

`isolated`: + namespaces of users, mounts, processes, network, IPC, host name and cgroups, and a private root
(`namespaces`).
    Covered: paths of the machine do not exist for it but the standard library and shared libraries (read-only), five
    devices and its own /tmp in memory (bounded by `file_bytes`); there is no /proc, no /sys and no network interface;
    no other process can be named; it is `nobody`, on the machine a user id of nobody else's (as root) or the caller's
    without any right of it that a path, a process or a socket would need (as another user); whatever it started ends
    with it, at once, by the kernel. Landlock is put on as well where the kernel has it.
    Not covered: memory of all its processes together (each has `memory`; `processes` bounds how many); processor time
    that it takes from others within its limits; bugs of the kernel in the calls that are left; side channels of the
    hardware; the kernel's version, the clock, the number of processors and paths of this package's files can be
    learnt.

`contained`: + a cgroup of its own with limits of memory and processes (`cgroups`).
    Covered: memory of all its processes together, its /tmp included.

What programs of one sandbox share, from `isolated` on, and why that is safe. They are forked from one server, which
holds the entries, the standard library and nothing of any program: payloads and outputs pass it by as descriptors.
They share the server's namespaces of network, IPC, host name and cgroups: the network has no interface, and the calls
with which two programs could meet there (sockets, abstract names, System V and POSIX queues and memory) are denied by
the filter. The private root is shared read-only. Process and mount namespaces, /tmp, the user namespace (so the count
of processes) and the cgroup are each program's own. The layout of addresses and the seed of `hash` are the same in
each; neither protects one program from another here. What a channel connects is the caller's decision: descriptors
cannot be passed over it, bytes can.
"""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """Strength of the sandbox, weakest first; the module says what each covers."""

    none = 0
    limits = 1
    filtered = 2
    isolated = 3
    contained = 4
