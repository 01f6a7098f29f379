//! Sessions over time, for a picture: means over spans that grow with the run.
//!
//! # Contract
//! * **Means are exact over each span**, whatever the number of changes.
//! * **Bounded**: at most [`SPANS_MAX`] spans a line; when the run outgrows them, each two become one.

use std::time::Duration;

use remuda_clock::Monotonic;
use serde::Serialize;

/// Some lines over one time.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    width: Duration,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Default)]
struct Line {
    count: u32,
    since: Monotonic,
    /// Session seconds within each span.
    spans: Vec<f64>,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Seconds of a span.
    pub span: f64,
    /// Mean sessions of each line within each span.
    pub lines: Vec<Vec<f64>>,
}

impl Recorder {
    pub(crate) fn new(lines: usize) -> Self {
        Recorder {
            width: WIDTH_MIN,
            lines: vec![Line::default(); lines],
        }
    }

    /// A session of a line begins (`true`) or ends.
    pub(crate) fn change(&mut self, line: usize, begins: bool, now: Monotonic) {
        self.make_room(now);
        let width = self.width;
        if let Some(line) = self.lines.get_mut(line) {
            line.advance(width, now);
            line.count = if begins {
                line.count + 1
            } else {
                line.count.saturating_sub(1)
            };
        }
    }

    /// Ends the record.
    pub(crate) fn finish(mut self, now: Monotonic) -> Series {
        self.make_room(now);
        let (width, span) = (self.width, self.width.as_secs_f64());
        let end = now.since_start().as_secs_f64();
        let mut lines = Vec::with_capacity(self.lines.len());
        for mut line in self.lines {
            line.advance(width, now);
            let places = line.spans.iter().zip(0_u32..);
            // The last span has not lasted its whole time.
            let mean =
                |(sum, place): (&f64, u32)| sum / (end - f64::from(place) * span).clamp(f64::EPSILON, span);
            lines.push(places.map(mean).collect());
        }
        Series { span, lines }
    }

    fn make_room(&mut self, now: Monotonic) {
        while now.since_start() >= self.width * SPANS_MAX {
            self.width *= 2;
            for line in &mut self.lines {
                line.spans = line.spans.chunks(2).map(|two| two.iter().sum()).collect();
            }
        }
    }
}

impl Line {
    /// Adds what has been since the last change.
    fn advance(&mut self, width: Duration, now: Monotonic) {
        while self.since < now {
            let place = span_of(self.since, width);
            let end = (Monotonic::ZERO + width * (place + 1)).min(now);
            let place = place as usize;
            if self.spans.len() <= place {
                self.spans.resize(place + 1, 0.0);
            }
            self.spans[place] += f64::from(self.count) * (end - self.since).as_secs_f64();
            self.since = end;
        }
    }
}

fn span_of(at: Monotonic, width: Duration) -> u32 {
    let place = at.since_start().as_nanos() / width.as_nanos().max(1);
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Spans of a line.
pub const SPANS_MAX: u32 = 512;
const WIDTH_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn means_are_exact_over_each_span() {
        let mut recorder = Recorder::new(2);
        recorder.change(0, true, at(5));
        recorder.change(0, true, at(10));
        recorder.change(0, false, at(22));
        let series = recorder.finish(at(25));
        for (mean, expected) in series.lines[0].iter().zip([0.5, 2.0, 1.4]) {
            assert!((mean - expected).abs() < 1e-9, "{mean}");
        }
        assert_eq!(series.lines[1], [0.0; 3]);
    }

    #[test]
    fn a_long_run_is_bounded_and_its_sum_is_kept() {
        let mut recorder = Recorder::new(1);
        for second in 0..10_000 {
            recorder.change(0, second % 2 == 0, at(second * 1000));
        }
        let series = recorder.finish(at(10_000_000));
        let line = &series.lines[0];
        assert!(line.len() <= SPANS_MAX as usize, "{}", line.len());
        let sessions: f64 = line.iter().take(line.len() - 1).sum::<f64>() / (line.len() - 1) as f64;
        assert!((sessions - 0.5).abs() < 0.01, "{sessions}");
    }
}
