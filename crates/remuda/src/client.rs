//! The client of the admin API, for the commands that speak to the running server.
//!
//! # Contract
//! * **A server that does not answer is exit 69**, with where it was looked for and how to start one, also when
//!   there is no token for it; a refusal is exit 1 with the server's own words.
//! * **An address that cannot be one is exit 64**; `http://` may be left out.

use std::{path::PathBuf, time::Duration};

use remuda_admin::Token;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    cli::ServerArguments,
    exit::{Exit, Failure},
};

/// The slowest answer is a summary over a million messages.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// A page of the queue at its largest.
const ANSWER_LENGTH_MAX: u64 = 256 << 20;

/// Speaks to one server.
pub struct Client {
    agent: ureq::Agent,
    place: Place,
    token: Token,
}

/// Where a server is looked for.
struct Place {
    base: String,
    token_file: PathBuf,
    /// The command that starts it there.
    start: String,
}

impl Place {
    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let Place { base, start, .. } = self;
        Failure::new(
            Exit::Unreachable,
            format!(
                "no server answers at {base} ({error}); start one with: {start}, or name another with --admin URL"
            ),
        )
    }
}

/// What is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Change.
    Post,
    /// Remove.
    Delete,
}

impl Client {
    /// The server that the arguments name, else the configuration's.
    ///
    /// # Errors
    /// The configuration is wrong, or there is no token.
    pub fn new(arguments: &ServerArguments) -> Result<Client, Failure> {
        let place = place(arguments)?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .proxy(None)
            .build();
        let agent: ureq::Agent = config.into();
        let token = Token::read(&place.token_file).map_err(|error| {
            // Where no server has run yet there is no token either, and that is not what is missing.
            match agent.get(format!("{}/healthz", place.base)).call() {
                Err(silent) => place.unreachable(&silent),
                Ok(_) => {
                    let hint = "name it with --token-file, or give --config FILE as the server has";
                    Failure::new(Exit::Failed, format!("{error}; {hint}"))
                }
            }
        })?;
        Ok(Client { agent, place, token })
    }

    /// Asks for JSON at `path` with these parameters.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] or [`Exit::Failed`].
    pub fn ask(&self, method: Method, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.place.base);
        let authorization = format!("Bearer {}", self.token.reveal());
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        let answered = match method {
            Method::Get => self
                .agent
                .get(url)
                .header("Authorization", authorization)
                .query_pairs(query)
                .call(),
            Method::Delete => self
                .agent
                .delete(url)
                .header("Authorization", authorization)
                .query_pairs(query)
                .call(),
            Method::Post => self
                .agent
                .post(url)
                .header("Authorization", authorization)
                .query_pairs(query)
                .send_empty(),
        };
        let unreachable = |error| self.place.unreachable(&error);
        let mut response = answered.map_err(unreachable)?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LENGTH_MAX)
            .read_to_string()
            .map_err(unreachable)?;
        let answer = serde_json::from_str(&text);
        match answer {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(Value::Object(problem)) => {
                let detail = problem
                    .get("detail")
                    .and_then(Value::as_str)
                    .unwrap_or("the server refused");
                Err(Failure::new(Exit::Failed, detail))
            }
            _ => Err(Failure::new(
                Exit::Failed,
                format!("{} answered {status}: not Remuda's admin API", self.place.base),
            )),
        }
    }
}

/// Reads an answer into its struct.
///
/// # Errors
/// The server speaks another version of the API.
pub fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the server's answer is of another version: {error}"),
        )
    })
}

/// Where the server is and where its token; the configuration is read only if something is missing.
fn place(arguments: &ServerArguments) -> Result<Place, Failure> {
    let given = arguments.admin.as_deref().map(base).transpose()?;
    let start = match &arguments.config.config {
        Some(file) => format!("remuda serve --config {}", file.display()),
        None => "remuda serve".to_owned(),
    };
    if let (Some(url), Some(token_file)) = (&given, &arguments.token_file) {
        return Ok(Place {
            base: url.clone(),
            token_file: token_file.clone(),
            start,
        });
    }
    let admin = arguments.config.source().load()?.admin;
    Ok(Place {
        base: given.unwrap_or_else(|| format!("http://{}", crate::reachable(admin.address))),
        token_file: arguments.token_file.clone().unwrap_or(admin.token_file),
        start,
    })
}

/// What `--admin` names, without a slash at the end.
fn base(given: &str) -> Result<String, Failure> {
    let place = match given.split_once("://") {
        None => given,
        Some(("http", place)) => place,
        Some(_) => "",
    };
    let url = format!("http://{}", place.trim_end_matches('/'));
    let has_host = |uri: ureq::http::Uri| uri.host().is_some_and(|host| !host.is_empty());
    match url.parse().is_ok_and(has_host) {
        true => Ok(url),
        false => Err(Failure::new(
            Exit::Usage,
            format!("--admin {given:?} is not a URL such as http://127.0.0.1:8025"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_one_is_a_usage_error() {
        for (given, expected) in [
            ("http://127.0.0.1:8025/", Some("http://127.0.0.1:8025")),
            ("127.0.0.1:8025", Some("http://127.0.0.1:8025")),
            ("[::1]:8025", Some("http://[::1]:8025")),
            ("mx.test", Some("http://mx.test")),
            ("https://127.0.0.1:8025", None),
            ("a b", None),
            ("", None),
        ] {
            match expected {
                Some(url) => assert_eq!(base(given).unwrap(), url, "{given}"),
                None => assert_eq!(base(given).unwrap_err().exit, Exit::Usage, "{given}"),
            }
        }
    }
}
