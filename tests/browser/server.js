/* server.js: a real petreld on free ports of the loopback, with TLS or without. */

import { spawn } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const HOUSE = fileURLToPath(new URL('../../', import.meta.url));
const BIN = process.env.PETREL_BIN_DIR ?? join(HOUSE, 'build', 'debug', 'bin');
export const LIMIT_MS = 60000;

/** The first true value of the condition, which is asked again and again. */
export async function until(condition, what) {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end; await pause(20)) {
        const value = await condition();
        if (value)
            return value;
    }
    throw new Error(`in ${LIMIT_MS} ms there was no: ${what}`);
}

export async function makeFolder() {
    return mkdtemp(join(tmpdir(), 'petrel-test-'));
}

/** A browser that has just ended may still write there. */
export const removeFolder = (path) => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });

/* Runs a program to its end; what it printed. */
async function run(program, ...words) {
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '', err = '';
    child.stdout.on('data', (chunk) => { out += chunk; });
    child.stderr.on('data', (chunk) => { err += chunk; });
    const [code] = await once(child, 'close');
    if (code !== 0)
        throw new Error(`${program} ${words.join(' ')}: ${code}, ${err}`);
    return out.trim();
}

/** A certificate for 127.0.0.1 that nobody vouches for: {cert, key}, paths; {pem, keyPem}; spki, as Chromium is told to trust it. */
export async function makeCertificate(folder) {
    const cert = join(folder, 'tls.crt'), key = join(folder, 'tls.key');
    await run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
        '-days', '10', '-subj', '/CN=petrel', '-addext', 'subjectAltName=IP:127.0.0.1');
    const pem = readFileSync(cert);
    const bytes = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
    return { cert, key, pem, keyPem: readFileSync(key), spki: createHash('sha256').update(bytes).digest('base64') };
}

export class Petreld {
    #ports = { session: 0, api: 0, admin: 0 };
    #flags;
    #scheme;
    #process;
    #key;

    /** certificate: of makeCertificate(), or undefined: without TLS. flags: further ones. */
    constructor({ certificate, flags = [] } = {}) {
        this.#scheme = certificate === undefined ? 'ws' : 'wss';
        this.#flags = certificate === undefined ? flags
            : ['--tls-cert', certificate.cert, '--tls-key', certificate.key, '--tls-sessions', 'required', ...flags];
    }

    async start() {
        this.data ??= await makeFolder();
        const ports = Object.entries(this.#ports).flatMap(([name, port]) => [`--${name}-host`, '127.0.0.1', `--${name}-port`, String(port)]);
        this.#process = spawn(join(BIN, 'petreld'),
            ['--user', 'root', '--data-dir', this.data, '--shutdown-grace', '1s', '--shutdown-spread', '1s', ...ports, ...this.#flags],
            { stdio: ['ignore', 'ignore', 'pipe'] });
        this.log = '';
        this.#process.stderr.on('data', (chunk) => { this.log += chunk; });
        const addresses = await until(() => this.#runFile(), 'petreld.json');
        for (const name of Object.keys(this.#ports))
            this.#ports[name] = Number(addresses[name].split(':').at(-1));
    }

    async #runFile() {
        if (this.#process.exitCode !== null || this.#process.signalCode !== null)
            throw new Error(`petreld ended: ${this.log}`);
        const text = await readFile(join(this.data, 'petreld.json'), 'utf8').catch(() => '{}');
        const addresses = JSON.parse(text || '{}');
        return addresses.pid === this.#process.pid && addresses;
    }

    /** Where clients connect. */
    get url() {
        return `${this.#scheme}://127.0.0.1:${this.#ports.session}`;
    }

    async end(signal) {
        if (this.#process?.exitCode !== null || this.#process.signalCode !== null)
            return undefined;
        const ended = once(this.#process, 'exit');
        this.#process.kill(signal);
        return (await ended)[0];
    }

    async remove() {
        await this.end('SIGKILL');
        await removeFolder(this.data);
    }

    async ctl(...words) {
        return run(join(BIN, 'petrelctl'), '--data-dir', this.data, ...words);
    }

    /** The app "shop", and a token of a device of ann's there. */
    async enrol(device) {
        if (this.#key === undefined) {
            await this.ctl('app', 'create', 'shop');
            this.#key = await this.ctl('key', 'create', 'shop');
        }
        return (await this.post('/v1/apps/shop/users/ann/devices', { device })).token;
    }

    /** Messages of which the data is a number, n, in order. */
    async send(...list) {
        for (const n of list)
            await this.post('/v1/apps/shop/messages', { to: { user: 'ann' }, data: { n } });
    }

    async post(path, body) {
        const response = await fetch(`http://127.0.0.1:${this.#ports.api}${path}`, {
            method: 'POST',
            headers: { 'Authorization': `Bearer ${this.#key}`, 'Content-Type': 'application/json' },
            body: JSON.stringify(body),
        });
        const answer = await response.json();
        if (!response.ok)
            throw new Error(`${path}: ${JSON.stringify(answer)}`);
        return answer;
    }
}
