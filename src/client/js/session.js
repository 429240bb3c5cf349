/* session.js: one connection, from its WebSocket to its end.
 *
 * phase  opening: the socket is; greeting: CONNECT was sent; live: CONNECTED came; over. One timer, for the next of what is due. */

import { Code, codeName, isCode } from './codes.js';
import { decodeFrames, encodeFrame } from './frames.js';

const SUBPROTOCOL = 'petrel.v1';
const OPEN_MAX_MS = 10000;
const HEARTBEAT_DEFAULT_S = 240, HEARTBEAT_MAX_S = 86400;
const SILENCE_EXTRA_MS = 10000; // beyond one and a half heartbeats; and what a probe is given
const ACK_MESSAGES = 16;
const SPREAD_MAX_MS = 3600000;
const GOODBYE_MS = 1000; // for the server to answer a close

export class Session {
    /** Resolves with {code, text, liveMs, leaveInMs, left} as retry.js wants it; left: this side took leave. Never rejects. */
    ended;
    #resolve;
    #socket;
    #clock;
    #options;
    #phase = 'opening';
    #timer;
    #beganMs;
    #liveMs;
    #heardMs;
    #sentMs;
    #probedMs;
    #heartbeatMs;
    #goaway;
    #said; // the server's last word: {code, text}
    #saved; // the inbox's position
    #unacked = 0;
    #ackDueMs;

    /** options: url, hello (the bytes of CONNECT), patienceMs, ackDelayMs, random; on: connected(frame), frame(frame), goaway(frame),
     * refused(backoffMs). */
    constructor(WebSocket, clock, options) {
        this.#clock = clock;
        this.#options = options;
        this.#beganMs = clock.now();
        this.ended = new Promise((resolve) => { this.#resolve = resolve; });
        this.#socket = new WebSocket(options.url, SUBPROTOCOL);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.addEventListener('open', () => this.#opened());
        this.#socket.addEventListener('message', (event) => this.#received(event.data));
        this.#socket.addEventListener('close', (event) => this.#closed(event.code));
        this.#socket.addEventListener('error', () => {}); // close follows; to the ws of npm an error that nobody hears is an exception
        this.#arm();
    }

    get isLive() {
        return this.#phase === 'live';
    }

    send(name, fields) {
        this.#socket.send(encodeFrame(name, fields));
        this.#sentMs = this.#clock.now();
    }

    /** The inbox up to position is processed and saved: due to be acked. */
    saved(position, messages) {
        this.#saved = position;
        if (messages > 0 && this.#unacked === 0)
            this.#ackDueMs = this.#clock.now() + this.#options.ackDelayMs;
        this.#unacked += messages;
        if (this.#unacked >= ACK_MESSAGES)
            this.#ack(false);
        this.#arm();
    }

    /** Send at once what is waiting for company: the page may not run much longer. */
    flush() {
        this.#ack(true);
    }

    /** Ask whether the server is there, after a time in which nothing could be heard. */
    probe() {
        if (!this.isLive)
            return;
        this.#probedMs = this.#clock.now();
        this.#ping();
        this.#arm();
    }

    /** End it; the server finds out by itself. */
    drop(text) {
        this.#over({ code: 0, text });
    }

    /** Say goodbye; resolves when the server has closed, or was given time to. reason 1 signs the device out. */
    leave(reason) {
        const socket = this.#socket;
        if (this.isLive) {
            this.#ack(true);
            this.send('DISCONNECT', { reason });
        }
        this.#over({ code: 0, text: 'closed', left: true });
        return new Promise((resolve) => {
            const timer = this.#clock.setTimeout(resolve, GOODBYE_MS);
            socket.addEventListener('close', () => { this.#clock.clearTimeout(timer); resolve(); });
            if (socket.readyState === 3)
                resolve();
        });
    }

    // ---- what the socket says

    #opened() {
        if (this.#phase !== 'opening')
            return;
        this.#phase = 'greeting';
        this.#beganMs = this.#sentMs = this.#clock.now();
        this.#socket.send(this.#options.hello);
        this.#arm();
    }

    #received(data) {
        if (this.#phase !== 'greeting' && this.#phase !== 'live')
            return;
        this.#heardMs = this.#clock.now();
        this.#probedMs = undefined;
        try {
            if (typeof data === 'string')
                throw new Error('the server sent text');
            for (const frame of decodeFrames(new Uint8Array(data)))
                this.#take(frame);
        } catch (error) {
            this.drop(error.message);
        }
        this.#arm();
    }

    #closed(code) {
        const text = this.#phase === 'opening' ? 'the server could not be reached' : 'the connection was lost';
        if (this.#said === undefined && isCode(code))
            this.#said = { code, text: codeName(code) };
        this.#over({ code: 0, text });
    }

    #take(frame) {
        if (this.#phase === 'over')
            return;
        if (frame.type === 'ERROR')
            this.#error(frame);
        else if (frame.type === 'CONNECTED')
            this.#connected(frame);
        else if (!this.isLive)
            throw new Error(`the server sent ${frame.type} before CONNECTED`);
        else if (frame.type === 'GOAWAY')
            this.#leaveBy(frame);
        else if (frame.type === 'PUSH' || frame.type === 'GAP' || frame.type === 'SUBSCRIBED')
            this.#options.on.frame(frame);
        else if (frame.type !== 'PONG' && frame.type !== 'UNKNOWN')
            throw new Error("the server sent a client's frame");
    }

    #connected(frame) {
        if (this.isLive)
            throw new Error('the server sent CONNECTED twice');
        this.#phase = 'live';
        this.#liveMs = this.#clock.now();
        this.#heartbeatMs = 1000 * Math.min(frame.heartbeatS || HEARTBEAT_DEFAULT_S, HEARTBEAT_MAX_S);
        this.#options.on.connected(frame);
    }

    #error({ code, message, backoffMs }) {
        this.#said = { code, text: message || codeName(code) };
        this.#options.on.refused(backoffMs);
        this.#over(this.#said);
    }

    #leaveBy(frame) {
        const now = this.#clock.now();
        const leaveMs = now + Math.floor(this.#options.random() * (Math.min(frame.spreadMs, SPREAD_MAX_MS) + 1));
        this.#goaway = { code: frame.code, leaveMs, closeMs: Math.min(leaveMs, now + frame.deadlineMs) };
        this.#options.on.goaway(frame);
    }

    // ---- what is due

    #ping() {
        this.send('PING', { echo: BigInt(Math.floor(this.#clock.now())) });
    }

    /* Behind bytes that wait for the network an ack waits with them, and is a greater one later; unless it is the last. */
    #ack(last) {
        if (!this.isLive || this.#unacked === 0)
            return;
        if (this.#socket.bufferedAmount > 0 && !last) {
            this.#ackDueMs = this.#clock.now() + this.#options.ackDelayMs;
            return;
        }
        this.#unacked = 0;
        this.send('ACK', { position: this.#saved });
    }

    #silentAt() {
        if (this.#phase === 'opening')
            return this.#beganMs + Math.min(OPEN_MAX_MS, this.#options.patienceMs);
        if (this.#phase === 'greeting')
            return this.#beganMs + this.#options.patienceMs;
        const silent = this.#heardMs + 1.5 * this.#heartbeatMs + SILENCE_EXTRA_MS;
        return this.#probedMs === undefined ? silent : Math.min(silent, this.#probedMs + SILENCE_EXTRA_MS);
    }

    #arm() {
        this.#clock.clearTimeout(this.#timer);
        if (this.#phase === 'over')
            return;
        const due = [this.#silentAt()];
        if (this.isLive)
            due.push(this.#sentMs + this.#heartbeatMs);
        if (this.#unacked > 0)
            due.push(this.#ackDueMs);
        if (this.#goaway !== undefined)
            due.push(this.#goaway.closeMs);
        this.#timer = this.#clock.setTimeout(() => this.#tick(), Math.max(0, Math.min(...due) - this.#clock.now()));
    }

    #tick() {
        const now = this.#clock.now();
        if (this.#goaway !== undefined && now >= this.#goaway.closeMs) {
            this.#ack(true);
            this.drop('the server asked to go elsewhere');
        } else if (now >= this.#silentAt()) {
            this.drop(this.isLive ? 'the server has been silent for too long' : 'the server did not answer in time');
        } else if (this.#unacked > 0 && now >= this.#ackDueMs) {
            this.#ack(false);
        } else if (this.isLive && now >= this.#sentMs + this.#heartbeatMs) {
            this.#ping();
        }
        this.#arm();
    }

    #over(end) {
        if (this.#phase === 'over')
            return;
        this.#phase = 'over';
        this.#clock.clearTimeout(this.#timer);
        this.#socket.close(1000);
        const said = this.#said ?? (this.#goaway !== undefined && { code: this.#goaway.code, text: codeName(this.#goaway.code) });
        this.#resolve({
            ...end,
            ...(said || {}),
            liveMs: this.#liveMs === undefined ? undefined : this.#clock.now() - this.#liveMs,
            leaveInMs: this.#goaway === undefined ? undefined : this.#goaway.leaveMs - this.#clock.now(),
        });
    }
}

/** Whether an end says that the token will not do. */
export const isAboutToken = (code) => code === Code.TOKEN_EXPIRED || code === Code.TOKEN_INVALID;
