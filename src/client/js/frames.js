/* frames.js: the session protocol's frames as objects, and their bytes. proto/README.md is the specification, and its hex examples are
 * held against this file by tests/frames.test.js. */

import { isCode, isRetried } from './codes.js';
import { ProtocolError, decode, encode } from './protobuf.js';

const HEADER_BYTES = 4;
const ID_BYTES = 16;
const FRAME_MAX = 1024 * 1024; // the largest max_frame_bytes that a server can be set to

export const INBOX = 0, TOPIC = 1; // logs
export const NEW = 1, RESUMED = 2, GAP = 3; // verdicts
export const TOPIC_NAME = /^[A-Za-z0-9._:-]{1,64}$/;

const POSITION = { 1: ['epoch', 'fixed64'], 2: ['seq', 'uint64'] };
const TOPIC_POSITION = { 1: ['topic', 'text'], 2: ['position', POSITION] };
const MESSAGE = {
    1: ['id', 'bytes'], 2: ['payload', 'bytes', 'body'], 3: ['data', 'text', 'body'], 4: ['sentMs', 'number'], 5: ['expiresMs', 'number'],
    6: ['collapseKey', 'text'], 7: ['high', 'bool'], 8: ['late', 'bool'],
};
const TOPIC_ONLY = { 1: ['topic', 'text'] };
const ECHO = { 1: ['echo', 'fixed64'] };

/* name -> [type, schema, what must hold beyond the schema] */
const FRAMES = {
    CONNECT: [1, {
        1: ['version', 'uint32'], 2: ['token', 'text'], 3: ['attempt', 'uint64'], 4: ['position', POSITION], 5: ['client', 'text'],
        6: ['heartbeatS', 'uint32'], 7: ['takesTopics', 'bool'], 8: ['topics', [TOPIC_POSITION]],
    }],
    PING: [2, ECHO],
    ACK: [3, { 1: ['position', POSITION] }],
    SUBSCRIBE: [4, TOPIC_ONLY],
    UNSUBSCRIBE: [5, TOPIC_ONLY],
    DISCONNECT: [7, { 1: ['reason', 'uint32'] }],
    CONNECTED: [65, {
        1: ['verdict', 'uint32'], 2: ['position', POSITION], 3: ['lostAtMost', 'number'], 4: ['reason', 'uint32'], 5: ['heartbeatS', 'uint32'],
        6: ['maxFrameBytes', 'uint32'], 7: ['serverTimeMs', 'number'], 8: ['node', 'text'],
    }, (f) => f.verdict >= NEW && f.verdict <= GAP && isPlace(f.position) && isReason(f.reason, f.verdict === GAP)],
    PONG: [66, ECHO],
    PUSH: [67, {
        1: ['log', 'uint32'], 2: ['position', POSITION], 3: ['prev', 'uint64'], 4: ['message', MESSAGE], 5: ['topic', 'text'],
    }, (f) => isPlace(f.position) && f.prev < f.position.seq && isMessage(f.message) && isTopicOf(f)],
    GAP: [68, {
        1: ['log', 'uint32'], 2: ['from', 'uint64'], 3: ['to', POSITION], 4: ['lostAtMost', 'number'], 5: ['reason', 'uint32'],
        6: ['topic', 'text'],
    }, (f) => isPlace(f.to) && isReason(f.reason, true) && isTopicOf(f)],
    SUBSCRIBED: [69, {
        1: ['topic', 'text'], 2: ['position', POSITION], 3: ['verdict', 'uint32'], 4: ['lostAtMost', 'number'], 5: ['reason', 'uint32'],
        6: ['refused', 'uint32'],
    }, (f) => TOPIC_NAME.test(f.topic) && (f.position === undefined || isPlace(f.position)) && (f.refused === 0 || isCode(f.refused))],
    GOAWAY: [70, {
        1: ['code', 'uint32'], 2: ['deadlineMs', 'uint32'], 3: ['spreadMs', 'uint32'], 4: ['targets', ['text']], 5: ['backoffMs', 'uint32'],
    }, (f) => isCode(f.code) && isRetried(f.code)],
    ERROR: [71, { 1: ['code', 'uint32'], 2: ['message', 'text'], 3: ['backoffMs', 'uint32'] }, (f) => isCode(f.code)],
};
const BY_TYPE = new Map(Object.entries(FRAMES).map(([name, [type, schema, holds]]) => [type, { name, schema, holds }]));

function isPlace(position) {
    return position !== undefined && position.epoch !== 0n;
}

function isReason(reason, needed) {
    return reason <= 4 && (reason !== 0 || !needed);
}

function isTopicOf(frame) {
    return frame.log !== TOPIC || TOPIC_NAME.test(frame.topic);
}

function isMessage(message) {
    return message !== undefined && message.id?.length === ID_BYTES && (message.payload !== undefined || message.data !== undefined);
}

/** One frame's bytes, header and body. */
export function encodeFrame(name, fields = {}) {
    const [type, schema] = FRAMES[name];
    const body = encode(schema, fields);
    const frame = new Uint8Array(HEADER_BYTES + body.length);
    new DataView(frame.buffer).setUint32(0, type << 24 | body.length);
    frame.set(body, HEADER_BYTES);
    return frame;
}

function decodeBody(type, body) {
    const known = BY_TYPE.get(type);
    if (known === undefined)
        return { type: 'UNKNOWN' };
    const frame = { type: known.name, ...decode(known.schema, body) };
    if (known.holds !== undefined && !known.holds(frame))
        throw new ProtocolError(`the server's ${known.name} is not as it must be`);
    return frame;
}

/** The frames of one WebSocket message, which holds whole ones; type 'UNKNOWN' is one to skip. Throws ProtocolError. */
export function decodeFrames(bytes) {
    const frames = [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length;) {
        if (bytes.length - at < HEADER_BYTES)
            throw new ProtocolError('a message ends within a frame');
        const length = view.getUint32(at) & 0xffffff;
        const body = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
        if (length > FRAME_MAX || body.length < length)
            throw new ProtocolError(length > FRAME_MAX ? 'a frame is larger than any may be' : 'a message ends within a frame');
        frames.push({ ...decodeBody(bytes[at], body), size: HEADER_BYTES + length });
        at += HEADER_BYTES + length;
    }
    return frames;
}
