//! Operations at the providers, black-box: the REST API on one side, a provider's API over real HTTP on the other.

mod links;
mod log;
mod outcome;
mod questions;
mod runner;
mod stories;
mod till;
mod trouble;
mod vector;
mod vectors;
