#!/usr/bin/env python3
"""Publishes many accounts to a SCIM server, and tells how many requests and how long each takes.

    benches/publish.py [ACCOUNTS [SERVER]]

Makes a tree of one customer with so many people (1,000) in files, and runs the released `intake run --once` over it:
once for all of them, and once more with nothing changed. SERVER is the path of `scim2-server` (PyPI, 0.8.3; the tests
have one in `target/tmp/others/python/bin`); it is asked through a proxy in this script that counts. Without SERVER a
small server in this script takes its place, which finds users by an index: `scim2-server` goes over all of its users
for each request, and is as slow as they are many. Needs `cargo build --release` and Python 3, listens on loopback
alone, and leaves nothing behind. The figures are this machine's: compare those of one run.
"""

import base64
import collections
import http.client
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCOUNTS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
SERVER = sys.argv[2] if len(sys.argv) > 2 else None
ROOT = pathlib.Path(__file__).resolve().parent.parent
INTAKE = os.environ.get("INTAKE", str(ROOT / "target/release/intake"))
SKU = "05e9a617-0261-4cee-bb44-138d3ef5d965"
BASE = "DC=contoso,DC=test"
TOKEN = "benchmark"

COUNTS = collections.Counter()
LOCK = threading.Lock()


class Counting(BaseHTTPRequestHandler):
    """Counts requests by what they do; whoever inherits answers them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        path = self.path.split("?")[0]
        what = "filter" if "filter=" in self.path else re.sub(r"/Users/.+", "/Users/ID", path[3:])
        with LOCK:
            COUNTS[f"{self.command} {what}"] += 1
        status, answer = self.answer(body)
        self.send_response(status)
        self.send_header("content-type", "application/scim+json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any


class Proxy(Counting):
    port = 0

    def answer(self, body):
        there = http.client.HTTPConnection("127.0.0.1", self.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        there.request(self.command, self.path, body or None, headers)
        answer = there.getresponse()
        return answer.status, answer.read()


class Indexed(Counting):
    users, by_external, by_name = {}, {}, {}

    def answer(self, body):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        path = url.path.removeprefix("/v2")
        with LOCK:
            return self.act(path, query, json.loads(body) if body else None)

    def act(self, path, query, body):
        if path == "/ServiceProviderConfig":
            return 200, json.dumps({"bulk": {"supported": False}}).encode()
        if path == "/Users" and self.command == "POST":
            if body["userName"].lower() in self.by_name:
                return 409, b"{}"
            user = dict(body, id=str(len(self.users) + 1))
            self.users[user["id"]] = user
            self.by_external[user["externalId"]] = self.by_name[user["userName"].lower()] = user
            return 201, json.dumps(user).encode()
        if path == "/Users" and "filter" in query:
            attribute, value = query["filter"].split(" eq ", 1)
            value = json.loads(value)
            found = self.by_external.get(value) if attribute == "externalId" else self.by_name.get(value.lower())
            rows = [found] if found else []
            return 200, json.dumps({"totalResults": len(rows), "Resources": rows}).encode()
        user = self.users.get(path.removeprefix("/Users/"))
        return (200, json.dumps(user).encode()) if user and self.command == "GET" else (404, b"{}")


def guid(number):
    return struct.pack("<IHH8s", number, 1, 0x4000, b"\x80" + bytes(7))


def write_tree(folder):
    entries = [
        f"dn: {BASE}\nobjectClass: domainDNS\ndc: contoso\n"
        f"objectGUID:: {base64.b64encode(guid(0xFFFFFFFF)).decode()}\n"
        f"objectSid:: {base64.b64encode(sid(None)).decode()}\n",
        f"dn: OU=Staff,{BASE}\nobjectClass: organizationalUnit\nou: Staff\n"
        f"objectGUID:: {base64.b64encode(guid(0xFFFFFFFE)).decode()}\n",
    ]
    users = []
    for number in range(1, ACCOUNTS + 1):
        name = f"person{number}"
        anchor = base64.b64encode(guid(number)).decode()
        entries.append(
            f"dn: CN={name},OU=Staff,{BASE}\nobjectClass: user\ncn: {name}\nsAMAccountName: {name}\n"
            f"userPrincipalName: {name}@contoso.test\nmail: {name}@contoso.test\ndisplayName: Person {number}\n"
            f"userAccountControl: 512\nprimaryGroupID: 513\nobjectGUID:: {anchor}\n"
            f"objectSid:: {base64.b64encode(sid(number + 1000)).decode()}\n"
        )
        users.append(
            {
                "id": f"00000000-0000-4000-8000-{number:012d}",
                "userPrincipalName": f"{name}@contoso.test",
                "displayName": f"Person {number}",
                "mail": f"{name}@contoso.test",
                "accountEnabled": True,
                "userType": "Member",
                "onPremisesImmutableId": anchor,
                "assignedLicenses": [{"skuId": SKU, "disabledPlans": []}],
            }
        )
    text = "# intake: begin\nversion: 1\n\n" + "\n".join(entries) + "\n# intake: end\n"
    (folder / "contoso.ldif").write_text(text)
    (folder / "contoso.json").write_text(json.dumps({"value": users}))
    (folder / "tree.yaml").write_text(
        """apiVersion: intake.dev/v1
kind: Customer
metadata: {name: contoso}
spec: {directories: [{ldif: {file: contoso.ldif}}], tenant: {snapshot: {file: contoso.json}}}
---
apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec: {accountType: EndUser, default: true, selection: {organizationalUnits: ["OU=Staff"]}}
---
apiVersion: intake.dev/v1
kind: ImportOptions
metadata: {name: published}
spec: {accountType: EndUser, default: true, publish: [hr-app]}
"""
    )


def sid(rid):
    parts = [21, 1, 2, 3] + ([rid] if rid else [])
    return struct.pack("<BB", 1, len(parts)) + bytes([0, 0, 0, 0, 0, 5]) + b"".join(
        struct.pack("<I", part) for part in parts
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(folder, config):
    COUNTS.clear()
    began = time.monotonic()
    command = [INTAKE, "run", str(folder), "--once", "--config", str(config), "--max-wait", "7d", "-q"]
    environment = dict(os.environ, SCIM_TOKEN=TOKEN)
    done = subprocess.run(command, env=environment, cwd=folder.parent, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"intake ended with {done.returncode}: {done.stdout}{done.stderr}")
    return time.monotonic() - began, dict(COUNTS)


def told(name, took, counts):
    asked = sum(counts.values())
    print(f"{name}: {took:.1f} s, {asked} requests, {asked / ACCOUNTS:.2f} per account, {ACCOUNTS / took:.0f} accounts/s")
    for what, count in sorted(counts.items()):
        print(f"    {count:>8} {what}")


def main():
    server = None
    with tempfile.TemporaryDirectory(prefix="intake-publish-") as folder:
        folder = pathlib.Path(folder)
        tree = folder / "tree"
        tree.mkdir()
        write_tree(tree)
        handler = Indexed
        if SERVER:
            Proxy.port = free_port()
            command = [SERVER, "--port", str(Proxy.port), "--bearer-token", TOKEN]
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            handler = Proxy
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", Proxy.port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
        front = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=front.serve_forever, daemon=True).start()
        config = folder / "operator.yaml"
        config.write_text(
            f'state: "sqlite:{folder}/state.db"\ntargets: {{hr-app: {{scim: '
            f'{{url: "http://127.0.0.1:{front.server_port}/v2", tokenFrom: {{env: SCIM_TOKEN}}}}}}}}\n'
        )
        try:
            print(f"{ACCOUNTS} accounts to {SERVER or 'a server with an index'}")
            told("first run", *run(tree, config))
            told("second run, nothing changed", *run(tree, config))
        finally:
            if server:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
