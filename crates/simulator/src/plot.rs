//! Pictures: sessions of each host, or group of hosts, over time; a panel for each policy.
//!
//! # Contract
//! * **The file's name says the kind**: `.svg`, which needs nothing, or `.png`, which needs a font of the system.
//! * **Panels compare**: they share both axes.
//! * **What is not drawn leaves no file changed.**

mod font;

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::figures::Figures;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The name ends otherwise.
    #[error("{0}: name a picture .svg or .png")]
    Kind(String),
    /// PNG needs a font, and there is none.
    #[error("a .png needs a TrueType font, and none is installed; write .svg, or install fonts-dejavu-core")]
    NoFont,
    /// It could not be drawn or written.
    #[error("{path}: {reason}")]
    Drawing {
        /// The file.
        path: String,
        /// In words.
        reason: String,
    },
}

/// Draws runs into a file, one panel below the other.
///
/// # Errors
/// [`PlotError`].
pub fn draw(path: &Path, runs: &[Figures]) -> Result<(), PlotError> {
    let panels = u32::try_from(runs.len()).unwrap_or(1).max(1);
    let size = (WIDTH, PANEL_HEIGHT * panels);
    let kind = path
        .extension()
        .and_then(|kind| kind.to_str())
        .unwrap_or_default();
    let drawn = match kind.to_ascii_lowercase().as_str() {
        "svg" => panels_on(&SVGBackend::new(path, size).into_drawing_area(), runs),
        "png" => {
            font::provide(FONT)?;
            panels_on(&BitMapBackend::new(path, size).into_drawing_area(), runs)
        }
        _ => return Err(PlotError::Kind(path.display().to_string())),
    };
    drawn.map_err(|reason| PlotError::Drawing {
        path: path.display().to_string(),
        reason,
    })
}

/// All panels, and the file written. Errors are words: each backend has its own.
fn panels_on<B: DrawingBackend>(root: &DrawingArea<B, Shift>, runs: &[Figures]) -> Result<(), String> {
    root.fill(&WHITE).map_err(words)?;
    let seconds = runs.iter().map(|run| run.seconds).fold(0.0, f64::max).max(0.001);
    let points = runs.iter().flat_map(|run| run.series.lines.iter().flatten());
    let sessions = points.copied().fold(1.0, f64::max) * HEADROOM;
    for (area, run) in root.split_evenly((runs.len().max(1), 1)).iter().zip(runs) {
        panel(area, run, seconds, sessions)?;
    }
    root.present().map_err(words)
}

fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    run: &Figures,
    seconds: f64,
    sessions: f64,
) -> Result<(), String> {
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_top(TITLE_HEIGHT)
        .x_label_area_size(LABELS_BELOW)
        .y_label_area_size(LABELS_BESIDE)
        .build_cartesian_2d(0.0..seconds, 0.0..sessions)
        .map_err(words)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, LABEL_SIZE))
        .x_desc("seconds")
        .y_desc("sessions")
        .draw()
        .map_err(words)?;
    for (place, line) in run.series.lines.iter().enumerate() {
        let middle = |span: usize| (span as f64 + 0.5) * run.series.span;
        let points = line.iter().enumerate().map(|(span, mean)| (middle(span), *mean));
        let style = colour(place).stroke_width(2);
        chart.draw_series(LineSeries::new(points, style)).map_err(words)?;
    }
    titles(area, run)
}

/// The policy with its rate, and the lines' names in their colours.
fn titles<B: DrawingBackend>(area: &DrawingArea<B, Shift>, run: &Figures) -> Result<(), String> {
    let policy = run.policy.map_or_else(String::new, |policy| policy.to_string());
    let title = format!("{policy}: {:.1} messages/s", run.steady_rate);
    let style = TextStyle::from((FONT, TITLE_SIZE)).pos(Pos::new(HPos::Left, VPos::Top));
    area.draw_text(&title, &style, (LABELS_BESIDE, TITLE_TOP))
        .map_err(words)?;
    for (name, place) in run.lines.iter().rev().zip((0..run.lines.len()).rev()) {
        let behind = i32::try_from(run.lines.len() - 1 - place).unwrap_or(0);
        let right = WIDTH.cast_signed() - MARGIN - behind * NAME_WIDTH;
        let colour = colour(place);
        let style = TextStyle::from((FONT, LABEL_SIZE))
            .color(&colour)
            .pos(Pos::new(HPos::Right, VPos::Top));
        area.draw_text(name, &style, (right, TITLE_TOP)).map_err(words)?;
    }
    Ok(())
}

/// Colours that people who see few of them tell apart too (Okabe and Ito).
fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 110, 0),
    RGBColor(0, 0, 0),
];
const FONT: &str = "sans-serif";
const WIDTH: u32 = 900;
const PANEL_HEIGHT: u32 = 240;
const MARGIN: i32 = 12;
const TITLE_HEIGHT: i32 = 32;
const TITLE_TOP: i32 = 8;
const LABELS_BELOW: i32 = 36;
const LABELS_BESIDE: i32 = 48;
const NAME_WIDTH: i32 = 80;
const TITLE_SIZE: i32 = 17;
const LABEL_SIZE: i32 = 14;
/// Above the highest point.
const HEADROOM: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, Run, Scenario};

    fn runs() -> Vec<Figures> {
        let text = "[[host]]\nname = 'fast'\nservice = '50ms'\n[[host]]\nname = 'slow'\nservice = '2s'\n\
                    [[domain]]\nname = 'd'\nhosts = ['fast', 'slow']\n[mail]\nmessages = 200";
        let (scenario, plan) = Scenario::parse(text).unwrap();
        let run = |policy| Run::new(&scenario, &plan, policy).go(&mut |_, _| {});
        Policy::SIDE_BY_SIDE.map(run).to_vec()
    }

    #[test]
    fn the_files_name_says_the_kind() {
        let directory = tempfile::tempdir().unwrap();
        let (svg, png) = (directory.path().join("a.svg"), directory.path().join("a.PNG"));
        draw(&svg, &runs()).unwrap();
        let text = std::fs::read_to_string(&svg).unwrap();
        for word in [
            "<svg",
            "count 10: ",
            "time 300 s: ",
            "adaptive: ",
            "fast",
            "slow",
            "<polyline",
        ] {
            assert!(text.contains(word), "{word}");
        }
        match draw(&png, &runs()) {
            Ok(()) => assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG")),
            Err(error) => assert!(matches!(error, PlotError::NoFont), "{error}"),
        }
        let other = draw(&directory.path().join("a.jpg"), &runs()).unwrap_err();
        assert!(
            other.to_string().ends_with("name a picture .svg or .png"),
            "{other}"
        );
    }

    #[test]
    fn what_is_not_drawn_leaves_no_file_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.gif");
        assert!(draw(&path, &runs()).is_err() && !path.exists());
        let nowhere = draw(&directory.path().join("none/a.svg"), &runs()).unwrap_err();
        assert!(matches!(nowhere, PlotError::Drawing { .. }), "{nowhere}");
    }

    #[test]
    fn panels_share_both_axes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        let mut runs = runs();
        draw(&path, &runs).unwrap();
        let labels = |text: &str, label: &str| text.matches(&format!("\n{label}\n")).count();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(labels(&text, "seconds"), runs.len());
        runs[0].seconds = 5000.0;
        draw(&path, &runs).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(labels(&text, "4000.0"), runs.len());
    }
}
