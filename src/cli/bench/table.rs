//! The figures as one table, in Markdown: it can be pasted as it is.

use comfy_table::{Table, presets};

use crate::bench::{
    BacklogFigures, Figures, FloorFigures, Latency, RoundTrips, SizeFigures, Slow, Step, Throughput,
};

/// What was measured, the figure, and what it is compared with.
type Row = (String, String, String);

/// All that was measured.
pub(super) fn of(figures: &Figures) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["measured", "figure", "compared"]);
    let tls = if figures.tls { ", subscriber with TLS" } else { "" };
    let mut rows = vec![row("store", format!("{}{tls}", figures.store), "")];
    rows.extend(figures.floor.iter().flat_map(|own| floor("floor", "one durable write for each", own)));
    rows.extend(
        figures.shared_floor.iter().flat_map(|shared| floor("floor at best", "writes share commits", shared)),
    );
    rows.extend(figures.intake.iter().flat_map(|measured| throughput("intake", measured)));
    rows.extend(figures.end_to_end.iter().flat_map(|measured| throughput("end to end", measured)));
    rows.extend(figures.latency.iter().flat_map(|measured| latency("acceptance to arrival", measured)));
    rows.extend(figures.slow.iter().flat_map(slow));
    rows.extend(memory(figures));
    rows.extend(figures.backlog.iter().flat_map(backlog));
    rows.extend(figures.size.iter().map(size));
    rows.extend(steps("stored payments", figures.growth.as_ref()));
    rows.extend(steps("endpoints, each of its own merchant", figures.endpoints.as_ref()));
    rows.extend(steps("endpoints of one merchant, one wants the events", figures.endpoints_of_one.as_ref()));
    for (what, figure, compared) in rows {
        table.add_row([what, figure, compared]);
    }
    table.to_string()
}

fn row(what: &str, figure: impl Into<String>, compared: impl Into<String>) -> Row {
    (what.to_owned(), figure.into(), compared.into())
}

fn percent(measured: &Throughput) -> String {
    let best = measured.shared_ratio.map(|ratio| format!(", {:.0} % of that at best", ratio * 100.0));
    format!("{:.0} % of the floor{}", measured.ratio * 100.0, best.unwrap_or_default())
}

fn floor(name: &str, how: &str, floor: &FloorFigures) -> Vec<Row> {
    vec![
        row(&format!("{name}: bare handler, {how}"), format!("{:.0}/s", floor.intake_per_s), ""),
        row(
            &format!("{name}, end to end: the same, then one request to the subscriber"),
            format!("{:.0}/s", floor.end_to_end_per_s),
            "",
        ),
    ]
}

fn cpu(router: f64, redis: Option<f64>) -> String {
    let redis = redis.map(|redis| format!(", of Redis {redis:.2} ms")).unwrap_or_default();
    format!("{router:.2} ms{redis}")
}

fn throughput(what: &str, measured: &Throughput) -> Vec<Row> {
    vec![
        row(what, format!("{:.0}/s", measured.per_s), percent(measured)),
        row(
            &format!("{what}: processor time per event"),
            cpu(measured.cpu_ms_per_event, measured.redis_cpu_ms_per_event),
            "",
        ),
        row(&format!("{what}: round trips to the store"), trips(&measured.round_trips), ""),
    ]
}

fn trips(trips: &RoundTrips) -> String {
    format!(
        "{:.2} per notification, {:.2} per delivery, claims {:.2}",
        trips.per_notification, trips.per_delivery, trips.claims_per_delivery
    )
}

fn latency(what: &str, measured: &Latency) -> Vec<Row> {
    let Latency { rate, p50_ms, p99_ms, max_ms, .. } = measured;
    vec![
        row(
            &format!("{what} at {rate}/s"),
            format!("p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, longest {max_ms:.1} ms"),
            "",
        ),
        row(&format!("{what}: round trips to the store"), trips(&measured.round_trips), ""),
    ]
}

fn slow(slow: &Slow) -> Vec<Row> {
    let mut rows = latency("a healthy endpoint alone", &slow.alone);
    let what = format!("… beside one that hangs with {} waiting", slow.waiting);
    rows.extend(latency(&what, &slow.beside).into_iter().take(1));
    if let Some(last) = rows.last_mut() {
        last.2 = format!("p99 {:+.1} ms", slow.added_p99_ms);
    }
    rows
}

fn memory(figures: &Figures) -> Vec<Row> {
    let all = [("resident at rest", figures.resident_mb), ("resident after that", figures.resident_after_mb)];
    all.into_iter().filter_map(|(what, mb)| Some(row(what, format!("{:.1} MB", mb?), ""))).collect()
}

fn backlog(backlog: &BacklogFigures) -> Vec<Row> {
    let what = |what: &str| format!("{} scheduled retries: {what}", backlog.scheduled);
    vec![
        row(&what("router ready after"), format!("{:.2} s", backlog.ready_s), ""),
        row(&what("resident"), format!("{:.1} MB", backlog.resident_mb), ""),
        row(&what("first overdue one arrives after"), format!("{:.2} s", backlog.first_overdue_s), ""),
        row(
            &what("arrival after the moment it is due"),
            format!("first {:.0} ms, p99 {:.0} ms", backlog.first_due_ms, backlog.due_p99_ms),
            "",
        ),
    ]
}

fn size(size: &SizeFigures) -> Row {
    let what = format!("{} payments with two events, one endpoint", size.payments);
    row(&what, format!("{:.0} bytes each", size.bytes_per_payment), "")
}

fn steps(what: &str, steps: Option<&Vec<Step>>) -> Vec<Row> {
    let all = steps.into_iter().flatten();
    all.map(|step| {
        let cost = cpu(step.cpu_ms_per_event, step.redis_cpu_ms_per_event);
        let figure = format!("{cost} per event, {:.0}/s, {:.1} MB", step.per_s, step.resident_mb);
        row(&format!("{} {what}", step.size), figure, format!("{:.2} × the first", step.ratio))
    })
    .collect()
}
