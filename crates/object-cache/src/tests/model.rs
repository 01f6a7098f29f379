//! The cache against a naive model, over random histories.
