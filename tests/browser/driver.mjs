// Drives Chromium for the live tests, by Playwright.
// usage: node driver.mjs CHROMIUM FOLDER

import { chromium } from "playwright-core";
import { join } from "node:path";
import { note, pageScript, serve } from "./serve.mjs";

const [executablePath, folder] = process.argv.slice(2);

// Chromium must say nothing to the world, take the loopback interface for a network, and ask nobody for anything.
const ARGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-default-apps",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--allow-loopback-in-peer-connection",
  "--autoplay-policy=no-user-gesture-required",
  "--ignore-certificate-errors",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 10.*",
  "--no-proxy-server",
  "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,AutofillServerCommunication," +
    "CertificateTransparencyComponentUpdater,WebRtcHideLocalIpsWithMdns",
];

let browser = null;
const tabs = new Map();
const scripts = [];

function tabOf({ tab }) {
  const page = tabs.get(tab);
  if (page === undefined) throw new Error(`no tab is called ${tab}`);
  return page;
}

function element(wish) {
  return tabOf(wish).getByTestId(wish.testid);
}

const acts = {
  async start() {
    browser = await chromium.launch({ executablePath, headless: true, ignoreDefaultArgs: ["--disable-features"], args: ARGS });
    return browser.version();
  },

  async open({ tab, url, hz, limit_ms }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-GB", viewport: { width: 1100, height: 800 } });
    await context.grantPermissions(["microphone"], { origin: new URL(url).origin });
    const page = await context.newPage();
    page.on("console", (message) => note(`${tab}: ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => note(`${tab}: ${error.stack}`));
    await page.addInitScript(pageScript);
    await page.addInitScript(`window.ringfortTest.setMicrophone(${Number(hz)})`);
    for (const script of scripts) await page.addInitScript(script);
    await page.goto(url, { timeout: limit_ms });
    tabs.set(tab, page);
  },

  "before-pages"({ script }) {
    scripts.push(script);
  },

  async "sign-in"({ tab, user, password, limit_ms }) {
    const page = tabOf({ tab });
    await page.getByTestId("signin-user").fill(user, { timeout: limit_ms });
    await page.getByTestId("signin-password").fill(password);
    await page.getByTestId("signin-submit").click();
    await page.getByTestId("signin-submit").waitFor({ state: "detached", timeout: limit_ms });
  },

  async "await-visible"(wish) {
    await element(wish).first().waitFor({ timeout: wish.limit_ms });
  },

  async "await-text"(wish) {
    await tabOf(wish).getByText(wish.text).first().waitFor({ timeout: wish.limit_ms });
  },

  async fill(wish) {
    await element(wish).fill(wish.text, { timeout: wish.limit_ms });
  },

  async click(wish) {
    await element(wish).click({ timeout: wish.limit_ms });
  },

  async "await-state"(wish) {
    const { testid, state, limit_ms } = wish;
    const now = () => element(wish).getAttribute("data-state", { timeout: 1000 });
    try {
      await tabOf(wish).locator(`[data-testid="${testid}"][data-state="${state}"]`).waitFor({ state: "attached", timeout: limit_ms });
    } catch {
      const cause = await element(wish).getAttribute("data-cause", { timeout: 1000 }).catch(() => null);
      throw new Error(`${testid} is ${await now().catch(() => "not there")} (${cause ?? "no cause"}) instead of ${state}`);
    }
  },

  async attribute(wish) {
    return await element(wish).getAttribute(wish.name, { timeout: wish.limit_ms });
  },

  async "await-tone"(wish) {
    const page = tabOf(wish);
    try {
      const options = { timeout: wish.limit_ms, polling: 50 };
      const heard = ({ hz, mixed }) => (mixed ? window.ringfortTest.hearsAmong(hz) : window.ringfortTest.hears(hz));
      await page.waitForFunction(heard, { hz: wish.hz, mixed: wish.mixed === true }, options);
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
    page.on("dialog", (dialog) => void dialog.accept());
    tabs.delete(wish.tab);
    await page.close({ runBeforeUnload: true });
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
