//! Subscriptions through the node to a presence server (RFC 3856, 3842, 3903), and to the node itself when that is gone.

use ringfort_tests::ensure;
use ringfort_tests::harness::kamailio::Kamailio;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::{SipMessage, ending};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Failure, Outcome, Scene, play};

const PIDF: &str = "<?xml version=\"1.0\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:102@ringfort.test\">\
    <tuple id=\"a\"><status><basic>open</basic></status><note>at the desk</note></tuple></presence>\r\n";
const SUMMARY: &str = "Messages-Waiting: yes\r\nVoice-Message: 2/0\r\n";

/// A cloud with a presence server, a node, and two phones that are registered.
struct Office {
    cloud: Kamailio,
    node: Node,
    watcher: SipClient,
    other: SipClient,
}

impl Office {
    fn open(scene: &Scene) -> Outcome<Office> {
        let port = scene.port()?;
        let cloud = Kamailio::start_with_presence(scene, port, DOMAIN)?;
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102").cloud(port, 1_000))?;
        let phone = |user: &str| -> Outcome<SipClient> {
            let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, &password_of(user), DOMAIN);
            let granted = phone.register(300)?;
            ensure!(granted.status() == Some(200), "{user}: {}", granted.start);
            Ok(phone)
        };
        Ok(Office { watcher: phone("101")?, other: phone("102")?, cloud, node })
    }
}

/// SUBSCRIBE outside a dialog; the node's answer.
fn subscribe(phone: &mut SipClient, to: &str, event: &str) -> Outcome<SipMessage> {
    phone.request("SUBSCRIBE", &format!("sip:{to}@{DOMAIN}"), &format!("Event: {event}\r\nExpires: 600\r\n"))
}

/// The next NOTIFY, which is answered, of those that hold this text.
fn told(phone: &mut SipClient, text: &str) -> Outcome<SipMessage> {
    for _ in 0..5 {
        let notify = phone.await_request("NOTIFY", seconds(5))?;
        phone.wire().send(notify.reply("200 OK", "n", "", "").as_bytes())?;
        if notify.body.contains(text) || notify.header("Subscription-State").contains(text) {
            return Ok(notify);
        }
    }
    Err(Failure::new(format!("no NOTIFY says {text}")))
}

/// A PUBLISH with a document, by this wire.
fn publish(phone: &mut SipClient, user: &str, event: &str, kind: &str, body: &str) -> Outcome<SipMessage> {
    let (own, via) = (phone.wire().local()?, format!("z9hG4bKp{user}{event}"));
    let request = format!(
        "PUBLISH sip:{user}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch={via};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{DOMAIN}>;tag=p\r\nTo: <sip:{user}@{DOMAIN}>\r\nCall-ID: p{user}{event}\r\nCSeq: 1 PUBLISH\r\n\
         Event: {event}\r\nExpires: 600\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    phone.ask(&request)
}

#[test]
fn presence_and_messages_pass_from_the_cloud_to_the_phone() -> Outcome<()> {
    play("presence-cloud", |scene| {
        let mut office = Office::open(scene)?;
        let granted = subscribe(&mut office.watcher, "102", "presence")?;
        ensure!(granted.status() == Some(200) || granted.status() == Some(202), "{}", granted.start);
        told(&mut office.watcher, "active")?;
        let done = publish(&mut office.other, "102", "presence", "application/pidf+xml", PIDF)?;
        ensure!(done.status() == Some(200) && !done.header("SIP-ETag").is_empty(), "{}", done.start);
        let notify = told(&mut office.watcher, "at the desk")?;
        ensure!(notify.header("Call-ID") == granted.header("Call-ID"), "of another dialog: {}", notify.header("Call-ID"));
        ensure!(
            notify.contact_uri().contains(&office.node.site().udp.to_string()),
            "the node's contact: {}",
            notify.contact_uri()
        );
        // A voice mail server tells the cloud of messages.
        let messages = subscribe(&mut office.watcher, "101", "message-summary")?;
        ensure!(messages.status() == Some(200) || messages.status() == Some(202), "{}", messages.start);
        let mut mail = SipClient::new(Wire::udp(Node::at(office.cloud.port()), 0)?, "101", "", DOMAIN);
        let done = publish(&mut mail, "101", "message-summary", "application/simple-message-summary", SUMMARY)?;
        ensure!(done.status() == Some(200), "{}", done.start);
        told(&mut office.watcher, "Voice-Message: 2/0")?;
        // The end, which both sides know.
        let own = office.watcher.wire().local()?;
        let end = format!(
            "SUBSCRIBE {} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKend;rport\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: 7 SUBSCRIBE\r\nContact: <sip:101@{own}>\r\nEvent: message-summary\r\nExpires: 0\r\n{}",
            messages.contact_uri(),
            messages.header("From"),
            messages.header("To"),
            messages.header("Call-ID"),
            ending("")
        );
        let ended = office.watcher.ask(&end)?;
        ensure!(ended.status().is_some_and(|status| status < 300), "{}", ended.start);
        let again = office.watcher.ask(&end.replace("z9hG4bKend", "z9hG4bKagain").replace("CSeq: 7", "CSeq: 8"))?;
        ensure!(again.status() == Some(481), "{}", again.start);
        Ok(())
    })
}

#[test]
fn without_the_cloud_the_node_tells_who_is_on_the_phone() -> Outcome<()> {
    play("presence-alone", |scene| {
        let mut office = Office::open(scene)?;
        office.cloud.kill()?;
        office.node.await_mode("survivable", seconds(8))?;
        let granted = subscribe(&mut office.watcher, "102", "dialog")?;
        ensure!(granted.status() == Some(200), "{}", granted.start);
        told(&mut office.watcher, "entity=\"sip:102@ringfort.test\"")?;
        let port = scene.port()?;
        let call = office.other.call("*43", port)?;
        told(&mut office.watcher, "<state>confirmed</state>")?;
        ensure!(office.other.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        told(&mut office.watcher, "<state>terminated</state>")?;
        let refused = subscribe(&mut office.watcher, "101", "message-summary")?;
        ensure!(refused.status() == Some(480) && refused.header("Retry-After") == "60", "{}", refused.start);
        Ok(())
    })
}
