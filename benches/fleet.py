#!/usr/bin/env python3
"""Measures a round over a whole fleet in which nothing changed, with the register in PostgreSQL and in a file.

    benches/fleet.py [ACCOUNTS_EACH [CUSTOMERS ...]]

For each number of customers (100, 1,000 and 10,000 of 100 accounts): makes a tree whose sources are files, runs the
released `intake run --once` over it to import everybody, and once more, and tells of that second time how long it took,
how long for each customer, and how much memory it used at the most. It starts a PostgreSQL server of its own from
Debian's packages, on a socket, with its settings as they come (every commit is on the disk). Needs `cargo build
--release` (or INTAKE, the path of a binary), Python 3 on Linux and room for some gigabytes, and leaves nothing behind.
The figures are this machine's: compare those of one run.
"""

import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

from pages import ROOT, write

ACCOUNTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
FLEETS = [int(count) for count in sys.argv[2:]] or [100, 1_000, 10_000]


def as_server():
    """PostgreSQL serves nobody who is root."""
    if os.getuid() != 0:
        return {}
    server = pwd.getpwnam("postgres")
    return {"user": server.pw_uid, "group": server.pw_gid, "extra_groups": []}


def start_server(folder):
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    subprocess.run([f"{programs}/initdb", "--username=intake", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-D", data],
                   check=True, stdout=subprocess.DEVNULL, cwd="/", **as_server())
    server = subprocess.Popen(
        [f"{programs}/postgres", "-D", data, "-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=",
         "-c", "max_wal_size=4GB"],
        stderr=subprocess.DEVNULL, cwd="/", **as_server())
    while subprocess.run([f"{programs}/pg_isready", "-q", "-h", folder]).returncode != 0:
        assert server.poll() is None, "the server ended"
        time.sleep(0.1)
    return server


def once(intake, tree, state):
    """Runs one round; returns the seconds that it took and the megabytes that it used at the most."""
    began = time.monotonic()
    process = subprocess.Popen([intake, "run", "--once", tree, "--state", state, "--quiet"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"it ended with {status}"
    return time.monotonic() - began, used.ru_maxrss / 1024


def main():
    intake = os.environ.get("INTAKE", ROOT / "target/release/intake")
    print(f"{'register':12} {'customers':>9} {'first s':>8} {'nothing new s':>14} {'ms each':>8} {'memory MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        server = start_server(folder / "server")
        try:
            for customers in FLEETS:
                tree = folder / "tree"
                tree.mkdir()
                write(tree, customers, ACCOUNTS)
                database = f"fleet{customers}"
                subprocess.run(["psql", "-q", "-h", folder / "server", "-U", "intake", "postgres", "-c", f"CREATE DATABASE {database}"],
                               check=True)
                stores = {
                    "PostgreSQL": f"postgres://intake@/{database}?host={folder}/server",
                    "SQLite": f"sqlite:{folder}/{customers}.db",
                }
                for name, state in stores.items():
                    first, _ = once(intake, tree, state)
                    again, memory = once(intake, tree, state)
                    print(f"{name:12} {customers:9} {first:8.1f} {again:14.1f} {again / customers * 1000:8.2f} {memory:10.0f}",
                          flush=True)
                shutil.rmtree(tree)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
