// The highlighting as an editor computes it: tokens with their scopes, by VS Code's own TextMate engine.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import oniguruma from 'vscode-oniguruma';
import textmate from 'vscode-textmate';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const syntaxes = path.join(root, 'editors/vscode/syntaxes');

/** @returns {Promise<import('vscode-textmate').IGrammar>} */
export async function loadGrammar() {
  const wasm = readFileSync(createRequire(import.meta.url).resolve('vscode-oniguruma/release/onig.wasm'));
  await oniguruma.loadWASM(wasm);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async (scope) => {
      const file = path.join(syntaxes, `${scope.split('.').pop()}.tmLanguage.json`);
      return textmate.parseRawGrammar(readFileSync(file, 'utf8'), file);
    },
  });
  return /** @type {import('vscode-textmate').IGrammar} */ (await registry.loadGrammar('source.mgx'));
}

/**
 * The tokens of a text with a scope of their own: `[line, text, scope]`, without `source.mgx`.
 *
 * @param {import('vscode-textmate').IGrammar} grammar
 * @param {string} text
 * @returns {[number, string, string][]}
 */
export function tokens(grammar, text) {
  const found = [];
  let stack = textmate.INITIAL;
  for (const [number, line] of text.split(/\r?\n/).entries()) {
    const result = grammar.tokenizeLine(line, stack);
    stack = result.ruleStack;
    for (const token of result.tokens) {
      const scope = token.scopes.at(-1);
      const word = line.slice(token.startIndex, token.endIndex);
      if (scope !== 'source.mgx' && word.trim() !== '') {
        found.push([number + 1, word.trim(), scope.replace(/\.mgx$/, '')]);
      }
    }
  }
  return found;
}

/**
 * Every file below a folder with this ending.
 *
 * @param {string} folder
 * @returns {string[]}
 */
export function programs(folder) {
  return readdirSync(folder).sort().flatMap((name) => {
    const file = path.join(folder, name);
    return statSync(file).isDirectory() ? programs(file) : name.endsWith('.mgx') ? [file] : [];
  });
}
