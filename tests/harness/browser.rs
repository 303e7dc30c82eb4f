//! A browser with the web phone, driven over lines of JSON: Chromium by `browser/driver.mjs` and Playwright, Firefox by
//! `browser/firefox.mjs` and WebDriver BiDi.

use super::network::at;
use super::ports::exclusive;
use super::process::Process;
use super::programs::{data_folder, pages, require};
use super::wait::seconds;
use super::{Context, Failure, Outcome, Scene};
use ringfort_relay::namespace::Host;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::{ChildStdout, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// One test has browsers at a time: those of two tests on two cores would measure each other.
const TURN: Duration = Duration::from_secs(600);
/// What is asked of the driver is done in this time, beside the time that the wish itself gives.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser. Each tab is a person with cookies of their own.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    answers: Receiver<String>,
    next: u64,
    _turn: Option<UnixListener>,
}

/// Which browser, and what drives it.
struct Kind {
    program: &'static str,
    driver: &'static str,
    package: &'static str,
}

const CHROMIUM: Kind = Kind { program: "chromium", driver: "driver.mjs", package: "playwright-core" };
const FIREFOX: Kind = Kind { program: "firefox-esr", driver: "firefox.mjs", package: "puppeteer-core" };

impl Browser {
    /// Starts Chromium.
    pub fn start(scene: &Scene) -> Outcome<Browser> {
        let turn = exclusive("the browser", TURN)?;
        Browser::driven(scene, &CHROMIUM, Some(turn))
    }

    /// Starts Chromium on a host of its own.
    pub fn start_on(host: &Host, scene: &Scene) -> Outcome<Browser> {
        // Taken here: another network has names of its own.
        let turn = exclusive("the browser", TURN)?;
        at(host, || Browser::driven(scene, &CHROMIUM, Some(turn)))
    }

    /// Starts Firefox on a host of its own.
    pub fn start_firefox_on(host: &Host, scene: &Scene) -> Outcome<Browser> {
        let turn = exclusive("the browser", TURN)?;
        at(host, || Browser::driven(scene, &FIREFOX, Some(turn)))
    }

    /// Starts Firefox beside this browser, for the same test.
    pub fn firefox(&self, scene: &Scene) -> Outcome<Browser> {
        Browser::driven(scene, &FIREFOX, None)
    }

    fn driven(scene: &Scene, kind: &Kind, turn: Option<UnixListener>) -> Outcome<Browser> {
        pages()?;
        let folder = data_folder().join("browser");
        if !folder.join("node_modules").join(kind.package).is_dir() {
            return Err(Failure::new(format!("{} is not installed: run `make setup-test`", kind.package)));
        }
        let mut command = Command::new(require("node")?);
        command.arg(folder.join(kind.driver)).arg(require(kind.program)?).arg(scene.folder());
        // Firefox wants a home that is its own.
        command.env("HOME", scene.folder());
        let log = scene.file(&format!("{}.log", kind.program));
        let mut process = Process::start_piped("the browser's driver", command, &log)?;
        let output = process.child().stdout.take().during("the driver has no output")?;
        let mut browser = Browser { process, answers: lines_of(output), next: 1, _turn: turn };
        browser.ask(json!({ "do": "start" }), seconds(30))?;
        Ok(browser)
    }

    /// One wish to the driver, and its answer.
    fn ask(&mut self, mut wish: Value, limit: Duration) -> Outcome<Value> {
        let id = self.next;
        self.next += 1;
        wish["id"] = id.into();
        wish["limit_ms"] = (limit.as_millis() as u64).into();
        let pipe = self.process.child().stdin.as_mut().during("the driver has no input")?;
        writeln!(pipe, "{wish}").during("writing to the driver")?;
        loop {
            let line = self.answers.recv_timeout(limit + PATIENCE);
            let line = line.map_err(|error| Failure::new(format!("the browser's driver says nothing to {wish}: {error}")))?;
            let answer: Value = serde_json::from_str(&line).during("the driver's answer")?;
            if answer["id"] != id {
                continue;
            }
            return match answer["error"].as_str() {
                Some(error) => Err(Failure::new(format!("browser: {wish}: {error}"))),
                None => Ok(answer["value"].clone()),
            };
        }
    }

    /// Opens the page in a new tab whose microphone is a tone of `hz`, signs in, and waits until the phone has registered.
    pub fn open_phone(&mut self, tab: &str, page: &str, user: &str, password: &str, hz: f64) -> Outcome<()> {
        self.open(tab, page, user, password, hz)?;
        self.await_state(tab, "phone-state", "registered", seconds(10))
    }

    /// Opens the page in a new tab and signs in.
    pub fn open_page(&mut self, tab: &str, page: &str, user: &str, password: &str) -> Outcome<()> {
        self.open(tab, page, user, password, 440.0)
    }

    fn open(&mut self, tab: &str, page: &str, user: &str, password: &str, hz: f64) -> Outcome<()> {
        self.ask(json!({ "do": "open", "tab": tab, "url": page, "hz": hz }), seconds(15))?;
        self.ask(json!({ "do": "sign-in", "tab": tab, "user": user, "password": password }), seconds(10)).map(drop)
    }

    /// Waits until something with this `data-testid` is to be seen.
    pub fn await_visible(&mut self, tab: &str, testid: &str, limit: Duration) -> Outcome<()> {
        self.ask(json!({ "do": "await-visible", "tab": tab, "testid": testid }), limit).map(drop)
    }

    /// Waits until this text is to be seen.
    pub fn await_text(&mut self, tab: &str, text: &str, limit: Duration) -> Outcome<()> {
        self.ask(json!({ "do": "await-text", "tab": tab, "text": text }), limit).map(drop)
    }

    /// Dials; the call goes on by itself.
    pub fn dial(&mut self, tab: &str, number: &str) -> Outcome<()> {
        self.ask(json!({ "do": "fill", "tab": tab, "testid": "dial-input", "text": number }), seconds(5))?;
        self.click(tab, "dial-call")
    }

    /// Opens a form in a call by `opener`, and sends it with this number: a second call, a transfer.
    pub fn direct(&mut self, tab: &str, opener: &str, number: &str) -> Outcome<()> {
        self.click(tab, opener)?;
        self.ask(json!({ "do": "fill", "tab": tab, "testid": "target-input", "text": number }), seconds(5))?;
        self.click(tab, "target-submit")
    }

    /// Clicks on what has this `data-testid`.
    pub fn click(&mut self, tab: &str, testid: &str) -> Outcome<()> {
        self.ask(json!({ "do": "click", "tab": tab, "testid": testid }), seconds(5)).map(drop)
    }

    /// Waits until `data-state` of what has this `data-testid` is `state`.
    pub fn await_state(&mut self, tab: &str, testid: &str, state: &str, limit: Duration) -> Outcome<()> {
        self.ask(json!({ "do": "await-state", "tab": tab, "testid": testid, "state": state }), limit).map(drop)
    }

    /// Waits for the call's state.
    pub fn await_call(&mut self, tab: &str, state: &str, limit: Duration) -> Outcome<()> {
        self.await_state(tab, "call-state", state, limit)
    }

    /// An attribute of what has this `data-testid`.
    pub fn attribute(&mut self, tab: &str, testid: &str, name: &str) -> Outcome<String> {
        let value = self.ask(json!({ "do": "attribute", "tab": tab, "testid": testid, "name": name }), seconds(5))?;
        Ok(value.as_str().unwrap_or_default().to_string())
    }

    /// Waits until the tab's speaker plays this tone.
    pub fn await_tone(&mut self, tab: &str, hz: f64, limit: Duration) -> Outcome<()> {
        self.ask(json!({ "do": "await-tone", "tab": tab, "hz": hz }), limit).map(drop)
    }

    /// Waits until the tab's speaker plays this tone among others.
    pub fn await_in_mix(&mut self, tab: &str, hz: f64, limit: Duration) -> Outcome<()> {
        self.ask(json!({ "do": "await-tone", "tab": tab, "hz": hz, "mixed": true }), limit).map(drop)
    }

    /// Runs a script in the page and returns what it returns.
    pub fn evaluate(&mut self, tab: &str, script: &str) -> Outcome<Value> {
        self.ask(json!({ "do": "evaluate", "tab": tab, "script": script }), seconds(10))
    }

    /// Runs a script before anything of the page, in tabs opened from now on.
    pub fn before_pages(&mut self, script: &str) -> Outcome<()> {
        self.ask(json!({ "do": "before-pages", "script": script }), seconds(5)).map(drop)
    }

    /// Closes a tab as a person does, so that the page may say goodbye.
    pub fn close(&mut self, tab: &str) -> Outcome<()> {
        self.ask(json!({ "do": "close", "tab": tab }), seconds(10)).map(drop)
    }

    /// Writes a picture of the tab into the scene's folder.
    pub fn screenshot(&mut self, tab: &str, name: &str) -> Outcome<()> {
        self.ask(json!({ "do": "screenshot", "tab": tab, "name": name }), seconds(10)).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its driver, but is given the chance to do so properly.
        let _ = self.ask(json!({ "do": "quit" }), seconds(3));
        let _ = self.process.await_exit(seconds(2));
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    // The thread ends with the pipe.
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    receiver
}
