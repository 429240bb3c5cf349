/* state.js: what an installation keeps between runs.
 *
 * position  (epoch, seq): how far the app has processed its inbox; undefined before the first session ever
 * attempt   a number that grows with each connect, saved before it
 * recent    ids of the last messages, against those that come again under another position
 * topics    name -> position, for each topic that the device follows */

import { NEW } from './frames.js';

export const RECENT_IDS = 256;
export const TOPICS = 65;
const VERSION = 1;
const ATTEMPT_MAX = 2n ** 63n - 1n;

const toPosition = ({ epoch, seq }) => ({ epoch: BigInt(epoch), seq: BigInt(seq) });
const toText = ({ epoch, seq }) => ({ epoch: String(epoch), seq: String(seq) });

/* What the rule of proto/README.md, section 5, says of a PUSH where the log is at `at`. */
function judge(at, { position, prev }) {
    if (position.epoch !== at.epoch)
        return 'a message of another epoch came without a GAP';
    if (position.seq <= at.seq)
        return 'duplicate';
    return prev > at.seq ? 'messages are missing before one that came' : 'accepted';
}

export class State {
    position = undefined;
    attempt;
    recent = [];
    topics = new Map();

    /** A new installation. Its storage may have been cleared by the browser while the device's name stayed: so attempts begin with
     * the present time, which is greater than those before. */
    constructor(nowMs) {
        this.attempt = BigInt(nowMs);
    }

    /** What snapshot() gave; a new state where it is none. */
    static from(saved, nowMs) {
        const state = new State(nowMs);
        try {
            if (saved?.version !== VERSION)
                return state;
            const attempt = BigInt(saved.attempt);
            const topics = Object.entries(saved.topics).map(([name, at]) => [name, toPosition(at)]);
            if (saved.position)
                state.position = toPosition(saved.position);
            state.attempt = attempt;
            state.recent = saved.recent.slice(-RECENT_IDS);
            state.topics = new Map(topics.slice(0, TOPICS));
        } catch {
            return new State(nowMs); // written by something else
        }
        return state;
    }

    /** Plain: it survives JSON and structured clones. */
    snapshot() {
        return {
            version: VERSION,
            position: this.position && toText(this.position),
            attempt: String(this.attempt),
            recent: [...this.recent],
            topics: Object.fromEntries([...this.topics].map(([name, at]) => [name, toText(at)])),
        };
    }

    nextAttempt() {
        if (this.attempt < ATTEMPT_MAX)
            this.attempt++;
    }

    /** Far ahead, where the server knows of greater ones: false when there is no room. */
    jumpAttempt(jump) {
        const room = ATTEMPT_MAX - this.attempt;
        this.attempt += jump < room ? jump : (room + 1n) / 2n;
        return room > 0n;
    }

    /** 'accepted', with the state moved; 'duplicate'; or, in words, what is out of step. */
    accept(topic, push) {
        const at = topic === '' ? this.position : this.topics.get(topic);
        const judged = topic !== '' && at === undefined ? 'accepted' : judge(at, push);
        if (judged === 'accepted')
            this.moveTo(topic, push.position);
        return judged;
    }

    moveTo(topic, position) {
        if (topic === '')
            this.position = position;
        else if (this.topics.has(topic) || this.topics.size < TOPICS)
            this.topics.set(topic, position);
    }

    /** False: it came before. */
    remember(id) {
        if (this.recent.includes(id))
            return false;
        this.recent.push(id);
        if (this.recent.length > RECENT_IDS)
            this.recent.shift();
        return true;
    }

    /** A SUBSCRIBED; what it means to the app: {topic, follows, code}, or undefined where it only moves a position. */
    subscribed({ topic, position, verdict, refused }) {
        const had = this.topics.has(topic);
        const follows = position !== undefined;
        if (follows)
            this.moveTo(topic, position);
        else if (refused === 0)
            this.topics.delete(topic);
        if (refused === 0 && verdict !== NEW && follows === had)
            return undefined;
        return { topic, follows: refused !== 0 ? had : follows, code: refused };
    }

    /** To take a message back: returns how. */
    mark(topic) {
        const at = topic === '' ? this.position : this.topics.get(topic);
        const recent = [...this.recent];
        return () => {
            this.recent = recent;
            if (at !== undefined || topic === '')
                this.moveTo(topic, at);
            else
                this.topics.delete(topic);
        };
    }
}
