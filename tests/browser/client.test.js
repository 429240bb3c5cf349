/* The browser client in Chromium, against a real petreld. */

import assert from 'node:assert/strict';
import test, { after } from 'node:test';

import { chromium } from 'playwright-core';

import { LIMIT_MS, Petreld, servePage } from './server.js';

const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/* One browser for all, a server and a profile for each. */
const browser = await chromium.launch({
    executablePath: process.env.PETREL_CHROMIUM ?? '/usr/bin/chromium',
    timeout: LIMIT_MS,
    args: ['--disable-dev-shm-usage'],
});
const files = await servePage();
after(async () => {
    await browser.close();
    await files.close();
});

class Rig {
    constructor(petreld, context, token) {
        Object.assign(this, { petreld, context, token });
    }

    async open(options = {}) {
        const page = await this.context.newPage();
        page.setDefaultTimeout(LIMIT_MS);
        await page.goto(files.url);
        await page.waitForFunction(() => window.ready);
        await page.evaluate((given) => window.start(given), { servers: this.petreld.url, app: 'shop', token: this.token, ...options });
        return page;
    }

    async send(...list) {
        for (const n of list)
            await this.petreld.post('/v1/apps/shop/messages', { to: { user: 'ann' }, data: { n } });
    }
}

const live = (page) => page.waitForFunction(() => window.petrel.phase === 'live');

/* Waits until the page has so many messages; they are these, in order. */
async function received(page, list) {
    await page.waitForFunction((count) => window.seen.messages.length >= count, list.length);
    assert.deepEqual(await page.evaluate(() => window.seen.messages.map(({ n }) => n)), list);
}

function scene(name, play) {
    test(name, { timeout: 5 * LIMIT_MS }, async () => {
        const petreld = new Petreld();
        const context = await browser.newContext();
        try {
            await petreld.start();
            await petreld.makeApp('shop');
            const { token } = await petreld.post('/v1/apps/shop/users/ann/devices', { device: 'tab' });
            await play(new Rig(petreld, context, token));
        } finally {
            await context.close();
            await petreld.remove();
        }
    });
}

scene('receives, live and in order; a page that is loaded again goes on where it was', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.send(...numbers(1, 5));
    await received(page, numbers(1, 5));
    await page.close({ runBeforeUnload: false });
    await rig.send(...numbers(6, 30));
    const again = await rig.open();
    await received(again, numbers(6, 30));
    assert.deepEqual(await again.evaluate(() => window.seen.gaps), []);
});

scene('offline, and what it missed', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.send(1);
    await received(page, [1]);
    await rig.context.setOffline(true);
    await page.waitForFunction(() => window.petrel.phase === 'offline');
    await rig.send(2, 3, 4);
    assert.deepEqual(await page.evaluate(() => window.seen.messages.length), 1);
    await rig.context.setOffline(false);
    await received(page, numbers(1, 4));
    await live(page);
});

scene('the server is killed and comes back: nothing is lost, nothing comes twice', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.send(1, 2);
    await received(page, [1, 2]);
    await rig.petreld.end('SIGKILL');
    await page.waitForFunction(() => window.petrel.phase === 'waiting');
    await rig.petreld.start();
    await rig.send(3, 4);
    await received(page, numbers(1, 4));
});

scene('the server is restarted in order', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.send(1);
    await received(page, [1]);
    assert.equal(await rig.petreld.end('SIGTERM'), 0);
    await rig.petreld.start();
    await rig.send(2);
    await received(page, [1, 2]);
    assert.deepEqual(await page.evaluate(() => window.seen.gaps), []);
});

scene('of two pages one has the session; when it goes the other goes on', async (rig) => {
    const first = await rig.open();
    await live(first);
    const second = await rig.open();
    await second.waitForFunction(() => window.petrel.phase === 'standby');
    await rig.send(1);
    await received(first, [1]);
    await first.evaluate(() => window.petrel.close());
    await live(second);
    await rig.send(2);
    await received(second, [2]);
    assert.deepEqual(await first.evaluate(() => window.seen.messages.length), 1);
});

scene('topics: subscribes, and catches up', async (rig) => {
    const page = await rig.open();
    await live(page);
    await page.evaluate(() => window.petrel.subscribe('news'));
    await rig.petreld.post('/v1/apps/shop/messages', { to: { topic: 'news' }, data: { n: 1 } });
    await received(page, [1]);
    await page.evaluate(() => window.petrel.suspend());
    await page.waitForFunction(() => window.petrel.phase === 'suspended');
    await rig.petreld.post('/v1/apps/shop/messages', { to: { topic: 'news' }, data: { n: 2 } });
    await page.evaluate(() => window.petrel.resume());
    await received(page, [1, 2]);
});

scene('revoked: stops, and says why', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.ctl('device', 'revoke', 'shop', 'ann', 'tab', '--yes');
    await page.waitForFunction(() => window.petrel.phase === 'stopped');
});

scene("the quickstart's page: its device, a push, what it missed", async (rig) => {
    const page = await rig.context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    await page.goto(`${files.url}index.html#${new URLSearchParams({ server: rig.petreld.url, token: rig.token })}`);
    await page.waitForSelector('#phase[data-phase=live]');
    assert.equal(await page.textContent('#device'), 'tab of ann, app shop');
    await rig.send(1);
    await page.waitForSelector('li:has-text(\'{"n":1}\')');
    await page.click('#toggle');
    await page.waitForSelector('#phase[data-phase=suspended]');
    await rig.send(2, 3);
    await page.click('text=Go online');
    await page.waitForSelector('li.missed:has-text(\'{"n":3}\')');
    assert.equal(await page.textContent('#missed'), '2 missed while offline');
    assert.equal(await page.locator('li').count(), 3);
});
