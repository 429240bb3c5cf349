/* The session port for WebSocket clients that nobody here wrote: ws, of npm; by ws: and wss:. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after } from 'node:test';

import { Petrel } from 'petrel-client';
import WebSocket from 'ws';

import { decodeFrames, encodeFrame } from '../../src/client/js/frames.js';
import { LIMIT_MS, Petreld, makeCertificate, makeFolder, removeFolder, until } from './server.js';

const ORIGIN = 'https://app.example';
const OVER = 20000; // bytes: more than a CONNECT may have
const folder = await makeFolder();
const certificate = await makeCertificate(folder);
after(() => removeFolder(folder));

/* A session by ws; frames are taken one by one. */
class Device {
    #frames = [];

    constructor(petreld, options = {}, protocols = ['petrel.v1']) {
        this.socket = new WebSocket(`${petreld.url}/v1/session`, protocols, { ca: certificate.pem, ...options });
        this.socket.on('message', (bytes, isBinary) => {
            assert.ok(isBinary);
            this.#frames.push(...decodeFrames(bytes));
        });
        this.closed = new Promise((resolve) => this.socket.on('close', resolve));
        this.socket.on('error', () => {}); // 'close' follows
    }

    async open() {
        await once(this.socket, 'open');
        return this;
    }

    /** The status that the handshake is refused with. */
    async refused() {
        const [request, response] = await once(this.socket, 'unexpected-response');
        request.destroy();
        return response.statusCode;
    }

    send(name, fields) {
        this.socket.send(encodeFrame(name, fields));
    }

    async take(type) {
        const frame = await until(() => this.#frames.shift(), type);
        assert.equal(frame.type, type, JSON.stringify(frame, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
        return frame;
    }
}

const hello = (token) => encodeFrame('CONNECT', { version: 1, token, attempt: 1n, client: 'ws' });

for (const [name, way] of [['ws', {}], ['wss', { certificate }]]) {
    const scene = (title, play) => test(`${name}: ${title}`, { timeout: 5 * LIMIT_MS }, async () => {
        const petreld = new Petreld({ ...way, flags: ['--session-origins', ORIGIN] });
        try {
            await petreld.start();
            await play(petreld);
        } finally {
            await petreld.remove();
        }
    });

    scene('ws receives a push, pings, says goodbye; the extension it offers is declined', async (petreld) => {
        const token = await petreld.enrol('ws');
        const device = await new Device(petreld, { origin: ORIGIN, perMessageDeflate: { threshold: 0 } }).open();
        assert.deepEqual([device.socket.protocol, device.socket.extensions], ['petrel.v1', '']);
        device.socket.send(hello(token));
        assert.equal((await device.take('CONNECTED')).verdict, 1);
        await petreld.send(1, 2);
        assert.equal((await device.take('PUSH')).message.data, '{"n":1}');
        const { message, position } = await device.take('PUSH');
        assert.equal(message.data, '{"n":2}');
        device.send('ACK', { position });
        device.socket.ping('rfc 6455');
        assert.equal(String((await once(device.socket, 'pong'))[0]), 'rfc 6455');
        device.send('PING', { echo: 7n });
        assert.equal((await device.take('PONG')).echo, 7n);
        device.send('DISCONNECT');
        assert.equal(await device.closed, 1000);
    });

    scene('a message in fragments, with a ping between them, is one', async (petreld) => {
        const bytes = hello(await petreld.enrol('ws'));
        const device = await new Device(petreld).open();
        for (let at = 0; at < bytes.length; at += 50) {
            device.socket.send(bytes.subarray(at, at + 50), { binary: true, fin: at + 50 >= bytes.length });
            device.socket.ping();
        }
        await device.take('CONNECTED');
        device.socket.close(1000);
        assert.equal(await device.closed, 1000);
    });

    scene('what is not allowed is refused, or closed with the documented code', async (petreld) => {
        assert.equal(await new Device(petreld, { origin: 'https://evil.example' }).refused(), 403);
        assert.equal(await new Device(petreld, {}, ['mqtt']).refused(), 400);
        assert.equal(await new Device(petreld, {}, []).refused(), 400);
        for (const [what, code] of [[Buffer.alloc(OVER, 1), 1009], ['text', 1003], [Buffer.of(1, 0, 0), 3500], [hello('none'), 3505]]) {
            const device = await new Device(petreld).open();
            device.socket.send(what);
            assert.equal(await device.closed, code);
        }
    });

    scene('petrel-client in node, on ws, lives through a kill of the server', async (petreld) => {
        const got = [], phases = [];
        let refused = 0; // connections, by a server that is not there
        const client = new Petrel({
            servers: petreld.url,
            lookup: false,
            token: await petreld.enrol('node'),
            onMessage: ({ data }) => { got.push(data.n); },
            onState: ({ phase, text }) => {
                phases.push(phase);
                refused += text === 'the server could not be reached' ? 1 : 0;
            },
            environment: { WebSocket: class extends WebSocket {
                constructor(url, protocols) {
                    super(url, protocols, { ca: certificate.pem });
                }
            } },
        });
        const has = (list) => until(() => got.length >= list.length, `messages ${list}`).then(() => assert.deepEqual(got, list));
        try {
            await petreld.send(1, 2);
            await has([1, 2]);
            await petreld.end('SIGKILL');
            await until(() => refused > 0, 'a connection that is refused');
            await petreld.start();
            await petreld.send(3);
            await has([1, 2, 3]);
        } finally {
            await client.close();
        }
        assert.equal(phases.at(-1), 'closed');
    });
}
