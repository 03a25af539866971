import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { loadGrammar, programs, root, tokens } from './highlighting.mjs';

const grammar = await loadGrammar();

/** The scope of a word in a text; the first one, if it stands there several times. */
function scope(text, word) {
  return tokens(grammar, text).find(([, found]) => found === word)?.[2];
}

test('words of declarations are keywords only where a declaration begins', () => {
  assert.equal(scope('data splice = table("a.tsv") {', 'data'), 'storage.type');
  assert.equal(scope('data splice = table("a.tsv") {', 'splice'), 'entity.name.type');
  assert.equal(scope('  task = classification(data, output)', 'task'), 'variable.other.property');
  assert.equal(scope('  task = classification(data, output)', 'data'), undefined);
  assert.equal(scope('  task = classification(data, output)', 'classification'), 'entity.name.function');
  assert.equal(scope('  module = where.at', 'where'), undefined);
  assert.equal(scope('  x = at(y, seq = 0)', 'at'), 'entity.name.function');
  assert.equal(scope('  norm = LayerNorm(hidden) at "ln"', 'at'), 'keyword.other');
  assert.equal(scope('  output value = score', 'output'), 'storage.type');
});

test('values, units, texts and comments', () => {
  assert.deepEqual(tokens(grammar, 'x = 196_608 + 16GiB - 1e-4').filter(([, , scope]) => /numeric|unit/.test(scope)), [
    [1, '196_608', 'constant.numeric'],
    [1, '16', 'constant.numeric'],
    [1, 'GiB', 'keyword.other.unit'],
    [1, '1e-4', 'constant.numeric'],
  ]);
  assert.equal(scope('x = "layer.{i}"', '{i}'), 'constant.other.placeholder');
  assert.equal(scope('x = "a\\tb"', '\\t'), 'constant.character.escape');
  assert.equal(scope('x = "a\\qb"', '\\q'), 'invalid.illegal.escape');
  assert.equal(scope('/// Why.', '/// Why.'), 'comment.line.documentation');
  assert.equal(scope('//// no documentation', '//// no documentation'), 'comment.line.double-slash');
  assert.equal(scope('x = "a // b"', 'a // b'), 'string.quoted.double');
  assert.equal(scope('x = "not closed\ny = 1', 'y'), 'variable.other.property', 'a text ends with its line');
});

test('types, parameters and operators', () => {
  const line = '  fn forward(x: f[seq, hidden], kind: enum(a, b) = a) -> [int] {';
  assert.equal(scope(line, 'forward'), 'entity.name.function');
  assert.equal(scope(line, 'x'), 'variable.parameter');
  assert.equal(scope(line, 'f'), 'support.type');
  assert.equal(scope(line, 'int'), 'support.type');
  assert.equal(scope(line, '->'), 'keyword.operator.arrow');
  assert.equal(scope('  offset: param f[out] = zeros if bias at "bias"', 'param'), 'storage.modifier');
  assert.equal(scope('a |> f', '|>'), 'keyword.operator');
  assert.equal(scope('a |> pool', 'pool'), 'entity.name.function');
  assert.equal(scope('use std::layers::{Linear as L}', 'std'), 'entity.name.namespace');
  assert.equal(scope('  train {', 'train'), 'entity.name.section');
});

test('every program of the repository is highlighted without a fault', () => {
  const files = ['stdlib', 'examples', 'benches'].map((folder) => path.join(root, folder)).filter(existsSync).flatMap(programs);
  assert.ok(files.length > 45, `only ${files.length} files`);
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const found = tokens(grammar, text);
    assert.deepEqual(found.filter(([, , scope]) => scope.startsWith('invalid')), [], file);
    // What stands in the file as a declaration, a function or a comment is highlighted as one.
    const count = (scope) => found.filter(([, , other]) => other === scope).length;
    const lines = text.split('\n');
    const declared = lines.filter((line) => /^(module|adapter|task|optimizer|schedule|rewrite|backbone|tokenizer|data|experiment)\s/.test(line)).length;
    assert.equal(count('entity.name.type') >= declared, true, file);
    assert.equal(found.filter(([, word, scope]) => word === 'fn' && scope === 'storage.type.function').length, lines.filter((line) => /^\s*fn\s/.test(line)).length, file);
    assert.equal(count('comment.line.documentation'), lines.filter((line) => /^\s*\/\/\/(?!\/)/.test(line)).length, file);
  }
});

test('all constructs of the language, as a snapshot', () => {
  // The file that the parser's own test of all constructs uses. MGX_BLESS=1 writes the snapshot anew.
  const text = readFileSync(path.join(root, 'compiler/tests/syntax/everything.mgx'), 'utf8');
  const found = tokens(grammar, text).map((token) => token.join('  ')).join('\n') + '\n';
  const snapshot = path.join(root, 'editors/vscode/test/everything.tokens.txt');
  if (process.env.MGX_BLESS) {
    writeFileSync(snapshot, found);
  }
  assert.equal(found, readFileSync(snapshot, 'utf8'));
});
