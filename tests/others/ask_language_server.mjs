// Starts yaml-language-server over stdio, opens a file from the command line and asks what an editor asks.
// Every question is a JSON object of a list: {"completion": [line, character]} or {"hover": [line, character]}.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [file, text, questions] = [process.argv[2], readFileSync(process.argv[3], "utf8"), JSON.parse(process.argv[4])];
const uri = pathToFileURL(file).href;
const server = createRequire(import.meta.url).resolve("yaml-language-server/bin/yaml-language-server");
const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });

const waiting = new Map();
let last = 0;
let diagnosed;
const diagnostics = new Promise((resolve) => (diagnosed = resolve));

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  child.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  child.stdin.write(body);
}

function ask(method, params) {
  const id = ++last;
  send({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

function take(message) {
  if (message.method && message.id !== undefined) {
    // What the server asks its editor: settings, of which there are none besides what it has by itself.
    const isSettings = message.method === "workspace/configuration";
    send({ id: message.id, result: isSettings ? message.params.items.map(() => null) : null });
  } else if (message.method === "textDocument/publishDiagnostics" && message.params.uri === uri) {
    diagnosed(message.params.diagnostics);
  } else if (waiting.has(message.id)) {
    const { resolve, reject } = waiting.get(message.id);
    message.error ? reject(new Error(JSON.stringify(message.error))) : resolve(message.result);
  }
}

let received = Buffer.alloc(0);
child.stdout.on("data", (chunk) => {
  received = Buffer.concat([received, chunk]);
  for (;;) {
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(received.subarray(0, end).toString())[1]);
    if (received.length < end + 4 + length) return;
    take(JSON.parse(received.subarray(end + 4, end + 4 + length)));
    received = received.subarray(end + 4 + length);
  }
});
child.on("exit", (code) => process.exit(code ?? 1));

await ask("initialize", {
  processId: process.pid,
  rootUri: null,
  capabilities: {
    workspace: { configuration: true },
    textDocument: { hover: { contentFormat: ["markdown"] }, completion: {}, publishDiagnostics: {} },
  },
});
send({ method: "initialized", params: {} });
send({
  method: "workspace/didChangeConfiguration",
  // Nothing is fetched: the file's own first line says where the schema is.
  params: { settings: { yaml: { schemaStore: { enable: false }, validate: true, hover: true, completion: true } } },
});
send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });

const answers = [];
for (const question of questions) {
  const [method, [line, character]] = Object.entries(question)[0];
  answers.push(await ask(`textDocument/${method}`, { textDocument: { uri }, position: { line, character } }));
}
const result = JSON.stringify({ answers, diagnostics: await diagnostics });
process.stdout.write(result, () => child.kill() && process.exit(0));
