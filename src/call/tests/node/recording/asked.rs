//! What a recorder asks for, and whether its audio arrives.

use super::*;

#[test]
fn a_recorder_may_ask_but_not_change() {
    let (mut desk, phone, _) = standing("");
    let mut end = end_of(&invite_to(&desk, FIRST), FIRST);
    end.send(&mut desk, "OPTIONS", "", "");
    assert_eq!(end.status(&desk), 200);
    let foreign = ANSWER.replace("RTP/AVP 8\r\na=recvonly\r\nm=", "RTP/AVP 0\r\na=recvonly\r\nm=");
    let one = ANSWER.split("m=audio 7002").next().expect("a line").to_string();
    for (offer, status) in [(foreign, 488), (one, 488), (ANSWER.replace("7002", "0"), 488), ("v=0".into(), 488)] {
        end.send(&mut desk, "INVITE", "", &offer);
        assert_eq!(end.status(&desk), status, "the session stands as it is: {offer}");
        end.ack(&mut desk, "");
    }
    assert!(copies(&desk).iter().all(Option::is_some));
    let before = desk.requests(FIRST, Method::Invite).len();
    end.send(
        &mut desk,
        "UPDATE",
        "Content-Type: application/rs-metadata-request\r\nContent-Disposition: recording-session\r\n",
        "x",
    );
    assert!(desk.responses(FIRST, 200).len() == 2);
    assert_eq!(desk.requests(FIRST, Method::Invite).len(), before + 1, "all metadata once more");
    accept(&mut desk, FIRST, ANSWER);
    end.send(&mut desk, "REFER", "Refer-To: <sip:103@ringfort.local>\r\n", "");
    assert_eq!(end.status(&desk), 405);
    // Whoever knows one tag only is not the recorder.
    let mut stranger = End { local: end.local.replace("tag=rec", "tag=other"), ..end.clone() };
    stranger.send(&mut desk, "BYE", "", "");
    assert_eq!(stranger.status(&desk), 481);
    // A recorder calls nobody.
    desk.request(FIRST, "INVITE", "sip:101@ringfort.local", "102", &contact("102", FIRST), ANSWER);
    assert_eq!(desk.answer(FIRST), 407);
    assert_eq!(told(&desk).len(), 1);
    goes_on(&desk);
    ends(desk, phone);
}

#[test]
fn a_recorder_may_pause_and_move() {
    let (mut desk, phone, _) = standing("");
    let mut end = end_of(&invite_to(&desk, FIRST), FIRST);
    end.send(&mut desk, "INVITE", "", &ANSWER.replace("recvonly", "inactive"));
    let reply = desk.last(FIRST);
    assert_eq!((reply.status(), body(&reply).matches("a=inactive").count()), (Some(200), 2));
    assert!(reply.header(HeaderName::Contact).is_some_and(|contact| contact.ends_with(";+sip.src")));
    assert_eq!((copies(&desk), desk.status().calls[0].recording.as_str()), ([None, None], "by first, which pauses"));
    end.send(&mut desk, "UPDATE", "", ANSWER);
    assert_eq!(end.status(&desk), 491, "its re-INVITE waits for the ACK");
    End { cseq: end.cseq - 1, ..end.clone() }.ack(&mut desk, "");
    // It takes the audio elsewhere, by other numbers.
    let moved = ANSWER.replace("7000 RTP/AVP 8", "7100 RTP/AVP 100").replace("a=recvonly\r\nm=", "a=rtpmap:100 PCMA/8000\r\nm=");
    end.send(&mut desk, "UPDATE", "", &moved);
    let reply = desk.last(FIRST);
    assert!(body(&reply).contains(" RTP/AVP 100\r\n") && body(&reply).matches("a=sendonly").count() == 2, "{:?}", reply.octets());
    let first = ports(&desk)[2];
    assert_eq!(copies(&desk)[0], Some(CopyPlan { port: first, payloads: vec![(8, 100)] }));
    assert_eq!(plan_of(&desk, first).transmit.rtp, "198.51.100.7:7100".parse().ok());
    assert_eq!(told(&desk), [state("first", "begun", ""), state("first", "paused", ""), state("first", "resumed", "")]);
    // Without description it is offered what stands, and its ACK answers.
    end.send(&mut desk, "INVITE", "", "");
    let offer = body(&desk.last(FIRST));
    assert!(offer.matches("m=audio").count() == 2 && offer.contains("a=label:2"), "{offer}");
    end.ack(&mut desk, &ANSWER.replace("7000", "7200"));
    assert_eq!(plan_of(&desk, first).transmit.rtp, "198.51.100.7:7200".parse().ok());
    assert_eq!(copies(&desk)[0], Some(CopyPlan { port: first, payloads: vec![(8, 8)] }));
    end.send(&mut desk, "UPDATE", "", "");
    assert_eq!(end.status(&desk), 200, "it refreshes the session");
    goes_on(&desk);
    assert_eq!(causes(&ends(desk, phone)), [("first", "call-ended", true)]);
}

#[test]
fn a_recorder_may_not_be_ready_yet() {
    let (mut desk, phone, _) = begun("");
    accept(&mut desk, FIRST, &ANSWER.replace("recvonly", "inactive"));
    assert_eq!((copies(&desk), told(&desk)), ([None, None], vec![state("first", "begun", ""), state("first", "paused", "")]));
    let mut end = end_of(&invite_to(&desk, FIRST), FIRST);
    end.send(&mut desk, "INVITE", "", ANSWER);
    assert!(copies(&desk).iter().all(Option::is_some));
    // Its ACK never comes, though it lives.
    lives(&mut desk, 40, |_, _| {});
    assert_eq!(told(&desk)[3], state("first", "lost", "no-ack"));
    goes_on(&desk);
    ends(desk, phone);
}

/// Seconds pass in which the first recorder answers what it is asked.
fn lives(desk: &mut Desk, seconds: u64, mut each: impl FnMut(&mut Desk, u64)) {
    for second in 1..=seconds {
        desk.pass(Duration::from_secs(1));
        each(desk, second);
        let last = desk.last(FIRST);
        if last.is_request() && last.method() == Method::Options {
            desk.receive(FIRST, &talk::reply(&last, "200 OK", "", ""));
        }
    }
}

#[test]
fn a_recorder_whose_audio_does_not_arrive_is_replaced() {
    let count = |desk: &mut Desk, stream: usize, rtp_out: u64, rtcp_in: u64, send_failed: u64| {
        let counters = PortCounters { rtp_out, rtcp_in, send_failed, ..PortCounters::default() };
        let port = ports(desk)[2 + stream];
        desk.input(Input::Relay(RelayEvent::Counters { port, counters: Box::new(counters), last: false }));
    };
    // One stream is reported on and the other is not, by a recorder that does not speak RTCP there: nothing is wrong.
    let (mut desk, phone, _) = standing("");
    lives(&mut desk, 90, |desk, n| {
        count(desk, 0, n * 50, n / 5, 0);
        count(desk, 1, n * 50, 0, 0);
    });
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    // Its reports end, and those of a party that says nothing at the same time are not missed.
    lives(&mut desk, 24, |desk, _| count(desk, 0, 4_500, 18, 0));
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    lives(&mut desk, 26, |desk, n| count(desk, 0, 4_500 + n, 18, 0));
    assert_eq!(told(&desk)[1..], [state("first", "lost", "media-silent")]);
    assert!(!desk.requests(FIRST, Method::Bye).is_empty());
    accept(&mut desk, SECOND, ANSWER);
    goes_on(&desk);
    assert_eq!(causes(&ends(desk, phone)), [("first", "media-silent", true), ("second", "call-ended", true)]);

    // The system does not send; there is no other recorder.
    let alone = config("").replace("to = [\"first\", \"second\"]", "to = [\"first\"]");
    let (mut desk, phone, _) = talk::connected(&alone, "", "");
    accept(&mut desk, FIRST, ANSWER);
    lives(&mut desk, 40, |desk, n| count(desk, 1, 0, 0, n));
    assert_eq!(told(&desk)[1..], [state("first", "silent", "media-refused")]);
    lives(&mut desk, 2, |desk, n| count(desk, 1, n, 0, 40));
    assert_eq!(told(&desk)[2..], [state("first", "resumed", "")]);
    assert_eq!(causes(&ends(desk, phone)), [("first", "call-ended", true)]);
}

#[test]
fn a_recorder_may_ask_who_the_node_is() {
    let text = config("").replacen("[[recorder]]", "[[recorder]]\nauth = { user = \"node\", password = \"secret\" }", 1);
    let challenge = |nonce: &str| format!("WWW-Authenticate: Digest realm=\"rec\", nonce=\"{nonce}\", qop=\"auth\"\r\n");
    let (mut desk, mut phone, trunk) = talk::connected(&text, "", "");
    let proof = |message: &Message| message.header(HeaderName::Authorization).unwrap_or_default().to_string();
    let number = |message: &Message| message.cseq().expect("a number").0;
    let first = invite_to(&desk, FIRST);
    assert_eq!(proof(&first), "");
    desk.reply_to(FIRST, &first, "401 Unauthorized", "x", &challenge("a"), "");
    let again = invite_to(&desk, FIRST);
    assert!(proof(&again).contains("username=\"node\"") && proof(&again).contains("nonce=\"a\""), "{}", proof(&again));
    assert_eq!((again.call_id().ok(), number(&again)), (first.call_id().ok(), 2));
    assert_eq!((parts(&again), again.header(HeaderName::Contact)), (parts(&first), first.header(HeaderName::Contact)));
    accept(&mut desk, FIRST, ANSWER);
    let ack = desk.requests(FIRST, Method::Ack).pop().expect("an ACK");
    assert_eq!((proof(&ack), number(&ack)), (proof(&again), 2));
    assert!(copies(&desk).iter().all(Option::is_some));
    // Within the dialog too: a nonce that was good before is too old.
    let options = |desk: &Desk| desk.requests(FIRST, Method::Options).pop();
    desk.pass(Duration::from_secs(16));
    let asked = options(&desk).expect("a question");
    assert!(proof(&asked).contains("nc=00000002"), "{}", proof(&asked));
    desk.reply_to(FIRST, &asked, "401 Unauthorized", "rec", &challenge("b"), "");
    let asked = options(&desk).expect("another");
    assert!(proof(&asked).contains("nonce=\"b\""));
    desk.receive(FIRST, &talk::reply(&asked, "200 OK", "", ""));
    phone.send(&mut desk, "INVITE", "", &talk::sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    let change = invite_to(&desk, FIRST);
    desk.reply_to(FIRST, &change, "401 Unauthorized", "rec", &challenge("c"), "");
    let again = invite_to(&desk, FIRST);
    assert!(proof(&again).contains("nonce=\"c\"") && number(&again) == number(&change) + 1 && parts(&again) == parts(&change));
    assert!(again.header(HeaderName::Contact).is_some_and(|contact| contact.ends_with(";+sip.src")));
    accept(&mut desk, FIRST, &ANSWER.replace("recvonly", "inactive"));
    let ack = desk.requests(FIRST, Method::Ack).pop().expect("an ACK");
    assert_eq!((proof(&ack), number(&ack)), (proof(&again), number(&again)));
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    let record = ends(desk, phone);
    assert_eq!(causes(&record), [("first", "call-ended", true)]);

    // A wrong password is a refusal, and so is a challenge that nothing answers.
    let (mut desk, phone, _) = talk::connected(&text, "", "");
    for nonce in ["a", "b"] {
        let invite = invite_to(&desk, FIRST);
        desk.reply_to(FIRST, &invite, "401 Unauthorized", "x", &challenge(nonce), "");
    }
    assert_eq!(told(&desk), [state("first", "failed", "refused-401")]);
    let invite = invite_to(&desk, SECOND);
    desk.reply_to(SECOND, &invite, "401 Unauthorized", "x", &challenge("a"), "");
    assert_eq!(told(&desk)[1..], [state("second", "failed", "refused-401")]);
    goes_on(&desk);
    ends(desk, phone);
}
