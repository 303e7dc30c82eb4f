// Drives Firefox for the live tests, by WebDriver BiDi.
// usage: node firefox.mjs FIREFOX FOLDER

import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { note, pageScript, serve } from "./serve.mjs";

const [executablePath, folder] = process.argv.slice(2);

// Firefox must say nothing to the world, take the loopback interface for a network, and need no sound device.
const PREFERENCES = {
  "media.cubeb.force_mock_context": true,
  "media.autoplay.default": 0,
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.navigator.permission.disabled": true,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "network.proxy.type": 0,
  "dom.disable_beforeunload": true,
};

let browser = null;
const tabs = new Map();

function tabOf({ tab }) {
  const page = tabs.get(tab);
  if (page === undefined) throw new Error(`no tab is called ${tab}`);
  return page;
}

const by = (testid) => `[data-testid="${testid}"]`;
const shown = (wish) => tabOf(wish).waitForSelector(by(wish.testid), { visible: true, timeout: wish.limit_ms });

const acts = {
  async start() {
    browser = await puppeteer.launch({
      browser: "firefox",
      executablePath,
      headless: true,
      acceptInsecureCerts: true,
      extraPrefsFirefox: PREFERENCES,
    });
    return browser.version();
  },

  async open({ tab, url, hz, limit_ms }) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    page.on("console", (message) => note(`${tab}: ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => note(`${tab}: ${error.stack}`));
    await page.evaluateOnNewDocument(`${pageScript}; window.ringfortTest.setMicrophone(${Number(hz)})`);
    await page.goto(url, { timeout: limit_ms });
    tabs.set(tab, page);
  },

  async "sign-in"(wish) {
    const page = tabOf(wish);
    await (await shown({ ...wish, testid: "signin-user" })).type(wish.user);
    await (await page.$(by("signin-password"))).type(wish.password);
    await (await page.$(by("signin-submit"))).click();
    await page.waitForSelector(by("signin-submit"), { hidden: true, timeout: wish.limit_ms });
  },

  async "await-visible"(wish) {
    await shown(wish);
  },

  async fill(wish) {
    await (await shown(wish)).type(wish.text);
  },

  async click(wish) {
    await (await shown(wish)).click();
  },

  async "await-state"(wish) {
    const { testid, state, limit_ms } = wish;
    try {
      await tabOf(wish).waitForSelector(`${by(testid)}[data-state="${state}"]`, { timeout: limit_ms });
    } catch {
      const told = await tabOf(wish).evaluate((selector) => ({ ...document.querySelector(selector)?.dataset }), by(testid));
      throw new Error(`${testid} is ${JSON.stringify(told)} instead of ${state}`);
    }
  },

  async "await-tone"(wish) {
    const page = tabOf(wish);
    try {
      await page.waitForFunction((hz) => window.ringfortTest.hears(hz), { timeout: wish.limit_ms, polling: 50 }, wish.hz);
    } catch {
      const heard = await page.evaluate(() => window.ringfortTest.heard());
      throw new Error(`hears ${JSON.stringify(heard)} instead of ${wish.hz} Hz`);
    }
  },

  async evaluate(wish) {
    return (await tabOf(wish).evaluate(wish.script)) ?? null;
  },

  async close(wish) {
    const page = tabOf(wish);
    tabs.delete(wish.tab);
    await page.close();
  },

  async screenshot(wish) {
    await tabOf(wish).screenshot({ path: join(folder, `${wish.name}.png`) });
  },

  async quit() {
    await browser?.close();
  },
};

await serve(acts);
await browser?.close();
process.exit(0);
