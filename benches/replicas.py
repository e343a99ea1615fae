#!/usr/bin/env python3
"""Measures replicas on one database: whether they keep their promises whatever happens, and how much more two do.

    benches/replicas.py chaos [CUSTOMERS [ACCOUNTS_EACH]]
    benches/replicas.py pair [CUSTOMERS [SECONDS]]

`chaos`: three replicas look after a tree of customers whose sources are files (3,000 of 10 accounts), every minute.
Replicas are killed, stand still, are cut off and replaced, and the database goes away and comes back. Before each of
that a tenth of the customers get another person. Afterwards everybody has a turn within twice the interval, and at the
end everybody was imported once, each write was told, and the record is whole; else it says so and exits with 1. Told
are the turns of each replica, the longest time between two turns of a customer, and the seconds from when it is over
until everybody had a turn that began later, looked up once a second.

`pair`: tenants are read from a stand-in for Microsoft Graph that takes 200 ms for each answer, and there are more
customers (4,000) than replicas get around to in a minute, so that turns are due all the time. Tells how many turns one
replica makes a second, and how many two, for 60 s each; exits with 1 if that is less than 1.6 times as many.

Both start a PostgreSQL server of their own from Debian's packages with its settings as they come. They need `cargo build
--release` (or INTAKE, the path of a binary) and Python 3 on Linux, listen on loopback alone, and leave nothing behind.
What this program takes itself, for the ways to the database or the stand-in, is in all figures. The figures are this
machine's: compare those of one run.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# Those who are imported here read the arguments as theirs.
ARGUMENTS, sys.argv[1:] = sys.argv[1:], []
from fleet import as_server, start_server
from pages import ROOT, TURNS, counted, directory, processor_seconds, tenant, write

INTAKE = os.environ.get("INTAKE", ROOT / "target/release/intake")
READY = TURNS + '{outcome="ready"}'
INTERVAL, LEASE, PATIENCE = 60, 10, 600
ANSWER, WARM_UP, ENOUGH = 0.2, 15, 1.6


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def background():
    """Returns what does a coroutine beside everything else, and waits for what comes of it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)


def wait(what, missing, pause=time.sleep):
    """Waits until nothing is missing, and returns how long that took."""
    began = time.monotonic()
    while left := missing():
        if time.monotonic() - began > PATIENCE:
            sys.exit(f"broken: not after {PATIENCE} s: {what}; missing: {left}")
        pause(1)
    return time.monotonic() - began


class Wire:
    """A way to the database, which may be held, so that nobody is told, and cut."""

    def __init__(self, far):
        self.far, self.near, self.is_open, self.ends = far, free_port(), asyncio.Event(), set()

    async def open(self):
        self.is_open.set()
        self.listener = await asyncio.start_server(self.carry, "127.0.0.1", self.near)

    async def cut(self):
        self.listener.close()
        for end in self.ends:
            end.transport.abort()

    async def hold(self, is_held):
        self.is_open.clear() if is_held else self.is_open.set()

    async def carry(self, reader, writer):
        await self.is_open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.far)
        except OSError:
            writer.close()
            return
        self.ends |= {writer, far_writer}
        await asyncio.gather(self.one_way(reader, far_writer), self.one_way(far_reader, writer))
        self.ends -= {writer, far_writer}

    async def one_way(self, reader, writer):
        with contextlib.suppress(OSError):
            while octets := await reader.read(1 << 16):
                await self.is_open.wait()
                writer.write(octets)
                await writer.drain()
        writer.close()


async def serve(answer):
    """Answers HTTP, by the end of the path and the body, on a port that it returns."""

    async def over(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)\r\ncontent-length: *([0-9]+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                octets = await answer(re.match(r"[A-Z]+ [^ ?]*/([^ ?/]*)", head)[1], body)
                kind = "Content-Type: application/json"
                writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len(octets)}\r\n\r\n".encode() + octets)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(over, "127.0.0.1", 0, backlog=1_000)
    return server.sockets[0].getsockname()[1]


class Database:
    """A PostgreSQL server, which may end and begin again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        server = start_server(folder)
        # Of a setting that is given twice the last one counts.
        self.command = [*server.args, "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"]
        server.terminate()
        server.wait()
        self.begin()

    def begin(self):
        self.server = subprocess.Popen(self.command, stderr=subprocess.DEVNULL, cwd="/", **as_server())
        wait("the database answers", lambda: not self.ask("SELECT 1", "postgres", may_fail=True))

    def end(self, by=signal.SIGINT):
        self.server.send_signal(by)
        self.server.wait(60)

    def ask(self, query, database="fleet", may_fail=False):
        """Returns the rows, as texts."""
        asked = subprocess.run(["psql", "-XAtq", "-F", "\t", "-h", self.folder, "-p", str(self.port), "-U", "intake", database,
                                "-c", query], capture_output=True, text=True)
        assert may_fail or asked.returncode == 0, asked.stderr
        return [line.split("\t") for line in asked.stdout.splitlines()]

    def count(self, what):
        return int(self.ask(f"SELECT count(*) FROM {what}")[0][0])

    def address(self, port):
        return f"postgres://intake@127.0.0.1:{port}/fleet?lease={LEASE}s"


class Replica:
    """A controller, which may end and begin again."""

    def __init__(self, folder, number, state, operator):
        port = free_port()
        self.before, self.process, self.url = 0, None, f"http://127.0.0.1:{port}"
        self.log, config = folder / f"replica-{number}.log", folder / f"replica-{number}.yaml"
        config.write_text(f"listen: 127.0.0.1:{port}\n{operator}")
        self.options = [folder / "tree", "--config", config, "--state", state]

    def begin(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([INTAKE, "run", *self.options], stdout=subprocess.DEVNULL, stderr=log)

    def turns(self):
        """How many turns it made, those before its last end among them."""
        return self.before + int(counted(self.url, READY))

    def is_unready(self):
        assert self.process.poll() is None, self.log.read_text()[-2_000:]
        try:
            urllib.request.urlopen(f"{self.url}/readyz", timeout=10).close()
            return ""
        except OSError as error:
            return f"{self.url}: {error}"

    def end(self, by=signal.SIGTERM):
        self.before = self.turns()
        self.process.send_signal(by)
        ended = self.process.wait(30)
        assert ended == (0 if by == signal.SIGTERM else -by), self.log.read_text()[-2_000:]

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def ground(customers, accounts):
    """A tree, a database, and what ends both and everything else."""
    with contextlib.ExitStack() as ends:
        folder = pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="intake-replicas-")))
        folder.chmod(0o755)
        (folder / "tree").mkdir()
        write(folder / "tree", customers, accounts)
        database = Database(folder / "server")
        ends.callback(database.end)
        database.ask("CREATE DATABASE fleet", "postgres")
        yield folder, database, ends


class Fleet:
    """Three replicas, each with a way of its own to the database, and when their customers last had a turn."""

    def __init__(self, folder, database, ends, customers, accounts):
        self.tree, self.database, self.accounts = folder / "tree", database, accounts
        self.names = [f"customer-{number:05}" for number in range(customers)]
        self.grown, self.turns, self.gap, self.told = set(), {}, 0, set()
        self.do, self.wires = background(), [Wire(database.port) for _ in range(3)]
        for wire in self.wires:
            self.do(wire.open())
        operator = f'notify: [{{webhook: {{url: "http://127.0.0.1:{self.do(serve(self.hear))}/"}}, on: [changed]}}]\n'
        self.replicas = [Replica(folder, number, database.address(wire.near), operator)
                         for number, wire in enumerate(self.wires, 1)]
        for replica in self.replicas:
            ends.callback(replica.kill)
            replica.begin()

    async def hear(self, _path, body):
        event = json.loads(body)
        self.told.add((event["subject"], event["data"]["run"]))
        return b"{}"

    def grow(self, names):
        """Another person for these."""
        people, users = directory(self.accounts + 1), tenant(self.accounts + 1)
        for name in names:
            for path, text in [(self.tree / f"{name}.json", users), (self.tree / f"{name}.ldif", people)]:
                beside = path.with_name(f".{path.name}.tmp")
                beside.write_text(text)
                beside.rename(path)
        self.grown |= set(names)

    def pause(self, seconds):
        """Waits, and looks once a second who had a turn."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(1, left))
            # Nobody answers while the database is away.
            query = "SELECT customer, last_success FROM statuses WHERE last_success > 0"
            for name, at in self.database.ask(query, may_fail=True):
                at = int(at) / 1e6
                self.gap = max(self.gap, at - self.turns.get(name, at))
                self.turns[name] = at

    def replace(self):
        for replica in self.replicas:
            replica.end()
            replica.begin()
            wait("a new replica is ready", replica.is_unready, self.pause)

    def happenings(self):
        """What happens, for how long, and what is done at its begin and its end."""
        (one, two, _), database, wires, do = self.replicas, self.database, self.wires, self.do
        return [
            ("nothing", 10, lambda: None, lambda: None),
            ("one is killed", 5, lambda: one.end(signal.SIGKILL), one.begin),
            ("one stands still", 25, lambda: two.process.send_signal(signal.SIGSTOP),
             lambda: two.process.send_signal(signal.SIGCONT)),
            ("the database is stopped", 5, database.end, database.begin),
            ("the database is killed", 5, lambda: database.end(signal.SIGQUIT), database.begin),
            ("nothing goes through to one", 30, lambda: do(wires[2].hold(True)), lambda: do(wires[2].hold(False))),
            ("one is cut off", 30, lambda: do(wires[0].cut()), lambda: do(wires[0].open())),
            ("one after the other is replaced", 0, self.replace, lambda: None),
        ]

    def without_turn(self, since):
        return few([name for name in self.names if self.turns.get(name, 0) <= since])

    def not_imported(self):
        rows = self.database.ask("SELECT customer, count(*) FROM accounts WHERE state = 'active' GROUP BY 1", may_fail=True)
        found = {name: int(count) for name, count in rows}
        return few([name for name in self.names if found.get(name, 0) != self.accounts + (name in self.grown)])


def few(names):
    """Names for people: how many, and some of them."""
    return names and f"{len(names)} customers ({', '.join(names[:3])}, …)"


def what_is_broken(fleet):
    """Counts what there is after everything that happened; returns what is otherwise than promised."""
    ask, count, added = fleet.database.ask, fleet.database.count, "events WHERE kind = 'account.added'"
    written = {tuple(row) for row in ask(f"SELECT DISTINCT customer, run FROM {added}")}
    options = [*fleet.replicas[0].options[1:3], "--state", fleet.database.address(fleet.database.port)]
    run = lambda *command: subprocess.run([INTAKE, *command, *options], capture_output=True, text=True)
    check, plan = run("state", "check", "--format", "json"), run("plan", fleet.tree, "--detailed-exitcode", "--quiet")
    logs = [replica.log.read_text() for replica in fleet.replicas]
    broken = []
    for what, found, wanted in [
        ("accounts in the register", count("accounts WHERE state = 'active'"),
         len(fleet.names) * fleet.accounts + len(fleet.grown)),
        ("accounts that were never added", count(
            f"accounts a WHERE NOT EXISTS (SELECT FROM {added} AND (customer, account_type, account_id) ="
            " (a.customer, a.account_type, a.id))"), 0),
        ("accounts that were added more than once", count(
            f"(SELECT FROM {added} GROUP BY customer, account_type, account_id HAVING count(*) > 1) AS twice"), 0),
        ("events of another kind", count("events WHERE kind NOT IN ('account.added', 'source.pinned')"), 0),
        ("customers with gaps in their record", count(
            "customers c JOIN (SELECT customer, count(*), max(sequence) FROM events GROUP BY 1) e ON e.customer = c.name"
            " WHERE e.count <> e.max OR e.max <> c.events"), 0),
        ("customers whose chain is whole", sum(one["whole"] for one in json.loads(check.stdout)["customers"]), len(fleet.names)),
        ("exit code of `state check`", check.returncode, 0),
        ("exit code of `plan` (2: something is left to do)", plan.returncode, 0),
        ("writes that were told", len(fleet.told & written), len(written)),
        ("told that nobody wrote", len(fleet.told - written), 0),
        ("deliveries given up", count("outbox WHERE given_up_at IS NOT NULL"), 0),
        ("failures inside Intake", sum(log.count("failed inside Intake") + log.count("panicked at") for log in logs), 0),
    ]:
        print(f"{what:50} {found:9}" + (f" of {wanted}" if wanted else ""))
        if found != wanted:
            broken.append(f"{what}: {found}, not {wanted}")
    return broken


def chaos(customers=3_000, accounts=10):
    with ground(customers, accounts) as (folder, database, ends):
        fleet, broken = Fleet(folder, database, ends, customers, accounts), []
        turns = lambda: [replica.turns() for replica in fleet.replicas]
        took = wait("everybody is imported", lambda: fleet.without_turn(0) or fleet.not_imported(), fleet.pause)
        print(f"3 replicas imported {customers} customers of {accounts} accounts in {took:.0f} s; turns:", *turns())
        print(f"{'what happens':32} {'for s':>6} {'turns of each':>18} {'longest between two s':>22} {'until all had one s':>20}"
              f" {'limit':>6}", flush=True)
        for number, (what, seconds, begin, end) in enumerate(fleet.happenings()):
            before, fleet.gap = turns(), 0
            fleet.grow(fleet.names[number::10])
            # Until the replicas have read the tree, and write.
            fleet.pause(4)
            since = time.monotonic()
            begin()
            fleet.pause(seconds)
            end()
            took, over = time.monotonic() - since, time.time()
            until = wait(f"everybody had a turn after: {what}", lambda: fleet.without_turn(over), fleet.pause)
            each = " ".join(str(now - then) for now, then in zip(turns(), before))
            print(f"{what:32} {took:6.0f} {each:>18} {fleet.gap:22.0f} {until:20.0f} {2 * INTERVAL:6}", flush=True)
            if until > 2 * INTERVAL:
                broken.append(f"{what}: not everybody had a turn before {until:.0f} s")
        waiting = "outbox WHERE delivered_at IS NULL AND given_up_at IS NULL"
        took = wait("nothing is left to do", lambda: fleet.not_imported() or database.count(waiting), fleet.pause)
        print(f"nothing was left to do after {took:.0f} s; turns:", *turns())
        for replica in fleet.replicas:
            replica.end()
        broken += what_is_broken(fleet)
    sys.exit("\n".join(f"broken: {what}" for what in broken) or 0)


def pair(customers=4_000, seconds=60, accounts=10):
    unset = {"mobilePhone": None, "licenseAssignmentStates": [], "onPremisesSecurityIdentifier": None}
    # Every tenant has the same people.
    answers = {
        "token": {"token_type": "Bearer", "expires_in": 3_599, "access_token": "opaque"},
        "users": {"value": [{**unset, **user} for user in json.loads(tenant(accounts))["value"]]},
        "subscribedSkus": {"value": []},
        "organization": {"value": [{"id": "00000000-0000-4000-9000-000000000000"}]},
    }
    answers, takes, rates = {name: json.dumps(answer).encode() for name, answer in answers.items()}, 0, []

    async def graph(path, _body):
        await asyncio.sleep(takes)
        return answers[path]

    address = f'"http://127.0.0.1:{background()(serve(graph))}"'
    operator = ("connections: {partner: {graph: {clientId: 00000000-0000-4000-8000-000000000001, clientSecretFrom:"
                f" {{env: INTAKE_PARTNER}}, endpoints: {{login: {address}, graph: {address}}}}}}}}}\n")
    os.environ["INTAKE_PARTNER"] = "secret"
    with ground(customers, accounts) as (folder, database, ends):
        for path in (folder / "tree").glob("customer-*.yaml"):
            path.write_text(path.read_text().replace(f"snapshot: {{file: {path.stem}.json}}",
                                                     f"graph: {{tenantId: {path.stem}.test, connection: partner}}"))
        replicas = [Replica(folder, number, database.address(database.port), operator) for number in (1, 2)]
        subprocess.run([INTAKE, "run", "--once", *replicas[0].options, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        print(f"{customers} customers of {accounts} accounts; each answer takes {1e3 * ANSWER:.0f} ms, for {seconds} s:")
        print(f"{'replicas':>8} {'turns a second':>15} {'turns of each':>14} {'due at the end':>15} {'cores busy':>11}"
              f" {'by this program':>16} {'by others':>10}", flush=True)
        takes = ANSWER
        for number, replica in enumerate(replicas, 1):
            ends.callback(replica.kill)
            replica.begin()
            wait("a new replica is ready", replica.is_unready)
            time.sleep(WARM_UP)

            def taken():
                busy = [processor_seconds(one.process) for one in replicas[:number]]
                mine = sum(its for its, _ in busy)
                return [time.monotonic(), mine, sum(os.times()[:2]), sum(busy[0]) - mine,
                        *(one.turns() for one in replicas[:number])]

            then = taken()
            time.sleep(seconds)
            passed, mine, own, others, *turns = [later - earlier for later, earlier in zip(taken(), then)]
            due = customers - database.count("leases WHERE due_at > intake_now()")
            rates.append(sum(turns) / passed)
            print(f"{number:8} {rates[-1]:15.1f} {' '.join(map(str, turns)):>14} {due:15} {mine / passed:11.2f}"
                  f" {own / passed:16.2f} {others / passed:10.2f}", flush=True)
            if due < customers / 10:
                sys.exit("broken: too few customers are due, so that replicas wait; take more of them")
        print(f"two make {rates[1] / rates[0]:.2f} times as many turns as one")
    sys.exit(f"broken: that is less than {ENOUGH} times" if rates[1] < ENOUGH * rates[0] else 0)


if __name__ == "__main__":
    # Who is ended by a signal cleans up, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    {"chaos": chaos, "pair": pair}[ARGUMENTS[0]](*map(int, ARGUMENTS[1:]))
