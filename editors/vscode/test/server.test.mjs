import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';

const { findServer } = createRequire(import.meta.url)('../src/server.js');

function folderWith(...names) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'mgx-'));
  for (const name of names) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), '');
    chmodSync(path.join(folder, name), 0o755);
  }
  return folder;
}

test('a name is looked for in PATH, in its order', () => {
  const [first, second] = [folderWith('other'), folderWith('mgxc')];
  const found = findServer('mgxc', { path: `${first}:${second}`, platform: 'linux' });
  assert.equal(found, path.join(second, 'mgxc'));
  assert.equal(findServer('mgxc', { path: first, platform: 'linux' }), undefined);
  assert.equal(findServer('', { path: second }), undefined);
});

test('a path is taken as it is, and from the workspace where it is relative', () => {
  const folder = folderWith('target/release/mgxc');
  assert.equal(findServer(path.join(folder, 'target/release/mgxc')), path.join(folder, 'target/release/mgxc'));
  assert.equal(findServer('target/release/mgxc', { folder }), path.join(folder, 'target/release/mgxc'));
  assert.equal(findServer('target/debug/mgxc', { folder }), undefined);
});

test('a folder, and a file that cannot be run, are no programs', () => {
  const folder = folderWith('mgxc/inside', 'plain');
  chmodSync(path.join(folder, 'plain'), 0o644);
  assert.equal(findServer('mgxc', { path: folder, platform: 'linux' }), undefined);
  assert.equal(findServer('plain', { path: folder, platform: 'linux' }), undefined);
});

test('on Windows programs have an ending', () => {
  const folder = folderWith('mgxc.EXE');
  assert.equal(findServer('mgxc', { path: folder, platform: 'win32', extensions: '.COM;.EXE' }), path.join(folder, 'mgxc.EXE'));
});
