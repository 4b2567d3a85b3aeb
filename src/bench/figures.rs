//! What was measured, as `--json` gives it. What was not asked for is `null`.

use serde::Serialize;

/// All figures of a run. Ratios are what counts: both sides of one were measured in this run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// The store, without a password.
    pub store: String,
    /// Whether the subscriber spoke TLS.
    pub tls: bool,
    /// Memory that the router holds at rest, before any work, MB.
    pub resident_mb: Option<f64>,
    /// … and after the intake and end-to-end measurements, MB.
    pub resident_after_mb: Option<f64>,
    /// The floor: a bare handler that makes one durable write for each notification.
    pub floor: Option<FloorFigures>,
    /// The same handler when all writes that wait share one commit, as in our own store; `null` where the store does so
    /// by itself.
    pub shared_floor: Option<FloorFigures>,
    /// Intake.
    pub intake: Option<Throughput>,
    /// End to end.
    pub end_to_end: Option<Throughput>,
    /// Latency at a fixed rate.
    pub latency: Option<Latency>,
    /// The same beside an endpoint that hangs.
    pub slow: Option<Slow>,
    /// A backlog of scheduled retries.
    pub backlog: Option<BacklogFigures>,
    /// What the store takes for one payment.
    pub size: Option<SizeFigures>,
    /// Cost by payments that are stored already.
    pub growth: Option<Vec<Step>>,
    /// Cost by endpoints, each of a merchant of its own.
    pub endpoints: Option<Vec<Step>>,
    /// Cost by endpoints of one merchant, one of which wants the events.
    pub endpoints_of_one: Option<Vec<Step>>,
}

/// What a bare handler does, per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FloorFigures {
    /// The write, then the answer.
    pub intake_per_s: f64,
    /// The same, then one request to the same subscriber.
    pub end_to_end_per_s: f64,
}

/// A measurement as fast as the senders can.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Throughput {
    /// Notifications.
    pub count: usize,
    /// Per second.
    pub per_s: f64,
    /// As a part of its floor.
    pub ratio: f64,
    /// As a part of its floor with shared commits.
    pub shared_ratio: Option<f64>,
    /// Processor time of the router per event, milliseconds.
    pub cpu_ms_per_event: f64,
    /// Processor time of the Redis server per event, milliseconds.
    pub redis_cpu_ms_per_event: Option<f64>,
    /// Round trips to the store.
    pub round_trips: RoundTrips,
}

/// Round trips to the store, by `kassir_store_calls_total`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RoundTrips {
    /// For each notification: looking up and committing.
    pub per_notification: f64,
    /// For each delivery: settling and giving back.
    pub per_delivery: f64,
    /// Claims for each delivery; those made in vain, and of each partition, count too.
    pub claims_per_delivery: f64,
}

/// Latency from acceptance (the provider has its answer) to arrival, milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Notifications per second.
    pub rate: u32,
    /// Half of the events arrived within this.
    pub p50_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
    /// All did.
    pub max_ms: f64,
    /// Round trips to the store.
    pub round_trips: RoundTrips,
}

/// One endpoint that hangs, and what another one notices of that.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Slow {
    /// Events that wait for the hanging endpoint.
    pub waiting: usize,
    /// The healthy endpoint's latency without it.
    pub alone: Latency,
    /// … and beside it.
    pub beside: Latency,
    /// What that added at p99, milliseconds.
    pub added_p99_ms: f64,
}

/// A router that starts with many scheduled retries.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BacklogFigures {
    /// How many.
    pub scheduled: usize,
    /// From the start of the process to the first `200` of `/health/ready`, seconds.
    pub ready_s: f64,
    /// Memory that the router holds: the most that was seen, MB.
    pub resident_mb: f64,
    /// From the start of the process to the arrival of the first event that was overdue, seconds.
    pub first_overdue_s: f64,
    /// From the moment that some become due to the first arrival, milliseconds.
    pub first_due_ms: f64,
    /// … and until 99 of 100 of these have arrived.
    pub due_p99_ms: f64,
}

/// What a payment with two notifications, two delivered events and one endpoint takes in the store.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SizeFigures {
    /// Payments that were stored.
    pub payments: usize,
    /// Bytes of each, all told: of Redis's memory, or of the embedded store's file.
    pub bytes_per_payment: f64,
}

/// Cost at a size.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Step {
    /// Payments, or endpoints.
    pub size: usize,
    /// Events per second from notification to subscriber.
    pub per_s: f64,
    /// Processor time of the router per event, milliseconds.
    pub cpu_ms_per_event: f64,
    /// Processor time of the Redis server per event, milliseconds.
    pub redis_cpu_ms_per_event: Option<f64>,
    /// Processor time of both, as a multiple of the first step's.
    pub ratio: f64,
    /// Memory that the router holds afterwards, MB.
    pub resident_mb: f64,
}
