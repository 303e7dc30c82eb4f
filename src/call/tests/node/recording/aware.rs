//! Telephones that speak of recording (RFC 7866 6): they are told of it, and may wish otherwise.

use super::*;

#[test]
fn parties_that_understand_it_are_told_whether_they_are_recorded() {
    let (mut desk, phone, mut trunk) = talk::connected(&config(""), AWARE, "");
    assert!(desk.requests(PHONE, Method::Invite).is_empty(), "nothing is recorded yet");
    accept(&mut desk, FIRST, ANSWER);
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("on"));
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 1, "sendrecv"));
    assert_eq!(desk.last(PHONE).method(), Method::Ack);
    assert_eq!((desk.requests(TRUNK, Method::Invite).len(), told_state(&desk, TRUNK)), (1, None), "who does not speak of it");
    assert!(copies(&desk).iter().all(Option::is_some));
    // A description of the other side's says it too.
    trunk.send(&mut desk, "INVITE", "", &talk::sdp(TRUNK, 2, "sendonly"));
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("on"));
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 2, "recvonly"));
    trunk.ack(&mut desk, "");
    accept(&mut desk, FIRST, &ANSWER.replace("recvonly", "inactive"));
    trunk.send(&mut desk, "INVITE", "", &talk::sdp(TRUNK, 3, "sendrecv"));
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 3, "sendrecv"));
    trunk.ack(&mut desk, "");
    accept(&mut desk, FIRST, ANSWER);
    let before = desk.requests(PHONE, Method::Invite).len();
    // The recorder pauses, and leaves; there is another one, and then none.
    let mut end = end_of(&invite_to(&desk, FIRST), FIRST);
    end.send(&mut desk, "UPDATE", "", &ANSWER.replace("recvonly", "inactive"));
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("paused"));
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 3, "sendrecv"));
    end.send(&mut desk, "BYE", "", "");
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("off"));
    accept(&mut desk, SECOND, ANSWER);
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 3, "sendrecv"));
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("on"), "told as soon as the exchange before is over");
    phone.answer(&mut desk, "488 Not Acceptable Here", AWARE, "");
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.requests(PHONE, Method::Invite).len(), before + 3, "who refuses to hear it is left alone");
    assert!(copies(&desk).iter().all(Option::is_some));
    assert_eq!(desk.status().calls.len(), 1);
    ends(desk, phone);
}

#[test]
fn parties_wishes_count_where_the_rule_says_so() {
    let wish = |version: u32, wish: &str| talk::sdp(PHONE, version, "sendrecv") + &format!("a=recordpref:{wish}\r\n");
    let says = |desk: &mut Desk, (phone, trunk): (&mut End, &End), version: u32, word: &str| {
        phone.send(desk, "INVITE", AWARE, &wish(version, word));
        trunk.answer(desk, "200 OK", "", &talk::sdp(TRUNK, version, "sendrecv"));
        phone.ack(desk, "");
    };
    let hears = |desk: &mut Desk, phone: &End, version: u32, state: &str| {
        assert_eq!(told_state(desk, PHONE).as_deref(), Some(state));
        phone.answer(desk, "200 OK", AWARE, &talk::sdp(PHONE, version, "sendrecv"));
    };
    // Nobody asked: wishes change nothing.
    let (mut desk, mut phone, trunk) = standing("");
    says(&mut desk, (&mut phone, &trunk), 2, "off");
    assert_eq!((told(&desk).len(), copies(&desk).iter().all(Option::is_some)), (1, true));
    let asked = body(&desk.requests(TRUNK, Method::Invite).pop().expect("an INVITE"));
    assert!(asked.contains("a=recordpref:off"), "whoever else records learns of it: {asked}");

    let (mut desk, mut phone, trunk) = talk::connected(&config("preference = \"demand\"\n"), AWARE, "");
    assert_eq!(desk.count(FIRST), 0, "nobody asked for it");
    says(&mut desk, (&mut phone, &trunk), 2, "on");
    accept(&mut desk, FIRST, ANSWER);
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("on"));
    phone.answer(&mut desk, "200 OK", AWARE, &wish(2, "on"));
    assert!(copies(&desk).iter().all(Option::is_some));
    says(&mut desk, (&mut phone, &trunk), 3, "pause");
    let (sdp, _) = parts(&invite_to(&desk, FIRST));
    assert_eq!((sdp.matches("a=inactive").count(), copies(&desk)), (2, [None, None]));
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("paused"));
    phone.answer(&mut desk, "200 OK", AWARE, &wish(3, "pause"));
    accept(&mut desk, FIRST, &ANSWER.replace("recvonly", "inactive"));
    says(&mut desk, (&mut phone, &trunk), 4, "on");
    accept(&mut desk, FIRST, ANSWER);
    assert_eq!((copies(&desk).iter().all(Option::is_some), told(&desk).len()), (true, 1));
    phone.answer(&mut desk, "200 OK", AWARE, &wish(4, "on"));
    says(&mut desk, (&mut phone, &trunk), 5, "off");
    assert_eq!(told(&desk)[1..], [state("first", "ended", "preference")]);
    assert!(!desk.requests(FIRST, Method::Bye).is_empty() && copies(&desk) == [None, None]);
    hears(&mut desk, &phone, 5, "off");
    assert_eq!(causes(&ends(desk, phone)), [("first", "preference", true)]);

    // A telephone that always wishes the other thing.
    let (mut desk, mut phone, trunk) = talk::connected(&config("preference = \"honour\"\n"), AWARE, "");
    accept(&mut desk, FIRST, ANSWER);
    for n in 2..300 {
        phone.answer(&mut desk, "200 OK", AWARE, &wish(n, if n % 2 == 0 { "pause" } else { "on" }));
        accept(&mut desk, FIRST, &ANSWER.replace("recvonly", if n % 2 == 0 { "inactive" } else { "recvonly" }));
    }
    assert_eq!(desk.requests(PHONE, Method::Invite).len(), 100, "it is bounded");
    says(&mut desk, (&mut phone, &trunk), 300, "nopreference");
    ends(desk, phone);

    // Who does not wish to be recorded from the beginning is not.
    let config = config("preference = \"honour\"\n");
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(
        PHONE,
        "INVITE",
        "sip:0123@ringfort.local",
        "101",
        &format!("{}{AWARE}", contact("101", PHONE)),
        &wish(1, "off"),
    );
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &talk::sdp(TRUNK, 1, "sendrecv"));
    assert_eq!((desk.count(FIRST), desk.status().calls.len()), (0, 1));
}
