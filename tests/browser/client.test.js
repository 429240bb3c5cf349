/* The browser client in Chromium, against a real petreld: each scene by ws: from a page of http:, and by wss: from one of https:. */

import assert from 'node:assert/strict';
import test, { after } from 'node:test';

import { chromium } from 'playwright-core';

import { LIMIT_MS, Petreld, makeCertificate, makeFolder, removeFolder, until } from './server.js';
import { servePages } from './site.js';
import { CHROMIUM, FLAGS, Tabs } from './tabs.js';

const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

const folder = await makeFolder();
const certificate = await makeCertificate(folder);
const trust = `--ignore-certificate-errors-spki-list=${certificate.spki}`;
/* One browser for all, a server and a profile for each. */
const browser = await chromium.launch({ executablePath: CHROMIUM, timeout: LIMIT_MS, args: [...FLAGS, trust] });
const WAYS = [
    { name: 'ws', pages: await servePages() },
    { name: 'wss', pages: await servePages(certificate), certificate },
];
after(async () => {
    await browser.close();
    for (const { pages } of WAYS)
        await pages.close();
    await removeFolder(folder);
});

class Rig {
    constructor(pages, petreld, context, token) {
        Object.assign(this, { pages, petreld, context, token });
    }

    get options() {
        return { servers: this.petreld.url, app: 'shop', token: this.token };
    }

    async page(url = this.pages.url) {
        const page = await this.context.newPage();
        page.setDefaultTimeout(LIMIT_MS);
        await page.goto(url);
        return page;
    }

    /** A page, or a frame in one, in which the client has been started. */
    async start(page) {
        await page.waitForFunction(() => window.ready);
        await page.evaluate((options) => window.start(options), this.options);
        return page;
    }

    async open() {
        return this.start(await this.page());
    }
}

const phase = (page, name) => page.waitForFunction((wanted) => window.petrel.phase === wanted, name);
const live = (page) => phase(page, 'live');
const seen = (page) => page.evaluate(() => window.seen);

/* Waits until the page has so many messages; they are these, in order. */
async function received(page, list) {
    await page.waitForFunction((count) => window.seen.messages.length >= count, list.length);
    assert.deepEqual((await seen(page)).messages, list);
}

function scene(name, play) {
    for (const way of WAYS) {
        test(`${way.name}: ${name}`, { timeout: 5 * LIMIT_MS }, async () => {
            const petreld = new Petreld({ certificate: way.certificate });
            const context = await browser.newContext();
            try {
                await petreld.start();
                await play(new Rig(way.pages, petreld, context, await petreld.enrol('tab')));
            } finally {
                await context.close();
                await petreld.remove();
            }
        });
    }
}

scene('receives, live and in order; a page that is loaded again goes on where it was', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.send(...numbers(1, 5));
    await received(page, numbers(1, 5));
    await page.close();
    await rig.petreld.send(...numbers(6, 30));
    const again = await rig.open();
    await received(again, numbers(6, 30));
    assert.deepEqual((await seen(again)).gaps, []);
});

scene('offline, and what it missed', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.send(1);
    await received(page, [1]);
    await rig.context.setOffline(true);
    await phase(page, 'offline');
    await rig.petreld.send(2, 3, 4);
    assert.deepEqual((await seen(page)).messages, [1]);
    await rig.context.setOffline(false);
    await received(page, numbers(1, 4));
    await live(page);
});

scene('the server is killed and comes back: nothing is lost, nothing comes twice', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.send(1, 2);
    await received(page, [1, 2]);
    await rig.petreld.end('SIGKILL');
    await phase(page, 'waiting');
    await rig.petreld.start();
    await rig.petreld.send(3, 4);
    await received(page, numbers(1, 4));
});

scene('the server is restarted in order', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.send(1);
    await received(page, [1]);
    assert.equal(await rig.petreld.end('SIGTERM'), 0);
    await rig.petreld.start();
    await rig.petreld.send(2);
    await received(page, [1, 2]);
    assert.deepEqual((await seen(page)).gaps, []);
});

scene('of two pages one has the session; when it goes the other goes on', async (rig) => {
    const first = await rig.open();
    await live(first);
    const second = await rig.open();
    await phase(second, 'standby');
    await rig.petreld.send(1);
    await received(first, [1]);
    await first.evaluate(() => window.petrel.close());
    await live(second);
    await rig.petreld.send(2);
    await received(second, [2]);
    assert.deepEqual((await seen(first)).messages, [1]);
});

scene('of two pages in a browser without locks the newer has the session, the older is told', async (rig) => {
    await rig.context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }));
    const first = await rig.open();
    await live(first);
    const second = await rig.open();
    await live(second);
    await phase(first, 'stopped');
    const { code, text } = (await seen(first)).states.at(-1);
    assert.deepEqual([code, text], [3508, 'a newer session of this device took over']);
    await rig.petreld.send(1);
    await received(second, [1]);
});

scene('a frame that the browser refuses storage and locks works from memory', async (rig) => {
    const page = await rig.page();
    await page.evaluate(() => {
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';
        frame.src = location.href;
        document.body.append(frame);
    });
    await page.waitForSelector('iframe');
    const frame = await (await page.$('iframe')).contentFrame();
    await rig.start(frame);
    await live(frame);
    assert.equal(await frame.evaluate(() => new Promise((resolve) => {
        try {
            indexedDB.open('petrel').onsuccess = () => resolve('opened');
        } catch (error) {
            resolve(error.name);
        }
    })), 'SecurityError');
    await rig.petreld.send(1, 2);
    await received(frame, [1, 2]);
    await rig.petreld.end('SIGKILL');
    await phase(frame, 'waiting');
    await rig.petreld.start();
    await rig.petreld.send(3);
    await received(frame, [1, 2, 3]);
    assert.equal((await seen(frame)).states.at(-1).verdict, 2); // resumed
});

scene('topics: subscribes, and catches up', async (rig) => {
    const toNews = (n) => rig.petreld.post('/v1/apps/shop/messages', { to: { topic: 'news' }, data: { n } });
    const page = await rig.open();
    await live(page);
    await page.evaluate(() => window.petrel.subscribe('news'));
    await toNews(1);
    await received(page, [1]);
    await page.evaluate(() => window.petrel.suspend());
    await phase(page, 'suspended');
    await toNews(2);
    await page.evaluate(() => window.petrel.resume());
    await received(page, [1, 2]);
});

scene('revoked: stops, and says why', async (rig) => {
    const page = await rig.open();
    await live(page);
    await rig.petreld.ctl('device', 'revoke', 'shop', 'ann', 'tab', '--yes');
    await phase(page, 'stopped');
    assert.equal((await seen(page)).states.at(-1).code, 3507);
});

scene("the quickstart's page: its device, a push, what it missed", async (rig) => {
    const page = await rig.page(`${rig.pages.url}index.html#${new URLSearchParams({ server: rig.petreld.url, token: rig.token })}`);
    await page.waitForSelector('#phase[data-phase=live]');
    assert.equal(await page.textContent('#device'), 'tab of ann, app shop');
    await rig.petreld.send(1);
    await page.waitForSelector('li:has-text(\'{"n":1}\')');
    await page.click('text=Go offline');
    await page.waitForSelector('#phase[data-phase=suspended]');
    await rig.petreld.send(2, 3);
    await page.click('text=Go online');
    await page.waitForSelector('li.missed:has-text(\'{"n":3}\')');
    assert.equal(await page.textContent('#missed'), '2 missed while away');
    assert.equal(await page.locator('li').count(), 3);
    await rig.petreld.ctl('device', 'revoke', 'shop', 'ann', 'tab', '--yes');
    await page.waitForSelector('#phase[data-phase=stopped]');
    assert.match(await page.textContent('#reason'), /^3507: /);
    const bare = await rig.page(`${rig.pages.url}index.html`);
    assert.match(await bare.textContent('#reason'), /address that deploy\/quickstart prints/);
});

for (const way of WAYS) {
    test(`${way.name}: a hidden tab receives; a frozen one is away, and has what it missed when it is seen again`, { timeout: 5 * LIMIT_MS },
        async () => {
            const petreld = new Petreld({ certificate: way.certificate });
            const tabs = new Tabs();
            try {
                await petreld.start();
                const options = { servers: petreld.url, app: 'shop', token: await petreld.enrol('tab') };
                await tabs.open(trust);
                const tab = await tabs.tab(way.pages.url);
                await tab.until('window.ready');
                await tab.evaluate(`start(${JSON.stringify(options)})`);
                await tab.until('petrel.phase === "live"');
                await tabs.tab('about:blank');
                await tab.until('document.visibilityState === "hidden"');
                await petreld.send(1, 2);
                await tab.until('seen.messages.length === 2');
                await tab.setLifecycle('frozen');
                await until(async () => !(await petreld.ctl('sessions', 'list')).includes('tab'), 'end of the session');
                await petreld.send(3);
                await tab.setLifecycle('active');
                await tab.toFront();
                await tab.until('seen.messages.length === 3');
                assert.deepEqual(await tab.evaluate('seen.messages'), [1, 2, 3]);
                assert.deepEqual(await tab.evaluate('seen.states.map(({ phase }) => phase)'),
                    ['connecting', 'live', 'suspended', 'connecting', 'live']);
            } finally {
                await tabs.close();
                await petreld.remove();
            }
        });
}
