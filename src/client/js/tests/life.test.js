/* Connections: how they end, and when the next one begins. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { World, at, push, settle, token } from './world.js';

const LIST = { servers: [{ address: 'a.example:1' }, { address: 'b.example:2' }], wait_ms: 0, backoff_ms: 1000, ttl_s: 300 };

/* Of one device, in one browser; the first is live. */
async function twoPages() {
    const held = [];
    const locks = {
        async request(name, options, got) {
            if (options.ifAvailable && held.length > 0)
                return got(null);
            const before = held.at(-1);
            let done;
            held.push(new Promise((resolve) => { done = resolve; }));
            await before;
            await got({ name });
            held.shift();
            done();
            return undefined;
        },
    };
    const world = new World();
    const other = new World();
    other.storage = world.storage;
    world.page.navigator.locks = other.page.navigator.locks = locks;
    await world.start();
    await world.live();
    await other.start();
    return [world, other];
}

test('after a loss: a wait at random within a window that doubles, back at 500 ms after a session of 30 s', async () => {
    const world = new World();
    await world.start();
    const waits = [];
    for (let n = 0; n < 9; n++) {
        await world.live();
        world.socket.end();
        await settle();
        waits.push(world.state.retryMs);
        await world.clock.pass(world.state.retryMs);
    }
    const windows = [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000];
    assert.deepEqual(waits, windows.map((window) => Math.floor(world.random * (window + 1))));
    await world.live();
    await world.clock.pass(30000);
    world.socket.end();
    await settle();
    assert.equal(world.state.retryMs, 500);
});

test("the server's backoff is the least, and the random part comes on top", async () => {
    const world = new World();
    world.random = 0.5;
    await world.start();
    await world.greet();
    await world.socket.say(['ERROR', { code: 3002, message: 'overloaded', backoffMs: 40000 }]);
    assert.deepEqual(world.state, { phase: 'waiting', server: 's1.example:7400', code: 3002, text: 'overloaded', retryMs: 60000 });
    await world.clock.pass(59999);
    assert.equal(world.sockets.length, 1);
    await world.clock.pass(1);
    assert.equal(world.sockets.length, 2);
});

test('a code of 3500 and above stops; a token goes on', async () => {
    const world = new World();
    await world.start();
    await world.live();
    await world.socket.say(['ERROR', { code: 3508, message: 'replaced' }]);
    assert.deepEqual(world.state, { phase: 'stopped', server: 's1.example:7400', code: 3508, text: 'replaced', retryMs: undefined });
    world.page.setOnline(true);
    world.page.show('visible');
    await world.clock.pass(86400000);
    assert.equal(world.sockets.length, 1);
    world.client.setToken(token());
    await world.clock.pass(500);
    assert.equal(world.sockets.length, 2);
});

test('a token that expired or is refused is fetched anew', async () => {
    const world = new World();
    let fetched = 0;
    await world.start({ token: async () => { fetched++; return token(); } });
    for (const code of [3007, 3505]) {
        await world.greet();
        await world.socket.say(['ERROR', { code }]);
        assert.equal(world.state.phase, 'waiting');
        await world.clock.pass(60000);
    }
    assert.equal(fetched, 3);
    const fixed = new World();
    await fixed.start();
    await fixed.greet();
    await fixed.socket.say(['ERROR', { code: 3505 }]);
    assert.equal(fixed.state.phase, 'stopped');
});

test('no token is no reason to give up; one for another device is', async () => {
    const world = new World();
    const tokens = [() => { throw new Error('401'); }, () => token()];
    await world.start({ token: () => tokens.shift()() });
    assert.deepEqual([world.state.phase, world.state.text], ['waiting', '401']);
    await world.clock.pass(1000);
    await world.live();
    world.client.setToken(token('phone'));
    world.socket.end();
    await world.clock.pass(1000);
    assert.match(world.state.text, /another device/);
});

test('an attempt that is stale is jumped ahead, by more each time', async () => {
    const world = new World();
    await world.start();
    const first = (await world.greet()).attempt;
    await world.socket.say(['ERROR', { code: 3511 }]);
    await world.clock.pass(world.state.retryMs);
    const second = (await world.greet()).attempt;
    assert.equal(second, first + 2n ** 20n + 1n);
    await world.socket.say(['ERROR', { code: 3511 }]);
    await world.clock.pass(world.state.retryMs);
    assert.equal((await world.greet()).attempt, second + 2n ** 21n + 1n);
});

test('a close code counts where no ERROR came', async () => {
    const world = new World();
    await world.start();
    await world.live();
    world.socket.end(3507);
    await settle();
    assert.deepEqual([world.state.phase, world.state.code, world.state.text], ['stopped', 3507, 'REVOKED']);
});

test('lookup names the servers; each is tried at once after the one before, then there is a wait, then lookup is asked anew', async () => {
    const world = new World({ answer: () => LIST });
    await world.start();
    assert.deepEqual(world.lookups, ['http://s1.example:7400/v1/lookup']);
    assert.equal(world.socket.url, 'ws://a.example:1/v1/session');
    world.socket.end();
    await settle();
    assert.equal(world.state.phase, 'waiting');
    await world.clock.pass(0);
    assert.equal(world.socket.url, 'ws://b.example:2/v1/session');
    await world.clock.pass(3000); // it hangs, and there are others
    assert.deepEqual([world.state.phase, world.state.text], ['waiting', 'the server did not answer in time']);
    await world.clock.pass(world.state.retryMs);
    assert.equal(world.lookups.length, 2);
});

test("the server whose session ended goes to the end of a list that is still good", async () => {
    const world = new World({ answer: () => LIST });
    await world.start();
    await world.live();
    world.socket.end();
    await world.clock.pass(500);
    assert.equal(world.lookups.length, 1);
    assert.equal(world.socket.url, 'ws://b.example:2/v1/session');
});

test("lookup's wait is waited for; an old list serves when nobody answers", async () => {
    let answer = { ...LIST, wait_ms: 7000 };
    const world = new World({ answer: () => answer });
    await world.start({ servers: ['ws://s1.example:7400', 'ws://s2.example:7400'] });
    await world.clock.pass(6999);
    assert.equal(world.sockets.length, 0);
    await world.clock.pass(1);
    await world.live();
    answer = undefined;
    await world.clock.pass(200000);
    await world.socket.say(['PONG', {}]);
    await world.clock.pass(150000);
    world.lookups.length = 0;
    world.socket.end();
    await world.clock.pass(500);
    assert.equal(world.lookups.length, 2);
    assert.equal(world.socket.url, 'ws://b.example:2/v1/session');
});

test('a lookup server that hangs is given 2 s; then the next is asked', async () => {
    const world = new World({ answer: (url) => (url.includes('s1') ? new Promise(() => {}) : LIST) });
    await world.start({ servers: ['ws://s1.example:7400', 'ws://s2.example:7400'] });
    assert.equal(world.sockets.length, 0);
    await world.clock.pass(2000);
    assert.equal(world.lookups.length, 2);
    assert.equal(world.sockets.length, 1);
});

test('an answer of a lookup that is none, or too long, is passed over', async () => {
    const endless = { ...LIST, more: 'x'.repeat(20000) };
    const answers = [endless, { servers: [] }, { servers: [{ address: 'no port' }] }, 'text', LIST];
    const world = new World({ answer: () => answers.shift() });
    await world.start({ servers: ['ws://s1.example:1', 'ws://s2.example:2', 'ws://s3.example:3', 'ws://s4.example:4', 'ws://s5.example:5'] });
    assert.equal(world.lookups.length, 5);
    assert.equal(world.socket.url, 'ws://a.example:1/v1/session');
});

test('GOAWAY: works on, then leaves within the spread, with its acks, for the targets', async () => {
    const world = new World({ answer: () => LIST });
    world.random = 0.5;
    await world.start();
    await world.live();
    await world.clock.pass(30000);
    await world.socket.say(['GOAWAY', { code: 3001, deadlineMs: 10000, spreadMs: 4000, targets: ['c.example:3'], backoffMs: 1000 }]);
    await world.clock.pass(1900);
    await world.socket.say(push(1));
    assert.equal(world.state.phase, 'live');
    await world.clock.pass(101);
    assert.equal(world.sockets[0].readyState, 3);
    assert.deepEqual(world.sockets[0].got().map(({ type }) => type), ['ACK']);
    assert.equal(world.socket.url, 'ws://c.example:3/v1/session');
    const connect = await world.greet();
    assert.deepEqual(connect.position, at(1));
});

test('heartbeats: a PING when nothing was sent; silence ends the connection', async () => {
    const world = new World();
    await world.start();
    await world.live();
    await world.clock.pass(239999);
    assert.deepEqual(world.socket.got(), []);
    await world.clock.pass(1);
    const [ping] = world.socket.got();
    assert.equal(ping.type, 'PING');
    await world.socket.say(['PONG', { echo: ping.echo }]);
    await world.clock.pass(369999);
    assert.equal(world.state.phase, 'live');
    await world.clock.pass(1);
    assert.equal(world.state.text, 'the server has been silent for too long');
});

test('offline: the connection is let go, and the next is made when the browser is online', async () => {
    const world = new World();
    await world.start();
    await world.live();
    world.page.setOnline(false);
    await settle();
    assert.equal(world.state.phase, 'offline');
    await world.clock.pass(50000);
    assert.equal(world.sockets.length, 1);
    world.page.setOnline(true);
    await settle();
    assert.equal(world.sockets.length, 2);
});

test('hidden: what is due to be acked is; visible: a connection has to prove itself, a wait is over', async () => {
    const world = new World();
    await world.start();
    await world.live();
    await world.socket.say(push(1));
    world.page.show('hidden');
    assert.deepEqual(world.socket.got().map(({ type }) => type), ['ACK']);
    world.page.show('visible');
    assert.deepEqual(world.socket.got().map(({ type }) => type), ['PING']);
    await world.clock.pass(9999);
    assert.equal(world.state.phase, 'live');
    await world.clock.pass(1);
    assert.equal(world.state.phase, 'waiting');
    world.random = 0.9;
    world.page.show('visible');
    await settle();
    assert.equal(world.sockets.length, 2);
});

test('frozen, or kept for going back to: goodbye; thawed: goes on, with what is saved', async () => {
    for (const [target, freeze, thaw] of [['document', 'freeze', 'resume'], ['window', 'pagehide', 'pageshow']]) {
        const world = new World();
        const page = target === 'document' ? world.page.document : world.page;
        await world.start();
        await world.live();
        await world.socket.say(push(1));
        page.dispatchEvent(new Event(freeze));
        await settle();
        assert.deepEqual(world.socket.got().map(({ type }) => type), ['ACK', 'DISCONNECT']);
        assert.equal(world.state.phase, 'suspended');
        await world.clock.pass(3600000);
        assert.equal(world.sockets.length, 1);
        page.dispatchEvent(Object.assign(new Event(thaw), { persisted: true }));
        await settle();
        assert.deepEqual((await world.greet()).position, at(1));
    }
});

test('frozen while it saves: that is told as soon as it can be, and it goes on behind what it saved', async () => {
    const world = new World();
    const { document } = world.page;
    await world.start();
    await world.live();
    let finish;
    const save = world.storage.save.bind(world.storage);
    world.storage.save = (key, value) => new Promise((resolve) => { finish = () => resolve(save(key, value)); });
    await world.socket.say(push(1));
    document.dispatchEvent(new Event('freeze'));
    await settle();
    assert.deepEqual(world.socket.got().map(({ type }) => type), ['DISCONNECT']); // not acked: it may not be saved
    document.dispatchEvent(new Event('resume'));
    await settle();
    assert.deepEqual(world.phases, ['connecting', 'live']);
    world.storage.save = save;
    finish();
    await settle();
    assert.deepEqual(world.phases, ['connecting', 'live', 'suspended', 'connecting']);
    assert.deepEqual((await world.greet()).position, at(1));
});

test('suspend and resume by the app; the page alone does not end what the app began', async () => {
    const world = new World();
    await world.start();
    await world.live();
    world.client.suspend();
    await settle();
    world.page.document.dispatchEvent(new Event('freeze'));
    world.page.document.dispatchEvent(new Event('resume'));
    await settle();
    assert.equal(world.state.phase, 'suspended');
    world.client.resume();
    await settle();
    assert.equal(world.sockets.length, 2);
});

test('of the pages of one device one has the session, and the next takes over when it goes', async () => {
    const [world, other] = await twoPages();
    assert.deepEqual(other.phases, ['connecting', 'standby']);
    await world.socket.say(push(1));
    await world.client.close();
    await settle();
    assert.deepEqual((await other.greet()).position, at(1));
});

test('a page that stops lets another have the session, and stands by for it when it goes on', async () => {
    const [world, other] = await twoPages();
    await world.socket.say(['ERROR', { code: 3507 }]);
    assert.equal(world.state.phase, 'stopped');
    await other.live(0, { verdict: 2 });
    assert.equal(other.state.phase, 'live');
    world.client.setToken(token());
    await world.clock.pass(500);
    assert.equal(world.state.phase, 'standby');
});

test('where the browser refuses locks and its storage, each page has a session, and remembers while it lives', async () => {
    const refused = () => { throw new DOMException('a sandboxed frame', 'SecurityError'); };
    const world = new World();
    world.page.navigator.locks = { request: async () => refused() };
    Object.defineProperty(world.page, 'indexedDB', { get: refused });
    await world.start({ storage: undefined });
    await world.live();
    await world.socket.say(push(1));
    world.socket.end();
    await world.clock.pass(500);
    assert.deepEqual((await world.greet()).position, at(1));
});

test('a storage that fails in the middle is replaced by memory', async () => {
    const world = new World();
    const request = (outcome) => {
        const made = {};
        queueMicrotask(() => made[outcome]?.());
        return made;
    };
    let full = false;
    const transaction = () => Object.assign(request(full ? 'onabort' : 'oncomplete'), {
        error: new DOMException('no space', 'QuotaExceededError'),
        objectStore: () => ({ get: () => request('onsuccess'), put() {} }),
    });
    world.page.indexedDB = { open: () => Object.assign(request('onsuccess'), { result: { transaction } }) };
    await world.start({ storage: undefined });
    await world.live();
    full = true;
    await world.socket.say(push(1));
    await world.clock.pass(200);
    assert.deepEqual(world.socket.got().map(({ type }) => type), ['ACK']);
    assert.equal(world.state.phase, 'live');
});

test('close: what was begun is finished and acked, then goodbye, then nothing', async () => {
    const world = new World();
    let finish;
    await world.start({ onMessage: () => new Promise((resolve) => { finish = resolve; }) });
    await world.live();
    await world.socket.say(push(1), push(2));
    const closed = world.client.close({ signOut: true });
    await settle();
    assert.equal(world.socket.readyState, 1);
    finish();
    await closed;
    assert.deepEqual(world.socket.got().map(({ type, position, reason }) => [type, position?.seq ?? reason]),
        [['ACK', 1n], ['DISCONNECT', 1]]);
    assert.equal(world.client.phase, 'closed');
    assert.equal((await world.saved()).position.seq, '1');
    await world.clock.pass(86400000);
    assert.equal(world.sockets.length, 1);
});

test('close while there is no session ends the wait', async () => {
    const world = new World();
    await world.start();
    world.socket.end();
    await settle();
    assert.equal(world.state.phase, 'waiting');
    await world.client.close();
    await world.client.close();
    assert.equal(world.state.phase, 'closed');
});

test('options that are none', () => {
    const good = { servers: 'wss://a.example:7400', token: 'x', onMessage() {} };
    const world = new World();
    for (const wrong of [{ onMessage: undefined }, { token: undefined }, { servers: [] }, { servers: 'a.example:7400' },
        { servers: 'ftp://a.example' }, { servers: 'wss://a.example/path' }, { servers: ['wss://a.example', 'ws://b.example'] }])
        assert.throws(() => world.start({ ...good, ...wrong }), TypeError, JSON.stringify(wrong));
});

test('what the server must not do ends the connection', async () => {
    const connected = ['CONNECTED', { verdict: 1, position: at(0) }];
    for (const frames of [[push(1)], [['GOAWAY', { code: 3000 }]], [connected, connected], [connected, ['PING', { echo: 1n }]]]) {
        const world = new World();
        await world.start();
        await world.greet();
        await world.socket.say(...frames);
        assert.deepEqual([world.state.phase, world.state.code], ['waiting', 0]);
    }
});
