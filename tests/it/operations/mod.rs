//! Operations at the providers, black-box: the REST API on one side, a provider's API over real HTTP on the other.

mod till;
mod vector;
mod vectors;
