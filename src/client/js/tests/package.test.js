/* What is packaged, and what the types say of it. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import * as client from '../index.js';

const here = (name) => new URL(`../${name}`, import.meta.url);
const about = JSON.parse(readFileSync(here('package.json'), 'utf8'));
const types = readFileSync(here('index.d.ts'), 'utf8');

test('one version, no dependencies', () => {
    assert.equal(client.VERSION, about.version);
    assert.deepEqual([about.dependencies, about.type], [undefined, 'module']);
});

test('the package holds the modules, their types, README.md and the license', () => {
    const answer = execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: here('.'), stdio: ['ignore', 'pipe', 'ignore'] });
    const [{ name, files }] = JSON.parse(answer);
    const modules = readdirSync(here('.')).filter((file) => file.endsWith('.js'));
    assert.equal(name, 'petrel-client');
    assert.deepEqual(files.map(({ path }) => path).sort(), ['LICENSE', 'README.md', 'index.d.ts', 'package.json', ...modules].sort());
    assert.deepEqual(readFileSync(here('LICENSE')), readFileSync(here('../../../LICENSE')));
});

test('every export has its type, and every class the methods that its type names', () => {
    for (const name of Object.keys(client))
        assert.match(types, new RegExp(`export (declare )?(class|const|function) ${name}\\b`));
    const [, body] = /export class Petrel \{([^]*?)\n\}/.exec(types);
    const named = [...body.matchAll(/^ {4}(?:readonly )?(\w+)[(:]/gm)].map(([, name]) => name);
    const has = Object.getOwnPropertyNames(client.Petrel.prototype);
    assert.deepEqual(named.sort(), has.sort());
});

test('modules import nothing but each other, and README.md names them all', () => {
    const readme = readFileSync(here('README.md'), 'utf8');
    for (const name of readdirSync(here('.')).filter((file) => file.endsWith('.js'))) {
        const imports = [...readFileSync(here(name), 'utf8').matchAll(/from '([^']*)'/g)].map(([, from]) => from);
        assert.ok(imports.every((from) => /^\.\/[a-z]+\.js$/.test(from)), name);
        assert.ok(name === 'index.js' || readme.includes(`\`${name}\``), name);
    }
});
