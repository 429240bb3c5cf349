/* tabs.js: tabs of a Chromium of which one is in front, and the others are hidden, as they are for a person. What playwright opens is
 * never hidden, so this speaks the browser's protocol (https://chromedevtools.github.io/devtools-protocol/) itself. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import WebSocket from 'ws';

import { makeFolder, removeFolder, until } from './server.js';

export const CHROMIUM = process.env.PETREL_CHROMIUM ?? '/usr/bin/chromium';
export const FLAGS = ['--disable-dev-shm-usage'];

class Tab {
    /** say(method, params): to the tab. */
    constructor(browser, targetId, say) {
        Object.assign(this, { browser, targetId, say });
    }

    /** What the expression comes to in the page; of a promise, what it resolves with. */
    async evaluate(expression) {
        const { result, exceptionDetails } = await this.say('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails !== undefined)
            throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
        return result.value;
    }

    async until(expression) {
        await until(() => this.evaluate(expression), expression);
    }

    async toFront() {
        await this.browser.say('Target.activateTarget', { targetId: this.targetId });
    }

    /** state: 'frozen', as a browser does with tabs that are hidden for long, or 'active'. */
    async setLifecycle(state) {
        await this.say('Page.setWebLifecycleState', { state });
    }
}

export class Tabs {
    #process;
    #profile;
    #socket;
    #asked = new Map(); // id -> [resolve, reject]
    #last = 0;

    async open(...flags) {
        this.#profile = await makeFolder();
        this.#process = spawn(CHROMIUM, ['--headless', '--no-sandbox', '--remote-debugging-port=0', `--user-data-dir=${this.#profile}`,
            ...FLAGS, ...flags, 'about:blank'], { stdio: 'ignore' });
        const [port, path] = await until(() => this.#address(), 'DevToolsActivePort');
        this.#socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
        this.#socket.on('message', (text) => this.#answered(JSON.parse(text)));
        await once(this.#socket, 'open');
    }

    async #address() {
        if (this.#process.exitCode !== null || this.#process.signalCode !== null)
            throw new Error('Chromium ended');
        const text = await readFile(join(this.#profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
        const lines = text.split('\n');
        return lines.length === 2 && lines;
    }

    #answered({ id, result, error }) {
        const [resolve, reject] = this.#asked.get(id) ?? [];
        this.#asked.delete(id);
        if (error !== undefined)
            reject?.(new Error(error.message));
        else
            resolve?.(result);
    }

    say(method, params = {}, sessionId = undefined) {
        return new Promise((resolve, reject) => {
            const id = ++this.#last;
            this.#asked.set(id, [resolve, reject]);
            this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
        });
    }

    /** A new tab, in front of those before. */
    async tab(url) {
        const { targetId } = await this.say('Target.createTarget', { url });
        const { sessionId } = await this.say('Target.attachToTarget', { targetId, flatten: true });
        const tab = new Tab(this, targetId, (method, params) => this.say(method, params, sessionId));
        await tab.toFront();
        return tab;
    }

    async close() {
        if (this.#process?.exitCode === null && this.#process.signalCode === null) {
            const ended = once(this.#process, 'exit');
            this.#socket?.close();
            this.#process.kill();
            await ended;
        }
        await removeFolder(this.#profile);
    }
}
