//! The client of the admin API, for the commands that speak to the running server.
//!
//! # Contract
//! * **A server that does not answer is exit 69**, with where it was looked for and how to start one, also when
//!   there is no token for it; a refusal is exit 1 with the server's own words.
//! * **An address that cannot be one is exit 64**; `http://` may be left out.

use std::{
    io::{Read, Write},
    path::PathBuf,
    time::Duration,
};

use remuda_admin::{Token, directory::encoded};
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
    /// Change, or create.
    Post,
    /// Change what is named.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    /// As in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A request for JSON.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What is done.
    pub method: Method,
    /// With its parameters.
    pub path: &'a str,
    /// What is sent.
    pub body: Option<Value>,
    /// The version that the object must have.
    pub version: Option<i64>,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn new(method: Method, path: &'a str) -> Self {
        Request {
            method,
            path,
            body: None,
            version: None,
        }
    }

    /// A request that sends JSON.
    pub fn with(method: Method, path: &'a str, body: Value) -> Self {
        Request {
            body: Some(body),
            ..Request::new(method, path)
        }
    }
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
        self.send(&Request::new(method, &with_query(path, query)))
    }

    /// Carries a request out.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] or [`Exit::Failed`].
    pub fn send(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let mut begun = self.begin(request.method, request.path);
        if let Some(version) = request.version {
            begun = begun.header("If-Match", format!("\"{version}\""));
        }
        let answered = match &request.body {
            Some(body) => self.agent.run(built(begun, body.to_string())?),
            // A POST without a body says that it has none.
            None if request.method == Method::Post => self.agent.run(built(begun, String::new())?),
            None => self.agent.run(built(begun, ())?),
        };
        self.read_answer(answered)?.map_err(|problem| problem.failure())
    }

    /// Sends a file and waits for the answer, however long that takes.
    ///
    /// # Errors
    /// [`Exit::Unreachable`]; what the server refuses is the inner error.
    pub fn upload(&self, path: &str, file: impl Read + 'static) -> Result<Result<Value, Refused>, Failure> {
        let body = ureq::SendBody::from_owned_reader(file);
        let request = built(self.begin(Method::Post, path), body)?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        self.read_answer(self.agent.run(request))
    }

    /// Fetches a file, however long that takes.
    ///
    /// # Errors
    /// [`Exit::Unreachable`], [`Exit::Failed`].
    pub fn download(&self, path: &str, to: &mut impl Write) -> Result<(), Failure> {
        let request = built(self.begin(Method::Get, path), ())?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let mut response = self
            .agent
            .run(request)
            .map_err(|error| self.place.unreachable(&error))?;
        if !response.status().is_success() {
            return match self.read_answer(Ok(response))? {
                Ok(_) => Ok(()),
                Err(refused) => Err(refused.failure()),
            };
        }
        let copied = std::io::copy(&mut response.body_mut().as_reader(), to);
        copied
            .map(drop)
            .map_err(|error| Failure::new(Exit::Failed, error))
    }

    fn begin(&self, method: Method, path: &str) -> ureq::http::request::Builder {
        ureq::http::Request::builder()
            .method(method.as_str())
            .uri(format!("{}{path}", self.place.base))
            .header("Authorization", format!("Bearer {}", self.token.reveal()))
    }

    /// The JSON of an answer, or why the server refuses.
    fn read_answer(
        &self,
        answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Result<Value, Refused>, Failure> {
        let unreachable = |error| self.place.unreachable(&error);
        let mut response = answered.map_err(unreachable)?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LENGTH_MAX)
            .read_to_string()
            .map_err(unreachable)?;
        match serde_json::from_str(&text) {
            Ok(answer) if status.is_success() => Ok(Ok(answer)),
            Ok(problem @ Value::Object(_)) => Ok(Err(Refused::of(&problem))),
            _ => Err(Failure::new(
                Exit::Failed,
                format!("{} answered {status}: not Remuda's admin API", self.place.base),
            )),
        }
    }
}

fn built<B>(request: ureq::http::request::Builder, body: B) -> Result<ureq::http::Request<B>, Failure> {
    request
        .body(body)
        .map_err(|error| Failure::new(Exit::Usage, error))
}

/// Why a server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In its words.
    pub detail: String,
    /// The line of the file that was sent.
    pub line: Option<u64>,
}

impl Refused {
    /// Reads problem details.
    pub fn of(problem: &Value) -> Refused {
        let detail = problem.get("detail").and_then(Value::as_str);
        Refused {
            detail: detail.unwrap_or("the server refused").to_owned(),
            line: problem.get("line").and_then(Value::as_u64),
        }
    }

    /// As the end of a command.
    pub fn failure(self) -> Failure {
        Failure::new(Exit::Failed, self.detail)
    }
}

/// A path with parameters behind it.
pub fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut text = path.to_owned();
    for (name, value) in query {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&format!("{name}={}", query_value(value)));
    }
    text
}

/// A value of a parameter: as a segment of a path, but that `+` and `=` mean something here.
fn query_value(value: &str) -> String {
    encoded(value).replace('+', "%2B").replace('=', "%3D")
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
    fn parameters_come_as_they_were_given() {
        let query = [("a", "x+y=z&w".to_owned()), ("b", "ö /".to_owned())];
        assert_eq!(with_query("/p", &query), "/p?a=x%2By%3Dz%26w&b=%C3%B6%20%2F");
        assert_eq!(with_query("/p", &[]), "/p");
    }

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
