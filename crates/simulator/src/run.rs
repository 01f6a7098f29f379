//! A run: the real `dispatch` among modelled hosts, under modelled time.
//!
//! # Contract
//! * **The same run gives the same commands at the same times**, and so the same figures.
//! * **It ends when every message is delivered or given up**, at its time limit, or when nothing more can happen.
//! * **Time stands still while anything is to be done at one instant**: disk, DNS and QUIT take none.

use std::time::Duration;

use remuda_clock::Wall;
use remuda_dispatch::{command::Command, settings::Settings};

use crate::{
    figures::Figures,
    plan::Plan,
    scenario::{Mail, Policy, Scenario},
    world::World,
};

/// What is run.
#[derive(Clone, Debug)]
pub struct Run<'p> {
    /// Among these.
    pub plan: &'p Plan,
    /// With this mail.
    pub mail: Mail,
    /// What `dispatch` goes by.
    pub settings: Settings,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// Of the modelled world; `dispatch` has its own in its settings.
    pub seed: u64,
    /// When to stop, whatever is left.
    pub duration: Option<Duration>,
    /// Wall time at the start.
    pub began: Wall,
    /// For the figures.
    pub policy: Option<Policy>,
}

impl<'p> Run<'p> {
    /// A scenario under a policy.
    pub fn new(scenario: &Scenario, plan: &'p Plan, policy: Policy) -> Self {
        Run {
            plan,
            mail: scenario.mail,
            settings: scenario.policy.settings(policy, scenario.seed),
            connect_timeout: scenario.policy.connect_timeout(),
            seed: scenario.seed,
            duration: scenario.duration,
            began: BEGAN,
            policy: Some(policy),
        }
    }

    /// Runs it. `watch` is told of every command, with the time since the start.
    pub fn go(self, watch: &mut dyn FnMut(Duration, &Command)) -> Figures {
        World::new(self, watch).run()
    }
}

/// Some day.
const BEGAN: Wall = Wall(1_800_000_000_000);

#[cfg(test)]
mod tests;
