//! What the web needs of the node. The node implements it over its core thread and its configuration snapshot.

use crate::model::TimelineView;
use ringfort_base::{CallId, SourceNet};
use ringfort_call::status::Status;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The node as the web sees it.
///
/// No method may wait for a call: `status`, `uptime_s`, `version` and `phone_account` are called on the threads that
/// serve HTTP and must answer at once; the others are called on a thread that may block.
pub trait Backend: Send + Sync + 'static {
    /// The latest snapshot. The same `Arc` as long as nothing changed, so that watchers can tell by the pointer.
    fn status(&self) -> Arc<Status>;
    /// Seconds since the process started.
    fn uptime_s(&self) -> u64;
    /// Version of the binary.
    fn version(&self) -> String;
    /// What the web phone of `user` needs to register, or `None` when no such account may use it.
    fn phone_account(&self, user: &str) -> Option<PhoneAccount>;
    /// Whether `password` is the password of the account `user`. Unknown users yield `false`.
    fn verify_user_password(&self, user: &str, password: &str) -> bool;
    /// What happened in a call, with personal data masked or not. `None`: it is not known, or was over too long ago.
    fn timeline(&self, call: CallId, anonymous: bool) -> Option<TimelineView>;
    /// Ends a call. `false` when there is no such call.
    fn hang_up(&self, call: CallId) -> bool;
    /// Lifts a ban. `false` when that source is not banned.
    fn unban(&self, source: SourceNet) -> bool;
    /// Reads the configuration again. The error names file, line and rule.
    fn reload(&self) -> Result<(), String>;
    /// The metrics in the Prometheus text format.
    fn metrics(&self) -> String;
}

/// A web phone's account. It carries a password equivalent (RFC 7616 3.4.2, `H(A1)`), so it goes to its owner only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
pub struct PhoneAccount {
    /// Address of record: `sip:101@example.com`.
    pub uri: String,
    /// Digest realm.
    pub realm: String,
    /// Digest user name.
    pub username: String,
    /// Name shown to the called party.
    pub display_name: String,
    /// MD5 of `username:realm:password`, hexadecimal.
    pub ha1_md5: String,
    /// Path of the SIP WebSocket on this host: `/sip` (RFC 7118).
    pub ws_path: String,
    /// What begins the numbers of conferences, one to eight digits follow; empty: the node has none.
    pub conference: String,
}
