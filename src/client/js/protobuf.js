/* protobuf.js: as much of protobuf as the session protocol needs. A schema names the fields of a message:
 *
 *   { 1: ['epoch', 'fixed64'], 2: ['seq', 'uint64'] }
 *
 * type   'uint32' and 'number' (a uint64 of which 53 bits will do, as for moments) are numbers, 'uint64' and 'fixed64' BigInts;
 *        'bool', 'text', 'bytes'; a schema is a message within; ['text'] or [SCHEMA] is repeated. A third element names the oneof that
 *        the field is of.
 * absent a message, 'bytes' or a field of a oneof is undefined then; any other is at its default. */

const VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5;
const NUMBERS = new Set(['uint32', 'number', 'uint64', 'bool']);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/** The bytes are not what they should be. */
export class ProtocolError extends Error {}

// ---- writing

function putVarint(out, value) {
    let rest = BigInt(value);
    for (; rest > 0x7fn; rest >>= 7n)
        out.push(Number(rest & 0x7fn) | 0x80);
    out.push(Number(rest));
}

function putBytes(out, field, bytes) {
    putVarint(out, field << 3 | LENGTH);
    putVarint(out, bytes.length);
    for (const byte of bytes)
        out.push(byte);
}

function putField(out, field, type, value) {
    if (NUMBERS.has(type)) {
        putVarint(out, field << 3 | VARINT);
        putVarint(out, value);
    } else if (type === 'fixed64') {
        putVarint(out, field << 3 | FIXED64);
        for (let shift = 0n; shift < 64n; shift += 8n)
            out.push(Number(value >> shift & 0xffn));
    } else if (type === 'text') {
        putBytes(out, field, toUtf8.encode(value));
    } else {
        putBytes(out, field, type === 'bytes' ? value : encode(type, value));
    }
}

function isDefault(value) {
    return value === undefined || value === 0 || value === 0n || value === '' || value === false;
}

/** The bytes of a message. */
export function encode(schema, message) {
    const out = [];
    for (const [field, [name, type, oneof]] of Object.entries(schema)) {
        const value = message[name];
        if (Array.isArray(type))
            (value ?? []).forEach((one) => putField(out, Number(field), type[0], one));
        else if (oneof !== undefined ? value !== undefined : !isDefault(value))
            putField(out, Number(field), type, value);
    }
    return Uint8Array.from(out);
}

// ---- reading

/* Takes values off the front of bytes. */
class Input {
    #bytes;
    #at = 0;

    constructor(bytes) {
        this.#bytes = bytes;
    }

    get done() {
        return this.#at === this.#bytes.length;
    }

    varint() {
        let value = 0n;
        for (let shift = 0n; shift < 70n; shift += 7n) {
            const [byte] = this.take(1);
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80)
                return BigInt.asUintN(64, value);
        }
        throw new ProtocolError('a varint of more than 10 bytes');
    }

    take(length) {
        if (length > this.#bytes.length - this.#at)
            throw new ProtocolError('a field reaches beyond its message');
        this.#at += length;
        return this.#bytes.subarray(this.#at - length, this.#at);
    }

    /* The raw value behind a key. */
    value(wire) {
        switch (wire) {
        case VARINT: return this.varint();
        case FIXED64: return this.take(8);
        case LENGTH: return this.take(Number(this.varint()));
        case FIXED32: return this.take(4);
        default: throw new ProtocolError(`wire type ${wire}`);
        }
    }
}

function wireOf(type) {
    if (NUMBERS.has(type))
        return VARINT;
    return type === 'fixed64' ? FIXED64 : LENGTH;
}

function text(bytes) {
    try {
        return utf8.decode(bytes);
    } catch {
        throw new ProtocolError('a text is not UTF-8');
    }
}

function convert(type, raw) {
    switch (type) {
    case 'uint32': return Number(BigInt.asUintN(32, raw));
    case 'number': return Number(raw);
    case 'uint64': return raw;
    case 'bool': return raw !== 0n;
    case 'fixed64': return new DataView(raw.buffer, raw.byteOffset, 8).getBigUint64(0, true);
    case 'text': return text(raw);
    case 'bytes': return raw.slice();
    default: return decode(type, raw);
    }
}

function initial(type) {
    switch (type) {
    case 'uint32': case 'number': return 0;
    case 'uint64': case 'fixed64': return 0n;
    case 'bool': return false;
    case 'text': return '';
    default: return Array.isArray(type) ? [] : undefined;
    }
}

function blank(schema) {
    const message = {};
    for (const [name, type, oneof] of Object.values(schema))
        message[name] = oneof === undefined ? initial(type) : undefined;
    return message;
}

function set(schema, message, [name, type, oneof], raw) {
    if (Array.isArray(type)) {
        message[name].push(convert(type[0], raw));
        return;
    }
    for (const [other, , group] of Object.values(schema)) {
        if (oneof !== undefined && group === oneof)
            message[other] = undefined;
    }
    message[name] = convert(type, raw);
}

/** The message in the bytes; unknown fields are skipped. Throws ProtocolError. */
export function decode(schema, bytes) {
    const input = new Input(bytes);
    const message = blank(schema);
    while (!input.done) {
        const key = Number(input.varint());
        const wire = key % 8;
        const known = schema[Math.floor(key / 8)];
        const raw = input.value(wire);
        if (known === undefined)
            continue;
        if (wire !== wireOf(Array.isArray(known[1]) ? known[1][0] : known[1]))
            throw new ProtocolError(`the field ${known[0]} is of another type`);
        set(schema, message, known, raw);
    }
    return message;
}
