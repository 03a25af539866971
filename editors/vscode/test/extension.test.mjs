// The extension with an editor and a client that only take note of what it asks of them.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire, Module } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';

const require = createRequire(import.meta.url);
const manifest = require('../package.json');

/** An editor with these settings, and the extension in it. */
function editor(settings) {
  const seen = { commands: new Map(), messages: [], started: [], stopped: 0, executed: [], changed: undefined };
  const nothing = { dispose() {} };
  const vscode = {
    window: {
      createOutputChannel: () => ({ ...nothing, info() {}, error() {}, show() {} }),
      showErrorMessage: async (message, ...buttons) => (seen.messages.push(message), buttons[0]),
    },
    commands: {
      registerCommand: (name, action) => (seen.commands.set(name, action), nothing),
      executeCommand: async (...command) => void seen.executed.push(command),
    },
    workspace: {
      getConfiguration: (section) => ({ get: (name, other) => settings[`${section}.${name}`] ?? other }),
      onDidChangeConfiguration: (action) => ((seen.changed = action), nothing),
      onDidGrantWorkspaceTrust: () => nothing,
    },
  };
  class LanguageClient {
    constructor(id, name, server, options) {
      Object.assign(this, { server, options });
    }
    async start() {
      seen.started.push(this);
    }
    async dispose() {
      seen.stopped += 1;
    }
  }
  const client = { LanguageClient, RevealOutputChannelOn: { Never: 4 } };
  const load = Module._load;
  Module._load = (name, ...rest) => (name === 'vscode' ? vscode : name === 'vscode-languageclient/node' ? client : load(name, ...rest));
  try {
    const file = require.resolve('../src/extension.js');
    delete require.cache[file];
    return { seen, extension: require(file) };
  } finally {
    Module._load = load;
  }
}

function program() {
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'mgx-')), 'mgxc');
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  return file;
}

test('a program that is not there is said to be missing, with the way to the setting', async () => {
  const { seen, extension } = editor({ 'mgx.server.path': '/nowhere/mgxc' });
  await extension.activate({ subscriptions: [] });
  await new Promise(setImmediate);
  assert.match(seen.messages[0], /`\/nowhere\/mgxc` was not found.*mgx\.server\.path/);
  assert.deepEqual(seen.executed, [['workbench.action.openSettings', 'mgx.server.path']]);
  assert.equal(seen.started.length, 0);
  await extension.deactivate();
});

test('the server is started with the arguments of the settings, and anew by the command and by a change of them', async () => {
  const settings = { 'mgx.server.path': program(), 'mgx.server.arguments': ['--verbose'] };
  const { seen, extension } = editor(settings);
  await extension.activate({ subscriptions: [] });
  assert.deepEqual(seen.started[0].server, { command: settings['mgx.server.path'], args: ['lsp', '--verbose'] });
  assert.ok(seen.started[0].options.documentSelector.every(({ language }) => language === 'mgx'));
  await seen.commands.get('mgx.restartServer')();
  assert.deepEqual([seen.started.length, seen.stopped], [2, 1]);
  settings['mgx.server.path'] = program();
  await seen.changed({ affectsConfiguration: (section) => section === 'mgx.server' });
  assert.equal(seen.started[2].server.command, settings['mgx.server.path']);
  await seen.changed({ affectsConfiguration: () => false });
  assert.equal(seen.started.length, 3);
  await extension.deactivate();
  assert.equal(seen.stopped, 3);
  assert.deepEqual(seen.messages, []);
});

test('the manifest names the commands and settings that there are', async () => {
  const { seen, extension } = editor({ 'mgx.server.path': program() });
  await extension.activate({ subscriptions: [] });
  assert.deepEqual([...seen.commands.keys()].sort(), manifest.contributes.commands.map(({ command }) => command).sort());
  assert.deepEqual(Object.keys(manifest.contributes.configuration.properties).sort(), ['mgx.server.arguments', 'mgx.server.path', 'mgx.trace.server']);
  await extension.deactivate();
});
