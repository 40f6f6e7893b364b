//! What to do next, decided from what is known: pure functions that cannot fail and return plain data.

pub mod seal;
pub mod submission;

#[cfg(test)]
pub(crate) mod fixture;
