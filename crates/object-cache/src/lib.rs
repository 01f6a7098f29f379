//! Placeholder.
/// P.
pub trait Cached {
    /// .
    fn id(&self) -> i64;
    /// .
    fn name(&self) -> &str;
    /// .
    fn version(&self) -> i64;
    /// .
    fn weight(&self) -> usize;
}
