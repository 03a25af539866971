// `mgxc lsp` with the client library of VS Code at the other end. The program is that of the environment variable MGXC, or a build in `target/`; without one the tests are skipped.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';

import { root } from './highlighting.mjs';

const protocol = createRequire(import.meta.url)('vscode-languageserver-protocol/node');

const PROGRAM = `// \u{1F9EC} a comment before everything
use std::adapters::conv_pool
use std::backbones::dna_onehot
use std::optimizers::adamw
use std::tasks::classification

data splice = table("splice.tsv") {
  sequence: dna
  label:    class("EI", "IE", "N")
}

experiment splice_sites {
  logits = splice.sequence |> dna_onehot |> conv_pool(outputs = 3)
  task   = classification(logits, splice.label)
  train {
    epochs    = 2
    optimizer = adamw(lr = 1e-3)
  }
}
`;

/** The server that the tests are of. */
function findProgram() {
  const candidates = process.env.MGXC ? [process.env.MGXC] : ['release', 'debug'].map((profile) => path.join(root, 'target', profile, 'mgxc'));
  return candidates.find((candidate) => existsSync(candidate) && spawnSync(candidate, ['lsp', '--help']).status === 0);
}

const program = findProgram();
if (program === undefined) {
  console.error('SKIPPED: there is no `mgxc` with `lsp` in target/; `cargo build -p mgxc` makes one, or MGXC=PATH names it');
}

/** A session with a server, in a folder with a table of one row. */
class Session {
  constructor() {
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'mgx-lsp-'));
    writeFileSync(path.join(this.folder, 'splice.tsv'), 'sequence\tlabel\nACGT\tEI\nCCCC\tIE\nTTTT\tN\n');
    this.uri = pathToFileURL(path.join(this.folder, 'first.mgx')).href;
    this.process = spawn(program, ['lsp'], { cwd: this.folder, stdio: ['pipe', 'pipe', 'inherit'] });
    this.connection = protocol.createProtocolConnection(new protocol.StreamMessageReader(this.process.stdout), new protocol.StreamMessageWriter(this.process.stdin));
    /** Findings by version, and who waits for them. */
    this.findings = new Map();
    this.waiting = new Map();
    this.connection.onNotification(protocol.PublishDiagnosticsNotification.type, ({ uri, version, diagnostics }) => {
      if (uri !== this.uri) {
        return;
      }
      this.findings.set(version, diagnostics);
      this.waiting.get(version)?.(diagnostics);
    });
    this.connection.onRequest(protocol.RegistrationRequest.type, () => {});
    this.connection.listen();
  }

  async start() {
    const result = await this.connection.sendRequest(protocol.InitializeRequest.type, {
      processId: process.pid,
      rootUri: pathToFileURL(this.folder).href,
      workspaceFolders: null,
      capabilities: {
        general: { positionEncodings: ['utf-16'] },
        textDocument: { publishDiagnostics: { versionSupport: true }, hover: { contentFormat: ['markdown', 'plaintext'] }, codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ['quickfix'] } } } },
      },
    });
    await this.connection.sendNotification(protocol.InitializedNotification.type, {});
    return result;
  }

  open(text, version = 1) {
    this.text = text;
    return this.connection.sendNotification(protocol.DidOpenTextDocumentNotification.type, { textDocument: { uri: this.uri, languageId: 'mgx', version, text } });
  }

  change(text, version) {
    this.text = text;
    return this.connection.sendNotification(protocol.DidChangeTextDocumentNotification.type, { textDocument: { uri: this.uri, version }, contentChanges: [{ text }] });
  }

  /** The findings of a version, as soon as there are such. */
  found(version) {
    const known = this.findings.get(version);
    return known ?? new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no findings of version ${version}`)), 20_000);
      this.waiting.set(version, (found) => (clearTimeout(timer), resolve(found)));
    });
  }

  /** Where a word stands, its `offset`-th UTF-16 unit. */
  at(word, offset = 0) {
    const before = this.text.slice(0, this.text.indexOf(word) + offset).split('\n');
    return { line: before.length - 1, character: before.at(-1).length };
  }

  /** What a range of a finding or an answer covers. */
  covered({ start, end }) {
    assert.equal(start.line, end.line);
    return this.text.split('\n')[start.line].slice(start.character, end.character);
  }

  ask(request, position, more = {}) {
    return this.connection.sendRequest(request.type, { textDocument: { uri: this.uri }, position, ...more });
  }

  async end() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    await this.connection.sendRequest(protocol.ShutdownRequest.type);
    await this.connection.sendNotification(protocol.ExitNotification.type);
    assert.equal(await ended, 0, 'the server ends with 0 after shutdown and exit');
    this.connection.dispose();
    rmSync(this.folder, { recursive: true });
  }
}

/** A test of a session, which is ended in every case. */
function session(name, body) {
  test(name, { skip: program === undefined && 'no mgxc' }, async () => {
    const own = new Session();
    try {
      await body(own, await own.start());
      await own.end();
    } finally {
      own.process.kill();
    }
  });
}

session('says what it offers', async (_, { capabilities, serverInfo }) => {
  assert.match(serverInfo?.name ?? '', /mgx/);
  for (const name of ['textDocumentSync', 'hoverProvider', 'completionProvider', 'definitionProvider', 'codeActionProvider', 'documentFormattingProvider', 'renameProvider', 'semanticTokensProvider', 'inlayHintProvider']) {
    assert.ok(capabilities[name], `${name} is missing`);
  }
});

session('findings follow what is typed, also on lines after other alphabets', async (own) => {
  await own.open(PROGRAM);
  assert.deepEqual(await own.found(1), []);
  await own.change(PROGRAM.replace('outputs = 3', 'output = 3'), 2);
  const [wrong, ...others] = (await own.found(2)).filter(({ severity }) => severity === 1);
  assert.deepEqual(others, []);
  assert.equal(wrong.code, 'E0206');
  assert.equal(own.covered(wrong.range), 'output');
  await own.change(PROGRAM.replace('|> dna_onehot', '/* */ |> dna_onehot'), 3);
  assert.notDeepEqual(await own.found(3), []);
  await own.change(PROGRAM, 4);
  assert.deepEqual(await own.found(4), []);
});

session('characters of two units are counted as two', async (own) => {
  const text = PROGRAM.replace('"N")', '"N", "\u{1F9EC}", wrong = 1)');
  await own.open(text);
  const found = await own.found(1);
  assert.ok(found.length > 0);
  const line = text.split('\n')[8];
  for (const { range } of found.filter(({ range }) => range.start.line === 8)) {
    assert.ok(range.end.character <= line.length, `${range.end.character} is beyond the line of ${line.length}`);
  }
});

session('hover shows types with numbers', async (own) => {
  await own.open(PROGRAM);
  await own.found(1);
  const hover = await own.ask(protocol.HoverRequest, own.at('conv_pool(', 2));
  const text = JSON.stringify(hover?.contents ?? '');
  assert.match(text, /conv_pool/);
  const logits = JSON.stringify((await own.ask(protocol.HoverRequest, own.at('logits =', 1)))?.contents ?? '');
  assert.match(logits, /3/, logits);
});

session('completion knows the options of a call and the fields of a block', async (own) => {
  await own.open(PROGRAM.replace('conv_pool(outputs = 3)', 'conv_pool(outputs = 3, )').replace('epochs    = 2\n', 'epochs    = 2\n    batch\n'));
  await own.found(1);
  const labels = async (position) => {
    const answer = await own.ask(protocol.CompletionRequest, position);
    return (Array.isArray(answer) ? answer : answer.items).map(({ label }) => label);
  };
  assert.ok((await labels(own.at('3, )', 3))).some((label) => label.startsWith('dropout_rate')));
  assert.ok((await labels(own.at('    batch\n', 9))).some((label) => label.startsWith('batch_size')));
});

session('definitions lead into the standard library', async (own) => {
  await own.open(PROGRAM);
  await own.found(1);
  const answer = await own.ask(protocol.DefinitionRequest, own.at('conv_pool(', 2));
  const place = Array.isArray(answer) ? answer[0] : answer;
  const file = new URL(place.uri ?? place.targetUri);
  assert.equal(file.protocol, 'file:', 'an editor can open it');
  const { start } = place.range ?? place.targetSelectionRange;
  assert.match(readFileSync(file, 'utf8').split('\n')[start.line], /conv_pool/);
});

session('a finding with a fix is mended by its quick fix', async (own) => {
  const text = PROGRAM.replace('epochs', 'epoch');
  await own.open(text);
  const [wrong] = await own.found(1);
  const actions = await own.connection.sendRequest(protocol.CodeActionRequest.type, { textDocument: { uri: own.uri }, range: wrong.range, context: { diagnostics: [wrong] } });
  const edits = actions?.[0]?.edit?.changes?.[own.uri] ?? actions?.[0]?.edit?.documentChanges?.[0]?.edits;
  assert.equal(edits?.length, 1);
  assert.equal(own.covered(edits[0].range), 'epoch');
  assert.equal(edits[0].newText, 'epochs');
});

session('formatting is that of mgxc fmt', async (own) => {
  await own.open(PROGRAM.replace('label:    class', 'label:class').replace('    epochs    = 2', '  epochs=2'));
  await own.found(1);
  const edits = await own.connection.sendRequest(protocol.DocumentFormattingRequest.type, { textDocument: { uri: own.uri }, options: { tabSize: 2, insertSpaces: true } });
  assert.equal(applied(own.text, edits), PROGRAM);
});

session('a name is renamed wherever it stands', async (own) => {
  await own.open(PROGRAM);
  await own.found(1);
  const { changes, documentChanges } = await own.ask(protocol.RenameRequest, own.at('splice =', 2), { newName: 'junctions' });
  const edits = changes?.[own.uri] ?? documentChanges[0].edits;
  assert.equal(applied(own.text, edits), PROGRAM.replace('data splice', 'data junctions').replaceAll('splice.sequence', 'junctions.sequence').replaceAll('splice.label', 'junctions.label'));
});

session('colours by meaning use scopes that the editor knows', async (own, { capabilities }) => {
  await own.open(PROGRAM);
  await own.found(1);
  const { data } = await own.connection.sendRequest(protocol.SemanticTokensRequest.type, { textDocument: { uri: own.uri } });
  const { tokenTypes } = capabilities.semanticTokensProvider.legend;
  const standard = Object.values(protocol.SemanticTokenTypes);
  assert.deepEqual(tokenTypes.filter((type) => !standard.includes(type)), []);
  assert.ok(data.length > 100 && data.length % 5 === 0);
  const lines = own.text.split('\n');
  let [line, character] = [0, 0];
  for (let at = 0; at < data.length; at += 5) {
    character = data[at] === 0 ? character + data[at + 1] : data[at + 1];
    line += data[at];
    assert.ok(character + data[at + 2] <= lines[line].length, `a token beyond line ${line + 1}`);
    assert.ok(data[at + 3] < tokenTypes.length);
  }
});

/** A text with edits in it, which do not overlap. */
function applied(text, edits) {
  const starts = text.split('\n').reduce((starts, line) => [...starts, starts.at(-1) + line.length + 1], [0]);
  const place = ({ line, character }) => starts[line] + character;
  const sorted = edits.toSorted((a, b) => place(b.range.start) - place(a.range.start));
  return sorted.reduce((text, { range, newText }) => text.slice(0, place(range.start)) + newText + text.slice(place(range.end)), text);
}
