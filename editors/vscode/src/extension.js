// The extension: starts `mgxc lsp` and says so where it cannot.

'use strict';

const vscode = require('vscode');
const { LanguageClient, RevealOutputChannelOn } = require('vscode-languageclient/node');
const { findServer } = require('./server');

/** @type {LanguageClient | undefined} */
let client;
/** @type {vscode.LogOutputChannel} */
let output;
/** Starting and stopping, one after another. @type {Promise<void>} */
let last = Promise.resolve();

/** @param {vscode.ExtensionContext} context */
async function activate(context) {
  output = vscode.window.createOutputChannel('mgx', { log: true });
  context.subscriptions.push(
    output,
    vscode.commands.registerCommand('mgx.restartServer', restart),
    vscode.commands.registerCommand('mgx.showServerOutput', () => output.show(true)),
    vscode.workspace.onDidChangeConfiguration((change) => (change.affectsConfiguration('mgx.server') ? restart() : undefined)),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
  );
  await restart();
}

function deactivate() {
  return inTurn(stop);
}

/** Stops the server, if it runs, and starts the one that the settings name. */
function restart() {
  return inTurn(async () => {
    await stop();
    await start();
  });
}

/**
 * @param {() => Promise<void>} action
 * @returns {Promise<void>}
 */
function inTurn(action) {
  last = last.then(action, action);
  return last;
}

async function start() {
  const settings = vscode.workspace.getConfiguration('mgx.server');
  const name = settings.get('path', 'mgxc');
  const command = findServer(name, { folder: vscode.workspace.workspaceFolders?.[0]?.uri.fsPath });
  if (command === undefined) {
    output.error(`\`${name}\` was not found`);
    void notFound(name);
    return;
  }
  /** @type {import('vscode-languageclient/node').ServerOptions} */
  const server = { command, args: ['lsp', ...settings.get('arguments', [])] };
  client = new LanguageClient('mgx', 'mgx', server, {
    documentSelector: [{ language: 'mgx', scheme: 'file' }, { language: 'mgx', scheme: 'untitled' }],
    outputChannel: output,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
  });
  output.info(`starts \`${[command, ...(server.args ?? [])].join(' ')}\``);
  try {
    await client.start();
  } catch (error) {
    output.error(String(error));
    void notStarted(command);
  }
}

async function stop() {
  const running = client;
  client = undefined;
  // A server that never started, or has ended, has nothing to stop.
  await running?.dispose().catch((error) => output.error(String(error)));
}

/** @param {string} name */
async function notFound(name) {
  const settings = 'Open the setting';
  const message = `mgx: the program \`${name}\` was not found. Build it (\`cargo build --release -p mgxc\`) and put it into PATH, or say where it is in the setting mgx.server.path.`;
  if ((await vscode.window.showErrorMessage(message, settings)) === settings) {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'mgx.server.path');
  }
}

/** @param {string} command */
async function notStarted(command) {
  const show = 'Show the output';
  if ((await vscode.window.showErrorMessage(`mgx: \`${command} lsp\` did not start.`, show)) === show) {
    output.show(true);
  }
}

module.exports = { activate, deactivate };
