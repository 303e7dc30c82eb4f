//! Chromium and Firefox: each with its own ICE, DTLS and offers.

use ringfort_tests::ensure;
use ringfort_tests::harness::baresip::wav;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::firewall::Firewall;
use ringfort_tests::harness::interface::{self, DefaultRoute};
use ringfort_tests::harness::mirror::{Mirror, camera_sdp};
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::sip_message::{SipMessage, audio_host};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};
use std::net::SocketAddr;
use std::time::Duration;

const MUSIC_HZ: f64 = 700.0;

/// Chromium, beside the interface that other tests of this process need: every test meets the same network, whichever ran first.
fn chromium(scene: &Scene) -> Outcome<Browser> {
    interface::raise()?;
    Browser::start(scene)
}

#[test]
fn chromium_and_firefox_call_each_other() -> Outcome<()> {
    play("interop-browsers", |scene| {
        let file = scene.file("music.wav");
        std::fs::write(&file, wav(MUSIC_HZ, 8_000, 1)).during(file.display())?;
        let music =
            format!("[services]\nmusic_on_hold = \"music\"\n[[sound]]\nname = \"music\"\nfile = \"{}\"\n", file.display());
        let site = Site::new(scene)?.media_at(interface::ADDRESS).account("101").account("102").section(&music);
        let node = Node::start(scene, site)?;
        let admin = node.admin()?;
        let mut chromium = chromium(scene)?;
        // Firefox does not look from an address of the network into loopback. The route is there in this test's turn only.
        let _route = DefaultRoute::raise()?;
        let mut firefox = chromium.firefox(scene)?;
        chromium.open_phone("101", &node.page(), "101", &password_of("101"), 440.0)?;
        firefox.open_phone("102", &node.page(), "102", &password_of("102"), 1_000.0)?;
        let mut sides = [(&mut chromium, "101", 1_000.0), (&mut firefox, "102", 440.0)];
        for _ in 0..2 {
            let [(caller, from, hears), (callee, to, other)] = &mut sides;
            caller.dial(from, to)?;
            callee.click(to, "answer")?;
            caller.await_call(from, "connected", seconds(10))?;
            caller.await_tone(from, *hears, seconds(10))?;
            callee.await_tone(to, *other, seconds(10))?;
            let call = admin.json("/api/v1/status")?["calls"][0].to_string();
            ensure!(call.matches("dtls-srtp").count() == 2, "not both legs are secured: {call}");
            // Each browser is held by the other one, hears music, and then the other one again.
            caller.click(from, "hold")?;
            callee.await_tone(to, MUSIC_HZ, seconds(10))?;
            caller.click(from, "hold")?;
            callee.await_tone(to, *other, seconds(10))?;
            caller.await_tone(from, *hears, seconds(10))?;
            // He hangs up who was called.
            callee.click(to, "hangup")?;
            caller.await_call(from, "ended", seconds(5))?;
            node.await_metric("ringfort_calls", 0.0, seconds(5))?;
            sides.reverse();
        }
        Ok(())
    })
}

/// Chromium checks from each of its addresses and settles on one after a while, which need not be the one it began with.
#[test]
fn a_browser_with_two_addresses_is_heard_wherever_it_sends_from() -> Outcome<()> {
    play("interop-two-addresses", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut chromium = chromium(scene)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        chromium.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        for _ in 0..3 {
            chromium.dial("ada", "102")?;
            chromium.click("grace", "answer")?;
            chromium.await_tone("grace", 440.0, seconds(8))?;
            chromium.click("ada", "hold")?;
            chromium.await_call("ada", "held", seconds(5))?;
            chromium.click("ada", "hold")?;
            chromium.await_call("ada", "connected", seconds(5))?;
            chromium.await_tone("grace", 440.0, seconds(5))?;
            chromium.await_tone("ada", 1_000.0, seconds(5))?;
            chromium.click("ada", "hangup")?;
            chromium.await_call("grace", "ended", seconds(3))?;
        }
        Ok(())
    })
}

/// Ports of the browser's own candidates, and its user name fragment, which changes when ICE begins anew.
const PATH: &str = "(async () => {
    const connection = window.ringfortPhone.peerConnection();
    const stats = [...(await connection.getStats()).values()];
    const ports = stats.filter(({ type }) => type === 'local-candidate').map(({ port }) => port);
    const ufrag = /a=ice-ufrag:(.*)/.exec(connection.localDescription.sdp)[1].trim();
    return { ports, ufrag, state: connection.iceConnectionState };
})()";

/// Every socket of the browser is cut off in the middle of a call, as when it leaves its network: it begins ICE anew by itself, and both
/// hear each other again in the same call.
#[test]
fn a_browser_that_changes_its_network_goes_on() -> Outcome<()> {
    play("interop-network-change", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut chromium = chromium(scene)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        chromium.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        chromium.dial("ada", "102")?;
        chromium.click("grace", "answer")?;
        chromium.await_tone("grace", 440.0, seconds(8))?;
        let before = chromium.evaluate("ada", PATH)?;
        let ports: Vec<u16> =
            before["ports"].as_array().into_iter().flatten().filter_map(|p| p.as_u64()?.try_into().ok()).collect();
        ensure!(!ports.is_empty(), "the browser shows no candidates: {before}");
        let _gone = Firewall::cut(&ports)?;
        await_until("ICE of the browser begins anew", seconds(25), || {
            let now = chromium.evaluate("ada", PATH)?;
            Ok((now["ufrag"] != before["ufrag"] && now["state"] != "disconnected").then_some(()))
        })?;
        chromium.await_tone("ada", 1_000.0, seconds(10))?;
        chromium.await_tone("grace", 440.0, seconds(5))?;
        let admin = node.admin()?;
        let status = admin.json("/api/v1/status")?;
        ensure!(status["calls"].as_array().map(Vec::len) == Some(1), "it is another call: {}", status["calls"]);
        chromium.click("grace", "hangup")?;
        chromium.await_call("ada", "ended", seconds(5))
    })
}

/// The page does not hear that its path broke, as a browser's page of another maker may not.
const DEAF: &str = "{
    const original = EventTarget.prototype.addEventListener;
    RTCPeerConnection.prototype.addEventListener = function (type, ...rest) {
        if (type !== 'iceconnectionstatechange') original.call(this, type, ...rest);
    };
}";

/// Every socket of the browser is cut off, and its page does nothing about it: the node asks it to begin ICE anew, and the call goes on.
#[test]
fn the_node_has_a_silent_browser_begin_ice_anew() -> Outcome<()> {
    play("interop-node-restarts-ice", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut chromium = chromium(scene)?;
        chromium.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        chromium.before_pages(DEAF)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        chromium.dial("ada", "102")?;
        chromium.click("grace", "answer")?;
        chromium.await_tone("grace", 440.0, seconds(10))?;
        let before = chromium.evaluate("ada", PATH)?;
        let ports: Vec<u16> =
            before["ports"].as_array().into_iter().flatten().filter_map(|p| p.as_u64()?.try_into().ok()).collect();
        ensure!(!ports.is_empty(), "the browser shows no candidates: {before}");
        let _gone = Firewall::cut(&ports)?;
        await_until("the node asks the browser to begin anew", seconds(60), || {
            Ok((chromium.evaluate("ada", PATH)?["ufrag"] != before["ufrag"]).then_some(()))
        })?;
        chromium.await_tone("ada", 1_000.0, seconds(20))?;
        chromium.await_tone("grace", 440.0, seconds(20))?;
        node.await_metric("ringfort_calls", 1.0, seconds(10))?;
        chromium.click("grace", "hangup")?;
        chromium.await_call("ada", "ended", seconds(10))
    })
}

/// How long after each call's answer its first packet of audio came.
const STOPWATCH: &str = "{
    window.heardAfterMs = [];
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
        if (description.type === 'answer' && !this.answeredAt) {
            this.answeredAt = performance.now();
            const look = async () => {
                const stats = [...(await this.getStats()).values()];
                const heard = stats.some(({ type, packetsReceived }) => type === 'inbound-rtp' && packetsReceived > 0);
                if (heard) window.heardAfterMs.push(performance.now() - this.answeredAt);
                else setTimeout(look, 5);
            };
            void look();
        }
        return original.call(this, description);
    };
}";

/// From the answer to the first packet that comes back from the echo service, by the browser's clock; the median of the calls.
#[test]
fn the_first_audio_comes_soon_after_the_answer() -> Outcome<()> {
    play("interop-first-audio", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let mut chromium = chromium(scene)?;
        chromium.before_pages(STOPWATCH)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        for _ in 0..7 {
            chromium.dial("ada", "*43")?;
            chromium.await_tone("ada", 440.0, seconds(8))?;
            chromium.click("ada", "hangup")?;
            chromium.await_call("ada", "ended", seconds(5))?;
            node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        }
        let times = chromium.evaluate("ada", "window.heardAfterMs")?;
        let mut times: Vec<f64> = times.as_array().into_iter().flatten().filter_map(|ms| ms.as_f64()).collect();
        times.sort_unstable_by(f64::total_cmp);
        println!("first audio {times:.0?} ms after the answers");
        ensure!(times.len() == 7 && times[3] <= 200.0, "the first audio came {times:?} ms after the answers");
        Ok(())
    })
}

/// A moving picture beside the tone: the page's own phone knows audio only, and its policy lets no camera in.
const CAMERA: &str = "{
    const devices = navigator.mediaDevices;
    const sound = devices.getUserMedia;
    devices.getUserMedia = async (wanted) => {
        const stream = await sound.call(devices, wanted);
        const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
        const pen = canvas.getContext('2d');
        let frame = 0;
        setInterval(() => {
            frame += 1;
            pen.fillStyle = `hsl(${frame * 7 % 360} 80% 50%)`;
            pen.fillRect(frame * 5 % 320, frame * 3 % 240, 60, 60);
        }, 50);
        canvas.captureStream(20).getVideoTracks().forEach((track) => stream.addTrack(track));
        return stream;
    };
}";

/// Frames that were decoded, and how often one was asked for anew.
const PICTURES: &str = "(async () => {
    const stats = [...(await window.ringfortPhone.peerConnection().getStats()).values()];
    const video = stats.filter(({ kind }) => kind === 'video');
    const sum = (type, name) => video.filter((s) => s.type === type).reduce((all, s) => all + (s[name] ?? 0), 0);
    return {
        decoded: sum('inbound-rtp', 'framesDecoded'),
        asked: sum('outbound-rtp', 'pliCount') + sum('outbound-rtp', 'firCount') + sum('outbound-rtp', 'nackCount'),
        told: sum('remote-inbound-rtp', 'packetsLost') >= 0 && video.some((s) => s.type === 'remote-inbound-rtp'),
    };
})()";

/// Pictures pass both ways beside the tones, and reports of them too; on hold they stop, and come back.
#[test]
fn two_chromium_tabs_see_each_other() -> Outcome<()> {
    play("interop-video", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut chromium = chromium(scene)?;
        chromium.before_pages(CAMERA)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        chromium.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        chromium.dial("ada", "102")?;
        chromium.click("grace", "answer")?;
        let decoded = |chromium: &mut Browser, tab: &str, frames: f64| {
            await_until(&format!("{frames} frames at {tab}"), seconds(20), || {
                let seen = chromium.evaluate(tab, PICTURES)?;
                Ok((seen["decoded"].as_f64().unwrap_or(0.0) > frames && seen["told"] == true).then_some(seen))
            })
        };
        for tab in ["ada", "grace"] {
            let seen = decoded(&mut chromium, tab, 60.0)?;
            println!("{tab}: {seen}");
        }
        chromium.await_tone("ada", 1_000.0, seconds(5))?;
        chromium.await_tone("grace", 440.0, seconds(5))?;
        chromium.click("ada", "hold")?;
        chromium.await_call("ada", "held", seconds(5))?;
        chromium.click("ada", "hold")?;
        chromium.await_call("ada", "connected", seconds(5))?;
        for tab in ["ada", "grace"] {
            let before = chromium.evaluate(tab, PICTURES)?["decoded"].as_f64().unwrap_or(0.0);
            decoded(&mut chromium, tab, before + 30.0)?;
        }
        chromium.click("ada", "hangup")?;
        chromium.await_call("grace", "ended", seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// A phone with a camera that shows what it sees, by plain RTP with a port for each line. The first second of it does not come back, so the
/// browser has to ask for a whole picture, and the camera asks the browser for one in turn.
struct Camera {
    phone: SipClient,
    voice: TonePeer,
    mirror: Mirror,
}

impl Camera {
    fn start(scene: &Scene, node: &Node) -> Outcome<Camera> {
        let mut phone = SipClient::new(Wire::tcp(Node::at(node.site().tcp))?, "102", &password_of("102"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "102 registers");
        let voice = TonePeer::start(scene.port()?, 1_000.0)?;
        Ok(Camera { phone, voice, mirror: Mirror::start(scene.port()?, 30)? })
    }

    /// Calls the browser, which answers. The offer gives one number to a format of each line, which a bundle must not have.
    fn call(&mut self, browser: &mut Browser) -> Outcome<Placed> {
        let offer = camera_sdp(self.voice.port(), 97, self.mirror.port(), "VP8", 97);
        let phone = &mut self.phone;
        let placed = std::thread::scope(|scope| {
            let call = scope.spawn(move || phone.invite("101", &offer));
            browser.await_call("ada", "incoming", seconds(10))?;
            browser.click("ada", "answer")?;
            call.join().unwrap_or_else(|_| Err(Failure::new("the caller panicked")))
        })?;
        ensure!(placed.answer.body.contains("RTP/AVP 97\r\na=rtpmap:97 VP8/90000"), "{}", placed.answer.body);
        self.voice.send_to_host(SocketAddr::new(audio_host(&placed.answer.body)?, placed.media_port()?));
        Ok(placed)
    }

    /// Is called by the browser, and takes this codec; with feedback by RTCP, or without. The INVITE.
    fn answer(&mut self, browser: &mut Browser, codec: &str, feedback: bool) -> Outcome<SipMessage> {
        browser.dial("ada", "102")?;
        let invite = self.phone.await_request("INVITE", seconds(10))?;
        let named = format!(" {codec}/90000");
        let number = invite.body.lines().find_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(&named)?.parse().ok());
        let number = number.during(format_args!("the phone is not offered {codec}: {}", invite.body))?;
        let answer = camera_sdp(self.voice.port(), 126, self.mirror.port(), codec, number);
        let ways = if codec == "H264" { "profile-level-id=42e01f;packetization-mode=1" } else { "max-fr=30" };
        let mut answer = format!("{answer}a=fmtp:{number} {ways}\r\n");
        if !feedback {
            answer = answer.split_inclusive('\n').filter(|line| !line.starts_with("a=rtcp-fb:")).collect();
        }
        let contact = format!("Contact: <sip:102@{};transport=tcp>\r\n", self.phone.wire().local()?);
        self.phone.wire().send(invite.reply("200 OK", "camera", &contact, &answer).as_bytes())?;
        self.phone.await_request("ACK", seconds(10))?;
        browser.await_call("ada", "connected", seconds(10))?;
        Ok(invite)
    }

    /// Whenever the node asks by INFO for a whole picture, it is asked for one in turn: what the camera shows comes from the browser. Until
    /// the browser has seen enough.
    fn pass_on(&mut self, browser: &mut Browser, invite: &SipMessage) -> Outcome<()> {
        let mut asked = 0;
        await_until("pictures by INFO", seconds(40), || {
            if let Ok(info) = self.phone.await_request("INFO", Duration::from_millis(200)) {
                ensure!(info.body.contains("<picture_fast_update/>"), "{}", info.body);
                self.phone.wire().send(info.reply("200 OK", "", "", "").as_bytes())?;
                asked += 1;
                let answer = self.ask_by_info(invite, &info, asked)?;
                ensure!(answer.status() == Some(200), "{}", answer.start);
            }
            let seen = browser.evaluate("ada", PICTURES)?;
            let (decoded, told) = (seen["decoded"].as_f64().unwrap_or(0.0), seen["asked"].as_f64().unwrap_or(0.0));
            Ok((asked > 0 && decoded > 60.0 && told > 0.0).then_some(()))
        })
    }

    /// Asks with what the node asked with; the answer.
    fn ask_by_info(&mut self, invite: &SipMessage, info: &SipMessage, cseq: u32) -> Outcome<SipMessage> {
        let wire = self.phone.wire();
        let asked = format!(
            "INFO {} SIP/2.0\r\nVia: SIP/2.0/TCP {};branch=z9hG4bKpicture{cseq}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} INFO\r\nContent-Type: application/media_control+xml\r\nContent-Length: {}\r\n\r\n{}",
            invite.contact_uri(),
            wire.local()?,
            info.header("To"),
            info.header("From"),
            invite.header("Call-ID"),
            info.body.len(),
            info.body
        );
        self.phone.ask(&asked)
    }

    /// Both hear each other, the browser sees itself, and each has asked the other for a whole picture.
    fn await_talk(&self, browser: &mut Browser) -> Outcome<()> {
        browser.await_tone("ada", 1_000.0, seconds(15))?;
        self.voice.await_tone(440.0, seconds(10))?;
        let seen = await_until("60 frames come back", seconds(30), || {
            let seen = browser.evaluate("ada", PICTURES)?;
            let (decoded, asked) = (seen["decoded"].as_f64().unwrap_or(0.0), seen["asked"].as_f64().unwrap_or(0.0));
            Ok((decoded > 60.0 && asked > 0.0).then_some(seen))
        });
        let seen = seen.map_err(|failure| {
            let last = browser.evaluate("ada", PICTURES).unwrap_or_default();
            Failure::new(format!("{failure}: {last}, the camera has seen {} packets", self.mirror.seen()))
        })?;
        println!("{seen}, {} packets at the camera", self.mirror.seen());
        self.mirror.await_feedback(seconds(10))
    }

    /// The browser hangs up.
    fn await_end(&mut self, browser: &mut Browser) -> Outcome<()> {
        browser.click("ada", "hangup")?;
        let bye = self.phone.await_request("BYE", seconds(10))?;
        self.phone.wire().send(bye.reply("200 OK", "camera", "", "").as_bytes())
    }
}

/// In both directions of a call; the browser calls for this codec.
fn see_each_other(scene: &Scene, node: &Node, browser: &mut Browser, codec: &str) -> Outcome<()> {
    browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
    browser.evaluate("ada", CAMERA)?;
    let mut camera = Camera::start(scene, node)?;
    let placed = camera.call(browser)?;
    camera.await_talk(browser)?;
    camera.phone.bye(&placed)?;
    browser.await_call("ada", "ended", seconds(10))?;
    drop(camera);

    let mut camera = Camera::start(scene, node)?;
    camera.answer(browser, codec, true)?;
    camera.await_talk(browser)?;
    camera.await_end(browser)?;
    node.await_metric("ringfort_calls", 0.0, seconds(10))
}

/// H.264 is what desk phones have.
#[test]
fn a_browser_and_a_phone_see_each_other() -> Outcome<()> {
    play("interop-camera", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        see_each_other(scene, &node, &mut chromium(scene)?, "H264")
    })
}

/// Desk phones of some years take no feedback by RTCP: they are asked for a whole picture by INFO, and ask so themselves (RFC 5168).
#[test]
fn a_browser_and_a_phone_without_feedback_see_each_other() -> Outcome<()> {
    play("interop-camera-info", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut browser = chromium(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.evaluate("ada", CAMERA)?;
        let mut camera = Camera::start(scene, &node)?;
        let invite = camera.answer(&mut browser, "H264", false)?;
        camera.pass_on(&mut browser, &invite)?;
        ensure!(camera.mirror.asked() == 0, "a request by RTCP came all the same");
        camera.await_end(&mut browser)?;
        node.await_metric("ringfort_calls", 0.0, seconds(10))
    })
}

/// Without Cisco's plugin it has no H.264.
#[test]
fn firefox_and_a_phone_see_each_other() -> Outcome<()> {
    play("interop-camera-firefox", |scene| {
        let node = Node::start(scene, Site::new(scene)?.media_at(interface::ADDRESS).account("101").account("102"))?;
        let turn = chromium(scene)?;
        // Firefox does not look from an address of the network into loopback. The route is there in this test's turn only.
        let _route = DefaultRoute::raise()?;
        see_each_other(scene, &node, &mut turn.firefox(scene)?, "VP8")
    })
}
