//! The stores that drivers reach directly: SQL, RESP, Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use redis::AsyncCommands;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::process::Started;

#[tokio::test]
async fn the_database_can_be_queried_while_the_services_write() {
    let started = Started::new(&["--only", "api,sql"]);
    let options = SqliteConnectOptions::new().filename(started.ready.sqlite.as_ref().unwrap());
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let new = json!({ "title": "t", "assignee": "clinician-sql", "patient": "p" });
    let ((), ()) = tokio::join!(
        async {
            for _ in 0..50 {
                assert_eq!(started.post("/api/v1/tasks", new.clone()).await.0, 201);
            }
        },
        async {
            for i in 0..50 {
                sqlx::query("UPDATE patients SET ward = 'ward-x' WHERE id = $1")
                    .bind(format!("patient-{i}"))
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        }
    );
    let pool = &pool;
    let count = async |sql: &'static str| sqlx::query_as::<_, (i64,)>(sql).fetch_one(pool).await.unwrap().0;
    assert_eq!(count("SELECT count(*) FROM tasks WHERE assignee = 'clinician-sql'").await, 50);
    assert_eq!(count("SELECT count(*) FROM patients WHERE ward = 'ward-x'").await, 50);
    assert_eq!(count("SELECT count(*) FROM patients").await, 2_000);
}

#[tokio::test]
async fn the_redis_client_works_with_expiry_pipelines_and_errors() {
    let started = Started::new(&["--only", "redis"]);
    let client = redis::Client::open(started.ready.redis.clone().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();

    let blob = vec![7_u8; 10 << 10];
    let () = connection.set_ex("session:1", &blob, 86_400).await.unwrap();
    assert_eq!(connection.get::<_, Vec<u8>>("session:1").await.unwrap(), blob);
    let left: i64 = connection.ttl("session:1").await.unwrap();
    assert!((86_390..=86_400).contains(&left), "{left}");
    assert_eq!(connection.get::<_, Option<Vec<u8>>>("none").await.unwrap(), None);

    let () = connection.pset_ex("short", "x", 1).await.unwrap();
    let gone = async {
        while connection.exists::<_, bool>("short").await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the key expires");

    let mut pipeline = redis::pipe();
    for i in 0..500 {
        pipeline.set(format!("k{i}"), i).ignore().get(format!("k{i}"));
    }
    let answers: Vec<i64> = pipeline.query_async(&mut connection).await.unwrap();
    assert_eq!(answers, (0..500).collect::<Vec<_>>());

    let () = connection.hset_multiple("h", &[("a", "1"), ("b", "2")]).await.unwrap();
    let hash: std::collections::BTreeMap<String, String> = connection.hgetall("h").await.unwrap();
    assert_eq!(hash.len(), 2);
    assert!(connection.get::<_, String>("h").await.unwrap_err().to_string().contains("WRONGTYPE"));

    // Many tasks on one connection, each with its own answer.
    let tasks: Vec<_> = (0..200_i64)
        .map(|i| {
            let mut connection = connection.clone();
            tokio::spawn(async move { connection.get::<_, i64>(format!("k{i}")).await.unwrap() == i })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
}

#[tokio::test]
async fn answers_with_latency_stay_in_order_and_overlap() {
    let started = Started::new(&["--only", "redis", "--latency", "redis=uniform:1ms,100ms"]);
    let client = redis::Client::open(started.ready.redis.clone().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut pipeline = redis::pipe();
    for i in 0..500 {
        pipeline.set("k", i).ignore().get("k");
    }
    let asked = std::time::Instant::now();
    let answers: Vec<i64> = pipeline.query_async(&mut connection).await.unwrap();
    assert_eq!(answers, (0..500).collect::<Vec<_>>());
    // One after the other they would take 50 s.
    assert!(asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn what_is_produced_is_consumed_and_the_topics_have_their_partitions() {
    let started = Started::new(&["--only", "kafka"]);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", started.ready.kafka.join(","));
    let producer: FutureProducer =
        config.clone().set("enable.idempotence", "true").set("compression.type", "snappy").create().unwrap();
    let partition = producer
        .send(FutureRecord::to("task-events").key("k").payload("hello"), Duration::from_secs(30))
        .await
        .map_err(|(error, _)| error)
        .unwrap()
        .partition;
    assert!((0..12).contains(&partition));

    let consumer: BaseConsumer = config.set("group.id", "test").set("auto.offset.reset", "earliest").create().unwrap();
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(30)).unwrap();
    let mut topics: Vec<_> = metadata.topics().iter().map(|t| (t.name(), t.partitions().len())).collect();
    topics.sort_unstable();
    let expected = [("emr-verifications", 6), ("handover-events", 6), ("sync-operations", 12), ("task-events", 12)];
    assert_eq!(topics, expected);
    assert_eq!(metadata.brokers().len(), 3);

    consumer.subscribe(&["task-events"]).unwrap();
    // A poll also ends with nothing when the group is balanced.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let message = loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(message) => break message.unwrap(),
            None => assert!(std::time::Instant::now() < deadline, "nothing came"),
        }
    };
    assert_eq!((message.key(), message.payload()), (Some(&b"k"[..]), Some(&b"hello"[..])));
}
