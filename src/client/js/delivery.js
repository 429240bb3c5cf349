/* delivery.js: from frames to the app, one at a time and in order: handle, save, ack.
 *
 * The state moves before the app is called, so that the app finds in it what having the message means; where the app fails, it moves
 * back. What of a connection was not begun when it ends is dropped: the server sends it again. */

import { GAP, INBOX, TOPIC } from './frames.js';
import { Message } from './message.js';

const QUEUE_MAX_BYTES = 4 * 1024 * 1024; // a server sends more than that only to who takes it
const SAVE_MESSAGES = 16; // while more are waiting

export class Delivery {
    state;
    #app;
    #save;
    #on;
    #queue = [];
    #bytes = 0;
    #running;
    #moved = false;
    #messages = 0; // of the inbox, handled and not saved

    /** app: {onMessage, onGap, onTopic}; save(snapshot) may take its time; on: saved(position, messages), broken(text), subscribed(frame). */
    constructor(state, app, save, on) {
        this.state = state;
        this.#app = app;
        this.#save = save;
        this.#on = on;
    }

    push(frame) {
        this.#bytes += frame.size;
        if (this.#bytes > QUEUE_MAX_BYTES) {
            this.drop();
            this.#on.broken('more came than the app takes');
            return;
        }
        this.#queue.push(frame);
        this.#running ??= this.#run();
    }

    drop() {
        this.#queue = [];
        this.#bytes = 0;
    }

    /** Nothing is being handled, and what was is saved. */
    async settled() {
        await this.#running;
    }

    async #run() {
        await undefined; // so that #running stands while this runs
        try {
            while (this.#queue.length > 0 || this.#moved) {
                if (this.#queue.length === 0 || this.#messages >= SAVE_MESSAGES)
                    await this.#keep();
                else
                    await this.#take(this.#queue.shift());
            }
        } catch (error) {
            this.#on.broken(error instanceof Error ? error.message : String(error));
            this.drop();
            await this.#keep().catch(() => {}); // it is saved with the next attempt, before the server is told
        } finally {
            this.#running = undefined;
        }
    }

    async #keep() {
        if (!this.#moved)
            return;
        const messages = this.#messages;
        const position = this.state.position;
        this.#moved = false;
        this.#messages = 0;
        await this.#save(this.state.snapshot());
        this.#on.saved(position, messages);
    }

    async #take(frame) {
        this.#bytes -= frame.size;
        if (frame.type === 'CONNECTED')
            await this.#connected(frame);
        else if (frame.type === 'PUSH')
            await this.#pushed(frame);
        else if (frame.type === 'GAP')
            await this.#gap(frame);
        else
            await this.#subscribed(frame);
    }

    #move(topic, position) {
        this.state.moveTo(topic, position);
        this.#moved = true;
    }

    async #connected({ verdict, position, lostAtMost, reason }) {
        if (verdict === GAP)
            await this.#app.onGap?.({ topic: '', lostAtMost, reason });
        this.#move('', position);
    }

    async #gap({ log, to, lostAtMost, reason, topic: name }) {
        if (log > TOPIC)
            return;
        const topic = log === TOPIC ? name : '';
        await this.#app.onGap?.({ topic, lostAtMost, reason });
        this.#move(topic, to);
    }

    async #subscribed(frame) {
        if (frame.verdict === GAP && frame.position !== undefined)
            await this.#app.onGap?.({ topic: frame.topic, lostAtMost: frame.lostAtMost, reason: frame.reason });
        const news = this.state.subscribed(frame);
        this.#moved = true;
        this.#on.subscribed(frame);
        if (news !== undefined)
            await this.#app.onTopic?.(news);
    }

    async #pushed(push) {
        if (push.log > TOPIC)
            return; // of a kind that this version does not know
        const message = new Message(push);
        const undo = this.state.mark(message.topic);
        const judged = this.state.accept(message.topic, push);
        if (judged === 'duplicate')
            return;
        if (judged !== 'accepted')
            throw new Error(judged);
        const isNew = this.state.remember(message.id);
        try {
            if (isNew)
                await this.#app.onMessage(message);
        } catch (error) {
            undo();
            throw error;
        }
        this.#moved = true;
        this.#messages += push.log === INBOX ? 1 : 0;
    }
}
