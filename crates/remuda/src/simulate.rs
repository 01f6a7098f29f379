//! `remuda simulate`: what a policy does to slow, dead and limiting hosts, in seconds.
//!
//! # Contract
//! * **A bad scenario ends with 78** and a line `FILE:LINE: KEY: message`.
//! * **Without a policy three run side by side**: count 10, time 300 s, adaptive.
//! * **Flags make the scenario that no file gives**, and change messages, sessions and seed of one that is given.
//!
//! # Not here
//! What is modelled and how: `remuda_simulator`.

mod shown;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use remuda_simulator::{Figures, Log, Plan, Run, Scenario, plot};

use crate::{
    cli::{PolicyArgument, SimulateArguments},
    exit::{Exit, Failure},
    print,
};

/// Runs a scenario under each policy asked for, and shows the figures.
///
/// # Errors
/// The scenario is wrong, a log of several policies is asked for, or a file cannot be written.
pub fn run(arguments: &SimulateArguments) -> Result<(), Failure> {
    if arguments.log.is_some() && arguments.policy == PolicyArgument::All {
        let message = "--log holds the decisions of one policy; name it with --policy";
        return Err(Failure::new(Exit::Usage, message));
    }
    let (scenario, plan) = scenario(arguments)?;
    let mut all = Vec::new();
    for policy in arguments.policy.policies() {
        let run = Run::new(&scenario, &plan, policy);
        all.push(match &arguments.log {
            Some(path) => logged(run, path)?,
            None => run.go(&mut |_, _| {}),
        });
    }
    if let Some(path) = &arguments.plot {
        plot::draw(path, &all).map_err(|error| match error {
            plot::PlotError::Kind(_) => Failure::new(Exit::Usage, error),
            _ => Failure::new(Exit::Failed, error),
        })?;
    }
    match arguments.json {
        true => print(&format!("{:#}\n", serde_json::to_value(&all).unwrap_or_default())),
        false => print(&shown::text(&all)),
    }
}

/// Runs with every decision written into a file.
fn logged(run: Run<'_>, path: &Path) -> Result<Figures, Failure> {
    let failed = |error| Failure::new(Exit::Failed, format!("{}: {error}", path.display()));
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let (mut log, mut result) = (Log::default(), Ok(()));
    let figures = run.go(&mut |at, command| {
        if result.is_ok()
            && let Some(line) = log.line(at, command)
        {
            result = writeln!(file, "{line}");
        }
    });
    result.and_then(|()| file.flush()).map_err(failed)?;
    Ok(figures)
}

fn scenario(arguments: &SimulateArguments) -> Result<(Scenario, Plan), Failure> {
    let (name, text) = match &arguments.scenario {
        Some(path) => (path.display().to_string(), read(path)?),
        None => ("(flags)".to_owned(), from_flags(arguments)?),
    };
    let (mut scenario, mut plan) = Scenario::parse(&text).map_err(|problem| {
        let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
        let message = format!("{name}{line}: {}: {}", problem.key, problem.message);
        Failure::new(Exit::Configuration, message)
    })?;
    if let Some(messages) = arguments.messages {
        scenario.mail.messages = messages;
    }
    if let Some(sessions) = arguments.sessions {
        scenario.policy.limit_sessions(sessions);
    }
    if let Some(seed) = arguments.seed.filter(|seed| *seed != scenario.seed) {
        scenario.seed = seed;
        // Which hosts serve which domain is drawn too.
        plan = Plan::new(&scenario).map_err(|fault| Failure::new(Exit::Configuration, fault))?;
    }
    Ok((scenario, plan))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("{}: file: cannot be read: {error}", path.display());
        Failure::new(Exit::Configuration, message)
    })
}

/// The scenario that flags describe, as it would stand in a file.
fn from_flags(arguments: &SimulateArguments) -> Result<String, Failure> {
    let SimulateArguments {
        hosts,
        slow,
        service,
        slow_service,
        connect,
        sessions,
        messages,
        ..
    } = arguments;
    if slow > hosts {
        let message = format!("--slow {slow}: there are only {hosts} hosts; raise --hosts");
        return Err(Failure::new(Exit::Usage, message));
    }
    let group = |name, count: u32, service| {
        let connect = connect.as_millis();
        format!(
            "[[host]]\nname = '{name}'\ncount = {count}\nservice = '{service}'\nconnect = '{connect}ms'\n"
        )
    };
    let groups = [("fast", hosts - slow, service), ("slow", *slow, slow_service)];
    let groups = groups.into_iter().filter(|(_, count, _)| *count > 0);
    let (mut text, mut names) = ("seed = 1\n".to_owned(), Vec::new());
    for (name, count, service) in groups {
        text.push_str(&group(name, count, service));
        names.push(format!("'{name}'"));
    }
    let (names, sessions) = (names.join(", "), sessions.unwrap_or(SESSIONS));
    let messages = messages.unwrap_or(MESSAGES);
    text.push_str(&format!(
        "[[domain]]\nname = 'example'\nhosts = [{names}]\n[mail]\nmessages = {messages}\n\
         [policy]\nsessions = {sessions}\nconcurrency = {sessions}\ninitial_concurrency = {sessions}\n\
         sessions_per_endpoint = {sessions}\n"
    ));
    Ok(text)
}

const SESSIONS: u32 = 10;
const MESSAGES: u32 = 10_000;

#[cfg(test)]
mod tests;
