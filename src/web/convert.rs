//! From the node's values to the API's shapes. Every field is named on both sides, so that a field added to `Status`
//! without a decision about the API does not compile.

use crate::model::{
    AlarmView, BanView, CallView, LimitView, MissingView, ModeView, OwnCallView, OwnCallsView, PeerView, QualityView, RecordView,
    RecordingView, RegistrationView, STATUS_LIST_MAX, StatusView, TotalsView, TransportView,
};
use ringfort_base::event::{CallRecord, LegQuality, MissingAudio, Mode, RecordingNote};
use ringfort_base::{CallId, Transport};
use ringfort_call::status::{
    AlarmStatus, BanStatus, CallStatus, LimitStatus, PeerStatus, RegistrationStatus, SeatStatus, Status, Totals,
};

impl StatusView {
    /// The view of `status` with the process's own facts. Lists are cut at [`STATUS_LIST_MAX`]; counts are whole.
    pub fn new(status: &Status, version: String, uptime_s: u64) -> StatusView {
        let Status {
            node,
            mode,
            mode_since,
            mode_reason,
            cloud,
            trunks,
            registrations,
            subscriptions,
            calls,
            recent,
            alarms,
            bans,
            totals,
            limits,
            // For their users, not for administrators.
            seats: _,
        } = status;
        StatusView {
            node: node.clone(),
            version,
            uptime_s,
            mode: (*mode).into(),
            mode_since: mode_since.0,
            mode_reason: mode_reason.clone(),
            cloud: cloud.as_ref().map(Into::into),
            trunks: trunks.iter().map(Into::into).collect(),
            registrations: registrations.iter().take(STATUS_LIST_MAX).map(Into::into).collect(),
            registration_count: registrations.len(),
            subscriptions: *subscriptions,
            calls: calls.iter().take(STATUS_LIST_MAX).map(Into::into).collect(),
            call_count: calls.len(),
            recent: recent.iter().take(STATUS_LIST_MAX).map(Into::into).collect(),
            alarms: alarms.iter().map(Into::into).collect(),
            bans: bans.iter().take(STATUS_LIST_MAX).map(Into::into).collect(),
            totals: (*totals).into(),
            limits: limits.iter().take(STATUS_LIST_MAX).map(Into::into).collect(),
        }
    }
}

impl From<Mode> for ModeView {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Standalone => ModeView::Standalone,
            Mode::Normal => ModeView::Normal,
            Mode::Survivable => ModeView::Survivable,
        }
    }
}

impl From<Transport> for TransportView {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => TransportView::Udp,
            Transport::Tcp => TransportView::Tcp,
            Transport::Tls => TransportView::Tls,
            Transport::Ws => TransportView::Ws,
            Transport::Wss => TransportView::Wss,
        }
    }
}

impl From<&PeerStatus> for PeerView {
    fn from(peer: &PeerStatus) -> Self {
        let PeerStatus { name, address, transport, up, since, reason, round_trip_ms, calls } = peer;
        PeerView {
            name: name.clone(),
            address: address.clone(),
            transport: (*transport).into(),
            up: *up,
            since: since.0,
            reason: reason.clone(),
            round_trip_ms: *round_trip_ms,
            calls: *calls,
        }
    }
}

impl From<&RegistrationStatus> for RegistrationView {
    fn from(registration: &RegistrationStatus) -> Self {
        let RegistrationStatus { aor, transport, source, user_agent, expires, by_cloud } = registration;
        RegistrationView {
            aor: aor.reveal().clone(),
            transport: (*transport).into(),
            source: source.reveal().clone(),
            user_agent: user_agent.clone(),
            expires: expires.0,
            by_cloud: *by_cloud,
        }
    }
}

impl From<LegQuality> for QualityView {
    fn from(quality: LegQuality) -> Self {
        let LegQuality { lost, jitter_max_us, round_trip_us, missed, mos, mos_told } = quality;
        QualityView { lost, jitter_max_us, round_trip_us, missed, mos, mos_told }
    }
}

impl From<&MissingAudio> for MissingView {
    fn from(missing: &MissingAudio) -> Self {
        let MissingAudio { cause, detail, seconds } = missing;
        MissingView { cause: cause.clone(), detail: detail.reveal().clone(), seconds: *seconds }
    }
}

fn missing_views(missing: &[Option<MissingAudio>; 2]) -> [Option<MissingView>; 2] {
    missing.each_ref().map(|missing| missing.as_ref().map(MissingView::from))
}

impl From<&AlarmStatus> for AlarmView {
    fn from(alarm: &AlarmStatus) -> Self {
        let AlarmStatus { name, reason, since } = alarm;
        AlarmView { name: name.clone(), reason: reason.clone(), since: since.0 }
    }
}

impl From<&LimitStatus> for LimitView {
    fn from(limit: &LimitStatus) -> Self {
        let LimitStatus { holder, calls, calls_max, per_second_max, peak, kbit, kbit_max, refused, measured } = limit.clone();
        LimitView { holder, calls, calls_max, per_second_max, peak, kbit, kbit_max, refused, measured }
    }
}

impl OwnCallsView {
    /// What clients of `user` have.
    pub fn new(status: &Status, user: &str) -> OwnCallsView {
        let own = |seat: &&SeatStatus| seat.user.reveal() == user;
        let is_client =
            |registration: &&RegistrationStatus| registration.aor.reveal().rsplit_once('@').is_some_and(|(own, _)| own == user);
        OwnCallsView {
            calls: status.seats.iter().filter(own).map(OwnCallView::from).collect(),
            devices: status.registrations.iter().filter(is_client).count(),
        }
    }
}

impl From<&SeatStatus> for OwnCallView {
    fn from(seat: &SeatStatus) -> Self {
        let SeatStatus { user: _, call: _, call_id, node_tag, client_tag, outgoing, peer, peer_name, held, answered } = seat;
        OwnCallView {
            call_id: call_id.reveal().clone(),
            node_tag: node_tag.clone(),
            client_tag: client_tag.clone(),
            outgoing: *outgoing,
            peer: peer.reveal().clone(),
            peer_name: peer_name.reveal().clone(),
            held: *held,
            answered: answered.0,
        }
    }
}

impl From<&CallStatus> for CallView {
    fn from(status: &CallStatus) -> Self {
        let CallStatus {
            call,
            from,
            to,
            state,
            route,
            target,
            started,
            answered,
            media,
            packets,
            quality,
            tier,
            tier_program,
            tier_cause,
            tier_reason,
            missing,
            recording,
        } = status;
        CallView {
            call: call.to_string(),
            from: from.reveal().clone(),
            to: to.reveal().clone(),
            state: state.clone(),
            route: route.clone(),
            target: target.clone(),
            started: started.0,
            answered: answered.map(|at| at.0),
            media: media.clone(),
            packets: *packets,
            quality: quality.map(QualityView::from),
            tier: tier.clone(),
            tier_program: tier_program.clone(),
            tier_cause: tier_cause.clone(),
            tier_reason: tier_reason.clone(),
            missing: missing_views(missing),
            recording: recording.clone(),
        }
    }
}

impl From<&CallRecord> for RecordView {
    fn from(record: &CallRecord) -> Self {
        let CallRecord {
            call,
            from,
            to,
            route,
            mode,
            source,
            started,
            answered,
            ended,
            status,
            cause,
            reroutes,
            packets,
            quality,
            missing,
            recordings,
        } = record;
        RecordView {
            call: call.to_string(),
            from: from.reveal().clone(),
            to: to.reveal().clone(),
            route: route.clone(),
            mode: (*mode).into(),
            source: source.clone(),
            started: started.0,
            answered: answered.map(|at| at.0),
            ended: ended.0,
            status: *status,
            cause: cause.clone(),
            reroutes: *reroutes,
            packets: *packets,
            quality: quality.map(QualityView::from),
            missing: missing_views(missing),
            recordings: recordings.iter().map(RecordingView::from).collect(),
        }
    }
}

impl From<&RecordingNote> for RecordingView {
    fn from(note: &RecordingNote) -> Self {
        let RecordingNote { recorder, began, ended, cause } = note;
        RecordingView { recorder: recorder.clone(), began: began.map(|at| at.0), ended: ended.0, cause: cause.clone() }
    }
}

impl From<&BanStatus> for BanView {
    fn from(ban: &BanStatus) -> Self {
        let BanStatus { source, reason, until } = ban;
        BanView { source: source.reveal().to_string(), reason: reason.clone(), until: until.0 }
    }
}

impl From<Totals> for TotalsView {
    fn from(totals: Totals) -> Self {
        let Totals {
            messages_in,
            messages_out,
            messages_rejected,
            calls,
            calls_answered,
            calls_failed,
            registers,
            auth_failures,
            dropped_unknown,
        } = totals;
        TotalsView {
            messages_in,
            messages_out,
            messages_rejected,
            calls,
            calls_answered,
            calls_failed,
            registers,
            auth_failures,
            dropped_unknown,
        }
    }
}

/// Reads a call's id as the API writes it: `c` and hexadecimal digits.
pub fn call_id(text: &str) -> Option<CallId> {
    let digits = text.strip_prefix('c')?;
    // `from_str_radix` would take a sign.
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok().map(CallId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_round_trip() {
        for id in [0, 31, u64::MAX] {
            assert_eq!(call_id(&CallId(id).to_string()), Some(CallId(id)));
        }
        for bad in ["", "c", "1f", "c+1", "c-1", "cg", "c1ffffffffffffffff", "c1 "] {
            assert_eq!(call_id(bad), None, "{bad}");
        }
    }
}
