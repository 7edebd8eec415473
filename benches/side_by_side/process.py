"""Programs on a processor of their own: started, timed, stopped."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

GENERATOR_CPU = 0
SERVER_CPU = 1


class Missing(Exception):
    """A program that a row needs is not on this machine."""


def find(name, hint=""):
    """The path of a program: from the folders of $PEERS, then from $PATH and the usual places."""
    places = os.pathsep.join(
        [os.environ.get("PEERS", ""), os.environ.get("PATH", ""), os.path.expanduser("~/.cargo/bin"),
         os.path.expanduser("~/go/bin"), "/usr/sbin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin"])
    path = shutil.which(name, path=places)
    if path is None:
        raise Missing(f"{name} is not here" + (f": {hint}" if hint else ""))
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


@dataclass
class Ran:
    """One run of a generator."""

    output: str
    code: int
    wall: float
    user: float
    system: float
    peak_kib: int
    private_kib: int

    @property
    def cpu(self):
        return self.user + self.system


def generate(command, timeout=400, env=None, cwd=None):
    """Runs a generator on its processor to its end. The CPU seconds are those of its whole process
    tree that it waited for; the peak is its largest resident set (`VmHWM`: what wait4 says would have
    this script's own memory from before the exec in it)."""
    read, write = os.pipe()
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=write, stderr=write, stdin=subprocess.DEVNULL, env=env, cwd=cwd,
                             preexec_fn=pin(GENERATOR_CPU))
    os.close(write)
    chunks = []
    os.set_blocking(read, False)
    deadline = started + timeout
    peak = private = 0
    while True:
        try:
            chunk = os.read(read, 1 << 16)
            if not chunk:
                break
            chunks.append(chunk)
        except BlockingIOError:
            if time.monotonic() > deadline:
                child.kill()
                break
            high, own = memory(child.pid)
            peak, private = max(peak, high), max(private, own)
            time.sleep(0.02)
    os.close(read)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    return Ran(b"".join(chunks).decode(errors="replace"), child.returncode, wall, usage.ru_utime, usage.ru_stime,
               peak, private)


def memory(pid):
    """The largest resident set so far, and what of it is private now, not pages of files; in KiB."""
    try:
        with open(f"/proc/{pid}/status") as status:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in status if line.endswith("kB\n")}
    except OSError:
        kib = {}
    return kib.get("VmHWM", 0), kib.get("RssAnon", 0)


class Server:
    """A server on its processor; ends with the `with` block."""

    def __init__(self, command, ready, log, user=None, env=None, stdin=None, cpu=SERVER_CPU):
        self.log = open(log, "wb")
        drop = pin(cpu)

        def before():
            drop()
            if user is not None:
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)

        self.child = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=stdin or subprocess.DEVNULL,
                                      env=env, preexec_fn=before, start_new_session=True)
        deadline = time.monotonic() + 90
        while not ready():
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                sys.exit(f"{command[0]} does not start; see {log}")
            time.sleep(0.05)

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def listens(port):
    def ready():
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", port)) == 0

    return ready


def load():
    """Processes that want to run, over the last minute; the machine's own measure of its noise."""
    return os.getloadavg()[0]
