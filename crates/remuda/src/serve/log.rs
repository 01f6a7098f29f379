//! The log: one line an event on standard error, as logfmt text or as JSON.
//!
//! ```text
//!   2026-11-23T08:49:00.123Z INFO delivery id=1M7Z3KQ0000 from=<a@b.test> … reply="250 2.0.0 Ok"
//! ```
//!
//! # Contract
//! * **An event is one line**, whatever its values hold: controls are escaped.
//! * **Fields keep their names, and as text their order.** A value is quoted only where it needs to be: when it is
//!   empty or holds a space, a quote or a control.
//! * **The environment variable `RUST_LOG` chooses** what is logged; the default is `info`.

use std::{
    fmt::{self, Write as _},
    io,
};

use jiff::Timestamp;
use remuda_clock::{Clock, SystemClock};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::config::LogFormat;

/// Begins to log, for the whole process. A log that was begun already stays as it is.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines {
        format,
        clock: SystemClock::new(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .event_format(lines);
    if log.try_init().is_err() {
        tracing::debug!("a log is there already");
    }
}

/// Formats events.
struct Lines {
    format: LogFormat,
    clock: SystemClock,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = timestamp(self.clock.now().wall.0);
        let metadata = event.metadata();
        match self.format {
            LogFormat::Text => {
                let mut text = Text::default();
                event.record(&mut text);
                writeln!(
                    writer,
                    "{time} {} {}{}",
                    metadata.level(),
                    text.message,
                    text.fields
                )
            }
            LogFormat::Json => {
                let mut json = Json::default();
                json.0.insert("time".to_owned(), time.into());
                json.0
                    .insert("level".to_owned(), metadata.level().as_str().into());
                json.0.insert("target".to_owned(), metadata.target().into());
                event.record(&mut json);
                writeln!(writer, "{}", Value::Object(json.0))
            }
        }
    }
}

fn timestamp(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        Err(_) => ms.to_string(),
    }
}

/// Message and fields as logfmt.
#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.replace(|c: char| c.is_control(), " ");
            return;
        }
        self.fields.push(' ');
        self.fields.push_str(name_of(field));
        self.fields.push('=');
        push_value(&mut self.fields, value);
    }
}

/// A field whose name is a word of Rust is written `r#type` in the code.
fn name_of(field: &Field) -> &'static str {
    field.name().trim_start_matches("r#")
}

fn push_value(out: &mut String, value: &str) {
    let needs_quotes = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    if !value.is_empty() && !value.contains(needs_quotes) {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// Message and fields as JSON.
#[derive(Debug, Default)]
struct Json(Map<String, Value>);

impl Json {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(name_of(field).to_owned(), value.into());
    }
}

impl Visit for Json {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, event: impl FnOnce()) -> String {
        let written = Written::default();
        let to = written.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .event_format(Lines {
                format,
                clock: SystemClock::new(),
            })
            .finish();
        tracing::subscriber::with_default(log, event);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.strip_suffix('\n').unwrap().to_owned()
    }

    /// The line behind its time.
    fn line(event: impl FnOnce()) -> String {
        logged(LogFormat::Text, event)
            .split_once(' ')
            .unwrap()
            .1
            .to_owned()
    }

    #[test]
    fn a_delivery_comes_out_as_documented() {
        let text = line(|| {
            tracing::info!(
                target: "delivery",
                id = %"1M7Z3KQ0000",
                from = %"<a=1@b.test>",
                to = %"<c@d.test>",
                orig_to = None::<tracing::field::DisplayValue<String>>,
                relay = %"mx.d.test[192.0.2.1]:25",
                conn_use = Some(3_u32),
                delay = %"0.12",
                delays = %"0/0/0.01/0.11",
                dsn = %"2.0.0",
                status = "sent",
                reply = "250 2.0.0 Ok",
                "delivery"
            );
        });
        let expected = "INFO delivery id=1M7Z3KQ0000 from=<a=1@b.test> to=<c@d.test> relay=mx.d.test[192.0.2.1]:25 \
                        conn_use=3 delay=0.12 delays=0/0/0.01/0.11 dsn=2.0.0 status=sent reply=\"250 2.0.0 Ok\"";
        assert_eq!(text, expected);
    }

    #[test]
    fn readiness_is_one_known_line() {
        let text = line(
            || tracing::info!(smtp = "127.0.0.1:25,[::1]:25", admin = %"127.0.0.1:8025", "remuda ready"),
        );
        assert_eq!(
            text,
            "INFO remuda ready smtp=127.0.0.1:25,[::1]:25 admin=127.0.0.1:8025"
        );
    }

    #[test]
    fn an_event_is_one_line_whatever_its_values_hold() {
        let text = line(|| tracing::warn!(reply = "a\r\nb \"c\" \\ \x1b", empty = "", "two\nlines"));
        assert_eq!(
            text,
            "WARN two lines reply=\"a\\r\\nb \\\"c\\\" \\\\ \\u{1b}\" empty=\"\""
        );
    }

    #[test]
    fn json_keeps_numbers_and_names() {
        let text = logged(
            LogFormat::Json,
            || tracing::info!(count = 3, to = %"<a@b.test>", "done\n"),
        );
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&json["count"], &json["to"], &json["message"]),
            (&3.into(), &"<a@b.test>".into(), &"done\n".into())
        );
        assert_eq!(json["level"], "INFO");
    }

    #[test]
    fn times_are_utc_to_the_millisecond() {
        assert_eq!(timestamp(1_795_000_000_007), "2026-11-18T11:06:40.007Z");
    }
}
