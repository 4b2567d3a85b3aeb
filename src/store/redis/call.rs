//! One call of a script: its arguments, its repetition after a lost answer, and the reading of its reply.

use std::time::Duration;

use redis::{Cmd, Value};
use uuid::Uuid;

use super::RedisStore;
use super::failure::{self, Failure};
use super::keys::{self, damaged};
use super::link::Via;
use super::scripts::Script;
use crate::clock::Stopwatch;
use crate::store::{Result, StoreError};

/// Times that a call is sent at the most, when its connection fails.
const TRIES_MAX: u32 = 3;
/// Pause before it is sent again.
const TRY_PAUSE: Duration = Duration::from_millis(60);

/// A script with its arguments.
#[derive(Clone)]
pub(super) struct Call {
    script: &'static Script,
    partition: u8,
    /// A connection of the pool instead of one of the shared ones.
    by_pool: bool,
    args: Vec<Vec<u8>>,
}

impl Call {
    /// A call in a partition, over one of the shared connections.
    pub(super) fn new(script: &'static Script, partition: u8) -> Call {
        Call { script, partition, by_pool: false, args: Vec::new() }
    }

    /// Over a connection of the pool.
    #[must_use]
    pub(super) fn by_pool(mut self) -> Call {
        self.by_pool = true;
        self
    }

    /// One more argument.
    #[must_use]
    pub(super) fn arg(mut self, arg: impl AsRef<[u8]>) -> Call {
        self.push(arg);
        self
    }

    /// One more argument.
    #[must_use]
    pub(super) fn num(mut self, number: impl Into<i64>) -> Call {
        self.push_num(number);
        self
    }

    /// One more argument: a number or nothing.
    #[must_use]
    pub(super) fn opt(mut self, number: Option<i64>) -> Call {
        self.push_opt(number);
        self
    }

    /// One more argument.
    pub(super) fn push(&mut self, arg: impl AsRef<[u8]>) {
        self.args.push(arg.as_ref().to_vec());
    }

    /// One more argument.
    pub(super) fn push_num(&mut self, number: impl Into<i64>) {
        self.args.push(number.into().to_string().into_bytes());
    }

    /// One more argument: how many of something follow.
    pub(super) fn push_count(&mut self, count: usize) {
        self.args.push(count.to_string().into_bytes());
    }

    /// One more argument: a number or nothing.
    pub(super) fn push_opt(&mut self, number: Option<i64>) {
        self.args.push(number.map(|number| number.to_string()).unwrap_or_default().into_bytes());
    }
}

/// A call as it is told from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// Its id, if a repetition must get the first answer.
    id: Option<Uuid>,
    /// It may have come before.
    again: bool,
}

impl Request {
    /// One that nobody made before.
    pub(super) fn new() -> Request {
        Request { id: Some(Uuid::new_v4()), again: false }
    }

    /// The same once more: nobody knows what became of it.
    pub(super) fn again(self) -> Request {
        Request { again: true, ..self }
    }

    fn argument(self) -> Vec<u8> {
        let Some(id) = self.id else { return Vec::new() };
        let again: &[u8] = if self.again { b"+" } else { b"" };
        [id.as_bytes(), again].concat()
    }
}

impl RedisStore {
    /// Calls a script. A call whose connection fails is sent again, a few times within the deadline: scripts that
    /// write know it by its id and give the first answer.
    pub(super) fn call(&self, call: Call) -> impl Future<Output = Result<Reply>> + Send + '_ {
        let request = if call.script.writes { Request::new() } else { Request { id: None, again: false } };
        self.call_as(call, request)
    }

    /// As [`RedisStore::call`], for a call that may be a repetition of an earlier one.
    pub(super) async fn call_as(&self, call: Call, mut request: Request) -> Result<Reply> {
        let started = Stopwatch::start();
        request.again |= self.link.repeats();
        let via = self.way_of(&call);
        let (mut tries, mut before) = (1, None);
        let result = loop {
            let left = self.timeout.saturating_sub(started.elapsed());
            let failure = match tokio::time::timeout(left, self.once(&call, via, request)).await {
                Ok(Ok(value)) => break Ok(Reply(value)),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    self.link.forget_all(via);
                    let words = format!("Redis did not answer within {} ms", self.timeout.as_millis());
                    // What an earlier try met says more than that there was no time for another.
                    break Err(before.unwrap_or(StoreError::Unavailable(words)));
                }
            };
            if !failure.connection || tries >= TRIES_MAX {
                break Err(failure.error);
            }
            tries += 1;
            request.again = true;
            before = Some(failure.error);
            tokio::time::sleep(TRY_PAUSE).await;
        };
        call.script.meter.note(started, &result);
        result
    }

    /// Calls a script of each partition, concurrently, and gives the replies by partition.
    pub(super) async fn call_all(&self, make: impl Fn(u8) -> Call) -> Result<Vec<Reply>> {
        futures_util::future::try_join_all((0..keys::PARTITIONS).map(|partition| self.call(make(partition))))
            .await
    }

    async fn once(&self, call: &Call, via: Via, request: Request) -> std::result::Result<Value, Failure> {
        let by_hash = self.command("EVALSHA", &call.script.sha, call, request);
        let first = self.send(call, via, &by_hash).await;
        match first {
            Err(failure) if failure.no_script => {
                // EVAL loads it as well: the next call finds it.
                let whole = self.command("EVAL", &call.script.code, call, request);
                self.send(call, via, &whole).await
            }
            other => other,
        }
    }

    /// By which way a call goes: a write that waits for replicas has connections of its own.
    fn way_of(&self, call: &Call) -> Via {
        match (call.by_pool, self.replicas.is_some() && call.script.kept()) {
            (_, true) => Via::Waiting(self.link.turn()),
            (true, false) => Via::Pool,
            (false, false) => Via::Shared(self.link.turn()),
        }
    }

    async fn send(&self, call: &Call, via: Via, cmd: &Cmd) -> std::result::Result<Value, Failure> {
        let failed = |(generation, error): (u64, redis::RedisError)| {
            let failure = failure::read(&error, call.script.name);
            if failure.reconnect {
                self.link.forget(generation);
                self.link.forget_pool();
            }
            failure
        };
        match (&self.replicas, via) {
            (Some(wait), Via::Waiting(_)) => {
                let sent = self.link.send_and_wait(via, cmd, wait.command()).await;
                let (written, waited) = sent.map_err(failed)?;
                wait.judge(&waited).map_err(|error| {
                    metrics::counter!("kassir_store_replica_waits_failed_total").increment(1);
                    Failure::unknown(error)
                })?;
                Ok(written)
            }
            _ => self.link.send(via, cmd).await.map_err(failed),
        }
    }

    fn command(&self, verb: &str, script: &str, call: &Call, request: Request) -> Cmd {
        let base = keys::base(&self.prefix, call.partition);
        let mut cmd = redis::cmd(verb);
        cmd.arg(script).arg(3).arg(format!("{base}meta"));
        cmd.arg(format!("{base}moving")).arg(format!("{base}moved"));
        cmd.arg(base).arg(&self.epoch).arg(self.time.argument()).arg(request.argument());
        for arg in &call.args {
            cmd.arg(arg.as_slice());
        }
        cmd
    }
}

/// What a script gave.
#[derive(Debug)]
pub(super) struct Reply(Value);

impl Reply {
    /// As a whole number.
    pub(super) fn int(self) -> Result<i64> {
        match self.0 {
            Value::Int(number) => Ok(number),
            // Scores come as text, and may have a fraction or an exponent.
            Value::BulkString(text) => std::str::from_utf8(&text)
                .ok()
                .and_then(|text| text.parse::<i64>().ok().or_else(|| whole(text)))
                .ok_or_else(|| damaged("a number")),
            _ => Err(damaged("a number")),
        }
    }

    /// As bytes, if there are any.
    pub(super) fn maybe_bytes(self) -> Result<Option<Vec<u8>>> {
        match self.0 {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::SimpleString(text) => Ok(Some(text.into_bytes())),
            _ => Err(damaged("a text")),
        }
    }

    /// As bytes.
    pub(super) fn bytes(self) -> Result<Vec<u8>> {
        self.maybe_bytes()?.ok_or_else(|| damaged("a text"))
    }

    /// As text.
    pub(super) fn text(self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| damaged("a text"))
    }

    /// As a row of replies; none at all for nil.
    pub(super) fn rows(self) -> Result<Rows> {
        match self.0 {
            Value::Array(values) => Ok(Rows(values.into_iter())),
            Value::Nil => Ok(Rows(Vec::new().into_iter())),
            _ => Err(damaged("a list")),
        }
    }

    /// Whether it is nothing or an empty text.
    pub(super) fn is_empty(&self) -> bool {
        match &self.0 {
            Value::Nil => true,
            Value::BulkString(text) => text.is_empty(),
            _ => false,
        }
    }

    /// Whether there is nothing.
    pub(super) fn is_nil(&self) -> bool {
        matches!(self.0, Value::Nil)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "times are far below 2^53")]
fn whole(text: &str) -> Option<i64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as i64)
}

/// Replies one after the other.
pub(super) struct Rows(std::vec::IntoIter<Value>);

impl Rows {
    /// The next one.
    pub(super) fn item(&mut self) -> Result<Reply> {
        self.0.next().map(Reply).ok_or_else(|| damaged("a list"))
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

impl Iterator for Rows {
    type Item = Reply;

    fn next(&mut self) -> Option<Reply> {
        self.0.next().map(Reply)
    }
}
