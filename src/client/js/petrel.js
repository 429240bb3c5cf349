/* petrel.js: the client. A loop that goes from one connection to the next: token, state, server, session, wait.
 *
 * phase  what onState tells: standby (another page of this device has the session), connecting, live, waiting (for retryMs), offline,
 *        suspended, stopped (a code says why; a new token goes on), closed */

import { Delivery } from './delivery.js';
import { codeName } from './codes.js';
import { TOPIC_NAME, encodeFrame } from './frames.js';
import { Lookup, parseServers, shuffled } from './lookup.js';
import { holdLock, isOnline, watchPage } from './page.js';
import { Retry } from './retry.js';
import { Servers } from './servers.js';
import { Session, isAboutToken } from './session.js';
import { State } from './state.js';
import { PageStorage } from './storage.js';
import { readToken } from './token.js';
import { Wishes } from './topics.js';

export const VERSION = '0.1.0';
const PROTOCOL_VERSION = 1;
const TOKEN_MAX = 4096;
const ACK_DELAY_MS = 200;
const OFFLINE_MS = 60000; // browsers may be wrong about being offline
const RESTART_MS = 500; // before a token that was handed over is tried: it might be as bad

/* This try was given up: the client closes, or is suspended. */
class Interrupted extends Error {}

function environment(given = {}) {
    const scope = given.scope ?? globalThis;
    return {
        scope,
        WebSocket: given.WebSocket ?? scope.WebSocket,
        fetch: given.fetch ?? scope.fetch?.bind(scope),
        random: given.random ?? Math.random,
        clock: given.clock ?? {
            now: () => Date.now(),
            setTimeout: (call, ms) => setTimeout(call, ms),
            clearTimeout: (timer) => clearTimeout(timer),
        },
    };
}

/* The promise, unless the signal comes first. */
function unless(signal, promise) {
    return new Promise((resolve, reject) => {
        const abort = () => reject(new Interrupted());
        if (signal.aborted)
            abort();
        signal.addEventListener('abort', abort, { once: true });
        promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
}

export class Petrel {
    #options;
    #env;
    #secure;
    #servers;
    #lookup; // undefined: the servers that were named are session servers
    #retry;
    #storage;
    #wishes = new Wishes();
    #token;
    #tokenUsed = false;
    #key; // of the state: app/user/device
    #release; // of the lock
    #delivery;
    #session;
    #server = '';
    #phase = 'connecting';
    #suspendedBy = new Set(); // 'app', 'page'
    #closing; // {reason} once close() was called
    #period = new AbortController(); // until the next suspend or close
    #wake; // ends a wait
    #unwatch;
    #life;

    constructor(options) {
        if (typeof options?.onMessage !== 'function' || options.token === undefined)
            throw new TypeError('onMessage and token are needed');
        const env = this.#env = environment(options.environment);
        const { secure, addresses } = parseServers(options.servers);
        const order = shuffled(addresses, env.random);
        const finds = options.lookup ?? true;
        this.#options = { ackDelayMs: ACK_DELAY_MS, heartbeatS: 0, topics: true, client: `petrel-js/${VERSION}`, ...options };
        this.#secure = secure;
        this.#servers = new Servers(finds ? undefined : order);
        this.#lookup = finds ? new Lookup(order, secure, env) : undefined;
        this.#retry = new Retry(this.#servers, env.random, typeof options.token === 'function');
        this.#storage = options.storage ?? new PageStorage(env.scope);
        this.#token = typeof options.token === 'string' ? options.token : undefined;
        this.#unwatch = watchPage(env.scope, {
            online: () => this.#network(),
            offline: () => this.#session?.drop('the browser went offline'),
            hidden: () => this.#session?.flush(),
            visible: () => this.#seen(),
            frozen: () => this.#suspend('page'),
            thawed: () => this.#resume('page'),
        });
        this.#life = this.#run();
    }

    // ---- what the app calls

    get phase() {
        return this.#phase;
    }

    /** "host:port" of the server that it is, or was last, connected or connecting to. */
    get server() {
        return this.#server;
    }

    /** {app, user, device}, of the token. */
    get identity() {
        return this.#token === undefined ? {} : readToken(this.#token);
    }

    /** What would be saved now; within onMessage it holds what having the message means. */
    get state() {
        return this.#delivery?.state.snapshot();
    }

    /** Topics that the device follows, by what this client was told. */
    get topics() {
        return [...(this.#delivery?.state.topics.keys() ?? [])];
    }

    /** A subscription belongs to the device, and holds until it is ended. */
    subscribe(topic) {
        return this.#want(topic, true);
    }

    unsubscribe(topic) {
        return this.#want(topic, false);
    }

    /** A token from now on; goes on where the client had stopped. */
    setToken(token) {
        this.#token = token;
        this.#tokenUsed = false;
        if (this.#phase === 'stopped')
            this.#awaken();
    }

    /** Go offline until resume(): the server keeps what comes. */
    suspend() {
        this.#suspend('app');
    }

    /** After suspend(); or where the client had stopped. */
    resume() {
        if (this.#phase === 'stopped')
            this.#awaken();
        this.#resume('app');
    }

    /** Ack what was processed, say goodbye; no callback comes after it. Not to be waited for within onMessage. */
    async close({ signOut = false } = {}) {
        if (this.#closing === undefined) {
            this.#closing = { reason: signOut ? 1 : 0 };
            this.#delivery?.drop();
            this.#period.abort();
            this.#unwatch();
            this.#awaken();
            await this.#delivery?.settled();
            this.#closing.parted = this.#session?.leave(this.#closing.reason);
        }
        await this.#life;
    }

    async #want(topic, follow) {
        if (!this.#options.topics || !TOPIC_NAME.test(topic) || topic === 'all')
            throw new TypeError(`'${topic}' is no topic to subscribe to`);
        if (this.#closing !== undefined)
            throw new Error('the client is closed');
        await this.#wishes.want(topic, follow);
    }

    // ---- what the page tells

    #network() {
        this.#session?.probe();
        if (this.#phase === 'waiting' || this.#phase === 'offline')
            this.#awaken();
    }

    /* In a page that was hidden or asleep time passed without being seen. */
    #seen() {
        if (this.#session !== undefined)
            this.#session.probe();
        else if (this.#phase === 'waiting')
            this.#wake?.(true);
    }

    #suspend(by) {
        this.#suspendedBy.add(by);
        this.#period.abort();
        this.#delivery?.drop();
        this.#session?.leave(0);
    }

    #resume(by) {
        if (this.#suspendedBy.delete(by) && this.#suspendedBy.size === 0)
            this.#awaken();
    }

    #awaken() {
        this.#wake?.(false);
    }

    // ---- the loop

    /* What the app's callback throws is the app's, not a reason to end the loop. */
    #tell(phase, more = {}) {
        this.#phase = phase;
        try {
            this.#options.onState?.({ phase, server: this.#server, ...more });
        } catch (error) {
            queueMicrotask(() => { throw error; });
        }
    }

    async #run() {
        await undefined; // no callback before the constructor has returned
        while (this.#closing === undefined) {
            if (this.#period.signal.aborted) {
                await this.#rest();
                continue;
            }
            const end = await this.#connection();
            if (end !== undefined && !this.#period.signal.aborted)
                await this.#between(end);
        }
        await this.#closing.parted;
        await this.#letGo();
        this.#wishes.end(new Error('the client is closed'));
        this.#tell('closed');
    }

    /* Of the state, too: another page may have it now. */
    async #letGo() {
        await this.#delivery?.settled();
        this.#delivery = undefined;
        this.#release?.();
        this.#release = undefined;
    }

    /* A page that is frozen stands still: what it was saving may be saved only when it goes on. It was away all the same, and the app
     * is told so. */
    async #rest() {
        await this.#letGo();
        this.#servers.restart('theirs not');
        if (this.#closing === undefined)
            this.#tell('suspended');
        while (this.#suspendedBy.size > 0 && this.#closing === undefined)
            await new Promise((resolve) => { this.#wake = resolve; });
        if (this.#closing === undefined)
            this.#period = new AbortController();
    }

    /* For ms, undefined: without end; until something wakes it, or it is interrupted. light: the page's being seen is enough. */
    async #sleep(ms, light = false) {
        const { clock } = this.#env;
        const { signal } = this.#period;
        let timer;
        const woken = new Promise((resolve) => {
            this.#wake = (seen) => (!seen || light) && resolve();
            timer = ms === undefined ? undefined : clock.setTimeout(resolve, ms);
        });
        await unless(signal, woken).catch(() => {});
        clock.clearTimeout(timer);
        this.#wake = undefined;
    }

    async #between(end) {
        if (isAboutToken(end.code) && this.#tokenUsed && typeof this.#options.token === 'function')
            this.#token = undefined;
        const state = this.#delivery?.state ?? new State(0);
        let retryMs = this.#retry.after(end, state);
        const told = { code: end.code, text: end.text, retryMs: retryMs < 0 ? undefined : retryMs };
        if (retryMs < 0) {
            await this.#stop(told);
            retryMs = RESTART_MS;
        } else if (!isOnline(this.#env.scope)) {
            this.#tell('offline', { ...told, retryMs: Math.max(retryMs, OFFLINE_MS) });
            retryMs = Math.max(retryMs, OFFLINE_MS);
        } else {
            this.#tell('waiting', told);
        }
        await this.#sleep(retryMs, end.code === 0);
    }

    /* Until the app goes on; meanwhile another page of this device may have the session. */
    async #stop(told) {
        const woken = this.#sleep(undefined);
        this.#tell('stopped', told);
        if (this.#token !== undefined && !this.#tokenUsed)
            this.#awaken(); // this token came while the one before it was being refused
        await this.#letGo();
        await woken;
    }

    /* A connection, from nothing to its end; undefined: it was given up. */
    async #connection() {
        const { signal } = this.#period;
        this.#tell('connecting');
        try {
            await this.#fetchToken(signal);
            await this.#loadState(signal);
            const { address, patienceMs } = await this.#findServer(signal);
            this.#server = address;
            const hello = await this.#hello(signal);
            return await this.#talk(address, patienceMs, hello);
        } catch (error) {
            return error instanceof Interrupted ? undefined : { code: 0, text: error.message };
        }
    }

    async #fetchToken(signal) {
        if (this.#token !== undefined)
            return;
        const token = await unless(signal, Promise.resolve(this.#options.token()));
        if (typeof token !== 'string' || token.length === 0 || token.length > TOKEN_MAX)
            throw new Error('no token could be had');
        this.#token = token;
        this.#tokenUsed = false;
    }

    async #loadState(signal) {
        const { app = this.#options.app, user, device } = readToken(this.#token);
        const key = `${app}/${user}/${device}`;
        if (this.#options.app !== undefined && app !== this.#options.app)
            throw new Error(`the token is for the app ${app}`);
        if (this.#key !== undefined && key !== this.#key)
            throw new Error('the token is for another device; close this client and make another');
        this.#key = key;
        if (this.#delivery !== undefined)
            return;
        if (this.#release === undefined) {
            const hold = holdLock(this.#env.scope, `petrel:${key}`, signal, () => this.#tell('standby'));
            this.#release = await hold.catch((error) => { throw signal.aborted ? new Interrupted() : error; });
        }
        const saved = await unless(signal, Promise.resolve(this.#storage.load(key)));
        this.#delivery = new Delivery(State.from(saved, this.#env.clock.now()), this.#app(), (snapshot) => this.#save(snapshot), {
            saved: (position, messages) => this.#session?.saved(position, messages),
            broken: (text) => this.#session?.drop(text),
            subscribed: (frame) => this.#wishes.answered(frame, codeName(frame.refused)),
        });
    }

    #app() {
        const { onMessage, onGap, onTopic } = this.#options;
        return {
            onMessage: (message) => onMessage(message),
            onGap: (gap) => onGap?.(gap),
            onTopic: (news) => onTopic?.(news),
        };
    }

    async #save(snapshot) {
        await this.#storage.save(this.#key, snapshot);
    }

    async #findServer(signal) {
        const { clock } = this.#env;
        const next = this.#servers.next(clock.now());
        if (next.address !== undefined)
            return next;
        const answer = await unless(signal, this.#lookup.ask(next.patienceMs, signal));
        if (answer !== undefined) {
            this.#servers.answered(answer, clock.now());
            if (answer.waitMs > 0)
                await this.#sleep(answer.waitMs);
            if (signal.aborted)
                throw new Interrupted();
        } else if (!this.#servers.unanswered()) {
            throw new Error('no server answers');
        }
        return this.#servers.next(clock.now());
    }

    /* CONNECT says how far the app is: so what it has begun is awaited. The attempt is saved before it is used. */
    async #hello(signal) {
        await unless(signal, this.#delivery.settled());
        const { state } = this.#delivery;
        state.nextAttempt();
        await unless(signal, this.#save(state.snapshot()));
        this.#tokenUsed = true;
        return encodeFrame('CONNECT', {
            version: PROTOCOL_VERSION,
            token: this.#token,
            attempt: state.attempt,
            position: state.position,
            client: this.#options.client,
            heartbeatS: this.#options.heartbeatS,
            takesTopics: this.#options.topics,
            topics: this.#options.topics ? [...state.topics].map(([topic, position]) => ({ topic, position })) : [],
        });
    }

    async #talk(address, patienceMs, hello) {
        const { WebSocket, clock, random } = this.#env;
        const session = new Session(WebSocket, clock, {
            url: `${this.#secure ? 'wss' : 'ws'}://${address}/v1/session`,
            hello,
            patienceMs,
            ackDelayMs: this.#options.ackDelayMs,
            random,
            on: {
                connected: (frame) => this.#connected(frame),
                frame: (frame) => this.#delivery.push(frame),
                goaway: ({ targets, backoffMs }) => {
                    this.#retry.goaway(backoffMs);
                    this.#servers.goaway(targets);
                },
                refused: (backoffMs) => this.#retry.told(backoffMs),
            },
        });
        this.#session = session;
        const end = await session.ended;
        this.#session = undefined;
        this.#wishes.live(undefined);
        this.#delivery.drop();
        return end.left ? undefined : end;
    }

    #connected(frame) {
        this.#retry.live();
        this.#delivery.push(frame);
        this.#tell('live', { verdict: frame.verdict, node: frame.node });
        if (this.#options.topics)
            this.#wishes.live((name, topic) => this.#session?.send(name, { topic }));
    }
}
