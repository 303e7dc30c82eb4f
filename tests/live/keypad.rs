//! Keys of the web phone's keypad, as other phones are told them: by telephone events, by INFO, or as tones. Chromium presses.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Outcome, Scene, play};

/// What is pressed: all keys, and one twice.
const KEYS: &str = "12345678900*#";
/// How long the page presses each, ms.
const KEY_MS: u32 = 160;
/// Both are in packets of this length, ms.
const PACKET_MS: u32 = 20;
/// All of them, with their gaps and a busy machine.
const LIMIT: std::time::Duration = seconds(15);

const WITH_INFO: &str = "Allow: INVITE, ACK, BYE, CANCEL, INFO\r\n";
const WITHOUT_INFO: &str = "Allow: INVITE, ACK, BYE, CANCEL\r\n";

/// Ada's browser in a call with a desk phone.
struct Call {
    node: Node,
    browser: Browser,
    desk: SipClient,
    audio: TonePeer,
}

impl Call {
    /// The desk phone answers with these header lines, and with telephone events or without.
    fn connect(scene: &Scene, more: &str, events: bool) -> Outcome<Call> {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut desk = SipClient::new(Wire::tcp(Node::at(node.site().tcp))?, "102", &password_of("102"), DOMAIN);
        ensure!(desk.register(300)?.status() == Some(200), "102 registers");
        let audio = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.dial("ada", "102")?;
        let sdp = plain_sdp(audio.port(), "sendrecv");
        desk.accept_with(more, seconds(10), |_| Ok(if events { sdp } else { without_events(&sdp) }))?;
        browser.await_tone("ada", 1_000.0, seconds(10))?;
        audio.await_tone(440.0, seconds(10))?;
        Ok(Call { node, browser, desk, audio })
    }

    fn press(&mut self) -> Outcome<()> {
        KEYS.chars().try_for_each(|key| self.browser.click("ada", &format!("keypad-{key}")))
    }

    /// Both hear each other as before, and nothing is left behind.
    fn end(mut self) -> Outcome<()> {
        self.audio.await_tone(440.0, seconds(10))?;
        self.browser.await_tone("ada", 1_000.0, seconds(10))?;
        self.browser.click("ada", "hangup")?;
        self.browser.await_call("ada", "ended", seconds(5))?;
        self.node.await_metric("ringfort_calls", 0.0, seconds(5))
    }
}

fn without_events(sdp: &str) -> String {
    let lines = sdp.lines().filter(|line| !line.contains(":101 "));
    lines.map(|line| line.strip_suffix(" 101").unwrap_or(line).to_string() + "\r\n").collect()
}

/// Keys told so far, until they are as many as were pressed; then they are those, each as long as it was pressed.
fn judge(told: impl Fn() -> Vec<(char, u32)>) -> Outcome<()> {
    let all = await_until("all keys", LIMIT, || Ok(Some(told()).filter(|keys| keys.len() >= KEYS.len())));
    let keys = all.unwrap_or_else(|_| told());
    println!("keys and their lengths, ms: {keys:?}");
    ensure!(keys.iter().map(|(key, _)| *key).eq(KEYS.chars()), "pressed {KEYS}, told {keys:?}");
    let right = |ms: u32| ms.abs_diff(KEY_MS) <= PACKET_MS;
    ensure!(keys.iter().all(|(_, ms)| right(*ms)), "keys were pressed for {KEY_MS} ms, and told as {keys:?}");
    Ok(())
}

#[test]
fn keys_come_as_telephone_events() -> Outcome<()> {
    play("keypad-events", |scene| {
        let mut call = Call::connect(scene, WITH_INFO, true)?;
        call.press()?;
        judge(|| call.audio.events())?;
        ensure!(call.audio.tones().is_empty(), "keys came as tones, too: {:?}", call.audio.tones());
        call.end()
    })
}

#[test]
fn keys_come_by_info() -> Outcome<()> {
    play("keypad-info", |scene| {
        let mut call = Call::connect(scene, WITH_INFO, false)?;
        call.press()?;
        let mut told = Vec::new();
        for _ in KEYS.chars() {
            let info = call.desk.await_request("INFO", LIMIT)?;
            call.desk.wire().send(info.reply("200 OK", "", "", "").as_bytes())?;
            let value = |name: &str| info.body.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            told.push((value("Signal=").chars().next().unwrap_or('?'), value("Duration=").parse().unwrap_or_default()));
        }
        judge(|| told.clone())?;
        ensure!(call.audio.keys().is_empty() && call.audio.tones().is_empty(), "keys came in two ways");
        call.end()
    })
}

#[test]
fn keys_come_as_tones() -> Outcome<()> {
    play("keypad-tones", |scene| {
        let mut call = Call::connect(scene, WITHOUT_INFO, false)?;
        call.press()?;
        judge(|| call.audio.tones())?;
        ensure!(call.audio.keys().is_empty(), "keys came as events, too: {}", call.audio.keys());
        call.end()
    })
}
