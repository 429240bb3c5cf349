/* A world for the client that stands still but for what a test does: time, sockets, the page. */

import { decodeFrames, encodeFrame } from '../frames.js';
import { MemoryStorage } from '../storage.js';
import { Petrel } from '../petrel.js';

export const EPOCH = 7n;
export const at = (seq, epoch = EPOCH) => ({ epoch, seq: BigInt(seq) });

/** Everything that is ready to run has run. */
export async function settle() {
    for (let turn = 0; turn < 5; turn++)
        await new Promise((resolve) => setImmediate(resolve));
}

export class Clock {
    time = 1_000_000;
    #timers = new Map();
    #last = 0;

    now() {
        return this.time;
    }

    setTimeout(call, ms) {
        this.#timers.set(++this.#last, { due: this.time + ms, call });
        return this.#last;
    }

    clearTimeout(timer) {
        this.#timers.delete(timer);
    }

    /** Let ms pass, and everything happen that is due in them. */
    async pass(ms) {
        const end = this.time + ms;
        await settle();
        for (;;) {
            const [next] = [...this.#timers].filter(([, { due }]) => due <= end).sort((a, b) => a[1].due - b[1].due);
            if (next === undefined)
                break;
            this.#timers.delete(next[0]);
            this.time = Math.max(this.time, next[1].due);
            next[1].call();
            await settle();
        }
        this.time = end;
    }
}

/** A WebSocket of which the test is the server. */
class Socket extends EventTarget {
    readyState = 0;
    bufferedAmount = 0;
    closedWith;
    #got = [];

    constructor(url, protocol) {
        super();
        this.url = url;
        this.protocol = protocol;
    }

    send(bytes) {
        if (this.readyState === 1)
            this.#got.push(...decodeFrames(bytes));
    }

    close(code) {
        this.closedWith ??= code;
        this.end(code);
    }

    // ---- the server's side

    /** The frames that came since the last call. */
    got() {
        return this.#got.splice(0);
    }

    async open() {
        this.readyState = 1;
        this.dispatchEvent(new Event('open'));
        await settle();
    }

    async say(...frames) {
        const bytes = frames.flatMap(([name, fields]) => [...encodeFrame(name, fields)]);
        this.dispatchEvent(Object.assign(new Event('message'), { data: Uint8Array.from(bytes).buffer }));
        await settle();
    }

    end(code = 1006) {
        if (this.readyState === 3)
            return;
        this.readyState = 3;
        this.dispatchEvent(Object.assign(new Event('close'), { code }));
    }
}

class Page extends EventTarget {
    navigator = { onLine: true };
    document = Object.assign(new EventTarget(), { visibilityState: 'visible' });

    setOnline(online) {
        this.navigator.onLine = online;
        this.dispatchEvent(new Event(online ? 'online' : 'offline'));
    }

    show(visibility) {
        this.document.visibilityState = visibility;
        this.document.dispatchEvent(new Event('visibilitychange'));
    }
}

export function token(device = 'tab', user = 'ana', app = 'demo') {
    return `x.${btoa(JSON.stringify({ app, sub: user, device }))}.y`;
}

const ids = (n) => Uint8Array.from({ length: 16 }, (_, byte) => (byte === 15 ? n & 0xff : byte === 14 ? n >> 8 : 0));

/** A PUSH to the inbox of message n at seq n, unless more says otherwise. */
export function push(n, more = {}) {
    const { id = n, seq = n, ...rest } = more;
    return ['PUSH', {
        position: at(seq), prev: BigInt(seq - 1), message: { id: ids(id), data: JSON.stringify({ n }) }, ...rest,
    }];
}

export class World {
    clock = new Clock();
    page = new Page();
    storage = new MemoryStorage();
    sockets = [];
    messages = [];
    states = [];
    gaps = [];
    news = [];
    lookups = [];
    random = 0.999; // the first wait is 500 ms, and lists keep their order

    /** lookup: false, or what answers a URL: JSON, or undefined for none. */
    constructor(options = {}) {
        this.options = options;
    }

    start(more = {}) {
        const world = this;
        const { answer, ...rest } = { ...this.options, ...more };
        this.client = new Petrel({
            servers: 'ws://s1.example:7400',
            lookup: answer !== undefined,
            app: 'demo',
            token: token(),
            storage: this.storage,
            onMessage: (message) => { this.messages.push(message.data.n); },
            onState: (state) => { this.states.push(state); },
            onGap: (gap) => { this.gaps.push(gap); },
            onTopic: (news) => { this.news.push(news); },
            environment: {
                scope: this.page,
                clock: this.clock,
                random: () => this.random,
                WebSocket: class extends Socket {
                    constructor(url, protocol) {
                        super(url, protocol);
                        world.sockets.push(this);
                    }
                },
                fetch: async (url, { signal }) => {
                    this.lookups.push(url);
                    const aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
                    const body = await Promise.race([answer(url), aborted]);
                    if (body === undefined)
                        throw new TypeError('no connection');
                    return new Response(JSON.stringify(body));
                },
            },
            ...rest,
        });
        return settle();
    }

    get socket() {
        return this.sockets.at(-1);
    }

    get state() {
        return this.states.at(-1);
    }

    get phases() {
        return this.states.map(({ phase }) => phase);
    }

    /** The newest socket opens; returns its CONNECT. */
    async greet() {
        await this.socket.open();
        const [connect] = this.socket.got();
        return connect;
    }

    /** It opens, and is let in at seq. */
    async live(seq = 0, more = {}) {
        const connect = await this.greet();
        await this.socket.say(['CONNECTED', { verdict: 1, position: at(seq), heartbeatS: 240, ...more }]);
        return connect;
    }

    async saved() {
        return this.storage.load('demo/ana/tab');
    }
}
