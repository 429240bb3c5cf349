/* message.js: what the app is handed. */

import { TOPIC } from './frames.js';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A UUID as text. */
export function uuid(bytes) {
    const hex = Array.from(bytes, (byte) => HEX[byte]).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export class Message {
    #text;

    constructor(push) {
        const { id, payload, data, sentMs, expiresMs, collapseKey, high, late } = push.message;
        this.#text = data;
        this.id = uuid(id);
        this.topic = push.log === TOPIC ? push.topic : '';
        this.payload = payload;
        this.sent = new Date(sentMs);
        this.expires = new Date(expiresMs);
        this.collapseKey = collapseKey;
        this.high = high;
        this.late = late;
        this.position = push.position;
    }

    get isJson() {
        return this.#text !== undefined;
    }

    /** The sender's `data`; undefined where it sent a `payload`. Made anew by each call. */
    get data() {
        return this.#text === undefined ? undefined : JSON.parse(this.#text);
    }
}
