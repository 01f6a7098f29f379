//! A font of the system, for pictures that hold no text of their own.
//!
//! # Contract
//! * **Usual fonts first**, then any other below the usual directories, in order of their names.
//!
//! # Limits
//! The font stays in memory until the program ends: the drawing library keeps it by reference.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plotters::style::{FontStyle, register_font};

use super::PlotError;

/// Gives the drawing library a font under this name.
pub(super) fn provide(name: &str) -> Result<(), PlotError> {
    let usual = USUAL.iter().map(PathBuf::from);
    let others = DIRECTORIES
        .iter()
        .flat_map(|directory| fonts_below(Path::new(directory), DEPTH_MAX));
    for path in usual.chain(others) {
        if let Ok(font) = fs::read(path)
            && register_font(name, FontStyle::Normal, Box::leak(font.into_boxed_slice())).is_ok()
        {
            return Ok(());
        }
    }
    Err(PlotError::NoFont)
}

fn fonts_below(directory: &Path, depth: u32) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let mut fonts = Vec::new();
    for path in paths {
        if path.extension().is_some_and(|kind| kind == "ttf") {
            fonts.push(path);
        } else if depth > 0 && path.is_dir() {
            fonts.extend(fonts_below(&path, depth - 1));
        }
    }
    fonts
}

const USUAL: [&str; 3] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
];
const DIRECTORIES: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];
const DEPTH_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_found_in_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("b/c")).unwrap();
        for name in ["b/c/z.ttf", "a.ttf", "d.ttf", "readme"] {
            fs::write(directory.path().join(name), "no font").unwrap();
        }
        let found = fonts_below(directory.path(), DEPTH_MAX);
        let expected = ["a.ttf", "b/c/z.ttf", "d.ttf"].map(|name| directory.path().join(name));
        assert_eq!(found, expected);
        assert_eq!(fonts_below(directory.path(), 1).len(), 2);
    }
}
