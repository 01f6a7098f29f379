//! The arguments of sendmail, which are no GNU options: clusters, values attached or behind.
//!
//! # Contract
//! * **What other programs pass is accepted**, the options that mean nothing here too.
//! * **An unknown option is an error.**

use std::{ffi::OsString, path::PathBuf};

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Submit the message (`-bm`).
    #[default]
    Deliver,
    /// Show the queue (`-bp`).
    Queue,
    /// Rebuild aliases (`-bi`).
    NewAliases,
    /// Try the queue now (`-q`).
    Flush,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What to do.
    pub mode: Mode,
    /// `-f` or `-r`.
    pub sender: Option<String>,
    /// `-F`.
    pub full_name: Option<String>,
    /// `-t`.
    pub reads_header: bool,
    /// `-i` or `-oi`: a line with a lone dot is content.
    pub ignores_dots: bool,
    /// The others.
    pub recipients: Vec<String>,
    /// `-N`, `-R`, `-V`.
    pub dsn: DsnOptions,
    /// `--config`.
    pub config: Option<PathBuf>,
}

/// What is wanted of reports (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DsnOptions {
    /// `-N`: NOTIFY.
    pub notify: Option<String>,
    /// `-R`: RET.
    pub ret: Option<String>,
    /// `-V`: ENVID, not yet encoded.
    pub envelope_id: Option<String>,
}

/// Options with a value, attached or behind.
const WITH_VALUE: &str = "ABCFLNORVXbfhopr";
/// Options that mean nothing here.
const WITHOUT_VALUE: &str = "GIUcmnvx";

/// Reads the arguments.
///
/// # Errors
/// What is wrong, in words.
pub fn parse(arguments: &[OsString]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = Vec::new();
    for argument in arguments {
        words.push(
            argument
                .to_str()
                .ok_or_else(|| format!("{argument:?} is not UTF-8"))?,
        );
    }
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            options.recipients.extend(words.by_ref().map(str::to_owned));
        } else if let Some(path) = word.strip_prefix("--config=") {
            options.config = Some(path.into());
        } else if word == "--config" {
            options.config = Some(words.next().ok_or("--config needs a file")?.into());
        } else if word.len() > 1 && word.starts_with('-') {
            cluster(&mut options, &word[1..], &mut words)?;
        } else {
            options.recipients.push(word.to_owned());
        }
    }
    Ok(options)
}

/// Reads one word of options: letters without values, the last one perhaps with.
fn cluster<'w>(
    options: &mut Options,
    word: &'w str,
    more: &mut impl Iterator<Item = &'w str>,
) -> Result<(), String> {
    for (index, letter) in word.char_indices() {
        match letter {
            'i' => options.ignores_dots = true,
            't' => options.reads_header = true,
            // -q alone flushes; -q30m is how often a daemon should.
            'q' => {
                options.mode = Mode::Flush;
                return Ok(());
            }
            letter if WITH_VALUE.contains(letter) => {
                let attached = &word[index + letter.len_utf8()..];
                let value = match attached {
                    "" => more.next().ok_or_else(|| format!("-{letter} needs a value"))?,
                    attached => attached,
                };
                return with_value(options, letter, value);
            }
            letter if WITHOUT_VALUE.contains(letter) => {}
            letter => return Err(format!("unknown option -{letter}")),
        }
    }
    Ok(())
}

fn with_value(options: &mut Options, letter: char, value: &str) -> Result<(), String> {
    match letter {
        'f' | 'r' => options.sender = Some(bare(value).to_owned()),
        'F' => options.full_name = Some(value.to_owned()),
        'o' | 'O' => options.ignores_dots |= matches!(value, "i" | "IgnoreDots" | "IgnoreDots=true"),
        'b' => options.mode = mode(value)?,
        'N' => options.dsn.notify = Some(notify(value)?),
        'R' => {
            options.dsn.ret = Some(match value.to_ascii_lowercase().as_str() {
                "full" => "FULL".to_owned(),
                "hdrs" => "HDRS".to_owned(),
                _ => return Err(format!("-R {value}: write full or hdrs")),
            });
        }
        'V' => options.dsn.envelope_id = Some(value.to_owned()),
        // What is left of WITH_VALUE means nothing here.
        _ => {}
    }
    Ok(())
}

fn mode(value: &str) -> Result<Mode, String> {
    match value {
        "m" => Ok(Mode::Deliver),
        "p" => Ok(Mode::Queue),
        "i" => Ok(Mode::NewAliases),
        _ => Err(format!("-b{value} is not supported; only -bm, -bp and -bi are")),
    }
}

fn notify(value: &str) -> Result<String, String> {
    let upper = value.to_ascii_uppercase();
    let is_known = |word: &str| matches!(word, "SUCCESS" | "FAILURE" | "DELAY");
    match upper == "NEVER" || upper.split(',').all(is_known) {
        true => Ok(upper),
        false => Err(format!(
            "-N {value}: write never, or some of success,failure,delay"
        )),
    }
}

/// An address without its angle brackets.
fn bare(text: &str) -> &str {
    text.strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_other_programs_pass_is_accepted() {
        for (line, sender, is_t, is_i, recipients) in [
            ("-t -oi", None, true, true, vec![]),
            ("-ti", None, true, true, vec![]),
            ("-Ac -i x", None, false, true, vec!["x"]),
            (
                "-fa@b.test c@d.test",
                Some("a@b.test"),
                false,
                false,
                vec!["c@d.test"],
            ),
            (
                "-f a@b.test -- -c@d.test",
                Some("a@b.test"),
                false,
                false,
                vec!["-c@d.test"],
            ),
            ("-oem -oi -odb -f <> x y", Some(""), false, true, vec!["x", "y"]),
            (
                "-bm -B8BITMIME -F Name -o i -m -n -v x",
                None,
                false,
                true,
                vec!["x"],
            ),
            (
                "-r a@b.test -O ErrorMode=p -X log -h 5 -p esmtp:x -L tag x",
                Some("a@b.test"),
                false,
                false,
                vec!["x"],
            ),
        ] {
            let options = parsed(line).unwrap();
            assert_eq!(
                (options.sender.as_deref(), options.reads_header),
                (sender, is_t),
                "{line}"
            );
            assert_eq!(
                (options.ignores_dots, options.recipients),
                (is_i, recipients.iter().map(|r| (*r).to_owned()).collect()),
                "{line}"
            );
        }
    }

    #[test]
    fn modes_and_report_options_are_read() {
        for (line, mode) in [
            ("-bp", Mode::Queue),
            ("-bi", Mode::NewAliases),
            ("-q", Mode::Flush),
            ("-q30m", Mode::Flush),
        ] {
            assert_eq!(parsed(line).unwrap().mode, mode, "{line}");
        }
        let dsn = parsed("-N success,delay -R hdrs -V id x").unwrap().dsn;
        let words = (
            dsn.notify.as_deref(),
            dsn.ret.as_deref(),
            dsn.envelope_id.as_deref(),
        );
        assert_eq!(words, (Some("SUCCESS,DELAY"), Some("HDRS"), Some("id")));
        assert_eq!(
            parsed("--config a.toml x").unwrap().config,
            parsed("--config=a.toml x").unwrap().config
        );
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        for line in [
            "-Z",
            "-bd",
            "-bs",
            "-f",
            "-N sometimes",
            "-R half",
            "--config",
            "--verbose",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
