//! Every bound of the node, in one place. A queue, table, string or timer without a number here is a defect.

use std::time::Duration;

/// Largest SIP message taken from any transport, octets. A datagram cannot be larger than 65,507.
pub const SIP_MESSAGE_MAX: usize = 65_535;
/// Largest start line plus headers, octets. Beyond it a stream peer is cut off.
pub const SIP_HEAD_MAX: usize = 32_768;
/// Largest number of header lines in one message.
pub const SIP_HEADERS_MAX: usize = 256;
/// Largest body, octets.
pub const SIP_BODY_MAX: usize = 32_767;
/// Largest number of values that a list header (`Via`, `Route`, `Contact`) may carry to be looked at.
pub const SIP_LIST_VALUES_MAX: usize = 64;

/// Signalling connections open at once (TCP, TLS, WS, WSS).
pub const CONNECTIONS_MAX: usize = 10_000;
/// Messages queued towards one connection before it is closed as too slow.
pub const CONNECTION_QUEUE_MAX: usize = 256;
/// A connection that sent nothing whole for this long is closed.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(3600);
/// Connections that are being opened at once.
pub const CONNECTIONS_OPENING_MAX: usize = 1_024;
/// A peer must take a TCP connection in this time.
pub const CONNECTION_OPEN: Duration = Duration::from_secs(3);
/// A connection must complete its TLS and WebSocket handshake in this time.
pub const CONNECTION_HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection that a peer opened must bring its first whole message in this time.
pub const CONNECTION_FIRST_MESSAGE: Duration = Duration::from_secs(30);
/// Inputs queued for the core before signalling sockets stop reading.
pub const CORE_QUEUE_MAX: usize = 8_192;
/// Datagrams of strangers that wait for the core, beside those of known sources; what comes then is dropped unread. So long as this
/// many inputs wait, strangers' connections are not read on.
pub const STRANGERS_QUEUE_MAX: usize = 512;

/// Requests above this size, octets, go by TCP to a peer that is reached by UDP (RFC 3261 18.1.1).
pub const DATAGRAM_REQUEST_MAX: usize = 1_300;
/// Peers remembered that take no TCP; when there are more all of them are tried again.
pub const WITHOUT_TCP_MAX: usize = 1_024;
/// A peer that took no TCP is not asked for it again for this long.
pub const WITHOUT_TCP: Duration = Duration::from_secs(600);
/// Transactions alive at once; beyond it a new request is answered 503.
pub const TRANSACTIONS_MAX: usize = 100_000;
/// Calls alive at once.
pub const CALLS_MAX: usize = 10_000;
/// Targets tried one after another for one call.
pub const CALL_TARGETS_MAX: usize = 8;
/// Digits of a telephone number without prefixes (E.164 6.2.1).
pub const E164_DIGITS_MAX: usize = 15;
/// Forwards that one call follows, one after another.
pub const CALL_FORWARDS_MAX: usize = 5;
/// Nodes, trunks and users whose calls are counted; users without a call are forgotten to make room.
pub const ADMISSION_ENTRIES_MAX: usize = 60_000;
/// Trunks of one group.
pub const GROUP_MEMBERS_MAX: usize = 32;
/// Expected routes that are checked before a configuration is taken.
pub const EXPECTATIONS_MAX: usize = 1_000;
/// Stages of one call's plan: what is tried after what, over all groups and forwards.
pub const CALL_STAGES_MAX: usize = 32;
/// Largest body that passes from one leg to the other unread (INFO, MESSAGE), octets.
pub const PASSED_BODY_MAX: usize = 8_192;
/// INFO and MESSAGE requests of one call that wait for the other leg's answer.
pub const CALL_RELAYED_MAX: usize = 16;
/// Subscriptions alive at once.
pub const SUBSCRIPTIONS_MAX: usize = 50_000;
/// Subscriptions of one user: a console that watches a whole site has hundreds.
pub const SUBSCRIPTIONS_PER_USER_MAX: usize = 1_000;
/// MESSAGE, PUBLISH and unasked NOTIFY requests that wait for an answer at once.
pub const SINGLE_REQUESTS_MAX: usize = 4_096;
/// Targets of one call that have an INVITE at the same time; what is beyond rings afterwards.
pub const BRANCHES_MAX: usize = 16;
/// Early dialogs that one INVITE may found, on either side of a call.
pub const EARLY_DIALOGS_MAX: usize = 16;
/// Reliable provisional responses of one early dialog that wait for the PRACK of the one before; further ones are left out.
pub const RELIABLE_QUEUE_MAX: usize = 4;
/// Redirections (3xx) followed for one call.
pub const REDIRECTS_MAX: u32 = 5;
/// Contacts of one redirection that are looked at.
pub const REDIRECT_CONTACTS_MAX: usize = 8;
/// Branches that one call may have alive at once on its whole way (RFC 5393 5.3.3), where its INVITE does not say less.
pub const BREADTH_MAX: u32 = 60;
/// Other port numbers tried for one call when a media port cannot be opened.
pub const PORT_TRIES_MAX: u32 = 3;
/// Bindings of all AoRs together.
pub const BINDINGS_MAX: usize = 50_000;
/// Bindings of one AoR.
pub const BINDINGS_PER_AOR_MAX: usize = 10;
/// Values of Path that one device may have (RFC 3327).
pub const PATH_VALUES_MAX: usize = 8;
/// Devices whose connection broke that are expected back at once; beyond it a device is given up when its connection breaks.
pub const DEVICES_AWAY_MAX: usize = 50_000;
/// A device whose connection broke may come back by another one in this time; so long a BYE or re-INVITE waits for it.
pub const DEVICE_RETURN: Duration = Duration::from_secs(90);
/// Digest nonces remembered at once; older ones become stale.
pub const NONCES_MAX: usize = 100_000;

/// Questions of one look-up of a SIP server (RFC 3263): NAPTR, SRV of three transports, and the addresses of what they name.
pub const DNS_QUESTIONS_MAX: usize = 32;
/// Records of one DNS answer that are looked at.
pub const DNS_RECORDS_MAX: usize = 32;
/// Servers that one look-up yields.
pub const DNS_CANDIDATES_MAX: usize = 16;

/// Targets that are looked up or known at once. Names in dialogs give way before those of the configuration do.
pub const DNS_LOOKUPS_MAX: usize = 1_024;
/// DNS answers kept.
pub const DNS_CACHE_MAX: usize = 4_096;
/// A DNS answer is good for so long at least, whatever its TTL; a server that does not answer is asked again after this time.
pub const DNS_TTL_MIN: Duration = Duration::from_secs(5);
/// And for so long at most.
pub const DNS_TTL_MAX: Duration = Duration::from_secs(3_600);
/// The answer that there is no such record is good for so long at most.
pub const DNS_ABSENT_MAX: Duration = Duration::from_secs(300);
/// The resolver answers each question within this time, be it that it failed.
pub const DNS_ANSWER_MAX: Duration = Duration::from_secs(5);
/// A server of a peer that failed is passed over for so long (RFC 3263 4.3), unless its Retry-After says otherwise.
pub const SERVER_ASIDE: Duration = Duration::from_secs(30);
/// Networks that a trunk's calls may come from besides its servers.
pub const TRUNK_SOURCES_MAX: usize = 64;
/// A connection that the node opened says nothing for so long: it is kept alive (RFC 5626 4.4.1 has 95 to 120 seconds as the usual).
pub const CONNECTION_KEEP_ALIVE: Duration = Duration::from_secs(95);
/// Challenges of a carrier that one request answers.
pub const CHALLENGES_ANSWERED_MAX: u32 = 3;
/// Requests within one leg to a carrier that are kept until they are answered, to be sent again with credentials.
pub const PROVABLE_MAX: usize = 16;
/// Networks that the node stands in, beside the first one.
pub const REALMS_MAX: usize = 16;
/// Servers of one peer that one request tries.
pub const SERVERS_TRIED_MAX: usize = 4;
/// A REGISTER to a trunk without any answer is given up after this time.
pub const TRUNK_REGISTER_PATIENCE: Duration = Duration::from_secs(5);
/// The connection that held a registration with a trunk broke: the next one is made after this time at the latest.
pub const TRUNK_REGISTER_FLOW_WAIT: Duration = Duration::from_secs(2);
/// The first wait after a registration with a trunk failed; it doubles (RFC 5626 4.5).
pub const TRUNK_REGISTER_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
pub const TRUNK_REGISTER_WAIT_MAX: Duration = Duration::from_secs(1_800);
/// No Retry-After sets a server aside for longer.
pub const SERVER_ASIDE_MAX: Duration = Duration::from_secs(600);

/// A callee may ring this long before the call is given up.
pub const RING_MAX: Duration = Duration::from_secs(180);
/// A browser must complete ICE and DTLS within this time after the answer.
pub const MEDIA_SETUP_MAX: Duration = Duration::from_secs(15);
/// A browser whose consent ran out is asked so often in a row to begin ICE anew.
pub const ICE_RESTARTS_MAX: u8 = 2;
/// It gets this long for its answer, before it is asked again or the call ends.
pub const ICE_RESTART_ANSWER: Duration = Duration::from_secs(10);

/// Largest SDP body looked at, octets.
pub const SDP_MAX: usize = 16_384;
/// Largest number of media lines in one SDP.
pub const SDP_MEDIA_MAX: usize = 16;
/// Largest number of attribute lines in one SDP.
pub const SDP_LINES_MAX: usize = 1_024;
/// Largest number of payload formats in one media line.
pub const SDP_FORMATS_MAX: usize = 64;
/// Attributes of a fax that pass from one leg to the other.
pub const FAX_ATTRIBUTES_MAX: usize = 16;
/// Attributes of video that pass from one leg to the other: feedback for each format, header extensions.
pub const VIDEO_ATTRIBUTES_MAX: usize = 128;
/// Formats of video that a leg with a port for each line is told of a browser's: all of a browser's would be more than a datagram holds.
pub const VIDEO_APART_FORMATS_MAX: usize = 8;
/// Streams of a bundle of which a relay remembers whether they are audio or video. The oldest is forgotten first.
pub const BUNDLE_STREAMS_MAX: usize = 16;
/// The shortest time between two requests for a whole picture that the node brings from RTCP to INFO or back, milliseconds. Who needs one
/// asks again.
pub const PICTURE_PAUSE_MS: u64 = 500;
/// SSRCs of video that one leg is told of the other's.
pub const VIDEO_SOURCES_MAX: usize = 4;

/// Largest media datagram handled, octets: an Ethernet frame's worth.
pub const MEDIA_DATAGRAM_MAX: usize = 1_500;
/// Room that a relay buffer keeps behind a datagram for an SRTP or SRTCP trailer, octets.
pub const SRTP_TRAILER_MAX: usize = 32;
/// SRTP streams (SSRCs) remembered for one direction of one leg; the least recently used is forgotten.
pub const SRTP_STREAMS_MAX: usize = 8;
/// STUN and DTLS datagrams passed up to the core for one media port in one second; the rest are dropped and counted.
pub const CONTROL_PER_SECOND_MAX: u32 = 200;
/// The same of one source (an IPv4 address, an IPv6 network of 64 bits) to all ports of one worker. An office of 500 browsers behind one
/// address sends some 250 checks a second.
pub const CONTROL_PER_SOURCE_MAX: u32 = 2_000;
/// Packets from elsewhere than the locked source that are decrypted for one port in one second, to see whether the peer moved.
pub const STRAYS_PROVED_PER_SECOND_MAX: u32 = 20;
/// Events queued from the relay to the core.
pub const RELAY_EVENTS_MAX: usize = 16_384;
/// Media ports (legs, and streams to recorders) open at once.
pub const MEDIA_PORTS_MAX: usize = 24_000;
/// Addresses at once at which browsers share a port: one for each address of the node, and those before a change of configuration.
pub const SHARED_PORTS_MAX: usize = 64;
/// Datagrams that wait for one relay worker because another one received them; more are dropped, as a full socket would.
pub const RELAY_HANDED_MAX: usize = 512;
/// How long packets gather where a relay worker has many, unless the configuration says otherwise, microseconds.
pub const RELAY_GATHER_US: u32 = 500;
/// The longest that can be set, microseconds: a quarter of what a packet carries of speech.
pub const RELAY_GATHER_US_MAX: u32 = 5_000;
/// Interfaces whose frames are steered past the kernel's sockets.
pub const AF_XDP_INTERFACES_MAX: usize = 16;
/// AF_XDP sockets, one for each queue of the interfaces that have them: each takes 8 MiB.
pub const AF_XDP_SOCKETS_MAX: usize = 64;
/// A closed media port is not given out again for this long, so that late packets of the old call miss the new one.
pub const PORT_QUARANTINE: Duration = Duration::from_secs(5);

/// Packets of one stream that wait to be played on a transcoded leg.
pub const JITTER_PACKETS_MAX: usize = 64;
/// Longest time that a packet is made to wait so that later ones find their turn.
pub const JITTER_WAIT_MAX: Duration = Duration::from_millis(400);
/// Payload types of one transcoded leg.
pub const AUDIO_PAYLOADS_MAX: usize = 16;
/// Sounds that a configuration may name.
pub const SOUNDS_MAX: usize = 64;
/// Digits that wait to be taken from, or to be sent to, one leg.
pub const DIGITS_QUEUED_MAX: usize = 32;
/// Octets that all sounds may take in memory.
pub const SOUNDS_OCTETS_MAX: usize = 256 << 20;
/// Parties of one conference.
pub const CONFERENCE_PARTIES_MAX: usize = 8;
/// Largest WAV file that is played, octets: six minutes of stereo at 44.1 kHz, or an hour at 8 kHz.
pub const SOUND_OCTETS_MAX: usize = 64 << 20;
/// A digit is held at most this long; who holds a key longer has put something on it.
pub const DIGIT_MAX: Duration = Duration::from_secs(60);

/// Recorders of one configuration.
pub const RECORDERS_MAX: usize = 16;
/// Rules of one configuration that say which calls are recorded.
pub const RECORDING_RULES_MAX: usize = 256;
/// Recorders that one rule names.
pub const RECORDERS_TRIED_MAX: usize = 4;
/// Recording sessions that one call begins, with whatever recorder; after that it goes on unrecorded.
pub const RECORDINGS_PER_CALL_MAX: usize = 8;
/// Calls recorded at once. Each takes two media ports more, which calls must not lack.
pub const RECORDINGS_MAX: usize = 2_000;
/// Participants that one recording tells of, those who left included; the first who left are left out.
pub const RECORDED_PEOPLE_MAX: usize = 16;
/// A recorder that said something has to answer an INVITE or re-INVITE within this time.
pub const RECORDER_ANSWER_MAX: Duration = Duration::from_secs(10);
/// A recorder is asked within its dialog whether it still records, each time after this long.
pub const RECORDER_ASKED: Duration = Duration::from_secs(15);
/// So often are the parties of a call told by re-INVITE or UPDATE whether they are recorded. A telephone that asks for another state
/// whenever it is told one would go on for ever.
pub const RECORDING_TELLINGS_MAX: u32 = 100;
/// A recorder that sent RTCP, and sends none for so long while it is sent audio, does not get that audio any more. RTCP comes each five
/// seconds (RFC 3550 6.2).
pub const RECORDER_SILENT: Duration = Duration::from_secs(25);
/// When all recorders of a rule have failed a call, they are tried again after this time; it doubles.
pub const RECORDER_WAIT: Duration = Duration::from_secs(5);
/// A sound that tells parties of the recording is cut off after this time.
pub const RECORDING_SOUND_MAX: Duration = Duration::from_secs(30);

/// Events queued for one observer; beyond it the oldest are dropped and counted, a call never waits.
pub const OBSERVER_QUEUE_MAX: usize = 16_384;
/// Call records kept in memory for the status page.
pub const RECENT_CALLS_MAX: usize = 200;
/// Web sessions alive at once.
pub const WEB_SESSIONS_MAX: usize = 1_000;
/// Largest HTTP request body, octets.
pub const HTTP_BODY_MAX: usize = 65_536;

/// Password checks that run at once. Each takes 19 MiB and tens of milliseconds.
pub const PASSWORD_CHECKS_MAX: usize = 2;
/// Sign-ins that wait for a check or for their delay; beyond it they are told to come back.
pub const SIGN_INS_WAITING_MAX: usize = 64;
/// Live event streams open at once.
pub const EVENT_STREAMS_MAX: usize = 64;
/// Web phones that are told live of their users' calls at once. One beyond it works, but shows no calls of other clients.
pub const PHONE_STREAMS_MAX: usize = 1_000;
/// Such streams of one user: tabs and machines where the web phone is open, and those whose network is gone until that is noticed.
pub const PHONE_STREAMS_PER_USER_MAX: usize = 8;
/// Calls and registrations listed in one status of the web API; all of them are counted, and can be read page by page.
pub const STATUS_LIST_MAX: usize = 500;
/// Entries of one page of the web API's lists.
pub const PAGE_MAX: usize = 1_000;
/// Web sessions of one person; the one unused for longest ends.
pub const SESSIONS_PER_USER_MAX: usize = 16;
/// Entries of each table of the sign-in throttle; the one that failed last the longest ago makes room.
pub const THROTTLE_ENTRIES_MAX: usize = 4_096;
/// Alarms that stand at once.
pub const ALARMS_MAX: usize = 64;
/// Steps of all calls' timelines kept in memory; the calls that ended first make room. A step takes some 100 octets.
pub const TIMELINE_STEPS_MAX: usize = 200_000;
/// Steps of one call's timeline, samples of quality not counted; further ones are counted only, but for the end.
pub const TIMELINE_CALL_STEPS_MAX: usize = 200;
/// Samples of quality of one call's timeline, both parties together; beyond it every other one of the older half goes.
pub const TIMELINE_SAMPLES_MAX: usize = 240;
/// Steps of its transport that one leg tells: what a peer can repeat at will is bounded where it arises.
pub const LEG_STEPS_MAX: u8 = 40;
/// Streams of RTP of one port that the relay tells the core; a peer can change its SSRC with each packet.
pub const STREAMS_TOLD_MAX: u8 = 20;
/// Values that one label of a metric may have; further ones count as `other`.
pub const LABEL_VALUES_MAX: usize = 64;
/// Offers that the node makes in a row, so that each side of a call has the other's SRTP keys; then it gives both its own.
pub const KEY_EXCHANGES_MAX: u8 = 4;
/// SSRCs remembered as given up under one sender's keys. A stream that came back after its entry was replaced would begin at roll-over 0
/// again and repeat keystream (RFC 3711 9.1; with GCM, RFC 7714 10.1, that gives the authentication key away), so it is refused. So is
/// any new SSRC when as many are remembered: it could be one of those.
pub const SRTP_RETIRED_MAX: usize = 256;
/// SRTP contexts of former keys that a port keeps, for keys that come back. Beyond it the oldest goes, and under lent keys that seem new from
/// then on the node says nothing of its own: they could be those, and indices would be used twice.
pub const SRTP_CONTEXTS_KEPT_MAX: usize = 16;
/// Parties of a call of which is remembered that they were told one peer's SRTP keys; beyond it its keys are told to nobody any more.
pub const KEYS_TOLD_MAX: usize = 16;
/// Offers of other SRTP keys that a peer may refuse, where those it has are known to somebody who left the call; then the call ends.
pub const KEY_REFUSALS_MAX: u8 = 3;
/// DTLS handshakes that one leg without ICE has at the same time: until one has shown the right certificate, anybody who knows the port
/// may have begun one.
pub const DTLS_SOURCES_MAX: usize = 4;
/// Addresses from which one leg's peer may send checks. A browser has a handful of interfaces; the bound keeps a peer that knows
/// the password from growing the agent's tables.
pub const ICE_SOURCES_MAX: usize = 32;
/// Commands queued towards one relay worker. A worker empties its queue after each turn and never waits for the core, so whoever
/// commands more waits for microseconds at most.
pub const RELAY_COMMANDS_MAX: usize = 4_096;
/// Transaction timers that fire in one turn; the others fire in the next, which is asked for at once. So a burst of timers cannot fill the queue of steps.
pub const TIMEOUTS_PER_TURN_MAX: usize = 1_024;
/// Steps of the transaction layer that may wait to be polled; beyond it what is received is dropped, as a full network would.
pub const TRANSACTION_STEPS_MAX: usize = 65_536;
/// Octets of messages and keys that all transactions together may remember; beyond it the layer is full. Usual transactions take
/// one or two thousand octets, so the number of transactions is met first; a peer who sends headers of 32 kB meets this.
pub const TRANSACTION_OCTETS_MAX: usize = 256 << 20;
/// Longest key of the state journal, octets.
pub const JOURNAL_KEY_MAX: usize = 512;
/// Largest value of the state journal, octets.
pub const JOURNAL_VALUE_MAX: usize = 1 << 20;
/// Largest state journal, octets. 10,000 calls of 8 kB and 50,000 registrations of 1 kB, twice over, fit.
pub const JOURNAL_FILE_MAX: u64 = 512 << 20;
/// Call records held in the look-up; the oldest go first.
pub const LOOKUP_RECORDS_MAX: usize = 100_000;
/// Peer profiles, and device patterns, of one configuration.
pub const PROFILES_MAX: usize = 64;
/// Longest name of a peer profile, octets.
pub const PROFILE_NAME_MAX: usize = 64;
/// Rules of one peer profile.
pub const RULES_PER_PROFILE_MAX: usize = 128;
/// Conditions, and actions, of one rule.
pub const RULE_STEPS_MAX: usize = 32;
/// Memory of one compiled pattern of a rule, octets.
pub const RULE_PATTERN_OCTETS_MAX: usize = 1 << 20;
/// Longest value that a rule writes, octets.
pub const RULE_VALUE_MAX: usize = 2_048;
/// Forwards that an INVITE tells of in Diversion or History-Info; earlier ones are told, later ones are not.
pub const FORWARDS_TOLD_MAX: usize = 10;
/// Parts of a multipart body that rules look at; a body with more stays as it is.
pub const BODY_PARTS_MAX: usize = 16;
/// Lines of a message that a trial of rules compares one by one.
pub const TRIAL_LINES_MAX: usize = 1_000;
/// Sources that nobody knows and that are remembered; the one silent for longest makes room. A multiple of 8.
pub const SHIELD_SOURCES_MAX: usize = 16_384;
/// Sources where somebody proved himself; the one that did so the longest ago makes room.
pub const SHIELD_KNOWN_SOURCES_MAX: usize = 16_384;
/// Devices that proved themselves, by address and port; the one that did so the longest ago makes room.
pub const SHIELD_KNOWN_DEVICES_MAX: usize = 65_536;
/// Users remembered behind one source; the one that proved himself the longest ago makes room.
pub const SHIELD_USERS_PER_SOURCE_MAX: usize = 256;
/// Sources banned at once; the ban that ends first makes room.
pub const SHIELD_BANS_MAX: usize = 4_096;
/// Listeners whose unknown sources are counted together; those of further ones are counted as one.
pub const SHIELD_LISTENERS_MAX: usize = 64;
/// Buckets for wrong answers to challenges, by account; several accounts may share one.
pub const SHIELD_ACCOUNTS_MAX: usize = 1_024;
/// Sources that the node asked something, or that spoke inside a dialog, and of which nothing else is known; whose turn was the longest
/// ago makes room.
pub const SHIELD_EXPECTED_MAX: usize = 16_384;
/// Connections that one source may have open before any of them proved itself, handshakes included.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 128;
/// The same for a source where somebody proved himself before: a site behind one address comes back as a whole.
pub const CONNECTIONS_PER_KNOWN_SOURCE_MAX: usize = 4_096;

/// `a=crypto` lines of one media section that are read; phones write one to four.
pub const SDES_LINES_MAX: usize = 16;

const _: () = assert!(DNS_TTL_MIN.as_secs() <= DNS_ABSENT_MAX.as_secs() && DNS_ABSENT_MAX.as_secs() <= DNS_TTL_MAX.as_secs());
const _: () = assert!(SIP_HEAD_MAX + SIP_BODY_MAX <= SIP_MESSAGE_MAX);
const _: () = assert!(SDP_MAX <= SIP_BODY_MAX);
const _: () = assert!(MEDIA_PORTS_MAX >= 2 * CALLS_MAX + 2 * RECORDINGS_MAX);
const _: () = assert!(BINDINGS_PER_AOR_MAX <= SIP_LIST_VALUES_MAX);
const _: () = assert!(JOURNAL_VALUE_MAX as u64 * 4 < JOURNAL_FILE_MAX);
const _: () = assert!(RELAY_COMMANDS_MAX < RELAY_EVENTS_MAX);
const _: () = assert!(SHIELD_SOURCES_MAX.is_multiple_of(8));
const _: () = assert!(STRANGERS_QUEUE_MAX < CORE_QUEUE_MAX / 8);
const _: () = assert!(CONNECTIONS_PER_KNOWN_SOURCE_MAX < CONNECTIONS_MAX);
