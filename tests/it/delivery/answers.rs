//! The table of `docs/delivery.md`, "What an answer means": each row over a real socket, with both kinds of success.

use kassir::delivery::judge::judge;
use kassir::delivery::outbound::Outcome;
use kassir::delivery::schedule::Schedule;
use kassir::domain::config::Success;
use kassir::domain::{DeliveryStatus, Task};

use super::world::{World, world};
use crate::subscriber::{Act, Subscriber};

/// Of a long row of statuses every so many go over the wire; all are judged.
const EACH: usize = 7;

struct Row {
    answer: String,
    then: [String; 2],
    again: String,
    says: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../docs/delivery.md");
    let table =
        text.split("<!-- answers:begin -->").nth(1).unwrap().split("<!-- answers:end -->").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [answer, strict, wide, again, says] = cells.try_into().unwrap();
        Row { answer, then: [strict, wide], again, says }
    })
    .collect()
}

/// The code spans of a cell: statuses first, then headers.
fn spans(answer: &str) -> (Vec<u16>, Vec<(&str, &str)>) {
    let spans = answer.split('`').skip(1).step_by(2);
    let (mut statuses, mut headers) = (Vec::new(), Vec::new());
    for span in spans {
        match span.split_once(": ") {
            Some(header) => headers.push(header),
            None => statuses.push(span.parse().unwrap()),
        }
    }
    (statuses, headers)
}

fn line(status: u16) -> String {
    format!("HTTP/1.1 {status} Status\r\n")
}

/// What a row's answers are, each with its status (0: none).
fn acts(row: &Row) -> Vec<(u16, Act)> {
    let (statuses, headers) = spans(&row.answer);
    let one = |act| vec![(statuses.last().copied().unwrap_or(0), act)];
    let words = row.answer.as_str();
    let ends = |end: &str| words.ends_with(end);
    if ends("a body that never ends") {
        return one(Act::DripBody);
    }
    if ends("a body that breaks off") {
        return one(Act::BrokenBody);
    }
    if ends("before the request was read") {
        return one(Act::Early);
    }
    if ends("a body all the same") {
        return one(Act::Raw(format!("{}content-length: 4\r\n\r\nbody", line(statuses[0])).into_bytes()));
    }
    if ends("and nothing after it") {
        return vec![(0, Act::Raw(format!("{}\r\n", line(statuses[0])).into_bytes()))];
    }
    match words {
        "nothing in time" => return one(Act::Hang),
        "a head that never ends" => return one(Act::DripHead),
        "nothing, and closes the connection" => return one(Act::Close),
        "one byte, and closes the connection" => return one(Act::Raw(b"H".to_vec())),
        "what is not HTTP" => return one(Act::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())),
        _ => {}
    }
    if words.contains(", then ") {
        let text = format!("{}\r\n{}content-length: 0\r\n\r\n", line(statuses[0]), line(statuses[1]));
        return one(Act::Raw(text.into_bytes()));
    }
    if let ([first, last], true) = (statuses.as_slice(), words.contains('–')) {
        return (*first..=*last).map(|status| (status, Act::status(status))).collect();
    }
    one(Act::answer(statuses[0], &headers, ""))
}

/// Whether a status has a row of its own beside the one that it falls in.
fn is_apart(status: u16, row: &Row, rows: &[Row]) -> bool {
    row.answer.contains('–') && rows.iter().any(|other| other.answer == format!("`{status}`"))
}

#[tokio::test]
async fn every_row_of_the_table() {
    let rows = rows();
    assert!(rows.len() > 40);
    let world = world().await;
    for row in &rows {
        let acts: Vec<_> =
            acts(row).into_iter().filter(|(status, _)| !is_apart(*status, row, &rows)).collect();
        let last = acts.len() - 1;
        for (index, (status, act)) in acts.into_iter().enumerate() {
            if index % EACH != 0 && index != last {
                continue;
            }
            for (success, then) in [Success::Exactly200, Success::Any2xx].into_iter().zip(&row.then) {
                check(&world, row, status, act.clone(), success, then).await;
            }
        }
    }
}

async fn check(world: &World, row: &Row, status: u16, act: Act, success: Success, then: &str) {
    let at = format!("{} {status} {success:?}", row.answer);
    let subscriber = Subscriber::http().await;
    subscriber.script([act]);
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.success = success;
    world.endpoints.put(view.clone());
    let before = world.jobs.ran.lock().unwrap().len();
    let id = world.queue(&view).await;
    let began = world.now();
    world.worker.step().await.unwrap();
    let delivery = world.load(id).await;
    // The job that turns the endpoint off, if there is one; nothing else is due.
    world.worker.run_until_idle().await.unwrap();
    let jobs = world.jobs.ran.lock().unwrap().split_off(before);
    let off = jobs
        .iter()
        .any(|job| matches!(&job.task, Task::Endpoint { endpoint, .. } if *endpoint == view.endpoint.id));
    let stands = format!("{}{}", delivery.status.word(), if off { ", endpoint off" } else { "" });
    assert_eq!(stands, then, "{at}");
    let attempts = world.attempts(id).await;
    assert_eq!((attempts.len(), attempts[0].status.unwrap_or(0)), (1, status), "{at}");
    if delivery.status == DeliveryStatus::Delivered {
        assert_eq!(attempts[0].error, None, "{at}");
        return;
    }
    assert_eq!(
        attempts[0].error.as_deref(),
        Some(row.says.replace("*n*", &status.to_string()).as_str()),
        "{at}"
    );
    let waits = delivery.next_attempt_at.map(|due| due - began);
    let schedule = Schedule::default();
    let first = i64::try_from(schedule.first.as_millis()).unwrap();
    let fits = match row.again.as_str() {
        "never" => waits.is_none(),
        "by the schedule" => waits.is_some_and(|waits| (first * 4 / 5..=first * 6 / 5 + 1).contains(&waits)),
        "at the end" => delivery.next_attempt_at == Some(schedule.last_slot(delivery.round_started_at)),
        after => {
            let seconds: i64 =
                after.strip_prefix("after ").unwrap().strip_suffix(" s").unwrap().parse().unwrap();
            // Counted from when the answer came.
            waits.is_some_and(|waits| (seconds * 1000..seconds * 1000 + 5_000).contains(&waits))
        }
    };
    assert!(fits, "{at}: {waits:?} is not {}", row.again);
}

#[test]
fn every_status_has_a_row() {
    let rows = rows();
    let mut seen = std::collections::BTreeSet::new();
    for row in &rows {
        let (_, headers) = spans(&row.answer);
        for (status, _) in acts(row) {
            seen.insert(status);
            if status == 0 || !headers.is_empty() || is_apart(status, row, &rows) {
                continue;
            }
            let outcome = Outcome { status: Some(status), ..Outcome::default() };
            for (success, then) in [Success::Exactly200, Success::Any2xx].into_iter().zip(&row.then) {
                let verdict = judge(&outcome, success, 0);
                assert_eq!(verdict.success, then.starts_with("delivered"), "{status}");
                assert_eq!(verdict.stop.is_some(), then.contains("endpoint off"), "{status}");
            }
        }
    }
    let missing: Vec<u16> = (200..600).filter(|status| !seen.contains(status)).collect();
    assert_eq!(missing, Vec::<u16>::new());
}
