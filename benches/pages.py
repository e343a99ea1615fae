#!/usr/bin/env python3
"""Asks a controller for pages as a busy morning does, and tells how long the answers take.

    benches/pages.py [CUSTOMERS [ACCOUNTS_EACH [SECONDS]]]

Makes a tree of customers whose sources are files (1,000 of 100 accounts), runs the released controller over it
with the shortest interval that there is, so that somebody is always being reconciled, and has wrk (Debian: the package
`wrk`) ask for one page after the other at 200 requests a second. Needs `cargo build --release` and Python 3, listens on
loopback alone, and leaves nothing behind. The figures are this machine's: compare those of one run.
"""

import base64
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

CUSTOMERS, ACCOUNTS, SECONDS = [
    int(given) if given else usual
    for given, usual in zip((sys.argv[1:] + [""] * 3)[:3], (1_000, 100, 20))
]
CONNECTIONS, RATE = 20, 200
ROOT = pathlib.Path(__file__).resolve().parent.parent
SKU = "05e9a617-0261-4cee-bb44-138d3ef5d965"
BASE = "DC=contoso,DC=test"

PAGES = [
    ("the fleet", "/"),
    ("the fleet, its last page", f"/?page={(CUSTOMERS + 99) // 100}"),
    ("accounts of all", "/accounts"),
    ("a search that finds somebody", "/accounts?q=person17%20contoso"),
    ("a search that finds nobody", "/accounts?q=nobody-is-called-so"),
    ("a customer", "/customers/customer-00000"),
    ("the audit record", "/audit"),
    ("customers by the API", "/api/v1/customers"),
    ("accounts by the API", "/api/v1/accounts"),
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


def write(tree):
    people, users = directory(ACCOUNTS), tenant(ACCOUNTS)
    policy = ("apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: staff}\n"
              "spec: {accountType: EndUser, default: true, selection: {securityGroups: [Intake Users]}}\n")
    (tree / "staff.yaml").write_text(policy)
    for number in range(CUSTOMERS):
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


def ask(folder, url, path):
    """Has wrk ask for a page, each connection ten times a second; returns what it tells."""
    script = folder / "pace.lua"
    script.write_text(
        f"function delay() return {1000 * CONNECTIONS // RATE} end\n"
        "function done(summary, latency)\n"
        '  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.errors.status,\n'
        "    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,\n"
        "    latency:percentile(50), latency:percentile(99), latency.max))\nend\n"
    )
    run = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script, url + path],
        capture_output=True, text=True, check=True,
    )
    requests, refused, broken, middle, late, last = map(int, re.search(r"RESULT (.*)", run.stdout)[1].split())
    assert refused == broken == 0, run.stdout
    return requests / SECONDS, middle / 1e3, late / 1e3, last / 1e3


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tree = folder / "tree"
        tree.mkdir()
        write(tree)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        (folder / "operator.yaml").write_text(f"listen: {address}\nstate: sqlite:{folder}/state.db\nconcurrency: 2\n")
        intake = ROOT / "target/release/intake"
        log = open(folder / "log", "w")
        began = time.monotonic()
        controller = subprocess.Popen([intake, "run", tree, "--config", folder / "operator.yaml"], stderr=log)
        try:
            url = f"http://{address}"
            while True:
                assert controller.poll() is None, (folder / "log").read_text()
                try:
                    if had_a_turn(url) == CUSTOMERS:
                        break
                except OSError:
                    pass
                time.sleep(1)
            print(f"{CUSTOMERS} customers of {ACCOUNTS} accounts had their first turn in {time.monotonic() - began:.0f} s")
            print(f"{RATE} requests a second by {CONNECTIONS} connections, {SECONDS} s each, while they have turns:")
            print(f"{'page':32} {'a second':>9} {'median ms':>10} {'p99 ms':>8} {'max ms':>8}")
            for name, path in PAGES:
                rate, middle, late, last = ask(folder, url, path)
                print(f"{name:32} {rate:9.0f} {middle:10.1f} {late:8.1f} {last:8.1f}", flush=True)
        finally:
            controller.terminate()
            controller.wait()


main()
