//! A night between two busy hours: little happens for long. Calls last for hours, sessions and registrations are refreshed, peers are
//! asked whether they live; and now and then something breaks, and is mended.

use crate::actor::Temper;
use crate::campaign::Campaign;
use crate::network::Faults;
use crate::settings::Settings;
use crate::ua::Habits;
use ringfort_base::Time;
use std::time::Duration;

/// Hours of a night, from and to.
const HOURS: (u64, u64) = (6, 11);
/// Between two troubles, at most.
const QUIET_MS: u64 = 2 * 3_600_000;
/// Something that broke is broken for so long at most.
const BROKEN_MS: u64 = 20 * 60_000;

impl Campaign {
    /// Some hours of quiet, with a little trouble.
    pub fn night(&mut self) {
        if self.world.checks.failed() {
            return;
        }
        let hours = HOURS.0 + self.dice.below(HOURS.1 - HOURS.0 + 1);
        let dawn = self.world.now + Duration::from_secs(hours * 3_600);
        self.settings = Settings::draw_night(&mut self.dice);
        self.world.reload(&self.settings.text());
        let day = self.fall_asleep();
        while self.world.now < dawn && !self.world.checks.failed() {
            let pause = self.dice.below(QUIET_MS);
            self.rest_until(dawn, pause);
            self.something_happens(dawn);
        }
        self.wake_up(day);
    }

    fn rest_until(&mut self, dawn: Time, pause_ms: u64) {
        self.world.run_until((self.world.now + Duration::from_millis(pause_ms)).min(dawn));
        self.world.ensure_journal();
    }

    fn something_happens(&mut self, dawn: Time) {
        match self.dice.below(8) {
            0 => self.restart(),
            1 => self.reload(),
            2 => self.toggle_cloud(),
            3 => self.world.break_flow(2),
            4 => self.crash(),
            5 => self.cable(dawn),
            6 => self.storm(dawn),
            _ => {}
        }
    }

    /// Some peer's cable is pulled for a while.
    fn cable(&mut self, dawn: Time) {
        let index = self.dice.below(self.world.actors.len() as u64) as usize;
        let actor = &mut self.world.actors[index];
        let address = actor.ua.address;
        actor.harmed = true;
        self.deaths += 1;
        self.world.checks.trace(|| format!("{address} is cut off"));
        self.world.network.cut.insert(address);
        let pause = self.dice.below(BROKEN_MS);
        self.rest_until(dawn, pause);
        self.world.network.cut.clear();
    }

    /// The network is bad for a while, or good, if it was bad; where bounds of time are to hold it stays as it is.
    fn storm(&mut self, dawn: Time) {
        if self.clean {
            return;
        }
        let usual = self.world.network.faults;
        self.world.network.faults = match self.dice.chance(500) {
            true => Faults { loss_per_mille: 400, late_per_mille: 200, ..usual },
            false => Faults { loss_per_mille: 0, late_per_mille: 0, ..usual },
        };
        let pause = self.dice.below(BROKEN_MS);
        self.rest_until(dawn, pause);
        self.world.network.faults = usual;
    }

    /// Everybody does less, and for longer. What they are like by day.
    fn fall_asleep(&mut self) -> Vec<(Temper, u32, Habits)> {
        let now = self.world.now;
        let clouds = self.world.cloud.iter_mut().map(|cloud| &mut cloud.actor);
        let mut day = Vec::new();
        for actor in self.world.actors.iter_mut().chain(clouds) {
            day.push((actor.temper.clone(), actor.expires_s, actor.ua.habits));
            let habits = Habits { session_s: 900, watch_s: 3_600, ..actor.ua.habits };
            actor.turn(now, actor.temper.at_night(), 1_800 + self.dice.below(1_800) as u32, habits);
        }
        day
    }

    fn wake_up(&mut self, day: Vec<(Temper, u32, Habits)>) {
        let now = self.world.now;
        let clouds = self.world.cloud.iter_mut().map(|cloud| &mut cloud.actor);
        for (actor, (temper, expires_s, habits)) in self.world.actors.iter_mut().chain(clouds).zip(day) {
            actor.turn(now, temper, expires_s, habits);
        }
        self.settings = Settings::draw(&mut self.dice);
        self.world.reload(&self.settings.text());
    }
}
