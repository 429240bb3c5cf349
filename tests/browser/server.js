/* server.js: a real petreld, and the page's files, each on a free port of the loopback. */

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const HOUSE = fileURLToPath(new URL('../../', import.meta.url));
const BIN = process.env.PETREL_BIN_DIR ?? join(HOUSE, 'build', 'debug', 'bin');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
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

export class Petreld {
    #ports = { session: 0, api: 0, admin: 0 };
    #process;
    #key;

    async start() {
        this.data ??= await mkdtemp(join(tmpdir(), 'petrel-test-'));
        const flags = Object.entries(this.#ports).flatMap(([name, port]) => [`--${name}-host`, '127.0.0.1', `--${name}-port`, String(port)]);
        this.#process = spawn(join(BIN, 'petreld'), ['--data-dir', this.data, '--shutdown-grace', '1s', '--shutdown-spread', '1s', ...flags],
            { stdio: ['ignore', 'ignore', 'pipe'] });
        this.log = '';
        this.#process.stderr.on('data', (chunk) => { this.log += chunk; });
        const addresses = await until(() => this.#runFile(), `petreld.json; ${this.log}`);
        for (const name of Object.keys(this.#ports))
            this.#ports[name] = Number(addresses[name].split(':').at(-1));
    }

    async #runFile() {
        if (this.#process.exitCode !== null)
            throw new Error(`petreld ended: ${this.log}`);
        const text = await readFile(join(this.data, 'petreld.json'), 'utf8').catch(() => '{}');
        const addresses = JSON.parse(text || '{}');
        return addresses.pid === this.#process.pid && addresses;
    }

    /** Where pages connect. */
    get url() {
        return `ws://127.0.0.1:${this.#ports.session}`;
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
        await rm(this.data, { recursive: true, force: true });
    }

    async ctl(...words) {
        const child = spawn(join(BIN, 'petrelctl'), ['--data-dir', this.data, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
        let out = '';
        child.stdout.on('data', (chunk) => { out += chunk; });
        const [code] = await once(child, 'close');
        if (code !== 0)
            throw new Error(`petrelctl ${words.join(' ')}: ${code}`);
        return out.trim();
    }

    async makeApp(app) {
        await this.ctl('app', 'create', app);
        this.#key = await this.ctl('key', 'create', app);
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

/* What quickstart copies to one folder, and the test's own page. */
function fileOf(name) {
    const [, client] = /^\/client\/([a-z]+\.js)$/.exec(name) ?? [];
    const [, demo] = /^\/((?:index|demo)\.[a-z]+)$/.exec(name) ?? [];
    if (client)
        return join(HOUSE, 'src', 'client', 'js', client);
    if (demo)
        return join(HOUSE, 'deploy', 'demo', demo);
    return name === '/' ? join(HOUSE, 'tests', 'browser', 'page.html') : undefined;
}

/** The test's page at /, the demo at /index.html, the client at /client/. */
export async function servePage() {
    const server = createServer(async (request, response) => {
        const path = fileOf(new URL(request.url, 'http://page').pathname);
        const body = path && await readFile(path).catch(() => undefined);
        response.writeHead(body ? 200 : 404, { 'Content-Type': TYPES[extname(path || '')] ?? 'text/plain' });
        response.end(body || '');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { url: `http://127.0.0.1:${server.address().port}/`, close: () => new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
    }) };
}
