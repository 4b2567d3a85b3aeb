//! The queue's other work, as the worker sees it: somebody else's.

use async_trait::async_trait;

use crate::domain::job::Job;
use crate::store::Fence;

/// How a job ended.
#[derive(Debug, Clone)]
pub enum JobEnd {
    /// The handler ended the lease itself, with a commit that has `finish`.
    Settled,
    /// It is done.
    Done(Box<Job>),
    /// It is to be run again.
    Again {
        /// The changed record.
        job: Box<Job>,
        /// Milliseconds from now.
        in_ms: u64,
    },
}

/// Runs the jobs that are no deliveries.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// Runs a job that is leased to this process. A handler that takes longer than the lease is ended, and the job
    /// is run again.
    async fn run(&self, job: Job, fence: Fence) -> JobEnd;
}
