//! The job of a bulk replay, as the worker runs it.

use kassir::clock::Clock as _;
use kassir::domain::ids::JobId;
use kassir::domain::job::{Job, Lane, Task};
use kassir::domain::people::{Replay, ReplayFilter, ReplayStatus};
use kassir::domain::{Delivery, DeliveryStatus};
use kassir::store::{Commit, ConfigChange, Material};

use crate::store_suite::samples::{Shop, ask, endpoint, id, replay};
use crate::world::World;

/// Failures in a row let a job wait longer and longer; a step that goes well is the end of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_goes_well_ends_a_row_of_failures() {
    let world = World::on(crate::sqlite::fresh().await).await;
    let (store, merchant) = (&world.router.store, world.merchant);
    let endpoint = endpoint(merchant);
    let change = ConfigChange::PutEndpoint(Box::new(endpoint.clone()));
    let version = store.change_config(merchant, change, None).await.unwrap();
    let shop = Shop {
        store: store.clone(),
        merchant,
        integration: kassir::domain::ids::IntegrationId(id()),
        endpoint: endpoint.id,
        version,
    };
    for _ in 0..2 {
        let event = kassir::domain::Event { payment: 1, ..shop.event() };
        let (status, next_attempt_at) = (DeliveryStatus::Failed, None);
        let delivery = Delivery { status, next_attempt_at, ..shop.delivery(&event) };
        shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
    }
    world.clock.advance(1000);
    // One delivery at a time: after the first step there is another.
    let mut replay = Replay {
        filter: ReplayFilter { status: Some(DeliveryStatus::Failed), ..ReplayFilter::default() },
        cursor: None,
        taking: Vec::new(),
        waiting: Vec::new(),
        sent: 0,
        per_s: 1,
        created_at: world.clock.now(),
        updated_at: world.clock.now(),
        ..replay(merchant)
    };
    replay.version = store.put_replay(&replay).await.unwrap();
    let job = Job {
        id: JobId(world.clock.id()),
        merchant,
        lane: Lane::Merchant(merchant),
        task: Task::Replay { replay: replay.id },
        attempts: 7,
        created_at: world.clock.now(),
    };
    let mut commit = Commit::of(merchant);
    commit.jobs.push((job, 0));
    store.commit(commit).await.unwrap();

    world.work().await;
    let stepped = store.replay(merchant, replay.id).await.unwrap().unwrap();
    assert_eq!((stepped.status, stepped.sent), (ReplayStatus::Running, 1));
    world.clock.advance(1000);
    let work = store.claim(&ask(10)).await.unwrap().work;
    let jobs: Vec<_> = work
        .iter()
        .filter_map(|work| match &work.material {
            Material::Job(job) => Some(job.attempts),
            Material::Delivery { .. } => None,
        })
        .collect();
    assert_eq!(jobs, [0]);
}
