//! The checked configuration: references resolved, numbers in range, passwords turned into digest verifiers.

use super::{
    Account, AccountSection, CloudSection, Config, ConfigError, DidSection, DnsSection, EmergencySection, GroupSection,
    LimitsSection, MediaSection, MediaTier, NodeSection, NumbersSection, PeerProfile, PeerRef, ProfileFiles, Profiles,
    RealmSection, RecorderSection, RecordingSection, RouteSection, ServicesSection, ShieldSection, SipSection, SoundSection,
    TlsSection, TrunkSection, WebSection,
};
use ringfort_base::{Transport, limits};
use ringfort_media::repertoire::Repertoire;
use ringfort_media::{Digits, Policy};
use ringfort_sip::digest::Ha1;
use ringfort_sip::uri::{Uri, escape_user};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use zeroize::Zeroizing;

/// One immutable configuration. Routing, explanation and replay read the same one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Who the node is.
    pub node: NodeSection,
    /// Signalling.
    pub sip: SipSection,
    /// Page and API.
    pub web: WebSection,
    /// Names of peers.
    pub dns: DnsSection,
    /// SIP over TLS.
    pub tls: TlsSection,
    /// Audio.
    pub media: MediaSection,
    /// The hosted PBX.
    pub cloud: Option<CloudSection>,
    /// Further networks.
    pub realms: Vec<RealmSection>,
    /// Carriers.
    pub trunks: Vec<TrunkSection>,
    /// Accounts by extension.
    pub accounts: BTreeMap<String, Account>,
    /// How numbers are written.
    pub numbers: NumbersSection,
    /// Outside numbers of extensions.
    pub dids: Vec<DidSection>,
    /// Groups of trunks.
    pub groups: Vec<GroupSection>,
    /// How many calls there may be.
    pub limits: LimitsSection,
    /// Routes, first match first.
    pub routes: Vec<RouteSection>,
    /// Emergency numbers.
    pub emergency: EmergencySection,
    /// Own services.
    pub services: ServicesSection,
    /// Sounds that callers may hear.
    pub sounds: Vec<SoundSection>,
    /// Who records.
    pub recorders: Vec<RecorderSection>,
    /// Which calls are recorded, first match first.
    pub recordings: Vec<RecordingSection>,
    /// What each kind of peer needs.
    pub profiles: Profiles,
    /// What unknown sources may send.
    pub shield: ShieldSection,
}

impl Snapshot {
    /// Reads and checks a file's text. `secret` yields the password of an account that has none in the file.
    pub fn load(
        name: &str,
        text: &str,
        secret: &mut dyn FnMut(&str) -> Option<Zeroizing<String>>,
    ) -> Result<Arc<Snapshot>, ConfigError> {
        Snapshot::load_with(name, text, secret, &mut |_| None)
    }

    /// The same with files of peer profiles beside the configuration.
    pub fn load_with(
        name: &str,
        text: &str,
        secret: &mut dyn FnMut(&str) -> Option<Zeroizing<String>>,
        files: ProfileFiles<'_>,
    ) -> Result<Arc<Snapshot>, ConfigError> {
        let mut config = Config::parse(name, text)?;
        Check { name, text, config: &config }.run()?;
        let profiles = Profiles::resolve(name, text, &config, files)?;
        let realm = config.node.domain.clone();
        let mut accounts = BTreeMap::new();
        for (index, section) in std::mem::take(&mut config.account).into_iter().enumerate() {
            let Some(password) = section.password.or_else(|| secret(&section.user)) else {
                let message = format!("account `{}` has no password", section.user);
                return Err(ConfigError::in_section(name, text, "account", index, message));
            };
            let ha1 = Ha1::new(&section.user, &realm, &password);
            let AccountSection { display_name, forward, also_ring, alternative, pickup_group, parks, .. } = section;
            let user = section.user.clone();
            let account = Account { user, display_name, ha1, forward, also_ring, alternative, pickup_group, parks };
            accounts.insert(section.user, account);
        }
        let snapshot = Snapshot {
            node: config.node,
            sip: config.sip,
            web: config.web,
            dns: config.dns,
            tls: config.tls,
            media: config.media,
            cloud: config.cloud,
            realms: config.realm,
            trunks: config.trunk,
            accounts,
            numbers: config.numbers,
            dids: config.did,
            groups: config.group,
            limits: config.limits,
            routes: config.route,
            emergency: config.emergency,
            services: config.services,
            sounds: config.sound,
            recorders: config.recorder,
            recordings: config.recording,
            profiles,
            shield: config.shield,
        };
        super::expect::check(name, text, &config.expect, &snapshot)?;
        Ok(Arc::new(snapshot))
    }

    /// The realm of this name.
    pub fn realm(&self, name: &str) -> Option<&RealmSection> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// The trunk of this name.
    pub fn trunk(&self, name: &str) -> Option<&TrunkSection> {
        self.trunks.iter().find(|t| t.name == name)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&GroupSection> {
        self.groups.iter().find(|g| g.name == name)
    }

    /// What a leg does with a peer of this profile.
    pub fn policy_of(&self, profile: &PeerProfile) -> Policy {
        let repertoire = match (&profile.codecs, self.media.transcode) {
            (_, false) => Repertoire::Pass,
            (Some(codecs), true) => Repertoire::Only(codecs.clone()),
            (None, true) => Repertoire::Common,
        };
        let digits = if self.media.transcode { profile.dtmf } else { Digits::Auto };
        Policy { security: profile.security(), repertoire, digits }
    }

    /// What this peer needs; the defaults where no profile is named for it.
    pub fn profile_of<'a>(&self, peer: impl Into<PeerRef<'a>>) -> &Arc<PeerProfile> {
        self.profiles.of(peer.into())
    }

    /// Whether identities that this peer asserts are believed and told to it (RFC 3325 2.3). Devices are not trusted.
    pub fn trusts<'a>(&self, peer: impl Into<PeerRef<'a>>) -> bool {
        match peer.into() {
            PeerRef::Cloud => self.cloud.as_ref().is_some_and(|cloud| cloud.trusted),
            PeerRef::Trunk(name) => self.trunk(name).is_some_and(|trunk| trunk.trusted),
            PeerRef::Device(_) | PeerRef::Recorder => false,
        }
    }

    /// Domain that the cloud knows its users by.
    pub fn cloud_domain(&self) -> &str {
        self.cloud.as_ref().and_then(|c| c.domain.as_deref()).unwrap_or(&self.node.domain)
    }
}

/// Whether a domain can stand behind the @ of a SIP URI and in a realm.
fn is_host(domain: &str) -> bool {
    Uri::parse(&format!("sip:{domain}")).is_ok_and(|uri| uri == Uri::sip(None, uri.host.clone(), None))
}

/// Rules across sections.
pub(super) struct Check<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) config: &'a Config,
}

impl Check<'_> {
    fn run(&self) -> Result<(), ConfigError> {
        self.ranges()?;
        self.unique()?;
        self.peers()?;
        self.realms()?;
        self.recording()?;
        self.routing()
    }

    pub(super) fn fail<T>(&self, section: &str, index: usize, message: String) -> Result<T, ConfigError> {
        Err(ConfigError::in_section(self.name, self.text, section, index, message))
    }

    fn ranges(&self) -> Result<(), ConfigError> {
        let (sip, media) = (&self.config.sip, &self.config.media);
        if sip.listen.is_empty() {
            return self.fail("sip", 0, "`listen` names no listener".into());
        }
        if sip.expires_min_s == 0 || sip.expires_min_s > sip.expires_max_s {
            return self.fail("sip", 0, "`expires_min_s` must be at least 1 and at most `expires_max_s`".into());
        }
        if sip.nonce_s < 10 {
            return self.fail("sip", 0, "`nonce_s` must be at least 10: a challenge has to live until it is answered".into());
        }
        let cloud_domain = self.config.cloud.as_ref().and_then(|cloud| cloud.domain.as_ref());
        for (section, domain) in [("node", Some(&self.config.node.domain)), ("cloud", cloud_domain)] {
            if let Some(domain) = domain.filter(|domain| !is_host(domain)) {
                return self.fail(section, 0, format!("`{domain}` is no domain"));
            }
        }
        if !(1..=180).contains(&sip.serial_ring_s) {
            return self.fail("sip", 0, "`serial_ring_s` must lie between 1 and 180".into());
        }
        if !(1_000..=60_000).contains(&sip.progress_timeout_ms) {
            return self.fail("sip", 0, "`progress_timeout_ms` must lie between 1000 and 60000".into());
        }
        if !(50..=2_000).contains(&sip.t1_ms) {
            return self.fail("sip", 0, "`t1_ms` must lie between 50 and 2000".into());
        }
        if let Some(uri) = sip.service_route.iter().find(|uri| !Uri::parse(uri).is_ok_and(|uri| uri.is_sip())) {
            return self.fail("sip", 0, format!("`{uri}` in `service_route` is no SIP URI"));
        }
        if sip.session_min_s < 90 || (sip.session_expires_s != 0 && sip.session_expires_s < sip.session_min_s) {
            let message = "`session_min_s` must be at least 90 and at most `session_expires_s`, unless that is 0";
            return self.fail("sip", 0, message.into());
        }
        if media.port_first < 1024 || media.port_last < media.port_first.saturating_add(3) {
            return self.fail("media", 0, "`port_first` must be at least 1024, with 4 ports or more to `port_last`".into());
        }
        let aside = media.shared_port().is_some_and(|port| (media.port_first..=media.port_last).contains(&port));
        if aside && media.port_last - media.port_first < 5 {
            return self.fail(
                "media",
                0,
                "with `webrtc_port` among them it takes 6 ports or more from `port_first` to `port_last`".into(),
            );
        }
        if media.webrtc_port.is_some_and(|port| (1..1024).contains(&port)) {
            return self.fail("media", 0, "`webrtc_port` must be 0 or at least 1024".into());
        }
        let marks = [("media", "dscp", media.dscp), ("media", "dscp_video", media.dscp_video), ("sip", "dscp", sip.dscp)];
        for (section, key, dscp) in marks {
            if dscp > 63 {
                return self.fail(section, 0, format!("`{key}` must lie between 0 and 63"));
            }
        }
        if media.gather_us > limits::RELAY_GATHER_US_MAX {
            return self.fail("media", 0, format!("`gather_us` is {} at most", limits::RELAY_GATHER_US_MAX));
        }
        if media.af_xdp.len() > limits::AF_XDP_INTERFACES_MAX {
            return self.fail("media", 0, format!("`af_xdp` takes {} interfaces at most", limits::AF_XDP_INTERFACES_MAX));
        }
        // IFNAMSIZ of linux/if.h, less its terminator.
        let is_name = |name: &String| (1..16).contains(&name.len()) && !name.contains(['/', ' ', '\0']);
        if let Some(name) = media.af_xdp.iter().find(|name| !is_name(name)) {
            return self.fail("media", 0, format!("`af_xdp`: {name:?} is no name of an interface"));
        }
        if !media.af_xdp.is_empty() && media.tier == MediaTier::Sockets {
            return self.fail("media", 0, "`af_xdp` and `tier = \"sockets\"` contradict each other".into());
        }
        if let Some(fault) = self.config.shield.fault() {
            return self.fail("shield", 0, fault.into());
        }
        if self.config.tls.certificate.is_some() != self.config.tls.key.is_some() {
            return self.fail("tls", 0, "`certificate` and `key` go together".into());
        }
        if self.config.web.certificate.is_some() != self.config.web.key.is_some() {
            return self.fail("web", 0, "`certificate` and `key` go together".into());
        }
        Ok(())
    }

    fn unique(&self) -> Result<(), ConfigError> {
        let mut users = HashSet::new();
        for (index, account) in self.config.account.iter().enumerate() {
            let user = &account.user;
            if user.is_empty() || !user.chars().all(|c| c.is_ascii_alphanumeric() || "+-_.".contains(c)) {
                return self.fail("account", index, format!("`{user}` is no extension: letters, digits and + - _ . only"));
            }
            if !users.insert(user) {
                return self.fail("account", index, format!("account `{user}` stands twice"));
            }
        }
        let mut trunks = HashSet::new();
        for (index, trunk) in self.config.trunk.iter().enumerate() {
            if trunk.name.is_empty() || !trunks.insert(&trunk.name) {
                return self.fail("trunk", index, format!("trunk name `{}` is empty or stands twice", trunk.name));
            }
        }
        Ok(())
    }

    fn peers(&self) -> Result<(), ConfigError> {
        let transports = self.config.trunk.iter().enumerate().map(|(index, trunk)| ("trunk", index, trunk.transport));
        for (section, index, transport) in self.config.cloud.iter().map(|cloud| ("cloud", 0, cloud.transport)).chain(transports) {
            if matches!(transport, Some(Transport::Ws | Transport::Wss)) {
                return self.fail(section, index, "`transport` is udp, tcp or tls: the node opens no WebSocket".into());
            }
        }
        for (index, trunk) in self.config.trunk.iter().enumerate() {
            let bad_user = |user: &str| user.is_empty() || escape_user(user) != user;
            if trunk.contact_user().is_some_and(bad_user) {
                return self.fail("trunk", index, "`contact_user` or `register.user` is no user part of a URI".into());
            }
            if trunk.domain.as_ref().is_some_and(|domain| domain.port.is_some()) {
                return self.fail("trunk", index, "`domain` is a name without port".into());
            }
            if trunk.sources.len() > limits::TRUNK_SOURCES_MAX {
                return self.fail("trunk", index, format!("`sources` names more than {}", limits::TRUNK_SOURCES_MAX));
            }
            let Some(register) = &trunk.register else { continue };
            if register.user.is_empty() || !(60..=86_400).contains(&register.expires_s) {
                let message = "`register` needs a `user`, and `expires_s` between 60 and 86400";
                return self.fail("trunk", index, message.into());
            }
        }
        let bad = |interval: u32, patience: u32| (interval != 0 && interval < 100) || patience < 100;
        if let Some(cloud) = &self.config.cloud
            && (cloud.options_interval_ms == 0 || bad(cloud.options_interval_ms, cloud.patience_ms))
        {
            return self.fail("cloud", 0, "`options_interval_ms` and `patience_ms` must be at least 100".into());
        }
        for (index, trunk) in self.config.trunk.iter().enumerate() {
            if bad(trunk.options_interval_ms, trunk.patience_ms) {
                let message = "`options_interval_ms` must be 0 or at least 100, `patience_ms` at least 100";
                return self.fail("trunk", index, message.into());
            }
        }
        Ok(())
    }

    pub(super) fn known_trunk(&self, section: &str, index: usize, name: &str) -> Result<(), ConfigError> {
        if self.config.trunk.iter().any(|t| t.name == name) {
            return Ok(());
        }
        let known: Vec<&str> = self.config.trunk.iter().map(|t| t.name.as_str()).collect();
        self.fail(section, index, format!("no trunk is named `{name}`; known: {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::DigestName;
    use super::*;

    fn load(text: &str) -> Result<Arc<Snapshot>, ConfigError> {
        Snapshot::load("test.toml", text, &mut |_| Some(Zeroizing::new("made".into())))
    }

    fn refusal(text: &str) -> String {
        load(text).map(|_| ()).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let snapshot = load("").expect("defaults");
        assert_eq!(snapshot.services.echo, "*43");
        assert!(snapshot.cloud.is_none());
    }

    #[test]
    fn an_unknown_key_names_line_and_nearest() {
        let refused = refusal("[node]\nname = \"a\"\n\n[sip]\nlistn = []\n");
        assert_eq!(refused, "test.toml:5: unknown key `listn` (did you mean `listen`?)");
        let refused = refusal("[[trunk]]\nname=\"a\"\naddress=\"10.0.0.1:5060\"\noption_interval_ms=5\n");
        assert!(refused.starts_with("test.toml:4:") && refused.contains("`options_interval_ms`"), "{refused}");
    }

    #[test]
    fn an_unknown_section_is_refused() {
        assert!(refusal("[sips]\n").contains("did you mean `sip`?"));
    }

    #[test]
    fn references_are_checked_with_their_line() {
        let text = "[[trunk]]\nname=\"a\"\naddress=\"10.0.0.1:5060\"\n[[route]]\nname=\"out\"\nnumber=\"0*\"\nto=[\"trunk:b\"]\n";
        assert_eq!(refusal(text), "test.toml:4: no trunk is named `b`; known: a");
        assert!(refusal("[[route]]\nname=\"c\"\nnumber=\"*\"\nto=[\"cloud\"]\n").contains("there is no [cloud]"));
    }

    #[test]
    fn duplicates_and_ranges() {
        let twice = "[[account]]\nuser=\"101\"\n# again\n[[account]]\nuser=\"101\"\n";
        assert_eq!(refusal(twice), "test.toml:4: account `101` stands twice");
        assert!(refusal("[media]\nport_first=2000\nport_last=2001\n").contains("4 ports"));
        assert!(refusal("[media]\ndscp = 64\n").contains("63"));
        assert!(refusal("[media]\ndscp_video = 64\n").contains("`dscp_video`"));
        assert!(refusal("[media]\ngather_us = 5001\n").contains("5000 at most"));
        assert!(refusal("[media]\naf_xdp = [\"eth0\", \"eth/1\"]\n").contains("eth/1"));
        assert!(refusal("[media]\naf_xdp = [\"an-interface-with-a-long-name\"]\n").contains("no name"));
        assert!(refusal("[media]\ntier = \"sockets\"\naf_xdp = [\"eth0\"]\n").contains("contradict"));
        assert!(refusal("[sip]\nlisten=[\"upd:0.0.0.0:5060\"]\n").contains("`upd` is not udp"));
        assert!(refusal("[cloud]\naddress=\"no where:x\"\n").contains("not host or host:port"));
        assert!(refusal("[sip]\nnonce_s=0\n").contains("at least 10"));
        for domain in ["", "a b", "a>", "a;x=1", "101@a", "a:5060"] {
            assert!(refusal(&format!("[node]\ndomain=\"{domain}\"\n")).contains("is no domain"), "{domain}");
        }
    }

    #[test]
    fn a_profile_is_found_by_peer_and_by_user_agent() {
        let text = "[[profile]]\nname=\"old\"\ndigest=[\"MD5\"]\n[[device]]\nuser_agent=\"Yea*\"\nprofile=\"old\"\n\
                    [[trunk]]\nname=\"a\"\naddress=\"10.0.0.1:5060\"\nprofile=\"generic\"\n[cloud]\naddress=\"10.0.0.2:5060\"\n";
        let snapshot = load(text).expect("sound");
        assert_eq!(snapshot.profile_of(PeerRef::Device("yealink SIP-T46")).digest, [DigestName::Md5]);
        assert_eq!(snapshot.profile_of(PeerRef::Trunk("a")).name, "generic");
        assert_eq!(snapshot.profile_of(PeerRef::Device("Snom")).digest.len(), 2);
        assert!(snapshot.trusts(PeerRef::Cloud) && !snapshot.trusts(PeerRef::Trunk("a")));
        let text = "[[device]]\nuser_agent=\"*\"\nprofile=\"gneric\"\n";
        assert!(refusal(text).starts_with("test.toml:1: no profile is named `gneric`"));
    }

    #[test]
    fn the_generic_profile_says_the_defaults() {
        let generic = super::super::find_profile("generic", &mut |_| None).expect("sound").expect("shipped");
        let defaults = PeerProfile { name: "generic".into(), description: generic.description.clone(), ..PeerProfile::default() };
        assert_eq!(format!("{generic:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn debug_shows_no_password() {
        let snapshot = load("[[account]]\nuser=\"101\"\npassword=\"s3cret-word\"\n").expect("good");
        assert!(!format!("{snapshot:?}").contains("s3cret-word"));
    }
}
