//! The metrics as a router gives them.

use std::collections::{BTreeMap, BTreeSet};

use super::request;
use crate::process::Plan;

/// Scrapes until something must show.
const SCRAPES_MAX: usize = 20_000;
/// A scrape: samples by their series.
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub async fn of(plan: &Plan) -> Scrape {
        let text = get(&format!("{}/metrics", plan.url())).await;
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Scrape(
            samples
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
                .collect(),
        )
    }

    /// The first scrape that is as it should be.
    pub async fn when(plan: &Plan, is: impl Fn(&Scrape) -> bool) -> Scrape {
        for _ in 0..SCRAPES_MAX {
            let scrape = Scrape::of(plan).await;
            if is(&scrape) {
                return scrape;
            }
        }
        panic!("not as it should be after {SCRAPES_MAX} scrapes");
    }

    /// Sum of the series of a metric whose labels have all of these.
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let ours = |series: &str| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        };
        self.0.iter().filter(|(series, _)| ours(series)).map(|(_, value)| *value as u64).sum()
    }

    /// Names, those of a histogram's parts given as the histogram's.
    pub fn names(&self) -> BTreeSet<String> {
        let name = |series: &String| {
            let name = series.split('{').next().unwrap();
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            part.unwrap_or(name).to_owned()
        };
        self.0.keys().map(name).collect()
    }

    /// Round trips by verb.
    pub fn round_trips(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for (series, value) in &self.0 {
            if let Some(labels) = series.strip_prefix("kassir_store_calls_total{") {
                let verb = labels.split("verb=\"").nth(1).unwrap().split('"').next().unwrap();
                *found.entry(verb.to_owned()).or_default() += *value as u64;
            }
        }
        found
    }
}

async fn get(url: &str) -> String {
    let (method, none) = (kassir_providers::Method::Get, Vec::new());
    let answered = crate::world::wire().send(request(method, url, none.clone(), Vec::new())).await;
    String::from_utf8(answered.body).unwrap()
}
