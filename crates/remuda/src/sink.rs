//! `remuda sink`: a scripted SMTP receiver.
//!
//! # Contract
//! * **One line says where it listens**: `sink ready listen=…` on standard error.
//! * **The report comes at the end**, after the last message or at SIGINT or SIGTERM, also to standard output
//!   when no file is named.

use remuda_clock::SystemClock;
use remuda_sink::{Config, Listener, TlsMode, start};

use crate::{
    cli::{Behaviour, SinkArguments},
    exit::{Exit, Failure},
    print,
    serve::Signals,
};

/// Receives until it has its messages or a signal says stop.
///
/// # Errors
/// The configuration is wrong, an address is taken, or the report cannot be written.
pub fn run(arguments: SinkArguments) -> Result<(), Failure> {
    let config = config(arguments)?;
    let prints_report = config.report.is_none();
    let report = crate::runtime()?
        .block_on(receive(config))
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    match (prints_report, serde_json::to_string_pretty(&report)) {
        (false, _) => Ok(()),
        (true, Ok(text)) => print(&format!("{text}\n")),
        (true, Err(error)) => Err(Failure::new(Exit::Failed, error)),
    }
}

async fn receive(config: Config) -> std::io::Result<remuda_sink::Report> {
    let mut signals = Signals::listen()?;
    let running = start(config, SystemClock::shared()).await?;
    let addresses: Vec<String> = running.addresses().iter().map(ToString::to_string).collect();
    eprintln!("sink ready listen={}", addresses.join(","));
    tokio::select! {
        () = running.finished() => {}
        () = signals.stop() => {}
    }
    running.finish().await
}

fn config(arguments: SinkArguments) -> Result<Config, Failure> {
    let SinkArguments {
        config,
        behaviour,
        messages,
        report,
        keep_digests,
    } = arguments;
    let mut read = match config {
        Some(path) => Config::load(&path)
            .map_err(|error| Failure::new(Exit::Configuration, format!("{}: {error}", path.display())))?,
        None => Config {
            listeners: listeners(behaviour),
            ..Config::default()
        },
    };
    read.messages = messages.or(read.messages);
    read.report = report.or(read.report);
    read.keep_digests |= keep_digests;
    Ok(read)
}

fn listeners(behaviour: Behaviour) -> Vec<Listener> {
    let one = Listener {
        hostname: behaviour.hostname,
        domains: behaviour.domains,
        rtt: behaviour.rtt,
        delay: behaviour.delay,
        reply: behaviour.reply,
        stall: behaviour.stall,
        drop: behaviour.drop,
        close_after: behaviour.close_after,
        max_connections: behaviour.max_connections,
        pipelining: !behaviour.no_pipelining,
        chunking: !behaviour.no_chunking,
        eight_bit_mime: !behaviour.no_8bitmime,
        smtputf8: !behaviour.no_smtputf8,
        dsn: !behaviour.no_dsn,
        size: behaviour.size,
        limits: behaviour.limits,
        auth: behaviour.auth,
        tls: behaviour.tls,
        tls_mode: if behaviour.tls_implicit {
            TlsMode::Implicit
        } else {
            TlsMode::StartTls
        },
        ..Listener::default()
    };
    behaviour
        .listen
        .into_iter()
        .map(|listen| Listener {
            listen,
            ..one.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use remuda_sink::Certificate;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn parsed(arguments: &[&str]) -> SinkArguments {
        let words = ["remuda", "sink"].iter().chain(arguments);
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Sink(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_reaches_every_listener() {
        let options = [
            "--listen=127.0.0.1:1",
            "--listen=[::1]:2",
            "--hostname=a.test",
            "--domains=a.test,b.test",
            "--rtt=50ms",
            "--delay=mail=2s",
            "--reply=rcpt=450 4.2.1 busy",
            "--close-after=3:421",
            "--max-connections=4",
            "--no-pipelining",
            "--no-chunking",
            "--size=1MiB",
            "--limits=MAILMAX=5",
            "--tls=self-signed",
            "--messages=7",
            "--keep-digests",
        ];
        let config = config(parsed(&options)).unwrap();
        assert_eq!(
            (config.listeners.len(), config.messages, config.keep_digests),
            (2, Some(7), true)
        );
        let second = &config.listeners[1];
        assert_eq!(
            (
                second.listen.port(),
                second.hostname.as_str(),
                second.domains.len()
            ),
            (2, "a.test", 2)
        );
        assert_eq!(
            (second.rtt.as_millis(), second.delay.len(), second.reply.len()),
            (50, 1, 1)
        );
        assert!(
            !second.pipelining && !second.chunking && second.eight_bit_mime && second.close_after.is_some()
        );
        assert_eq!((second.max_connections, second.size), (Some(4), Some(1 << 20)));
        assert_eq!(
            (&second.tls, second.tls_mode),
            (&Some(Certificate::SelfSigned), TlsMode::StartTls)
        );
    }

    #[test]
    fn a_file_of_listeners_excludes_options_of_one() {
        assert!(Arguments::try_parse_from(["remuda", "sink", "--config", "f", "--rtt", "5ms"]).is_err());
        assert_eq!(
            config(parsed(&["--config", "/none"])).unwrap_err().exit,
            Exit::Configuration
        );
    }
}
