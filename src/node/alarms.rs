//! Fast paths that are wanted and are not there, told to the core as alarms.

use crate::core::CoreHandle;
use ringfort_call::Input;
use ringfort_call::alarms::Alarm;
use ringfort_relay::Relay;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How often the relay is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells the core now, and whenever something began or ended, as long as the process lives.
pub fn watch(relay: Arc<Relay>, core: CoreHandle, runtime: &Handle) {
    runtime.spawn(async move {
        let mut told = Vec::new();
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let now: Vec<Alarm> = relay.faults().into_iter().map(|(name, reason)| Alarm { name, reason }).collect();
            // While the core is that far behind it is told the next time.
            if now != told && core.offer(Input::Alarms(now.clone())) {
                told = now;
            }
        }
    });
}
