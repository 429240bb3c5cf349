/* Holds the codec against proto/README.md, from which clients are written, in both directions. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { decodeFrames, encodeFrame } from '../frames.js';
import { ProtocolError } from '../protobuf.js';

const README = readFileSync(new URL('../../../../proto/README.md', import.meta.url), 'utf8');

function bytesOf(block) {
    const hex = block.split('\n').map((line) => line.split('#')[0].trim()).join(' ').trim();
    return Uint8Array.from(hex.split(/\s+/), (byte) => parseInt(byte, 16));
}

const EXAMPLES = new Map([...README.matchAll(/```hex (\S+)\n([^]*?)```/g)].map(([, name, block]) => [name, bytesOf(block)]));
const EPOCH = 0x0001000067a1b2c3n;

function decodeOne(name) {
    const frames = decodeFrames(EXAMPLES.get(name));
    assert.equal(frames.length, 1);
    return frames[0];
}

function frameOf(type, ...body) {
    return Uint8Array.from([type, 0, body.length >> 8, body.length & 0xff, ...body]);
}

test('every example decodes, and encodes to the same bytes', () => {
    assert.ok(EXAMPLES.size >= 16);
    for (const [name, bytes] of EXAMPLES) {
        const [frame] = decodeFrames(bytes);
        assert.equal(frame.type, name.split('-')[0]);
        assert.deepEqual(encodeFrame(frame.type, frame), bytes, name);
    }
});

test('what the examples say', () => {
    const connect = decodeOne('CONNECT');
    assert.equal(connect.version, 1);
    assert.equal(connect.attempt, 42n);
    assert.deepEqual(connect.position, { epoch: EPOCH, seq: 300n });
    assert.equal(connect.client, 'example/1.0');
    const gap = decodeOne('CONNECTED-gap');
    assert.deepEqual([gap.verdict, gap.lostAtMost, gap.reason], [3, 40, 1]);
    const push = decodeOne('PUSH');
    assert.deepEqual([push.prev, push.message.data, push.message.high], [300n, '{"text":"hé"}', true]);
    assert.equal(push.message.payload, undefined);
    assert.deepEqual(decodeOne('PUSH-payload').message.payload, Uint8Array.of(0, 1, 255));
    assert.deepEqual(decodeOne('GOAWAY').targets, ['b.example:7400', '[2001:db8::7]:7400']);
    assert.equal(decodeOne('ERROR').message, 'a newer session of this device took over');
});

test('several frames come in one message, unknown types and fields among them', () => {
    const several = new Uint8Array([...EXAMPLES.get('PONG'), ...frameOf(200, 1, 2), ...EXAMPLES.get('GAP')]);
    assert.deepEqual(decodeFrames(several).map(({ type }) => type), ['PONG', 'UNKNOWN', 'GAP']);
    // 15: a varint, 16: bytes, 17: 8 bytes, 18: 4 bytes, and then an echo.
    const unknown = frameOf(66, 0x78, 0xff, 0x01, 0x82, 0x01, 1, 9, 0x89, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x95, 0x01, 0, 0, 0, 0,
        0x09, 5, 0, 0, 0, 0, 0, 0, 0);
    assert.equal(decodeFrames(unknown)[0].echo, 5n);
});

test('64-bit numbers keep every bit', () => {
    const position = { epoch: 2n ** 64n - 1n, seq: 2n ** 64n - 2n };
    const [ack] = decodeFrames(encodeFrame('ACK', { position }));
    assert.deepEqual(ack.position, position);
});

test('what breaks the rules is refused', () => {
    const broken = {
        'a header that is cut': Uint8Array.of(66, 0, 0),
        'a body that is cut': Uint8Array.of(66, 0, 0, 9, 9),
        'more than a frame may have': Uint8Array.of(66, 0xff, 0xff, 0xff),
        'a field beyond its message': frameOf(71, 0x12, 200, 65),
        'a varint without end': frameOf(71, 0x08, ...Array(11).fill(0x80)),
        'a group': frameOf(71, 0x0b),
        'a field of another type': frameOf(66, 0x08, 1),
        'a text that is no UTF-8': frameOf(71, 0x08, 0xb8, 0x17, 0x12, 1, 0xff),
        'an ERROR with a code that is none': frameOf(71, 0x08, 7),
        'a GOAWAY that is final': encodeFrame('GOAWAY', { code: 3500 }),
        'a CONNECTED without a position': encodeFrame('CONNECTED', { verdict: 1 }),
        'a verdict that is none': encodeFrame('CONNECTED', { verdict: 9, position: { epoch: 1n, seq: 1n } }),
        'a PUSH behind itself': encodeFrame('PUSH', { ...decodeOne('PUSH'), prev: 302n }),
        'an id of another length': encodeFrame('PUSH', { ...decodeOne('PUSH'), message: { id: Uint8Array.of(1), data: '1' } }),
        'a message without a body': encodeFrame('PUSH', { ...decodeOne('PUSH'), message: { id: new Uint8Array(16) } }),
        'a topic without a name': encodeFrame('PUSH', { ...decodeOne('PUSH'), log: 1 }),
    };
    for (const [what, bytes] of Object.entries(broken))
        assert.throws(() => decodeFrames(bytes), ProtocolError, what);
});

test('no bytes whatever do more than throw', () => {
    let seed = 12345;
    const next = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    const samples = [...EXAMPLES.values()];
    for (let round = 0; round < 20000; round++) {
        const bytes = samples[round % samples.length].slice();
        for (let flips = 0; flips <= round % 3; flips++)
            bytes[next() % bytes.length] = next() & 0xff;
        try {
            decodeFrames(bytes);
        } catch (error) {
            assert.ok(error instanceof ProtocolError, error.stack);
        }
    }
});
