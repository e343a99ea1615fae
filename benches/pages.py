#!/usr/bin/env python3
"""Asks a controller for pages as a busy morning does, and tells how long the answers take.

    benches/pages.py [CUSTOMERS [ACCOUNTS_EACH [SECONDS [TURNS_AT_ONCE]]]]

Makes a tree of customers whose sources are files (1,000 of 100 accounts), runs the released controller over it with the
shortest interval that there is, so that turns are under way all the time (two at once), and asks for one page after the
other 200 times a second. Needs `cargo build --release` (or INTAKE, the path of a binary) and Python 3 on Linux, listens
on loopback alone, and leaves nothing behind.

The load is open: every 5 ms a request is due, whether or not those before it are answered, and it counts from when it
was due. A connection that is free is used, else another one is opened, up to 200: then the controller does not keep up.
wrk would not do: it asks for the next page after the last one came, and so asks less whenever answers are slow. What the
first second of each page shows is left out, and nothing else. This program shares the machine with the controller, and
what it takes itself is in all figures: `/healthz`, which does nothing, tells how much that is. So is whatever else runs
here: how many cores that keeps busy is told besides. The figures are this machine's: compare those of one run.
"""

import base64
import json
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

CUSTOMERS, ACCOUNTS, SECONDS, AT_ONCE = [
    int(given) if given else usual
    for given, usual in zip((sys.argv[1:] + [""] * 4)[:4], (1_000, 100, 15, 2))
]
TURNS = "intake_turns_total"
RATE, WARM_UP, MOST = 200, 1, 200
ROOT = pathlib.Path(__file__).resolve().parent.parent
SKU = "05e9a617-0261-4cee-bb44-138d3ef5d965"
BASE = "DC=contoso,DC=test"

PAGES = [
    ("nothing (/healthz)", "/healthz"),
    ("the fleet", "/"),
    ("the fleet, its last page", f"/?page={(CUSTOMERS + 99) // 100}"),
    ("accounts of all", "/accounts"),
    ("a search that finds somebody", "/accounts?q=person17%20contoso"),
    ("a search that finds nobody", "/accounts?q=nobody-is-called-so"),
    ("a customer", "/customers/customer-00000"),
    ("the audit record", "/audit"),
    ("customers by the API", "/api/v1/customers"),
    ("accounts by the API", "/api/v1/accounts"),
    ("a plan by the API", "/api/v1/customers/customer-00000/plan"),
]


def octets(value):
    return base64.b64encode(value).decode()


def guid(number):
    return octets(b"intake.." + struct.pack("<Q", number))


def sid(*parts):
    return octets(bytes([1, len(parts), 0, 0, 0, 0, 0, 5]) + b"".join(struct.pack("<I", part) for part in parts))


def directory(count):
    """The domain of a customer: its containers, its people and the group that selects them."""
    known = [("A9D1CA15768811D1ADED00C04FD8D5CD", "OU=People"), ("AA312825768811D1ADED00C04FD8D5CD", "CN=Computers"),
             ("18E2EA80684F11D2B9AA00C04F79F805", "CN=Deleted Objects")]
    lines = ["# intake: begin", "version: 1", "", f"dn: {BASE}", "objectClass: domainDNS", "dc: contoso"]
    lines += [f"wellKnownObjects: B:32:{number}:{name},{BASE}" for number, name in known]
    lines += [f"objectGUID:: {guid(1)}", f"objectSid:: {sid(21, 11, 22, 33)}", ""]
    for number, (name, kind) in enumerate([("Users", "container"), ("Computers", "container"), ("Builtin", "builtinDomain")], 2):
        lines += [f"dn: CN={name},{BASE}", f"objectClass: {kind}", f"cn: {name}", f"objectGUID:: {guid(number)}"]
        lines += [f"objectSid:: {sid(32)}", ""] if name == "Builtin" else [""]
    lines += [f"dn: OU=Staff,{BASE}", "objectClass: organizationalUnit", "ou: Staff", f"objectGUID:: {guid(11)}", ""]
    names = [f"CN=Person {number},OU=Staff,{BASE}" for number in range(count)]
    for number, name in enumerate(names):
        address = f"person{number}@contoso.test"
        lines += [f"dn: {name}", "objectClass: user", f"cn: Person {number}", f"sAMAccountName: person{number}",
                  f"userPrincipalName: {address}", f"mail: {address}", f"displayName: Person {number}",
                  "userAccountControl: 512", "primaryGroupID: 513", f"objectGUID:: {guid(1_000 + number)}",
                  f"objectSid:: {sid(21, 11, 22, 33, 1_000 + number)}", ""]
    lines += [f"dn: CN=Intake Users,OU=Staff,{BASE}", "objectClass: group", "cn: Intake Users", "groupType: -2147483646"]
    lines += [f"member: {name}" for name in names] + [f"objectGUID:: {guid(900)}", "", "# intake: end", ""]
    return "\n".join(lines)


def tenant(count):
    return json.dumps({"value": [
        {"id": f"00000000-0000-4000-8000-{number:012}", "userPrincipalName": f"person{number}@contoso.test",
         "mail": f"person{number}@contoso.test", "displayName": f"Person {number}", "accountEnabled": True,
         "userType": "Member", "proxyAddresses": [], "onPremisesImmutableId": None,
         "assignedLicenses": [{"skuId": SKU, "disabledPlans": []}]}
        for number in range(count)
    ]})


def write(tree, customers=CUSTOMERS, accounts=ACCOUNTS):
    """Writes customers whose sources are files."""
    people, users = directory(accounts), tenant(accounts)
    policy = ("apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: staff}\n"
              "spec: {accountType: EndUser, default: true, selection: {securityGroups: [Intake Users]}}\n")
    (tree / "staff.yaml").write_text(policy)
    for number in range(customers):
        (tree / f"customer-{number:05}.ldif").write_text(people)
        (tree / f"customer-{number:05}.json").write_text(users)
        (tree / f"customer-{number:05}.yaml").write_text(
            f"apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: customer-{number:05}}}\n"
            f"spec:\n  displayName: Customer {number}\n  directories: [{{ldif: {{file: customer-{number:05}.ldif}}}}]\n"
            f"  tenant: {{snapshot: {{file: customer-{number:05}.json}}}}\n"
            "  options: {endUsers: {interval: 1m}}\n"
        )


def had_a_turn(url):
    """How many customers had a turn."""
    count, cursor = 0, ""
    while cursor is not None:
        address = f"{url}/api/v1/customers?limit=1000" + (f"&cursor={cursor}" if cursor else "")
        with urllib.request.urlopen(address, timeout=60) as answer:
            page = json.load(answer)
        count += sum(customer["state"] == "ready" for customer in page["customers"])
        cursor = page["next"]
    return count


class Connection:
    """A connection over which one request at a time is under way."""

    def __init__(self, address, poll):
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due, self.got, self.left, self.is_refused = None, b"", None, False
        poll.register(self.socket, select.EPOLLIN)

    def send(self, request, due):
        self.due, self.got, self.left = due, b"", None
        # A request is shorter than any buffer.
        assert self.socket.send(request) == len(request)

    def take(self):
        """Takes what came; whether that was the end of an answer."""
        came = self.socket.recv(1 << 18)
        assert came, "the controller ended a connection"
        if self.left is None:
            self.got += came
            head, end, rest = self.got.partition(b"\r\n\r\n")
            if not end:
                return False
            # Where too many wait, some are told to come back.
            self.is_refused = head.startswith(b"HTTP/1.1 503 ")
            assert self.is_refused or head.startswith(b"HTTP/1.1 200 "), head
            self.left = int(re.search(rb"(?i)content-length: *([0-9]+)", head)[1]) - len(rest)
        else:
            self.left -= len(came)
        return self.left == 0


def ask(address, path):
    """Asks for a page at the rate; returns how many answers came a second, how long they took, over how many
    connections, and how many there were that tell to come back."""
    host = f"{address[0]}:{address[1]}"
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()
    poll, known, free, times = select.epoll(), {}, [], []
    began = time.monotonic()
    counts, ends = began + WARM_UP, began + WARM_UP + SECONDS
    due, answered, refused = began, 0, 0
    while due < ends or len(free) < len(known):
        now = time.monotonic()
        while due <= now and due < ends and (free or len(known) < MOST):
            if not free:
                connection = Connection(address, poll)
                known[connection.socket.fileno()] = connection
            else:
                connection = free.pop()
            connection.send(request, due)
            due += 1 / RATE
        is_full = not free and len(known) == MOST
        for number, _ in poll.poll(10 if is_full or due >= ends else max(0, due - time.monotonic())):
            connection = known[number]
            if connection in free:
                # The controller closes connections that nobody used for a while.
                assert not connection.socket.recv(1), "an answer that nobody asked for"
                free.remove(connection)
                del known[number]
                connection.socket.close()
            elif connection.take():
                now = time.monotonic()
                if connection.is_refused:
                    refused += 1
                elif connection.due >= counts:
                    times.append(now - connection.due)
                    answered += now < ends
                free.append(connection)
    for connection in known.values():
        connection.socket.close()
    times = sorted(times) or [float("nan")]
    at = lambda part: 1e3 * times[min(len(times) - 1, int(part * len(times)))]
    return answered / SECONDS, at(0.5), at(0.99), at(1), len(known), refused


def counted(url, name):
    """What a counter of the controller says."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def processor_seconds(process):
    """What the controller took of the processors so far, and what everybody else did but this program."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    mine = (int(fields[11]) + int(fields[12])) / tick
    user, nice, system, _, _, interrupts, soft = map(int, pathlib.Path("/proc/stat").read_text().split()[1:8])
    own = sum(os.times()[:2])
    return mine, (user + nice + system + interrupts + soft) / tick - mine - own


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tree = folder / "tree"
        tree.mkdir()
        write(tree)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        listen = f"{address[0]}:{address[1]}"
        (folder / "operator.yaml").write_text(
            f"listen: {listen}\nstate: sqlite:{folder}/state.db\nconcurrency: {AT_ONCE}\n"
        )
        intake = os.environ.get("INTAKE", ROOT / "target/release/intake")
        log = open(folder / "log", "w")
        began = time.monotonic()
        controller = subprocess.Popen([intake, "run", tree, "--config", folder / "operator.yaml"], stderr=log)
        try:
            url = f"http://{listen}"
            while True:
                assert controller.poll() is None, (folder / "log").read_text()
                try:
                    if had_a_turn(url) == CUSTOMERS:
                        break
                except OSError:
                    pass
                time.sleep(1)
            print(f"{CUSTOMERS} customers of {ACCOUNTS} accounts had their first turn in {time.monotonic() - began:.0f} s")
            print(f"{RATE} requests a second for {SECONDS} s each, while {AT_ONCE} turns are under way:")
            print(f"{'page':32} {'a second':>9} {'median ms':>10} {'p99 ms':>8} {'max ms':>8} {'connections':>12} {'refused':>8}"
                  f" {'turns a second':>15} {'cores busy':>11} {'by others':>10}")
            for name, path in PAGES:
                turns, busy, since = counted(url, TURNS), processor_seconds(controller), time.monotonic()
                rate, middle, late, last, connections, refused = ask(address, path)
                passed = time.monotonic() - since
                busy, others = [(now - then) / passed for now, then in zip(processor_seconds(controller), busy)]
                turns = (counted(url, TURNS) - turns) / passed
                print(f"{name:32} {rate:9.0f} {middle:10.1f} {late:8.1f} {last:8.1f} {connections:12} {refused:8}"
                      f" {turns:15.1f} {busy:11.1f} {others:10.1f}", flush=True)
        finally:
            controller.terminate()
            controller.wait()


if __name__ == "__main__":
    main()
