#!/usr/bin/env python3
"""How long findings take after a keystroke in a file of 1,000 lines: types lines letter by letter through the server, as an editor does.

    cargo build --release -p mgxc
    python benches/typing.py target/release/mgxc
"""

import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES = 1000
# What is typed, and after which line: into the last experiment, into a module, and at the end.
TYPED = [
    ("experiment splice_0 {\n", "  pooled  = splice.sequence |> encoder |> linear_cls(outputs = 3)\n"),
    ("  norm_attn", "  extra = Linear(hidden, hidden, bias = false) at \"extra\"\n"),
    (None, "\n/// One more.\nmodule Last(hidden: dim) {\n  part = Linear(hidden, hidden)\n  fn forward(x: f[seq, hidden]) -> f[seq, hidden] { relu(part(x)) }\n}\n"),
]


def program():
    """A network of its own, as in the library, and experiments with it and others."""
    network = (ROOT / "stdlib/backbones/rnabert.mgx").read_text()
    example = (ROOT / "examples/splice.mgx").read_text()
    head, experiment = example.split("experiment splice_sites {")
    head = head.replace("use std::adapters::conv_flatten", "use std::adapters::{conv_flatten, linear_cls}")
    uses = "".join(line + "\n" for line in head.splitlines() if line.startswith("use "))
    text = uses + network + "\n" + head.split("use std::tasks::classification\n")[1]
    count = 0
    while text.count("\n") < LINES:
        text += f"experiment splice_{count} {{" + experiment.replace("seed    = 0", f"seed    = {count}") + "\n"
        count += 1
    return text, count


class Server:
    def __init__(self, binary):
        self.process = subprocess.Popen([binary, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.send({"id": 0, "method": "initialize", "params": {"capabilities": {}, "processId": None, "rootUri": None}})
        self.receive()
        self.send({"method": "initialized", "params": {}})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def receive(self):
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.startswith(b"Content-Length:"):
                length = int(line.split(b":")[1])
        return json.loads(self.process.stdout.read(length))

    def findings(self, version):
        while True:
            message = self.receive()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"].get("version") == version:
                return message["params"]["diagnostics"]


def main():
    text, experiments = program()
    uri = (ROOT / "examples" / "typed.mgx").as_uri()
    server = Server(sys.argv[1])
    version = 1
    server.send({"method": "textDocument/didOpen", "params": {"textDocument": {"uri": uri, "languageId": "mgx", "version": 1, "text": text}}})
    before = server.findings(version)
    errors = [one["message"] for one in before if one["severity"] == 1]
    assert not errors, errors
    times = []
    for after, typed in TYPED:
        at = len(text) if after is None else text.index("\n", text.index(after)) + 1 if not after.endswith("\n") else text.index(after) + len(after)
        line, column = text[:at].count("\n"), 0
        for letter in typed:
            version += 1
            place = {"line": line, "character": column}
            change = {"range": {"start": place, "end": place}, "text": letter}
            start = time.perf_counter()
            params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
            server.send({"method": "textDocument/didChange", "params": params})
            found = server.findings(version)
            times.append((time.perf_counter() - start) * 1e3)
            line, column = (line + 1, 0) if letter == "\n" else (line, column + 1)
        text = text[:at] + typed + text[at:]
        left = [one["message"] for one in found if one["severity"] == 1]
        assert not left, left
    times.sort()
    quantile = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    print(f"{text.count(chr(10))} lines, {experiments} experiments, {len(times)} keystrokes: median {quantile(0.5):.1f} ms, 99th percentile {quantile(0.99):.1f} ms, most {times[-1]:.1f} ms")
    sys.exit(quantile(0.99) >= 20)


if __name__ == "__main__":
    main()
