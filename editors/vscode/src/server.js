// Where the language server is: nothing here knows of the editor.

'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/**
 * The program that a setting names: a path as it is (from the home folder with `~`, from the workspace where it is relative), a name as `PATH` has it.
 *
 * @param {string} setting the setting `mgx.server.path`
 * @param {{ folder?: string, path?: string, platform?: string, extensions?: string }} [surroundings] the workspace's folder; `PATH`, the platform and `PATHEXT` of the process unless given
 * @returns {string | undefined} the path of a file that can be run, if there is one
 */
function findServer(setting, surroundings = {}) {
  const platform = surroundings.platform ?? process.platform;
  const endings = platform === 'win32' ? ['', ...(surroundings.extensions ?? process.env.PATHEXT ?? '.EXE').split(';')] : [''];
  const name = setting.trim().replace(/^~(?=$|[\\/])/, os.homedir());
  if (name === '') {
    return undefined;
  }
  const folders = /[\\/]/.test(name)
    ? [path.isAbsolute(name) ? '' : surroundings.folder ?? '']
    : (surroundings.path ?? process.env.PATH ?? '').split(platform === 'win32' ? ';' : ':').filter((folder) => folder !== '');
  const candidates = folders.flatMap((folder) => endings.map((ending) => path.join(folder, name + ending)));
  return candidates.find(isProgram);
}

/**
 * @param {string} file
 * @returns {boolean}
 */
function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

module.exports = { findServer };
