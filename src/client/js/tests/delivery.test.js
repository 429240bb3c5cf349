/* Messages: in order, once, acked when they are processed. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { World, at, push, settle } from './world.js';

const acks = (socket) => socket.got().filter(({ type }) => type === 'ACK').map(({ position }) => Number(position.seq));

test('a session begins: what CONNECT says, what is saved', async () => {
    const world = new World();
    await world.start();
    assert.equal(world.socket.url, 'ws://s1.example:7400/v1/session');
    assert.equal(world.socket.protocol, 'petrel.v1');
    const connect = await world.live(5);
    assert.equal(connect.type, 'CONNECT');
    assert.deepEqual([connect.version, connect.position, connect.takesTopics], [1, undefined, true]);
    assert.ok(connect.attempt > 1_000_000n); // a present time, in case that an earlier state was lost
    assert.deepEqual(world.phases, ['connecting', 'live']);
    const saved = await world.saved();
    assert.deepEqual(saved.position, { epoch: '7', seq: '5' });
    assert.equal(saved.attempt, String(connect.attempt));
});

test('messages come in order and once; acks come after 200 ms, or 16 messages', async () => {
    const world = new World();
    await world.start();
    await world.live();
    await world.socket.say(push(1), push(2));
    await world.socket.say(push(2), push(1));
    assert.deepEqual(world.messages, [1, 2]);
    assert.deepEqual(acks(world.socket), []);
    await world.clock.pass(199);
    assert.deepEqual(acks(world.socket), []);
    await world.clock.pass(1);
    assert.deepEqual(acks(world.socket), [2]);
    await world.socket.say(...Array.from({ length: 16 }, (_, i) => push(3 + i)));
    assert.deepEqual(acks(world.socket), [18]);
    await world.clock.pass(1000);
    assert.deepEqual(acks(world.socket), []);
});

test('nothing is acked or saved that the app has not processed', async () => {
    const world = new World();
    const waiting = [];
    await world.start({ onMessage: (message) => new Promise((resolve) => waiting.push([message.data.n, resolve])) });
    await world.live();
    await world.socket.say(push(1), push(2));
    await world.clock.pass(5000);
    assert.deepEqual(waiting.map(([n]) => n), [1]); // one at a time
    assert.deepEqual(acks(world.socket), []);
    assert.equal((await world.saved()).position.seq, '0');
    waiting[0][1]();
    await settle();
    waiting[1][1]();
    await world.clock.pass(200);
    assert.deepEqual(acks(world.socket), [2]);
    assert.equal((await world.saved()).position.seq, '2');
});

test('within onMessage the state holds what having the message means', async () => {
    const world = new World();
    const seen = [];
    await world.start({ onMessage: () => { seen.push(world.client.state.position.seq); } });
    await world.live();
    await world.socket.say(push(1), push(4, { prev: 1n }));
    assert.deepEqual(seen, ['1', '4']);
});

test('a message that the app fails at comes again, those before it do not', async () => {
    const world = new World();
    let fail = true;
    await world.start({
        onMessage: (message) => {
            if (message.data.n === 2 && fail)
                throw new Error('the disk is full');
            world.messages.push(message.data.n);
        },
    });
    await world.live();
    await world.socket.say(push(1), push(2), push(3));
    assert.deepEqual(world.messages, [1]);
    assert.deepEqual([world.state.phase, world.state.code, world.state.text], ['waiting', 0, 'the disk is full']);
    fail = false;
    await world.clock.pass(500);
    const connect = await world.live(1, { verdict: 2 });
    assert.deepEqual(connect.position, at(1));
    await world.socket.say(push(2), push(3));
    assert.deepEqual(world.messages, [1, 2, 3]);
});

test('a position that cannot be saved is not acked', async () => {
    const world = new World();
    const { storage } = world;
    let full = false;
    await world.start({ storage: { load: (key) => storage.load(key), save: async (key, value) => {
        if (full)
            throw new Error('quota');
        await storage.save(key, value);
    } } });
    await world.live();
    full = true;
    await world.socket.say(push(1));
    await world.clock.pass(250);
    assert.deepEqual(acks(world.socket), []);
    assert.equal(world.state.text, 'quota');
    full = false;
    await world.clock.pass(60000);
    await world.live(1, { verdict: 2 });
    await world.socket.say(push(1, { seq: 2, id: 1 }), push(2, { seq: 3 }));
    assert.deepEqual(world.messages, [1, 2]); // the first was processed
});

test('resume: a later client goes on where the earlier was, and knows its messages by their ids', async () => {
    const world = new World();
    await world.start();
    const first = await world.live();
    await world.socket.say(push(1), push(2));
    await world.client.close();
    await world.start();
    const second = await world.live(1, { verdict: 3, reason: 2, position: at(1, 8n), lostAtMost: 0 });
    assert.deepEqual(second.position, at(2));
    assert.equal(second.attempt, first.attempt + 1n);
    assert.deepEqual(world.gaps, [{ topic: '', lostAtMost: 0, reason: 2 }]);
    // Rolled back: message 2 comes under another position.
    await world.socket.say(push(2, { position: at(2, 8n), id: 2 }), push(3, { position: at(3, 8n) }));
    assert.deepEqual(world.messages, [1, 2, 3]);
});

test('what is out of step ends the connection, and the saved position is what counts', async () => {
    for (const [wrong, text] of [[push(9, { prev: 8n }), 'messages are missing before one that came'],
        [push(2, { position: at(2, 8n) }), 'a message of another epoch came without a GAP']]) {
        const world = new World();
        await world.start();
        await world.live();
        await world.socket.say(push(1), wrong);
        assert.deepEqual(world.messages, [1]);
        assert.deepEqual([world.state.phase, world.state.text], ['waiting', text]);
        await world.clock.pass(500);
        assert.deepEqual((await world.greet()).position, at(1));
    }
});

test('a GAP is told before the next message, and moves the position', async () => {
    const world = new World();
    await world.start();
    await world.live();
    await world.socket.say(push(1), ['GAP', { from: 1n, to: at(50), lostAtMost: 49, reason: 1 }], push(51));
    assert.deepEqual(world.gaps, [{ topic: '', lostAtMost: 49, reason: 1 }]);
    assert.deepEqual(world.messages, [1, 51]);
});

test('topics have positions of their own, which come with CONNECT; they are not acked', async () => {
    const world = new World();
    await world.start();
    await world.live();
    const done = world.client.subscribe('news').then(() => 'done');
    await settle();
    assert.deepEqual(world.socket.got().map(({ type, topic }) => [type, topic]), [['SUBSCRIBE', 'news']]);
    await world.socket.say(['SUBSCRIBED', { topic: 'news', position: at(10), verdict: 1 }]);
    assert.equal(await done, 'done');
    assert.deepEqual(world.news, [{ topic: 'news', follows: true, code: 0 }]);
    const toTopic = { log: 1, topic: 'news' };
    await world.socket.say(push(11, toTopic), push(11, toTopic), push(1));
    assert.deepEqual(world.messages, [11, 1]);
    await world.clock.pass(200);
    assert.deepEqual(acks(world.socket), [1]);
    world.socket.end();
    await world.clock.pass(500);
    const connect = await world.live(1, { verdict: 2 });
    assert.deepEqual(connect.topics, [{ topic: 'news', position: at(11) }]);
    await world.socket.say(['SUBSCRIBED', { topic: 'news', position: at(11), verdict: 2 }],
        ['SUBSCRIBED', { topic: 'sport', refused: 3512 }], ['GAP', { log: 1, topic: 'news', to: at(20), reason: 4, lostAtMost: 9 }],
        push(21, toTopic), ['SUBSCRIBED', { topic: 'news' }]);
    assert.deepEqual(world.messages, [11, 1, 21]);
    assert.deepEqual(world.gaps, [{ topic: 'news', lostAtMost: 9, reason: 4 }]);
    assert.deepEqual(world.news.slice(1), [{ topic: 'sport', follows: false, code: 3512 }, { topic: 'news', follows: false, code: 0 }]);
    assert.deepEqual(world.client.topics, []);
});

test('a wish for a topic outlives the connection, and is refused with its code', async () => {
    const world = new World();
    await world.start();
    const wish = world.client.subscribe('news');
    await world.live();
    assert.equal(world.socket.got()[0].type, 'SUBSCRIBE');
    world.socket.end();
    await world.clock.pass(500);
    await world.live();
    assert.equal(world.socket.got()[0].type, 'SUBSCRIBE');
    const refused = assert.rejects(wish, { name: 'RefusedError', code: 3512 });
    await world.socket.say(['SUBSCRIBED', { topic: 'news', refused: 3512 }]);
    await refused;
    await assert.rejects(world.client.subscribe('all'), TypeError);
});

test('more than the app takes ends the connection instead of filling the memory', async () => {
    const world = new World();
    await world.start({ onMessage: () => new Promise(() => {}) });
    await world.live();
    const payload = new Uint8Array(60000);
    for (let n = 1; n < 80; n++)
        await world.socket.say(push(n, { message: { id: new Uint8Array(16).fill(n), payload } }));
    assert.equal(world.state.text, 'more came than the app takes');
});
